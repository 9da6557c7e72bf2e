//! `watchpost.yml`, the environment and flags become one configuration, or a list of what is wrong with them.

use appliance::config::load::{FlagValue, Sources, load};
use appliance::config::{Config, LogLevel, Settings, TlsMode};

use tests::folder::Folder;

fn from_text(text: &str) -> Result<Config, String> {
    let folder = Folder::new("appliance");
    let file = folder.write("watchpost.yml", text);
    let folder = folder.path().display().to_string();
    let sources = Sources { file: Some(file), ..Sources::default() };
    load(&sources).map_err(|problems| problems.to_string().replace(&format!("{folder}/"), ""))
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let problems = from_text(text).expect_err(text);
    for line in expected {
        assert!(problems.contains(line), "expected {line:?} in:\n{problems}");
    }
}

fn flag(flag: &'static str, key: &'static str, text: &str, adds: bool) -> FlagValue {
    FlagValue { flag, key, text: text.to_owned(), adds }
}

#[test]
fn without_any_file_the_defaults_hold() {
    let config = load(&Sources::default()).expect("defaults are right");
    assert_eq!(config.settings, Settings::default());
    assert_eq!(config.settings.server.listen[0].value.to_string(), "0.0.0.0:8443");
    assert_eq!(config.settings.limits.http.connections, 4096);
    assert!(config.origins.is_empty() && config.warnings.is_empty());
}

#[test]
fn all_problems_are_reported_at_once_with_their_place() {
    refused(
        "server:\n  listen: 127.0.0.1\n  tls: {mode: sometimes}\nlimits:\n  http: {connections: 0}\nserv: 1\n",
        &[
            "watchpost.yml:2:11: server.listen",
            "watchpost.yml:3:15: server.tls.mode: expected one of auto, files, off, acme",
            "watchpost.yml:5:23: limits.http.connections",
            "watchpost.yml:6:1: ",
        ],
    );
}

#[test]
fn a_key_that_is_not_built_yet_is_refused_by_name() {
    refused(
        "alertmanager: ./alertmanager.yml\n",
        &["watchpost.yml:1:15", "`alertmanager` is not supported by this version yet"],
    );
    refused("self: {dead_man: {url: x}}\n", &["`self.dead_man` is not supported by this version yet"]);
    refused("server: {tls: {mode: acme}}\n", &["mode acme is not built yet"]);
}

#[test]
fn a_listener_that_others_can_reach_is_refused_while_there_is_no_login() {
    for address in ["0.0.0.0:8443", ":8080", "10.0.0.1:80"] {
        let text = |login| format!("auth: {{enabled: {login}}}\nserver: {{http_listen: ['{address}']}}\n");
        refused(&text(false), &[address, "auth.enabled is false"]);
        from_text(&text(true)).expect("login guards it");
    }
    // Also the default, where somebody wrote it.
    refused("auth: {enabled: false}\nserver: {listen: ['0.0.0.0:8443']}\n", &["watchpost.yml:2:19", "0.0.0.0:8443"]);
    let text = "auth: {enabled: false}\nserver: {listen: ['127.0.0.1:1', '[::1]:2', 'localhost:3']}\n";
    from_text(text).expect("loopback is fine");
    let quiet = from_text("auth: {enabled: false}\n").expect("and the default is on loopback then");
    assert_eq!(quiet.settings.server.listen[0].value.to_string(), "127.0.0.1:8443");
}

#[test]
fn login_is_on_and_its_limits_are_bounded() {
    let auth = load(&Sources::default()).expect("defaults are right").settings.auth;
    assert!(auth.enabled);
    assert_eq!((auth.session.idle.as_secs(), auth.session.max.as_secs()), (43_200, 604_800));
    assert_eq!(auth.password.min_length, 12);
    let text = "auth: {enabled: false, session: {idle: 1h, max: 1d}, password: {min_length: 15}}\n";
    let auth = from_text(text).expect("all are right").settings.auth;
    assert!(!auth.enabled);
    assert_eq!((auth.session.idle.as_secs(), auth.session.max.as_secs()), (3_600, 86_400));
    refused(
        "auth:\n  session: {idle: 5s, max: 2y}\n  password: {min_length: 7}\n",
        &["watchpost.yml:2:19", "watchpost.yml:2:28", "expected 1m to 1y", "watchpost.yml:3:26"],
    );
    refused("auth: {session: {idle: 8d}}\n", &["expected at most max"]);
    refused("auth: {oidc: {}}\n", &["auth: unknown key \"oidc\""]);
}

#[test]
fn files_mode_needs_its_files_and_the_others_do_not_take_them() {
    refused("server: {tls: {mode: files, cert_file: a.pem}}\n", &["expects both cert_file and key_file"]);
    refused("server: {tls: {key_file: a.pem}}\n", &["read in mode files only"]);
    let config = from_text("server: {tls: {mode: files, cert_file: a.pem, key_file: b.pem}}\n").expect("complete");
    assert_eq!(config.settings.server.tls.mode, TlsMode::Files);
}

#[test]
fn a_relative_path_resolves_against_the_file_it_stands_in() {
    let folder = Folder::new("appliance");
    let file = folder.write("watchpost.yml", "storage: {path: ./here}\n");
    let config = load(&Sources { file: Some(file), ..Sources::default() }).expect("it is right");
    let path = &config.settings.storage.path;
    assert_eq!(path.place.resolve(&path.value), folder.path().join("./here"));
}

#[test]
fn variables_are_filled_in_with_their_default_and_secrets_from_files() {
    let folder = Folder::new("appliance");
    folder.write("dsn", "https://key@host/1\n");
    let text =
        "telemetry:\n  sentry_dsn: ${file:dsn}\n  log: {level: '${LEVEL:-debug}'}\nstorage: {path: '${HERE}/data'}\n";
    let file = folder.write("watchpost.yml", text);
    let environment = vec![("HERE".to_owned(), "/srv".to_owned())];
    let config = load(&Sources { file: Some(file), environment, ..Sources::default() }).expect("all are set");
    assert_eq!(config.settings.telemetry.sentry_dsn.expose(), "https://key@host/1");
    assert_eq!(config.settings.telemetry.log.level, LogLevel::Debug);
    assert_eq!(config.settings.storage.path.value.to_str(), Some("/srv/data"));

    refused("storage: {path: '${NOT_SET}'}\n", &["watchpost.yml:1:17", "NOT_SET"]);
    refused("telemetry: {sentry_dsn: '${file:missing}'}\n", &["watchpost.yml:1:25", "missing"]);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let folder = Folder::new("appliance");
    let file = folder.write(
        "watchpost.yml",
        "storage: {path: file}\ntelemetry: {log: {level: warn}}\nserver: {listen: ['127.0.0.1:1']}\n",
    );
    let variables = [
        ("WATCHPOST_STORAGE__PATH", "environment"),
        ("WATCHPOST_TELEMETRY__LOG__LEVEL", "error"),
        ("WATCHPOST_SERVER__HTTP_LISTEN", "127.0.0.1:5,127.0.0.1:6"),
        ("WATCHPOST_PORT", "tcp://10.0.0.1:80"),
        ("WATCHPOST_ADMIN_PASSWORD", "not a setting"),
        ("HOME", "/root"),
    ];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let flags = vec![
        flag("data", "storage.path", "flag", false),
        flag("listen", "server.listen", "127.0.0.1:2", true),
        flag("listen", "server.listen", "127.0.0.1:3", true),
    ];
    let config = load(&Sources { file: Some(file), environment, flags, ..Sources::default() }).expect("all are right");
    let shown = |items: &[yaml::Spanned<appliance::config::address::ListenAddr>]| {
        items.iter().map(|item| item.value.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(config.settings.storage.path.value.to_str(), Some("flag"));
    assert_eq!(config.settings.telemetry.log.level, LogLevel::Error);
    assert_eq!(shown(&config.settings.server.listen), ["127.0.0.1:2", "127.0.0.1:3"]);
    assert_eq!(shown(&config.settings.server.http_listen), ["127.0.0.1:5", "127.0.0.1:6"]);

    let origin = |path: &str| config.origins.iter().find(|(known, _)| known == path).map(|(_, origin)| origin.as_str());
    assert_eq!(origin("storage.path"), Some("flag --data"));
    assert_eq!(origin("telemetry.log.level"), Some("environment variable WATCHPOST_TELEMETRY__LOG__LEVEL"));
    assert_eq!(config.warnings, ["environment variable WATCHPOST_PORT is not a setting and has no effect"]);
}

#[test]
fn a_plain_listener_of_prometheus_replaces_the_default_one() {
    let flags = vec![flag("web.listen-address", "server.http_listen", "127.0.0.1:9090", true)];
    let sources = Sources { flags: flags.clone(), plain_replaces_default: true, ..Sources::default() };
    assert!(load(&sources).expect("right").settings.server.listen.is_empty());

    let mut with_own = flags;
    with_own.push(flag("listen", "server.listen", "127.0.0.1:8443", true));
    let sources = Sources { flags: with_own, plain_replaces_default: true, ..Sources::default() };
    assert_eq!(load(&sources).expect("right").settings.server.listen.len(), 1);
}

#[test]
fn a_wrong_value_of_the_environment_or_a_flag_names_its_source() {
    let environment = vec![("WATCHPOST_LIMITS__HTTP__CONNECTIONS".to_owned(), "many".to_owned())];
    let flags = vec![flag("tls", "server.tls.mode", "never", false)];
    let problems = load(&Sources { environment, flags, ..Sources::default() }).expect_err("both are wrong").to_string();
    assert!(problems.contains("environment variable WATCHPOST_LIMITS__HTTP__CONNECTIONS"), "{problems}");
    assert!(problems.contains("flag --tls"), "{problems}");
}

#[test]
fn included_files_are_merged_and_a_scalar_given_twice_is_an_error() {
    let folder = Folder::new("appliance");
    folder.write("a.inc.yml", "server: {trusted_proxies: [10.0.0.0/8]}\n");
    folder.write("b.inc.yml", "server: {trusted_proxies: [192.168.0.1]}\ntelemetry: {log: {format: json}}\n");
    let file = folder.write("watchpost.yml", "include: ['*.inc.yml']\nserver: {trusted_proxies: ['::1']}\n");
    let config = load(&Sources { file: Some(file.clone()), ..Sources::default() }).expect("they fit together");
    let proxies: Vec<String> = config.settings.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["::1/128", "10.0.0.0/8", "192.168.0.1/32"]);
    assert_eq!(config.files.len(), 3);

    folder.write("c.inc.yml", "telemetry: {log: {format: text}}\n");
    let problems = load(&Sources { file: Some(file), ..Sources::default() }).expect_err("given twice").to_string();
    assert!(problems.contains("c.inc.yml:1:") && problems.contains("b.inc.yml:2:"), "{problems}");

    refused("include: [missing.yml]\n", &["watchpost.yml:1:11", "does not exist"]);
}

#[test]
fn a_file_that_was_asked_for_must_exist_and_the_default_one_need_not() {
    let folder = Folder::new("appliance");
    let missing = folder.path().join("watchpost.yml");
    let asked = Sources { file: Some(missing.clone()), ..Sources::default() };
    let problems = load(&asked).expect_err("it is not there").to_string();
    assert!(problems.contains("watchpost.yml") && problems.contains("cannot be read"), "{problems}");
    load(&Sources { default_file: Some(missing), ..Sources::default() }).expect("defaults");
}

#[test]
fn the_prometheus_file_is_read_with_the_rest() {
    let folder = Folder::new("appliance");
    folder.write("sub/prometheus.yml", "scrape_configs: [{job_name: a, consul_sd_configs: [{}]}]\n");
    let file = folder.write("watchpost.yml", "prometheus: sub/prometheus.yml\n");
    let sources = Sources { file: Some(file), ..Sources::default() };
    let config = load(&sources).expect("it is right");
    assert_eq!(config.prometheus.as_ref().map(|prometheus| prometheus.jobs.len()), Some(1));
    assert!(config.warnings[0].contains("consul_sd_configs is not supported"), "{:?}", config.warnings);
    assert_eq!(config.files.len(), 2);

    folder.write("sub/prometheus.yml", "scrape_configs: [{job_name: ''}]\n");
    let problems = load(&sources).expect_err("a job needs a name").to_string();
    assert!(problems.contains("prometheus.yml:1:19: ") && problems.contains("job_name is empty"), "{problems}");
}

/// Puts a canary into every secret of the schema and looks for it wherever the configuration is shown.
#[test]
fn no_secret_of_the_schema_is_ever_shown() {
    const CANARY: &str = "canary-7f3a";
    let secrets: Vec<String> =
        yaml::schema::entries::<Settings>().into_iter().filter(|entry| entry.secret).map(|entry| entry.path).collect();
    assert!(secrets.contains(&"telemetry.sentry_dsn".to_owned()), "{secrets:?}");
    for path in &secrets {
        let keys: Vec<&str> = path.split('.').collect();
        let indented = |value: &str| {
            let mut text = String::new();
            for (depth, key) in keys.iter().enumerate() {
                text.push_str(&format!("{}{key}:", "  ".repeat(depth)));
                text.push_str(if depth + 1 == keys.len() { " " } else { "\n" });
            }
            text + value + "\n"
        };
        let config = from_text(&indented(CANARY)).expect("a text is a secret");
        let shown = format!("{}{config:?}{:?}", config.redacted(), config.settings);
        assert!(!shown.contains(CANARY), "{path} is shown:\n{shown}");

        // Wrong in every way it can be wrong, the message must not repeat it either.
        for wrong in [format!("[{CANARY}]"), format!("{{{CANARY}: {CANARY}}}"), format!("${{{CANARY}")] {
            if let Err(problems) = from_text(&indented(&wrong)) {
                assert!(!problems.contains(CANARY), "{path}: {problems}");
            }
        }
    }
}

/// The guide's table of keys is made from the schema; `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_guide_lists_every_key() {
    const BEGIN: &str = "<!-- keys: made from the schema -->\n";
    const END: &str = "<!-- end of keys -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/configuration.md");
    let page = std::fs::read_to_string(path).expect("the guide exists");
    let (before, rest) = page.split_once(BEGIN).expect("the guide marks where the keys begin");
    let (_, after) = rest.split_once(END).expect("and where they end");
    let made = format!("{before}{BEGIN}{}{END}{after}", yaml::schema::markdown::<Settings>());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, made).expect("the guide is writable");
        return;
    }
    assert_eq!(page, made, "docs/guide/configuration.md is out of date: run this test with UPDATE_DOCS=1");
}
