//! Getting a connection: names to addresses, addresses past the policy, the first one that answers.
//!
//! Promise: the address connected to is the one the policy was asked about.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use model::time::Clock;
use tokio::net::TcpStream;

use crate::address::AddressPolicy;
use crate::client::{ClientError, Phases};

/// Addresses of a name that are tried; the rest would only use up the time of those.
const ADDRESSES_MAX: usize = 4;

/// How to dial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) policy: &'a AddressPolicy,
    pub(crate) clock: &'a dyn Clock,
    /// Per address.
    pub(crate) timeout: Duration,
}

impl Dial<'_> {
    /// A connection to the first address that the policy allows and that answers.
    pub(crate) async fn tcp(
        self,
        (host, port): (&str, u16),
        phases: &mut Phases,
    ) -> Result<(TcpStream, SocketAddr), ClientError> {
        let began = self.clock.monotonic();
        let addresses = resolve(host, port).await?;
        let resolved = self.clock.monotonic();
        phases.dns = resolved.saturating_sub(began);
        let mut last = None;
        for address in addresses {
            if let Err(denied) = self.policy.check(address.ip()) {
                last.get_or_insert(ClientError::Denied(denied));
                continue;
            }
            let connected = tokio::time::timeout(self.timeout, TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    phases.connect = self.clock.monotonic().saturating_sub(resolved);
                    // A request is one write, and nobody should wait for an acknowledgement before it leaves.
                    let _only_slower = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Err(source) => last = Some(ClientError::Connect { address, source }),
            }
        }
        let host = host.to_owned();
        Err(last.unwrap_or_else(|| ClientError::Resolve { host, source: io::ErrorKind::NotFound.into() }))
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ClientError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|source| ClientError::Resolve { host: host.to_owned(), source })?;
    Ok(found.take(ADDRESSES_MAX).collect())
}
