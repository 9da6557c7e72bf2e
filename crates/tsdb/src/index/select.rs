//! Matchers to a set of series.
//!
//! With P the series that have the label and M those of them whose value the pattern matches, every matcher is one of
//! M, P \ M, all \ M, all \ (P \ M), since a missing label is the empty value. Cheap and narrow ones come first,
//! the others then look only at what is left.

use model::matcher::{MatchOp, Matcher};

use crate::error::TsdbError;
use crate::index::pattern::{Prepared, Shape};
use crate::index::{Decision, Ids, IdsBuilder, IndexRead};

/// Matchers prepared once for any number of indexes.
pub struct Selector {
    matchers: Vec<Prepared>,
}

impl Selector {
    #[must_use]
    pub fn new(matchers: &[Matcher]) -> Self {
        let mut matchers: Vec<Prepared> = matchers.iter().map(Prepared::new).collect();
        matchers.sort_by_key(effort);
        Self { matchers }
    }

    /// Whether a label set passes: the same question, asked of one series.
    pub fn passes<'v>(&self, mut value_of: impl FnMut(&str) -> &'v str) -> bool {
        self.matchers.iter().all(|prepared| prepared.matcher.matches(value_of(&prepared.matcher.name)))
    }
}

/// What a matcher costs and narrows, roughly: what names single values comes first, what excludes comes last.
fn effort(prepared: &Prepared) -> u8 {
    let excludes = prepared.matcher.matches_empty();
    let work = match &prepared.shape {
        None => 0,
        Some(Shape::Set(_)) => 1,
        Some(Shape::Prefix(_)) => 2,
        Some(Shape::Anything | Shape::NonEmpty) => 3,
        Some(Shape::BeginsWith(_)) => 4,
        Some(Shape::Contains(_)) => 5,
    };
    work + if excludes { 8 } else { 0 }
}

/// The series of `index` that pass all matchers.
pub fn select(index: &dyn IndexRead, matchers: &[Matcher]) -> Result<Ids, TsdbError> {
    select_prepared(index, &Selector::new(matchers))
}

/// As [`select`], with matchers prepared before.
pub fn select_prepared(index: &dyn IndexRead, selector: &Selector) -> Result<Ids, TsdbError> {
    let mut found: Option<Ids> = None;
    for prepared in &selector.matchers {
        let name = &*prepared.matcher.name;
        let (negated, empty_matches) = empty_semantics(prepared);
        if !negated && !empty_matches {
            let matching = matching(index, prepared, found.as_ref())?;
            narrow(&mut found, matching);
        } else if negated && empty_matches {
            let mut rest = index.present(name)?;
            rest -= matching(index, prepared, found.as_ref())?;
            narrow(&mut found, rest);
        } else if negated {
            let excluded = matching(index, prepared, found.as_ref())?;
            *found.get_or_insert_with(|| index.all()) -= excluded;
        } else {
            let mut excluded = index.present(name)?;
            excluded -= matching(index, prepared, found.as_ref())?;
            *found.get_or_insert_with(|| index.all()) -= excluded;
        }
        if found.as_ref().is_some_and(Ids::is_empty) {
            break;
        }
    }
    Ok(found.unwrap_or_else(|| index.all()))
}

/// Whether the matcher is a negation, and whether its pattern matches the empty value.
fn empty_semantics(prepared: &Prepared) -> (bool, bool) {
    let negated = matches!(prepared.matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
    (negated, prepared.matcher.matches_empty() != negated)
}

fn narrow(found: &mut Option<Ids>, by: Ids) {
    match found {
        Some(found) => *found &= by,
        None => *found = Some(by),
    }
}

/// M: the series with a value that the pattern matches, at least those of them in `within`.
fn matching(index: &dyn IndexRead, prepared: &Prepared, within: Option<&Ids>) -> Result<Ids, TsdbError> {
    let name = &*prepared.matcher.name;
    let mut ids = IdsBuilder::within(within);
    match &prepared.shape {
        // No series has an empty value.
        None if prepared.matcher.value.is_empty() => {}
        None => index.add_value(name, &prepared.matcher.value, &mut ids)?,
        Some(Shape::Set(values)) => {
            for value in values.iter().filter(|value| !value.is_empty()) {
                index.add_value(name, value, &mut ids)?;
            }
        }
        Some(Shape::Anything | Shape::NonEmpty) => return index.present(name),
        Some(Shape::Prefix(prefix)) => index.add_range(name, prefix, &mut within_prefix(prefix, |_| true), &mut ids)?,
        Some(Shape::Contains(_)) => {
            index.add_range(name, "", &mut within_prefix("", |value| prepared.pattern_matches(value)), &mut ids)?;
        }
        Some(Shape::BeginsWith(prefixes)) => {
            let everything = prefixes.iter().any(String::is_empty);
            if everything {
                prepared.expect_values(usize::MAX);
            }
            for prefix in prefixes {
                let mut decide = within_prefix(prefix, |value| prepared.pattern_matches(value));
                index.add_range(name, prefix, &mut decide, &mut ids)?;
            }
        }
    }
    Ok(ids.finish())
}

/// Values that begin with `prefix` are asked about; they stand together.
fn within_prefix<'p>(prefix: &'p str, passes: impl Fn(&str) -> bool + 'p) -> impl FnMut(&str) -> Decision + 'p {
    move |value| match value.starts_with(prefix) {
        true if passes(value) => Decision::Take,
        true => Decision::Skip,
        false => Decision::Stop,
    }
}
