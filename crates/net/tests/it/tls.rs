//! TLS over real sockets: our CA, somebody else's files, and certificates that change while connections stand.

use model::time::{Clock, ManualClock, SystemClock, Timestamp};
use net::client::{Call, Client, ClientError, ClientOptions};
use net::door::DoorSettings;
use net::tls::{Refreshed, TlsError, TlsMode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOW))
}

pub(crate) fn auto(folder: &Folder, clock: &Arc<ManualClock>) -> Arc<TlsPort> {
    let mode = TlsMode::Auto { folder: folder.path("tls"), names: vec!["watch.example".to_owned()] };
    TlsPort::open(mode, None, Arc::clone(clock) as Arc<dyn Clock>).expect("a local CA")
}

/// As [`auto`], today.
pub(crate) fn auto_now(folder: &Folder) -> Arc<TlsPort> {
    let mode = TlsMode::Auto { folder: folder.path("tls"), names: Vec::new() };
    TlsPort::open(mode, None, Arc::new(SystemClock::new())).expect("a local CA")
}

/// What a client of today needs to trust `ca_file`.
pub(crate) fn holder_config(ca_file: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).expect("pem")).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Arc::new(builder.expect("versions").with_root_certificates(roots).with_no_client_auth())
}

fn client(folder: &Folder, clock: &Arc<ManualClock>) -> Client {
    let options = ClientOptions { ca_file: Some(folder.path("tls/ca.crt")), ..ClientOptions::default() };
    Client::new(options, Arc::clone(clock) as Arc<dyn Clock>).expect("a client")
}

/// A CA of the test, for mode `files`.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a CA").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A leaf for localhost, valid for these days around [`NOW`]: certificate and key.
    fn leaf(&self, from_day: i32, to_day: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(NOW.0.unsigned_abs());
        let days = |count: i32| DAY * count.unsigned_abs();
        params.not_before = if from_day < 0 { now - days(from_day) } else { now + days(from_day) };
        params.not_after = if to_day < 0 { now - days(to_day) } else { now + days(to_day) };
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }
}

/// A connection that speaks HTTP/1.1 over TLS and can be looked at.
async fn tls_connect(door: &Running, ca_pem: &str, identity: Option<(String, String)>) -> TlsStream<TcpStream> {
    try_tls_connect(door, ca_pem, identity).await.expect("a handshake")
}

async fn try_tls_connect(
    door: &Running,
    ca_pem: &str,
    identity: Option<(String, String)>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("pem")).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Now))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).expect("pem");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("pem");
            builder.with_client_auth_cert(vec![cert], key).expect("an identity")
        }
    };
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, door.connect().await).await
}

/// The test's day, for rustls.
#[derive(Debug)]
struct Now;

impl rustls::time_provider::TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(NOW.0.unsigned_abs())))
    }
}

fn leaf_of(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("a chain")[0].to_vec()
}

#[tokio::test]
async fn our_client_trusts_our_ca_and_speaks_http_2_over_tls_1_3() {
    let (folder, clock) = (Folder::new("trust"), manual_clock());
    let tls = auto(&folder, &clock);
    let ca_pem = tls.ca_pem().expect("a CA");
    assert_eq!(ca_pem, std::fs::read_to_string(folder.path("tls/ca.crt")).expect("the file"));
    let door = Running::start(DoorKind::Tls, Some(tls), DoorSettings::default()).await;
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/hello", door.address.port());
        let reply = client(&folder, &clock).send(Call::get(url)).await.expect("an answer");
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, b"hello over HTTP/2.0, tls true.".as_slice()));
    }
    let stream = tls_connect(&door, &ca_pem, None).await;
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn a_client_without_our_ca_refuses_and_the_door_counts_it() {
    let (folder, clock) = (Folder::new("distrust"), manual_clock());
    let door = Running::start(DoorKind::Tls, Some(auto(&folder, &clock)), DoorSettings::default()).await;
    let stranger = Client::new(ClientOptions::default(), Arc::new(SystemClock::new())).expect("a client");
    let url = format!("https://localhost:{}/hello", door.address.port());
    let error = stranger.send(Call::get(url)).await.expect_err("not trusted");
    assert!(matches!(error, ClientError::Tls { .. }), "{error}");
    until("counted", || door.stats.handshake_failed.get() == 1).await;
    assert_eq!(door.stats.requests.get(), 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off() {
    let (folder, clock) = (Folder::new("handshake"), manual_clock());
    let limits = Limits { handshake_timeout: Duration::from_millis(150), ..Limits::default() };
    let settings = DoorSettings { limits, ..DoorSettings::default() };
    let door = Running::start(DoorKind::Tls, Some(auto(&folder, &clock)), settings).await;
    let mut silent = door.connect().await;
    let mut started = door.connect().await;
    started.write_all(&[0x16, 3, 1, 0, 200, 1]).await.expect("written");
    assert_eq!((read_to_end(&mut silent).await, read_to_end(&mut started).await), (String::new(), String::new()));
    until("counted", || door.stats.handshake_timeout.get() == 2).await;
}

#[tokio::test]
async fn a_renewed_leaf_is_what_new_connections_get() {
    let (folder, clock) = (Folder::new("renewed"), manual_clock());
    let tls = auto(&folder, &clock);
    let first = tls.status();
    assert!(first.names.iter().any(|name| name == "watch.example"));
    let door = Running::start(DoorKind::Tls, Some(Arc::clone(&tls)), DoorSettings::default()).await;
    assert_eq!(tls.refresh().expect("nothing due"), Refreshed::Unchanged);
    clock.advance(DAY * 89);
    assert_eq!(tls.refresh().expect("due"), Refreshed::Replaced);
    assert!(tls.status().not_after > first.not_after);
    // By now the first leaf has expired, the second has not.
    clock.advance(DAY * 2);
    let url = format!("https://localhost:{}/hello", door.address.port());
    let reply = client(&folder, &clock).send(Call::get(&url)).await.expect("an answer");
    assert_eq!(reply.status, 200);
    clock.advance(DAY * 90);
    let error = client(&folder, &clock).send(Call::get(&url)).await.expect_err("expired");
    assert!(error.to_string().contains("xpired"), "{error}");
}

#[tokio::test]
async fn changed_files_serve_new_connections_and_leave_the_old_ones_alone() {
    let (folder, ca) = (Folder::new("reload"), Ca::new());
    let (cert, key) = ca.leaf(-1, 30);
    let (cert_file, key_file) = (folder.write("a.crt", &cert), folder.write("a.key", &key));
    let mode = TlsMode::Files { cert_file, key_file };
    let tls = TlsPort::open(mode, None, manual_clock()).expect("a pair");
    assert_eq!(tls.ca_pem(), None);
    let door = Running::start(DoorKind::Tls, Some(Arc::clone(&tls)), DoorSettings::default()).await;
    let mut old = tls_connect(&door, &ca.pem, None).await;
    let ask = b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";
    old.write_all(ask).await.expect("written");
    read_until(&mut old, "tls true.").await;

    let (cert, key) = ca.leaf(-1, 60);
    folder.write("a.crt", &cert);
    let torn = tls.refresh().expect_err("only one of the two files is new");
    assert!(matches!(torn, TlsError::KeyMismatch { .. }), "{torn}");
    assert_eq!(leaf_of(&tls_connect(&door, &ca.pem, None).await), leaf_of(&old), "the old pair serves on");
    folder.write("a.key", &key);
    assert_eq!(tls.refresh().expect("whole"), Refreshed::Replaced);
    assert_eq!(tls.status().problem, None);
    assert_eq!(tls.refresh().expect("same"), Refreshed::Unchanged);

    let new = tls_connect(&door, &ca.pem, None).await;
    assert_ne!(leaf_of(&new), leaf_of(&old));
    old.write_all(ask).await.expect("written");
    read_until(&mut old, "tls true.").await;
}

#[test]
fn a_pair_that_cannot_be_used_is_refused_by_file_and_by_what_was_expected() {
    let (folder, ca) = (Folder::new("bad"), Ca::new());
    let (good_cert, good_key) = ca.leaf(-1, 30);
    let other_key = ca.leaf(-1, 30).1;
    let (expired, expired_key) = ca.leaf(-30, -1);
    let (future, future_key) = ca.leaf(1, 30);
    let (cert_file, key_file) = (folder.write("b.crt", &good_cert), folder.write("b.key", &good_key));
    let mode = TlsMode::Files { cert_file: cert_file.clone(), key_file: key_file.clone() };
    let tls = TlsPort::open(mode.clone(), None, manual_clock()).expect("a pair");
    let before = tls.status();
    for (cert, key, file, expected) in [
        (good_cert.as_str(), other_key.as_str(), &key_file, "does not belong to the first certificate of"),
        (&expired, &expired_key, &cert_file, "expected one that is valid now"),
        (&future, &future_key, &cert_file, "the certificate is valid only from 2027-01-16"),
        ("rubbish", &good_key, &cert_file, "no certificate, expected certificates in PEM"),
        (&good_key, &good_key, &cert_file, "no certificate, expected certificates in PEM"),
        (&good_cert, &good_cert, &key_file, "expected a private key in PEM"),
        (&good_cert, "", &key_file, "expected a private key in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &good_key, &cert_file, "X.509"),
    ] {
        folder.write("b.crt", cert);
        folder.write("b.key", key);
        let error = tls.refresh().expect_err(expected).to_string();
        assert!(error.contains(expected) && error.starts_with(&file.display().to_string()), "{error}");
        let status = tls.status();
        assert_eq!((status.not_after, status.problem), (before.not_after, Some(error)), "the old pair stays");
    }
    std::fs::remove_file(&key_file).expect("removed");
    assert!(tls.refresh().expect_err("gone").to_string().starts_with(&key_file.display().to_string()));
    folder.write("b.crt", &good_cert);
    folder.write("b.key", &good_key);
    assert_eq!(tls.refresh().expect("as it was"), Refreshed::Unchanged);
    assert_eq!(tls.status(), before, "the problem is over");
    set_mode(&key_file, 0o644);
    let error = TlsPort::open(mode, None, manual_clock()).map(|_| ()).expect_err("readable").to_string();
    assert!(error.contains("mode 644 lets everybody read the private key, expected 0600 or 0640"), "{error}");
}

#[test]
fn a_server_starts_with_an_expired_certificate_and_says_so() {
    let (folder, ca) = (Folder::new("expired"), Ca::new());
    let (cert, key) = ca.leaf(-30, -1);
    let (cert_file, key_file) = (folder.write("c.crt", &cert), folder.write("c.key", &key));
    let tls = TlsPort::open(TlsMode::Files { cert_file, key_file }, None, manual_clock()).expect("it starts");
    assert!(tls.status().problem.expect("a problem").contains("the certificate expired at 2027-01-14"));
    // One that is also expired, but another: no worse than what is in use.
    let (cert, key) = ca.leaf(-30, -2);
    folder.write("c.crt", &cert);
    folder.write("c.key", &key);
    assert_eq!(tls.refresh().expect("taken"), Refreshed::Replaced);
    let (cert, key) = ca.leaf(-1, 2);
    folder.write("c.crt", &cert);
    folder.write("c.key", &key);
    assert_eq!(tls.refresh().expect("taken"), Refreshed::Replaced);
    assert_eq!(tls.status().problem, None);
}

#[test]
fn a_certificate_that_expires_in_use_becomes_a_problem_without_any_change() {
    let (folder, ca, clock) = (Folder::new("expires"), Ca::new(), manual_clock());
    let (cert, key) = ca.leaf(-1, 2);
    let (cert_file, key_file) = (folder.write("d.crt", &cert), folder.write("d.key", &key));
    let mode = TlsMode::Files { cert_file, key_file };
    let tls = TlsPort::open(mode, None, Arc::clone(&clock) as Arc<dyn Clock>).expect("a pair");
    assert_eq!(tls.status().problem, None);
    clock.advance(DAY * 3);
    assert_eq!(tls.refresh().expect("nothing new"), Refreshed::Unchanged);
    assert!(tls.status().problem.expect("a problem").contains("expired"));
}

#[tokio::test]
async fn a_client_may_show_a_certificate_and_a_wrong_one_is_refused() {
    let (folder, ca, people) = (Folder::new("clients"), Ca::new(), Ca::new());
    let (cert, key) = ca.leaf(-1, 30);
    let (cert_file, key_file) = (folder.write("e.crt", &cert), folder.write("e.key", &key));
    let client_ca = folder.write("people.crt", &people.pem);
    let tls = TlsPort::open(TlsMode::Files { cert_file, key_file }, Some(client_ca), manual_clock()).expect("a pair");
    let door = Running::start(DoorKind::Tls, Some(Arc::clone(&tls)), DoorSettings::default()).await;
    let ask = b"GET /info HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (identity, seen) in [(None, "cert false."), (Some(people.leaf(-1, 30)), "cert true.")] {
        let mut stream = tls_connect(&door, &ca.pem, identity).await;
        stream.write_all(ask).await.expect("written");
        let answer = read_to_end(&mut stream).await;
        assert!(answer.ends_with(seen), "{answer}");
    }
    // With TLS 1.3 the refusal may arrive after our side of the handshake.
    if let Ok(mut stream) = try_tls_connect(&door, &ca.pem, Some(Ca::new().leaf(-1, 30))).await {
        let _may_be_late = stream.write_all(ask).await;
        assert_eq!(read_to_end(&mut stream).await, "");
    }
    until("counted", || door.stats.handshake_failed.get() == 1).await;
    folder.write("people.crt", "nobody");
    let error = tls.refresh().expect_err("no CA").to_string();
    assert!(error.contains("people.crt") && error.contains("no certificate"), "{error}");
}

#[test]
fn only_authenticated_encryption_is_offered() {
    let provider = rustls::crypto::ring::default_provider();
    assert!(provider.cipher_suites.len() >= 6);
    for suite in provider.cipher_suites {
        let name = format!("{:?}", suite.suite());
        assert!(name.contains("GCM") || name.contains("POLY1305"), "{name}");
    }
}

/// What old and strange clients send first: an alert or a close, and never an answer.
#[tokio::test]
async fn old_versions_of_tls_and_rubbish_are_turned_away() {
    let (folder, clock) = (Folder::new("old"), manual_clock());
    let door = Running::start(DoorKind::Tls, Some(auto(&folder, &clock)), DoorSettings::default()).await;
    // A hello of TLS 1.0 with one CBC suite and no extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    for (name, bytes) in [("tls 1.0", hello), ("rubbish after the first byte", vec![0x16; 4096])] {
        let mut stream = door.connect().await;
        stream.write_all(&bytes).await.expect("written");
        let mut answer = Vec::new();
        let _closed_or_reset = tokio::time::timeout(HANG, stream.read_to_end(&mut answer)).await.expect("it ends");
        // An alert record at most: type 21, seven bytes.
        assert!(answer.is_empty() || (answer[0] == 21 && answer.len() == 7), "{name}: {answer:?}");
    }
    until("counted", || door.stats.handshake_failed.get() == 2).await;
    assert_eq!(door.stats.requests.get(), 0);
}

#[tokio::test]
async fn tls_1_2_and_a_client_without_alpn_are_served() {
    let (folder, ca) = (Folder::new("tls12"), Ca::new());
    let (cert, key) = ca.leaf(-1, 30);
    let (cert_file, key_file) = (folder.write("f.crt", &cert), folder.write("f.key", &key));
    let tls = TlsPort::open(TlsMode::Files { cert_file, key_file }, None, manual_clock()).expect("a pair");
    let door = Running::start(DoorKind::Tls, Some(tls), DoorSettings::default()).await;
    for (version, protocols, answer) in [
        (&rustls::version::TLS12, vec![], "hello over HTTP/1.1, tls true."),
        (&rustls::version::TLS13, vec![], "hello over HTTP/1.1, tls true."),
        (&rustls::version::TLS12, vec![b"http/1.1".to_vec()], "hello over HTTP/1.1, tls true."),
    ] {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).expect("pem")).expect("a CA");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_details(provider, Arc::new(Now))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, door.connect().await).await;
        let mut stream = stream.expect("a handshake");
        stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("written");
        assert!(read_to_end(&mut stream).await.ends_with(answer), "{version:?}");
    }
}

#[tokio::test]
async fn another_client_ca_is_taken_over_and_the_old_one_no_longer_opens() {
    let (folder, ca, before, after) = (Folder::new("client-ca"), Ca::new(), Ca::new(), Ca::new());
    let (cert, key) = ca.leaf(-1, 30);
    let (cert_file, key_file) = (folder.write("g.crt", &cert), folder.write("g.key", &key));
    let client_ca = folder.write("people.crt", &before.pem);
    let tls = TlsPort::open(TlsMode::Files { cert_file, key_file }, Some(client_ca), manual_clock()).expect("a pair");
    let door = Running::start(DoorKind::Tls, Some(Arc::clone(&tls)), DoorSettings::default()).await;
    let ask = b"GET /info HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let old_identity = before.leaf(-1, 30);
    let mut stream = tls_connect(&door, &ca.pem, Some(old_identity.clone())).await;
    stream.write_all(ask).await.expect("written");
    assert!(read_to_end(&mut stream).await.ends_with("cert true."));
    folder.write("people.crt", &after.pem);
    assert_eq!(tls.refresh().expect("a CA"), Refreshed::Replaced);
    let mut stream = tls_connect(&door, &ca.pem, Some(after.leaf(-1, 30))).await;
    stream.write_all(ask).await.expect("written");
    assert!(read_to_end(&mut stream).await.ends_with("cert true."));
    if let Ok(mut stream) = try_tls_connect(&door, &ca.pem, Some(old_identity)).await {
        let _may_be_late = stream.write_all(ask).await;
        assert_eq!(read_to_end(&mut stream).await, "");
    }
    until("counted", || door.stats.handshake_failed.get() == 1).await;
}
