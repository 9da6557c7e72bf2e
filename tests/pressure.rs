//! The running binary under programs written to wear servers down, and under the auditor of TLS.
//!
//! What is asserted: nobody else is kept waiting, and nothing is lost. Times are printed; five times the target fails.

#![allow(clippy::disallowed_methods, reason = "a test of the real process waits in real time")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::depth;
use tests::folder::Folder;
use tests::needs::Need;
use tests::server::{Server, Start};
use tests::skip;

/// Somebody else's request while the server is under pressure: the target is half a second, this is five times that.
const WAIT_MAX: Duration = Duration::from_millis(2_500);

/// Asks again and again while `attack` runs; answers how often, and the longest wait.
fn others_meanwhile(server: &Server, attack: &mut Command) -> (usize, Duration, String) {
    let mut attack = attack.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let (mut asked, mut longest) = (0, Duration::ZERO);
    while attack.try_wait().expect("it is our child").is_none() {
        let begun = Instant::now();
        assert_eq!(server.get("/live").status, 200);
        longest = longest.max(begun.elapsed());
        asked += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = attack.wait_with_output().expect("it has ended");
    println!("{asked} requests of others, the longest took {longest:?}");
    assert!(longest < WAIT_MAX, "somebody else waited {longest:?}");
    (asked, longest, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn slow_headers_bodies_and_readers_keep_nobody_else_waiting() {
    let Some(program) = skip::program(Need::Slowhttptest) else { return };
    let connections = depth::pick(200, 4_000).to_string();
    let seconds = depth::pick(6, 40).to_string();
    let config = "limits: {http: {connections: 5000, per_address: 4500}}\n";
    let server = Server::start(&Start { config: Some(config), ..Start::default() });
    let url = format!("http://{}/metrics", server.address());
    for kind in ["-H", "-B", "-X"] {
        let mut attack = Command::new(&program);
        attack.args([kind, "-c", &connections, "-r", &connections, "-l", &seconds, "-i", "2", "-u", &url]);
        let (asked, ..) = others_meanwhile(&server, &mut attack);
        assert!(asked > 20, "{kind}: the attack lasted long enough to say something");
    }
    assert_eq!(server.get("/ready").status, 200);
}

#[test]
fn many_streams_over_tls_are_all_answered() {
    let Some(program) = skip::program(Need::H2load) else { return };
    let requests = depth::pick(2_000, 200_000).to_string();
    let server = Server::start(&Start::default());
    let url = format!("https://127.0.0.1:{}/live", server.address().port());
    let mut load = Command::new(program);
    load.args(["-n", &requests, "-c", "20", "-m", "50", &url]);
    let (_, _, report) = others_meanwhile(&server, &mut load);
    assert!(report.contains("Application protocol: h2"), "{report}");
    let answered = format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(report.contains(&answered), "{report}");
    assert!(report.contains(&format!("status codes: {requests} 2xx")), "{report}");
}

/// Findings that are so on purpose, by the auditor's id, each with its reason.
const ACCEPTED: [(&str, &str); 1] =
    [("cert_revocation", "a local authority publishes no list of revoked certificates: the leaf lives for weeks")];

#[test]
fn the_auditor_of_tls_finds_nothing_above_low() {
    let Some(program) = skip::program(Need::Testssl) else { return };
    let server = Server::start(&Start::default());
    let folder = Folder::new("testssl");
    let authority = folder.write("ca.pem", &server.get("/ca.crt").body);
    let report = folder.path().join("report.json");
    let mut audit = Command::new(program);
    audit.args(["--quiet", "--color", "0", "--warnings", "batch", "--add-ca"]).arg(authority);
    audit.arg("--jsonfile").arg(&report);
    if !depth::deep() {
        // Which versions are spoken; ciphers, certificate and known attacks take minutes and are for the deep run.
        audit.arg("--protocols");
    }
    audit.arg(format!("localhost:{}", server.address().port()));
    let output = audit.stdin(Stdio::null()).output().expect("the program starts");
    let text = fs::read_to_string(&report).unwrap_or_default();
    let findings: Vec<serde_json::Value> = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stdout)));
    assert!(findings.len() > 5, "it looked at the server: {findings:?}");
    let mut bad = Vec::new();
    for finding in &findings {
        let (id, severity) = (finding["id"].as_str().unwrap_or(""), finding["severity"].as_str().unwrap_or(""));
        match ACCEPTED.iter().find(|(accepted, _)| *accepted == id) {
            Some((_, reason)) => println!("accepted: {id} ({severity}): {reason}"),
            None if matches!(severity, "MEDIUM" | "HIGH" | "CRITICAL" | "FATAL") => bad.push(finding),
            None => {}
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
