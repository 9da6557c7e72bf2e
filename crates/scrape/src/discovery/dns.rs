//! Targets from records of the domain name system, asked for once an interval.
//!
//! Promise: a name that cannot be resolved now keeps its targets; one that has no records loses them.

mod client;
pub mod config;
mod message;
mod resolv;

use futures_util::future::join_all;
use model::labels::{Labels, LabelsBuilder};
use tokio_util::sync::CancellationToken;

use self::client::Resolver;
pub use self::config::{DnsSdConfig, RecordKind};
use self::message::Record;
use super::group::join_host_port;
use super::refresh::{self, Refresh};
use super::{ADDRESS, DiscoveryError, Group, Out};

/// Where the system says which servers to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Asks for the names of one block.
#[derive(Debug)]
pub struct DnsDiscovery {
    block: DnsSdConfig,
    resolv_conf: std::path::PathBuf,
    port: u16,
}

impl DnsDiscovery {
    #[must_use]
    pub fn new(block: &DnsSdConfig) -> Self {
        Self::with(block, RESOLV_CONF, client::PORT)
    }

    /// With servers of a file of its own, asked on a port of their own.
    #[must_use]
    pub fn with(block: &DnsSdConfig, resolv_conf: impl Into<std::path::PathBuf>, port: u16) -> Self {
        Self { block: block.clone(), resolv_conf: resolv_conf.into(), port }
    }

    pub async fn run(self, out: Out, stop: CancellationToken) {
        let interval = self.block.refresh_interval;
        refresh::run(self, interval, out, stop).await;
    }

    fn group(&self, name: &str, records: &[Record]) -> Group {
        let targets = records.iter().filter_map(|record| self.target(name, record)).collect();
        Group { source: name.into(), labels: Labels::empty(), targets }
    }

    fn target(&self, name: &str, record: &Record) -> Option<Labels> {
        let mut labels = LabelsBuilder::default();
        labels.set("__meta_dns_name", name);
        let address = match record {
            Record::Srv { target, port } => {
                labels.set("__meta_dns_srv_record_target", target);
                labels.set("__meta_dns_srv_record_port", &port.to_string());
                // A name in records ends with a dot; an address does not.
                join_host_port(target.trim_end_matches('.'), port)
            }
            Record::Mx(target) => {
                labels.set("__meta_dns_mx_record_target", target);
                join_host_port(target.trim_end_matches('.'), self.block.port)
            }
            Record::Ns(target) => {
                labels.set("__meta_dns_ns_record_target", target);
                join_host_port(target.trim_end_matches('.'), self.block.port)
            }
            Record::Address(ip) => join_host_port(&ip.to_string(), self.block.port),
            Record::Other => return None,
        };
        labels.set(ADDRESS, &address);
        Some(labels.build())
    }
}

impl Refresh for DnsDiscovery {
    async fn refresh(&mut self, out: &Out) -> Result<Vec<Group>, DiscoveryError> {
        let kind: RecordKind =
            self.block.kind.parse().map_err(|why| DiscoveryError::Setting { key: "dns_sd_configs", why })?;
        // Read each time: it changes when a machine joins another network.
        let conf = resolv::read(&self.resolv_conf).await?;
        let resolver = Resolver::new(conf, self.port);
        // At once: a name whose server is silent does not keep the others waiting.
        let mut lookups = Vec::with_capacity(self.block.names.len());
        for name in &self.block.names {
            lookups.push(resolver.lookup(name, kind));
        }
        let replies = join_all(lookups).await;
        let (mut groups, mut last) = (Vec::new(), None);
        for (name, reply) in self.block.names.iter().zip(replies) {
            match reply {
                Ok(records) => groups.push(self.group(name, &records)),
                Err(error) => last = Some(error),
            }
        }
        match last {
            None => Ok(groups),
            Some(error) => {
                if !groups.is_empty() {
                    out.send(groups).await;
                }
                Err(error)
            }
        }
    }
}
