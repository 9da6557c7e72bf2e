//! Whether the server lives, is ready and is well: what `/live`, `/ready` and `/health` answer.
//!
//! A part of the server registers a check and keeps its verdict current; asking never waits for anything.
//! Not here: who may see the details (`api`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::time::{Clock, Timestamp};
use serde::Serialize;

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Starting = 0,
    Ready = 1,
    Stopping = 2,
}

/// What a part of the server says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    /// It works, but somebody should look.
    Warn,
    Fail,
}

/// The last word of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub status: Verdict,
    pub message: String,
    /// How long the check took, in milliseconds.
    #[serde(rename = "responseTime")]
    pub response_time_ms: u64,
}

/// The whole, as `/health` shows it to those who may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub status: &'static str,
    pub timestamp: String,
    pub service: &'static str,
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime: u64,
    pub checks: BTreeMap<&'static str, Check>,
}

/// What anybody may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShortReport {
    pub status: &'static str,
    pub timestamp: String,
    pub service: &'static str,
}

/// The state of the server's health, shared by all who report and all who ask.
#[derive(Debug)]
pub struct Health {
    clock: Arc<dyn Clock>,
    started: Duration,
    version: &'static str,
    phase: AtomicU8,
    checks: RwLock<BTreeMap<&'static str, Check>>,
}

impl Health {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, version: &'static str) -> Self {
        let started = clock.monotonic();
        Self { clock, started, version, phase: AtomicU8::new(Phase::Starting as u8), checks: RwLock::default() }
    }

    /// Moves on; never back.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }

    /// Replaces what a part says about itself.
    pub fn report(&self, part: &'static str, check: Check) {
        self.checks.write().unwrap_or_else(PoisonError::into_inner).insert(part, check);
    }

    /// A part that has nothing to measure says just how it is.
    pub fn say(&self, part: &'static str, status: Verdict, message: impl Into<String>) {
        self.report(part, Check { status, message: message.into(), response_time_ms: 0 });
    }

    #[must_use]
    pub fn full(&self) -> Report {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
        Report {
            status: status(self.phase(), checks.values()),
            timestamp: self.now().to_string(),
            service: "watchpost",
            version: self.version,
            uptime: self.clock.monotonic().saturating_sub(self.started).as_secs(),
            checks,
        }
    }

    #[must_use]
    pub fn short(&self) -> ShortReport {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        let status = status(self.phase(), checks.values());
        ShortReport { status, timestamp: self.now().to_string(), service: "watchpost" }
    }

    /// The time by the clock that all reports use.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn status<'a>(phase: Phase, mut checks: impl Iterator<Item = &'a Check>) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Stopping => "stopping",
        Phase::Ready => {
            let worst = checks.try_fold("healthy", |worst, check| match check.status {
                Verdict::Pass => Ok(worst),
                Verdict::Warn => Ok("degraded"),
                Verdict::Fail => Err("unhealthy"),
            });
            worst.unwrap_or_else(|failed| failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use model::time::ManualClock;

    use super::*;

    fn health() -> (Arc<ManualClock>, Health) {
        let clock = Arc::new(ManualClock::at(Timestamp(1_704_067_200_000)));
        (Arc::clone(&clock), Health::new(clock, "1.2.3"))
    }

    #[test]
    fn the_worst_check_decides_once_the_server_is_ready() {
        let (_, health) = health();
        health.say("store", Verdict::Fail, "gone");
        assert_eq!(health.short().status, "starting");
        health.enter(Phase::Ready);
        assert_eq!(health.short().status, "unhealthy");
        health.say("store", Verdict::Warn, "slow");
        assert_eq!(health.short().status, "degraded");
        health.say("store", Verdict::Pass, "ok");
        assert_eq!(health.short().status, "healthy");
    }

    #[test]
    fn a_stopping_server_does_not_become_ready_again() {
        let (_, health) = health();
        health.enter(Phase::Stopping);
        health.enter(Phase::Ready);
        assert_eq!(health.phase(), Phase::Stopping);
    }

    #[test]
    fn the_report_has_the_shape_that_health_checkers_read() {
        let (clock, health) = health();
        health.enter(Phase::Ready);
        clock.advance(Duration::from_secs(3600));
        health.report("database", Check { status: Verdict::Pass, message: "ok".to_owned(), response_time_ms: 5 });
        let json = serde_json::to_value(health.full()).expect("plain data");
        let expected = serde_json::json!({
            "status": "healthy", "timestamp": "2024-01-01T01:00:00.000Z", "service": "watchpost", "version": "1.2.3",
            "uptime": 3600, "checks": {"database": {"status": "pass", "message": "ok", "responseTime": 5}},
        });
        assert_eq!(json, expected);
    }
}
