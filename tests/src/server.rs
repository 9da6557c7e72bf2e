//! The real binary, started for one test: its own data folder, its own port, its log at hand, gone at the end.
//!
//! Speaks plain HTTP/1.1 over loopback by itself, so that a test of the server does not lean on our own client.

#![allow(clippy::disallowed_methods, reason = "a test of the real process waits in real time")]
#![allow(clippy::panic, reason = "a fixture fails the test that uses it")]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::folder::Folder;

/// A server that is not up by then is broken, not slow.
const START_MAX: Duration = Duration::from_secs(30);
/// One answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Lines of the log that are kept; older ones are dropped.
const LOG_LINES_MAX: usize = 10_000;

/// The binary under test: `WATCHPOST_BIN`, or the one of this workspace, built if need be.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("WATCHPOST_BIN") {
            return PathBuf::from(given);
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "watchpost"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the binary does not build");
        let own = std::env::current_exe().expect("a test has a path");
        let profile = own.ancestors().nth(2).expect("target/<profile>/deps/<test>");
        profile.join("watchpost")
    })
}

/// A port nobody listens on now.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The value of a header, by lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    folder: Arc<Folder>,
    log: Arc<Mutex<VecDeque<String>>>,
}

/// How a server is started.
#[derive(Debug, Default)]
pub struct Start<'a> {
    pub args: &'a [&'a str],
    pub env: &'a [(&'a str, &'a str)],
    /// `watchpost.yml`; none where `None`.
    pub config: Option<&'a str>,
    /// The folder to start in, with its data; a new one where `None`.
    pub folder: Option<Arc<Folder>>,
    /// The address to listen on; loopback where `None`.
    pub listen: Option<&'a str>,
    /// Who may come in; most tests are about something else.
    pub login: Login,
}

/// How a server is started as to logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// `--auth off`.
    #[default]
    Off,
    /// With the administrator `admin`, whose password is [`ADMIN_PASSWORD`].
    Admin,
    /// Nobody is there yet, and nothing of it is in the environment.
    Nobody,
}

/// What `admin` logs in with where a test asks for one.
pub const ADMIN_PASSWORD: &str = "plum-orbit-canvas-71";

impl Server {
    /// Starts it and waits until it is ready.
    #[must_use]
    pub fn start(start: &Start<'_>) -> Self {
        let mut server = Self::spawn(start);
        server.wait_ready();
        server
    }

    /// Starts it and does not wait.
    #[must_use]
    pub fn spawn(start: &Start<'_>) -> Self {
        let folder = start.folder.clone().unwrap_or_else(|| Arc::new(Folder::new("server")));
        let port = free_port();
        if let Some(config) = start.config {
            folder.write("watchpost.yml", config);
        }
        let mut command = Command::new(binary());
        command
            .current_dir(folder.path())
            .arg(format!("--listen={}:{port}", start.listen.unwrap_or("127.0.0.1")))
            .args(start.args);
        match start.login {
            Login::Off => drop(command.arg("--auth=off")),
            Login::Admin | Login::Nobody => {}
        }
        command.env_clear().envs(std::env::vars().filter(|(name, _)| !name.starts_with("WATCHPOST_")));
        if start.login == Login::Admin {
            command.env("WATCHPOST_ADMIN_PASSWORD", ADMIN_PASSWORD);
        }
        command.envs(start.env.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let stderr = child.stderr.take().expect("it is piped");
        let lines = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut lines = lines.lock().expect("no holder panics");
                if lines.len() == LOG_LINES_MAX {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        });
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), folder, log }
    }

    fn wait_ready(&mut self) {
        let deadline = Instant::now() + START_MAX;
        loop {
            if let Ok(answer) = self.try_request("GET", "/ready", &[], "")
                && answer.status == 200
            {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                thread::sleep(Duration::from_millis(50));
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "the server is not ready:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder it runs in; its data is in `data`.
    #[must_use]
    pub fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder)
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder panics").iter().fold(String::new(), |text, line| text + line + "\n")
    }

    /// Waits for a line of the log.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        let deadline = Instant::now() + ANSWER_MAX;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in the log:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "")
    }

    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        match self.try_request(method, path, headers, body) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: {error}\n{}", self.log()),
        }
    }

    /// One request on a connection of its own.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Answer> {
        Self::exchange(self.address, method, path, headers, body.as_bytes())
    }

    /// One request whose body is no text.
    #[track_caller]
    pub fn request_bytes(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        match Self::exchange(self.address, method, path, headers, body) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: {error}\n{}", self.log()),
        }
    }

    /// The same, at another address of this machine.
    #[track_caller]
    pub fn request_at(&self, at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        match Self::exchange(at, method, path, headers, body.as_bytes()) {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {at} {path}: {error}\n{}", self.log()),
        }
    }

    fn exchange(
        at: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request.push_str(&format!("Host: {at}\r\n"));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        // A server may answer and close before it has read a body that it does not want.
        let sent = stream.write_all(&[request.as_bytes(), body].concat());
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        match parse_answer(&bytes) {
            Some(answer) => Ok(answer),
            None => Err(sent.err().or(read.err()).unwrap_or_else(|| std::io::Error::other("not an HTTP answer"))),
        }
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the signal is delivered");
    }

    /// SIGTERM; returns how it ended and how long it took.
    #[must_use]
    pub fn stop(mut self) -> (ExitStatus, Duration, String) {
        let asked = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().expect("it is our child");
        let took = asked.elapsed();
        thread::sleep(Duration::from_millis(20));
        (status, took, self.log())
    }

    /// Waits until it ends by itself.
    #[must_use]
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it is our child");
        thread::sleep(Duration::from_millis(50));
        (status, self.log())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn parse_answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = &bytes[end + 4..];
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { dechunk(body)? } else { body.to_vec() };
    Some(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        rest = &rest[end + 2..];
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}
