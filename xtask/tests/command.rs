//! `cargo xtask test` as an ordinary user meets it who has no package installed. Cargo itself is played by a script:
//! what is looked at is what the command says and how it ends.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use tests::folder::Folder;

/// Debian's user "nobody".
const NOBODY: u32 = 65_534;

/// Two tests pass; one of them was skipped, as a test says it.
const CARGO: &str = "#!/bin/sh\n\
    echo \"doors::slow: slowhttptest is not installed (package slowhttptest)\" >> \"$WATCHPOST_SKIPS\"\n\
    echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s'\n";

fn executable(folder: &Folder, name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("a test may write to its folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

/// Runs `xtask test` with nothing on its path; root becomes nobody, so that nothing gets installed.
fn as_an_ordinary_user() -> Output {
    let folder = Folder::new("ordinary");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let cargo = executable(&folder, "cargo", CARGO.as_bytes());
    // A copy: the folder of the build may be closed to others.
    let binary = fs::read(env!("CARGO_BIN_EXE_xtask")).expect("it was built");
    let binary = executable(&folder, "xtask", &binary);
    let mut command = Command::new(binary);
    command.arg("test").env_clear().env("CARGO", cargo).env("PATH", folder.path()).env("TMPDIR", folder.path());
    if fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(folder.path()).output().expect("the command starts")
}

#[test]
fn an_ordinary_user_is_told_what_was_skipped_and_how_to_install_it() {
    let output = as_an_ordinary_user();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}{errors}");
    assert!(text.contains("skipped:\n  doors::slow: slowhttptest is not installed"), "{text}{errors}");
    assert!(text.contains("not run for want of a package:\n"), "{text}");
    assert!(text.contains("the listener against slow clients (slowhttptest)"), "{text}");
    let install = text.lines().find(|line| line.trim().starts_with("apt-get install -y"));
    let install = install.expect("the exact command");
    for package in ["nghttp2-client", "slowhttptest", "testssl.sh"] {
        assert!(install.contains(package), "{install}");
    }
    assert!(text.ends_with("\n1 passed, 0 failed, 1 skipped\n"), "{text}");
    assert!(!text.contains("installing"), "{text}");
}
