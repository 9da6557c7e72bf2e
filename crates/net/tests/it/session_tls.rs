//! Sessions over TLS and through proxies.

use model::time::SystemClock;
use net::client::Call;
use net::door::DoorSettings;
use net::session::BodyBuffer;
use net::tls::TlsMode;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;

use super::session::{Scripted, answer, converse, echo, session};
use super::tls::auto_now;
use super::*;

async fn said(config: &str, url: &str) -> String {
    let mut body = BodyBuffer::new();
    match session(config).send(&Call::get(url), &mut body).await {
        Ok(answer) => format!("{} {}", answer.status.as_u16(), String::from_utf8_lossy(body.bytes())),
        Err(error) => error.in_words(),
    }
}

#[tokio::test]
async fn a_server_is_believed_by_the_configured_authority_and_name() {
    let folder = Folder::new("session-tls");
    let door = Running::start(DoorKind::Tls, Some(auto_now(&folder)), DoorSettings::default()).await;
    let (url, ca) = (format!("https://{}/hello", door.address), folder.path("tls/ca.crt"));
    let ca = ca.display();
    let expected = "200 hello over HTTP/2.0, tls true.";
    assert_eq!(said(&format!("tls_config: {{ca_file: {ca}}}"), &url).await, expected);
    let inline = std::fs::read_to_string(folder.path("tls/ca.crt")).expect("a CA").replace('\n', "\n    ");
    assert_eq!(said(&format!("tls_config:\n  ca: |\n    {inline}\n"), &url).await, expected);
    assert_eq!(said("tls_config: {insecure_skip_verify: true}", &url).await, expected);
    assert!(said("", &url).await.contains("signed by nobody we know; set tls_config.ca_file"));
    let other = said(&format!("tls_config: {{ca_file: {ca}, server_name: other.example}}"), &url).await;
    assert!(other.contains("for another name; set tls_config.server_name"), "{other}");
    assert_eq!(said(&format!("tls_config: {{ca_file: {ca}, server_name: localhost}}"), &url).await, expected);
    let one = said(&format!("tls_config: {{ca_file: {ca}}}\nenable_http2: false"), &url).await;
    assert_eq!(one, "200 hello over HTTP/1.1, tls true.");
    for bound in ["min_version: TLS13", "max_version: TLS12", "min_version: TLS10"] {
        assert_eq!(said(&format!("tls_config: {{ca_file: {ca}, {bound}}}"), &url).await, expected, "{bound}");
    }
    let plain = Running::plain(Limits::default()).await;
    let wrong = said("", &format!("https://{}/hello", plain.address)).await;
    assert!(wrong.contains("the server does not speak TLS; is the scheme http?"), "{wrong}");
    let missing = said("tls_config: {ca_file: /no/such.pem}", &url).await;
    assert!(missing.starts_with("/no/such.pem: "), "{missing}");
}

#[tokio::test]
async fn http2_connections_are_kept_too_and_a_new_authority_ends_them() {
    let folder = Folder::new("session-h2");
    let door = Running::start(DoorKind::Tls, Some(auto_now(&folder)), DoorSettings::default()).await;
    let url = format!("https://{}/hello", door.address);
    let ca = folder.write("ca.pem", &std::fs::read_to_string(folder.path("tls/ca.crt")).expect("a CA"));
    let session = session(&format!("tls_config: {{ca_file: {}}}", ca.display()));
    let mut body = BodyBuffer::new();
    for round in 0..3 {
        let answer = session.send(&Call::get(&url), &mut body).await.expect("an answer");
        assert_eq!((answer.version, answer.reused), (http::Version::HTTP_2, round > 0));
    }
    assert_eq!(door.stats.accepted.get(), 1);
    let another = KeyPair::generate().expect("a key");
    let another = CertificateParams::new(vec!["x".to_owned()]).expect("a name").self_signed(&another).expect("signed");
    std::fs::write(&ca, another.pem()).expect("written");
    let error = session.send(&Call::get(&url), &mut body).await.expect_err("no longer believed").in_words();
    assert!(error.contains("signed by nobody we know"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_again_when_it_changes() {
    let folder = Folder::new("session-mtls");
    let authority = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let client_ca = folder.write("clients.pem", &params.self_signed(&authority).expect("a CA").pem());
    let issuer = rcgen::Issuer::new(params, authority);
    let mode = TlsMode::Auto { folder: folder.path("tls"), names: Vec::new() };
    let port = TlsPort::open(mode, Some(client_ca), Arc::new(SystemClock::new())).expect("a port");
    let door = Running::start(DoorKind::Tls, Some(port), DoorSettings::default()).await;
    let url = format!("https://{}/info", door.address);
    let leaf = |issuer: &rcgen::Issuer<'_, KeyPair>| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["client".to_owned()]).expect("a name");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        (params.signed_by(&key, issuer).expect("signed").pem(), key.serialize_pem())
    };
    let (cert, key) = leaf(&issuer);
    let (cert, key) = (folder.write("c.pem", &cert), folder.write("k.pem", &key));
    let (ca, cert_file, key_file) = (folder.path("tls/ca.crt"), cert.display(), key.display());
    let ca = ca.display();
    let config = format!("tls_config: {{ca_file: {ca}, cert_file: {cert_file}, key_file: {key_file}}}");
    let told = said(&config, &url).await;
    assert!(told.ends_with("cert true."), "{told}");
    assert!(said(&format!("tls_config: {{ca_file: {ca}}}"), &url).await.ends_with("cert false."));

    let session = session(&config);
    let mut body = BodyBuffer::new();
    session.send(&Call::get(&url), &mut body).await.expect("an answer");
    let (new_cert, new_key) = leaf(&issuer);
    std::fs::write(&cert, new_cert).expect("written");
    std::fs::write(&key, new_key).expect("written");
    let answer = session.send(&Call::get(&url), &mut body).await.expect("an answer");
    assert!(!answer.reused, "the old certificate's connection is not used again");
}

/// A proxy: forwards a tunnel, answers an absolute address with the request itself.
async fn proxy(refuse: bool) -> (SocketAddr, JoinSet<()>, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let (mut serving, told) = (JoinSet::new(), Arc::clone(&seen));
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let head = read_until(&mut stream, "\r\n\r\n").await;
            head.clone_into(&mut told.lock().expect("unbroken"));
            let Some(to) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
                let _may_be_gone = stream.write_all(&echo(&head)).await;
                continue;
            };
            if refuse {
                let _may_be_gone = stream.write_all(&answer("407 Proxy Authentication Required", "", b"")).await;
                continue;
            }
            let mut target = TcpStream::connect(to).await.expect("the target");
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("written");
            let _either_ends = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
        }
    });
    (address, serving, seen)
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_or_told_the_whole_address() {
    let folder = Folder::new("session-proxy");
    let door = Running::start(DoorKind::Tls, Some(auto_now(&folder)), DoorSettings::default()).await;
    let (address, _serving, seen) = proxy(false).await;
    let ca = folder.path("tls/ca.crt");
    let config = format!(
        "proxy_url: http://ann:secret@{address}\nproxy_connect_header: {{x-reason: [scrape]}}\ntls_config: {{ca_file: {}}}\nbearer_token: canary",
        ca.display()
    );
    let told = said(&config, &format!("https://{}/hello", door.address)).await;
    assert_eq!(told, "200 hello over HTTP/2.0, tls true.");
    let head = seen.lock().expect("unbroken").clone();
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", door.address)), "{head}");
    assert!(head.contains("proxy-authorization: Basic YW5uOnNlY3JldA==\r\n"), "{head}");
    assert!(head.contains("x-reason: scrape\r\n") && !head.contains("canary"), "{head}");
    let told = said(&config, "http://target.example:9100/metrics?a=b").await;
    assert!(told.starts_with("200 GET http://target.example:9100/metrics?a=b HTTP/1.1\r\n"), "{told}");
    assert!(told.contains("host: target.example:9100\r\n"), "{told}");
    assert!(told.contains("proxy-authorization: Basic YW5uOnNlY3JldA==\r\n"), "{told}");

    let direct = Scripted::start(echo).await;
    let spared = format!("proxy_url: http://{address}\nno_proxy: example.org");
    let told = said(&spared, &direct.url("/x")).await;
    assert!(told.starts_with("200 GET /x HTTP/1.1\r\n"), "this machine is reached directly: {told}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let (address, _serving, _) = proxy(true).await;
    let told = said(&format!("proxy_url: http://ann:secret@{address}"), "https://target.example/").await;
    let status = "HTTP/1.1 407 Proxy Authentication Required";
    let expected = format!("the proxy http://ann:xxxxx@{address} refuses a tunnel to target.example:443: {status:?}");
    assert_eq!(told, expected);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = listener.local_addr().expect("bound");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            converse(stream, Arc::new(|_: &str| Vec::new())).await;
        }
    });
    let told = said(&format!("proxy_url: http://{silent}"), "https://target.example/").await;
    assert!(told.contains("does not answer"), "{told}");
}
