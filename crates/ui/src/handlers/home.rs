//! `/`: what this server is, how it is, and what would make it more useful.

use appliance::health::{Report, Verdict};
use auth::account::User;
use auth::permit::Principal;
use auth::ports::Page;
use axum::extract::State;
use axum::response::Response;
use model::query::{PointValue, QueryOptions, Value};

use super::App;
use super::frame::Frame;
use super::{numbers, times};
use crate::pages::Fact;
use crate::pages::home::{HomeLine, HomePage, NextStep, Signal};
use crate::shell::Freshness;
use crate::tone::Tone;

const MIB: f64 = 1_048_576.0;
/// A page that is looked at all day waits no longer for a number.
const ASK_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// `GET /`
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    let report = app.health.full();
    let watched = Watched::ask(&app, &frame).await;
    let (tone, headline, summary) = headline(&report, &watched);
    let lines = lines(&app, &report, &watched);
    let me = app.identity.me(&frame.caller).await.ok();
    let view = HomePage {
        headline,
        tone,
        summary,
        freshness: Freshness { as_of: format!("as of {} UTC", times::clock(app.health.now())), stale: false },
        lines,
        coming_up: Vec::new(),
        next_steps: next_steps(&app, &frame, me.as_ref(), &watched).await,
        signals: signals(&app, &watched),
        facts: facts(&app, &report),
    };
    frame.show(view.render(&frame.shell))
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Ok,
        Verdict::Warn => Tone::Warning,
        Verdict::Fail => Tone::Critical,
    }
}

/// What is stored and how the targets are, as far as it can be known.
#[derive(Debug, Default)]
struct Watched {
    series: u64,
    /// Samples a second, lately where this server is scraped itself, else since its start.
    rate: f64,
    up: u64,
    down: u64,
}

impl Watched {
    async fn ask(app: &App, frame: &Frame) -> Self {
        let figures = app.metrics.figures(&frame.caller).unwrap_or_default();
        let figure = |name: &str| figures.iter().find(|figure| figure.name == name).map_or(0.0, |figure| figure.value);
        let uptime = app.health.now().since(app.facts.started).as_secs_f64().max(1.0);
        let since_start = figure("prometheus_tsdb_head_samples_appended_total") / uptime;
        let lately =
            number(app, frame, "sum(rate(prometheus_tsdb_head_samples_appended_total{job=\"watchpost\"}[5m]))");
        Self {
            series: figure("prometheus_tsdb_head_series") as u64,
            rate: lately.await.unwrap_or(since_start),
            up: number(app, frame, "count(up == 1)").await.unwrap_or_default() as u64,
            down: number(app, frame, "count(up == 0)").await.unwrap_or_default() as u64,
        }
    }

    fn targets(&self) -> u64 {
        self.up + self.down
    }

    /// "12,345 series, 820 samples a second, 13 of 14 targets up."
    fn summary(&self) -> String {
        if self.series == 0 {
            return "Nothing is stored yet: name a prometheus.yml, or send samples by remote write.".to_owned();
        }
        let targets = match self.targets() {
            0 => "no target is scraped".to_owned(),
            all => format!("{} of {} up", numbers::count(self.up), numbers::counted(all, "target", "targets")),
        };
        format!("{} series, {} samples a second, {targets}.", numbers::count(self.series), per_second(self.rate))
    }
}

/// A rate with as many digits as tell something.
fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { numbers::count(rate as u64) }
}

/// The one number a query comes to.
async fn number(app: &App, frame: &Frame, query: &str) -> Option<f64> {
    let options = QueryOptions { timeout: Some(ASK_TIME), ..QueryOptions::default() };
    let answer = app.metrics.instant(&frame.caller, query.to_owned(), app.health.now(), options).await.ok()?;
    let Value::Vector(samples) = answer.value else { return None };
    match samples.first()?.value {
        PointValue::Float(value) => Some(value),
        PointValue::Histogram(_) => None,
    }
}

/// The worst there is, in a sentence.
fn headline(report: &Report, watched: &Watched) -> (Tone, String, String) {
    let up = times::span(std::time::Duration::from_secs(report.uptime));
    let worst = report.checks.iter().max_by_key(|(_, check)| check.status as u8);
    match worst {
        Some((part, check)) if check.status != Verdict::Pass => {
            let verb = if check.status == Verdict::Fail { "fails" } else { "needs a look" };
            (tone(check.status), format!("The {part} {verb}"), format!("It says: {}.", check.message))
        }
        _ if watched.down > 0 => {
            let verb = if watched.down == 1 { "is" } else { "are" };
            let all = numbers::counted(watched.targets(), "target", "targets");
            (Tone::Down, format!("{} of {all} {verb} down", numbers::count(watched.down)), watched.summary())
        }
        _ => (Tone::Ok, format!("All quiet for {up}"), watched.summary()),
    }
}

/// What the server says about its own parts.
fn lines(app: &App, report: &Report, watched: &Watched) -> Vec<HomeLine> {
    let mut lines: Vec<HomeLine> = report
        .checks
        .iter()
        .map(|(part, check)| HomeLine {
            tone: tone(check.status),
            name: capital(part),
            text: check.message.clone(),
            note: String::new(),
            href: String::new(),
        })
        .collect();
    let status = app.reloader.status();
    let (tone, text) = match &status.refused {
        None => (Tone::Ok, "the configuration in force is the one in the files".to_owned()),
        Some(problems) => (Tone::Critical, format!("the last reload was refused: {} problems", problems.len())),
    };
    let note = format!("read {}", times::ago(status.at, app.health.now()));
    lines.push(HomeLine { tone, name: "Configuration".to_owned(), text, note, href: "/settings".to_owned() });
    let (tone, text) = match (watched.up, watched.down) {
        (0, 0) => (Tone::NoData, "none is scraped".to_owned()),
        (up, 0) => (Tone::Ok, format!("{} up", numbers::count(up))),
        (up, down) => (Tone::Down, format!("{} down, {} up", numbers::count(down), numbers::count(up))),
    };
    let note = String::new();
    lines.push(HomeLine { tone, name: "Targets".to_owned(), text, note, href: "/targets".to_owned() });
    let tone = if watched.series == 0 { Tone::NoData } else { Tone::Ok };
    let (text, note) = (format!("{} series", numbers::count(watched.series)), app.facts.retention.clone());
    let note = if note.is_empty() { note } else { format!("kept for {note}") };
    lines.push(HomeLine { tone, name: "Samples".to_owned(), text, note, href: "/status/tsdb".to_owned() });
    lines
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

async fn next_steps(app: &App, frame: &Frame, me: Option<&User>, watched: &Watched) -> Vec<NextStep> {
    let mut steps = metric_steps(app, watched);
    if let Some(me) = me {
        steps.push(NextStep {
            title: "Sign in with a second step".to_owned(),
            text: "A code from your phone protects your account even where the password is known.".to_owned(),
            action: Some(("Set it up".to_owned(), "/account/two-step".to_owned())),
            command: String::new(),
            done: me.second_factor,
        });
        let tokens = app.identity.tokens(&frame.caller, Some(me.id), Page { after: None, limit: 1 }).await;
        steps.push(NextStep {
            title: "Make an API token".to_owned(),
            text: "Scripts and other programs call this server with one.".to_owned(),
            action: Some(("Make one".to_owned(), "/account/tokens".to_owned())),
            command: String::new(),
            done: tokens.is_ok_and(|tokens| !tokens.items.is_empty()),
        });
    }
    let administers =
        matches!(&frame.caller.principal, Principal::User { role, .. } if *role == auth::permit::Role::Admin);
    if administers {
        let users = app.identity.users(&frame.caller, Page { after: None, limit: 2 }).await;
        steps.push(NextStep {
            title: "Let the team in".to_owned(),
            text: "Everybody gets an account of their own, and a role.".to_owned(),
            action: Some(("Add a user".to_owned(), "/settings/users/new".to_owned())),
            command: String::new(),
            done: users.is_ok_and(|users| users.items.len() > 1),
        });
    }
    if app.ca_certificate.is_some() {
        steps.push(NextStep {
            title: "Trust the certificate".to_owned(),
            text: "This server made its own authority. Browsers and programs that know it no longer warn.".to_owned(),
            action: Some(("Download it".to_owned(), "/ca.crt".to_owned())),
            command: String::new(),
            done: false,
        });
    }
    let files = &app.reloader.current().files;
    steps.push(NextStep {
        title: "Write a configuration".to_owned(),
        text: "Everything runs on defaults until there is a watchpost.yml; a mistake in it is named by line."
            .to_owned(),
        action: None,
        command: "watchpost check --config watchpost.yml".to_owned(),
        done: !files.is_empty(),
    });
    steps
}

/// How samples get here.
fn metric_steps(app: &App, watched: &Watched) -> Vec<NextStep> {
    let named = app.reloader.current().settings.prometheus.is_some();
    let scrape = NextStep {
        title: "Scrape what you have".to_owned(),
        text: "An existing prometheus.yml is read as it is; its targets appear under Status.".to_owned(),
        action: Some(("See the file".to_owned(), "/status/configuration".to_owned())),
        command: "watchpost --config.file=/etc/prometheus/prometheus.yml".to_owned(),
        done: named && watched.targets() > 0,
    };
    let send = NextStep {
        title: "Or have samples sent".to_owned(),
        text:
            "A Prometheus or an agent sends them by remote write to /api/v1/write, with a token that may write metrics."
                .to_owned(),
        action: Some(("Make a token".to_owned(), "/account/tokens".to_owned())),
        command: String::new(),
        // Series that no target explains came that way.
        done: watched.series > 0 && watched.targets() == 0,
    };
    vec![scrape, send]
}

fn signals(app: &App, watched: &Watched) -> Vec<Signal> {
    let signal = |name: &str, value: String, unit: &str, note: &str| Signal {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        note: note.to_owned(),
        percent: None,
        tone: Tone::Info,
    };
    let mut signals = Vec::new();
    if watched.series > 0 {
        signals.push(signal("Samples", per_second(watched.rate), "/s", "stored"));
        signals.push(signal("Series", numbers::count(watched.series), "", "in memory"));
    }
    if let Some(bytes) = app.registry.value("process_resident_memory_bytes") {
        signals.push(signal("Memory", format!("{:.0}", bytes / MIB), "MiB", "resident"));
    }
    if let Some(seconds) = app.registry.value("process_cpu_seconds_total") {
        signals.push(signal("Processor time", format!("{seconds:.1}"), "s", "since the start"));
    }
    if let Some(files) = app.registry.value("process_open_fds") {
        signals.push(signal("Open files", format!("{files:.0}"), "", "with sockets"));
    }
    signals
}

fn facts(app: &App, report: &Report) -> Vec<Fact> {
    let config = app.reloader.current();
    vec![
        Fact::new("Version", report.version),
        Fact::new("Up for", times::span(std::time::Duration::from_secs(report.uptime))),
        Fact::new("Data folder", config.settings.storage.path.value.display().to_string()),
        Fact::new("Metadata", config.settings.storage.metadata.shown()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use appliance::health::Check;

    use super::*;

    fn report(checks: &[(&'static str, Verdict)]) -> Report {
        let check = |status| Check { status, message: "so it is".to_owned(), response_time_ms: 0 };
        let checks: BTreeMap<&'static str, Check> =
            checks.iter().map(|(part, status)| (*part, check(*status))).collect();
        Report { status: "", timestamp: String::new(), service: "watchpost", version: "0", uptime: 7_200, checks }
    }

    #[test]
    fn the_headline_is_the_worst_there_is() {
        use Verdict::{Fail, Pass, Warn};
        for (checks, expected) in [
            (vec![("store", Pass)], "All quiet for 2 hours"),
            (vec![("store", Pass), ("certificate", Warn)], "The certificate needs a look"),
            (vec![("store", Fail), ("certificate", Warn)], "The store fails"),
            (vec![], "All quiet for 2 hours"),
        ] {
            assert_eq!(headline(&report(&checks), &Watched::default()).1, expected);
        }
    }

    #[test]
    fn the_summary_says_what_is_stored_and_how_the_targets_are() {
        let nothing = Watched::default();
        assert!(nothing.summary().starts_with("Nothing is stored yet"));
        let some = Watched { series: 12_345, rate: 820.4, up: 13, down: 1 };
        assert_eq!(some.summary(), "12,345 series, 820 samples a second, 13 of 14 targets up.");
        let sent = Watched { series: 1, rate: 0.25, up: 0, down: 0 };
        assert_eq!(sent.summary(), "1 series, 0.2 samples a second, no target is scraped.");
        let (tone, text, _) = headline(&report(&[("store", Verdict::Pass)]), &some);
        assert_eq!((tone, text.as_str()), (Tone::Down, "1 of 14 targets is down"));
    }
}
