//! Permission: one function decides, and it says no unless a line here says yes.
//!
//! A route declares the [`Action`] it performs; [`authz`] looks at who performs it on what. Roles grow: an editor may
//! all that a viewer may, an admin everything. A token may what its scopes name, and never more than its owner.
//! Not here: looking up the object (the use case does, through its parent), telling the caller (`api`, `ui`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// An API token, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub i64);

/// A login session, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub i64);

/// What a user may do, growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Editor,
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Admin];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a token may do. `x:write` does not contain `x:read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    #[serde(rename = "metrics:read")]
    MetricsRead,
    #[serde(rename = "metrics:write")]
    MetricsWrite,
    #[serde(rename = "alerts:read")]
    AlertsRead,
    #[serde(rename = "alerts:write")]
    AlertsWrite,
    #[serde(rename = "rules:read")]
    RulesRead,
    #[serde(rename = "errors:read")]
    ErrorsRead,
    #[serde(rename = "errors:write")]
    ErrorsWrite,
    #[serde(rename = "checks:read")]
    ChecksRead,
    #[serde(rename = "checks:write")]
    ChecksWrite,
    #[serde(rename = "dashboards:read")]
    DashboardsRead,
    #[serde(rename = "dashboards:write")]
    DashboardsWrite,
    #[serde(rename = "admin:*")]
    Admin,
}

impl Scope {
    pub const ALL: [Self; 12] = [
        Self::MetricsRead,
        Self::MetricsWrite,
        Self::AlertsRead,
        Self::AlertsWrite,
        Self::RulesRead,
        Self::ErrorsRead,
        Self::ErrorsWrite,
        Self::ChecksRead,
        Self::ChecksWrite,
        Self::DashboardsRead,
        Self::DashboardsWrite,
        Self::Admin,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricsRead => "metrics:read",
            Self::MetricsWrite => "metrics:write",
            Self::AlertsRead => "alerts:read",
            Self::AlertsWrite => "alerts:write",
            Self::RulesRead => "rules:read",
            Self::ErrorsRead => "errors:read",
            Self::ErrorsWrite => "errors:write",
            Self::ChecksRead => "checks:read",
            Self::ChecksWrite => "checks:write",
            Self::DashboardsRead => "dashboards:read",
            Self::DashboardsWrite => "dashboards:write",
            Self::Admin => "admin:*",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody we know.
    Anonymous,
    /// A person with a session. One whose password was made by somebody else must change it before anything else.
    User { id: UserId, name: String, role: Role, session: SessionId, must_change_password: bool },
    /// A program with a token; `role` is its owner's, read anew for each request.
    Token { id: TokenId, name: String, owner: UserId, role: Role, scopes: Vec<Scope> },
    /// Whoever reaches a server that runs without login.
    Local,
    /// The operator of the machine, by a verb of the binary.
    Operator,
}

impl Principal {
    /// What it is, as the audit log keeps it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User { .. } => "user",
            Self::Token { .. } => "token",
            Self::Local => "local",
            Self::Operator => "operator",
        }
    }

    /// Its name, where it has one of its own.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User { name, .. } | Self::Token { name, .. } => name,
            Self::Anonymous | Self::Local | Self::Operator => "",
        }
    }

    /// The user behind it, where there is one.
    #[must_use]
    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::User { id, .. } => Some(*id),
            Self::Token { owner, .. } => Some(*owner),
            Self::Anonymous | Self::Local | Self::Operator => None,
        }
    }
}

/// What is done. Each route declares one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Probes, the login page, static files: whatever must work before anybody is known.
    Public,
    /// One's own account, sessions and tokens.
    OwnAccount,
    /// Pages and settings that every user may see.
    View,
    ReadMetrics,
    WriteMetrics,
    ReadAlerts,
    WriteAlerts,
    ReadRules,
    ReadErrors,
    WriteErrors,
    ReadChecks,
    WriteChecks,
    ReadDashboards,
    WriteDashboards,
    /// Users, everybody's tokens, the audit log, the running configuration.
    Administer,
    /// Reload, quit, deleting series: what changes the server itself.
    Operate,
}

impl Action {
    pub const ALL: [Self; 16] = [
        Self::Public,
        Self::OwnAccount,
        Self::View,
        Self::ReadMetrics,
        Self::WriteMetrics,
        Self::ReadAlerts,
        Self::WriteAlerts,
        Self::ReadRules,
        Self::ReadErrors,
        Self::WriteErrors,
        Self::ReadChecks,
        Self::WriteChecks,
        Self::ReadDashboards,
        Self::WriteDashboards,
        Self::Administer,
        Self::Operate,
    ];

    /// The least role that may do it; `None` where no role is needed.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Public => None,
            Self::OwnAccount
            | Self::View
            | Self::ReadMetrics
            | Self::ReadAlerts
            | Self::ReadRules
            | Self::ReadErrors
            | Self::ReadChecks
            | Self::ReadDashboards => Some(Role::Viewer),
            Self::WriteMetrics | Self::WriteAlerts | Self::WriteErrors | Self::WriteChecks | Self::WriteDashboards => {
                Some(Role::Editor)
            }
            Self::Administer | Self::Operate => Some(Role::Admin),
        }
    }

    /// The scope a token needs; `None` where no token may do it, whatever its scopes.
    #[must_use]
    pub const fn scope(self) -> Option<Scope> {
        match self {
            // A token that could make tokens or change passwords could not be taken away again.
            Self::Public | Self::OwnAccount => None,
            Self::View | Self::ReadMetrics => Some(Scope::MetricsRead),
            Self::WriteMetrics => Some(Scope::MetricsWrite),
            Self::ReadAlerts => Some(Scope::AlertsRead),
            Self::WriteAlerts => Some(Scope::AlertsWrite),
            Self::ReadRules => Some(Scope::RulesRead),
            Self::ReadErrors => Some(Scope::ErrorsRead),
            Self::WriteErrors => Some(Scope::ErrorsWrite),
            Self::ReadChecks => Some(Scope::ChecksRead),
            Self::WriteChecks => Some(Scope::ChecksWrite),
            Self::ReadDashboards => Some(Scope::DashboardsRead),
            Self::WriteDashboards => Some(Scope::DashboardsWrite),
            Self::Administer | Self::Operate => Some(Scope::Admin),
        }
    }
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// The whole server or a collection.
    Server,
    /// Something that belongs to a user: a session, a token, an account.
    OwnedBy(UserId),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody is logged in: logging in or a token would help.
    #[error("not logged in")]
    NotAuthenticated,
    /// Known, but it lacks this role.
    #[error("needs the role {0}")]
    NeedsRole(Role),
    /// Known, but the token lacks this scope.
    #[error("the token needs the scope {}", .0.as_str())]
    NeedsScope(Scope),
    /// A token may never do this, only a person with a session.
    #[error("tokens may not do this, log in as a user")]
    NotForTokens,
    /// Known by a password that somebody else made: a password of one's own first.
    #[error("change the temporary password first")]
    MustChangePassword,
    /// It belongs to somebody else.
    #[error("it belongs to another user")]
    NotOwner,
}

/// Decides. There is no other place that does.
pub fn authz(principal: &Principal, action: Action, object: Object) -> Result<(), Denied> {
    let Some(needed) = action.role() else { return Ok(()) };
    match principal {
        Principal::Anonymous => Err(Denied::NotAuthenticated),
        Principal::Local | Principal::Operator => Ok(()),
        Principal::User { must_change_password: true, .. } if action != Action::OwnAccount => {
            Err(Denied::MustChangePassword)
        }
        Principal::User { id, role, .. } => {
            if *role < needed {
                return Err(Denied::NeedsRole(needed));
            }
            owner_only(*id, action, object)
        }
        Principal::Token { owner, role, scopes, .. } => {
            let scope = action.scope().ok_or(Denied::NotForTokens)?;
            if !scopes.contains(&scope) && !scopes.contains(&Scope::Admin) {
                return Err(Denied::NeedsScope(scope));
            }
            if *role < needed {
                return Err(Denied::NeedsRole(needed));
            }
            owner_only(*owner, action, object)
        }
    }
}

fn owner_only(user: UserId, action: Action, object: Object) -> Result<(), Denied> {
    match object {
        Object::OwnedBy(owner) if action == Action::OwnAccount && owner != user => Err(Denied::NotOwner),
        Object::OwnedBy(_) | Object::Server => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(role: Role) -> Principal {
        Principal::User {
            id: UserId(1),
            name: "ann".to_owned(),
            role,
            session: SessionId(1),
            must_change_password: false,
        }
    }

    fn token(role: Role, scopes: &[Scope]) -> Principal {
        Principal::Token { id: TokenId(1), name: "ci".to_owned(), owner: UserId(1), role, scopes: scopes.to_vec() }
    }

    #[test]
    fn nobody_may_only_what_is_public() {
        for action in Action::ALL {
            let allowed = authz(&Principal::Anonymous, action, Object::Server).is_ok();
            assert_eq!(allowed, action == Action::Public, "{action:?}");
        }
    }

    #[test]
    fn roles_grow() {
        for action in Action::ALL {
            let allowed: Vec<bool> =
                Role::ALL.into_iter().map(|role| authz(&user(role), action, Object::Server).is_ok()).collect();
            assert!(allowed.is_sorted(), "{action:?}: a higher role may less: {allowed:?}");
            assert!(allowed[2], "an admin may {action:?}");
        }
    }

    #[test]
    fn a_token_may_what_its_scope_names_and_nothing_else() {
        for scope in Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin) {
            for action in Action::ALL {
                let allowed = authz(&token(Role::Admin, &[scope]), action, Object::Server).is_ok();
                assert_eq!(allowed, action == Action::Public || action.scope() == Some(scope), "{scope:?} {action:?}");
            }
        }
    }

    #[test]
    fn a_token_may_never_more_than_its_owner() {
        let scopes = Scope::ALL;
        assert_eq!(
            authz(&token(Role::Viewer, &scopes), Action::WriteAlerts, Object::Server),
            Err(Denied::NeedsRole(Role::Editor))
        );
        assert_eq!(
            authz(&token(Role::Editor, &scopes), Action::Operate, Object::Server),
            Err(Denied::NeedsRole(Role::Admin))
        );
    }

    /// Whatever the scopes and the role of the owner: what the token may, the owner may.
    #[test]
    fn no_set_of_scopes_gives_a_token_more_than_its_owner() {
        for bits in 0..1u32 << Scope::ALL.len() {
            let scopes: Vec<Scope> =
                Scope::ALL.into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, s)| s).collect();
            for role in Role::ALL {
                let (owner, token) = (user(role), token(role, &scopes));
                for action in Action::ALL {
                    let object = Object::OwnedBy(UserId(1));
                    let exceeds = authz(&token, action, object).is_ok() && authz(&owner, action, object).is_err();
                    assert!(!exceeds, "{role} {scopes:?} {action:?}");
                }
            }
        }
    }

    #[test]
    fn a_temporary_password_opens_ones_own_account_and_nothing_else() {
        let ann = Principal::User {
            id: UserId(1),
            name: "ann".to_owned(),
            role: Role::Admin,
            session: SessionId(1),
            must_change_password: true,
        };
        for action in Action::ALL {
            let expected = match action {
                Action::Public | Action::OwnAccount => Ok(()),
                _ => Err(Denied::MustChangePassword),
            };
            assert_eq!(authz(&ann, action, Object::Server), expected, "{action:?}");
        }
    }

    #[test]
    fn the_machines_operator_and_a_server_without_login_may_everything() {
        for action in Action::ALL {
            for principal in [Principal::Local, Principal::Operator] {
                assert_eq!(authz(&principal, action, Object::OwnedBy(UserId(7))), Ok(()), "{action:?}");
            }
        }
    }

    #[test]
    fn a_token_cannot_reach_the_account_of_its_owner() {
        let all = token(Role::Admin, &Scope::ALL);
        assert_eq!(authz(&all, Action::OwnAccount, Object::OwnedBy(UserId(1))), Err(Denied::NotForTokens));
    }

    #[test]
    fn ones_own_account_is_not_somebody_elses() {
        let ann = user(Role::Admin);
        assert_eq!(authz(&ann, Action::OwnAccount, Object::OwnedBy(UserId(2))), Err(Denied::NotOwner));
        assert_eq!(authz(&ann, Action::Administer, Object::OwnedBy(UserId(2))), Ok(()));
    }

    #[test]
    fn names_of_roles_and_scopes_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
            assert_eq!(serde_json::to_value(scope).expect("a word"), scope.as_str());
        }
    }
}
