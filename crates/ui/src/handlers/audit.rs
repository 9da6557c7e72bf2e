//! `/settings/audit`: the log of deeds, filtered and a page at a time.

use auth::audit::{AuditFilter as Filter, AuditRecord, AuditResult, Deed};
use axum::extract::{Query, State};
use axum::response::Response;
use model::time::Timestamp;
use serde::Deserialize;

use super::App;
use super::frame::Frame;
use super::{refusal, times};
use crate::form::Choice;
use crate::pages::audit::{AuditFilter, AuditList, AuditPage, AuditRow, Outcome};

/// Rows of a page.
const ROWS: u32 = 50;

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    actor: String,
    action: String,
    result: String,
    from: String,
    to: String,
    before: String,
}

/// `GET /settings/audit`
pub(super) async fn show(State(app): State<App>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    let (list, older, problem) = match filter(&asked) {
        Err(problem) => (AuditList::Rows(Vec::new()), None, Some(problem)),
        Ok(filter) => match app.identity.audit(&frame.caller, &filter).await {
            Ok(page) => {
                let older = page.next.map(|next| address(&asked, &next.to_string()));
                (AuditList::Rows(page.items.into_iter().map(row).collect()), older, None)
            }
            Err(error) => (AuditList::Failed(refusal::words(&error)), None, None),
        },
    };
    let newer = (!asked.before.is_empty()).then(|| address(&asked, ""));
    let view = AuditPage { filter: shown(&asked, problem), list, older, newer };
    frame.show(view.render(&frame.shell))
}

fn filter(asked: &Asked) -> Result<Filter, String> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let result = match asked.result.as_str() {
        "" => None,
        "ok" => Some(AuditResult::Ok),
        "refused" => Some(AuditResult::Refused),
        "failed" => Some(AuditResult::Failed),
        _ => return Err("The result is one of ok, refused and failed.".to_owned()),
    };
    let before = match asked.before.as_str() {
        "" => None,
        number => Some(number.parse().map_err(|_| "The link to this page is damaged.".to_owned())?),
    };
    Ok(Filter {
        who: some(&asked.actor),
        what: some(&asked.action),
        result,
        object: None,
        from: time(&asked.from)?,
        to: time(&asked.to)?,
        before,
        limit: ROWS,
    })
}

/// `2026-11-20`, with or without a time of day; UTC.
fn time(text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let full = match text.split_once([' ', 'T']) {
        None => format!("{text}T00:00:00Z"),
        Some((day, clock)) if clock.len() == 5 => format!("{day}T{clock}:00Z"),
        Some((day, clock)) => format!("{day}T{}Z", clock.trim_end_matches('Z')),
    };
    Timestamp::parse(&full).map(Some).ok_or_else(|| "A time looks like 2026-11-20 or 2026-11-20 10:00.".to_owned())
}

/// This page with another place to begin.
fn address(asked: &Asked, before: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("actor", asked.actor.as_str()),
        ("action", &asked.action),
        ("result", &asked.result),
        ("from", &asked.from),
        ("to", &asked.to),
        ("before", before),
    ] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    format!("/settings/audit?{}", query.finish())
}

fn shown(asked: &Asked, problem: Option<String>) -> AuditFilter {
    let choice = |value: &str, label: &str, chosen: &str| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        note: String::new(),
        chosen: value == chosen,
    };
    let mut actions = vec![choice("", "every action", &asked.action)];
    actions.extend(auth::audit::ACTIONS.iter().map(|action| choice(action, action, &asked.action)));
    let results = [("", "every result"), ("ok", "done"), ("refused", "refused"), ("failed", "failed")];
    AuditFilter {
        actor: asked.actor.clone(),
        actions,
        results: results.iter().map(|(value, label)| choice(value, label, &asked.result)).collect(),
        from: asked.from.clone(),
        to: asked.to.clone(),
        problem,
        active: [&asked.actor, &asked.action, &asked.result, &asked.from, &asked.to]
            .iter()
            .any(|text| !text.is_empty()),
    }
}

fn row(record: AuditRecord) -> AuditRow {
    let Deed { at, actor_kind, actor, address, action, object, result, detail } = record.deed;
    AuditRow {
        time: times::clock(at),
        day: times::day(at),
        actor: if actor.is_empty() { actor_kind.clone() } else { actor },
        by: actor_kind,
        action,
        object,
        address,
        outcome: match result {
            AuditResult::Ok => Outcome::Done,
            AuditResult::Refused => Outcome::Refused,
            AuditResult::Failed => Outcome::Failed,
        },
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_lack_its_clock_and_its_seconds() {
        for (text, expected) in [
            ("", Ok(None)),
            ("2023-11-14", Ok(Some(1_699_920_000_000))),
            ("2023-11-14 22:13", Ok(Some(1_700_000_000_000 - 20_000))),
            ("2023-11-14T22:13:20Z", Ok(Some(1_700_000_000_000))),
            ("yesterday", Err(())),
            ("2023-13-01", Err(())),
        ] {
            assert_eq!(time(text).map_err(|_| ()), expected.map(|at| at.map(Timestamp)), "{text}");
        }
    }

    #[test]
    fn a_filter_survives_going_to_older_rows() {
        let asked = Asked { actor: "a&b=c".to_owned(), result: "ok".to_owned(), ..Asked::default() };
        assert_eq!(address(&asked, "7"), "/settings/audit?actor=a%26b%3Dc&result=ok&before=7");
    }
}
