//! Settings of `watchpost.yml` that reach through the whole binary: what is written there is what a caller meets.

use std::fmt::Write as _;

use tests::postgres::{PASSWORD, Postgres};
use tests::server::{Server, Start};

/// What stands between two words of a line of the log.
fn between<'t>(text: &'t str, before: &str, after: char) -> Option<&'t str> {
    text.split_once(before)?.1.split(after).next()
}

#[test]
fn metadata_kept_in_postgresql_outlives_the_process_and_its_password_is_never_shown() {
    let Some(postgres) = Postgres::shared() else { return };
    let url = postgres.database("wiring_metadata");
    let config = format!("storage: {{metadata: '{url}'}}\ntelemetry: {{log: {{level: trace}}}}\n");
    let mut instances = Vec::new();
    let mut seen = String::new();
    for _ in 0..2 {
        let server = Server::start(&Start { config: Some(&config), ..Start::default() });
        assert!(!server.folder().path().join("data/watchpost.db").exists(), "nothing is kept in SQLite");
        let health = server.get("/health").body;
        assert!(health.contains("postgres"), "{health}");
        write!(seen, "{health}{}", server.get("/metrics").body).expect("a string takes everything");
        let (status, _, log) = server.stop();
        assert!(status.success(), "{log}");
        instances.push(between(&log, "instance=", ' ').expect("it says which instance it is").to_owned());
        seen.push_str(&log);
    }
    assert_eq!(instances[0], instances[1], "the same installation");
    assert!(!seen.contains(PASSWORD), "{seen}");
}

#[test]
fn a_metadata_database_that_is_not_there_is_named_without_its_password() {
    let config = "storage: {metadata: 'postgres://me:hush-hush@127.0.0.1:9/none'}\n";
    let (status, log) = Server::spawn(&Start { config: Some(config), ..Start::default() }).wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("the metadata store cannot be opened") && log.contains("127.0.0.1:9"), "{log}");
    assert!(!log.contains("hush-hush"), "{log}");
}

#[test]
fn every_line_of_a_json_log_is_an_object_with_time_level_and_message() {
    let config = "telemetry: {log: {level: debug, format: json}}\n";
    let server = Server::start(&Start { config: Some(config), ..Start::default() });
    // A path with quotes and a line break in it must not break out of its field.
    server.request("GET", "/%22%0a{}", &[("User-Agent", "\"}\t{")], "");
    let (_, _, log) = server.stop();
    let mut answered = 0;
    for line in log.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(object[field].is_string(), "{field}: {line}");
        }
        answered += usize::from(object["message"] == "answered" && object["span"]["id"].is_string());
    }
    assert!(answered > 0, "requests are among them:\n{log}");
}

#[test]
fn only_a_trusted_proxy_speaks_for_its_client() {
    let trusting = "server: {trusted_proxies: [127.0.0.0/8]}\n";
    // What the proxy says, whether the details of /health are for such a client, with and without trust.
    let cases = [
        (("X-Forwarded-For", "203.0.113.7"), false, false),
        (("X-Forwarded-For", "127.0.0.1"), true, false),
        (("X-Forwarded-For", "203.0.113.7, 127.0.0.1"), false, false),
        (("X-Forwarded-For", "rubbish"), false, false),
        (("Forwarded", "for=203.0.113.7"), false, false),
        (("Forwarded", "for=\"[2001:db8::1]:4711\""), false, false),
        (("X-Forwarded-Proto", "https"), true, true),
    ];
    let with = Server::start(&Start { config: Some(trusting), ..Start::default() });
    let without = Server::start(&Start::default());
    for (header, trusted, untrusted) in cases {
        for (server, expected) in [(&with, trusted), (&without, untrusted)] {
            let body = server.request("GET", "/health", &[header], "").body;
            assert_eq!(body.contains("\"checks\""), expected, "{header:?}: {body}");
        }
    }
}

#[test]
fn a_client_authority_that_is_none_stops_the_start_by_name() {
    let folder = std::sync::Arc::new(tests::folder::Folder::new("client-ca"));
    folder.write("clients.pem", "no certificate at all\n");
    let config = "server: {tls: {client_ca_file: clients.pem}}\n";
    let start = Start { config: Some(config), folder: Some(std::sync::Arc::clone(&folder)), ..Start::default() };
    let (status, log) = Server::spawn(&start).wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("clients.pem"), "{log}");

    // Our own authority will do: who shows nothing is served, as the certificate is optional.
    let first = Server::start(&Start { folder: Some(std::sync::Arc::clone(&folder)), config: Some(""), ..start });
    let authority = first.get("/ca.crt").body;
    drop(first);
    folder.write("clients.pem", &authority);
    let server = Server::start(&Start { config: Some(config), folder: Some(folder), ..Start::default() });
    assert_eq!(server.get("/live").status, 200);
}

#[test]
fn a_listener_beyond_loopback_is_refused_by_name_while_there_is_no_login() {
    let config = "server: {http_listen: ['0.0.0.0:0']}\n";
    let (status, log) = Server::spawn(&Start { config: Some(config), ..Start::default() }).wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("watchpost.yml:1:24") && log.contains("0.0.0.0:0"), "{log}");
}
