//! `/`: what this server is, how it is, and what would make it more useful.

use appliance::health::{Report, Verdict};
use auth::account::User;
use auth::permit::Principal;
use auth::ports::Page;
use axum::extract::State;
use axum::response::Response;

use super::App;
use super::frame::Frame;
use super::times;
use crate::pages::Fact;
use crate::pages::home::{HomeLine, HomePage, NextStep, Signal};
use crate::shell::Freshness;
use crate::tone::Tone;

const MIB: f64 = 1_048_576.0;

/// `GET /`
pub(super) async fn show(State(app): State<App>, frame: Frame) -> Response {
    let report = app.health.full();
    let (tone, headline, summary) = headline(&report);
    let lines = lines(&app, &report);
    let me = app.identity.me(&frame.caller).await.ok();
    let view = HomePage {
        headline,
        tone,
        summary,
        freshness: Freshness { as_of: format!("as of {} UTC", times::clock(app.health.now())), stale: false },
        lines,
        coming_up: Vec::new(),
        next_steps: next_steps(&app, &frame, me.as_ref()).await,
        signals: signals(&app),
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

/// The worst there is, in a sentence.
fn headline(report: &Report) -> (Tone, String, String) {
    let up = times::span(std::time::Duration::from_secs(report.uptime));
    let worst = report.checks.iter().max_by_key(|(_, check)| check.status as u8);
    match worst {
        Some((part, check)) if check.status != Verdict::Pass => {
            let verb = if check.status == Verdict::Fail { "fails" } else { "needs a look" };
            (tone(check.status), format!("The {part} {verb}"), format!("It says: {}.", check.message))
        }
        _ => {
            let text = "Nothing is watched yet: scraping, alerts, errors and checks come with later versions.";
            (Tone::Ok, format!("All quiet for {up}"), text.to_owned())
        }
    }
}

/// What the server says about its own parts.
fn lines(app: &App, report: &Report) -> Vec<HomeLine> {
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
    lines
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

async fn next_steps(app: &App, frame: &Frame, me: Option<&User>) -> Vec<NextStep> {
    let mut steps = Vec::new();
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

fn signals(app: &App) -> Vec<Signal> {
    let signal = |name: &str, value: String, unit: &str, note: &str| Signal {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
        note: note.to_owned(),
        percent: None,
        tone: Tone::Info,
    };
    let mut signals = Vec::new();
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
            assert_eq!(headline(&report(&checks)).1, expected);
        }
    }
}
