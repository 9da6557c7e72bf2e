//! The schema: what is refused with which words, what is hidden, what loads.

use super::*;

#[track_caller]
fn refused(text: &str, why: &str) {
    let problems = yaml::from_str::<HttpConfig>("a.yml", text).expect_err(text).to_string();
    assert!(problems.contains(why), "{text}\n  gives {problems}\n  wanted {why}");
    assert!(problems.contains("a.yml:"), "a place: {problems}");
}

#[test]
fn what_prometheus_refuses_is_refused_in_its_words() {
    for (text, why) in [
        ("bearer_token: a\nbearer_token_file: b", "at most one of bearer_token & bearer_token_file must be configured"),
        (
            "basic_auth: {username: a}\nbearer_token: b",
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
        ),
        (
            "basic_auth: {username: a, username_file: b}",
            "at most one of basic_auth username, username_file & username_ref must be configured",
        ),
        (
            "basic_auth: {password: a, password_file: b}",
            "at most one of basic_auth password, password_file & password_ref must be configured",
        ),
        (
            "authorization: {credentials: a}\nbearer_token: b",
            "authorization is not compatible with bearer_token & bearer_token_file",
        ),
        (
            "authorization: {credentials: a, credentials_file: b}",
            "at most one of authorization credentials & credentials_file must be configured",
        ),
        (
            "authorization: {type: ' Basic '}",
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
        ),
        (
            "authorization: {credentials: a}\nbasic_auth: {username: a}",
            "at most one of basic_auth, oauth2 & authorization must be configured",
        ),
        ("oauth2: {token_url: 'http://a'}", "oauth2 client_id must be configured"),
        ("oauth2: {client_id: a}", "oauth2 token_url must be configured"),
        (
            "oauth2: {client_id: a, token_url: 'http://a', client_secret: a, client_secret_file: b}",
            "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured",
        ),
        ("tls_config: {ca: a, ca_file: b}", "at most one of ca, ca_file & ca_ref must be configured"),
        ("tls_config: {cert_file: b}", "exactly one of key or key_file must be configured when a client certificate"),
        ("tls_config: {key_file: b}", "exactly one of cert or cert_file must be configured when a client key"),
        ("tls_config: {min_version: TLS13, max_version: TLS12}", "max_version is below min_version TLS13"),
        ("tls_config: {min_version: TLS14}", "expected one of TLS13, TLS12, TLS11, TLS10"),
        ("no_proxy: a", "if no_proxy is configured, proxy_url must also be configured"),
        (
            "proxy_from_environment: true\nproxy_url: http://a",
            "if proxy_from_environment is configured, proxy_url must not be configured",
        ),
        (
            "proxy_connect_header: {a: [b]}",
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        ),
        ("http_headers: {x-prometheus-remote-write-version: {values: [a]}}", "X-Prometheus-Remote-Write-Version"),
        ("http_headers: {authorization: {values: [a]}}", "setting header \"Authorization\" is not allowed"),
        ("http_headers: {'a b': {values: [a]}}", "\"a b\" is not a valid header name"),
        ("proxy_url: 1.2.3.4:8080", "first path segment in URL cannot contain colon"),
        ("bearer: a", "unknown key \"bearer\""),
    ] {
        refused(text, why);
    }
}

#[test]
fn secrets_are_hidden_and_everything_else_reads_back() {
    let text = "\
basic_auth: {username: ann, password: canary1}
tls_config: {ca_file: ca.pem, key: canary2, cert: c, server_name: x, insecure_skip_verify: true, min_version: TLS10}
follow_redirects: false
enable_http2: false
proxy_url: http://u:canary3@proxy
no_proxy: a,b
proxy_connect_header: {x: [canary4]}
http_headers: {foo: {values: [bar], secrets: [canary5], files: [f]}}
";
    let config: HttpConfig = yaml::from_str("conf/a.yml", text).expect("fits");
    let shown = yaml::to_string(&config);
    assert!(!shown.contains("canary") && !format!("{config:?}").contains("canary"), "{shown}");
    let ca = config.tls_config.ca_file.as_ref().expect("given");
    assert_eq!(ca.place.resolve(&ca.value), PathBuf::from("conf/ca.pem"));
    assert!(!config.follow_redirects && !config.is_default());
    let warnings: Vec<String> = config.warnings().into_iter().map(|(at, text)| format!("{at}: {text}")).collect();
    assert_eq!(warnings, ["conf/a.yml:2:111: min_version TLS10 is not supported, TLS12 is used"]);
}

#[test]
fn nothing_said_is_the_default() {
    let config: HttpConfig = yaml::from_str("a.yml", "").expect("fits");
    assert!(config.is_default() && config.follow_redirects && config.enable_http2);
    let config: HttpConfig = yaml::from_str("a.yml", "bearer_token: ''\ntls_config: {}").expect("empty is none");
    assert!(config.warnings().is_empty());
}
