//! The ports of the appliance in memory: for tests, and for a server that keeps nothing.
//!
//! Promise: passes the suite that the databases pass; forgets everything when dropped.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use model::time::Timestamp;

use crate::ports::{Claim, Finish, Instance, InstancePort, JobRecord, JobsPort, Lease, PortError};

/// Everything the ports keep, behind one lock: each call is one step.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    instance: Option<Instance>,
    jobs: BTreeMap<String, JobRecord>,
}

impl Memory {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How many jobs are known, for tests that wait without being async.
    #[cfg(test)]
    pub(crate) fn jobs_now(&self) -> usize {
        self.state().jobs.len()
    }

    /// Changes a job where it is there and `wanted`; says whether it was.
    fn change(&self, name: &str, wanted: impl Fn(&JobRecord) -> bool, change: impl FnOnce(&mut JobRecord)) -> bool {
        match self.state().jobs.get_mut(name).filter(|job| wanted(job)) {
            Some(job) => {
                change(job);
                true
            }
            None => false,
        }
    }
}

fn is_held_by(job: &JobRecord, runner: &str) -> bool {
    job.lease.as_ref().is_some_and(|lease| lease.runner == runner)
}

#[async_trait]
impl InstancePort for Memory {
    async fn instance(&self, candidate: Instance) -> Result<Instance, PortError> {
        Ok(self.state().instance.get_or_insert(candidate).clone())
    }
}

#[async_trait]
impl JobsPort for Memory {
    async fn schedule(&self, name: &str, schedule: &str, next_due: Timestamp) -> Result<JobRecord, PortError> {
        let mut state = self.state();
        let job = state.jobs.entry(name.to_owned()).or_insert_with(|| JobRecord {
            name: name.to_owned(),
            schedule: schedule.to_owned(),
            next_due,
            last_due: None,
            last_started: None,
            last_finished: None,
            last_error: None,
            last_late: false,
            runs: 0,
            failures: 0,
            lease: None,
        });
        if job.schedule != schedule {
            schedule.clone_into(&mut job.schedule);
            job.next_due = next_due;
        }
        Ok(job.clone())
    }

    async fn reschedule(&self, name: &str, from: Timestamp, to: Timestamp) -> Result<bool, PortError> {
        Ok(self.change(name, |job| job.next_due == from, |job| job.next_due = to))
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<bool, PortError> {
        let free = |job: &JobRecord| job.lease.as_ref().is_none_or(|lease| lease.until <= claim.now);
        let claimed = self.change(
            claim.name,
            |job| job.next_due == claim.due && free(job),
            |job| {
                let cut_off = u64::from(job.lease.is_some());
                job.runs += cut_off;
                job.failures += cut_off;
                job.next_due = claim.next_due;
                job.last_due = Some(claim.due);
                job.last_started = Some(claim.now);
                job.last_late = claim.late;
                job.lease = Some(Lease { runner: claim.runner.to_owned(), until: claim.lease_until });
            },
        );
        Ok(claimed)
    }

    async fn renew(&self, name: &str, runner: &str, until: Timestamp) -> Result<bool, PortError> {
        let lease = Lease { runner: runner.to_owned(), until };
        Ok(self.change(name, |job| is_held_by(job, runner), |job| job.lease = Some(lease)))
    }

    async fn finish(&self, finish: &Finish<'_>) -> Result<bool, PortError> {
        let finished = self.change(
            finish.name,
            |job| is_held_by(job, finish.runner),
            |job| {
                job.last_finished = Some(finish.at);
                job.last_error = finish.error.map(str::to_owned);
                job.runs += 1;
                job.failures += u64::from(finish.error.is_some());
                job.lease = None;
            },
        );
        Ok(finished)
    }

    async fn jobs(&self) -> Result<Vec<JobRecord>, PortError> {
        Ok(self.state().jobs.values().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::suite;

    #[tokio::test]
    async fn the_memory_passes_the_suite() {
        let memory = Memory::new();
        suite::fresh(&memory).await.expect("the suite runs");
        suite::reopened(&memory).await.expect("what was kept is there");
    }
}
