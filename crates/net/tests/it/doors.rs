//! Doors: what comes in by them, and how they close.

use net::door::DoorSettings;

use super::*;

#[tokio::test]
async fn a_plain_door_serves_and_says_where_the_request_came_in() {
    let door = Running::plain(Limits::default()).await;
    let answer = door.raw("GET /info HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let expected = format!("127.0.0.1 {} Plain cert false.", door.address.port());
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(&expected), "{answer}");
    assert_eq!((door.stats.accepted.get(), door.stats.requests.get()), (1, 1));
    assert_eq!(door.end().await.cut, 0);
}

#[tokio::test]
async fn the_tls_port_serves_plain_http_to_this_machine() {
    let folder = Folder::new("plain-on-tls");
    let tls = crate::tls::auto(&folder, &crate::tls::manual_clock());
    let door = Running::start(DoorKind::Tls, Some(tls), DoorSettings::default()).await;
    let answer = door.raw("GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello over HTTP/1.1, tls false."), "{answer}");
    let answer = door.raw("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc").await;
    assert!(answer.ends_with("abc"), "{answer}");
}

/// An address of this machine that is not loopback: talking to it, we are a peer from elsewhere.
async fn outer_address() -> Option<std::net::IpAddr> {
    let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await.ok()?;
    // Sends nothing; it only asks for the route.
    socket.connect("192.0.2.1:9").await.ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[tokio::test]
async fn the_tls_port_sends_a_plain_browser_from_elsewhere_to_https_and_tells_an_sdk_what_to_do() {
    let Some(ip) = outer_address().await else {
        println!("skipped: this machine has no address but loopback");
        return;
    };
    let folder = Folder::new("elsewhere");
    let tls = crate::tls::auto(&folder, &crate::tls::manual_clock());
    let settings = DoorSettings { external_url: Some("https://w.example/base".to_owned()), ..DoorSettings::default() };
    let mut door = Running::start_on("0.0.0.0:0", DoorKind::Tls, Some(tls), settings).await;
    door.address.set_ip(ip);
    let answer = door.raw("GET /base/alerts?a=b HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 307") && answer.contains("location: https://w.example/base/alerts?a=b\r\n"),
        "{answer}"
    );
    let answer = door.raw("POST /base/api/1/envelope/ HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://w.example/base/ca.crt"), "{answer}");
    assert_eq!((door.stats.plain_redirected.get(), door.stats.plain_refused.get()), (1, 1));
    // Spoken without TLS, HTTP/2 gets the same answers.
    let stream = door.connect().await;
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("h2");
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let request = Request::post("http://x/base/login").body(()).expect("a request");
    let (response, _) = sender.send_request(request, true).expect("sent");
    assert_eq!(response.await.expect("an answer").status(), 400);
}

#[tokio::test]
async fn a_drain_lets_answers_finish_and_closes_idle_connections_at_once() {
    let limits = Limits { drain_timeout: HANG, body_idle_timeout: HANG, ..Limits::default() };
    let door = Running::plain(limits).await;
    let mut idle = door.connect().await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    read_until(&mut idle, "false.").await;
    let mut busy = door.connect().await;
    busy.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf").await.expect("written");
    until("the second request is under way", || door.stats.in_flight.get() == 1).await;
    let address = door.address;
    let clients = async {
        assert_eq!(read_to_end(&mut idle).await, "", "closed while the other still works");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
        busy.write_all(b" rest").await.expect("written");
        read_to_end(&mut busy).await
    };
    let (report, answer) = tokio::join!(door.end(), clients);
    assert_eq!(report, DrainReport { open: 2, cut: 0 });
    assert!(answer.contains("connection: close") && answer.ends_with("half rest"), "{answer}");
}

#[tokio::test]
async fn what_outlives_the_drain_is_cut_and_counted_in_http_1_and_2() {
    let limits = Limits { drain_timeout: Duration::from_millis(200), ..Limits::default() };
    let door = Running::plain(limits).await;
    let stats = Arc::clone(&door.stats);
    let mut endless = door.connect().await;
    endless.write_all(b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let (mut sender, connection) = h2::client::handshake(door.connect().await).await.expect("h2");
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let request = Request::get("http://x/never").body(()).expect("a request");
    let (response, _) = sender.send_request(request, true).expect("sent");
    until("both are under way", || stats.in_flight.get() == 2).await;
    assert_eq!(door.end().await, DrainReport { open: 2, cut: 2 });
    assert_eq!(read_to_end(&mut endless).await, "");
    response.await.expect_err("cut");
    until("nothing is left behind", || stats.in_flight.get() == 0 && stats.open.get() == 0).await;
    assert_eq!(stats.cut.get(), 2);
}

#[tokio::test]
async fn a_drain_under_load_fails_no_request_that_was_taken() {
    let door = Running::plain(Limits::default()).await;
    let address = door.address;
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        clients.spawn(async move {
            // Answers until the door closes; each must be whole.
            let mut whole = 0;
            while let Ok(mut stream) = TcpStream::connect(address).await {
                if stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.is_err() {
                    break;
                }
                let answer = read_to_end(&mut stream).await;
                if answer.is_empty() {
                    // Reached the kernel's queue and not the door: nothing was taken.
                    break;
                }
                assert!(answer.ends_with("tls false."), "{answer}");
                whole += 1;
            }
            whole
        });
    }
    let stats = Arc::clone(&door.stats);
    until("load", || stats.requests.get() > 200).await;
    let report = door.end().await;
    let whole: u64 = clients.join_all().await.into_iter().sum();
    assert_eq!(report.cut, 0);
    assert_eq!(whole, stats.requests.get(), "every request that was handed on was answered whole");
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_nothing_else() {
    let door = Running::plain(Limits::default()).await;
    assert_eq!(door.raw("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await, "");
    until("counted", || door.stats.panics.get() == 1).await;
    let answer = door.raw("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(door.stats.in_flight.get(), 0);
}
