//! The audit log: who did what, when, from where, to what, and how it ended.
//!
//! Invariant: a row's hash covers the row before it, so that a row changed or taken out afterwards breaks the chain
//! there ([`verify`]). Rows are only ever added.
//! Not here: which deeds are worth a row (`appliance`), the table and its refusal of changes (`store`).

use model::time::Timestamp;

use crate::random::sha256;

/// Characters kept of each text: some come from callers who are nobody yet.
pub const TEXT_CHARS_MAX: usize = 500;
/// What stands before the first row.
pub const CHAIN_START: [u8; 32] = [0; 32];

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditResult {
    Ok,
    /// It was not allowed, or the proof was wrong.
    Refused,
    /// It was allowed and did not work.
    Failed,
}

/// Every action that is written down, for whoever chooses among them.
pub const ACTIONS: [&str; 30] = [
    "login",
    "logout",
    "setup",
    "account.read",
    "audit.read",
    "audit.verify",
    "metrics.clean",
    "metrics.delete",
    "metrics.flush",
    "metrics.snapshot",
    "password.change",
    "recovery_codes.renew",
    "server.quit",
    "server.reload",
    "session.close",
    "session.close_others",
    "session.list",
    "token.create",
    "token.list",
    "token.revoke",
    "totp.begin",
    "totp.confirm",
    "totp.disable",
    "user.create",
    "user.delete",
    "user.list",
    "user.read",
    "user.reset_mfa",
    "user.reset_password",
    "user.update",
];

impl AuditResult {
    pub const ALL: [Self; 3] = [Self::Ok, Self::Refused, Self::Failed];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.as_str() == text)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    pub at: Timestamp,
    /// What did it: `user`, `token`, `operator`, `local`, `anonymous`.
    pub actor_kind: String,
    /// Its name, where it has one.
    pub actor: String,
    /// The caller's address; empty on the machine itself.
    pub address: String,
    /// `user.create`, `login`, …
    pub action: String,
    /// What it was done to: `user ann`.
    pub object: String,
    pub result: AuditResult,
    pub detail: String,
}

/// A deed with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// 1, 2, 3, … without gaps.
    pub sequence: i64,
    pub deed: Deed,
    pub hash: [u8; 32],
}

/// Which rows, newest first. What is `None` is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The actor's name, exactly.
    pub who: Option<String>,
    /// The action, exactly.
    pub what: Option<String>,
    pub object: Option<String>,
    pub result: Option<AuditResult>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Only rows before this one: the cursor.
    pub before: Option<i64>,
    pub limit: u32,
}

impl AuditFilter {
    /// Whether a row is asked for, whatever the cursor's page size.
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        let deed = &record.deed;
        self.who.as_ref().is_none_or(|who| *who == deed.actor)
            && self.what.as_ref().is_none_or(|what| *what == deed.action)
            && self.object.as_ref().is_none_or(|object| *object == deed.object)
            && self.result.is_none_or(|result| result == deed.result)
            && self.from.is_none_or(|from| deed.at >= from)
            && self.to.is_none_or(|to| deed.at < to)
            && self.before.is_none_or(|before| record.sequence < before)
    }
}

/// Where the chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log was changed at or before row {sequence}")]
pub struct Broken {
    pub sequence: i64,
}

/// The hash of a row: SHA-256 over the hash before it, its number and its fields, each with its length.
#[must_use]
pub fn chained(previous: &[u8; 32], sequence: i64, deed: &Deed) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(previous);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&deed.at.millis().to_be_bytes());
    let texts = [
        deed.actor_kind.as_str(),
        &deed.actor,
        &deed.address,
        &deed.action,
        &deed.object,
        deed.result.as_str(),
        &deed.detail,
    ];
    for text in texts {
        // With its length, so that no text can pass for the end of one and the beginning of the next.
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    sha256(&bytes)
}

/// Follows the chain over rows in order; answers the hash to go on from. `before` is the number and hash to begin after.
pub fn verify(before: (i64, [u8; 32]), records: &[AuditRecord]) -> Result<(i64, [u8; 32]), Broken> {
    let (mut sequence, mut hash) = before;
    for record in records {
        let next = sequence + 1;
        if record.sequence != next || record.hash != chained(&hash, next, &record.deed) {
            return Err(Broken { sequence: next });
        }
        (sequence, hash) = (next, record.hash);
    }
    Ok((sequence, hash))
}

/// A text as it is kept: bounded, and without the characters that a database or a terminal takes amiss.
#[must_use]
pub fn kept_text(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(action: &str, detail: &str) -> Deed {
        Deed {
            at: Timestamp(1_000),
            actor_kind: "user".to_owned(),
            actor: "ann".to_owned(),
            address: "192.0.2.1".to_owned(),
            action: action.to_owned(),
            object: "user bob".to_owned(),
            result: AuditResult::Ok,
            detail: detail.to_owned(),
        }
    }

    fn chain(len: i64) -> Vec<AuditRecord> {
        let mut hash = CHAIN_START;
        let rows = (1..=len).map(|sequence| {
            let deed = deed("user.create", &sequence.to_string());
            hash = chained(&hash, sequence, &deed);
            AuditRecord { sequence, deed, hash }
        });
        rows.collect()
    }

    #[test]
    fn a_whole_chain_holds_also_in_pieces() {
        let rows = chain(5);
        let middle = verify((0, CHAIN_START), &rows[..3]).expect("it holds");
        assert_eq!(verify(middle, &rows[3..]).map(|(sequence, _)| sequence), Ok(5));
        assert_eq!(verify((0, CHAIN_START), &[]), Ok((0, CHAIN_START)));
    }

    #[test]
    fn whatever_is_changed_taken_out_or_put_in_breaks_the_chain_there() {
        type Forgery = fn(&mut Vec<AuditRecord>);
        let changes: [(&str, Forgery, i64); 8] = [
            ("actor", |rows| rows[2].deed.actor = "eve".to_owned(), 3),
            ("time", |rows| rows[2].deed.at = Timestamp(1), 3),
            ("result", |rows| rows[2].deed.result = AuditResult::Failed, 3),
            ("hash", |rows| rows[2].hash[31] ^= 1, 3),
            (
                "moved text",
                |rows| {
                    rows[2].deed.object = "user bo".to_owned();
                    rows[2].deed.detail = "b3".to_owned();
                },
                3,
            ),
            ("removed", |rows| drop(rows.remove(2)), 3),
            ("swapped", |rows| rows.swap(1, 2), 2),
            ("repeated", |rows| rows.insert(2, rows[2].clone()), 4),
        ];
        for (what, change, at) in changes {
            let mut rows = chain(5);
            change(&mut rows);
            assert_eq!(verify((0, CHAIN_START), &rows), Err(Broken { sequence: at }), "{what}");
        }
    }

    #[test]
    fn texts_are_bounded_and_hold_no_control_characters() {
        assert_eq!(kept_text("a\0b\nc\u{1b}[31m"), "a\u{fffd}b\u{fffd}c\u{fffd}[31m");
        assert_eq!(kept_text(&"é".repeat(1 << 20)).chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn a_filter_asks_for_all_it_names() {
        let row = &chain(1)[0];
        let all = AuditFilter::default();
        assert!(all.matches(row));
        let who = |name: &str| AuditFilter { who: Some(name.to_owned()), ..AuditFilter::default() };
        assert!(who("ann").matches(row) && !who("an").matches(row));
        for (from, to, expected) in [(1_000, 1_001, true), (1_001, 2_000, false), (0, 1_000, false)] {
            let filter = AuditFilter { from: Some(Timestamp(from)), to: Some(Timestamp(to)), ..AuditFilter::default() };
            assert_eq!(filter.matches(row), expected, "{from} {to}");
        }
        assert!(!AuditFilter { before: Some(1), ..AuditFilter::default() }.matches(row));
        assert!(!AuditFilter { result: Some(AuditResult::Failed), ..AuditFilter::default() }.matches(row));
    }

    #[test]
    fn results_read_back() {
        for result in AuditResult::ALL {
            assert_eq!(AuditResult::parse(result.as_str()), Some(result));
        }
        assert_eq!(AuditResult::parse("OK"), None);
    }
}
