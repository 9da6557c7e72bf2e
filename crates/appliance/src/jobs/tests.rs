//! Calendar jobs under a clock of our own: due, late, overlapping, cut off, and a database that answers badly.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use model::time::{ManualClock, SystemClock};
use tokio::sync::Semaphore;

use super::*;
use crate::memory::Memory;
use crate::ports::Lease;

/// 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp(1_767_225_600_000);
const HOURLY: &str = "0 0 * * * *";
const HOUR: Duration = Duration::from_secs(3_600);

/// A port that can lose its answers.
#[derive(Default)]
struct Flaky {
    memory: Memory,
    /// Calls that fail before they do anything.
    refuse: AtomicUsize,
    /// Calls that are done, and then answered with an error.
    lose: AtomicUsize,
}

impl Flaky {
    fn takes(counter: &AtomicUsize) -> bool {
        counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    async fn pass<T>(&self, call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
        let away = || PortError::Unavailable("gone for a moment".to_owned());
        if Self::takes(&self.refuse) {
            return Err(away());
        }
        let answer = call.await;
        if Self::takes(&self.lose) { Err(away()) } else { answer }
    }
}

#[async_trait]
impl JobsPort for Flaky {
    async fn schedule(&self, name: &str, schedule: &str, next_due: Timestamp) -> Result<JobRecord, PortError> {
        self.pass(self.memory.schedule(name, schedule, next_due)).await
    }
    async fn reschedule(&self, name: &str, from: Timestamp, to: Timestamp) -> Result<bool, PortError> {
        self.pass(self.memory.reschedule(name, from, to)).await
    }
    async fn claim(&self, claim: &Claim<'_>) -> Result<bool, PortError> {
        self.pass(self.memory.claim(claim)).await
    }
    async fn renew(&self, name: &str, runner: &str, until: Timestamp) -> Result<bool, PortError> {
        self.pass(self.memory.renew(name, runner, until)).await
    }
    async fn finish(&self, finish: &Finish<'_>) -> Result<bool, PortError> {
        self.pass(self.memory.finish(finish)).await
    }
    // Reading is let through: the tests read to check.
    async fn jobs(&self) -> Result<Vec<JobRecord>, PortError> {
        self.memory.jobs().await
    }
}

/// What a run of the job is made to return.
type Outcome = fn() -> Result<(), JobError>;

/// A job called `job` that counts its runs, on a port and a clock that outlive the processes that run it.
struct Bench {
    port: Arc<Flaky>,
    clock: Arc<ManualClock>,
    begun: Arc<AtomicUsize>,
    /// A run takes one permit before it ends.
    gate: Arc<Semaphore>,
    outcome: Arc<Mutex<Outcome>>,
}

impl Bench {
    fn new() -> Self {
        Self {
            port: Arc::default(),
            clock: Arc::new(ManualClock::at(START)),
            begun: Arc::default(),
            gate: Arc::new(Semaphore::new(1_000)),
            outcome: Arc::new(Mutex::new(|| Ok(()))),
        }
    }

    fn jobs(&self, cron: &str) -> Jobs {
        let mut jobs = Jobs::new(self.port.clone(), self.clock.clone());
        let (begun, gate, outcome) = (self.begun.clone(), self.gate.clone(), self.outcome.clone());
        let work = move || {
            begun.fetch_add(1, Ordering::SeqCst);
            let (gate, outcome) = (gate.clone(), outcome.clone());
            async move {
                gate.acquire().await?.forget();
                let outcome = *outcome.lock().expect("not poisoned");
                outcome()
            }
        };
        jobs.register("job", cron, work).expect("a good calendar");
        jobs
    }

    /// A process that has just started.
    async fn process(&self) -> Rounds {
        let rounds = Rounds::new(self.jobs(HOURLY));
        rounds.schedule_all().await.expect("the port answers");
        rounds
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    async fn record(&self) -> JobRecord {
        self.port.memory.jobs().await.expect("memory answers").pop().expect("one job")
    }
}

/// One look, and whatever it began brought to its end.
async fn look_through(rounds: &mut Rounds) {
    rounds.look().await;
    settle(rounds).await;
}

async fn settle(rounds: &mut Rounds) {
    while let Some(ended) = rounds.running.join_next_with_id().await {
        rounds.ended(ended).await;
    }
}

#[tokio::test]
async fn a_due_time_is_run_once() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 0, "not due yet");
    bench.clock.advance(HOUR);
    look_through(&mut process).await;
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 1);
    let record = bench.record().await;
    assert_eq!((record.last_due, record.next_due), (Some(START.plus(HOUR)), START.plus(HOUR * 2)));
    assert_eq!((record.runs, record.failures, record.last_late, record.lease), (1, 0, false, None));
}

#[tokio::test]
async fn due_times_missed_while_down_are_made_up_for_by_one_late_run() {
    let bench = Bench::new();
    drop(bench.process().await);
    bench.clock.advance(HOUR * 5 + Duration::from_secs(90));
    let mut restarted = bench.process().await;
    look_through(&mut restarted).await;
    look_through(&mut restarted).await;
    assert_eq!(bench.begun(), 1);
    let record = bench.record().await;
    assert!(record.last_late);
    assert_eq!((record.last_due, record.next_due), (Some(START.plus(HOUR)), START.plus(HOUR * 6)));
}

#[tokio::test]
async fn a_job_never_overlaps_itself() {
    let bench = Bench::new();
    bench.gate.forget_permits(1_000);
    let (mut one, mut other) = (bench.process().await, bench.process().await);
    bench.clock.advance(HOUR);
    one.look().await;
    other.look().await;
    assert_eq!(bench.begun(), 1, "another process does not join in");
    for _ in 0..130 {
        // Longer than the lease and than the hour: each look renews.
        bench.clock.advance(WATCHDOG_INTERVAL);
        one.look().await;
        other.look().await;
    }
    assert_eq!(bench.begun(), 1, "the next due time waits for the run to end");
    bench.gate.add_permits(2);
    settle(&mut one).await;
    look_through(&mut other).await;
    assert_eq!(bench.begun(), 2, "and is made up for then");
}

#[tokio::test]
async fn a_failure_and_a_panic_are_recorded_and_the_job_goes_on() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    let outcomes: [(Outcome, Option<&str>); 3] = [
        (|| Err("disk\0full".into()), Some("disk\u{FFFD}full")),
        (|| panic!("a broken invariant"), Some("a broken invariant")),
        (|| Ok(()), None),
    ];
    for (outcome, expected) in outcomes {
        *bench.outcome.lock().expect("not poisoned") = outcome;
        bench.clock.advance(HOUR);
        look_through(&mut process).await;
        let error = bench.record().await.last_error;
        match expected {
            Some(text) => assert!(error.as_ref().is_some_and(|e| e.contains(text)), "{error:?}"),
            None => assert_eq!(error, None),
        }
    }
    let record = bench.record().await;
    assert_eq!((record.runs, record.failures), (3, 2));
}

#[tokio::test]
async fn a_run_that_its_process_did_not_survive_is_counted_and_not_repeated() {
    let bench = Bench::new();
    bench.gate.forget_permits(1_000);
    let mut killed = bench.process().await;
    bench.clock.advance(HOUR);
    killed.look().await;
    drop(killed);
    bench.gate.add_permits(10);
    let mut restarted = bench.process().await;
    bench.clock.advance(LEASE);
    look_through(&mut restarted).await;
    assert_eq!(bench.begun(), 1, "its due time has been used up");
    bench.clock.advance(HOUR);
    look_through(&mut restarted).await;
    let record = bench.record().await;
    assert_eq!((bench.begun(), record.runs, record.failures), (2, 2, 1));
}

#[tokio::test]
async fn an_end_that_the_database_did_not_take_is_recorded_later() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    bench.clock.advance(HOUR);
    process.look().await;
    bench.port.refuse.store(1, Ordering::SeqCst);
    settle(&mut process).await;
    assert_eq!(bench.record().await.runs, 0);
    look_through(&mut process).await;
    assert_eq!((bench.record().await.runs, bench.begun()), (1, 1));
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_is_recorded_once() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    bench.clock.advance(HOUR);
    process.look().await;
    bench.port.lose.store(1, Ordering::SeqCst);
    settle(&mut process).await;
    assert_eq!(process.unrecorded.len(), 1);
    look_through(&mut process).await;
    assert_eq!((bench.record().await.runs, process.unrecorded.len()), (1, 0));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_run_all_the_same() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    bench.clock.advance(HOUR);
    bench.port.lose.store(1, Ordering::SeqCst);
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 0, "we cannot know that it is ours");
    look_through(&mut process).await;
    look_through(&mut process).await;
    let record = bench.record().await;
    assert_eq!((bench.begun(), record.runs, record.failures), (1, 1, 0));
}

#[tokio::test]
async fn a_due_time_stays_due_while_the_database_is_away() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    bench.clock.advance(HOUR);
    bench.port.refuse.store(1, Ordering::SeqCst);
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 0);
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 1);
}

#[tokio::test]
async fn a_clock_set_back_over_a_due_time_does_not_run_it_again() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    bench.clock.advance(HOUR);
    look_through(&mut process).await;
    bench.clock.set(START.plus(HOUR - Duration::from_secs(2)));
    look_through(&mut process).await;
    bench.clock.advance(Duration::from_secs(3));
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 1);
}

#[tokio::test]
async fn a_clock_that_was_a_year_ahead_does_not_stop_the_job_for_a_year() {
    let bench = Bench::new();
    let mut process = bench.process().await;
    bench.clock.set(START.plus(HOUR * 24 * 365));
    look_through(&mut process).await;
    bench.clock.advance(HOUR);
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 2);
    bench.clock.set(START);
    look_through(&mut process).await;
    bench.clock.advance(HOUR);
    look_through(&mut process).await;
    assert_eq!(bench.begun(), 3);
    assert_eq!(bench.record().await.last_due, Some(START.plus(HOUR)));
}

#[test]
fn what_to_do_follows_from_row_calendar_and_time() {
    let calendar = Calendar::parse(HOURLY, START).expect("hourly");
    let record = JobRecord {
        name: "job".to_owned(),
        schedule: HOURLY.to_owned(),
        next_due: START,
        last_due: None,
        last_started: None,
        last_finished: None,
        last_error: None,
        last_late: false,
        runs: 0,
        failures: 0,
        lease: None,
    };
    let lease = |until| Some(Lease { runner: "other".to_owned(), until });
    let run = |late| Decision::Run { due: START, next_due: START.plus(HOUR), late };
    let second = Duration::from_secs(1);
    let check = |record: JobRecord, now: Timestamp, expected: Decision| {
        assert_eq!(decide(&record, &calendar, now), expected, "at {now}: {record:?}");
    };
    check(record.clone(), START.minus(second), Decision::Wait);
    check(record.clone(), START, run(false));
    check(record.clone(), START.plus(LATE_AFTER), run(false));
    check(record.clone(), START.plus(LATE_AFTER + second), run(true));
    check(JobRecord { lease: lease(START.plus(second)), ..record.clone() }, START, Decision::Wait);
    check(JobRecord { lease: lease(START), ..record.clone() }, START, run(false));
    let ahead = JobRecord { next_due: START.plus(HOUR * 9), ..record };
    check(ahead.clone(), START, Decision::Move { from: START.plus(HOUR * 9), to: START.plus(HOUR) });
    check(JobRecord { last_due: Some(START.plus(HOUR * 8)), ..ahead }, START, Decision::Wait);
}

#[tokio::test]
async fn a_row_that_was_removed_comes_back() {
    let bench = Bench::new();
    let mut process = Rounds::new(bench.jobs(HOURLY));
    look_through(&mut process).await;
    assert_eq!(bench.record().await.next_due, START.plus(HOUR));
}

#[test]
fn a_job_is_registered_once_and_with_a_calendar() {
    let bench = Bench::new();
    let mut jobs = bench.jobs(HOURLY);
    let twice = jobs.register("job", HOURLY, || async { Ok(()) }).expect_err("the name is taken");
    assert_eq!(twice.to_string(), "job job is registered twice");
    let bad = jobs.register("other", "hourly", || async { Ok(()) }).expect_err("no calendar");
    assert!(bad.to_string().starts_with("job other: \"hourly\" is not a calendar"), "{bad}");
    assert_eq!(format!("{jobs:?}"), "[(\"job\", \"0 0 * * * *\")]");
}

#[test]
fn an_error_is_kept_with_its_causes_and_within_bounds() {
    #[derive(Debug, thiserror::Error)]
    #[error("backup failed")]
    struct Outer(#[source] std::io::Error);
    assert_eq!(error_text(&Outer(std::io::Error::other("no space"))), "backup failed: no space");
    assert_eq!(error_text(&std::io::Error::other("é".repeat(5_000))).chars().count(), ERROR_CHARS_MAX);
}

/// Waits until a condition holds; a test that hangs here has failed.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The loop in a task, and the switch that ends it.
fn spawn_loop(set: &mut JoinSet<Result<(), Error>>, jobs: Jobs) -> CancellationToken {
    let stop = CancellationToken::new();
    set.spawn(jobs.run(stop.clone()));
    stop
}

#[tokio::test]
async fn the_watchdog_runs_a_job_that_the_scheduler_forgot() {
    let bench = Bench::new();
    // The scheduler counts in the machine's time and will not wake us for a clock that we moved.
    let jobs = Jobs { watchdog_interval: Duration::from_millis(5), ..bench.jobs("0 0 0 1 1 *") };
    let mut set = JoinSet::new();
    let stop = spawn_loop(&mut set, jobs);
    until(|| bench.port.memory.jobs_now() == 1).await;
    bench.clock.advance(HOUR * 24 * 366);
    until(|| bench.begun() == 1).await;
    stop.cancel();
    set.join_next().await.expect("one task").expect("no panic").expect("a clean stop");
    assert_eq!(bench.record().await.runs, 1);
}

#[tokio::test]
async fn the_scheduler_wakes_the_loop_between_two_looks_of_the_watchdog() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    let mut jobs = Jobs::new(Arc::new(Memory::new()), Arc::new(SystemClock::new()));
    jobs.watchdog_interval = HOUR;
    let work = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(()))
    };
    jobs.register("every second", "* * * * * *", work).expect("a good calendar");
    let mut set = JoinSet::new();
    let stop = spawn_loop(&mut set, jobs);
    until(|| begun.load(Ordering::SeqCst) >= 2).await;
    stop.cancel();
    set.join_next().await.expect("one task").expect("no panic").expect("a clean stop");
}

#[tokio::test]
async fn a_stop_waits_for_a_running_job_and_records_one_that_it_had_to_end() {
    for (permits, expected) in [(1, None), (0, Some("stopped before it ended"))] {
        let bench = Bench::new();
        bench.gate.forget_permits(1_000);
        let jobs = Jobs {
            watchdog_interval: Duration::from_millis(5),
            // Without a permit the job would never end; with one it must be waited for.
            stop_wait: if permits == 0 { Duration::ZERO } else { HOUR },
            ..bench.jobs(HOURLY)
        };
        let mut set = JoinSet::new();
        let stop = spawn_loop(&mut set, jobs);
        until(|| bench.port.memory.jobs_now() == 1).await;
        bench.clock.advance(HOUR);
        until(|| bench.begun() == 1).await;
        stop.cancel();
        bench.gate.add_permits(permits);
        set.join_next().await.expect("one task").expect("no panic").expect("a clean stop");
        let record = bench.record().await;
        assert_eq!((record.runs, record.last_error.as_deref(), record.lease), (1, expected, None));
    }
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_the_loops_error() {
    let bench = Bench::new();
    bench.port.refuse.store(1, Ordering::SeqCst);
    let error = bench.jobs(HOURLY).run(CancellationToken::new()).await.expect_err("the supervisor starts it again");
    assert!(matches!(error, Error::Port(PortError::Unavailable(_))), "{error}");
}
