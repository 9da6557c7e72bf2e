//! Targets from the containers of a Docker daemon: one for each network and exposed TCP port.
//!
//! The daemon is asked over its Unix socket or HTTP, in the version of its API that it offers.
//! Not here: swarm services (`dockerswarm_sd_configs`, known by name only).

pub mod config;

use std::collections::BTreeMap;

use model::labels::{Labels, LabelsBuilder};
use net::client::Call;
use net::http_config::HttpConfig;
use net::session::{BodyBuffer, Session};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

pub use self::config::DockerSdConfig;
use super::group::{join_host_port, sanitized};
use super::refresh::{self, Refresh};
use super::{ADDRESS, DiscoveryError, Environment, Group, Out};

/// Of an answer of the daemon.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Containers may share the network of another one, which may share …; a circle ends here.
const SHARED_HOPS_MAX: usize = 16;

/// Asks one daemon.
#[derive(Debug)]
pub struct DockerDiscovery {
    block: DockerSdConfig,
    session: Session,
    /// `http://docker`, or where the daemon listens.
    base: String,
    /// `/v1.47`, once the daemon has said so.
    version: Option<String>,
    body: BodyBuffer,
}

/// A container as the daemon lists it. Daemons write `null` where a list is empty, and leave fields out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(rename = "Id", default)]
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    network_settings: Option<NetworkSettings>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    network_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

/// A container's place in one network.
#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "NetworkID", default)]
    network_id: String,
    #[serde(rename = "IPAddress", default)]
    ip: String,
}

/// An exposed port; `public_port` is zero where it is not published on the host.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    #[serde(rename = "IP", default)]
    ip: String,
    #[serde(default)]
    private_port: u16,
    #[serde(default)]
    public_port: u16,
    #[serde(rename = "Type", default)]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(rename = "Id", default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    ingress: bool,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl DockerDiscovery {
    /// # Errors
    /// The client's settings ask for something that is not supported.
    pub fn new(block: DockerSdConfig, environment: &Environment) -> Result<Self, DiscoveryError> {
        let url = block.host.without_user();
        let (scheme, rest) = url.split_once("://").unwrap_or(("unix", &url));
        let (session, base) = match scheme {
            // Settings for HTTP mean nothing to a socket; Prometheus passes them over as well.
            "unix" => (environment.session(&HttpConfig::default(), Some(rest.into()))?, "http://docker".to_owned()),
            "tcp" => {
                (environment.session(&HttpConfig::default(), None)?, format!("http://{}", rest.trim_end_matches('/')))
            }
            _ => (environment.session(&block.http, None)?, url.trim_end_matches('/').to_owned()),
        };
        Ok(Self { block, session, base, version: None, body: BodyBuffer::new() })
    }

    pub async fn run(self, out: Out, stop: CancellationToken) {
        let interval = self.block.refresh_interval;
        refresh::run(self, interval, out, stop).await;
    }

    /// The daemon's answer to a path.
    async fn get(&mut self, path: &str) -> Result<http::HeaderMap, DiscoveryError> {
        let mut call = Call::get(format!("{}{path}", self.base));
        call.budget.total = self.block.refresh_interval;
        call.budget.body_bytes_max = ANSWER_BYTES_MAX;
        let answer = self.session.send(&call, &mut self.body).await?;
        if !answer.status.is_success() {
            let said: String = String::from_utf8_lossy(self.body.bytes()).chars().take(200).collect();
            let why = format!("the daemon answers {}: {}", answer.status, said.trim());
            return Err(DiscoveryError::Answer { url: self.block.host.redacted(), why });
        }
        Ok(answer.headers)
    }

    /// The daemon's answer to a path of its API, as JSON.
    async fn read<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, DiscoveryError> {
        let version = self.version().await?;
        self.get(&format!("{version}{path}")).await?;
        serde_json::from_slice(self.body.bytes()).map_err(|error| DiscoveryError::Answer {
            url: self.block.host.redacted(),
            why: format!("{path} is not answered as a Docker daemon does: {error}"),
        })
    }

    /// The newest version that the daemon offers: the fields read here are in all of them.
    async fn version(&mut self) -> Result<String, DiscoveryError> {
        if let Some(version) = &self.version {
            return Ok(version.clone());
        }
        let headers = self.get("/_ping").await?;
        let version = headers.get("api-version").and_then(|value| value.to_str().ok());
        let plain = |version: &&str| version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let version = version.filter(plain).map_or_else(String::new, |version| format!("/v{version}"));
        self.version = Some(version.clone());
        Ok(version)
    }

    /// All containers are one group, as in Prometheus: the daemon is asked for all of them each time.
    fn group(&self, containers: &[Container], networks: &[Network]) -> Group {
        let mut targets = Vec::new();
        for container in containers {
            self.targets_of(container, containers, networks, &mut targets);
        }
        Group { source: "Docker".into(), labels: Labels::empty(), targets }
    }

    /// The targets of one container in all its networks.
    fn targets_of(&self, container: &Container, all: &[Container], networks: &[Network], targets: &mut Vec<Labels>) {
        let Some(name) = container.names.as_ref().and_then(|names| names.first()) else { return };
        let mut common = LabelsBuilder::default();
        for (label, value) in container.labels.iter().flatten() {
            common.set(&format!("__meta_docker_container_label_{}", sanitized(label)), value);
        }
        common.set("__meta_docker_container_id", &container.id);
        common.set("__meta_docker_container_name", name);
        common.set("__meta_docker_container_network_mode", &container.host_config.network_mode);
        let mut endpoints = endpoints_of(container, all);
        if self.block.match_first_network {
            // The map is sorted by name, so the first one is the same each time.
            endpoints.truncate(1);
        }
        for endpoint in endpoints {
            let mut labels = common.clone();
            if let Some(network) = networks.iter().find(|network| network.id == endpoint.network_id) {
                network_labels(network, &mut labels);
            }
            labels.set("__meta_docker_network_ip", &endpoint.ip);
            self.targets_in(container, endpoint, &labels, targets);
        }
    }

    /// One target for each exposed port, or one with the port of the configuration.
    fn targets_in(
        &self,
        container: &Container,
        endpoint: &Endpoint,
        labels: &LabelsBuilder,
        targets: &mut Vec<Labels>,
    ) {
        let before = targets.len();
        for port in container.ports.iter().flatten().filter(|port| port.kind == "tcp") {
            let mut labels = labels.clone();
            labels.set("__meta_docker_port_private", &port.private_port.to_string());
            if port.public_port > 0 {
                labels.set("__meta_docker_port_public", &port.public_port.to_string());
                labels.set("__meta_docker_port_public_ip", &port.ip);
            }
            labels.set(ADDRESS, &join_host_port(&endpoint.ip, port.private_port));
            targets.push(labels.build());
        }
        if targets.len() == before {
            let mut labels = labels.clone();
            if container.host_config.network_mode == "host" {
                labels.set(ADDRESS, &self.block.host_networking_host);
            } else {
                labels.set(ADDRESS, &join_host_port(&endpoint.ip, self.block.port));
            }
            targets.push(labels.build());
        }
    }
}

impl Refresh for DockerDiscovery {
    async fn refresh(&mut self, _out: &Out) -> Result<Vec<Group>, DiscoveryError> {
        let refreshed = self.ask().await;
        if refreshed.is_err() {
            // The daemon may come back as another version.
            self.version = None;
        }
        refreshed
    }
}

impl DockerDiscovery {
    /// One round: containers that the filters leave, then the networks they are in.
    async fn ask(&mut self) -> Result<Vec<Group>, DiscoveryError> {
        let mut path = "/containers/json".to_owned();
        if !self.block.filters.is_empty() {
            let mut filters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for filter in &self.block.filters {
                filters.entry(&filter.name).or_default().extend(filter.values.iter().map(String::as_str));
            }
            let json = serde_json::Value::from_iter(filters).to_string();
            path = format!("{path}?filters={}", percent_encoded(&json));
        }
        let containers: Vec<Container> = self.read(&path).await?;
        let networks: Vec<Network> = self.read("/networks").await?;
        Ok(vec![self.group(&containers, &networks)])
    }
}

/// The networks of a container, or of the one whose networks it shares.
fn endpoints_of<'a>(container: &'a Container, all: &'a [Container]) -> Vec<&'a Endpoint> {
    let mut of = container;
    for _ in 0..SHARED_HOPS_MAX {
        let networks = of.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        if networks.is_some_and(|networks| !networks.is_empty()) {
            return networks.into_iter().flatten().filter_map(|(_, endpoint)| endpoint.as_ref()).collect();
        }
        let shared = of.host_config.network_mode.strip_prefix("container:");
        match shared.and_then(|id| all.iter().find(|other| other.id == id)) {
            Some(other) => of = other,
            None => break,
        }
    }
    Vec::new()
}

/// What the daemon says about a network itself.
fn network_labels(network: &Network, labels: &mut LabelsBuilder) {
    labels.set("__meta_docker_network_id", &network.id);
    labels.set("__meta_docker_network_name", &network.name);
    labels.set("__meta_docker_network_scope", &network.scope);
    labels.set("__meta_docker_network_internal", if network.internal { "true" } else { "false" });
    labels.set("__meta_docker_network_ingress", if network.ingress { "true" } else { "false" });
    for (label, value) in network.labels.iter().flatten() {
        labels.set(&format!("__meta_docker_network_label_{}", sanitized(label)), value);
    }
}

/// For a value in a query string.
pub(super) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
