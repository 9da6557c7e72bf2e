//! Which targets a job has: the mechanisms, one module each, and the manager that merges what they find.
//!
//! Each mechanism is `async fn run(self, out, stop)`: it sends [`Group`]s, whole, whenever one changed; a group with
//! the same source replaces the one before, one without targets takes it away.
//! Not here: relabelling of what was found (`target`), mechanisms that are only known by name (`config`).

pub mod dns;
pub mod docker;
pub mod file;
pub mod group;
pub mod http;
pub mod kubernetes;
mod list;
pub mod manager;
mod refresh;
pub mod statics;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use model::time::Clock;
use net::client::ClientError;
use net::http_config::HttpConfig;
use net::session::{Session, SessionOptions};
use tokio_util::sync::CancellationToken;

pub use self::dns::DnsSdConfig;
pub use self::docker::DockerSdConfig;
pub use self::file::FileSdConfig;
pub use self::group::{ADDRESS, Group, MechanismStatus, Out, Update};
pub use self::http::HttpSdConfig;
pub use self::kubernetes::KubernetesSdConfig;
pub use self::manager::{Found, Manager, Statuses};
pub use self::statics::StaticConfig;

/// Why a mechanism does not find anything now. Its targets stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("{}", .0.in_words())]
    Client(#[from] ClientError),
    #[error("{url}: {why}")]
    Answer { url: String, why: String },
    #[error("{path}: {why}", path = path.display())]
    File { path: PathBuf, why: String },
    #[error("resolving {name}: {why}")]
    Dns { name: String, why: String },
    #[error("{key}: {why}")]
    Setting { key: &'static str, why: String },
}

/// What mechanisms need besides their configuration.
#[derive(Clone, Debug)]
pub struct Environment {
    pub clock: Arc<dyn Clock>,
    pub user_agent: String,
}

impl Environment {
    /// A client as a block asks for it. What the operator's own file names may be anywhere.
    fn session(&self, http: &HttpConfig, unix_socket: Option<PathBuf>) -> Result<Session, ClientError> {
        let options = SessionOptions { user_agent: self.user_agent.clone(), unix_socket, ..SessionOptions::default() };
        Session::new(http, options, Arc::clone(&self.clock))
    }
}

/// The block of one mechanism.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Static(StaticConfig),
    File(FileSdConfig),
    Http(HttpSdConfig),
    Dns(DnsSdConfig),
    Docker(DockerSdConfig),
    Kubernetes(KubernetesSdConfig),
}

impl Block {
    /// The mechanism's name.
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Dns(_) => "dns",
            Self::Docker(_) => "docker",
            Self::Kubernetes(_) => "kubernetes",
        }
    }
}

/// A mechanism that is ready to run.
#[derive(Debug)]
pub enum Provider {
    Static(statics::StaticDiscovery),
    File(file::FileDiscovery),
    Http(Box<http::HttpDiscovery>),
    Dns(dns::DnsDiscovery),
    Docker(Box<docker::DockerDiscovery>),
    Kubernetes(Box<kubernetes::KubernetesDiscovery>),
}

impl Provider {
    /// # Errors
    /// The block asks for something that is not supported.
    pub fn new(block: Block, environment: &Environment) -> Result<Self, DiscoveryError> {
        Ok(match block {
            Block::Static(block) => Self::Static(statics::StaticDiscovery::new(&[block])),
            Block::File(block) => Self::File(file::FileDiscovery::new(&block)),
            Block::Http(block) => Self::Http(Box::new(http::HttpDiscovery::new(block, environment)?)),
            Block::Dns(block) => Self::Dns(dns::DnsDiscovery::new(&block)),
            Block::Docker(block) => Self::Docker(Box::new(docker::DockerDiscovery::new(block, environment)?)),
            Block::Kubernetes(block) => {
                Self::Kubernetes(Box::new(kubernetes::KubernetesDiscovery::new(block, environment)))
            }
        })
    }

    /// Runs until it is stopped or has said all it ever will.
    #[must_use]
    pub fn run(self, out: Out, stop: CancellationToken) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::Static(mechanism) => Box::pin(mechanism.run(out, stop)),
            Self::File(mechanism) => Box::pin(mechanism.run(out, stop)),
            Self::Http(mechanism) => Box::pin(mechanism.run(out, stop)),
            Self::Dns(mechanism) => Box::pin(mechanism.run(out, stop)),
            Self::Docker(mechanism) => Box::pin(mechanism.run(out, stop)),
            Self::Kubernetes(mechanism) => Box::pin(mechanism.run(out, stop)),
        }
    }
}

/// Without a pause between two rounds a mechanism would do nothing else.
fn check_interval(interval: std::time::Duration, at: &yaml::At<'_>, cx: &mut yaml::Context) {
    if interval.is_zero() {
        cx.problem(at.value("refresh_interval"), "refresh_interval must be greater than zero");
    }
}
