//! Reports of panics, against a listener that stands in for a Sentry server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use model::time::SystemClock;

use super::*;

const KEY: &str = "c0ffeec0ffeec0ffeec0ffeec0ffee00";
/// What a report may take to arrive on a machine that is busy.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// A request as it came: its head, and its body.
type Received = (String, String);

/// Answers every request with `status` and hands on what came.
fn fake_sentry(status: &'static str) -> (SocketAddr, Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let (came, received) = sync_channel(8);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
            let length = head.to_ascii_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).expect("the body is as long as it says");
            let _gone = write!(reader.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
            if came.send((head, String::from_utf8_lossy(&body).into_owned())).is_err() {
                return;
            }
        }
    });
    (address, received)
}

fn reports(dsn: &str) -> anyhow::Result<Option<Arc<Reports>>> {
    Reports::start(&Secret::new(dsn.to_owned()), Arc::new(SystemClock::new()))
}

#[test]
fn nothing_is_reported_without_an_address() {
    assert!(reports("").expect("empty means off").is_none());
}

#[test]
fn an_address_that_is_none_is_refused_without_being_repeated() {
    let Err(refusal) = reports("https://hush@/") else { panic!("it has no host") };
    let text = format!("{refusal:#}");
    assert!(text.starts_with("telemetry.sentry_dsn: expected https://key@host/project"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

/// One test for all that needs the process's panic hook: there is one hook.
#[tokio::test(flavor = "multi_thread")]
async fn a_caught_panic_reaches_the_configured_project_even_when_we_stop_at_once() {
    let (address, received) = fake_sentry("200 OK");
    let reports = reports(&format!("http://{KEY}@{address}/42")).expect("the address is right").expect("it is on");
    let caught = std::panic::catch_unwind(|| panic!("invariant: the sky is up"));
    assert!(caught.is_err());
    // Told to stop before it began: what is queued still goes out.
    let stop = CancellationToken::new();
    stop.cancel();
    reports.run(stop).await.expect("it ends in order");
    let (head, body) = received.recv_timeout(ARRIVES_WITHIN).expect("a report arrives");
    let lower = head.to_ascii_lowercase();
    assert!(head.starts_with("POST /api/42/envelope/ HTTP/1.1\r\n"), "{head}");
    assert!(lower.contains("content-type: application/x-sentry-envelope"), "{head}");
    assert!(lower.contains("x-sentry-auth: sentry ") && lower.contains(&format!("sentry_key={KEY}")), "{head}");
    assert!(body.contains("invariant: the sky is up") && body.contains(VERSION), "{body}");
}
