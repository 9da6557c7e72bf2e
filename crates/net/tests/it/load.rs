//! Many at once: floods of resets, and thousands who do nothing.

use std::process::Stdio;

use net::door::DoorSettings;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::*;

#[tokio::test]
async fn a_flood_of_resets_gets_goaway_and_others_are_served() {
    let door = Running::plain(Limits::default()).await;
    let mut flood = JoinSet::new();
    for _ in 0..4 {
        let stream = door.connect().await;
        flood.spawn(async move {
            let (mut sender, connection) = h2::client::handshake(stream).await.expect("h2");
            let mut driving = JoinSet::new();
            driving.spawn(connection);
            let mut sent = 0;
            loop {
                let Ok(ready) = sender.ready().await else { break };
                sender = ready;
                let request = Request::get("http://x/hello").body(()).expect("a request");
                let Ok((_, mut stream)) = sender.send_request(request, true) else { break };
                stream.send_reset(h2::Reason::CANCEL);
                sent += 1;
                // Nothing above waits, and what is sent must also reach the wire.
                if sent % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            driving.join_next().await.expect("driven").expect("no panic")
        });
    }
    while !flood.is_empty() {
        let answer = door.raw("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("tls false."), "{answer}");
        while let Some(ended) = flood.try_join_next() {
            let error = ended.expect("no panic").expect_err("the door ends it");
            // The reset of the socket may overtake the frame that says why.
            let told = error.is_go_away() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
            assert!(told || error.is_io(), "{error}");
        }
    }
    until("counted", || door.stats.protocol_errors.get() == 4).await;
    until("nothing is left", || door.stats.in_flight.get() == 0).await;
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = text.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4096
}

/// The other process of the tests below: it opens connections, makes one request on each, and holds them until its
/// input ends. In a process of its own, so that memory and descriptors of the two sides do not add up.
#[test]
fn holder_of_idle_connections() {
    let Ok(order) = std::env::var("NET_TEST_HOLD") else { return };
    let mut words = order.split(' ');
    let address: SocketAddr = words.next().expect("an address").parse().expect("an address");
    let count: usize = words.next().expect("a count").parse().expect("a number");
    let ca_file = words.next().filter(|path| !path.is_empty());
    let config = ca_file.map(|path| crate::tls::holder_config(Path::new(path)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let mut plain = Vec::new();
        let mut secure = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.expect("accepted");
            let ask = b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
            if let Some(config) = &config {
                let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
                let mut stream =
                    tokio_rustls::TlsConnector::from(Arc::clone(config)).connect(name, stream).await.expect("tls");
                stream.write_all(ask).await.expect("written");
                read_until(&mut stream, "true.").await;
                secure.push(stream);
            } else {
                stream.write_all(ask).await.expect("written");
                read_until(&mut stream, "false.").await;
                plain.push(stream);
            }
        }
        println!("\nholding {count}");
        let mut end = String::new();
        let _end = tokio::io::stdin().read_to_string(&mut end).await;
    });
}

async fn idle(name: &str, door: Running, ca_file: &str, count: usize) {
    let before = resident();
    let mut holder = tokio::process::Command::new(std::env::current_exe().expect("ourselves"))
        .args(["--exact", "load::holder_of_idle_connections", "--nocapture"])
        .env("NET_TEST_HOLD", format!("{} {count} {ca_file}", door.address))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(holder.stdout.take().expect("piped")).lines();
    let expected = format!("holding {count}");
    while lines.next_line().await.expect("readable").expect("it does not end before") != expected {}
    assert_eq!(door.stats.open.get(), count as u64);
    let grown = resident().saturating_sub(before);
    println!("{name}: {count} idle connections, {} bytes of resident memory each", grown / count as u64);
    // The promise is 50 KiB each; the allowance is for the tests that run beside this one.
    assert!(grown < count as u64 * 50 * 1024 + NEIGHBOURS_BYTES, "{name}: {grown} bytes for {count} connections");
    for _ in 0..20 {
        let answer = door.raw("GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("tls false."), "{answer}");
    }
    drop(holder.stdin.take());
    holder.wait().await.expect("ended");
    until("all are gone", || door.stats.open.get() == 0).await;
}

fn roomy() -> DoorSettings {
    let limits = Limits {
        connections_max: 20_000,
        connections_per_address_max: 20_000,
        keep_alive_idle: Duration::from_secs(600),
        ..Limits::default()
    };
    DoorSettings { limits, ..DoorSettings::default() }
}

/// What other tests of this process may use meanwhile; a deep run has ten times as much to lose.
const NEIGHBOURS_BYTES: u64 = 32 * 1024 * 1024;

/// Both kinds in one test: memory is that of the process, and tests run side by side.
#[tokio::test]
async fn idle_connections_cost_little_and_keep_nobody_waiting() {
    let count = if is_deep() { 10_000 } else { 250 };
    idle("plain", Running::start(DoorKind::Plain, None, roomy()).await, "", count).await;
    let folder = Folder::new("idle");
    let tls = crate::tls::auto_now(&folder);
    let door = Running::start(DoorKind::Tls, Some(tls), roomy()).await;
    let ca_file = folder.path("tls/ca.crt").display().to_string();
    idle("tls", door, &ca_file, count).await;
}
