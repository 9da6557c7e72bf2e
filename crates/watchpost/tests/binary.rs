//! The binary as cargo builds it for tests: that it is there, and what it says it is. What it does is proved by the
//! package `tests`, which runs this same file.

use std::process::Command;

#[test]
fn the_binary_says_which_version_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_watchpost")).arg("--version").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}
