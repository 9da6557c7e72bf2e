//! What a peer may make a door hold, and what it gets at the bound.

use super::*;

const SOON: Duration = Duration::from_millis(150);

#[tokio::test]
async fn what_is_too_long_or_not_offered_is_refused_by_the_door() {
    let door = Running::plain(Limits::default()).await;
    let long = "x".repeat(20 * 1024);
    let many: String = (0..150).map(|at| format!("x-{at}: y\r\n")).collect();
    for (name, request, status) in [
        ("a header too long", format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), "431"),
        ("too many fields", format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), "431"),
        ("an address too long", format!("GET /?{} HTTP/1.1\r\nhost: a\r\n\r\n", &long[..9 * 1024]), "414"),
        ("a method not offered", "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "405"),
        ("two hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), "400"),
        ("no http", "rubbish\r\n\r\n".to_owned(), "400"),
        (
            "two lengths",
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
            "400",
        ),
    ] {
        let answer = door.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
    }
    // The answer also reaches who is still sending: 300 kB do not fit into the buffers of the socket.
    let body = "x".repeat(300_000);
    let request = format!("POST /?{} HTTP/1.1\r\nhost: a\r\ncontent-length: 300000\r\n\r\n{body}", &long[..9 * 1024]);
    assert!(door.raw(&request).await.starts_with("HTTP/1.1 414 "));
    let fits = format!("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {}\r\n\r\n", &long[..15 * 1024]);
    assert!(door.raw(&fits).await.starts_with("HTTP/1.1 200"));
}

/// A length and a chunked body in one request is how one is hidden behind another. hyper reads it as chunked and
/// closes after it, so what is hidden is never a request.
#[tokio::test]
async fn a_request_hidden_behind_another_is_not_served() {
    let door = Running::plain(Limits::default()).await;
    let hidden = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n\
                  0\r\n\r\nGET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = door.raw(hidden).await;
    assert!(!answer.contains("hello over"), "{answer}");
    assert!(door.stats.requests.get() <= 1);
}

#[tokio::test]
async fn http_2_headers_have_the_same_bounds() {
    let door = Running::plain(Limits::default()).await;
    let (sender, connection) = h2::client::handshake(door.connect().await).await.expect("h2");
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let mut sender = sender.ready().await.expect("ready");
    for (count, bytes, status) in [(150, 1, 431), (30, 1024, 431), (50, 1, 404)] {
        let mut request = Request::get("http://x/").body(()).expect("a request");
        for at in 0..count {
            let name: http::HeaderName = format!("x-{at}").parse().expect("a name");
            request.headers_mut().insert(name, "y".repeat(bytes).parse().expect("a value"));
        }
        let (response, _) = sender.send_request(request, true).expect("sent");
        let response = response.await.expect("an answer");
        assert_eq!(response.status(), status, "{count} fields of {bytes} bytes");
    }
}

#[tokio::test]
async fn a_header_that_does_not_end_is_cut_off_and_others_are_served_meanwhile() {
    let limits = Limits { header_timeout: Duration::from_millis(400), ..Limits::default() };
    let door = Running::plain(limits).await;
    let mut slow = JoinSet::new();
    for _ in 0..20 {
        let mut stream = door.connect().await;
        slow.spawn(async move {
            // One field at a time, for ever: each byte in time, the whole never.
            while stream.write_all(b"GET / HTTP/1.1\r\nx: y\r\n").await.is_ok() {
                let mut byte = [0];
                if tokio::time::timeout(Duration::from_millis(40), stream.read(&mut byte)).await.is_ok() {
                    break;
                }
            }
        });
    }
    let answer = door.raw("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tokio::time::timeout(HANG, slow.join_all()).await.expect("all are cut off");
    // The first line twice is a bad request for those whose bytes come fast; the rest run into the clock.
    until("counted", || door.stats.header_timeout.get() + door.stats.protocol_errors.get() == 20).await;
}

#[tokio::test]
async fn half_a_header_starts_the_clock_also_after_an_answer() {
    let limits = Limits { header_timeout: SOON, ..Limits::default() };
    let door = Running::plain(limits).await;
    let mut first = door.connect().await;
    first.write_all(b"GET /hello HTTP/1.1\r\nho").await.expect("written");
    assert_eq!(read_to_end(&mut first).await, "");
    let mut second = door.connect().await;
    second.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    read_until(&mut second, "false.").await;
    second.write_all(b"GET /he").await.expect("written");
    assert_eq!(read_to_end(&mut second).await, "");
    until("counted", || door.stats.header_timeout.get() == 2).await;
    assert_eq!(door.stats.idle_closed.get(), 0);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_an_error_to_its_reader() {
    let limits = Limits { body_idle_timeout: SOON, ..Limits::default() };
    let door = Running::plain(limits).await;
    let answer = door.raw("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("the body stopped coming"), "{answer}");
    assert_eq!(door.stats.body_timeout.get(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_that_works_is_not() {
    let second = Duration::from_secs(1);
    let limits = Limits { keep_alive_idle: second, stall_timeout: second, header_timeout: second, ..Limits::default() };
    let door = Running::plain(limits).await;
    let mut polite = door.connect().await;
    polite.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf").await.expect("written");
    until("it is under way", || door.stats.in_flight.get() == 1).await;
    let mut silent = door.connect().await;
    assert_eq!(read_to_end(&mut silent).await, "");
    until("counted", || door.stats.idle_closed.get() == 1).await;
    polite.write_all(b" rest").await.expect("written");
    let answer = read_to_end(&mut polite).await;
    assert!(answer.ends_with("half rest"), "{answer}");
    until("counted", || door.stats.idle_closed.get() == 2).await;
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed_however_often_it_pings() {
    let limits = Limits { keep_alive_idle: Duration::from_millis(300), ..Limits::default() };
    let door = Running::plain(limits).await;
    let (sender, mut connection) = h2::client::handshake(door.connect().await).await.expect("h2");
    let mut ping = connection.ping_pong().expect("once");
    let mut driving = JoinSet::new();
    driving.spawn(async move { drop(connection.await) });
    let pinging = async { while ping.ping(h2::Ping::opaque()).await.is_ok() {} };
    tokio::time::timeout(HANG, pinging).await.expect("closed");
    drop(sender);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_its_connection() {
    let limits = Limits { stall_timeout: SOON, ..Limits::default() };
    let door = Running::plain(limits).await;
    let mut stream = door.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let (mut sender, connection) = h2::client::handshake(door.connect().await).await.expect("h2");
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let request = Request::get("http://x/endless").body(()).expect("a request");
    // The answer's window is never given back.
    let (_response, _) = sender.send_request(request, true).expect("sent");
    until("both are closed", || door.stats.stalled.get() == 2).await;
    until("nothing is left", || door.stats.in_flight.get() == 0).await;
}

#[tokio::test]
async fn one_address_gets_its_share_and_gets_it_back() {
    let limits = Limits { connections_per_address_max: 2, ..Limits::default() };
    let door = Running::plain(limits).await;
    let first = door.connect().await;
    let second = door.connect().await;
    until("both are in", || door.stats.open.get() == 2).await;
    assert_eq!(read_to_end(&mut door.connect().await).await, "", "closed at once");
    assert_eq!(door.stats.refused_address.get(), 1);
    drop(first);
    until("a seat is free", || door.stats.open.get() == 1).await;
    let answer = door.raw("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(second);
}

#[tokio::test]
async fn a_full_house_closes_newcomers_at_once_and_keeps_its_guests() {
    let limits = Limits { connections_max: 3, ..Limits::default() };
    let door = Running::plain(limits).await;
    let mut guest = door.connect().await;
    let _others = (door.connect().await, door.connect().await);
    until("all are in", || door.stats.open.get() == 3).await;
    for _ in 0..20 {
        assert_eq!(read_to_end(&mut door.connect().await).await, "");
    }
    assert_eq!(door.stats.refused_full.get(), 20);
    guest.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    read_until(&mut guest, "false.").await;
}
