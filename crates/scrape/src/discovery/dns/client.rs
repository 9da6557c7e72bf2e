//! Asking servers of the domain name system: over UDP, and over TCP where the answer does not fit.
//!
//! Promises: an answer is believed only from the server that was asked, with the number and the question it was
//! asked with; what cannot be resolved and what has no records are told apart.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::message::{self, Record, Reply, UDP_BYTES_MAX};
use super::resolv::ResolvConf;
use super::{DiscoveryError, RecordKind};

/// Where servers listen.
pub(super) const PORT: u16 = 53;

const ANSWERED: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// Asks the servers of a configuration.
#[derive(Debug)]
pub(super) struct Resolver {
    conf: ResolvConf,
    port: u16,
}

impl Resolver {
    pub(super) fn new(conf: ResolvConf, port: u16) -> Self {
        Self { conf, port }
    }

    /// The records of a name, tried with each domain in turn; none where no name exists.
    pub(super) async fn lookup(&self, name: &str, kind: RecordKind) -> Result<Vec<Record>, DiscoveryError> {
        let mut failure = None;
        for whole in self.conf.names(name) {
            match self.ask_any(&whole, kind).await {
                Ok(reply) if reply.code == ANSWERED => return Ok(reply.records),
                Ok(_no_such_name) => {}
                Err(why) => failure = Some(why),
            }
        }
        match failure {
            None => Ok(Vec::new()),
            Some(why) => Err(DiscoveryError::Dns { name: name.to_owned(), why }),
        }
    }

    /// The first answer that says whether there is such a name.
    async fn ask_any(&self, name: &str, kind: RecordKind) -> Result<Reply, String> {
        let mut last = "no server was asked".to_owned();
        for _ in 0..self.conf.attempts {
            for server in &self.conf.servers {
                let server = SocketAddr::new(*server, self.port);
                match ask(server, name, kind, self.conf.timeout).await {
                    Ok(reply) if [ANSWERED, NO_SUCH_NAME].contains(&reply.code) => return Ok(reply),
                    Ok(reply) => last = format!("{server} answers with code {}", reply.code),
                    Err(error) => last = format!("{server}: {error}"),
                }
            }
        }
        Err(last)
    }
}

/// One server, over UDP first.
async fn ask(server: SocketAddr, name: &str, kind: RecordKind, timeout: Duration) -> io::Result<Reply> {
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let reply = tokio::time::timeout(timeout, over_udp(server, name, kind)).await.map_err(|_| late())??;
    if !reply.truncated {
        return Ok(reply);
    }
    tokio::time::timeout(timeout, over_tcp(server, name, kind)).await.map_err(|_| late())?
}

/// Whoever wants to forge an answer has to guess this and the port.
fn number() -> u16 {
    (RandomState::new().build_hasher().finish() >> 24) as u16
}

fn question(id: u16, name: &str, kind: RecordKind) -> io::Result<Vec<u8>> {
    message::question(id, name, kind).map_err(io::Error::other)
}

/// A question and its answer in a packet each; the caller bounds the time.
async fn over_udp(server: SocketAddr, name: &str, kind: RecordKind) -> io::Result<Reply> {
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(own, 0)).await?;
    // Connected: packets from elsewhere do not arrive, and "nobody listens there" does.
    socket.connect(server).await?;
    let id = number();
    socket.send(&question(id, name, kind)?).await?;
    let mut bytes = [0; UDP_BYTES_MAX as usize];
    loop {
        let length = socket.recv(&mut bytes).await?;
        // What is no answer to this question may be an old one or a forged one; the right one may still come.
        if let Ok(reply) = message::reply(&bytes[..length], id, name, kind) {
            return Ok(reply);
        }
    }
}

/// The same with a length before each message; a length has two bytes, so an answer is bounded.
async fn over_tcp(server: SocketAddr, name: &str, kind: RecordKind) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(server).await?;
    let id = number();
    let question = question(id, name, kind)?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    message::reply(&bytes, id, name, kind).map_err(io::Error::other)
}
