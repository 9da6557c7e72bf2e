//! The conformance suite of the ports: what every implementation must do, written once.
//!
//! [`fresh`] runs on an empty database; [`reopened`] on the same one after it was closed and opened again. A rule that
//! does not hold panics with the rule's words; an `Err` is the database's own.

use model::time::Timestamp;

use super::{Claim, Finish, Instance, InstancePort, JobRecord, JobsPort, Lease, PortError};

/// Every rule, on a database nobody has used.
pub async fn fresh(port: &(impl InstancePort + JobsPort)) -> Result<(), PortError> {
    an_instance_is_created_once(port).await?;
    a_job_is_scheduled_once_and_moves_with_its_schedule(port).await?;
    a_due_time_is_claimed_once(port).await?;
    a_held_job_is_not_claimed_and_a_lease_that_ran_out_is_taken_over(port).await?;
    only_the_holder_renews_and_finishes(port).await?;
    a_due_time_moves_only_from_where_it_was_seen(port).await?;
    what_is_not_there_is_not_changed(port).await?;
    texts_and_times_come_back_as_they_went(port).await?;
    jobs_are_listed_by_name(port).await
}

/// What [`fresh`] left is there after closing and opening.
pub async fn reopened(port: &(impl InstancePort + JobsPort)) -> Result<(), PortError> {
    let other = Instance { id: "third".to_owned(), created: Timestamp(3) };
    assert_eq!(port.instance(other).await?, first_instance(), "the instance survives");
    let kept = job(port, "claimed").await?;
    assert_eq!((kept.runs, kept.failures, kept.next_due), (2, 1, Timestamp(300)), "a job survives");
    assert_eq!(kept.last_error.as_deref(), Some("disk full"), "and how it ended");
    assert_eq!(job(port, "leased").await?.lease, Some(Lease { runner: "b".to_owned(), until: Timestamp(900) }));
    let known = port.schedule("scheduled", "weekly", Timestamp(7_777)).await?;
    assert_eq!(known.next_due, Timestamp(500), "a due time that passed while closed is still seen");
    Ok(())
}

fn first_instance() -> Instance {
    Instance { id: "0b6f6a4e-first".to_owned(), created: Timestamp(1_700_000_000_123) }
}

async fn an_instance_is_created_once(port: &impl InstancePort) -> Result<(), PortError> {
    assert_eq!(port.instance(first_instance()).await?, first_instance());
    let other = Instance { id: "second".to_owned(), created: Timestamp(2) };
    assert_eq!(port.instance(other).await?, first_instance(), "the first candidate stays");
    Ok(())
}

/// The one job of that name.
async fn job(port: &impl JobsPort, name: &str) -> Result<JobRecord, PortError> {
    let found = port.jobs().await?.into_iter().find(|job| job.name == name);
    found.ok_or_else(|| PortError::Internal(format!("the suite expects a job {name}")))
}

fn claim<'a>(name: &'a str, runner: &'a str, due: i64, now: i64) -> Claim<'a> {
    let (due, now) = (Timestamp(due), Timestamp(now));
    let next_due = Timestamp(due.millis() + 100);
    Claim { name, runner, due, next_due, now, lease_until: Timestamp(now.millis() + 50), late: false }
}

async fn a_job_is_scheduled_once_and_moves_with_its_schedule(port: &impl JobsPort) -> Result<(), PortError> {
    let first = port.schedule("scheduled", "daily", Timestamp(100)).await?;
    let expected = JobRecord {
        name: "scheduled".to_owned(),
        schedule: "daily".to_owned(),
        next_due: Timestamp(100),
        last_due: None,
        last_started: None,
        last_finished: None,
        last_error: None,
        last_late: false,
        runs: 0,
        failures: 0,
        lease: None,
    };
    assert_eq!(first, expected, "a new job has never run");
    assert_eq!(
        port.schedule("scheduled", "daily", Timestamp(200)).await?,
        expected,
        "the same schedule changes nothing"
    );
    let moved = port.schedule("scheduled", "weekly", Timestamp(500)).await?;
    assert_eq!((moved.schedule.as_str(), moved.next_due), ("weekly", Timestamp(500)), "another schedule, another time");
    Ok(())
}

async fn a_due_time_is_claimed_once(port: &impl JobsPort) -> Result<(), PortError> {
    port.schedule("claimed", "daily", Timestamp(100)).await?;
    assert!(!port.claim(&claim("claimed", "a", 99, 120)).await?, "another due time than the stored one");
    assert!(port.claim(&Claim { late: true, ..claim("claimed", "a", 100, 120) }).await?);
    let held = job(port, "claimed").await?;
    assert_eq!(held.lease, Some(Lease { runner: "a".to_owned(), until: Timestamp(170) }));
    assert_eq!((held.next_due, held.last_due), (Timestamp(200), Some(Timestamp(100))), "the due time moves on");
    assert_eq!((held.last_started, held.last_finished), (Some(Timestamp(120)), None));
    assert!(held.last_late);
    assert_eq!((held.runs, held.failures), (0, 0), "a run counts when it ends");
    assert!(!port.claim(&claim("claimed", "b", 100, 120)).await?, "that due time is taken");

    assert!(port.finish(&Finish { name: "claimed", runner: "a", at: Timestamp(130), error: None }).await?);
    let done = job(port, "claimed").await?;
    assert_eq!((done.runs, done.failures, done.lease, done.last_error), (1, 0, None, None));
    assert!(!port.claim(&claim("claimed", "b", 100, 140)).await?, "not even after it finished");

    assert!(port.claim(&claim("claimed", "b", 200, 210)).await?, "the next one is free");
    assert!(port.finish(&Finish { name: "claimed", runner: "b", at: Timestamp(220), error: Some("disk full") }).await?);
    let failed = job(port, "claimed").await?;
    assert_eq!((failed.runs, failed.failures, failed.last_error.as_deref()), (2, 1, Some("disk full")));
    assert!(!failed.last_late, "lateness is the last run's");
    Ok(())
}

async fn a_held_job_is_not_claimed_and_a_lease_that_ran_out_is_taken_over(
    port: &impl JobsPort,
) -> Result<(), PortError> {
    port.schedule("leased", "daily", Timestamp(100)).await?;
    assert!(port.claim(&claim("leased", "a", 100, 100)).await?);
    assert!(!port.claim(&claim("leased", "b", 200, 149)).await?, "a job never overlaps itself");
    assert!(port.claim(&claim("leased", "b", 200, 150)).await?, "the lease ran out at 150");
    let taken = job(port, "leased").await?;
    assert_eq!((taken.runs, taken.failures), (1, 1), "the run that was cut off failed");
    assert_eq!(taken.lease.map(|lease| lease.runner).as_deref(), Some("b"));
    Ok(())
}

async fn only_the_holder_renews_and_finishes(port: &impl JobsPort) -> Result<(), PortError> {
    assert!(!port.renew("leased", "a", Timestamp(800)).await?, "a lost it");
    assert!(!port.finish(&Finish { name: "leased", runner: "a", at: Timestamp(160), error: None }).await?);
    assert!(port.renew("leased", "b", Timestamp(900)).await?);
    let held = job(port, "leased").await?;
    assert_eq!(held.lease, Some(Lease { runner: "b".to_owned(), until: Timestamp(900) }));
    assert_eq!((held.runs, held.last_finished), (1, None), "nothing came from a");
    Ok(())
}

async fn a_due_time_moves_only_from_where_it_was_seen(port: &impl JobsPort) -> Result<(), PortError> {
    port.schedule("moved", "daily", Timestamp(100)).await?;
    assert!(!port.reschedule("moved", Timestamp(99), Timestamp(50)).await?);
    assert!(port.reschedule("moved", Timestamp(100), Timestamp(50)).await?);
    assert_eq!(job(port, "moved").await?.next_due, Timestamp(50));
    Ok(())
}

async fn what_is_not_there_is_not_changed(port: &impl JobsPort) -> Result<(), PortError> {
    assert!(!port.reschedule("nobody", Timestamp(1), Timestamp(2)).await?);
    assert!(!port.claim(&claim("nobody", "a", 1, 1)).await?);
    assert!(!port.renew("nobody", "a", Timestamp(1)).await?);
    assert!(!port.finish(&Finish { name: "nobody", runner: "a", at: Timestamp(1), error: None }).await?);
    assert!(!port.renew("moved", "a", Timestamp(1)).await?, "nobody holds it");
    Ok(())
}

async fn texts_and_times_come_back_as_they_went(port: &impl JobsPort) -> Result<(), PortError> {
    let name = "odd ' \" ; -- %_ \\ \u{1F980} \n";
    for at in [Timestamp::MIN, Timestamp(-1), Timestamp(0), Timestamp::MAX] {
        let stored = port.schedule(name, &at.millis().to_string(), at).await?;
        assert_eq!((stored.name.as_str(), stored.next_due), (name, at));
    }
    Ok(())
}

async fn jobs_are_listed_by_name(port: &impl JobsPort) -> Result<(), PortError> {
    // Capitals before small letters, as bytes go: a database's own collation would mix them.
    port.schedule("Zulu", "daily", Timestamp(1)).await?;
    let names: Vec<String> = port.jobs().await?.into_iter().map(|job| job.name).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    assert_eq!(names.len(), 6, "{names:?}");
    Ok(())
}
