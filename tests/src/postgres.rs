//! A PostgreSQL server of the tests' own: Debian's binaries, a folder and a port that nobody else uses.
//!
//! Promises: nothing of a server that the machine runs is touched; the server stops and its folder goes when the test
//! process ends in any way, `kill -9` included (a shell that reads from a pipe of ours sees to it).
//! Where the binaries are missing, the test says so and passes; with `WATCHPOST_REQUIRE_POSTGRES=1` it fails.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use crate::folder::Folder;
use crate::needs::Need;
use crate::server::free_port;
use crate::skip;

/// The superuser's name and password, which must not turn up in any error.
pub const USER: &str = "watchpost";
pub const PASSWORD: &str = "geheim";
/// Looks at a server that starts, one every 50 ms: a minute, far more than it needs.
const LOOKS_MAX: u32 = 1_200;

/// Runs the server until our end of the pipe closes, then stops it at once and removes its folder.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -p "$3" -c listen_addresses=127.0.0.1 -c fsync=off </dev/null >>"$2/log" 2>&1 &
server=$!
read -r _
kill -QUIT $server 2>/dev/null
wait $server
if [ ! -e "$2/keep" ]; then rm -rf "$2"; fi
"#;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    binaries: PathBuf,
    /// Below the temporary folder; kept over a restart. Short, because the socket's path has about 100 characters.
    folder: PathBuf,
    port: u16,
    keeper: Child,
}

impl Postgres {
    /// Starts a server; `None` where the machine has none, after saying so.
    ///
    /// # Panics
    /// Where the server does not start, and where there is none but one is required.
    #[must_use]
    pub fn start() -> Option<Self> {
        Some(Self::start_with(find_binaries()?))
    }

    fn start_with(binaries: PathBuf) -> Self {
        // Only its name is used: the folder is the keeper's to remove.
        let folder = Folder::new("pg").path().to_owned();
        fs::create_dir_all(&folder).expect("invariant: a test may write to the temporary folder");
        init(&binaries, &folder);
        let port = free_port();
        let keeper = keep(&binaries, &folder, port);
        let server = Self { binaries, folder, port, keeper };
        server.wait_until_ready();
        server
    }

    /// The server that the tests of one process share; it lives as long as the process. Where the machine has none,
    /// every test that asks is told, so that each is counted.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        let binaries = find_binaries()?;
        Some(SHARED.get_or_init(|| Self::start_with(binaries)))
    }

    /// Makes an empty database and gives its address, password included.
    ///
    /// # Panics
    /// Where it cannot be made, for example because the name is taken.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        // English order is not that of bytes: what should not depend on the database's collation shows.
        let order = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\" {order}"));
        self.url(name)
    }

    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement through `psql` and gives what it prints, without decoration.
    ///
    /// # Panics
    /// Where the statement fails.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let output = self.psql(database, statement).output().expect("invariant: psql stands beside postgres");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Kills the server as a crash does: every process at once, nothing written, nobody told.
    pub fn kill(&mut self) {
        let pid_file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid_file.lines().next() {
            // Its children notice that their parent is gone and leave.
            signal("-KILL", pid);
        }
        let keep = self.folder.join("keep");
        fs::write(&keep, "").expect("invariant: a test may write to the temporary folder");
        self.stop_keeper();
        let _removed = fs::remove_file(&keep);
        // A new server refuses to start while an old child still holds the shared memory.
        for _ in 0..LOOKS_MAX {
            if !has_processes(&self.folder) {
                break;
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Starts the server again after [`Self::kill`]: same folder, same port, same databases.
    pub fn restart(&mut self) {
        self.keeper = keep(&self.binaries, &self.folder, self.port);
        self.wait_until_ready();
    }

    fn psql(&self, database: &str, statement: &str) -> Command {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-U", USER, "-c", statement, database]);
        psql.arg("-p").arg(self.port.to_string()).env("PGPASSWORD", PASSWORD);
        psql
    }

    fn wait_until_ready(&self) {
        let mut answer = String::new();
        for _ in 0..LOOKS_MAX {
            answer = match self.psql("postgres", "SELECT 1").output() {
                Ok(output) if output.status.success() => return,
                Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
                Err(error) => error.to_string(),
            };
            sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        fail(&format!("PostgreSQL did not start: {answer}\n{log}"));
    }

    fn stop_keeper(&mut self) {
        drop(self.keeper.stdin.take());
        let _ended = self.keeper.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop_keeper();
    }
}

#[allow(clippy::panic, reason = "a fixture that cannot be had fails the test that asked for it")]
fn fail(problem: &str) -> ! {
    panic!("{problem}")
}

/// The newest of Debian's folders, or what `PATH` has.
/// The folder of `initdb`, which holds the server as well; none after saying that the test is skipped.
fn find_binaries() -> Option<PathBuf> {
    skip::program(Need::Postgres)?.parent().map(Path::to_path_buf)
}

/// PostgreSQL refuses to run as root; as anybody else we run it as ourselves.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn init(binaries: &Path, folder: &Path) {
    let password_file = folder.join("password");
    fs::write(&password_file, PASSWORD).expect("invariant: a test may write to the temporary folder");
    if is_root() {
        run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(folder));
    }
    let mut initdb = unprivileged(&binaries.join("initdb"));
    initdb.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(&password_file);
    // The one locale of UTF-8 that every Debian has.
    initdb.args(["-U", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
    run(&mut initdb);
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").output();
    let problem = match output {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    fail(&format!("{command:?}: {problem}"));
}

fn keep(binaries: &Path, folder: &Path, port: u16) -> Child {
    let mut keeper = unprivileged(Path::new("/bin/sh"));
    keeper.args(["-c", KEEPER, "keeper"]).arg(binaries).arg(folder).arg(port.to_string()).current_dir("/");
    let spawned: io::Result<Child> = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    spawned.expect("invariant: a test may start a shell")
}

fn signal(signal: &str, pid: &str) {
    let _sent_or_gone = Command::new("kill").args([signal, pid]).status();
}

/// Whether a process still works in the server's data folder (each of its processes does).
fn has_processes(folder: &Path) -> bool {
    let data = folder.join("data");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_its_databases_over_a_crash_and_goes_with_the_test() {
        let Some(mut server) = Postgres::start() else { return };
        let url = server.database("kept");
        assert!(url.starts_with("postgres://watchpost:geheim@127.0.0.1:"), "{url}");
        assert!(url.ends_with("/kept"), "{url}");
        server.sql("kept", "CREATE TABLE t (x INT); INSERT INTO t VALUES (7)");
        server.kill();
        server.restart();
        assert_eq!(server.sql("kept", "SELECT x FROM t"), "7");
        let folder = server.folder.clone();
        drop(server);
        assert!(!folder.exists());
        assert!(!has_processes(&folder));
    }
}
