//! Sessions: connections that are kept, credentials that change, tokens, redirects, compression, sockets.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::time::{Clock, ManualClock, SystemClock, Timestamp};
use net::client::{Budget, Call, ClientError};
use net::http_config::HttpConfig;
use net::session::{Answer, BodyBuffer, Session, SessionOptions};
use tokio::net::TcpListener;

use super::*;

/// A server that answers each request with the bytes that a function makes of it.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

pub(crate) type Script = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

impl Scripted {
    pub(crate) async fn start(script: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (connections, script): (_, Script) = (Arc::new(AtomicUsize::new(0)), Arc::new(script));
        let (counted, mut serving) = (Arc::clone(&connections), JoinSet::new());
        serving.spawn(async move {
            let mut each = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                counted.fetch_add(1, Ordering::SeqCst);
                each.spawn(converse(stream, Arc::clone(&script)));
            }
        });
        Self { address, connections, _serving: serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads requests and writes answers until either side has enough; an answer without a length ends it.
pub(crate) async fn converse<S>(mut stream: S, script: Script)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some(end) = text.find("\r\n\r\n").map(|at| at + 4).filter(|end| text.len() >= end + length_of(&text))
        else {
            match stream.read(&mut piece).await {
                Ok(count) if count > 0 => seen.extend_from_slice(&piece[..count]),
                _ => return,
            }
            continue;
        };
        let whole = end + length_of(&text);
        let answer = script(&text[..whole]);
        seen.drain(..whole);
        if stream.write_all(&answer).await.is_err() || !String::from_utf8_lossy(&answer).contains("content-length") {
            return;
        }
    }
}

fn length_of(request: &str) -> usize {
    let line =
        request.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    line.unwrap_or(0)
}

pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Answers with the request itself.
pub(crate) fn echo(request: &str) -> Vec<u8> {
    answer("200 OK", "", request.as_bytes())
}

pub(crate) fn session_at(config: &str, clock: Arc<dyn Clock>) -> Session {
    let config: HttpConfig = yaml::from_str("conf.yml", config).expect("a configuration");
    Session::new(&config, SessionOptions::default(), clock).expect("supported")
}

pub(crate) fn session(config: &str) -> Session {
    session_at(config, Arc::new(SystemClock::new()))
}

/// The body of a GET as text, and the rest of the answer.
async fn get(session: &Session, url: &str) -> (String, Answer) {
    let mut body = BodyBuffer::new();
    let answer = session.send(&Call::get(url), &mut body).await.expect("an answer");
    (String::from_utf8_lossy(body.bytes()).into_owned(), answer)
}

async fn failed(session: &Session, call: &Call) -> ClientError {
    session.send(call, &mut BodyBuffer::new()).await.expect_err("no answer")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let door = Running::plain(Limits::default()).await;
    let session = session("");
    let (mut body, call) = (BodyBuffer::new(), Call::get(door.url("/hello")));
    for round in 0..5 {
        let answer = session.send(&call, &mut body).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.reused), (200, round > 0));
        assert!(body.bytes().starts_with(b"hello over HTTP/1.1"));
        assert_eq!((answer.peer, session.idle()), (Some(door.address), 1));
        assert!(answer.phases.total >= answer.phases.first_byte);
    }
    assert_eq!(door.stats.accepted.get(), 1);
    let at_once = futures(&session, &door.url("/slow"), 3).await;
    assert_eq!((at_once, session.idle()), (3, 3), "calls at once do not share a connection");
}

/// Makes calls at once and counts the good answers.
async fn futures(session: &Session, url: &str, count: usize) -> usize {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let (session, call) = (session.clone(), Call::get(url));
        calls.spawn(async move { session.send(&call, &mut BodyBuffer::new()).await.is_ok() });
    }
    let mut good = 0;
    while let Some(outcome) = calls.join_next().await {
        good += usize::from(outcome.expect("no panic"));
    }
    good
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_without_an_error() {
    let session = session("");
    for closing in ["connection: close\r\n", ""] {
        // Says nothing and closes, or says so: both are what servers do.
        let server = Scripted::start(move |_| {
            let mut bytes = answer("200 OK", closing, b"bye");
            if closing.is_empty() {
                bytes = String::from_utf8_lossy(&bytes).replace("content-length", "Content-Length").into_bytes();
            }
            bytes
        })
        .await;
        for _ in 0..3 {
            assert_eq!(get(&session, &server.url("/")).await.0, "bye");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(server.connections(), 3);
    }
}

#[tokio::test]
async fn idle_connections_have_a_bound_and_an_end() {
    let door = Running::plain(Limits::default()).await;
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let options = SessionOptions { idle_max: 2, ..SessionOptions::default() };
    let session = Session::new(&HttpConfig::default(), options, Arc::clone(&clock) as Arc<dyn Clock>).expect("one");
    assert_eq!(futures(&session, &door.url("/slow"), 4).await, 4);
    assert_eq!(session.idle(), 2);
    clock.advance(Duration::from_secs(301));
    assert!(!get(&session, &door.url("/hello")).await.1.reused, "waited too long");
    assert_eq!(session.idle(), 1);
}

#[tokio::test]
async fn a_compressed_answer_is_decoded_into_the_callers_memory() {
    let text = "some_metric{a=\"b\"} 1\n".repeat(20_000);
    let packed = gzip(text.as_bytes());
    let (sent, length) = (packed.clone(), packed.len() as u64);
    let server = Scripted::start(move |_| answer("200 OK", "content-encoding: gzip\r\n", &sent)).await;
    let (session, mut body) = (session(""), BodyBuffer::new());
    let call = Call::get(server.url("/metrics"));
    let mut place = None;
    for _ in 0..3 {
        let answer = session.send(&call, &mut body).await.expect("an answer");
        assert_eq!((body.bytes(), answer.wire_bytes), (text.as_bytes(), length));
        assert_eq!(*place.get_or_insert(body.bytes().as_ptr()), body.bytes().as_ptr(), "the same memory");
    }
    let mut small = call.clone();
    small.budget.body_bytes_max = text.len() - 1;
    let error = failed(&session, &small).await;
    assert!(matches!(error, ClientError::TooLarge(_)), "{error}");
    small.budget.body_bytes_max = text.len();
    session.send(&small, &mut body).await.expect("it just fits");
    let server = Scripted::start(|_| answer("200 OK", "content-encoding: br\r\n", b"x")).await;
    let error = failed(&session, &Call::get(server.url("/"))).await.to_string();
    assert_eq!(error, "the answer is compressed with \"br\", expected gzip or nothing");
}

#[tokio::test]
async fn a_gzip_bomb_and_an_endless_body_cost_only_their_bound() {
    let packed = gzip(&vec![b'x'; 200_000_000]);
    let server = Scripted::start(move |_| answer("200 OK", "content-encoding: gzip\r\n", &packed)).await;
    let door = Running::plain(Limits::default()).await;
    let session = session("");
    for url in [server.url("/"), door.url("/endless")] {
        let mut body = BodyBuffer::new();
        let budget = Budget { body_bytes_max: 1_000_000, ..Budget::default() };
        let error = session.send(&Call { budget, ..Call::get(url) }, &mut body).await.expect_err("too large");
        assert!(matches!(error, ClientError::TooLarge(1_000_000)), "{error}");
        assert!(body.capacity() < 4_000_000, "{}", body.capacity());
    }
    assert_eq!(session.idle(), 0, "what was not read to its end is not used again");
}

#[tokio::test]
async fn one_byte_a_second_ends_with_the_calls_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let _begun = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let budget = Budget { total: Duration::from_millis(200), ..Budget::default() };
    let error = failed(&session(""), &Call { budget, ..Call::get(format!("http://{address}/")) }).await;
    assert_eq!(error.to_string(), "no complete answer within 200 ms");
}

#[tokio::test]
async fn credentials_are_what_their_files_say_now() {
    let server = Scripted::start(echo).await;
    let folder = Folder::new("session-files");
    let token = folder.write("token", "first\n");
    let bearer = session(&format!("authorization: {{credentials_file: {}}}", token.display()));
    assert!(get(&bearer, &server.url("/")).await.0.contains("authorization: Bearer first\r\n"));
    std::fs::write(&token, "second, longer").expect("written");
    assert!(get(&bearer, &server.url("/")).await.0.contains("authorization: Bearer second, longer\r\n"));
    // As a mounted volume does it: another file under the same name.
    folder.write("new", "thirdx");
    std::fs::rename(folder.path("new"), &token).expect("renamed");
    assert!(get(&bearer, &server.url("/")).await.0.contains("authorization: Bearer thirdx\r\n"));
    std::fs::remove_file(&token).expect("removed");
    let error = failed(&bearer, &Call::get(server.url("/"))).await.to_string();
    assert!(error.starts_with("unable to read the credentials from ") && error.contains("token: "), "{error}");

    let password = folder.write("password", "open sesame");
    let basic = session(&format!("basic_auth: {{username: ann, password_file: {}}}", password.display()));
    let seen = get(&basic, &server.url("/")).await.0;
    assert!(seen.contains("authorization: Basic YW5uOm9wZW4gc2VzYW1l\r\n"), "{seen}");
    let custom = session(
        "authorization: {type: ' Token ', credentials: abc}\nhttp_headers: {x-a: {values: [b, c], secrets: [d]}}",
    );
    let seen = get(&custom, &server.url("/")).await.0;
    assert!(seen.contains("authorization: Token abc\r\n"), "{seen}");
    assert!(seen.contains("x-a: b\r\nx-a: c\r\nx-a: d\r\n"), "{seen}");
    let old = session("bearer_token: abc");
    assert!(get(&old, &server.url("/")).await.0.contains("authorization: Bearer abc\r\n"));
}

#[tokio::test]
async fn credentials_and_own_headers_do_not_follow_to_another_origin() {
    let far = Scripted::start(echo).await;
    let to = far.url("/there");
    let near = Scripted::start(move |request: &str| {
        if request.starts_with("GET /away") {
            answer("302 Found", &format!("location: {to}\r\n"), b"")
        } else if request.starts_with("GET /near") {
            answer("302 Found", "location: /here\r\n", b"")
        } else {
            echo(request)
        }
    })
    .await;
    let config = "bearer_token: canary1\nhttp_headers: {x-own: {secrets: [canary2]}}\n";
    let (seen, answer) = get(&session(config), &near.url("/near")).await;
    assert!(seen.contains("canary1") && seen.contains("canary2"), "{seen}");
    assert_eq!((answer.redirects, answer.url), (1, near.url("/here")));
    let (seen, answer) = get(&session(config), &near.url("/away")).await;
    assert!(!seen.contains("canary") && seen.starts_with("GET /there"), "{seen}");
    assert_eq!((answer.redirects, answer.url), (1, far.url("/there")));
    let (_, answer) = get(&session(&format!("{config}follow_redirects: false")), &near.url("/away")).await;
    assert_eq!((answer.redirects, answer.status.as_u16()), (0, 302));
    let circle = Scripted::start(|_| self::answer("302 Found", "location: /\r\n", b"")).await;
    let error = failed(&session(""), &Call::get(circle.url("/"))).await.to_string();
    assert_eq!(error, "more than 10 redirects");
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_expires_or_its_secret_changes() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let tokens = Scripted::start(move |request: &str| {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(request.contains("grant_type=client_credentials&scope=a+b&audience=x"), "{request}");
        assert!(request.contains("authorization: Basic "), "{request}");
        let body = format!("{{\"access_token\":\"t{number}\",\"token_type\":\"bearer\",\"expires_in\":100}}");
        answer("200 OK", "", body.as_bytes())
    })
    .await;
    let server = Scripted::start(echo).await;
    let folder = Folder::new("oauth2");
    let secret = folder.write("secret", "one");
    let config = format!(
        "oauth2: {{client_id: me, client_secret_file: {}, token_url: '{}', scopes: [a, b], endpoint_params: {{audience: x}}}}",
        secret.display(),
        tokens.url("/token")
    );
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let session = session_at(&config, Arc::clone(&clock) as Arc<dyn Clock>);
    assert_eq!(futures(&session, &server.url("/"), 5).await, 5);
    assert_eq!(count.load(Ordering::SeqCst), 1, "one fetch for all who wait");
    assert!(get(&session, &server.url("/")).await.0.contains("authorization: Bearer t1\r\n"));
    clock.advance(Duration::from_secs(91));
    assert!(get(&session, &server.url("/")).await.0.contains("authorization: Bearer t2\r\n"), "its last seconds");
    std::fs::write(&secret, "another").expect("written");
    assert!(get(&session, &server.url("/")).await.0.contains("authorization: Bearer t3\r\n"));
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_token_server_that_refuses_is_named_with_what_it_said() {
    let tokens = Scripted::start(|request: &str| {
        let body = br#"{"error":"invalid_client","error_description":"unknown client"}"#;
        if request.contains("client_secret=s%26") {
            answer("200 OK", "", br#"{"access_token":"body"}"#)
        } else {
            answer("401 Unauthorized", "", body)
        }
    })
    .await;
    let server = Scripted::start(echo).await;
    let config = |secret: &str| {
        format!("oauth2: {{client_id: me, client_secret: '{secret}', token_url: '{}'}}", tokens.url("/token"))
    };
    let seen = get(&session(&config("s&")), &server.url("/")).await.0;
    assert!(seen.contains("authorization: Bearer body\r\n"), "a server that reads the body only: {seen}");
    let error = failed(&session(&config("wrong")), &Call::get(server.url("/"))).await.to_string();
    let expected =
        format!("no token from {}: the server answered 401 Unauthorized unknown client", tokens.url("/token"));
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_stream_hands_out_what_comes_and_ends_when_it_is_dropped() {
    let door = Running::plain(Limits::default()).await;
    let session = session("");
    let mut stream = session.stream(&Call::get(door.url("/endless"))).await.expect("a header");
    let mut seen = 0;
    while seen < 1_000_000 {
        seen += stream.chunk().await.expect("more").expect("endless").len();
    }
    drop(stream);
    until("the door noticed that its client left", || door.stats.in_flight.get() == 0).await;
    let mut stream = session.stream(&Call::get(door.url("/hello"))).await.expect("a header");
    assert!(stream.chunk().await.expect("a piece").is_some());
    assert!(stream.chunk().await.expect("its end").is_none());
    assert_eq!(session.idle(), 1);
}

#[tokio::test]
async fn a_unix_socket_is_a_server_like_others() {
    let folder = Folder::new("unix");
    let path = folder.path("s.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            converse(stream, Arc::new(echo)).await;
        }
    });
    let options = SessionOptions { unix_socket: Some(path), ..SessionOptions::default() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let local = Session::new(&HttpConfig::default(), options, Arc::clone(&clock)).expect("a session");
    let (seen, answer) = get(&local, "http://docker/info").await;
    assert!(seen.starts_with("GET /info HTTP/1.1\r\n") && seen.contains("host: docker\r\n"), "{seen}");
    assert_eq!((answer.peer, get(&local, "http://docker/info").await.1.reused), (None, true));
    let options = SessionOptions { unix_socket: Some(folder.path("none")), ..SessionOptions::default() };
    let none = Session::new(&HttpConfig::default(), options, clock).expect("a session");
    let error = failed(&none, &Call::get("http://docker/")).await.in_words();
    assert!(error.contains("there is no such socket; is it mounted"), "{error}");
}

#[tokio::test]
async fn errors_come_with_what_to_look_at() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("bound");
    drop(listener);
    let session = session("");
    let error = failed(&session, &Call::get(format!("http://{closed}/"))).await.in_words();
    assert!(error.contains("nothing listens there; is the program running"), "{error}");
    let rubbish = Scripted::start(|_| b"\x15\x03\x01\x00\x02\x02\x46".to_vec()).await;
    let error = failed(&session, &Call::get(rubbish.url("/"))).await.in_words();
    assert!(error.contains("does the server want TLS"), "{error}");
    let error = failed(&session, &Call::get("http://no-such-host.invalid/")).await.in_words();
    assert!(error.contains("is it spelled right"), "{error}");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (config, why) in [
        ("basic_auth: {username: a, password_ref: b}", "basic_auth: a reference to a secret manager is not supported"),
        ("authorization: {credentials_ref: b}", "authorization: a reference to a secret manager is not supported"),
        ("tls_config: {ca_ref: b}", "tls_config: ca_ref, cert_ref and key_ref are not supported"),
        ("tls_config: {max_version: TLS11}", "tls_config: max_version TLS11 is not supported"),
        ("proxy_url: socks5://a:1", "proxy_url: socks5://a:1 is not supported"),
        (
            "oauth2: {client_id: a, token_url: 'http://a', grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'}",
            "oauth2: the JWT bearer grant is not supported",
        ),
    ] {
        let read: HttpConfig = yaml::from_str("a.yml", config).expect(config);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let error = Session::new(&read, SessionOptions::default(), clock).map(|_| ()).expect_err(config).to_string();
        assert!(error.starts_with(why), "{error}");
    }
}
