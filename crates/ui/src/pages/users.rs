//! `/settings/users`: who may sign in, and what they may do.

use axum::http::StatusCode;

use crate::filters;
use crate::form::{Choice, Fault, Field, faults};
use crate::pages::account::SessionRow;
use crate::pages::page;
use crate::shell::Head;

/// The list.
#[derive(Clone, Debug)]
pub struct UsersPage {
    pub list: UserList,
}

/// Who there is, or why that cannot be said.
#[derive(Clone, Debug)]
pub enum UserList {
    Rows(Vec<UserRow>),
    Failed(String),
}

/// A user.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Leads to `/settings/users/<id>`.
    pub id: String,
    pub name: String,
    pub role: String,
    pub disabled: bool,
    pub two_step: bool,
    pub last_seen: String,
    pub sessions: u32,
    pub you: bool,
}

/// `/settings/users/new`; posts `name`, `role`, `password` to `/settings/users`.
#[derive(Clone, Debug)]
pub struct NewUserPage {
    pub name: Field,
    pub password: Field,
    pub roles: Vec<Choice>,
    pub roles_error: Option<String>,
    pub password_min: u32,
}

/// `/settings/users/<id>`. Posts below that path: `role` (`role`), `password` (`password`), `disable`, `enable`,
/// `reset-two-step`, `end-sessions`; `delete` is asked first.
#[derive(Clone, Debug)]
pub struct UserPage {
    pub id: String,
    pub name: String,
    pub roles: Vec<Choice>,
    pub roles_error: Option<String>,
    pub password: Field,
    pub password_min: u32,
    pub disabled: bool,
    /// "since 12 Nov 2026"; none where it is off.
    pub two_step: Option<String>,
    pub created: String,
    pub last_seen: String,
    pub sessions: Vec<SessionRow>,
    pub tokens: u32,
    /// One's own account: what would lock oneself out is not offered.
    pub you: bool,
    /// The last administrator who can sign in: cannot be disabled, deleted or made less.
    pub last_admin: bool,
}

impl UsersPage {
    fn status(&self) -> StatusCode {
        match self.list {
            UserList::Rows(_) => StatusCode::OK,
            UserList::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn head(&self) -> Head {
        Head::of("Users and roles", "/settings/users", &[("Settings", "/settings")])
    }
}

impl NewUserPage {
    fn status(&self) -> StatusCode {
        if self.faults().is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    fn head(&self) -> Head {
        let parents = [("Settings", "/settings"), ("Users and roles", "/settings/users")];
        Head::of("New user", "/settings/users", &parents)
    }

    fn faults(&self) -> Vec<Fault> {
        faults(&[
            ("name", "User name", &self.name.error),
            ("role", "Role", &self.roles_error),
            ("password", "Password", &self.password.error),
        ])
    }
}

impl UserPage {
    fn status(&self) -> StatusCode {
        if self.faults().is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    fn head(&self) -> Head {
        let parents = [("Settings", "/settings"), ("Users and roles", "/settings/users")];
        Head::of(&self.name, "/settings/users", &parents)
    }

    fn faults(&self) -> Vec<Fault> {
        faults(&[("role", "Role", &self.roles_error), ("password", "New password", &self.password.error)])
    }

    /// Where something about this user is posted.
    fn path(&self, verb: &str) -> String {
        format!("/settings/users/{}/{verb}", self.id)
    }

    /// What may be done to this account at all; the rest is left out with its reason.
    fn may_be_locked(&self) -> bool {
        !self.you && !self.last_admin
    }
}

page!(UsersPage, UsersTemplate, "users.html", Frame);
page!(NewUserPage, NewUserTemplate, "user_new.html", Frame);
page!(UserPage, UserTemplate, "user.html", Frame);
