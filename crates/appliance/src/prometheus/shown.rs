//! The configuration as Prometheus prints it: with defaults, without what is empty, secrets as `<secret>`.
//!
//! Order and names of keys are Prometheus's. What Go calls the zero of a type is left out where it is also the default,
//! but for the switches that Prometheus always prints; so what is shown means the same when it is read.

use net::http_config::{Authorization, HttpConfig};
use yaml::schema::{Kind, Shape};
use yaml::{Encode as _, Node, Schema as _, Value};

use super::file::PrometheusFile;
use super::signing::{AzureAd, GoogleIam, SigV4};

/// Keys that are printed also when they are off or empty.
const ALWAYS: [&str; 6] = [
    "track_timestamps_staleness",
    "insecure_skip_verify",
    "include_parameters",
    "all_tenants",
    "port",
    // Empty is another thing than none: it is refused.
    "url",
];

/// The text of `/api/v1/status/config`.
pub(super) fn canonical(file: &PrometheusFile) -> String {
    let mut file = file.clone();
    // As they were written these blocks would show their secrets.
    for block in file.remote_write.iter_mut().filter_map(|block| block.value.as_mut()) {
        if let Some(node) = &mut block.sigv4 {
            node.value = yaml::decode::<SigV4>(&node.value).map_or_else(|_| Node::null(), |typed| typed.encode());
        }
        if let Some(node) = &mut block.azuread {
            node.value = yaml::decode::<AzureAd>(&node.value).map_or_else(|_| Node::null(), |typed| typed.encode());
        }
        if let Some(node) = &mut block.google_iam {
            node.value = yaml::decode::<GoogleIam>(&node.value).map_or_else(|_| Node::null(), |typed| typed.encode());
        }
    }
    let jobs = file.scrape_configs.iter_mut().filter_map(|job| job.value.as_mut()).map(|job| &mut job.http);
    let managers = file.alerting.alertmanagers.iter_mut().filter_map(|block| block.value.as_mut());
    let managers = managers.map(|block| &mut block.http);
    let remote = file.remote_write.iter_mut().filter_map(|block| block.value.as_mut()).map(|block| &mut block.http);
    jobs.chain(managers).chain(remote).for_each(in_newer_spelling);
    let mut node = file.encode();
    prune(&mut node, &PrometheusFile::shape());
    yaml::to_string(&node)
}

/// A bearer token is an authorization of that type, and Prometheus prints it so.
fn in_newer_spelling(http: &mut HttpConfig) {
    let token = http.bearer_token.take().filter(|token| !token.is_empty());
    let file = http.bearer_token_file.take().filter(|file| !file.value.as_os_str().is_empty());
    if http.authorization.is_none() && (token.is_some() || file.is_some()) {
        let fresh = Authorization { credentials: token, credentials_file: file, ..Authorization::default() };
        http.authorization = Some(fresh);
    }
    if let Some(authorization) = &mut http.authorization
        && authorization.kind.as_ref().is_none_or(|kind| kind.trim().is_empty())
    {
        authorization.kind = Some("Bearer".to_owned());
    }
}

/// Takes out what is zero and would be zero without being said.
fn prune(node: &mut Node, shape: &Shape) {
    match (&mut node.value, &shape.kind) {
        (Value::List(items), Kind::List(of)) => items.iter_mut().for_each(|item| prune(item, of)),
        (Value::Map(entries), Kind::Map(of)) => entries.iter_mut().for_each(|entry| prune(&mut entry.value, of)),
        (Value::Map(entries), Kind::Record { fields, .. }) => {
            let fields = fields();
            entries.retain_mut(|entry| {
                let Some(field) = fields.iter().find(|field| field.key == entry.key) else { return true };
                prune(&mut entry.value, &(field.shape)());
                let default = field.default.map_or_else(Node::null, |default| default());
                let zero = is_zero(&entry.key, &entry.value);
                // Where off differs from nothing said, off was said.
                let said = default.is_null() && entry.value.unquoted() == Some("false");
                let zero_anyway = default.is_null() || is_zero(&entry.key, &default);
                ALWAYS.contains(&entry.key.as_str()) || !zero || !zero_anyway || said
            });
        }
        _ => {}
    }
}

fn is_zero(key: &str, node: &Node) -> bool {
    match &node.value {
        Value::List(items) => items.is_empty(),
        // TLS that says nothing would still print its one switch.
        Value::Map(entries) if key == "tls_config" => {
            entries.iter().all(|entry| entry.key == "insecure_skip_verify" && entry.value.unquoted() == Some("false"))
        }
        Value::Map(entries) => entries.iter().all(|entry| is_zero(&entry.key, &entry.value)),
        Value::Scalar(scalar) => match scalar.text.as_str() {
            "" | "0s" | "0B" => true,
            "false" => node.unquoted().is_some(),
            _ => node.is_null(),
        },
    }
}
