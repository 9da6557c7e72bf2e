//! Files: both formats, watched, read again, broken, gone.

use super::*;

fn block(files: &str) -> Block {
    Block::File(yaml::from_str("conf.yml", &format!("files: [{files}]\nrefresh_interval: 1h")).expect("a block"))
}

#[tokio::test]
async fn files_are_read_at_once_and_when_they_change_without_waiting_for_the_interval() {
    let folder = Folder::new("file");
    let json = folder.write("a.json", r#"[{"targets": ["a:1"], "labels": {"env": "prod"}}]"#);
    folder.write("b.yml", "- targets: [b:1, b:2]\n");
    folder.write("ignored.txt", "rubbish");
    let pattern = |name: &str| folder.path(name).display().to_string();
    let mut running = Running::start(vec![block(&format!("'{}', '{}'", pattern("*.json"), pattern("b*.yml")))]);
    let targets = running.until("all of them", |targets| targets.len() == 3).await;
    let path = json.display();
    assert_eq!(targets[0], format!(r#"{{__address__="a:1", __meta_filepath="{path}", env="prod"}}"#));
    folder.write("a.json", r#"[{"targets": ["a:2"]}, {"targets": ["a:3"]}]"#);
    running.until("the new text", |targets| targets.iter().any(|target| target.contains("a:3"))).await;
    folder.write("b2.yml", "- targets: [c:1]\n");
    running.until("a new file", |targets| targets.iter().any(|target| target.contains("c:1"))).await;
    std::fs::remove_file(folder.path("a.json")).expect("removed");
    let targets = running.until("one less", |targets| !targets.iter().any(|target| target.contains("a:"))).await;
    assert_eq!(targets.len(), 3);
    running.end().await;
}

#[tokio::test]
async fn a_broken_file_keeps_its_targets_and_says_where_it_is_broken() {
    let folder = Folder::new("file-broken");
    let path = folder.write("a.yml", "- targets: [a:1]\n");
    let mut running = Running::start(vec![block(&format!("'{}'", path.display()))]);
    running.until("the good text", |targets| targets.len() == 1).await;
    folder.write("a.yml", "- targets: [a:2]\n  label: {}\n");
    let problem = running.problem().await;
    assert!(problem.ends_with("a.yml:2:3: [0]: unknown key \"label\", expected perhaps \"labels\""), "{problem}");
    assert_eq!(running.until("the old targets", |_| true).await.len(), 1);
    folder.write("a.yml", "- targets: [a:3]\n");
    running.until("whole again", |targets| targets.iter().any(|target| target.contains("a:3"))).await;
    assert_eq!(running.statuses.now()[0].problem, None);
    running.end().await;
}

#[tokio::test]
async fn static_targets_are_there_at_once() {
    let block = |text: &str| Block::Static(yaml::from_str("conf.yml", text).expect("a block"));
    let blocks = vec![block("targets: [a:1, b:2]\nlabels: {env: prod}"), block("targets: [c:3]")];
    let mut running = Running::start(blocks);
    let targets = running.until("all", |targets| targets.len() == 3).await;
    assert_eq!(targets[1], r#"{__address__="b:2", env="prod"}"#);
    assert!(running.found.borrow().complete);
    running.end().await;
}
