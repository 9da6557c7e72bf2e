//! Debian packages that tests need: which are missing, and how they come in.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use tests::needs::Row;

/// The rows whose program is not there.
pub(crate) fn missing<'a>(rows: &[&'a Row]) -> Vec<&'a Row> {
    rows.iter().copied().filter(|row| row.find().is_none()).collect()
}

/// Whether we may install: root, on a system with Debian's packages.
pub(crate) fn may_install() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    root && Path::new("/etc/debian_version").is_file()
}

/// The command that installs these, as one can type it.
pub(crate) fn install_command(rows: &[&Row]) -> String {
    format!("apt-get install -y --no-install-recommends {}", names(rows).join(" "))
}

/// Installs these. A fresh machine has no package lists, so a failure fetches them and tries once more.
pub(crate) fn install(rows: &[&Row]) -> bool {
    println!("installing for the end-to-end tests: {}", names(rows).join(" "));
    let attempt = || apt_get(&[&["install", "-y", "--no-install-recommends"], &names(rows)[..]].concat());
    attempt() || (apt_get(&["update"]) && attempt())
}

fn names<'a>(rows: &[&'a Row]) -> Vec<&'a str> {
    rows.iter().map(|row| row.package).collect()
}

fn apt_get(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    // Quiet enough to read the tests below; questions would wait for ever.
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command.status().is_ok_and(|status| status.success())
}
