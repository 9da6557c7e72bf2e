//! How a cluster is reached: by the address in the block, from within it, or as a kubeconfig file says.
//!
//! Not here: credentials that a program or a cloud's plug-in makes (`exec`, `auth-provider`): refused by name.

use std::path::{Path, PathBuf};

use model::secret::Secret;
use net::http_config::{Authorization, BasicAuth, HttpConfig, TlsConfig, Url};
use yaml::{Node, Spanned};

use super::super::DiscoveryError;
use super::config::KubernetesSdConfig;

/// Where a pod finds what it may know of its cluster.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The address of an API server, and how to talk to it.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Without a slash at its end.
    pub(super) base: String,
    pub(super) http: HttpConfig,
    /// The namespace this program runs in, where it runs in the cluster.
    pub(super) own_namespace: Option<String>,
}

/// What the environment of a pod says.
#[derive(Clone, Debug)]
pub(super) struct InCluster {
    pub(super) host: Option<String>,
    pub(super) port: Option<String>,
    pub(super) folder: PathBuf,
}

impl InCluster {
    pub(super) fn of_process() -> Self {
        let read = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let (host, port) = (read("KUBERNETES_SERVICE_HOST"), read("KUBERNETES_SERVICE_PORT"));
        Self { host, port, folder: SERVICE_ACCOUNT.into() }
    }
}

/// # Errors
/// The file or the environment does not say where the cluster is, or asks for what is not supported.
pub(super) fn find(block: &KubernetesSdConfig, within: &InCluster) -> Result<Cluster, DiscoveryError> {
    if let Some(file) = block.kubeconfig_file.as_ref().filter(|file| !file.value.as_os_str().is_empty()) {
        return from_kubeconfig(&file.place.resolve(&file.value));
    }
    match block.api_server.as_ref().filter(|url| !url.is_empty()) {
        Some(url) => {
            let base = url.without_user().trim_end_matches('/').to_owned();
            Ok(Cluster { base, http: block.http.clone(), own_namespace: None })
        }
        None => from_within(within),
    }
}

/// Every pod finds a token and the cluster's authority in one folder; the token is renewed there, so it stays a file.
fn from_within(within: &InCluster) -> Result<Cluster, DiscoveryError> {
    let (Some(host), Some(port)) = (&within.host, &within.port) else {
        let why = "no api_server and no kubeconfig_file is given, and this program does not run in a cluster \
                   (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set)";
        return Err(DiscoveryError::Setting { key: "kubernetes_sd_configs", why: why.to_owned() });
    };
    let file = |name: &str| Some(Spanned::from(within.folder.join(name)));
    let http = HttpConfig {
        authorization: Some(Authorization { credentials_file: file("token"), ..Authorization::default() }),
        tls_config: TlsConfig { ca_file: file("ca.crt"), ..TlsConfig::default() },
        ..HttpConfig::default()
    };
    let own_namespace = std::fs::read_to_string(within.folder.join("namespace")).ok();
    let own_namespace = own_namespace.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    Ok(Cluster { base: format!("https://{}", super::super::group::join_host_port(host, port)), http, own_namespace })
}

/// The cluster and user of the current context.
fn from_kubeconfig(path: &Path) -> Result<Cluster, DiscoveryError> {
    let wrong = |why: String| DiscoveryError::File { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let root = yaml::parse(&path.to_string_lossy(), &text).map_err(|problems| wrong(problems.to_string()))?;
    let missing = |what: &str| wrong(format!("has no {what}"));
    let current = text_of(&root, "current-context").ok_or_else(|| missing("current-context"))?;
    let context =
        named(&root, "contexts", &current, "context").ok_or_else(|| missing(&format!("context {current:?}")))?;
    let name = text_of(context, "cluster").unwrap_or_default();
    let cluster = named(&root, "clusters", &name, "cluster").ok_or_else(|| missing(&format!("cluster {name:?}")))?;
    let server = text_of(cluster, "server").ok_or_else(|| missing(&format!("server of cluster {name:?}")))?;
    let user = text_of(context, "user").and_then(|user| named(&root, "users", &user, "user"));
    let mut http = HttpConfig { tls_config: tls(cluster, user, path)?, ..HttpConfig::default() };
    if let Some(url) = text_of(cluster, "proxy-url") {
        http.proxy.proxy_url = Some(Url::parse(&url).map_err(|error| wrong(error.to_string()))?);
    }
    if let Some(user) = user {
        identify(user, path, &mut http)?;
    }
    Ok(Cluster { base: server.trim_end_matches('/').to_owned(), http, own_namespace: None })
}

/// TLS to the API server: each PEM is in the file itself, as base64, or in one beside it.
fn tls(cluster: &Node, user: Option<&Node>, path: &Path) -> Result<TlsConfig, DiscoveryError> {
    let data = |node: Option<&Node>, key: &str| {
        let Some(text) = node.and_then(|node| text_of(node, key)) else { return Ok(None) };
        let bytes = yaml::scalar::from_base64(&text).and_then(|bytes| String::from_utf8(bytes).ok());
        let why = format!("{key} is not the base64 of a PEM text");
        bytes.map(Some).ok_or(DiscoveryError::File { path: path.to_owned(), why })
    };
    let file = |node: Option<&Node>, key: &str| {
        node.and_then(|node| text_of(node, key)).map(|text| Spanned::from(beside(path, &text)))
    };
    let config = TlsConfig {
        ca: data(Some(cluster), "certificate-authority-data")?,
        cert: data(user, "client-certificate-data")?,
        key: data(user, "client-key-data")?.map(Secret::new),
        server_name: text_of(cluster, "tls-server-name"),
        insecure_skip_verify: text_of(cluster, "insecure-skip-tls-verify").as_deref() == Some("true"),
        ..TlsConfig::default()
    };
    // Data wins over a file, as in kubectl.
    let ca_file = if config.ca.is_some() { None } else { file(Some(cluster), "certificate-authority") };
    let cert_file = if config.cert.is_some() { None } else { file(user, "client-certificate") };
    let key_file = if config.key.is_some() { None } else { file(user, "client-key") };
    Ok(TlsConfig { ca_file, cert_file, key_file, ..config })
}

/// As whom the user of the context comes.
fn identify(user: &Node, path: &Path, http: &mut HttpConfig) -> Result<(), DiscoveryError> {
    if let Some(key) = ["exec", "auth-provider"].into_iter().find(|key| user.get(key).is_some()) {
        let why = format!("{key} of a user is not supported, expected a token, a certificate or a password");
        return Err(DiscoveryError::File { path: path.to_owned(), why });
    }
    let token_file = text_of(user, "tokenFile").map(|text| Spanned::from(beside(path, &text)));
    let token = text_of(user, "token").filter(|_| token_file.is_none()).map(Secret::new);
    if token.is_some() || token_file.is_some() {
        let authorization =
            Authorization { credentials: token, credentials_file: token_file, ..Authorization::default() };
        http.authorization = Some(authorization);
    } else if let Some(username) = text_of(user, "username") {
        let password = text_of(user, "password").map(Secret::new);
        http.basic_auth = Some(BasicAuth { username: Some(username), password, ..BasicAuth::default() });
    }
    Ok(())
}

/// What `inner` holds in the entry of a list that has this name.
fn named<'a>(root: &'a Node, list: &str, name: &str, inner: &str) -> Option<&'a Node> {
    let entries = root.get(list)?.as_list()?;
    entries.iter().find(|entry| text_of(entry, "name").as_deref() == Some(name))?.get(inner)
}

fn text_of(node: &Node, key: &str) -> Option<String> {
    let scalar = node.get(key).filter(|node| !node.is_null())?.as_scalar()?;
    Some(scalar.text.clone()).filter(|text| !text.is_empty())
}

/// Paths in a kubeconfig are relative to it.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().map_or_else(|| path.into(), |folder| folder.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> KubernetesSdConfig {
        yaml::from_str("conf.yml", text).expect("a block")
    }

    #[test]
    fn within_a_cluster_the_service_account_is_used() {
        let folder = std::env::temp_dir().join(format!("in-cluster-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("namespace"), "monitoring\n").expect("written");
        let within =
            InCluster { host: Some("fd00::1".to_owned()), port: Some("443".to_owned()), folder: folder.clone() };
        let cluster = find(&block("role: pod"), &within).expect("a cluster");
        assert_eq!(
            (cluster.base.as_str(), cluster.own_namespace.as_deref()),
            ("https://[fd00::1]:443", Some("monitoring"))
        );
        let token = cluster.http.authorization.and_then(|authorization| authorization.credentials_file);
        assert_eq!(token.map(|file| file.value), Some(folder.join("token")));
        assert_eq!(cluster.http.tls_config.ca_file.map(|file| file.value), Some(folder.join("ca.crt")));
        let nowhere =
            find(&block("role: pod"), &InCluster { host: None, ..within }).expect_err("no cluster").to_string();
        assert!(nowhere.contains("KUBERNETES_SERVICE_HOST"), "{nowhere}");
        let _left_for_the_system = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn a_kubeconfig_brings_certificates_as_data_or_files() {
        let folder = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let write = |users: &str| {
            let text = format!(
                "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: 'https://a:6443', certificate-authority-data: aGVsbG8=, tls-server-name: k}}}}]\n\
                 users: [{{name: u, user: {users}}}]\nunknown: {{a: b}}\n"
            );
            let path = folder.join("config");
            std::fs::write(&path, text).expect("written");
            from_kubeconfig(&path)
        };
        let cluster = write("{client-certificate: c.pem, client-key-data: aGVsbG8=}").expect("fits");
        let tls = &cluster.http.tls_config;
        assert_eq!(
            (cluster.base.as_str(), tls.ca.as_deref(), tls.server_name.as_deref()),
            ("https://a:6443", Some("hello"), Some("k"))
        );
        assert_eq!(tls.cert_file.as_ref().map(|file| file.value.clone()), Some(folder.join("c.pem")));
        assert_eq!(tls.key.as_ref().map(Secret::expose), Some("hello"));
        let cluster = write("{username: ann, password: x}").expect("fits");
        assert_eq!(cluster.http.basic_auth.and_then(|basic| basic.username).as_deref(), Some("ann"));
        let error = write("{auth-provider: {name: gcp}}").expect_err("not supported").to_string();
        assert!(error.contains("auth-provider of a user is not supported"), "{error}");
        let error = write("{client-key-data: '*'}").expect_err("no base64").to_string();
        assert!(error.contains("client-key-data is not the base64 of a PEM text"), "{error}");
        let _left_for_the_system = std::fs::remove_dir_all(&folder);
    }
}
