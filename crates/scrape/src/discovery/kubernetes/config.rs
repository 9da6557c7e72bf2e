//! The `kubernetes_sd_configs` block.

use std::path::PathBuf;

use net::http_config::{HttpConfig, Url};
use yaml::{At, Context, Spanned};

use super::selector;

yaml::choice! {
    /// Which objects are targets.
    #[derive(Hash)]
    pub enum Role {
        Node = "node",
        Pod = "pod",
        Service = "service",
        Endpoints = "endpoints",
        EndpointSlice = "endpointslice",
        Ingress = "ingress",
    }
}

yaml::record! {
    /// A Kubernetes cluster.
    #[yaml(check = KubernetesSdConfig::check)]
    pub struct KubernetesSdConfig {
        /// Without it: the cluster this program runs in, or that of `kubeconfig_file`.
        pub api_server: Option<Url>,
        pub role: Option<Role>,
        pub kubeconfig_file: Option<Spanned<PathBuf>>,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub namespaces: Namespaces,
        pub selectors: Vec<Spanned<Selector>>,
        pub attach_metadata: AttachMetadata,
    }
}

yaml::record! {
    /// Where is looked; without names everywhere.
    pub struct Namespaces {
        /// Also the namespace this program runs in.
        pub own_namespace: bool = false,
        pub names: Vec<String>,
    }
}

yaml::record! {
    /// What the API server is asked to leave out.
    pub struct Selector {
        pub role: Option<Role>,
        pub label: String,
        pub field: String,
    }
}

yaml::record! {
    /// Labels of further objects on each target.
    pub struct AttachMetadata {
        /// Those of the node a pod runs on.
        pub node: bool = false,
        /// Those of the namespace.
        pub namespace: bool = false,
    }
}

const ROLES: &str = "pod, service, endpoints, endpointslice, node, ingress";

impl Role {
    /// Roles whose objects are listed for this role and may be narrowed down.
    fn selectors(self) -> &'static [Role] {
        match self {
            Self::Node => &[Self::Node],
            Self::Pod => &[Self::Pod, Self::Node],
            Self::Service => &[Self::Service],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

impl KubernetesSdConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let api_server = self.api_server.as_ref().is_some_and(|url| !url.is_empty());
        let kubeconfig = self.kubeconfig_file.as_ref().is_some_and(|path| !path.value.as_os_str().is_empty());
        let own = self.namespaces.own_namespace;
        let wrong = [
            (self.role.is_none(), format!("role missing (one of: {ROLES})")),
            (api_server && kubeconfig, "cannot use 'kubeconfig_file' and 'api_server' simultaneously".to_owned()),
            (
                kubeconfig && !self.http.is_default(),
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'".to_owned(),
            ),
            (
                !api_server && !kubeconfig && !self.http.is_default(),
                "to use custom HTTP client configuration please provide the 'api_server' URL explicitly".to_owned(),
            ),
            (own && api_server, "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously".to_owned()),
            (
                own && kubeconfig,
                "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously".to_owned(),
            ),
        ];
        for (_, sentence) in wrong.into_iter().filter(|(wrong, _)| *wrong) {
            cx.problem(at.map(), sentence);
        }
        if let Some(role) = self.role {
            self.check_selectors(role, cx);
        }
    }

    fn check_selectors(&self, role: Role, cx: &mut Context) {
        let mut seen: Vec<Option<Role>> = Vec::new();
        for selector in &self.selectors {
            if seen.contains(&selector.role) {
                let name = selector.role.map_or("", Role::as_str);
                cx.problem(&selector.place, format!("duplicated selector role: {name}"));
            }
            seen.push(selector.role);
            if !selector.role.is_some_and(|of| role.selectors().contains(&of)) {
                let allowed: Vec<&str> = role.selectors().iter().map(|of| of.as_str()).collect();
                let sentence = format!("{role} role supports only {} selectors", allowed.join(", "));
                cx.problem(&selector.place, sentence);
            }
            for checked in [selector::check_fields(&selector.field), selector::check_labels(&selector.label)] {
                if let Err(sentence) = checked {
                    cx.problem(&selector.place, sentence);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_refuses_is_refused_in_its_words() {
        for (text, why) in [
            ("namespaces: {}", "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)"),
            ("role: vacation", "role: expected one of node, pod, service"),
            ("role: pod\nauthorization: {credentials: 1234}", "please provide the 'api_server' URL explicitly"),
            (
                "role: endpoints\nkubeconfig_file: /a\nbasic_auth: {username: user}",
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            ),
            (
                "role: pod\nkubeconfig_file: a\napi_server: http://a",
                "'kubeconfig_file' and 'api_server' simultaneously",
            ),
            (
                "role: pod\napi_server: http://a\nnamespaces: {own_namespace: true}",
                "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
            ),
            (
                "role: endpoints\nselectors: [{role: node, label: foo=bar}]",
                "endpoints role supports only pod, service, endpoints selectors",
            ),
            ("role: node\nselectors: [{role: pod}]", "node role supports only node selectors"),
            ("role: node\nselectors: [{role: node}, {role: node}]", "duplicated selector role: node"),
            (
                "role: endpoints\nselectors: [{role: pod, field: metadata.status-Running}]",
                "invalid selector: 'metadata.status-Running'; can't understand 'metadata.status-Running'",
            ),
            (
                "role: node\napi_server: https://localhost:1234\nbearer_token: 1234\nbearer_token_file: somefile",
                "at most one of bearer_token & bearer_token_file must be configured",
            ),
        ] {
            let problems = yaml::from_str::<KubernetesSdConfig>("a.yml", text).expect_err(text).to_string();
            assert!(problems.contains(why), "{text}: {problems}");
        }
    }

    #[test]
    fn what_prometheus_takes_is_taken() {
        for text in [
            "role: endpoints\napi_server: 'https://localhost:1234'\nnamespaces: {names: [default]}",
            "role: pod\nkubeconfig_file: /etc/kube/config",
            "role: endpoints\napi_server:\n",
            "role: pod\nattach_metadata: {node: true}\nselectors: [{role: node, label: a=b}, {role: pod}]",
            "role: endpoints\nselectors: [{role: pod, label: 'a in (b, c)', field: metadata.status=Running}]",
        ] {
            if let Err(problems) = yaml::from_str::<KubernetesSdConfig>("a.yml", text) {
                panic!("{text}: {problems}");
            }
        }
    }
}
