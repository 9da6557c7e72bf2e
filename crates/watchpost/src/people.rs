//! `watchpost user` and `watchpost token`: what the host's administrator does to identities, beside a running server or
//! without one.
//!
//! They open the metadata store only: a lock on the data folder would keep them out while the server runs.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use appliance::config::load::{FlagValue, load};
use appliance::identity::{Caller, Identity, TokenRequest, UserRequest};
use auth::account::User;
use auth::permit::TokenId;
use auth::ports::Page;
use auth::token::Token;
use model::secret::Secret;
use model::time::{Clock, SystemClock};

use crate::adapters;
use crate::cli::people::{Deed, People};
use crate::data_folder;
use crate::sources::sources;
use crate::version::say;

/// Rows read at a time.
const PAGE: u32 = 500;
/// A password is a line, not a file.
const PASSWORD_BYTES_MAX: u64 = 4096;

pub(crate) fn run(arguments: &People) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(async {
        let identity = open(arguments).await?;
        say(&act(&identity, &arguments.deed, arguments.json).await?)
    })
}

async fn open(arguments: &People) -> anyhow::Result<Identity> {
    let mut sources = sources(arguments.config.clone(), &[], false);
    sources.own_file_only = true;
    if let Some(data) = &arguments.data {
        sources.flags.push(FlagValue { flag: "data", key: "storage.path", text: data.clone(), adds: false });
    }
    let config = load(&sources)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let path = &config.settings.storage.path;
    let folder = data_folder::ours(&path.place.resolve(&path.value))?;
    let store = adapters::open_store(&config, &folder, &*clock).await?;
    adapters::identity(&config, &store, &folder, &clock)
}

async fn act(identity: &Identity, deed: &Deed, json: bool) -> anyhow::Result<String> {
    let operator = Caller::operator();
    let named = |name: &str| {
        let name = name.to_owned();
        let operator = operator.clone();
        async move { identity.user_named(&operator, &name).await.with_context(|| format!("user {name:?}")) }
    };
    Ok(match deed {
        Deed::AddUser { name, role, password_file } => {
            let password = password_file.as_deref().map(read_password).transpose()?;
            let request = UserRequest { name: name.clone(), role: *role, password };
            let made = identity.create_user(&operator, &request).await.with_context(|| format!("user {name:?}"))?;
            format!(
                "user {} made, number {}\n{}",
                made.user.name,
                made.user.id.0,
                temporary(made.temporary_password.as_ref())
            )
        }
        Deed::ListUsers => users(identity, &operator, json).await?,
        Deed::ResetPassword { name, password_file } => {
            let password = password_file.as_deref().map(read_password).transpose()?;
            let user = named(name).await?;
            let made = identity.reset_password(&operator, user.id, password.as_ref()).await?;
            format!("password of {name} set, every session closed\n{}", temporary(made.as_ref()))
        }
        Deed::ResetMfa { name } => {
            let user = named(name).await?;
            identity.reset_mfa(&operator, user.id).await?;
            format!("second factor of {name} taken off\n")
        }
        Deed::CreateToken { name, owner, scopes, days } => {
            let request = TokenRequest {
                owner: Some(named(owner).await?.id),
                name: name.clone(),
                scopes: scopes.clone(),
                lifetime: Some(Duration::from_secs(u64::from(*days) * 24 * 3600)),
            };
            let made = identity.create_token(&operator, &request).await.with_context(|| format!("token {name:?}"))?;
            // Alone on its line, so that a script can take it.
            format!("{}\n", made.secret.expose())
        }
        Deed::ListTokens => tokens(identity, &operator, json).await?,
        Deed::RevokeToken { id } => {
            identity.revoke_token(&operator, TokenId(*id)).await.with_context(|| format!("token {id}"))?;
            format!("token {id} revoked\n")
        }
    })
}

fn temporary(password: Option<&Secret>) -> String {
    password
        .map_or_else(String::new, |password| format!("temporary password, good for one day: {}\n", password.expose()))
}

/// The first line of a file; `-` is standard input.
fn read_password(path: &Path) -> anyhow::Result<Secret> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(PASSWORD_BYTES_MAX).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("{}: cannot be opened", path.display()))?;
        file.take(PASSWORD_BYTES_MAX).read_to_string(&mut text)
    };
    read.with_context(|| format!("{}: cannot be read", path.display()))?;
    let password = text.lines().next().unwrap_or("");
    if password.is_empty() {
        bail!("{}: its first line is empty, expected a password", path.display());
    }
    Ok(Secret::new(password))
}

async fn users(identity: &Identity, operator: &Caller, json: bool) -> anyhow::Result<String> {
    let mut all: Vec<User> = Vec::new();
    let mut after = None;
    loop {
        let page = identity.users(operator, Page { after, limit: PAGE }).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let last = |user: &User| user.last_login.map_or_else(|| "never".to_owned(), |at| at.to_string());
    if json {
        let object = |user: &User| {
            serde_json::json!({
                "id": user.id.0, "name": user.name, "role": user.role.as_str(), "disabled": user.disabled,
                "second_factor": user.second_factor, "last_login": user.last_login.map(|at| at.to_string()),
            })
        };
        let list: Vec<_> = all.iter().map(object).collect();
        return Ok(format!("{}\n", serde_json::Value::from(list)));
    }
    let rows = all.iter().map(|user| {
        let state = if user.disabled { "disabled" } else { "active" };
        let factor = if user.second_factor { "two steps" } else { "password" };
        [user.id.0.to_string(), user.name.clone(), user.role.to_string(), state.into(), factor.into(), last(user)]
    });
    Ok(table(["ID", "NAME", "ROLE", "STATE", "LOGIN", "LAST LOGIN"], rows))
}

async fn tokens(identity: &Identity, operator: &Caller, json: bool) -> anyhow::Result<String> {
    let mut all: Vec<Token> = Vec::new();
    let mut after = None;
    loop {
        let page = identity.tokens(operator, None, Page { after, limit: PAGE }).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let scopes = |token: &Token| token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",");
    if json {
        let object = |token: &Token| {
            serde_json::json!({
                "id": token.id.0, "name": token.name, "owner": token.owner_name, "prefix": token.prefix,
                "scopes": token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
                "expires": token.expires.to_string(), "last_used": token.last_used.map(|at| at.to_string()),
            })
        };
        let list: Vec<_> = all.iter().map(object).collect();
        return Ok(format!("{}\n", serde_json::Value::from(list)));
    }
    let rows = all.iter().map(|token| {
        let used = token.last_used.map_or_else(|| "never".to_owned(), |at| at.to_string());
        [
            token.id.0.to_string(),
            token.name.clone(),
            token.owner_name.clone(),
            scopes(token),
            token.expires.to_string(),
            used,
        ]
    });
    Ok(table(["ID", "NAME", "OWNER", "SCOPES", "EXPIRES", "LAST USED"], rows))
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".to_owned(), "a longer name".to_owned()], ["22".to_owned(), String::new()]];
        assert_eq!(table(["ID", "NAME"], rows.into_iter()), "ID  NAME\n1   a longer name\n22\n");
    }

    #[test]
    fn a_password_is_the_first_line_and_must_be_there() {
        let folder = ::tests::folder::Folder::new("password");
        let file = folder.write("good", "correct horse\nbattery\n");
        assert_eq!(read_password(&file).expect("it has a line").expose(), "correct horse");
        let empty = folder.write("empty", "\n");
        assert!(read_password(&empty).expect_err("nothing in it").to_string().contains("expected a password"));
        assert!(read_password(&folder.path().join("none")).is_err());
    }
}
