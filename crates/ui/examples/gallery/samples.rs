//! Every page with made-up data. Each text passes through a function, so that a test can put something hostile in its
//! place: a field that is not written here does not compile.

#[path = "metrics.rs"]
mod metrics;

use axum::http::StatusCode;
use ui::form::{Choice, Field};
use ui::html::Html;
use ui::pages::Fact;
use ui::pages::account::{AccountPage, EnrolPage, PasswordForm, RecoveryCodesPage, SessionRow, TwoStep};
use ui::pages::audit::{AuditFilter, AuditList, AuditPage, AuditRow, Outcome};
use ui::pages::components::ComponentsPage;
use ui::pages::confirm::ConfirmPage;
use ui::pages::failed::{FailedPage, NotSetUpPage};
use ui::pages::home::{HomeLine, HomePage, NextStep, Signal};
use ui::pages::keyboard::KeyboardPage;
use ui::pages::login::{LoginNotice, LoginPage, LoginProblem, LoginStep};
use ui::pages::palette::PalettePage;
use ui::pages::settings::{ConfigProblem, Reload, SettingGroup, SettingRow, SettingsPage, Source};
use ui::pages::setup::{SetupForm, SetupPage, SetupState};
use ui::pages::tokens::{MadeToken, TokenForm, TokenList, TokenRow, TokenState, TokensPage};
use ui::pages::users::{NewUserPage, UserList, UserPage, UserRow, UsersPage};
use ui::shell::{Count, Crumb, Density, Flash, Freshness, Pulse, Section, Shell, Theme, Viewer, sections};
use ui::tone::Tone;

/// How texts get into the samples.
#[derive(Clone, Copy)]
pub(crate) struct Samples<'a> {
    pub(crate) text: &'a dyn Fn(&str) -> String,
    pub(crate) base: &'a str,
    pub(crate) theme: Theme,
    pub(crate) density: Density,
}

/// A page's name in the gallery, and the page.
pub(crate) type Sample = (&'static str, Html);

impl Samples<'_> {
    fn t(&self, text: &str) -> String {
        (self.text)(text)
    }

    fn some(&self, text: &str) -> Option<String> {
        Some(self.t(text))
    }

    fn field(&self, value: &str) -> Field {
        Field { value: self.t(value), error: None }
    }

    fn wrong(&self, value: &str, error: &str) -> Field {
        Field { value: self.t(value), error: self.some(error) }
    }

    fn fact(&self, name: &str, value: &str) -> Fact {
        Fact { name: self.t(name), value: self.t(value) }
    }

    fn choices(&self, chosen: &str, all: &[(&str, &str, &str)]) -> Vec<Choice> {
        let choice = |&(value, label, note): &(&str, &str, &str)| Choice {
            value: self.t(value),
            label: self.t(label),
            note: if note.is_empty() { String::new() } else { self.t(note) },
            chosen: value == chosen,
        };
        all.iter().map(choice).collect()
    }

    fn roles(&self, chosen: &str) -> Vec<Choice> {
        self.choices(
            chosen,
            &[
                ("viewer", "Viewer", "sees everything, changes nothing"),
                ("editor", "Editor", "also dashboards, silences and checks"),
                ("admin", "Admin", "also users, tokens of others and the configuration"),
            ],
        )
    }

    /// What is around a page for somebody signed in.
    pub(crate) fn shell(&self, here: &str) -> Shell {
        let mut all: Vec<Section> = sections(true);
        if self.t("a") != "a" {
            // Sections are ours today; a dashboard's name may become one.
            for section in &mut all {
                section.label = self.t(&section.label);
                section.href = self.t(&section.href);
                for page in &mut section.pages {
                    page.label = self.t(&page.label);
                    page.href = self.t(&page.href);
                    page.note = self.t(&page.note);
                }
            }
            all[0].count = Some(Count { number: 3, critical: true });
        }
        Shell {
            base: self.base.to_owned(),
            theme: self.theme,
            density: self.density,
            here: self.t(here),
            form_token: self.t("9f2c41d0"),
            viewer: Some(Viewer { name: self.t("mara"), role: self.t("admin") }),
            can_sign_out: true,
            flash: None,
            sections: all,
            pulse: Some(Pulse { tone: Tone::Ok, text: self.t("up 44 h · 41 MB") }),
        }
    }

    fn outside(&self) -> Shell {
        Shell { viewer: None, sections: Vec::new(), pulse: None, can_sign_out: false, ..self.shell("/login") }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Sample> {
        let mut all = self.outside_pages();
        all.extend(self.home_pages());
        all.extend(self.metric_pages());
        all.extend(self.account_pages());
        all.extend(self.token_pages());
        all.extend(self.user_pages());
        all.extend(self.audit_pages());
        all.extend(self.settings_pages());
        all.extend(self.frame_pages());
        all.extend(self.failed_pages());
        all
    }

    fn outside_pages(&self) -> Vec<Sample> {
        let shell = self.outside();
        let login = |step, problem, notice| LoginPage {
            host: self.t("watch.lumen.school"),
            next: self.t("/settings/users"),
            step,
            problem,
            notice,
            stay_days: Some(7),
        };
        let password = || LoginStep::Password { user: self.t("mara") };
        let code = || LoginStep::Code { user: self.t("mara"), challenge: self.t("c0ffee") };
        let throttled = LoginProblem::Throttled { wait: self.t("40 seconds") };
        let setup = |state| SetupPage {
            state,
            facts: vec![
                self.fact("Running for", "3 minutes"),
                self.fact("Memory", "41 MB"),
                self.fact("Data folder", "./data, 3.1 MB"),
            ],
        };
        let form = |user, password, again| {
            SetupState::Open(SetupForm {
                key: self.t("3c9f"),
                link_until: self.t("until Sat 21 Nov 11:02"),
                user,
                password,
                again,
                password_min: 12,
            })
        };
        let fresh = form(self.field("admin"), Field::default(), Field::default());
        let refused = form(
            self.field("admin"),
            self.wrong("x", "This is one of the most used passwords. Take another one."),
            self.wrong("y", "The two are not the same."),
        );
        let not_set_up = NotSetUpPage { link_until: self.t("It holds until Sat 21 Nov 11:02.") };
        vec![
            ("setup", setup(fresh).render(&shell)),
            ("setup-refused", setup(refused).render(&shell)),
            ("setup-dead", setup(SetupState::LinkDead).render(&shell)),
            ("setup-done", setup(SetupState::AlreadyDone).render(&shell)),
            ("not-set-up", not_set_up.render(&shell)),
            ("login", login(LoginStep::Password { user: String::new() }, None, None).render(&shell)),
            ("login-notice", login(password(), None, Some(LoginNotice::SessionEnded)).render(&shell)),
            ("login-wrong", login(password(), Some(LoginProblem::Wrong), None).render(&shell)),
            ("login-throttled", login(password(), Some(throttled), None).render(&shell)),
            ("login-code", login(code(), None, None).render(&shell)),
            ("login-code-wrong", login(code(), Some(LoginProblem::WrongCode), None).render(&shell)),
        ]
    }

    fn line(&self, tone: Tone, name: &str, text: &str, note: &str) -> HomeLine {
        HomeLine {
            tone,
            name: self.t(name),
            text: self.t(text),
            note: self.t(note),
            href: if name == "Users" { self.t("/settings/users") } else { String::new() },
        }
    }

    fn step(&self, title: &str, text: &str, action: Option<(&str, &str)>, command: &str, done: bool) -> NextStep {
        NextStep {
            title: self.t(title),
            text: self.t(text),
            action: action.map(|(words, path)| (self.t(words), self.t(path))),
            command: if command.is_empty() { String::new() } else { self.t(command) },
            done,
        }
    }

    fn quiet_home(&self) -> HomePage {
        let signal = |name, value, unit, note, percent| Signal {
            name: self.t(name),
            value: self.t(value),
            unit: self.t(unit),
            note: self.t(note),
            percent,
            tone: Tone::Ok,
        };
        HomePage {
            headline: self.t("All quiet for 44 hours"),
            tone: Tone::Ok,
            summary: self.t("The server runs, its files are read, and nothing needs you."),
            freshness: Freshness { as_of: self.t("as of 11:02:14"), stale: false },
            lines: vec![
                self.line(
                    Tone::Ok,
                    "Doors",
                    "0.0.0.0:8443 with TLS, 127.0.0.1:8080 plain",
                    "certificate renews itself on 25 Nov",
                ),
                self.line(
                    Tone::Ok,
                    "Storage",
                    "SQLite in ./data, 6.2 GB of 40 GB used",
                    "at this rate full in 41 days",
                ),
                self.line(Tone::Ok, "Configuration", "watchpost.yml read, no problems", "31 minutes ago"),
                self.line(Tone::Ok, "Jobs", "2 run by the clock, the last ones went well", "next: 12:00 certificate"),
                self.line(Tone::Ok, "Users", "3 people, 2 of them with a second step", "2 signed in now"),
            ],
            coming_up: vec![
                self.line(
                    Tone::Pending,
                    "Certificate",
                    "watch.lumen.school expires in 19 days",
                    "renews itself on 25 Nov",
                ),
                self.line(Tone::Pending, "Token", "ci ends in 12 days", "last used today"),
            ],
            next_steps: vec![
                self.step(
                    "Turn on two-step sign-in",
                    "Your account may do everything; a password alone is little.",
                    Some(("Turn it on", "/account")),
                    "",
                    false,
                ),
                self.step(
                    "Let Prometheus scrape this server",
                    "Everything it counts about itself stands on /metrics.",
                    None,
                    "curl -H 'Authorization: Bearer wp_…' https://watch.lumen.school:8443/metrics",
                    false,
                ),
                self.step("Make the first account", "", None, "", true),
            ],
            signals: vec![
                signal("Memory", "41", "MB", "of 2.8 GB", Some(2)),
                signal("Disk", "6.2", "GB", "of 40 GB", Some(16)),
                signal("Requests", "3.1", "/s", "p95 2 ms", None),
                signal("Open connections", "14", "", "of 4,096", Some(1)),
            ],
            facts: vec![
                self.fact("Version", "0.1.0 (7cbb884)"),
                self.fact("Up since", "Wed 18 Nov 15:01"),
                self.fact("Data folder", "/data"),
                self.fact("Host", "node-1, Linux 6.8, 2 cores"),
            ],
        }
    }

    fn home_pages(&self) -> Vec<Sample> {
        let quiet = self.quiet_home();
        let mut worse = quiet.clone();
        worse.headline = self.t("The last reload was refused");
        worse.tone = Tone::Critical;
        worse.summary =
            self.t("watchpost.yml:12:5 unknown key listn, did you mean listen? The running configuration stays.");
        worse.freshness.stale = true;
        worse.lines[2] = self.line(Tone::Critical, "Configuration", "refused, 1 problem", "2 minutes ago");
        worse.signals[1].percent = Some(91);
        worse.signals[1].tone = Tone::Warning;
        worse.coming_up.clear();
        worse.next_steps.clear();
        let mut shell = self.shell("/");
        let mut with_flash = shell.clone();
        with_flash.flash = Some(Flash {
            tone: Tone::Ok,
            text: self.t("The user jonas is disabled."),
            action: Some((self.t("Open"), self.t("/settings/users/2"))),
        });
        shell.pulse = Some(Pulse { tone: Tone::Critical, text: self.t("reload refused") });
        vec![("home", quiet.render(&with_flash)), ("home-worse", worse.render(&shell))]
    }

    fn sessions(&self) -> Vec<SessionRow> {
        let session = |id, browser, address, started, last_seen, current| SessionRow {
            id: self.t(id),
            browser: self.t(browser),
            address: self.t(address),
            started: self.t(started),
            last_seen: self.t(last_seen),
            current,
        };
        vec![
            session("s1", "Firefox on Linux", "10.0.3.14", "today 08:31", "now", true),
            session("s2", "Safari on iPhone", "2001:db8::7", "Wed 18 Nov 19:02", "3 hours ago", false),
        ]
    }

    fn account(&self, two_step: TwoStep) -> AccountPage {
        AccountPage {
            name: self.t("mara"),
            role: self.t("Admin"),
            since: self.t("since 12 Nov 2026"),
            password: PasswordForm {
                current: Field::default(),
                password: Field::default(),
                again: Field::default(),
                password_min: 12,
                changed: self.t("12 Nov 2026"),
            },
            two_step,
            sessions: self.sessions(),
        }
    }

    fn account_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/account");
        let on = TwoStep::On { since: self.t("13 Nov 2026"), codes_left: 2 };
        let mut refused = self.account(TwoStep::Off { required: true });
        refused.password.current = self.wrong("a", "This is not your password.");
        refused.password.password = self.wrong("b", "12 characters at least; this has 7.");
        refused.password.again = self.wrong("c", "The two are not the same.");
        let address = "otpauth://totp/Watchpost:mara?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Watchpost";
        let enrol = |code| EnrolPage {
            address: self.t(address),
            secret: self.t("JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"),
            enrolment: self.t("e1"),
            code,
        };
        let codes = ["h4kd-9slq-27vx", "p0ae-m3zz-81kt", "c7yr-u5nb-44gw", "t2lj-x8fo-90ds", "b6mi-e1qc-35hp"];
        let codes: Vec<String> = codes.into_iter().cycle().take(10).map(|code| self.t(code)).collect();
        let ask = |page: ConfirmPage| page.render(&shell);
        vec![
            ("account", self.account(on).render(&shell)),
            ("account-off", self.account(TwoStep::Off { required: false }).render(&shell)),
            ("account-refused", refused.render(&shell)),
            ("two-step", enrol(Field::default()).render(&shell)),
            (
                "two-step-wrong",
                enrol(self.wrong("123456", "This code is wrong. The clocks may differ.")).render(&shell),
            ),
            ("recovery-codes", RecoveryCodesPage { codes, replaced: true }.render(&shell)),
            ("two-step-off", ask(ConfirmPage::two_step_off(self.wrong("x", "This is not your password.")))),
            ("new-codes", ask(ConfirmPage::new_recovery_codes(Field::default()))),
            ("sign-out", ask(ConfirmPage::sign_out(&self.t("/account")))),
        ]
    }

    fn token_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/account/tokens");
        let row = |id, name, scopes: &[&str], last_used, expires, state| TokenRow {
            id: self.t(id),
            name: self.t(name),
            prefix: self.t("wp_4fT9…"),
            scopes: scopes.iter().map(|scope| self.t(scope)).collect(),
            created: self.t("12 Nov 2026"),
            expires: self.t(expires),
            last_used: self.t(last_used),
            state,
        };
        let rows = vec![
            row("1", "ci", &["metrics:write"], "today 10:58", "2 Dec 2026", TokenState::ExpiresSoon),
            row(
                "2",
                "grafana",
                &["metrics:read", "alerts:read", "rules:read"],
                "Wed 18 Nov",
                "11 Nov 2027",
                TokenState::Active,
            ),
            row("3", "old laptop", &["admin:*"], "never", "1 Nov 2026", TokenState::Expired),
            row("4", "leaked", &["errors:read"], "3 Nov 2026", "8 Aug 2027", TokenState::Revoked),
        ];
        let form = |name, scopes_error| TokenForm {
            name,
            scopes: self.choices(
                "metrics:read",
                &[
                    ("metrics:read", "metrics:read", "query, series, labels"),
                    ("metrics:write", "metrics:write", "remote write"),
                    ("alerts:read", "alerts:read", "alerts and silences"),
                    ("alerts:write", "alerts:write", "make and end silences"),
                    ("admin:*", "admin:*", "everything"),
                ],
            ),
            scopes_error,
            expires: self.choices("365", &[("30", "30 days", ""), ("365", "1 year", ""), ("0", "never", "")]),
        };
        let made = MadeToken {
            name: self.t("ci"),
            secret: self.t("wp_4fT9bQx1Zk7LmN3pRsUvWxYz0123456789abcdefghi"),
            example: self.t("curl -H 'Authorization: Bearer wp_4fT9bQ…' https://watch.lumen.school:8443/metrics"),
        };
        let page = |list, form, made| TokensPage { list, form, made }.render(&shell);
        let refused = form(self.wrong("", "A name is needed."), self.some("Tick at least one."));
        vec![
            ("tokens", page(TokenList::Rows(rows.clone()), form(Field::default(), None), None)),
            ("tokens-made", page(TokenList::Rows(rows), form(Field::default(), None), Some(made))),
            ("tokens-empty", page(TokenList::Rows(Vec::new()), refused, None)),
            (
                "tokens-failed",
                page(TokenList::Failed(self.t("the database is locked")), form(self.field("x"), None), None),
            ),
        ]
    }

    fn user(&self) -> UserPage {
        UserPage {
            id: self.t("2"),
            name: self.t("jonas"),
            roles: self.roles("editor"),
            roles_error: None,
            password: Field::default(),
            password_min: 12,
            disabled: false,
            two_step: self.some("since 13 Nov 2026"),
            created: self.t("12 Nov 2026 by mara"),
            last_seen: self.t("3 hours ago"),
            sessions: self.sessions(),
            tokens: 2,
            you: false,
            last_admin: false,
        }
    }

    fn user_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/settings/users");
        let row = |id, name, role, disabled, two_step, last_seen, you| UserRow {
            id: self.t(id),
            name: self.t(name),
            role: self.t(role),
            disabled,
            two_step,
            last_seen: self.t(last_seen),
            sessions: 2,
            you,
        };
        let rows = vec![
            row("1", "mara", "Admin", false, true, "now", true),
            row("2", "jonas", "Editor", false, true, "3 hours ago", false),
            row("3", "ines@lumen.school", "Viewer", false, false, "Wed 18 Nov 19:02", false),
            row("4", "tom", "Viewer", true, false, "never", false),
        ];
        let new = |name, password, roles_error| NewUserPage {
            name,
            password,
            roles: self.roles("viewer"),
            roles_error,
            password_min: 12,
        };
        let refused = new(
            self.wrong("mara", "There is a user of this name already."),
            self.wrong("", "12 characters at least; this has 5."),
            self.some("Take one of the three."),
        );
        let disabled = UserPage { disabled: true, two_step: None, sessions: Vec::new(), ..self.user() };
        let mut last = UserPage { you: true, last_admin: true, ..self.user() };
        last.roles_error = self.some("There must be an administrator.");
        last.password = self.wrong("", "This holds the user's name.");
        let consequence = self.t("2 sessions and 2 tokens end with it. What jonas did stays in the audit log.");
        let delete = ConfirmPage::delete_user(&self.t("2"), &self.t("jonas"), &consequence);
        vec![
            ("users", UsersPage { list: UserList::Rows(rows) }.render(&shell)),
            ("users-empty", UsersPage { list: UserList::Rows(Vec::new()) }.render(&shell)),
            (
                "users-failed",
                UsersPage { list: UserList::Failed(self.t("the database does not answer")) }.render(&shell),
            ),
            ("user-new", new(Field::default(), Field::default(), None).render(&shell)),
            ("user-new-refused", refused.render(&shell)),
            ("user", self.user().render(&shell)),
            ("user-disabled", disabled.render(&shell)),
            ("user-last-admin", last.render(&shell)),
            ("user-delete", delete.render(&shell)),
        ]
    }

    fn audit_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/settings/audit");
        let row = |time, actor, by, action, object, outcome, detail| AuditRow {
            time: self.t(time),
            day: self.t("Fri 20 Nov"),
            actor: self.t(actor),
            by: self.t(by),
            action: self.t(action),
            object: self.t(object),
            address: self.t("10.0.3.14"),
            outcome,
            detail: self.t(detail),
        };
        let rows = vec![
            row("10:58:12", "mara", "session", "user.update", "jonas", Outcome::Done, "role: viewer → editor"),
            row("10:57:40", "jonas", "session", "user.delete", "tom", Outcome::Refused, "needs admin"),
            row(
                "10:46:31",
                "ci",
                "token",
                "config.reload",
                "",
                Outcome::Failed,
                "prometheus.yml:31:5 unknown key `scrape_intervall`",
            ),
            row("10:31:07", "admin", "command line", "user.create", "mara", Outcome::Done, ""),
            row("08:31:02", "mara", "", "session.create", "", Outcome::Done, "Firefox on Linux"),
        ];
        let filter = |problem, active| AuditFilter {
            actor: if active { self.t("mara") } else { String::new() },
            actions: self.choices("", &[("", "Any action", ""), ("user.update", "user.update", "")]),
            results: self.choices("", &[("", "Any result", ""), ("refused", "refused", "")]),
            from: if active { self.t("2026-11-20") } else { String::new() },
            to: if active { self.t("2026-11-21") } else { String::new() },
            problem,
            active,
        };
        let page = |filter, list, older, newer| AuditPage { filter, list, older, newer }.render(&shell);
        let problem = self.some("From: write 2026-11-20 or 2026-11-20 10:00.");
        vec![
            (
                "audit",
                page(
                    filter(None, false),
                    AuditList::Rows(rows),
                    self.some("/settings/audit?before=91"),
                    self.some("/settings/audit?after=95"),
                ),
            ),
            ("audit-empty", page(filter(problem, true), AuditList::Rows(Vec::new()), None, None)),
            ("audit-new", page(filter(None, false), AuditList::Rows(Vec::new()), None, None)),
            ("audit-failed", page(filter(None, false), AuditList::Failed(self.t("disk I/O error")), None, None)),
        ]
    }

    fn settings_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/settings");
        let row = |key, value, source| SettingRow { key: self.t(key), value: self.t(value), source };
        let group = |name, rows| SettingGroup { name: self.t(name), rows };
        let groups = vec![
            group(
                "server",
                vec![
                    row("server.listen", "[\"0.0.0.0:8443\"]", Source::Flag(self.t("--listen"))),
                    row("server.external_url", "https://watch.lumen.school", Source::File(self.t("watchpost.yml:3"))),
                    row("server.tls.mode", "auto", Source::Default),
                ],
            ),
            group(
                "auth",
                vec![row("auth.session.idle", "12h", Source::Default), row("auth.enabled", "true", Source::Default)],
            ),
            group(
                "storage",
                vec![
                    row("storage.path", "/data", Source::Environment(self.t("WATCHPOST_STORAGE__PATH"))),
                    row(
                        "storage.metadata",
                        "postgres://watchpost:<secret>@db/watchpost",
                        Source::File(self.t("watchpost.yml:9")),
                    ),
                ],
            ),
        ];
        let problem = |place, text, refused| ConfigProblem { place: self.t(place), text: self.t(text), refused };
        let reload = |problems| Reload {
            at: self.t("10:31:07, 31 minutes ago"),
            cause: self.t("by mara"),
            files: vec![self.t("watchpost.yml"), self.t("prometheus.yml")],
            problems,
        };
        let versions = vec![
            self.fact("Watchpost", "0.1.0 (7cbb884)"),
            self.fact("Built", "20 Nov 2026 with Rust 1.95"),
            self.fact("Metadata", "SQLite 3.50"),
            self.fact("System", "Linux 6.8, x86_64"),
        ];
        let refused = vec![
            problem("prometheus.yml:31:5", "unknown key `scrape_intervall`, did you mean scrape_interval?", true),
            problem("prometheus.yml:40:3", "`remote_read` is known and not supported", false),
        ];
        let page = |reload, groups, only_set| {
            SettingsPage { reload, groups, versions: versions.clone(), only_set, may_reload: true }.render(&shell)
        };
        vec![
            ("settings", page(reload(Vec::new()), groups.clone(), true)),
            ("settings-refused", page(reload(refused), groups, false)),
            ("settings-defaults", page(Reload { files: Vec::new(), ..reload(Vec::new()) }, Vec::new(), true)),
        ]
    }

    fn frame_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/palette");
        let crumbs = vec![Crumb { label: self.t("Settings"), href: self.t("/settings") }];
        let any = ConfirmPage {
            question: self.t("Delete the token ci?"),
            consequence: self.t("What uses it stops working."),
            action: self.t("/account/tokens/revoke"),
            fields: vec![("token".to_owned(), self.t("1"))],
            password: Some(self.field("x")),
            verb: self.t("Revoke"),
            destructive: true,
            keep: self.t("Keep it"),
            back: self.t("/account/tokens"),
            crumbs,
            current: self.t("/account/tokens"),
        };
        vec![
            ("palette", PalettePage { query: self.t("audit") }.render(&shell)),
            ("palette-nothing", PalettePage { query: self.t("no such page") }.render(&shell)),
            ("keyboard", KeyboardPage.render(&shell)),
            ("components", ComponentsPage.render(&shell)),
            ("confirm", any.render(&shell)),
        ]
    }

    fn failed_pages(&self) -> Vec<Sample> {
        let names = [
            (400, "failed-400"),
            (403, "failed-403"),
            (404, "failed-404"),
            (405, "failed-405"),
            (413, "failed-413"),
            (429, "failed-429"),
            (500, "failed-500"),
            (503, "failed-503"),
        ];
        let signed_in = self.shell("/nowhere");
        let pages = names.map(|(status, name)| {
            let page = FailedPage {
                status: StatusCode::from_u16(status).unwrap_or_default(),
                title: if status == 403 { self.t("You may not delete users") } else { String::new() },
                detail: if status == 404 { self.t("There is no user 17.") } else { String::new() },
                request_id: self.t("5c9d0e3a00000041"),
                retry_after: if status == 429 { self.t("40 seconds") } else { String::new() },
            };
            (name, page.render(&signed_in))
        });
        let outside = FailedPage::new(StatusCode::NOT_FOUND).render(&self.outside());
        pages.into_iter().chain([("failed-outside", outside)]).collect()
    }
}
