//! Targets from the objects of a Kubernetes cluster, which are listed once and watched from then on.
//!
//! The kinds a role needs are followed side by side (`store`); when one of them changes, the groups are made anew
//! (`targets`) and those that differ are handed on. A cluster that cannot be reached keeps its targets.
//! Not here: the roles of the gateway API; API versions that clusters before 1.21 have (`discovery.k8s.io/v1beta1`).

mod cluster;
pub mod config;
mod objects;
mod selector;
mod store;
mod targets;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use net::session::Session;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::cluster::{Cluster, InCluster};
pub use self::config::KubernetesSdConfig;
use self::config::Role;
use self::objects::Object;
use self::store::Place;
use self::targets::{Stores, World};
use super::group::Sent;
use super::{DiscoveryError, Environment, Out};

/// Events come in bursts; groups are made once for all that come within this time.
const SETTLE: Duration = Duration::from_millis(500);
/// How often it is looked whether the cluster can be reached now.
const RETRY: Duration = Duration::from_secs(10);

/// Follows one cluster.
#[derive(Debug)]
pub struct KubernetesDiscovery {
    block: KubernetesSdConfig,
    environment: Environment,
    within: InCluster,
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl KubernetesDiscovery {
    #[must_use]
    pub fn new(block: KubernetesSdConfig, environment: &Environment) -> Self {
        Self { block, environment: environment.clone(), within: InCluster::of_process() }
    }

    pub async fn run(self, out: Out, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow(&out) => {}
        }
    }

    /// Finds the cluster, then follows it for ever.
    async fn follow(&self, out: &Out) {
        let Some(role) = self.block.role else { return };
        let (cluster, session) = loop {
            match self.connect() {
                Ok(found) => break found,
                Err(error) => out.failed(&error),
            }
            tokio::time::sleep(RETRY).await;
        };
        let changed = Arc::new(Notify::new());
        let (world, followers) = self.world(role, &cluster, &session, (out, &changed));
        tokio::join!(join_all(followers), publish(role, world, &changed, out));
    }

    /// Done again until it works: in a cluster that starts, the token may come after us.
    fn connect(&self) -> Result<(Cluster, Session), DiscoveryError> {
        let cluster = cluster::find(&self.block, &self.within)?;
        let session = self.environment.session(&cluster.http, None)?;
        Ok((cluster, session))
    }

    /// Namespaces to look into; `None` is all of them.
    fn namespaces(&self, cluster: &Cluster) -> Vec<Option<String>> {
        let mut names = self.block.namespaces.names.clone();
        names.extend(cluster.own_namespace.clone().filter(|_| self.block.namespaces.own_namespace));
        names.sort();
        names.dedup();
        if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() }
    }

    /// The stores that a role needs, and the work that keeps them.
    fn world(
        &self,
        role: Role,
        cluster: &Cluster,
        session: &Session,
        (out, changed): (&Out, &Arc<Notify>),
    ) -> (World, Vec<Work>) {
        let namespaces = self.namespaces(cluster);
        let attach = &self.block.attach_metadata;
        // Nodes and namespaces belong to no namespace.
        let everywhere = vec![None];
        let endpoints = matches!(role, Role::Endpoints | Role::EndpointSlice);
        let nodes = role == Role::Node || attach.node && (endpoints || role == Role::Pod);
        let of_namespaces = attach.namespace && role != Role::Node;
        let mut start = Start { base: &cluster.base, session, out, changed, works: Vec::new() };
        let (none, core) = (Vec::new(), "/api/v1");
        let at = |wanted: bool, places: &[Option<String>]| if wanted { places.to_vec() } else { none.clone() };
        let world = World {
            nodes: start.stores(&at(nodes, &everywhere), (core, "nodes"), self.selector(Role::Node)),
            pods: start.stores(
                &at(endpoints || role == Role::Pod, &namespaces),
                (core, "pods"),
                self.selector(Role::Pod),
            ),
            services: start.stores(
                &at(endpoints || role == Role::Service, &namespaces),
                (core, "services"),
                self.selector(Role::Service),
            ),
            endpoints: start.stores(
                &at(role == Role::Endpoints, &namespaces),
                (core, "endpoints"),
                self.selector(Role::Endpoints),
            ),
            slices: start.stores(
                &at(role == Role::EndpointSlice, &namespaces),
                ("/apis/discovery.k8s.io/v1", "endpointslices"),
                self.selector(Role::EndpointSlice),
            ),
            ingresses: start.stores(
                &at(role == Role::Ingress, &namespaces),
                ("/apis/networking.k8s.io/v1", "ingresses"),
                self.selector(Role::Ingress),
            ),
            namespaces: start.stores(&at(of_namespaces, &everywhere), (core, "namespaces"), ("", "")),
        };
        (world, start.works)
    }

    /// What the API server is asked to leave out, by label and by field.
    fn selector(&self, role: Role) -> (&str, &str) {
        let selector = self.block.selectors.iter().find(|selector| selector.role == Some(role));
        selector.map_or(("", ""), |selector| (&selector.label, &selector.field))
    }
}

/// Makes stores, each with the work that keeps it.
struct Start<'a> {
    base: &'a str,
    session: &'a Session,
    out: &'a Out,
    changed: &'a Arc<Notify>,
    works: Vec<Work>,
}

impl Start<'_> {
    fn stores<T: Object + 'static>(
        &mut self,
        namespaces: &[Option<String>],
        (prefix, plural): (&str, &str),
        selector: (&str, &str),
    ) -> Stores<T> {
        let stores = Stores::new(namespaces.len(), self.changed);
        for (store, namespace) in stores.each().zip(namespaces) {
            let place = Place::new(self.base, prefix, namespace.as_deref(), plural, selector);
            self.works.push(Box::pin(Arc::clone(store).follow(self.session.clone(), place, self.out.clone())));
        }
        stores
    }
}

/// Hands groups on whenever something changed, once everything was listed.
async fn publish(role: Role, world: World, changed: &Notify, out: &Out) {
    let mut sent = Sent::default();
    loop {
        changed.notified().await;
        if world.is_synced() {
            out.send(sent.changes(world.groups(role))).await;
            tokio::time::sleep(SETTLE).await;
        }
    }
}
