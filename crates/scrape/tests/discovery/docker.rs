//! A Docker daemon over its socket and over TCP, with what real ones answer (shortened) in `testdata`.

use super::server::{Reply, Server, json};
use super::*;

fn daemon(request: &str) -> Reply {
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path == "/_ping" {
        Reply::Whole("200 OK", "api-version: 1.47\r\n", "OK".to_owned())
    } else if path.starts_with("/v1.47/containers/json") {
        json(testdata("docker_containers.json"))
    } else if path == "/v1.47/networks" {
        json(testdata("docker_networks.json"))
    } else {
        Reply::Whole("404 Not Found", "", "{\"message\":\"page not found\"}".to_owned())
    }
}

fn block(text: &str) -> Block {
    Block::Docker(yaml::from_str("conf.yml", text).expect("a block"))
}

#[tokio::test]
async fn containers_are_targets_with_prometheus_labels() {
    let folder = Folder::new("docker");
    let socket = folder.path("docker.sock");
    let server = Server::on_socket(&socket, daemon).await;
    let text = format!("host: unix://{}\nfilters: [{{name: label, values: [a=b, c]}}]", socket.display());
    let mut running = Running::start(vec![block(&text)]);
    let targets = running.until("all of them", |targets| !targets.is_empty()).await;
    same_as(&targets, "docker_first_network.txt");
    let filters = "/v1.47/containers/json?filters=%7B%22label%22%3A%5B%22a%3Db%22%2C%22c%22%5D%7D";
    let asked = server.asked();
    assert_eq!(asked[1], format!("GET {filters} HTTP/1.1"), "{asked:?}");
    running.end().await;
}

#[tokio::test]
async fn every_network_is_a_target_where_that_is_asked_for() {
    let server = Server::start(daemon).await;
    let text = format!(
        "host: tcp://{}\nmatch_first_network: false\nport: 9100\nhost_networking_host: 'node:9100'",
        server.address
    );
    let mut running = Running::start(vec![block(&text)]);
    let targets = running.until("all of them", |targets| !targets.is_empty()).await;
    same_as(&targets, "docker_all_networks.txt");
    running.end().await;
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_named_with_what_to_look_at() {
    let running = Running::start(vec![block("host: unix:///no/such/docker.sock")]);
    let problem = running.problem().await;
    assert!(
        problem.contains("/no/such/docker.sock") && problem.contains("is it mounted into the container?"),
        "{problem}"
    );
    running.end().await;
    let server = Server::start(|_| Reply::Whole("403 Forbidden", "", "{\"message\":\"no\"}".to_owned())).await;
    let running = Running::start(vec![block(&format!("host: http://{}", server.address))]);
    let problem = running.problem().await;
    assert!(problem.contains("the daemon answers 403 Forbidden: {\"message\":\"no\"}"), "{problem}");
    running.end().await;
}
