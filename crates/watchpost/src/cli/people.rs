//! The verbs of the host's administrator: `user` and `token`.

use std::path::PathBuf;

use auth::permit::{Role, Scope};

use super::{Args, Command, Given, UsageError};

/// Days a token lasts where nothing is said.
const TOKEN_DAYS: u32 = 365;

/// What is done, and to whose installation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct People {
    pub(crate) config: Option<PathBuf>,
    /// `--data`, which wins over the configuration.
    pub(crate) data: Option<String>,
    pub(crate) json: bool,
    pub(crate) deed: Deed,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    AddUser { name: String, role: Role, password_file: Option<PathBuf> },
    ListUsers,
    ResetPassword { name: String, password_file: Option<PathBuf> },
    ResetMfa { name: String },
    CreateToken { name: String, owner: String, scopes: Vec<Scope>, days: u32 },
    ListTokens,
    RevokeToken { id: i64 },
}

pub(super) const USER_HELP: &str = "\
usage: watchpost user add NAME [--role viewer|editor|admin] [--password-file FILE]
       watchpost user list [--json]
       watchpost user reset-password NAME [--password-file FILE]
       watchpost user reset-mfa NAME

Manages who may log in, beside a running server or without one. Without --password-file a password is
made, printed, and good for one day; it must then be changed. `-` reads it from standard input.
Each takes --config FILE and --data DIR, as `serve` does.
";

pub(super) const TOKEN_HELP: &str = "\
usage: watchpost token create NAME --owner USER --scope SCOPE [--scope SCOPE…] [--days 365]
       watchpost token list [--json]
       watchpost token revoke ID

Manages what programs call with. A new token is printed once.
Each takes --config FILE and --data DIR, as `serve` does.
";

/// Flags of either verb, as far as they were given.
#[derive(Default)]
struct Flags {
    config: Option<PathBuf>,
    data: Option<String>,
    json: bool,
    role: Option<Role>,
    password_file: Option<PathBuf>,
    owner: Option<String>,
    scopes: Vec<Scope>,
    days: Option<u32>,
}

pub(super) fn user(args: &mut Args) -> Result<Command, UsageError> {
    let Some((words, flags)) = read(args, &["role", "password-file", "json"])? else {
        return Ok(Command::Help(USER_HELP.to_owned()));
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let password_file = flags.password_file.clone();
    let deed = match words[..] {
        ["add", name] => {
            Deed::AddUser { name: name.to_owned(), role: flags.role.unwrap_or(Role::Viewer), password_file }
        }
        ["list"] => Deed::ListUsers,
        ["reset-password", name] => Deed::ResetPassword { name: name.to_owned(), password_file },
        ["reset-mfa", name] => Deed::ResetMfa { name: name.to_owned() },
        _ => return Err(unclear("user", &words, USER_HELP)),
    };
    Ok(command(flags, deed))
}

pub(super) fn token(args: &mut Args) -> Result<Command, UsageError> {
    let Some((words, flags)) = read(args, &["owner", "scope", "days", "json"])? else {
        return Ok(Command::Help(TOKEN_HELP.to_owned()));
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let deed = match words[..] {
        ["create", name] => {
            let missing = |what: &str| UsageError(format!("token create expects {what}\n\n{TOKEN_HELP}"));
            let owner = flags.owner.clone().ok_or_else(|| missing("--owner USER"))?;
            if flags.scopes.is_empty() {
                return Err(missing("at least one --scope"));
            }
            let (scopes, days) = (flags.scopes.clone(), flags.days.unwrap_or(TOKEN_DAYS));
            Deed::CreateToken { name: name.to_owned(), owner, scopes, days }
        }
        ["list"] => Deed::ListTokens,
        ["revoke", id] => {
            let id = id
                .parse()
                .map_err(|_| UsageError(format!("token revoke expects the number of a token, not `{id}`")))?;
            Deed::RevokeToken { id }
        }
        _ => return Err(unclear("token", &words, TOKEN_HELP)),
    };
    Ok(command(flags, deed))
}

fn command(flags: Flags, deed: Deed) -> Command {
    Command::People(People { config: flags.config, data: flags.data, json: flags.json, deed })
}

fn unclear(verb: &str, words: &[&str], help: &str) -> UsageError {
    UsageError(format!("`{verb} {}` is none of the forms of `{verb}`\n\n{help}", words.join(" ")))
}

/// Words and flags in any order; `None` where help is asked for.
fn read(args: &mut Args, known: &[&str]) -> Result<Option<(Vec<String>, Flags)>, UsageError> {
    let (mut words, mut flags) = (Vec::new(), Flags::default());
    while let Some(arg) = args.rest.next() {
        if !arg.starts_with('-') {
            words.push(arg);
            continue;
        }
        let given = super::flag_of(&arg)?;
        let name = given.name.clone();
        match name.as_str() {
            "help" => return Ok(None),
            "config" => flags.config = Some(PathBuf::from(args.value_of(given)?)),
            "data" => flags.data = Some(args.value_of(given)?),
            other if known.contains(&other) => flags.take(args, given)?,
            other => {
                return Err(UsageError(format!(
                    "unknown flag --{other}, known: --config, --data, --{}",
                    known.join(", --")
                )));
            }
        }
    }
    Ok(Some((words, flags)))
}

impl Flags {
    fn take(&mut self, args: &mut Args, given: Given) -> Result<(), UsageError> {
        if given.name == "json" {
            self.json = true;
            return Ok(());
        }
        let name = given.name.clone();
        let value = args.value_of(given)?;
        let expected = |what: &str| UsageError(format!("--{name} expects {what}, not `{value}`"));
        match name.as_str() {
            "role" => self.role = Some(Role::parse(&value).ok_or_else(|| expected("viewer, editor or admin"))?),
            "password-file" => self.password_file = Some(PathBuf::from(value)),
            "owner" => self.owner = Some(value),
            "days" => self.days = Some(value.parse().map_err(|_| expected("a number of days"))?),
            _ => {
                let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
                let scope = Scope::parse(&value).ok_or_else(|| expected(&format!("one of {}", known.join(", "))))?;
                self.scopes.push(scope);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[track_caller]
    fn deed(line: &str) -> People {
        match parse(line.split_whitespace().map(str::to_owned)).expect(line) {
            Command::People(people) => people,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_and_flags_may_come_in_any_order() {
        let expected =
            Deed::AddUser { name: "mara".to_owned(), role: Role::Admin, password_file: Some(PathBuf::from("-")) };
        for line in
            ["user add mara --role admin --password-file -", "user --role=admin --password-file=- add mara --data d"]
        {
            assert_eq!(deed(line).deed, expected);
        }
        assert_eq!(deed("user --data d list").data.as_deref(), Some("d"));
        assert_eq!(deed("token revoke 7").deed, Deed::RevokeToken { id: 7 });
        assert!(deed("token list --json").json);
    }

    #[test]
    fn a_token_needs_an_owner_and_a_scope_that_exists() {
        let made = deed("token create ci --owner mara --scope metrics:read --scope metrics:write --days 30");
        let scopes = vec![Scope::MetricsRead, Scope::MetricsWrite];
        let expected = Deed::CreateToken { name: "ci".to_owned(), owner: "mara".to_owned(), scopes, days: 30 };
        assert_eq!(made.deed, expected);
        for (line, part) in [
            ("token create ci --owner mara", "at least one --scope"),
            ("token create ci --scope metrics:read", "--owner USER"),
            ("token create ci --owner mara --scope metrics", "expects one of metrics:read"),
            ("token revoke x", "expects the number of a token, not `x`"),
            ("user add", "none of the forms of `user`"),
            ("user add a b", "`user add a b`"),
            ("user add a --role boss", "expects viewer, editor or admin, not `boss`"),
            ("user list --days 3", "unknown flag --days, known: --config, --data, --role"),
        ] {
            let refusal = parse(line.split_whitespace().map(str::to_owned)).expect_err(line).to_string();
            assert!(refusal.contains(part), "{line}: {refusal}");
        }
    }
}
