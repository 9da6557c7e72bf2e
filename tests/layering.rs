//! The never-list: what no crate of the house may do, over `cargo metadata`.
//!
//! Every rule is shown twice: it holds for this workspace, and it fires on a made-up one.

use tests::repo;
use xtask::house::{self, RULES};
use xtask::licence;
use xtask::metadata::{Metadata, Package, build_alone};

/// A made-up workspace: `("tsdb", &["promql"])` is a member and its imports; a licence follows a bar.
fn made_up(members: &[(&str, &[&str])], others: &[(&str, &str)]) -> Metadata {
    let package = |name: &str, licence: &str, member: bool, imports: &[&str]| Package {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        licence: licence.to_owned(),
        member,
        imports: imports.iter().map(|&import| import.to_owned()).collect(),
    };
    let members = members.iter().map(|(name, imports)| package(name, "Apache-2.0", true, imports));
    let others = others.iter().map(|(name, licence)| package(name, licence, false, &[]));
    Metadata { packages: members.chain(others).collect() }
}

fn breaches(rule: &str, metadata: &Metadata) -> Vec<String> {
    let found = RULES.iter().find(|(name, _)| *name == rule);
    let (_, judge) = found.unwrap_or_else(|| panic!("there is a rule {rule:?}"));
    judge(metadata)
}

#[track_caller]
fn check(rule: &str, members: &[(&str, &[&str])], expected: &[&str]) {
    assert_eq!(breaches(rule, &made_up(members, &[])), expected);
}

#[test]
fn the_workspace_keeps_every_rule() {
    let metadata = Metadata::of_workspace().unwrap();
    assert!(metadata.members().count() >= 4, "cargo metadata names the members");
    assert!(metadata.packages.iter().any(|package| package.name == "serde_json"), "and what they build with");
    let found: Vec<String> = RULES
        .iter()
        .flat_map(|(name, judge)| judge(&metadata).into_iter().map(move |breach| format!("{name}: {breach}")))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn engines_build_alone_with_few_packages() {
    let metadata = Metadata::of_workspace().unwrap();
    for engine in ["tsdb", "promql"].into_iter().filter(|engine| metadata.is_member(engine)) {
        let packages = build_alone(engine).unwrap();
        assert!(packages.iter().any(|package| package.starts_with(&format!("{engine} "))), "{packages:?}");
        let found = house::engine_builds_alone(engine, packages.iter().map(String::as_str));
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn an_engine_with_a_runtime_or_too_many_packages_is_named() {
    let found = house::engine_builds_alone("tsdb", ["tsdb v0.1.0", "tokio-util v0.7.1", "tokiofish v1.0.0"]);
    assert_eq!(found, ["tsdb builds tokio-util v0.7.1"]);
    let many: Vec<String> = (0..46).map(|n| format!("p{n} v1.0.0")).collect();
    let found = house::engine_builds_alone("promql", many.iter().map(String::as_str));
    assert_eq!(found, ["promql takes 46 packages to build, at most 45"]);
}

#[test]
fn a_crate_without_a_floor_is_named() {
    check(
        "every crate has a floor",
        &[("model", &[]), ("attic", &[]), ("xtask", &[])],
        &["attic has no floor in xtask/src/house.rs"],
    );
}

#[test]
fn an_arrow_up_or_sideways_is_named() {
    check(
        "arrows run downwards",
        &[
            ("model", &["yaml", "tsdb"]),
            ("yaml", &["model"]),
            ("tsdb", &["model", "yaml", "net"]),
            ("net", &["model", "auth"]),
            ("auth", &["net"]),
            ("store", &["appliance", "auth"]),
            ("appliance", &["auth", "store"]),
        ],
        &[
            "model imports tsdb, which is not below it",
            "yaml imports model, which is not below it",
            "tsdb imports net, which is not below it",
            "net imports auth, which is not below it",
            "appliance imports store, which is not below it",
        ],
    );
}

#[test]
fn an_import_that_the_table_does_not_give_is_named() {
    check(
        "imports stand in the table",
        &[
            ("model", &[]),
            ("net", &["model"]),
            ("wire", &[]),
            ("tsdb", &[]),
            ("auth", &["net", "wire", "model"]),
            ("appliance", &["auth", "tsdb"]),
            ("watchpost", &["tsdb", "appliance", "auth"]),
        ],
        &["auth may not import wire", "appliance may not import tsdb"],
    );
}

#[test]
fn two_services_that_know_each_other_are_named() {
    check(
        "services do not import each other",
        &[("rules", &["alert"]), ("alert", &["net"]), ("net", &[])],
        &["rules imports alert; they meet in model"],
    );
}

#[test]
fn api_knowing_ui_is_named() {
    check("api and ui are apart", &[("api", &["ui"]), ("ui", &["api"])], &["api imports ui", "ui imports api"]);
}

#[test]
fn engines_that_know_each_other_are_named() {
    check(
        "tsdb and promql do not know each other",
        &[("tsdb", &["promql"]), ("promql", &["tsdb", "model"]), ("model", &[])],
        &["tsdb imports promql; they meet in model::storage", "promql imports tsdb; they meet in model::storage"],
    );
}

#[test]
fn an_adapter_chosen_below_the_binary_is_named() {
    check(
        "only watchpost imports tsdb or store",
        &[("tsdb", &[]), ("store", &[]), ("api", &["store"]), ("watchpost", &["tsdb", "store"]), ("tests", &["tsdb"])],
        &["api imports store"],
    );
}

#[test]
fn a_runtime_below_floor_3_is_named() {
    check(
        "no runtime below floor 3",
        &[
            ("model", &["tokio"]),
            ("net", &["tokio", "tokio-util", "axum"]),
            ("promql", &["sqlx-core", "tokenizer"]),
            ("scrape", &["tokio"]),
        ],
        &["model imports tokio", "net imports axum", "promql imports sqlx-core"],
    );
}

#[test]
fn axum_sqlx_and_tls_outside_their_rooms_are_named() {
    check(
        "axum only in api, ui and watchpost",
        &[("api", &["axum"]), ("ui", &["axum"]), ("watchpost", &["axum"]), ("appliance", &["axum-core"])],
        &["appliance imports axum-core"],
    );
    check("sqlx only in store", &[("store", &["sqlx"]), ("auth", &["sqlx"])], &["auth imports sqlx"]);
    check(
        "rustls and HTTP clients only in net",
        &[
            ("net", &["rustls", "tokio-rustls", "hyper"]),
            ("auth", &["rustls-pki-types"]),
            ("watchpost", &["hyper-rustls"]),
        ],
        &["auth imports rustls-pki-types", "watchpost imports hyper-rustls"],
    );
}

#[test]
fn a_licence_that_is_not_permissive_is_named() {
    let metadata = made_up(&[("model", &[])], &[("good", "MIT OR GPL-3.0"), ("bad", "MPL-2.0"), ("silent", "")]);
    assert_eq!(breaches("licences are permissive", &metadata), ["bad 1.0.0: \"MPL-2.0\"", "silent 1.0.0: \"\""]);
}

#[test]
fn a_banned_crate_is_named_anywhere_and_an_unwanted_one_where_we_call_it() {
    let metadata = made_up(&[("auth", &["chrono"])], &[("openssl", "MIT"), ("chrono", "MIT"), ("log", "MIT")]);
    assert_eq!(breaches("banned crates stay out", &metadata), ["openssl 1.0.0 is built", "auth imports chrono"]);
}

#[test]
fn metadata_is_read_as_cargo_prints_it() {
    let json = r#"{
        "workspace_members": ["path+file:///w/a#0.1.0"],
        "packages": [
            {"id": "path+file:///w/a#0.1.0", "name": "a", "version": "0.1.0", "license": "Apache-2.0", "dependencies": [
                {"name": "b", "kind": null, "rename": "bee"}, {"name": "c", "kind": "dev"}, {"name": "d", "kind": "build"}]},
            {"id": "registry#b@1.0.0", "name": "b", "version": "1.0.0", "license": "MIT", "dependencies": []},
            {"id": "registry#w@1.0.0", "name": "w", "version": "1.0.0", "license": null, "dependencies": []}],
        "resolve": {"nodes": [{"id": "path+file:///w/a#0.1.0"}, {"id": "registry#b@1.0.0"}]}
    }"#;
    let metadata = Metadata::from_json(json).unwrap();
    let names: Vec<(&str, bool)> = metadata.packages.iter().map(|p| (p.name.as_str(), p.member)).collect();
    assert_eq!(names, [("a", true), ("b", false)], "what only other platforms build is left out");
    assert_eq!(metadata.packages[0].imports, ["b"], "of dev and build dependencies nothing is said");
    assert!(Metadata::from_json("no json").is_err());
}

#[test]
fn the_floors_table_is_drawn_in_the_architecture_page() {
    let page = std::fs::read_to_string(repo::root().join("docs/architecture.md")).unwrap();
    let metadata = Metadata::of_workspace().unwrap();
    let missing: Vec<&str> = house::rooms(&metadata)
        .map(|package| package.name.as_str())
        .filter(|name| !page.lines().any(|line| line.starts_with(&format!("| `{name}` |"))))
        .collect();
    assert!(missing.is_empty(), "docs/architecture.md has no row for {missing:?}");
}

/// The quoted strings of one list of `deny.toml`, from the line that opens it to the bracket that closes it.
fn deny_list(text: &str, opening: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with(opening));
    let list = lines.take_while(|line| !line.starts_with(']'));
    list.filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

#[test]
fn deny_toml_says_the_same() {
    let text = std::fs::read_to_string(repo::root().join("deny.toml")).unwrap();
    assert_eq!(deny_list(&text, "allow = ["), licence::ALLOWED);
    assert_eq!(deny_list(&text, "deny = ["), house::BANNED);
}
