//! HTTP as peers bend it: frames and requests written by hand, where a client library would refuse to.

use net::door::DoorSettings;

use super::*;

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET http://…/` in the static table of HPACK: method, scheme, path.
const GET_ROOT: [u8; 3] = [0x82, 0x86, 0x84];

/// RFC 9113: length (3), type, flags, stream (4).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).expect("small").to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An HTTP/2 connection spoken by hand.
struct Raw(TcpStream);

impl Raw {
    async fn open(door: &Running) -> Self {
        let mut stream = door.connect().await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.expect("written");
        Self(stream)
    }

    /// Whether the door still reads what we write.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// The reason of the GOAWAY that ends the connection; `None` where it ends without one.
    async fn reason(&mut self) -> Option<u32> {
        let mut header = [0; 9];
        let mut reason = None;
        while tokio::time::timeout(HANG, self.0.read_exact(&mut header)).await.expect("it ends").is_ok() {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let mut payload = vec![0; length];
            if self.0.read_exact(&mut payload).await.is_err() {
                break;
            }
            if header[3] == GOAWAY {
                reason = Some(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")));
            }
        }
        reason
    }
}

async fn is_served(door: &Running) {
    let answer = door.raw("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// "MadeYouReset": each stream is opened well and then broken, so that it is the server who resets it, and the
/// streams never count as open. ENHANCE_YOUR_CALM is 11.
#[tokio::test]
async fn a_peer_that_makes_us_reset_its_streams_is_sent_away() {
    let limits = Limits { h2_local_resets_max: 50, ..Limits::default() };
    let door = Running::plain(limits).await;
    let mut peer = Raw::open(&door).await;
    for at in 0..2_000 {
        let stream = at * 2 + 1;
        let mut bytes = frame(HEADERS, END_STREAM | END_HEADERS, stream, &GET_ROOT);
        // A window beyond 2^31 - 1 is an error of the stream, not of the connection.
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]));
        if !peer.send(&bytes).await {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Where the socket is reset while we still write, the frame that says why may be lost.
    let told = peer.reason().await;
    assert!(matches!(told, Some(11) | None), "{told:?}");
    until("the door ended it", || door.stats.protocol_errors.get() == 1).await;
    is_served(&door).await;
}

#[tokio::test]
async fn a_header_continued_for_ever_is_sent_away_before_it_costs_memory() {
    let door = Running::plain(Limits::default()).await;
    let mut peer = Raw::open(&door).await;
    assert!(peer.send(&frame(HEADERS, END_STREAM, 1, &GET_ROOT)).await);
    // A literal field without indexing, name "x", 100 bytes of value.
    let mut field = vec![0x00, 0x01, b'x', 100];
    field.extend([b'y'; 100]);
    let piece = frame(CONTINUATION, 0, 1, &field.repeat(100));
    let mut sent = 0_usize;
    while sent < 100_000_000 && peer.send(&piece).await {
        sent += piece.len();
    }
    assert!(sent < 100_000_000, "read {sent} bytes of one header");
    until("the door ended it", || door.stats.open.get() == 0).await;
    is_served(&door).await;
}

/// Which reason is given differs between readers of the standard; that it is not "no error" does not.
#[tokio::test]
async fn frames_that_make_no_sense_end_the_connection_with_a_reason() {
    let door = Running::plain(Limits::default()).await;
    let mut cases = 0;
    for (name, bytes) in [
        ("an even stream", frame(HEADERS, END_STREAM | END_HEADERS, 2, &GET_ROOT)),
        ("a header that cannot be unpacked", frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 8])),
        ("a frame larger than agreed", frame(HEADERS, END_HEADERS, 1, &vec![0; 20_000])),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &GET_ROOT)),
        ("a ping of the wrong size", frame(PING, 0, 0, &[0; 7])),
        ("a stream that depends on itself", frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0])),
        ("a promise by a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])),
        ("a connection window of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
    ] {
        let mut peer = Raw::open(&door).await;
        assert!(peer.send(&bytes).await, "{name}");
        cases += 1;
        let told = peer.reason().await;
        assert!(told.is_none_or(|reason| reason != 0), "{name}: {told:?}");
        until("it is ended", || door.stats.open.get() == 0).await;
    }
    assert_eq!(door.stats.accepted.get(), cases);
    assert_eq!(door.stats.requests.get(), 0, "none of them is a request");
    is_served(&door).await;
}

#[tokio::test]
async fn an_http_2_peer_gets_as_many_streams_at_once_as_agreed() {
    let limits = Limits { h2_streams_max: 3, ..Limits::default() };
    let door = Running::plain(limits).await;
    let (sender, mut connection) = h2::client::handshake(door.connect().await).await.expect("h2");
    let mut ping = connection.ping_pong().expect("once");
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    // After an answered ping our side has read the door's settings.
    ping.ping(h2::Ping::opaque()).await.expect("answered");
    let mut held = Vec::new();
    let mut sender = sender;
    for _ in 0..3 {
        sender = sender.ready().await.expect("room");
        let request = Request::get("http://x/never").body(()).expect("a request");
        held.push(sender.send_request(request, true).expect("sent"));
    }
    until("three are under way", || door.stats.in_flight.get() == 3).await;
    assert_eq!(sender.current_max_send_streams(), 3);
    let request = Request::get("http://x/hello").body(()).expect("a request");
    let (fourth, _) = sender.clone().send_request(request, true).expect("queued on our side");
    // One that is given up makes room for the next.
    let (response, mut stream) = held.pop().expect("three");
    drop(response);
    stream.send_reset(h2::Reason::CANCEL);
    assert_eq!(fourth.await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn http_1_in_all_its_ages_is_answered() {
    let door = Running::plain(Limits::default()).await;
    for (name, request, expected, absent) in [
        ("1.0 closes by itself", "GET /hello HTTP/1.0\r\n\r\n", "over HTTP/1.0, tls false.", "chunked"),
        (
            "HEAD has no body",
            "HEAD /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "content-length: 31",
            "hello",
        ),
        (
            "the absolute form",
            "GET http://a/hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "over HTTP/1.1, tls false.",
            "404",
        ),
        (
            "chunks with an extension and a trailer",
            "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 1\r\n\r\n",
            "\r\n\r\nabcde",
            "x-sum",
        ),
        (
            "a question before the body",
            "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nab",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
            "417",
        ),
    ] {
        let answer = door.raw(request).await;
        assert!(answer.contains(expected) && !answer.contains(absent), "{name}: {answer}");
    }
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let door = Running::plain(Limits::default()).await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let all = format!("{}{}GET /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", one("/slow"), one("/hello"));
    let answer = door.raw(&all).await;
    let places: Vec<_> =
        ["slow but whole.", "hello over", "no such page."].iter().map(|text| answer.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{answer}");
    assert_eq!((door.stats.accepted.get(), door.stats.requests.get()), (1, 3));
}

#[tokio::test]
async fn bodies_that_break_off_or_lie_are_errors_and_never_short_bodies() {
    let door = Running::plain(Limits::default()).await;
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\n";
    for (name, rest) in [
        ("fewer bytes than said", "content-length: 10\r\n\r\nabc"),
        ("no last chunk", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        ("a chunk of no size", "transfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n"),
        ("a chunk size beyond numbers", "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ] {
        let mut stream = door.connect().await;
        stream.write_all(format!("{head}{rest}").as_bytes()).await.expect("written");
        stream.shutdown().await.expect("our side is done");
        let answer = read_to_end(&mut stream).await;
        assert!(!answer.contains("200 OK"), "{name}: {answer}");
    }
    for coding in ["gzip", "chunked, identity", "identity"] {
        let answer = door.raw(&format!("{head}transfer-encoding: {coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{coding}: {answer}");
    }
}

#[tokio::test]
async fn changed_settings_hold_for_new_connections() {
    let listener = Listener::bind("127.0.0.1:0", DoorKind::Plain).await.expect("a port");
    let address = listener.local_addr();
    let door = Door::new(vec![listener], None, DoorSettings::default());
    assert_eq!(door.local_addrs(), [(DoorKind::Plain, address)]);
    let (settings, stats, stop) = (door.settings(), door.stats(), CancellationToken::new());
    let mut serving = JoinSet::new();
    serving.spawn(door.serve(tower::service_fn(routes), stop.clone()));
    let door = Running { address, stats, stop, serving };
    let ask = format!("GET /?{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(100));
    let mut old = door.connect().await;
    old.write_all(ask.as_bytes()).await.expect("written");
    read_until(&mut old, "no such page.").await;
    let limits = Limits { uri_bytes_max: 50, ..Limits::default() };
    settings.store(Arc::new(DoorSettings { limits, ..DoorSettings::default() }));
    assert!(door.raw(&ask).await.starts_with("HTTP/1.1 414"));
    old.write_all(ask.as_bytes()).await.expect("written");
    read_until(&mut old, "no such page.").await;
}

#[tokio::test]
async fn one_process_opens_both_doors_and_counts_them_together() {
    let folder = Folder::new("both");
    let tls = crate::tls::auto(&folder, &crate::tls::manual_clock());
    let secure = Listener::bind("127.0.0.1:0", DoorKind::Tls).await.expect("a port");
    let plain = Listener::bind("127.0.0.1:0", DoorKind::Plain).await.expect("a port");
    let (secure_at, plain_at) = (secure.local_addr(), plain.local_addr());
    let settings = DoorSettings {
        limits: Limits { connections_per_address_max: 1, ..Limits::default() },
        trusted_proxies: net::forwarded::TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]),
        ..DoorSettings::default()
    };
    let door = Door::new(vec![secure, plain], Some(tls), settings);
    let (stats, stop) = (door.stats(), CancellationToken::new());
    let mut serving = JoinSet::new();
    serving.spawn(door.serve(tower::service_fn(routes), stop.clone()));
    let mut door = Running { address: plain_at, stats, stop, serving };
    // A trusted proxy may hold more than one address's share.
    let held = [door.connect().await, door.connect().await, door.connect().await];
    for (address, kind) in [(plain_at, "Plain"), (secure_at, "Tls")] {
        door.address = address;
        let answer = door.raw("GET /info HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert!(answer.contains(&format!("{} {kind} cert false.", address.port())), "{answer}");
    }
    assert_eq!((door.stats.accepted.get(), door.stats.refused_address.get()), (5, 0));
    drop(held);
    assert_eq!(door.end().await.cut, 0);
}
