//! Mechanisms that are not acted on, from lightsail to vultr: keys, defaults and refusals.

use std::path::PathBuf;
use std::time::Duration;

use model::secret::Secret;
use net::http_config::{HttpConfig, TlsConfig, Url};
use yaml::{At, Context, Spanned};

use super::{require, role};

const MINUTE: Duration = Duration::from_secs(60);

role! { /// What is discovered in OpenStack.
OpenStackRole ["hypervisor", "instance", "loadbalancer"] "unknown OpenStack SD role {:?}" }
role! { /// What is discovered at Scaleway.
ScalewayRole ["instance", "baremetal"] "unknown role {:?}" }

yaml::record! {
    /// Amazon Lightsail.
    pub struct Lightsail {
        pub endpoint: Option<String>,
        pub region: Option<String>,
        pub access_key: Option<String>,
        pub secret_key: Option<Secret>,
        pub profile: Option<String>,
        pub role_arn: Option<String>,
        pub external_id: Option<String>,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

yaml::record! {
    /// Linode instances.
    pub struct Linode {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        pub tag_separator: String = ",".to_owned(),
        pub region: Option<String>,
    }
}

yaml::record! {
    /// Marathon apps.
    #[yaml(check = Marathon::check)]
    pub struct Marathon {
        pub servers: Vec<String>,
        pub refresh_interval: Duration = Duration::from_secs(30),
        pub auth_token: Secret,
        pub auth_token_file: Option<Spanned<PathBuf>>,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

impl Marathon {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let servers = !self.servers.is_empty();
        require(servers, at, cx, "servers", "marathon_sd: must contain at least one Marathon server");
        let file = self.auth_token_file.as_ref().is_some_and(|file| !file.value.as_os_str().is_empty());
        let token = !self.auth_token.is_empty();
        let other = if token && file {
            "auth_token & auth_token_file"
        } else if !token && !file {
            return;
        } else if self.http.basic_auth.is_some() {
            "basic_auth, auth_token & auth_token_file"
        } else if self.http.bearer_token.as_ref().is_some_and(|token| !token.is_empty())
            || self.http.bearer_token_file.is_some()
        {
            "bearer_token, bearer_token_file, auth_token & auth_token_file"
        } else if self.http.authorization.is_some() {
            "auth_token, auth_token_file & authorization"
        } else {
            return;
        };
        cx.problem(at.map(), format!("marathon_sd: at most one of {other} must be configured"));
    }
}

yaml::record! {
    /// Zookeeper with Airbnb's Nerve.
    #[yaml(check = Nerve::check)]
    pub struct Nerve {
        pub servers: Vec<String>,
        pub paths: Vec<String>,
        pub timeout: Duration = Duration::from_secs(10),
    }
}

yaml::record! {
    /// Zookeeper with Finagle's server sets.
    #[yaml(check = ServerSet::check)]
    pub struct ServerSet {
        pub servers: Vec<String>,
        pub paths: Vec<String>,
        pub timeout: Duration = Duration::from_secs(10),
    }
}

impl Nerve {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        check_zookeeper("nerve", &self.servers, &self.paths, at, cx);
    }
}

impl ServerSet {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        check_zookeeper("serverset", &self.servers, &self.paths, at, cx);
    }
}

fn check_zookeeper(name: &str, servers: &[String], paths: &[String], at: &At<'_>, cx: &mut Context) {
    let sentence = format!("{name} SD config must contain at least one Zookeeper server");
    require(!servers.is_empty(), at, cx, "servers", &sentence);
    let sentence = format!("{name} SD config must contain at least one path");
    require(!paths.is_empty(), at, cx, "paths", &sentence);
    if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
        cx.problem(at.value("paths"), format!("{name} SD config paths must begin with '/': {path}"));
    }
}

yaml::record! {
    /// HashiCorp Nomad.
    #[yaml(check = Nomad::check)]
    pub struct Nomad {
        pub allow_stale: bool = true,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub namespace: String = "default".to_owned(),
        pub refresh_interval: Duration = MINUTE,
        pub region: String = "global".to_owned(),
        pub server: String = "http://localhost:4646".to_owned(),
        pub tag_separator: String = ",".to_owned(),
    }
}

impl Nomad {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let server = !self.server.trim().is_empty();
        require(server, at, cx, "server", "nomad SD configuration requires a server address");
    }
}

yaml::record! {
    /// Oracle Cloud Infrastructure.
    pub struct Oci {
        pub region: String,
        pub tenancy: String,
        pub user: String,
        pub fingerprint: String,
        pub key_file: Option<Spanned<PathBuf>>,
        pub key_passphrase: Option<Secret>,
        pub compartments: Vec<String>,
        pub port: i64 = 80,
        pub refresh_interval: Duration = MINUTE,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

yaml::record! {
    /// OpenStack Nova.
    #[yaml(check = OpenStack::check)]
    pub struct OpenStack {
        pub identity_endpoint: Option<String>,
        pub username: Option<String>,
        pub userid: Option<String>,
        pub password: Option<Secret>,
        pub project_name: Option<String>,
        pub project_id: Option<String>,
        pub application_credential_name: Option<String>,
        pub application_credential_id: Option<String>,
        pub application_credential_secret: Option<Secret>,
        pub domain_name: Option<String>,
        pub domain_id: Option<String>,
        pub role: OpenStackRole,
        pub region: Option<String>,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        pub all_tenants: bool = false,
        pub tls_config: TlsConfig,
        pub availability: String = "public".to_owned(),
    }
}

impl OpenStack {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if !["public", "internal", "admin"].contains(&self.availability.as_str()) {
            let sentence =
                format!("unknown availability {}, must be one of admin, internal or public", self.availability);
            cx.problem(at.value("availability"), sentence);
        }
        require(!self.role.0.is_empty(), at, cx, "role", "role missing (one of: instance, hypervisor, loadbalancer)");
    }
}

yaml::record! {
    /// Outscale virtual machines.
    #[yaml(check = Outscale::check)]
    pub struct Outscale {
        pub endpoint: Option<String>,
        pub region: String = "eu-west-2".to_owned(),
        pub access_key: String,
        pub secret_key: Secret,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

impl Outscale {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.region.is_empty(), at, cx, "region", "outscale SD configuration requires a region");
        let keys = !self.access_key.is_empty() && !self.secret_key.is_empty();
        require(keys, at, cx, "access_key", "outscale SD configuration requires access_key and secret_key");
    }
}

yaml::record! {
    /// OVHcloud servers.
    #[yaml(check = OvhCloud::check)]
    pub struct OvhCloud {
        pub endpoint: String = "ovh-eu".to_owned(),
        pub application_key: String,
        pub application_secret: Secret,
        pub consumer_key: Secret,
        pub refresh_interval: Duration = MINUTE,
        pub service: String,
    }
}

impl OvhCloud {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.endpoint.is_empty(), at, cx, "endpoint", "endpoint can not be empty");
        require(!self.application_key.is_empty(), at, cx, "application_key", "application key can not be empty");
        let secret = !self.application_secret.is_empty();
        require(secret, at, cx, "application_secret", "application secret can not be empty");
        require(!self.consumer_key.is_empty(), at, cx, "consumer_key", "consumer key can not be empty");
        if !["dedicated_server", "vps"].contains(&self.service.as_str()) {
            cx.problem(at.value("service"), format!("unknown service: {}", self.service));
        }
    }
}

yaml::record! {
    /// PuppetDB resources.
    #[yaml(check = PuppetDb::check)]
    pub struct PuppetDb {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = MINUTE,
        pub url: Url,
        pub query: String,
        pub include_parameters: bool = false,
        pub port: i64 = 80,
    }
}

impl PuppetDb {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.url.is_empty() {
            cx.problem(at.value("url"), "URL is missing");
        } else if !["http", "https"].contains(&self.url.scheme().as_str()) {
            cx.problem(at.value("url"), "URL scheme must be 'http' or 'https'");
        } else if self.url.host().is_empty() {
            cx.problem(at.value("url"), "host is missing in URL");
        }
        require(!self.query.is_empty(), at, cx, "query", "query missing");
    }
}

yaml::record! {
    /// Scaleway servers.
    #[yaml(check = Scaleway::check)]
    pub struct Scaleway {
        pub project_id: String,
        pub api_url: String = "https://api.scaleway.com".to_owned(),
        pub zone: String = "fr-par-1".to_owned(),
        pub access_key: String,
        pub secret_key: Secret,
        pub secret_key_file: Option<Spanned<PathBuf>>,
        pub name_filter: Option<String>,
        pub tags_filter: Vec<String>,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        pub role: ScalewayRole,
    }
}

impl Scaleway {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.role.0.is_empty(), at, cx, "role", "role missing (one of: instance, baremetal)");
        require(!self.project_id.is_empty(), at, cx, "project_id", "project_id is mandatory");
        let file = self.secret_key_file.as_ref().is_some_and(|file| !file.value.as_os_str().is_empty());
        match (!self.secret_key.is_empty(), file) {
            (false, false) => cx.problem(at.map(), "one of secret_key & secret_key_file must be configured"),
            (true, true) => cx.problem(at.map(), "at most one of secret_key & secret_key_file must be configured"),
            (true, false) | (false, true) => {}
        }
        require(!self.access_key.is_empty(), at, cx, "access_key", "access_key is mandatory");
    }
}

yaml::record! {
    /// STACKIT servers.
    #[yaml(check = Stackit::check)]
    pub struct Stackit {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
        pub region: String = "eu01".to_owned(),
        pub endpoint: Url,
        pub project: String,
        pub service_account_key: Option<Secret>,
        pub private_key: Option<Secret>,
        pub service_account_key_path: Option<String>,
        pub private_key_path: Option<String>,
        pub credentials_file_path: Option<String>,
    }
}

impl Stackit {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let found = !self.endpoint.is_empty() || !self.region.is_empty();
        require(found, at, cx, "region", "endpoint or region missing");
    }
}

yaml::record! {
    /// Triton containers.
    #[yaml(check = Triton::check)]
    pub struct Triton {
        pub account: String,
        pub role: String = "container".to_owned(),
        pub dns_suffix: String,
        pub endpoint: String,
        pub groups: Vec<String>,
        pub port: i64 = 9163,
        pub refresh_interval: Duration = MINUTE,
        pub tls_config: TlsConfig,
        pub version: i64 = 1,
    }
}

impl Triton {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let role = ["container", "cn"].contains(&self.role.as_str());
        require(role, at, cx, "role", "triton SD configuration requires role to be 'container' or 'cn'");
        require(!self.account.is_empty(), at, cx, "account", "triton SD configuration requires an account");
        require(!self.dns_suffix.is_empty(), at, cx, "dns_suffix", "triton SD configuration requires a dns_suffix");
        require(!self.endpoint.is_empty(), at, cx, "endpoint", "triton SD configuration requires an endpoint");
        let sentence = "triton SD configuration requires RefreshInterval to be a positive integer";
        require(!self.refresh_interval.is_zero(), at, cx, "refresh_interval", sentence);
    }
}

yaml::record! {
    /// Uyuni systems.
    #[yaml(check = Uyuni::check)]
    pub struct Uyuni {
        pub server: Url,
        pub username: String,
        pub password: Secret,
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub entitlement: String = "monitoring_entitled".to_owned(),
        pub separator: String = ",".to_owned(),
        pub refresh_interval: Duration = MINUTE,
    }
}

impl Uyuni {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        require(!self.server.is_empty(), at, cx, "server", "Uyuni SD configuration requires server host");
        require(!self.username.is_empty(), at, cx, "username", "Uyuni SD configuration requires a username");
        require(!self.password.is_empty(), at, cx, "password", "Uyuni SD configuration requires a password");
    }
}

yaml::record! {
    /// Vultr instances.
    pub struct Vultr {
        #[yaml(flatten)]
        pub http: HttpConfig,
        pub refresh_interval: Duration = MINUTE,
        pub port: i64 = 80,
    }
}
