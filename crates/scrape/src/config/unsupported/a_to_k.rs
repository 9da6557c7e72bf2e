//! Mechanisms that are not acted on, from aws to kuma: keys, defaults and refusals.

use std::time::Duration;

use model::secret::Secret;
use net::http_config::{HttpConfig, Url};
use yaml::{At, Context, Map};

use super::{require, role};

const MINUTE: Duration = Duration::from_secs(60);
const HALF_MINUTE: Duration = Duration::from_secs(30);

role! { /// What is discovered at Amazon.
AwsRole ["ec2", "ecs", "lightsail", "msk"] "unknown AWS SD role {:?}" }
role! { /// What is discovered at Hetzner.
HetznerRole ["robot", "hcloud"] "unknown role {:?}" }

yaml::record! {
    /// A condition on what is discovered.
    pub struct Filter {
        pub name: String,
        pub values: Vec<String>,
    }
}

yaml::record! {
    /// Amazon, by role.
    #[yaml(check = Aws::check)]
    pub struct Aws {
        pub role: AwsRole,
        pub region: Option<String>,
        pub endpoint: Option<String>,
        pub access_key: Option<String>,
        pub secret_key: Option<Secret>,
        pub profile: Option<String>,
        pub role_arn: Option<String>,
        pub external_id: Option<String>,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub filters: Vec<Filter>,
        pub clusters: Vec<String>,
        pub request_concurrency: Option<i64>,
    }
}

impl Aws {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.role.0.is_empty(), at, cx, "role", "unknown AWS SD role \"\"");
    }
}

yaml::record! {
    /// Azure virtual machines.
    #[yaml(check = Azure::check)]
    pub struct Azure {
        pub environment: String = "AzurePublicCloud".to_owned(),
        pub port: i64 = 80,
        pub subscription_id: String,
        pub tenant_id: String,
        pub client_id: String,
        pub client_secret: Secret,
        pub refresh_interval: Duration = Duration::from_secs(300),
        pub authentication_method: String = "OAuth".to_owned(),
        pub resource_group: Option<String>,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

impl Azure {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let mut needs = |key: &str, given: bool| {
            require(given, at, cx, key, &format!("azure SD configuration requires a {key}"));
        };
        needs("subscription_id", !self.subscription_id.is_empty());
        if self.authentication_method == "OAuth" {
            needs("tenant_id", !self.tenant_id.is_empty());
            needs("client_id", !self.client_id.is_empty());
            needs("client_secret", !self.client_secret.is_empty());
        }
        if !["OAuth", "ManagedIdentity", "SDK", "WorkloadIdentity"].contains(&self.authentication_method.as_str()) {
            let sentence = format!(
                "unknown authentication_type {:?}. Supported types are \"OAuth\", \"ManagedIdentity\", \"SDK\" or \
                 \"WorkloadIdentity\"",
                self.authentication_method
            );
            cx.problem(at.value("authentication_method"), sentence);
        }
    }
}

yaml::record! {
    /// Services of Consul's catalogue.
    #[yaml(check = Consul::check)]
    pub struct Consul {
        pub server: String = "localhost:8500".to_owned(),
        pub path_prefix: Option<String>,
        pub token: Option<Secret>,
        pub datacenter: Option<String>,
        pub namespace: Option<String>,
        pub partition: Option<String>,
        pub tag_separator: String = ",".to_owned(),
        pub scheme: String = "http".to_owned(),
        pub username: Option<String>,
        pub password: Option<Secret>,
        pub allow_stale: bool = true,
        pub refresh_interval: Duration = HALF_MINUTE,
        pub services: Vec<String>,
        pub tags: Vec<String>,
        pub node_meta: Map<String>,
        pub filter: Option<String>,
        pub health_filter: Option<String>,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

impl Consul {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let empty = self.server.trim().is_empty();
        require(!empty, at, cx, "server", "consul SD configuration requires a server address");
        let text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let secret = |secret: &Option<Secret>| secret.as_ref().is_some_and(|secret| !secret.is_empty());
        if (text(&self.username) || secret(&self.password)) && self.http.basic_auth.is_some() {
            let sentence =
                "at most one of consul SD configuration username and password and basic auth can be configured";
            cx.problem(at.key("basic_auth"), sentence);
        }
        if secret(&self.token) && (self.http.authorization.is_some() || self.http.oauth2.is_some()) {
            let sentence = "at most one of consul SD token, authorization, or oauth2 can be configured";
            cx.problem(at.key("token"), sentence);
        }
    }
}

yaml::record! {
    /// DigitalOcean droplets.
    pub struct DigitalOcean {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
    }
}

yaml::record! {
    /// Docker Swarm.
    #[yaml(check = DockerSwarm::check)]
    pub struct DockerSwarm {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub host: Url,
        pub role: String,
        pub port: i64 = 80,
        pub filters: Vec<Filter>,
        pub refresh_interval: Duration = MINUTE,
    }
}

impl DockerSwarm {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.host.is_empty(), at, cx, "host", "host missing");
        match self.role.as_str() {
            "services" | "nodes" | "tasks" => {}
            "" => cx.problem(at.value("role"), "role missing (one of: tasks, services, nodes)"),
            role => {
                let sentence = format!("invalid role {role}, expected tasks, services, or nodes");
                cx.problem(at.value("role"), sentence);
            }
        }
    }
}

yaml::record! {
    /// Amazon EC2 instances.
    #[yaml(check = Ec2::check)]
    pub struct Ec2 {
        pub endpoint: Option<String>,
        pub region: Option<String>,
        pub access_key: Option<String>,
        pub secret_key: Option<Secret>,
        pub profile: Option<String>,
        pub role_arn: Option<String>,
        pub external_id: Option<String>,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        pub filters: Vec<Filter>,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

impl Ec2 {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.filters.iter().any(|filter| filter.values.is_empty()) {
            cx.problem(at.value("filters"), "EC2 SD configuration filter values cannot be empty");
        }
    }
}

yaml::record! {
    /// Netflix Eureka.
    #[yaml(check = Eureka::check)]
    pub struct Eureka {
        pub server: Url,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = HALF_MINUTE,
    }
}

impl Eureka {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.server.is_empty() {
            cx.problem(at.value("server"), "eureka_sd: empty or null eureka server");
        } else if self.server.scheme().is_empty() || self.server.host().is_empty() {
            cx.problem(at.value("server"), "eureka_sd: invalid eureka server URL");
        }
    }
}

yaml::record! {
    /// Google Compute Engine.
    #[yaml(check = Gce::check)]
    pub struct Gce {
        pub project: String,
        pub zone: String,
        pub filter: Option<String>,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        pub tag_separator: String = ",".to_owned(),
    }
}

impl Gce {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.project.is_empty(), at, cx, "project", "GCE SD configuration requires a project");
        require(!self.zone.is_empty(), at, cx, "zone", "GCE SD configuration requires a zone");
    }
}

yaml::record! {
    /// Hetzner servers.
    #[yaml(check = Hetzner::check)]
    pub struct Hetzner {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        pub role: HetznerRole,
        pub label_selector: Option<String>,
    }
}

impl Hetzner {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.role.0.is_empty(), at, cx, "role", "role missing (one of: robot, hcloud)");
    }
}

yaml::record! {
    /// IONOS servers.
    #[yaml(check = Ionos::check)]
    pub struct Ionos {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub datacenter_id: String,
        pub port: i64 = 80,
        pub refresh_interval: Duration = MINUTE,
    }
}

impl Ionos {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.datacenter_id.is_empty(), at, cx, "datacenter_id", "datacenter id can't be empty");
    }
}

yaml::record! {
    /// Kuma's control plane.
    #[yaml(check = Kuma::check)]
    pub struct Kuma {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = HALF_MINUTE,
        pub fetch_timeout: Duration = Duration::from_secs(120),
        pub server: Url,
        pub client_id: Option<String>,
    }
}

impl Kuma {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.server.is_empty() {
            cx.problem(at.value("server"), "kuma SD server must not be empty: ");
        } else if self.server.scheme().is_empty() || self.server.host().is_empty() {
            let sentence = format!("kuma SD server must not be empty and have a scheme: {}", self.server);
            cx.problem(at.value("server"), sentence);
        }
    }
}
