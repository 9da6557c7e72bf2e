//! Objects to targets: which addresses they stand for, and every label Prometheus gives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::{Labels, LabelsBuilder};
use tokio::sync::Notify;

use super::super::group::{join_host_port, sanitized};
use super::super::{ADDRESS, Group};
use super::config::Role;
use super::objects::{
    Container, ContainerPort, EndpointAddress, EndpointSlice, Endpoints, Ingress, Meta, Namespace, Node, Object, Pod,
    Reference, Service, ServicePort, SliceEndpoint, SlicePort,
};
use super::store::Store;

/// The label by which a slice names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Kinds of node addresses, the best first.
const ADDRESS_KINDS: [&str; 6] = ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// The stores of one kind: one for each namespace that is looked into.
#[derive(Debug)]
pub(super) struct Stores<T>(Vec<Arc<Store<T>>>);

impl<T: Object> Stores<T> {
    /// As many stores as there are places to list.
    pub(super) fn new(count: usize, changed: &Arc<Notify>) -> Self {
        Self((0..count).map(|_| Store::new(Arc::clone(changed))).collect())
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<Store<T>>> {
        self.0.iter()
    }

    /// The object of this name, whichever store has it: names are unique within a namespace, and each namespace has
    /// one store.
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.0.iter().find_map(|store| store.get(namespace, name))
    }

    /// Every object, in the order of names, so that groups come out in the same order each time.
    fn all(&self) -> Vec<Arc<T>> {
        self.0.iter().flat_map(|store| store.all()).collect()
    }

    fn is_synced(&self) -> bool {
        self.0.iter().all(|store| store.is_synced())
    }
}

/// What is known of a cluster; kinds that a role does not need have no stores.
#[derive(Debug)]
pub(super) struct World {
    pub(super) nodes: Stores<Node>,
    pub(super) pods: Stores<Pod>,
    pub(super) services: Stores<Service>,
    pub(super) endpoints: Stores<Endpoints>,
    pub(super) slices: Stores<EndpointSlice>,
    pub(super) ingresses: Stores<Ingress>,
    pub(super) namespaces: Stores<Namespace>,
}

impl World {
    /// Everything was listed at least once: before, a target might lack half of its labels.
    pub(super) fn is_synced(&self) -> bool {
        self.nodes.is_synced()
            && self.pods.is_synced()
            && self.services.is_synced()
            && self.endpoints.is_synced()
            && self.slices.is_synced()
            && self.ingresses.is_synced()
            && self.namespaces.is_synced()
    }

    /// One group for each object of the role.
    pub(super) fn groups(&self, role: Role) -> Vec<Group> {
        match role {
            Role::Node => self.nodes.all().iter().filter_map(|node| node_group(node)).collect(),
            Role::Pod => self.pods.all().iter().map(|pod| self.pod_group(pod)).collect(),
            Role::Service => self.services.all().iter().map(|service| self.service_group(service)).collect(),
            Role::Endpoints => self.endpoints.all().iter().map(|endpoints| self.endpoints_group(endpoints)).collect(),
            Role::EndpointSlice => self.slices.all().iter().map(|slice| self.slice_group(slice)).collect(),
            Role::Ingress => self.ingresses.all().iter().map(|ingress| self.ingress_group(ingress)).collect(),
        }
    }

    /// A target for each port of each container; a container without ports is one target without a port.
    fn pod_group(&self, pod: &Pod) -> Group {
        let source = source("pod", &pod.metadata);
        // A pod that starts, or was evicted, has no address.
        if pod.status.pod_ip.is_empty() {
            return Group::gone(&source);
        }
        let mut labels = LabelsBuilder::default();
        self.namespace_labels(&pod.metadata, &mut labels);
        pod_labels(pod, &mut labels);
        self.node_labels(Some(&pod.spec.node_name), &mut labels);
        let mut targets = Vec::new();
        for (container, init) in containers(pod) {
            let statuses = if init { &pod.status.init_container_statuses } else { &pod.status.container_statuses };
            let status = statuses.iter().flatten().find(|status| status.name == container.name);
            let id = status.map_or("", |status| status.container_id.as_str());
            let ports = container.ports.as_deref().unwrap_or_default();
            let mut target = |port: Option<&ContainerPort>| {
                let mut labels = LabelsBuilder::default();
                container_labels(container, init, port, &mut labels);
                labels.set("__meta_kubernetes_pod_container_id", id);
                // Without a port it is for relabelling to add one.
                let ip = &pod.status.pod_ip;
                let address = port.map_or_else(|| ip.clone(), |port| join_host_port(ip, port.container_port));
                labels.set(ADDRESS, &address);
                targets.push(labels.build());
            };
            if ports.is_empty() {
                target(None);
            }
            ports.iter().for_each(|port| target(Some(port)));
        }
        Group { source: source.into(), labels: labels.build(), targets }
    }

    /// A target for each port, at the name that the cluster's DNS gives the service: for probes from outside.
    fn service_group(&self, service: &Service) -> Group {
        let mut labels = LabelsBuilder::default();
        self.namespace_labels(&service.metadata, &mut labels);
        object_labels("service", &service.metadata, &mut labels);
        let (meta, spec) = (&service.metadata, &service.spec);
        let target = |port: &ServicePort| {
            let mut labels = LabelsBuilder::default();
            labels.set(ADDRESS, &join_host_port(&format!("{}.{}.svc", meta.name, meta.namespace), port.port));
            labels.set("__meta_kubernetes_service_port_name", &port.name);
            labels.set("__meta_kubernetes_service_port_number", &port.port.to_string());
            labels.set("__meta_kubernetes_service_port_protocol", &port.protocol);
            labels.set("__meta_kubernetes_service_type", &spec.kind);
            if spec.kind == "ExternalName" {
                labels.set("__meta_kubernetes_service_external_name", &spec.external_name);
            } else {
                labels.set("__meta_kubernetes_service_cluster_ip", &spec.cluster_ip);
            }
            if spec.kind == "LoadBalancer" {
                labels.set("__meta_kubernetes_service_loadbalancer_ip", &spec.load_balancer_ip);
            }
            labels.build()
        };
        let targets = spec.ports.iter().flatten().map(target).collect();
        Group { source: source("svc", meta).into(), labels: labels.build(), targets }
    }

    /// A target for each address and port that stands behind a service, ready or not, and for the other ports of the
    /// pods behind it: what is scraped is often not what is served.
    fn endpoints_group(&self, endpoints: &Endpoints) -> Group {
        let meta = &endpoints.metadata;
        let mut labels = LabelsBuilder::default();
        self.namespace_labels(meta, &mut labels);
        if let Some(service) = self.services.get(&meta.namespace, &meta.name) {
            object_labels("service", &service.metadata, &mut labels);
        }
        object_labels("endpoints", meta, &mut labels);
        let mut backing = Backing::default();
        for subset in endpoints.subsets.iter().flatten() {
            let ready = subset.addresses.iter().flatten().map(|address| (address, "true"));
            let not_ready = subset.not_ready_addresses.iter().flatten().map(|address| (address, "false"));
            let addresses: Vec<_> = ready.chain(not_ready).collect();
            for port in subset.ports.iter().flatten() {
                for (address, ready) in &addresses {
                    self.endpoint_target(address, port, ready, &mut backing);
                }
            }
        }
        Group { source: source("endpoints", meta).into(), labels: labels.build(), targets: self.finish(backing) }
    }

    /// One address with one port. Labels of the pod, where there is one, win over those of the endpoint.
    fn endpoint_target(&self, address: &EndpointAddress, port: &ServicePort, ready: &str, backing: &mut Backing) {
        let mut labels = LabelsBuilder::default();
        labels.set(ADDRESS, &join_host_port(&address.ip, port.port));
        labels.set("__meta_kubernetes_endpoint_port_name", &port.name);
        labels.set("__meta_kubernetes_endpoint_port_protocol", &port.protocol);
        labels.set("__meta_kubernetes_endpoint_ready", ready);
        labels.set("__meta_kubernetes_endpoint_hostname", &address.hostname);
        labels.set("__meta_kubernetes_endpoint_node_name", address.node_name.as_deref().unwrap_or_default());
        if let Some(reference) = &address.target_ref {
            labels.set("__meta_kubernetes_endpoint_address_target_kind", &reference.kind);
            labels.set("__meta_kubernetes_endpoint_address_target_name", &reference.name);
        }
        let of_node = address.target_ref.as_ref().filter(|reference| reference.kind == "Node");
        let node = address.node_name.as_deref().or(of_node.map(|reference| reference.name.as_str()));
        self.node_labels(node, &mut labels);
        self.backed(address.target_ref.as_ref(), Some((port.port, Some(&port.protocol))), labels, backing);
    }

    /// As [`Self::endpoints_group`], for the newer kind that comes in slices of a hundred.
    fn slice_group(&self, slice: &EndpointSlice) -> Group {
        let meta = &slice.metadata;
        let mut labels = LabelsBuilder::default();
        self.namespace_labels(meta, &mut labels);
        labels.set("__meta_kubernetes_endpointslice_address_type", &slice.address_type);
        object_labels("endpointslice", meta, &mut labels);
        let service = meta.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
        if let Some(service) = service.and_then(|name| self.services.get(&meta.namespace, name)) {
            object_labels("service", &service.metadata, &mut labels);
        }
        let mut backing = Backing::default();
        for endpoint in slice.endpoints.iter().flatten() {
            for port in slice.ports.iter().flatten() {
                for address in endpoint.addresses.iter().flatten() {
                    self.slice_target(address, endpoint, port, &mut backing);
                }
            }
        }
        Group { source: source("endpointslice", meta).into(), labels: labels.build(), targets: self.finish(backing) }
    }

    /// One address with one port; what a slice leaves open (`null`) gets no label.
    fn slice_target(&self, address: &str, endpoint: &SliceEndpoint, port: &SlicePort, backing: &mut Backing) {
        let mut labels = LabelsBuilder::default();
        let whole = port.port.map_or_else(|| address.to_owned(), |port| join_host_port(address, port));
        labels.set(ADDRESS, &whole);
        let reference = endpoint.target_ref.as_ref();
        let word = |flag: Option<bool>| flag.map(|flag| flag.to_string());
        let conditions = &endpoint.conditions;
        for (name, value) in [
            ("port_name", port.name.clone()),
            ("port_protocol", port.protocol.clone()),
            ("port", port.port.map(|port| port.to_string())),
            ("port_app_protocol", port.app_protocol.clone()),
            ("endpoint_conditions_ready", word(conditions.ready)),
            ("endpoint_conditions_serving", word(conditions.serving)),
            ("endpoint_conditions_terminating", word(conditions.terminating)),
            ("endpoint_hostname", endpoint.hostname.clone()),
            ("address_target_kind", reference.map(|reference| reference.kind.clone())),
            ("address_target_name", reference.map(|reference| reference.name.clone())),
            ("endpoint_node_name", endpoint.node_name.clone()),
            ("endpoint_zone", endpoint.zone.clone()),
        ] {
            labels.set(&format!("__meta_kubernetes_endpointslice_{name}"), value.as_deref().unwrap_or_default());
        }
        for (name, value) in endpoint.deprecated_topology.iter().flatten() {
            let name = sanitized(name);
            labels.set(&format!("__meta_kubernetes_endpointslice_endpoint_topology_{name}"), value);
            labels.set(&format!("__meta_kubernetes_endpointslice_endpoint_topology_present_{name}"), "true");
        }
        let of_node = reference.filter(|reference| reference.kind == "Node");
        let node = of_node.map(|reference| reference.name.as_str()).or(endpoint.node_name.as_deref());
        self.node_labels(node, &mut labels);
        self.backed(reference, port.port.map(|port| (port, None)), labels, backing);
    }

    /// Completes a target with the labels of the pod behind it, where there is one.
    fn backed(
        &self,
        reference: Option<&Reference>,
        port: Option<(u16, Option<&str>)>,
        mut labels: LabelsBuilder,
        backing: &mut Backing,
    ) {
        let reference = reference.filter(|reference| reference.kind == "Pod");
        let pod = reference.and_then(|reference| self.pods.get(&reference.namespace, &reference.name));
        let Some(pod) = pod else {
            backing.targets.push(labels.build());
            return;
        };
        pod_labels(&pod, &mut labels);
        if let Some((number, protocol)) = port {
            for (container, init) in containers(&pod) {
                let matching = |port: &&ContainerPort| port.container_port == number;
                if let Some(port) = container.ports.iter().flatten().find(matching) {
                    container_labels(container, init, Some(port), &mut labels);
                    if let Some(protocol) = protocol {
                        labels.set("__meta_kubernetes_pod_container_port_protocol", protocol);
                    }
                }
            }
        }
        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
        let (_, ports) = backing.pods.entry(key).or_insert_with(|| (pod, Vec::new()));
        ports.extend(port.map(|(number, _)| number));
        backing.targets.push(labels.build());
    }

    /// Adds the ports of pods behind a service that the service does not offer.
    fn finish(&self, backing: Backing) -> Vec<Labels> {
        let mut targets = backing.targets;
        for (pod, seen) in backing.pods.values().filter(|(pod, _)| !pod.status.pod_ip.is_empty()) {
            for (container, init) in containers(pod) {
                let ports = container.ports.iter().flatten().filter(|port| !seen.contains(&port.container_port));
                for port in ports {
                    let mut labels = LabelsBuilder::default();
                    labels.set(ADDRESS, &join_host_port(&pod.status.pod_ip, port.container_port));
                    container_labels(container, init, Some(port), &mut labels);
                    pod_labels(pod, &mut labels);
                    self.node_labels(Some(&pod.spec.node_name), &mut labels);
                    targets.push(labels.build());
                }
            }
        }
        targets
    }

    /// A target for each host and path, for probes; the scheme is `https` where a certificate is named for the host.
    fn ingress_group(&self, ingress: &Ingress) -> Group {
        let mut labels = LabelsBuilder::default();
        self.namespace_labels(&ingress.metadata, &mut labels);
        object_labels("ingress", &ingress.metadata, &mut labels);
        let class = ingress.spec.ingress_class_name.as_deref().unwrap_or_default();
        labels.set("__meta_kubernetes_ingress_class_name", class);
        let secure: Vec<&String> =
            ingress.spec.tls.iter().flatten().flat_map(|tls| tls.hosts.iter().flatten()).collect();
        let mut targets = Vec::new();
        for rule in ingress.spec.rules.iter().flatten() {
            let scheme = if secure.iter().any(|host| covers(host, &rule.host)) { "https" } else { "http" };
            let paths: Vec<&str> = match &rule.http {
                Some(http) => http.paths.iter().flatten().map(|path| path.path.as_str()).collect(),
                None => vec![""],
            };
            for path in paths {
                targets.push(Labels::from_pairs([
                    (ADDRESS, rule.host.as_str()),
                    ("__meta_kubernetes_ingress_scheme", scheme),
                    ("__meta_kubernetes_ingress_host", &rule.host),
                    ("__meta_kubernetes_ingress_path", if path.is_empty() { "/" } else { path }),
                ]));
            }
        }
        Group { source: source("ingress", &ingress.metadata).into(), labels: labels.build(), targets }
    }

    /// The namespace an object is in, with the labels of it where they are asked for.
    fn namespace_labels(&self, meta: &Meta, labels: &mut LabelsBuilder) {
        labels.set("__meta_kubernetes_namespace", &meta.namespace);
        if let Some(namespace) = self.namespaces.get("", &meta.namespace) {
            words("namespace", &namespace.metadata, labels);
        }
    }

    /// The labels of a node where they are asked for: only then nodes are listed besides pods and endpoints.
    fn node_labels(&self, name: Option<&str>, labels: &mut LabelsBuilder) {
        if let Some(node) = name.and_then(|name| self.nodes.get("", name)) {
            object_labels("node", &node.metadata, labels);
        }
    }
}

/// The targets of endpoints, and the pods behind them with the ports that are targets already.
#[derive(Default)]
struct Backing {
    targets: Vec<Labels>,
    pods: BTreeMap<(String, String), (Arc<Pod>, Vec<u16>)>,
}

/// The kubelet of a node. A node without any address is no target: there is nothing to connect to.
fn node_group(node: &Node) -> Option<Group> {
    let addresses = node.status.addresses.as_deref().unwrap_or_default();
    let best = ADDRESS_KINDS.iter().find_map(|kind| addresses.iter().find(|address| address.kind == *kind))?;
    let mut target = LabelsBuilder::default();
    // The first of each kind.
    for address in addresses.iter().rev() {
        target.set(&format!("__meta_kubernetes_node_address_{}", sanitized(&address.kind)), &address.address);
    }
    target.set(ADDRESS, &join_host_port(&best.address, node.status.daemon_endpoints.kubelet_endpoint.port));
    target.set("instance", &node.metadata.name);
    let mut labels = LabelsBuilder::default();
    object_labels("node", &node.metadata, &mut labels);
    labels.set("__meta_kubernetes_node_provider_id", &node.spec.provider_id);
    let source = format!("node/{}", node.metadata.name);
    Some(Group { source: source.into(), labels: labels.build(), targets: vec![target.build()] })
}

/// What a group is called: the same for the same object, whatever happens to it.
fn source(kind: &str, meta: &Meta) -> String {
    format!("{kind}/{}/{}", meta.namespace, meta.name)
}

/// Name, labels and annotations of an object.
fn object_labels(role: &str, meta: &Meta, labels: &mut LabelsBuilder) {
    labels.set(&format!("__meta_kubernetes_{role}_name"), &meta.name);
    words(role, meta, labels);
}

/// Labels and annotations, each with a mark that it is there: an empty one cannot be told from none otherwise.
fn words(role: &str, meta: &Meta, labels: &mut LabelsBuilder) {
    for (kind, words) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
        for (name, value) in words.iter().flatten() {
            let name = sanitized(name);
            labels.set(&format!("__meta_kubernetes_{role}_{kind}_{name}"), value);
            labels.set(&format!("__meta_kubernetes_{role}_{kind}present_{name}"), "true");
        }
    }
}

/// Everything about a pod as such, not about one of its containers.
fn pod_labels(pod: &Pod, labels: &mut LabelsBuilder) {
    object_labels("pod", &pod.metadata, labels);
    let ready = pod.status.conditions.iter().flatten().find(|condition| condition.kind == "Ready");
    let ready = ready.map_or_else(|| "unknown".to_owned(), |condition| condition.status.to_lowercase());
    let owners = pod.metadata.owner_references.iter().flatten();
    let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
    for (name, value) in [
        ("ip", pod.status.pod_ip.as_str()),
        ("ready", &ready),
        ("phase", &pod.status.phase),
        ("node_name", &pod.spec.node_name),
        ("host_ip", &pod.status.host_ip),
        ("uid", &pod.metadata.uid),
        ("controller_kind", controller.map_or("", |owner| owner.kind.as_str())),
        ("controller_name", controller.map_or("", |owner| owner.name.as_str())),
    ] {
        labels.set(&format!("__meta_kubernetes_pod_{name}"), value);
    }
}

/// All containers of a pod, and whether they are for its start.
fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let main = pod.spec.containers.iter().flatten().map(|container| (container, false));
    main.chain(pod.spec.init_containers.iter().flatten().map(|container| (container, true)))
}

/// What a target that is one container (and one of its ports) says about it.
fn container_labels(container: &Container, init: bool, port: Option<&ContainerPort>, labels: &mut LabelsBuilder) {
    labels.set("__meta_kubernetes_pod_container_name", &container.name);
    labels.set("__meta_kubernetes_pod_container_image", &container.image);
    labels.set("__meta_kubernetes_pod_container_init", if init { "true" } else { "false" });
    if let Some(port) = port {
        labels.set("__meta_kubernetes_pod_container_port_name", &port.name);
        labels.set("__meta_kubernetes_pod_container_port_number", &port.container_port.to_string());
        labels.set("__meta_kubernetes_pod_container_port_protocol", &port.protocol);
    }
}

/// Whether a host of a certificate, perhaps `*.example.org`, is for this host.
fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == domain),
        None => pattern == host,
    }
}
