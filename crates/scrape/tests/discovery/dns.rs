//! A fake server of the domain name system, over UDP and TCP.

use std::net::SocketAddr;
use std::sync::Mutex;

use model::time::SystemClock;
use scrape::discovery::dns::DnsDiscovery;
use scrape::discovery::{DnsSdConfig, MechanismStatus, Out, Update};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use super::*;

/// What a question is answered with: a code and records of (type, data).
type Zone = fn(name: &str, kind: u16) -> (u8, Vec<(u16, Vec<u8>)>);

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.trim_end_matches('.').split('.');
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [vec![label.len() as u8], label.as_bytes().to_vec()].concat()).collect();
    bytes.push(0);
    bytes
}

fn asked(question: &[u8]) -> (String, u16, usize) {
    let (mut name, mut at) = (String::new(), 12);
    while question[at] != 0 {
        let length = usize::from(question[at]);
        name.push_str(std::str::from_utf8(&question[at + 1..=at + length]).expect("text"));
        name.push('.');
        at += 1 + length;
    }
    (name, u16::from_be_bytes([question[at + 1], question[at + 2]]), at + 5)
}

fn reply(question: &[u8], zone: Zone, udp: bool) -> Vec<u8> {
    let (name, kind, end) = asked(question);
    let (code, records) = zone(&name, kind);
    let mut bytes = question[..end].to_vec();
    let truncated = udp && name.starts_with("large.");
    bytes[2..12].copy_from_slice(&[0x81 | u8::from(truncated) << 1, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    bytes[7] = if truncated { 0 } else { records.len() as u8 };
    for (kind, data) in records.iter().filter(|_| !truncated) {
        bytes.extend(b"\xc0\x0c");
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

async fn serve(zone: Zone) -> (SocketAddr, JoinSet<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("bound");
    let udp = UdpSocket::bind(address).await.expect("the same port");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut bytes = [0; 2048];
        loop {
            let (length, from) = udp.recv_from(&mut bytes).await.expect("a question");
            let answer = reply(&bytes[..length], zone, true);
            // First one that somebody forged without knowing the number.
            let mut forged = answer.clone();
            forged[0] ^= 0xff;
            udp.send_to(&forged, from).await.expect("sent");
            udp.send_to(&answer, from).await.expect("sent");
        }
    });
    serving.spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.expect("a client");
            let length = stream.read_u16().await.expect("a length");
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await.expect("a question");
            let answer = reply(&question, zone, false);
            stream.write_u16(answer.len() as u16).await.expect("written");
            stream.write_all(&answer).await.expect("written");
        }
    });
    (address, serving)
}

fn zone(name: &str, kind: u16) -> (u8, Vec<(u16, Vec<u8>)>) {
    let srv = |port: u16, target: &str| (33, [&[0, 1, 0, 2][..], &port.to_be_bytes(), &encoded(target)].concat());
    match (name, kind) {
        ("_http._tcp.example.", 33) => (0, vec![srv(9100, "a.example."), srv(9200, "b.example.")]),
        ("large.example.", 33) => (0, (0..40).map(|n| srv(9100, &format!("host{n}.example."))).collect()),
        ("addresses.example.", 1) => {
            (0, vec![(5, encoded("elsewhere.example.")), (1, vec![10, 0, 0, 1]), (1, vec![10, 0, 0, 2])])
        }
        ("addresses.example.", 28) => (0, vec![(28, [vec![0xfd, 0], vec![0; 13], vec![1]].concat())]),
        ("mail.example.", 15) => (0, vec![(15, [vec![0, 10], encoded("mx.example.")].concat())]),
        ("zone.example.", 2) => (0, vec![(2, encoded("ns.example."))]),
        ("short.search.example.", 1) => (0, vec![(1, vec![10, 0, 0, 3])]),
        ("broken.example.", _) => (2, Vec::new()),
        _ => (3, Vec::new()),
    }
}

/// What one round of a block finds, and how the mechanism is doing then.
async fn once(block: &str, server: SocketAddr, folder: &Folder) -> (Vec<String>, MechanismStatus) {
    let conf =
        folder.write("resolv.conf", "nameserver 127.0.0.1\nsearch search.example\noptions timeout:2 attempts:1\n");
    let block: DnsSdConfig = yaml::from_str("conf.yml", block).expect("a block");
    let (sender, mut updates) = mpsc::channel::<Update>(16);
    let status: Arc<Mutex<MechanismStatus>> = Arc::default();
    let out = Out::new(0, sender, Arc::clone(&status), Arc::new(SystemClock::new()));
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    running.spawn(DnsDiscovery::with(&block, conf, server.port()).run(out, stop.clone()));
    let spoke = async {
        let silent = || {
            let status = status.lock().expect("unbroken");
            status.refreshed.is_none() && status.problem.is_none()
        };
        while silent() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANG, spoke).await.expect("a round");
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    running.join_next().await.expect("it ran").expect("no panic");
    let mut targets = Vec::new();
    while let Ok(update) = updates.try_recv() {
        targets.extend(
            update.groups.iter().flat_map(|group| group.all().map(|labels| labels.to_string()).collect::<Vec<_>>()),
        );
    }
    let status = status.lock().expect("unbroken").clone();
    (targets, status)
}

#[tokio::test]
async fn every_kind_of_record_is_a_target() {
    let (folder, (server, _serving)) = (Folder::new("dns"), serve(zone).await);
    let (targets, status) = once("names: [_http._tcp.example]", server, &folder).await;
    assert_eq!(
        targets[0],
        r#"{__address__="a.example:9100", __meta_dns_name="_http._tcp.example", __meta_dns_srv_record_port="9100", __meta_dns_srv_record_target="a.example."}"#
    );
    assert_eq!((targets.len(), status.problem), (2, None));
    for (block, expected) in [
        (
            "names: [addresses.example]\ntype: a\nport: 80",
            vec![
                r#"{__address__="10.0.0.1:80", __meta_dns_name="addresses.example"}"#,
                r#"{__address__="10.0.0.2:80", __meta_dns_name="addresses.example"}"#,
            ],
        ),
        (
            "names: [addresses.example]\ntype: AAAA\nport: 80",
            vec![r#"{__address__="[fd00::1]:80", __meta_dns_name="addresses.example"}"#],
        ),
        (
            "names: [mail.example]\ntype: MX\nport: 25",
            vec![
                r#"{__address__="mx.example:25", __meta_dns_mx_record_target="mx.example.", __meta_dns_name="mail.example"}"#,
            ],
        ),
        (
            "names: [zone.example]\ntype: NS\nport: 53",
            vec![
                r#"{__address__="ns.example:53", __meta_dns_name="zone.example", __meta_dns_ns_record_target="ns.example."}"#,
            ],
        ),
        ("names: [short]\ntype: A\nport: 1", vec![r#"{__address__="10.0.0.3:1", __meta_dns_name="short"}"#]),
        ("names: [nothing.example]\ntype: A\nport: 1", vec![]),
    ] {
        let (targets, status) = once(block, server, &folder).await;
        assert_eq!(
            (targets, status.problem),
            (expected.iter().map(|text| (*text).to_owned()).collect(), None),
            "{block}"
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_is_asked_for_over_tcp() {
    let (folder, (server, _serving)) = (Folder::new("dns-tcp"), serve(zone).await);
    let (targets, status) = once("names: [large.example]", server, &folder).await;
    assert_eq!((targets.len(), status.problem), (40, None));
}

#[tokio::test]
async fn a_name_that_fails_does_not_hide_the_others() {
    let (folder, (server, _serving)) = (Folder::new("dns-fail"), serve(zone).await);
    let (targets, status) = once("names: [broken.example, _http._tcp.example]", server, &folder).await;
    assert_eq!(targets.len(), 2);
    let problem = status.problem.expect("one name failed");
    assert_eq!(problem, format!("resolving broken.example: {server} answers with code 2"));
}
