//! The client against doors of its own making, and against servers that misbehave.

use model::time::SystemClock;
use net::address::{AddressClass, AddressPolicy};
use net::client::{Budget, Call, Client, ClientError, ClientOptions};
use tokio::net::TcpListener;

use super::*;

fn client_with(policy: AddressPolicy) -> Client {
    let options = ClientOptions { policy, ..ClientOptions::default() };
    Client::new(options, Arc::new(SystemClock::new())).expect("a client")
}

fn client() -> Client {
    client_with(AddressPolicy::anywhere())
}

/// A server that says one thing to one client and then does as told.
async fn saying(text: &'static [u8], then_close: bool) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut piece = [0; 4096];
        let _request = stream.read(&mut piece).await;
        let _may_be_gone = stream.write_all(text).await;
        if !then_close {
            std::future::pending::<()>().await;
        }
    });
    (address, serving)
}

#[tokio::test]
async fn a_call_brings_back_the_whole_answer_and_where_the_time_went() {
    let door = Running::plain(Limits::default()).await;
    let reply = client().send(Call::get(door.url("/slow"))).await.expect("an answer");
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, b"slow but whole.".as_slice()));
    assert_eq!((reply.peer, reply.redirects, reply.url), (door.address, 0, door.url("/slow")));
    let phases = reply.phases;
    assert!(phases.first_byte >= Duration::from_millis(290), "{phases:?}");
    assert!(phases.total >= phases.first_byte + phases.connect + phases.dns, "{phases:?}");
    assert_eq!(phases.tls, Duration::ZERO);
    let reply = client().send(Call::post(door.url("/echo"), "some body")).await.expect("an answer");
    assert_eq!(&reply.body[..], b"some body");
    let reply = client().send(Call::get(door.url("/headers"))).await.expect("an answer");
    let seen = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(seen.contains("\"user-agent\": \"watchpost\"") && seen.contains(&door.address.to_string()), "{seen}");
}

#[tokio::test]
async fn a_body_over_budget_is_an_error_and_not_a_cut_answer() {
    let door = Running::plain(Limits::default()).await;
    let budget = Budget { body_bytes_max: 100_000, ..Budget::default() };
    let error = client().send(Call { budget, ..Call::get(door.url("/endless")) }).await.expect_err("too large");
    assert_eq!(error.to_string(), "the answer has more than 100000 bytes");
    let body = Bytes::from(vec![b'x'; 100_000]);
    let exact = Call { budget, ..Call::post(door.url("/echo"), body) };
    assert_eq!(client().send(exact).await.expect("it just fits").body.len(), 100_000);
}

#[tokio::test]
async fn a_call_ends_with_its_time() {
    let door = Running::plain(Limits::default()).await;
    let budget = Budget { total: Duration::from_millis(100), ..Budget::default() };
    let error = client().send(Call { budget, ..Call::get(door.url("/never")) }).await.expect_err("too late");
    assert_eq!(error.to_string(), "no complete answer within 100 ms");
    let (address, _serving) = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", false).await;
    let error = client().send(Call { budget, ..Call::get(format!("http://{address}/")) }).await.expect_err("half");
    assert!(matches!(error, ClientError::Timeout(_)), "{error}");
    until("the door noticed that its client left", || door.stats.in_flight.get() == 0).await;
}

#[tokio::test]
async fn what_is_no_answer_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("bound");
    drop(listener);
    let error = client().send(Call::get(format!("http://{closed}/"))).await.expect_err("closed").to_string();
    assert!(error.starts_with(&format!("connecting to {closed}: ")), "{error}");
    let error = client().send(Call::get("http://no-such-host.invalid/")).await.expect_err("no name").to_string();
    assert!(error.starts_with("resolving no-such-host.invalid: "), "{error}");
    for text in [b"".as_slice(), b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"] {
        let (address, _serving) = saying(text, true).await;
        let error = client().send(Call::get(format!("http://{address}/"))).await.expect_err("no answer");
        assert!(matches!(error, ClientError::Exchange { .. }), "{error}");
    }
    let (address, _serving) = saying(b"HTTP/1.1 200 OK\r\n\r\nto the end", true).await;
    let reply = client().send(Call::get(format!("http://{address}/"))).await.expect("an answer without a length");
    assert_eq!(&reply.body[..], b"to the end");
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_the_budget_says() {
    let door = Running::plain(Limits::default()).await;
    let budget = |redirects_max| Budget { redirects_max, ..Budget::default() };
    let twice = door.url("/to/|to||hello");
    let reply = client().send(Call { budget: budget(0), ..Call::get(&twice) }).await.expect("an answer");
    assert_eq!((reply.status.as_u16(), reply.redirects), (302, 0));
    let error = client().send(Call { budget: budget(1), ..Call::get(&twice) }).await.expect_err("one too many");
    assert_eq!(error.to_string(), "more than 1 redirects");
    let reply = client().send(Call { budget: budget(2), ..Call::get(&twice) }).await.expect("an answer");
    assert_eq!((reply.redirects, reply.url), (2, door.url("/hello")));
    let elsewhere = Call { budget: budget(1), ..Call::get(door.url("/to/ftp:||a|b")) };
    let error = client().send(elsewhere).await.expect_err("no http").to_string();
    assert_eq!(error, "redirected to \"ftp://a/b\", which is no http address");
}

#[tokio::test]
async fn credentials_stay_with_the_origin_they_were_given_for() {
    let near = Running::plain(Limits::default()).await;
    let far = Running::plain(Limits::default()).await;
    let budget = Budget { redirects_max: 1, ..Budget::default() };
    for (target, kept) in [("headers".to_owned(), true), (far.url("/headers").replace('/', "|"), false)] {
        let path = if kept { "/to/|headers".to_owned() } else { format!("/to/{target}") };
        let mut call = Call { budget, ..Call::get(near.url(&path)) };
        call.headers.insert("authorization", "Bearer canary".parse().expect("a value"));
        call.headers.insert("cookie", "canary=1".parse().expect("a value"));
        let reply = client().send(call).await.expect("an answer");
        let seen = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(seen.contains("canary"), kept, "{seen}");
    }
}

#[tokio::test]
async fn the_policy_is_asked_about_every_address_that_is_connected_to() {
    let door = Running::plain(Limits::default()).await;
    let deny = || vec![AddressClass::Loopback, AddressClass::LinkLocal];
    let strict = client_with(AddressPolicy::denying(deny(), Vec::new()));
    let port = door.address.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "169.254.169.254"] {
        let error = strict.send(Call::get(format!("http://{host}:{port}/hello"))).await.expect_err(host);
        // Where a resolver does not read "127.1" as an address at all, nothing is connected to either.
        assert!(matches!(error, ClientError::Denied(_) | ClientError::Resolve { .. }), "{host}: {error}");
    }
    assert_eq!(door.stats.accepted.get(), 0, "denied before a connection is made");
    let one = client_with(AddressPolicy::denying(deny(), vec!["127.0.0.1".parse().expect("an address")]));
    let budget = Budget { redirects_max: 1, ..Budget::default() };
    assert!(one.send(Call::get(door.url("/hello"))).await.is_ok());
    let away = format!("/to/http:||127.0.0.2:{port}|hello");
    let error = one.send(Call { budget, ..Call::get(door.url(&away)) }).await.expect_err("a redirect changes nothing");
    assert!(matches!(error, ClientError::Denied(denied) if denied.ip.to_string() == "127.0.0.2"), "{error}");
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let folder = Folder::new("client-ca");
    let ca_file = Some(folder.write("ca.crt", "rubbish"));
    let error = Client::new(ClientOptions { ca_file, ..ClientOptions::default() }, Arc::new(SystemClock::new()));
    let error = error.map(|_| ()).expect_err("no CA").to_string();
    assert!(error.contains("ca.crt: no certificate, expected certificates in PEM"), "{error}");
}

#[tokio::test]
async fn a_header_without_end_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let _begun = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        let mut sent = 0_usize;
        while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {
            sent += 64;
        }
        sent
    });
    let error = client().send(Call::get(format!("http://{address}/"))).await.expect_err("endless");
    assert!(matches!(error, ClientError::Exchange { .. }), "{error}");
    let sent = serving.join_next().await.expect("it serves").expect("no panic");
    // What the sockets buffered is beyond us; what we read is bounded.
    assert!(sent < 32 * 1024 * 1024, "{sent}");
}

#[tokio::test]
async fn what_a_redirect_repeats_depends_on_its_number() {
    for (status, echoed) in [("302 Found", false), ("303 See Other", false), ("307 Temporary Redirect", true)] {
        let door = Running::plain(Limits::default()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let target = door.url("/echo");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            read_until(&mut stream, "the body").await;
            let answer = format!("HTTP/1.1 {status}\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("written");
            read_to_end(&mut stream).await
        });
        let budget = Budget { redirects_max: 1, ..Budget::default() };
        let call = Call { budget, ..Call::post(format!("http://{address}/"), "the body") };
        let reply = client().send(call).await.expect("an answer");
        assert_eq!(&reply.body[..], if echoed { b"the body".as_slice() } else { b"" }, "{status}");
        assert_eq!(reply.redirects, 1);
    }
}

#[tokio::test]
async fn an_agent_and_a_host_that_are_given_are_kept() {
    let door = Running::plain(Limits::default()).await;
    let options = ClientOptions { user_agent: "probe/1".to_owned(), ..ClientOptions::default() };
    let named = Client::new(options, Arc::new(SystemClock::new())).expect("a client");
    let mut call = Call::get(door.url("/headers"));
    call.headers.insert("host", "virtual.example".parse().expect("a value"));
    let reply = named.send(call).await.expect("an answer");
    let seen = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(seen.contains("\"host\": \"virtual.example\"") && seen.contains("\"probe/1\""), "{seen}");
}
