//! The floors of the house and what may never be, as rules over [`Metadata`].
//!
//! Each rule is one function from metadata to sentences, one per breach, so that it can be shown to fire on a made-up
//! workspace. Only direct, normal dependencies are judged: tests, benches and `xtask` may reach anywhere.

use crate::licence;
use crate::metadata::{Metadata, Package};

/// A crate's place.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub name: &'static str,
    pub floor: u8,
    /// Crates it may import besides `model` and `yaml`.
    pub may_import: &'static [&'static str],
}

/// Floors 2 and 3 but `tsdb`: what `appliance` calls and what `api` and `ui` take types from.
const ENGINES_AND_SERVICES: &[&str] = &[
    "promql",
    "wire",
    "net",
    "gotemplate",
    "chart",
    "scrape",
    "remote",
    "probe",
    "rules",
    "alert",
    "issues",
    "dash",
    "auth",
];

/// The same with `appliance`.
const USE_CASES: &[&str] = &[
    "appliance",
    "promql",
    "wire",
    "net",
    "gotemplate",
    "chart",
    "scrape",
    "remote",
    "probe",
    "rules",
    "alert",
    "issues",
    "dash",
    "auth",
];

const fn place(name: &'static str, floor: u8, may_import: &'static [&'static str]) -> Place {
    Place { name, floor, may_import }
}

/// Every crate the house is planned with, from the ground up. A crate that is not here has no floor and fails.
pub const PLACES: [Place; 21] = [
    place("model", 1, &[]),
    place("yaml", 1, &[]),
    place("tsdb", 2, &[]),
    place("promql", 2, &[]),
    place("wire", 2, &[]),
    place("net", 2, &[]),
    place("gotemplate", 2, &[]),
    place("chart", 2, &[]),
    place("scrape", 3, &["wire", "net"]),
    place("remote", 3, &["wire", "net"]),
    place("probe", 3, &["net"]),
    place("rules", 3, &["promql", "gotemplate"]),
    place("alert", 3, &["gotemplate", "net", "chart"]),
    place("issues", 3, &["net"]),
    place("dash", 3, &["promql", "chart"]),
    place("auth", 3, &["net"]),
    place("appliance", 4, ENGINES_AND_SERVICES),
    place("store", 4, &["scrape", "remote", "probe", "rules", "alert", "issues", "dash", "auth", "appliance"]),
    place("api", 5, USE_CASES),
    place("ui", 5, USE_CASES),
    place(
        "watchpost",
        6,
        &[
            "appliance",
            "store",
            "api",
            "ui",
            "tsdb",
            "promql",
            "wire",
            "net",
            "gotemplate",
            "chart",
            "scrape",
            "remote",
            "probe",
            "rules",
            "alert",
            "issues",
            "dash",
            "auth",
        ],
    ),
];

/// Members that prove or build the product and are no part of it.
const OUTSIDE: [&str; 2] = ["tests", "xtask"];

/// Packages one engine may take to build, itself included: sqlx alone would bring 142.
pub const PACKAGES_ALONE_MAX: usize = 45;

/// Crates that bring a second TLS stack, a C library the machine would need, or that nobody keeps.
pub const BANNED: [&str; 10] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "curl-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
    "reqwest",
    "rustls-native-certs",
    "serde_yaml",
    "ureq",
];

/// Crates that may come along with others, but that we do not call: the standard library or `jiff` does it. `chrono` is
/// what the calendar of the job scheduler counts in, so `appliance::jobs` speaks it.
pub const BANNED_DIRECTLY: [&str; 6] = ["chrono", "lazy_static", "log", "once_cell", "time", "async-std"];

/// What each rule is called, and the rule.
pub type Rule = (&'static str, fn(&Metadata) -> Vec<String>);

/// Every rule over the workspace's metadata.
pub const RULES: [Rule; 13] = [
    ("every crate has a floor", every_crate_has_a_floor),
    ("arrows run downwards", arrows_run_downwards),
    ("imports stand in the table", imports_stand_in_the_table),
    ("services do not import each other", services_do_not_import_each_other),
    ("api and ui are apart", api_and_ui_are_apart),
    ("tsdb and promql do not know each other", engines_do_not_know_each_other),
    ("only watchpost imports tsdb or store", adapters_are_chosen_by_the_binary),
    ("no runtime below floor 3", no_runtime_below_floor_3),
    ("axum only in api, ui and watchpost", axum_only_at_the_top),
    ("sqlx only in store", sqlx_only_in_store),
    ("rustls and HTTP clients only in net", tls_only_in_net),
    ("licences are permissive", licences_are_permissive),
    ("banned crates stay out", banned_crates_stay_out),
];

fn place_of(name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.name == name)
}

fn floor_of(name: &str) -> u8 {
    place_of(name).map_or(0, |place| place.floor)
}

/// Members of the house, without those that only prove or build it.
pub fn rooms(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata.members().filter(|package| !OUTSIDE.contains(&package.name.as_str()))
}

/// Every import of one of ours by another.
fn arrows(metadata: &Metadata) -> impl Iterator<Item = (&str, &str)> {
    let ours = |package: &&str| metadata.is_member(package);
    rooms(metadata)
        .flat_map(move |from| from.imports.iter().map(String::as_str).filter(ours).map(|to| (&*from.name, to)))
}

/// Breaches by rooms that are not among `allowed` and import a package that `is` so.
fn only_in(metadata: &Metadata, allowed: &[&str], is: impl Fn(&str) -> bool) -> Vec<String> {
    let outside = rooms(metadata).filter(|package| !allowed.contains(&package.name.as_str()));
    outside
        .flat_map(|from| from.imports.iter().filter(|to| is(to)).map(|to| format!("{} imports {to}", from.name)))
        .collect()
}

fn every_crate_has_a_floor(metadata: &Metadata) -> Vec<String> {
    let homeless = rooms(metadata).filter(|package| place_of(&package.name).is_none());
    homeless.map(|package| format!("{} has no floor in xtask/src/house.rs", package.name)).collect()
}

/// Also what the doc calls a circle: cargo refuses those among normal dependencies, this names them.
pub fn arrows_run_downwards(metadata: &Metadata) -> Vec<String> {
    // The two arrows on one floor: `model` may read YAML, the adapter implements the appliance's ports.
    let on_one_floor = [("model", "yaml"), ("store", "appliance")];
    let runs_up = |&(from, to): &(&str, &str)| floor_of(to) >= floor_of(from) && !on_one_floor.contains(&(from, to));
    arrows(metadata).filter(runs_up).map(|(from, to)| format!("{from} imports {to}, which is not below it")).collect()
}

fn imports_stand_in_the_table(metadata: &Metadata) -> Vec<String> {
    let unforeseen = |&(from, to): &(&str, &str)| {
        let free = to == "model" || to == "yaml";
        !free && place_of(from).is_some_and(|place| !place.may_import.contains(&to))
    };
    arrows(metadata).filter(unforeseen).map(|(from, to)| format!("{from} may not import {to}")).collect()
}

fn services_do_not_import_each_other(metadata: &Metadata) -> Vec<String> {
    let both = |&(from, to): &(&str, &str)| floor_of(from) == 3 && floor_of(to) == 3;
    arrows(metadata).filter(both).map(|(from, to)| format!("{from} imports {to}; they meet in model")).collect()
}

fn api_and_ui_are_apart(metadata: &Metadata) -> Vec<String> {
    let both = |&(from, to): &(&str, &str)| matches!((from, to), ("api", "ui") | ("ui", "api"));
    arrows(metadata).filter(both).map(|(from, to)| format!("{from} imports {to}")).collect()
}

fn engines_do_not_know_each_other(metadata: &Metadata) -> Vec<String> {
    let both = |&(from, to): &(&str, &str)| matches!((from, to), ("tsdb", "promql") | ("promql", "tsdb"));
    arrows(metadata)
        .filter(both)
        .map(|(from, to)| format!("{from} imports {to}; they meet in model::storage"))
        .collect()
}

fn adapters_are_chosen_by_the_binary(metadata: &Metadata) -> Vec<String> {
    only_in(metadata, &["watchpost"], |to| to == "tsdb" || to == "store")
}

/// `family("tokio", "tokio-util")`: the crate or one of its companions.
fn family(root: &str, name: &str) -> bool {
    name.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

fn no_runtime_below_floor_3(metadata: &Metadata) -> Vec<String> {
    let below = rooms(metadata).filter(|package| (1..3).contains(&floor_of(&package.name)));
    let runtime =
        |from: &str, to: &str| family("axum", to) || family("sqlx", to) || (family("tokio", to) && from != "net");
    below
        .flat_map(|from| {
            let breaches = from.imports.iter().filter(|to| runtime(&from.name, to));
            breaches.map(|to| format!("{} imports {to}", from.name))
        })
        .collect()
}

fn axum_only_at_the_top(metadata: &Metadata) -> Vec<String> {
    only_in(metadata, &["api", "ui", "watchpost"], |to| family("axum", to))
}

fn sqlx_only_in_store(metadata: &Metadata) -> Vec<String> {
    only_in(metadata, &["store"], |to| family("sqlx", to))
}

/// `hyper` alone is no client: the listener of the binary serves with it.
fn tls_only_in_net(metadata: &Metadata) -> Vec<String> {
    const CLIENTS: [&str; 8] = ["attohttpc", "awc", "curl", "hyper-rustls", "isahc", "minreq", "reqwest", "ureq"];
    only_in(metadata, &["net"], |to| family("rustls", to) || to == "tokio-rustls" || CLIENTS.contains(&to))
}

fn licences_are_permissive(metadata: &Metadata) -> Vec<String> {
    let refused = metadata.packages.iter().filter(|package| !licence::is_allowed(&package.licence));
    refused.map(|package| format!("{} {}: {:?}", package.name, package.version, package.licence)).collect()
}

fn banned_crates_stay_out(metadata: &Metadata) -> Vec<String> {
    let anywhere = metadata.packages.iter().filter(|package| BANNED.contains(&package.name.as_str()));
    let anywhere = anywhere.map(|package| format!("{} {} is built", package.name, package.version));
    anywhere
        .chain(only_in(metadata, &["appliance"], |to| to == "chrono"))
        .chain(only_in(metadata, &[], |to| to != "chrono" && BANNED_DIRECTLY.contains(&to)))
        .collect()
}

/// The rule about building an engine alone, over what [`crate::metadata::build_alone`] says.
pub fn engine_builds_alone<'a>(engine: &str, packages: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let packages: Vec<&str> = packages.into_iter().collect();
    let mut breaches = Vec::new();
    if packages.len() > PACKAGES_ALONE_MAX {
        breaches.push(format!("{engine} takes {} packages to build, at most {PACKAGES_ALONE_MAX}", packages.len()));
    }
    let name = |package: &&&str| package.split(' ').next().unwrap_or_default().to_owned();
    let runtimes = packages.iter().filter(|package| {
        let name = name(package);
        ["tokio", "axum", "sqlx"].iter().any(|root| family(root, &name))
    });
    breaches.extend(runtimes.map(|package| format!("{engine} builds {package}")));
    breaches
}
