//! `/targets`, relabelling step by step, a scrape on trial, and `/service-discovery`.

use appliance::targets::{self, State as TargetState, Step, Target, TargetsError, Trial};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::time::{Timestamp, format_duration};
use serde::Deserialize;

use super::frame::{Frame, Posted};
use super::{App, numbers, refusal, times};
use crate::pages::Fact;
use crate::pages::targets::{
    Change, DiscoveryPage, Effect, Failure, Filter, FoundList, FoundPool, FoundRow, Labels, List, Pool, RelabelPage,
    StateTab, StepRow, TargetRow, TargetsPage, TrialPage,
};
use crate::shell::Freshness;
use crate::tone::Tone;

/// Rows of one job on a page; the filter finds the others.
const ROWS_MAX: usize = 200;
/// Lines of a trial that are shown.
const LINES_MAX: usize = 40;

/// The filter of both lists, and which target is meant.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    q: String,
    show: String,
    pool: String,
    target: String,
}

/// `GET /targets`
pub(super) async fn show(State(app): State<App>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    let now = app.clock.now();
    let pools = app.targets.pools(&frame.caller);
    let (headline, tone) = headline(pools.as_deref().unwrap_or_default());
    let list = match &pools {
        Err(error) => List::Failed(refusal::sentence(&error.to_string())),
        Ok(pools) if pools.is_empty() => List::Nothing,
        Ok(pools) => List::Pools(pools.iter().filter_map(|pool| shown(pool, &asked, now)).collect()),
    };
    let view = TargetsPage {
        headline,
        tone,
        freshness: Freshness { as_of: format!("as of {} UTC", times::clock(now)), stale: false },
        filter: filter(pools.as_deref().unwrap_or_default(), &asked),
        list,
    };
    frame.show(view.render(&frame.shell))
}

fn all(pools: &[targets::Pool]) -> impl Iterator<Item = &Target> {
    pools.iter().flat_map(|pool| &pool.targets)
}

fn count(pools: &[targets::Pool], state: TargetState) -> usize {
    all(pools).filter(|target| target.state == state).count()
}

fn headline(pools: &[targets::Pool]) -> (String, Tone) {
    let (total, down) = (all(pools).count(), count(pools, TargetState::Down));
    let waiting = count(pools, TargetState::Waiting);
    match (total, down) {
        (0, _) => ("No target.".to_owned(), Tone::Info),
        (_, 0) if waiting == total => ("The first scrape of every target is still to come.".to_owned(), Tone::Info),
        (1, 0) => ("The one target is up.".to_owned(), Tone::Ok),
        (_, 0) if waiting > 0 => {
            (format!("{} of {total} are up, the others wait for their first scrape.", total - waiting), Tone::Ok)
        }
        (_, 0) => (format!("All {} are up.", numbers::count(total as u64)), Tone::Ok),
        (_, 1) => (format!("1 of {} is down.", numbers::count(total as u64)), Tone::Down),
        _ => (format!("{} of {} are down.", numbers::count(down as u64), numbers::count(total as u64)), Tone::Down),
    }
}

fn filter(pools: &[targets::Pool], asked: &Asked) -> Filter {
    let tab = |label: &str, value: &str, count: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("state", value), ("q", &asked.q)].into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        StateTab {
            label: label.to_owned(),
            count: numbers::count(count as u64),
            href: format!("/targets?{}", query.finish()).trim_end_matches('?').to_owned(),
            current: asked.state == value,
        }
    };
    let mut states = vec![
        tab("All", "", all(pools).count()),
        tab("Down", "down", count(pools, TargetState::Down)),
        tab("Up", "up", count(pools, TargetState::Up)),
    ];
    let waiting = count(pools, TargetState::Waiting);
    if waiting > 0 || asked.state == "waiting" {
        states.push(tab("Waiting", "waiting", waiting));
    }
    Filter { states, state: asked.state.clone(), text: asked.q.clone() }
}

const fn word(state: TargetState) -> (Tone, &'static str) {
    match state {
        TargetState::Up => (Tone::Ok, "up"),
        TargetState::Down => (Tone::Down, "down"),
        TargetState::Waiting => (Tone::NoData, "waiting"),
    }
}

/// Whether every word of the filter occurs somewhere.
fn fits<'a>(asked: &str, texts: impl Iterator<Item = &'a str>) -> bool {
    let text = texts.collect::<Vec<_>>().join(" ").to_lowercase();
    asked.split_whitespace().all(|word| text.contains(&word.to_lowercase()))
}

fn label_texts(labels: &model::labels::Labels) -> impl Iterator<Item = &str> {
    labels.iter().flat_map(|(name, value)| [name, value])
}

/// A job as the filter leaves it; `None` where nothing of it is left.
fn shown(pool: &targets::Pool, asked: &Asked, now: Timestamp) -> Option<Pool> {
    let wanted = |target: &&Target| {
        let texts = [pool.name.as_str(), target.url.as_str()].into_iter().chain(label_texts(&target.labels));
        (asked.state.is_empty() || word(target.state).1 == asked.state) && fits(&asked.q, texts)
    };
    let rows: Vec<&Target> = pool.targets.iter().filter(wanted).collect();
    let unfiltered = asked.state.is_empty() && fits(&asked.q, std::iter::once(pool.name.as_str()));
    if rows.is_empty() && !unfiltered {
        return None;
    }
    let up = pool.targets.iter().filter(|target| target.state == TargetState::Up).count();
    Some(Pool {
        name: pool.name.clone(),
        summary: format!("{} of {} up", numbers::count(up as u64), numbers::count(pool.targets.len() as u64)),
        down: pool.targets.iter().any(|target| target.state == TargetState::Down),
        place: place(pool),
        problem: pool.problem.clone().unwrap_or_default(),
        all: if rows.len() > ROWS_MAX { numbers::count(rows.len() as u64) } else { String::new() },
        rows: rows.into_iter().take(ROWS_MAX).map(|target| row(&pool.name, target, now)).collect(),
    })
}

/// "prometheus.yml:31 · every 15s"
fn place(pool: &targets::Pool) -> String {
    format!("{} · every {}", pool.place, format_duration(pool.interval))
}

fn row(pool: &str, target: &Target, now: Timestamp) -> TargetRow {
    let (tone, state) = word(target.state);
    // The job stands above the rows already.
    let labels = pairs(&target.labels).into_iter().filter(|(name, value)| name != "job" || value != pool).collect();
    TargetRow {
        pool: pool.to_owned(),
        id: target.id.clone(),
        tone,
        state: state.to_owned(),
        url: target.url.clone(),
        labels,
        last: target.last_scrape.map_or_else(|| "never".to_owned(), |at| times::ago(at, now)),
        took: if target.last_scrape.is_some() { numbers::took(target.took) } else { String::new() },
        samples: if target.last_scrape.is_some() { numbers::count(target.samples) } else { String::new() },
        relabel_href: relabel_href(pool, &target.id),
        failure: target.failure.as_ref().map(|failure| failed(failure, target.last_good, now)),
    }
}

fn failed(failure: &targets::Failure, last_good: Option<Timestamp>, now: Timestamp) -> Failure {
    let good = match last_good {
        Some(at) => format!("The last good scrape was at {}, {}.", times::clock(at), times::ago(at, now)),
        None => "No scrape has gone well yet.".to_owned(),
    };
    let hint = refusal::sentence(&failure.hint);
    let cause = if hint.is_empty() { good } else { format!("{hint} {good}") };
    Failure { fact: refusal::sentence(&failure.fact), cause }
}

fn pairs(labels: &model::labels::Labels) -> Labels {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn relabel_href(pool: &str, id: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("pool", pool).append_pair("target", id);
    format!("/targets/relabel?{}", query.finish())
}

/// `GET /targets/relabel?pool=…&target=…`
pub(super) async fn relabel(State(app): State<App>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    let found = match app.targets.relabelling(&frame.caller, &asked.pool, &asked.target) {
        Ok(found) => found,
        Err(error) => return refused(&frame, &error),
    };
    let mut before = found.before.clone();
    let mut steps = Vec::new();
    for step in &found.steps {
        steps.push(step_row(&before, step));
        before = step.after.clone().unwrap_or(before);
    }
    let view =
        RelabelPage { pool: asked.pool, before: pairs(&found.before), steps, result: found.result.as_ref().map(pairs) };
    frame.show(view.render(&frame.shell))
}

fn step_row(before: &model::labels::Labels, step: &Step) -> StepRow {
    let changes = step.after.as_ref().map(|after| changes(before, after)).unwrap_or_default();
    let effect = match step.after {
        None => Effect::Dropped,
        Some(_) if changes.is_empty() => Effect::Nothing,
        Some(_) => Effect::Changed,
    };
    StepRow { place: step.place.clone(), rule: step.rule.clone(), changes, effect }
}

/// The labels that are not the same, by name.
fn changes(before: &model::labels::Labels, after: &model::labels::Labels) -> Vec<Change> {
    let names: std::collections::BTreeSet<&str> = before.iter().chain(after.iter()).map(|(name, _)| name).collect();
    let value = |labels: &model::labels::Labels, name: &str| labels.get(name).unwrap_or_default().to_owned();
    let change = |name: &str| Change { name: name.to_owned(), before: value(before, name), after: value(after, name) };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

/// `POST /targets/scrape`: stores nothing, so it answers with what it found instead of leading on.
pub(super) async fn scrape(State(app): State<App>, posted: Posted) -> Response {
    let Posted { frame, fields } = posted;
    let (pool, id) = (fields.get("pool"), fields.get("target"));
    match app.targets.scrape_now(&frame.caller, pool, id).await {
        Ok(trial) => {
            let view = TrialPage {
                pool: pool.to_owned(),
                id: id.to_owned(),
                failure: trial.failure.as_ref().map(|failure| Failure {
                    fact: refusal::sentence(&failure.fact),
                    cause: refusal::sentence(&failure.hint),
                }),
                facts: facts(&trial),
                first: trial.first.iter().take(LINES_MAX).cloned().collect(),
                url: trial.url,
            };
            frame.show(view.render(&frame.shell))
        }
        Err(error) => refused(&frame, &error),
    }
}

fn facts(trial: &Trial) -> Vec<Fact> {
    let mut facts = vec![Fact::new("Took", numbers::took(trial.took))];
    if !trial.content_type.is_empty() || trial.bytes > 0 {
        facts.push(Fact::new("Content type", &trial.content_type));
        facts.push(Fact::new("Body", numbers::bytes(trial.bytes)));
        facts.push(Fact::new("Samples", numbers::count(trial.samples)));
        facts.push(Fact::new("Kept by metric relabelling", numbers::count(trial.kept)));
    }
    facts
}

fn refused(frame: &Frame, error: &TargetsError) -> Response {
    let status = match error {
        TargetsError::Denied(_) => StatusCode::FORBIDDEN,
        TargetsError::NotFound => StatusCode::NOT_FOUND,
        TargetsError::Busy => StatusCode::CONFLICT,
    };
    frame.failed(status, &refusal::sentence(&error.to_string()))
}

/// `GET /service-discovery`
pub(super) async fn discovery(State(app): State<App>, frame: Frame, Query(asked): Query<Asked>) -> Response {
    let only_dropped = asked.show == "dropped";
    let list = match app.targets.pools(&frame.caller) {
        Err(error) => FoundList::Failed(refusal::sentence(&error.to_string())),
        Ok(pools) if pools.is_empty() => FoundList::Nothing,
        Ok(pools) => FoundList::Pools(pools.iter().filter_map(|pool| found(pool, &asked.q, only_dropped)).collect()),
    };
    let view = DiscoveryPage { text: asked.q, only_dropped, list };
    frame.show(view.render(&frame.shell))
}

fn found(pool: &targets::Pool, text: &str, only_dropped: bool) -> Option<FoundPool> {
    let wanted =
        |labels: &model::labels::Labels| fits(text, std::iter::once(pool.name.as_str()).chain(label_texts(labels)));
    let kept =
        pool.targets.iter().filter(|target| !only_dropped && wanted(&target.discovered)).map(|target| FoundRow {
            discovered: pairs(&target.discovered),
            labels: pairs(&target.labels),
            dropped: String::new(),
            relabel_href: relabel_href(&pool.name, &target.id),
        });
    let dropped = pool.dropped.iter().filter(|dropped| wanted(&dropped.discovered)).map(|dropped| FoundRow {
        discovered: pairs(&dropped.discovered),
        labels: Vec::new(),
        dropped: if dropped.reason.is_empty() { "by relabelling".to_owned() } else { dropped.reason.clone() },
        relabel_href: relabel_href(&pool.name, &dropped.id),
    });
    let rows: Vec<FoundRow> = kept.chain(dropped).collect();
    if rows.is_empty() && (only_dropped || !text.is_empty()) {
        return None;
    }
    Some(FoundPool {
        name: pool.name.clone(),
        summary: format!(
            "{} kept, {} dropped",
            numbers::count(pool.targets.len() as u64),
            numbers::count(pool.dropped_total)
        ),
        place: pool.place.clone(),
        problem: pool.problem.clone().unwrap_or_default(),
        all: if rows.len() > ROWS_MAX { numbers::count(rows.len() as u64) } else { String::new() },
        rows: rows.into_iter().take(ROWS_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use model::labels::Labels as Set;

    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn target(instance: &str, state: TargetState) -> Target {
        Target {
            id: instance.to_owned(),
            url: format!("http://{instance}/metrics"),
            state,
            labels: Set::from_pairs([("job", "api"), ("instance", instance)]),
            discovered: Set::from_pairs([("__address__", instance)]),
            last_scrape: (state != TargetState::Waiting).then_some(Timestamp(NOW.0 - 4_000)),
            took: Duration::from_millis(11),
            samples: 1_840,
            failure: (state == TargetState::Down).then(|| targets::Failure {
                fact: "connection refused".to_owned(),
                hint: "the host answers, nothing listens on port 80".to_owned(),
            }),
            last_good: None,
        }
    }

    fn pool(targets: Vec<Target>) -> targets::Pool {
        targets::Pool {
            name: "api".to_owned(),
            place: "prometheus.yml:9".to_owned(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            problem: None,
            targets,
            dropped: vec![targets::Dropped {
                id: "d".to_owned(),
                discovered: Set::from_pairs([("__address__", "c:80")]),
                reason: "drop by relabel_configs 1".to_owned(),
            }],
            dropped_total: 1_027,
        }
    }

    #[test]
    fn the_sentence_counts_what_is_down() {
        use TargetState::{Down, Up, Waiting};
        for (states, expected, tone) in [
            (vec![], "No target.", Tone::Info),
            (vec![Up], "The one target is up.", Tone::Ok),
            (vec![Up, Up], "All 2 are up.", Tone::Ok),
            (vec![Up, Waiting], "1 of 2 are up, the others wait for their first scrape.", Tone::Ok),
            (vec![Waiting], "The first scrape of every target is still to come.", Tone::Info),
            (vec![Up, Down], "1 of 2 is down.", Tone::Down),
            (vec![Down, Down, Up], "2 of 3 are down.", Tone::Down),
        ] {
            let pools = [pool(states.into_iter().map(|state| target("a", state)).collect())];
            assert_eq!(headline(&pools), (expected.to_owned(), tone));
        }
    }

    #[test]
    fn the_filter_keeps_what_has_all_its_words_and_its_state() {
        let pool = pool(vec![target("a:80", TargetState::Up), target("b:80", TargetState::Down)]);
        let rows = |state: &str, q: &str| {
            let asked = Asked { state: state.to_owned(), q: q.to_owned(), ..Asked::default() };
            shown(&pool, &asked, NOW).map(|pool| pool.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>())
        };
        assert_eq!(rows("", ""), Some(vec!["a:80".to_owned(), "b:80".to_owned()]));
        assert_eq!(rows("down", ""), Some(vec!["b:80".to_owned()]));
        assert_eq!(rows("", "API instance A:"), Some(vec!["a:80".to_owned()]));
        assert_eq!(rows("up", "b:80"), None);
        let shown = shown(&pool, &Asked::default(), NOW).unwrap();
        assert_eq!(
            (shown.summary.as_str(), shown.down, shown.place.as_str()),
            ("1 of 2 up", true, "prometheus.yml:9 · every 15s")
        );
        let failure = shown.rows[1].failure.as_ref().unwrap();
        assert_eq!(failure.fact, "Connection refused.");
        assert_eq!(failure.cause, "The host answers, nothing listens on port 80. No scrape has gone well yet.");
        assert_eq!(shown.rows[0].labels, [("instance".to_owned(), "a:80".to_owned())], "the job is said above");
    }

    #[test]
    fn a_rule_is_shown_by_the_labels_it_changed() {
        let before = Set::from_pairs([("a", "1"), ("b", "2"), ("c", "3")]);
        let step = |after: Option<Set>| Step { rule: String::new(), place: String::new(), after };
        let row = step_row(&before, &step(Some(Set::from_pairs([("a", "1"), ("b", "x"), ("d", "4")]))));
        let changes: Vec<_> =
            row.changes.iter().map(|c| (c.name.as_str(), c.before.as_str(), c.after.as_str())).collect();
        assert_eq!(changes, [("b", "2", "x"), ("c", "3", ""), ("d", "", "4")]);
        assert_eq!(row.effect, Effect::Changed);
        assert_eq!(step_row(&before, &step(Some(before.clone()))).effect, Effect::Nothing);
        assert_eq!(step_row(&before, &step(None)).effect, Effect::Dropped);
    }

    #[test]
    fn what_was_dropped_is_found_with_its_reason() {
        let pool = pool(vec![target("a:80", TargetState::Up)]);
        let all = found(&pool, "", false).unwrap();
        assert_eq!((all.summary.as_str(), all.rows.len()), ("1 kept, 1,027 dropped", 2));
        let dropped = found(&pool, "c:80", true).unwrap();
        assert_eq!(dropped.rows[0].dropped, "drop by relabel_configs 1");
        assert!(found(&pool, "nowhere", false).is_none());
    }

    #[test]
    fn a_tab_keeps_the_words_of_the_filter() {
        let asked = Asked { state: "down".to_owned(), q: "a&b".to_owned(), ..Asked::default() };
        let filter = filter(&[pool(vec![target("a", TargetState::Up)])], &asked);
        assert_eq!(filter.states[0].href, "/targets?q=a%26b");
        assert_eq!((filter.states[1].href.as_str(), filter.states[1].current), ("/targets?state=down&q=a%26b", true));
    }
}
