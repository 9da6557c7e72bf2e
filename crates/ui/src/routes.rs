//! The addresses that pages link and post to: what a binary that mounts these pages has to answer.
//!
//! Promise: every form and every link on every page is in these tables (a test walks all pages). Nothing else is.

/// A form: where it is posted to and the fields a page can send, `form_token` aside, which every form has.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// `{id}` stands for one part of the path.
    pub path: &'static str,
    pub fields: &'static [&'static str],
}

const fn form(path: &'static str, fields: &'static [&'static str]) -> Form {
    Form { path, fields }
}

/// Everything that is posted. A success answers with 303 to a page, but for what is shown once (a new token, recovery
/// codes); a refusal answers with the page again, its fields marked.
pub const FORMS: [Form; 24] = [
    // `theme` is auto, light or dark; `density` comfortable or dense; back to `next`. Works without a session.
    form("/preferences", &["theme", "density", "next"]),
    form("/setup", &["key", "user", "password", "again"]),
    form("/login", &["user", "password", "stay", "next"]),
    form("/login/code", &["code", "challenge", "next"]),
    form("/logout", &[]),
    form("/account/password", &["current", "password", "again"]),
    // Answers with the enrolment page, which holds the QR code.
    form("/account/two-step/begin", &[]),
    // Answers with the recovery codes.
    form("/account/two-step", &["code", "enrolment"]),
    form("/account/two-step/off", &["password"]),
    form("/account/two-step/codes", &["password"]),
    form("/account/sessions/end", &["session"]),
    form("/account/sessions/end-others", &[]),
    // `scope` comes once for each box that is ticked. Answers with the list and the new token.
    form("/account/tokens", &["name", "scope", "expires"]),
    form("/account/tokens/revoke", &["token"]),
    form("/settings/users", &["name", "role", "password"]),
    form("/settings/users/{id}/role", &["role"]),
    form("/settings/users/{id}/password", &["password"]),
    form("/settings/users/{id}/disable", &[]),
    form("/settings/users/{id}/enable", &[]),
    form("/settings/users/{id}/reset-two-step", &[]),
    form("/settings/users/{id}/end-sessions", &[]),
    // Asked first: GET shows the question, POST deletes.
    form("/settings/users/{id}/delete", &[]),
    form("/settings/reload", &[]),
    // Answers with what a scrape would bring.
    form("/targets/scrape", &["pool", "target"]),
];

/// Everything that is opened by GET, besides files below `/static/` and `/ca.crt`.
pub const PAGES: [&str; 24] = [
    "/",
    "/setup",
    "/login",
    "/logout",
    "/account",
    "/account/two-step",
    "/account/two-step/off",
    "/account/two-step/codes",
    "/account/tokens",
    "/settings",
    "/settings/users",
    "/settings/users/new",
    "/settings/users/{id}",
    "/settings/users/{id}/delete",
    "/settings/audit",
    "/query",
    "/targets",
    "/targets/relabel",
    "/service-discovery",
    "/status/tsdb",
    "/status/configuration",
    "/palette",
    "/help/keyboard",
    "/components",
];

/// Whether a path fits a pattern of these tables.
#[must_use]
pub fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let same = pattern
        .split('/')
        .all(|want| parts.next().is_some_and(|part| if want == "{id}" { !part.is_empty() } else { want == part }));
    same && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_one_part_for_its_id() {
        assert!(fits("/settings/users/{id}/role", "/settings/users/7/role"));
        for path in ["/settings/users//role", "/settings/users/7", "/settings/users/7/role/x", "/account"] {
            assert!(!fits("/settings/users/{id}/role", path), "{path}");
        }
        assert!(fits("/", "/"));
    }
}
