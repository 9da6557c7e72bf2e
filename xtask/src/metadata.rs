//! What cargo knows of the workspace: who depends on whom, under which licence.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A package of the workspace or one it builds with.
#[derive(Clone, Debug, Default)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub licence: String,
    /// One of ours.
    pub member: bool,
    /// Direct, normal dependencies by package name; not those of tests or build scripts.
    pub imports: Vec<String>,
}

/// The workspace with everything it is built from on this platform.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    pub packages: Vec<Package>,
}

impl Metadata {
    /// Asks cargo. First without the network, because everything is there while tests run.
    ///
    /// # Errors
    /// What cargo said.
    pub fn of_workspace() -> Result<Self, String> {
        let host = host()?;
        let asked = ["metadata", "--format-version", "1", "--filter-platform", host.as_str()];
        let json = cargo(&[&asked[..], &["--offline"]].concat()).or_else(|_| cargo(&asked))?;
        Self::from_json(&json)
    }

    /// Reads what `cargo metadata --format-version 1` prints.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
        let members: BTreeSet<&str> = array(&value["workspace_members"]).filter_map(Value::as_str).collect();
        // The resolved graph leaves out what only other platforms use.
        let used: BTreeSet<&str> = array(&value["resolve"]["nodes"]).filter_map(|node| node["id"].as_str()).collect();
        let packages = array(&value["packages"])
            .filter(|package| used.is_empty() || package["id"].as_str().is_some_and(|id| used.contains(id)))
            .map(|package| Package {
                name: text(&package["name"]),
                version: text(&package["version"]),
                licence: text(&package["license"]),
                member: package["id"].as_str().is_some_and(|id| members.contains(id)),
                imports: imports(package),
            })
            .collect();
        Ok(Self { packages })
    }

    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.member)
    }

    #[must_use]
    pub fn is_member(&self, name: &str) -> bool {
        self.members().any(|package| package.name == name)
    }
}

/// What a package needs to be built alone, itself included: normal and build dependencies, by name and version.
///
/// # Errors
/// What cargo said.
pub fn build_alone(package: &str) -> Result<BTreeSet<String>, String> {
    let asked = ["tree", "-p", package, "-e", "normal,build", "--prefix", "none", "--format", "{p}"];
    let out = cargo(&[&asked[..], &["--offline"]].concat()).or_else(|_| cargo(&asked))?;
    // "name v1.2.3 (path)": the first two words are the package.
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(out.lines().map(name).filter(|name| !name.is_empty()).collect())
}

fn imports(package: &Value) -> Vec<String> {
    let normal = array(&package["dependencies"]).filter(|dependency| dependency["kind"].is_null());
    let mut names: Vec<String> = normal.map(|dependency| text(&dependency["name"])).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The platform we build on, as rustc calls it.
fn host() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = run(Command::new(rustc).arg("-vV"))?;
    let host = out.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned);
    host.ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn cargo(arguments: &[&str]) -> Result<String, String> {
    let cargo: PathBuf = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into();
    run(Command::new(cargo).args(arguments).current_dir(tests::repo::root()))
}

fn run(command: &mut Command) -> Result<String, String> {
    let out = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !out.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr)));
    }
    String::from_utf8(out.stdout).map_err(|error| format!("{command:?}: {error}"))
}
