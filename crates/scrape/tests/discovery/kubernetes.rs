//! A fake API server: lists in pages, watches with bookmarks, forgets versions, refuses.

use std::sync::Mutex;

use tokio::sync::mpsc;

use super::server::{Reply, Server, json};
use super::*;

/// An open watch: its path, and where its lines are put in.
type Watch = (String, mpsc::Sender<String>);

/// The open watches, so that a test can say what happens.
#[derive(Clone, Default)]
struct Watches(Arc<Mutex<Vec<Watch>>>);

impl Watches {
    fn open(&self, path: &str) -> Reply {
        let (sender, lines) = mpsc::channel(16);
        self.0.lock().expect("unbroken").push((path.to_owned(), sender));
        Reply::Lines(lines)
    }

    /// Says something on the newest watch of a kind, once there is one.
    async fn say(&self, plural: &str, line: &str) {
        let waiting = async {
            loop {
                let newest = {
                    let watches = self.0.lock().expect("unbroken");
                    watches.iter().rev().find(|(path, _)| path.contains(plural)).map(|(_, sender)| sender.clone())
                };
                if let Some(sender) = newest
                    && sender.send(line.to_owned()).await.is_ok()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(HANG, waiting).await.expect("a watch");
    }

    /// Ends every watch.
    fn end(&self) {
        self.0.lock().expect("unbroken").clear();
    }
}

fn list(items: &str, version: u32) -> Reply {
    json(format!("{{\"metadata\": {{\"resourceVersion\": \"{version}\"}}, \"items\": [{items}]}}"))
}

fn block(server: &Server, more: &str) -> Block {
    Block::Kubernetes(
        yaml::from_str("conf.yml", &format!("api_server: '{}'\n{more}", server.url(""))).expect("a block"),
    )
}

fn pod(name: &str, ip: &str, version: u32) -> String {
    format!(
        "{{\"metadata\": {{\"name\": \"{name}\", \"namespace\": \"default\", \"resourceVersion\": \"{version}\"}}, \
         \"spec\": {{\"containers\": [{{\"name\": \"c\", \"image\": \"i\"}}]}}, \"status\": {{\"podIP\": \"{ip}\"}}}}"
    )
}

/// A cluster as it stands in `testdata`: what is listed is what the file has, and nothing changes.
fn cluster(request: &str, watches: &Watches) -> Reply {
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path.contains("watch=1") {
        return watches.open(path);
    }
    let plural = path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let all: serde_json::Value = serde_json::from_str(&testdata("kubernetes.json")).expect("json");
    match all.get(plural) {
        Some(items) => json(format!("{{\"metadata\": {{\"resourceVersion\": \"1\"}}, \"items\": {items}}}")),
        None => Reply::Whole("404 Not Found", "", String::new()),
    }
}

#[tokio::test]
async fn every_role_gives_the_targets_and_labels_of_prometheus() {
    for role in ["node", "pod", "service", "endpoints", "endpointslice", "ingress"] {
        let watches = Watches::default();
        let server = Server::start(move |request| cluster(request, &watches)).await;
        let attach = if role == "node" { "" } else { "attach_metadata: {node: true, namespace: true}" };
        let mut running = Running::start(vec![block(&server, &format!("role: {role}\n{attach}"))]);
        let targets = running.until("all of them", |targets| !targets.is_empty()).await;
        same_as(&targets, &format!("kubernetes_{role}.txt"));
        running.end().await;
    }
}

#[tokio::test]
async fn events_of_a_watch_change_the_targets() {
    let watches = Watches::default();
    let open = watches.clone();
    let server = Server::start(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.contains("watch=1") { open.open(path) } else { list(&pod("a", "10.0.0.1", 5), 7) }
    })
    .await;
    let mut running = Running::start(vec![block(&server, "role: pod")]);
    running.until("the list", |targets| targets.len() == 1).await;
    watches.say("pods", &format!("{{\"type\": \"ADDED\", \"object\": {}}}", pod("b", "10.0.0.2", 8))).await;
    running.until("one more", |targets| targets.len() == 2).await;
    watches.say("pods", &format!("{{\"type\": \"MODIFIED\", \"object\": {}}}", pod("b", "10.0.0.3", 9))).await;
    watches.say("pods", &format!("{{\"type\": \"DELETED\", \"object\": {}}}", pod("a", "10.0.0.1", 10))).await;
    let targets = running.until("another one", |targets| targets.len() == 1).await;
    assert!(targets[0].contains("10.0.0.3"), "{targets:?}");
    // A bookmark says how far we are without saying anything else.
    watches.say("pods", "{\"type\": \"BOOKMARK\", \"object\": {\"metadata\": {\"resourceVersion\": \"44\"}}}").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    watches.end();
    watches.say("pods", &format!("{{\"type\": \"ADDED\", \"object\": {}}}", pod("c", "10.0.0.4", 45))).await;
    running.until("the next watch", |targets| targets.len() == 2).await;
    let asked: Vec<String> = server.asked().into_iter().filter(|line| line.contains("watch=1")).collect();
    assert!(asked[0].contains("&resourceVersion=7 ") && asked[0].contains("allowWatchBookmarks=true"), "{asked:?}");
    assert!(asked[1].contains("&resourceVersion=44 "), "{asked:?}");
    assert_eq!(server.asked().iter().filter(|line| !line.contains("watch=1")).count(), 1, "listed once");
    running.end().await;
}

#[tokio::test]
async fn a_version_that_the_server_forgot_is_listed_anew() {
    let (watches, lists) = (Watches::default(), Arc::new(Mutex::new(0)));
    let open = watches.clone();
    let server = Server::start(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.contains("watch=1") {
            return open.open(path);
        }
        let mut lists = lists.lock().expect("unbroken");
        *lists += 1;
        if *lists == 1 { list(&pod("a", "10.0.0.1", 5), 7) } else { list(&pod("b", "10.0.0.2", 90), 99) }
    })
    .await;
    let mut running = Running::start(vec![block(&server, "role: pod")]);
    running.until("the list", |targets| targets.len() == 1 && targets[0].contains("10.0.0.1")).await;
    let gone = "{\"type\": \"ERROR\", \"object\": {\"kind\": \"Status\", \"code\": 410, \"message\": \"too old\"}}";
    watches.say("pods", gone).await;
    running.until("the other one alone", |targets| targets.len() == 1 && targets[0].contains("10.0.0.2")).await;
    watches.say("pods", &format!("{{\"type\": \"ADDED\", \"object\": {}}}", pod("c", "10.0.0.3", 100))).await;
    running.until("the watch goes on", |targets| targets.len() == 2).await;
    assert!(server.asked().iter().any(|line| line.contains("resourceVersion=99 ")), "{:?}", server.asked());
    running.end().await;
}

#[tokio::test]
async fn long_lists_come_in_pages_and_selectors_and_namespaces_are_asked_for() {
    let watches = Watches::default();
    let server = Server::start(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.contains("watch=1") {
            watches.open(path)
        } else if path.contains("continue=more%2F1") {
            list(&pod("b", "10.0.0.2", 6), 7)
        } else if path.contains("/namespaces/one/") {
            let items = pod("a", "10.0.0.1", 5);
            json(format!(
                "{{\"metadata\": {{\"resourceVersion\": \"7\", \"continue\": \"more/1\"}}, \"items\": [{items}]}}"
            ))
        } else {
            list("", 7)
        }
    })
    .await;
    let more = "role: pod\nnamespaces: {names: [one, two]}\n\
                selectors: [{role: pod, label: 'app in (a, b)', field: status.phase=Running}]\nbearer_token: secret";
    let mut running = Running::start(vec![block(&server, more)]);
    running.until("both pages", |targets| targets.len() == 2).await;
    let asked = server.asked();
    let selectors = "&labelSelector=app%20in%20%28a%2C%20b%29&fieldSelector=status.phase%3DRunning";
    for namespace in ["one", "two"] {
        let expected = format!("GET /api/v1/namespaces/{namespace}/pods?limit=500{selectors} HTTP/1.1");
        assert!(asked.contains(&expected), "{expected} in {asked:?}");
    }
    assert!(server.last().contains("authorization: Bearer secret\r\n"), "{}", server.last());
    running.end().await;
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    let server = Server::start(|_| {
        let body =
            "{\"kind\": \"Status\", \"message\": \"pods is forbidden: User \\\"x\\\" cannot list\", \"code\": 403}";
        Reply::Whole("403 Forbidden", "content-type: application/json\r\n", body.to_owned())
    })
    .await;
    let running = Running::start(vec![block(&server, "role: pod")]);
    let problem = running.problem().await;
    let expected = "/api/v1/pods: the API server answers 403 Forbidden: pods is forbidden: User \"x\" cannot list";
    assert!(problem.ends_with(expected), "{problem}");
    running.end().await;
}

#[tokio::test]
async fn a_kubeconfig_file_says_where_and_as_whom() {
    let watches = Watches::default();
    let server = Server::start(move |request| cluster(request, &watches)).await;
    let folder = Folder::new("kubeconfig");
    let config = format!(
        "apiVersion: v1\ncurrent-context: here\ncontexts:\n- {{name: here, context: {{cluster: c, user: u, namespace: x}}}}\n\
         clusters:\n- {{name: c, cluster: {{server: '{}'}}}}\nusers:\n- {{name: u, user: {{tokenFile: token}}}}\n",
        server.url("/")
    );
    let path = folder.write("config", &config);
    folder.write("token", "from-file\n");
    let text = format!("role: node\nkubeconfig_file: '{}'", path.display());
    let block = |text: &str| Block::Kubernetes(yaml::from_str("conf.yml", text).expect("a block"));
    let mut running = Running::start(vec![block(&text)]);
    running.until("a node", |targets| targets.len() == 1).await;
    assert!(server.last().contains("authorization: Bearer from-file\r\n"), "{}", server.last());
    running.end().await;
    folder.write("config", &config.replace("tokenFile: token", "exec: {command: aws}"));
    let running = Running::start(vec![block(&text)]);
    let problem = running.problem().await;
    assert!(
        problem.ends_with("exec of a user is not supported, expected a token, a certificate or a password"),
        "{problem}"
    );
    running.end().await;
}
