//! Lists of targets over HTTP.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Reply, Server, json};
use super::*;

fn block(url: &str, more: &str) -> Block {
    Block::Http(yaml::from_str("conf.yml", &format!("url: '{url}'\nrefresh_interval: 1s\n{more}")).expect("a block"))
}

#[tokio::test]
async fn a_list_is_asked_for_again_and_what_is_gone_from_it_is_gone() {
    let round = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&round);
    let server = Server::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => json(r#"[{"targets": ["a:1", "a:2"], "labels": {"env": "prod"}}, {"targets": ["b:1"]}]"#),
        1 => Reply::Whole("503 Service Unavailable", "", String::new()),
        _ => json(r#"[{"targets": ["a:1"], "labels": {"env": "prod"}}]"#),
    })
    .await;
    let mut running = Running::start(vec![block(&server.url("/list"), "bearer_token: secret")]);
    let targets = running.until("the first list", |targets| targets.len() == 3).await;
    let url = server.url("/list");
    assert_eq!(targets[0], format!(r#"{{__address__="a:1", __meta_url="{url}", env="prod"}}"#));
    let asked = server.last();
    assert!(asked.contains("x-prometheus-refresh-interval-seconds: 1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer secret\r\n") && asked.contains("user-agent: test/1\r\n"), "{asked}");
    assert!(asked.contains("accept: application/json\r\n"), "{asked}");
    let problem = running.problem().await;
    assert!(problem.ends_with("/list: server returned HTTP status 503 Service Unavailable"), "{problem}");
    running.until("the list without one", |targets| targets.len() == 1).await;
    running.end().await;
}

#[tokio::test]
async fn what_is_no_list_is_named() {
    for (kind, body, why) in [
        ("content-type: text/html\r\n", "[]", "unsupported content type \"text/html\", expected application/json"),
        ("content-type: application/json; charset=utf-8\r\n", "[{\"target\": []}]", "unknown field `target`"),
        ("", "[]", "unsupported content type \"\""),
    ] {
        let server = Server::start(move |_| Reply::Whole("200 OK", kind, body.to_owned())).await;
        let running = Running::start(vec![block(&server.url("/"), "")]);
        let problem = running.problem().await;
        assert!(problem.contains(why), "{problem}");
        running.end().await;
    }
}

#[tokio::test]
async fn a_mechanism_that_cannot_be_set_up_takes_none_of_the_others_with_it() {
    let fixed = Block::Static(yaml::from_str("conf.yml", "targets: [a:1]").expect("a block"));
    let mut running = Running::start(vec![block("http://a/", "proxy_url: socks5://a:1"), fixed]);
    running.until("the other one", |targets| targets.len() == 1).await;
    assert!(running.problem().await.contains("socks5://a:1 is not supported"));
    assert_eq!(running.statuses.now()[1].problem, None);
    running.end().await;
}
