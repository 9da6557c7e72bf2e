//! A Prometheus of our own to compare with: started on a free port over an empty folder, filled by remote write, asked
//! over HTTP, gone with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::labels::Labels;
use serde_json::Value;

use super::http;
use super::wire::{self, Points};

/// How often and at what distance a starting server is asked whether it is ready: a minute in all.
const READY_LOOKS: u32 = 300;
const READY_LOOK: Duration = Duration::from_millis(200);

/// Series in one write: a request stays far below the 32 MB that are refused.
const SERIES_PER_WRITE: usize = 100;

/// A running server.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Server {
    /// Starts the program over an empty folder.
    pub(crate) fn start(program: &Path) -> Self {
        let folder = std::env::temp_dir().join(format!("promql-peer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the peer");
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "global:\n  scrape_interval: 15s\n").expect("its configuration");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--storage.tsdb.retention.time=100y")
            .arg("--enable-feature=promql-experimental-functions,native-histograms")
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let server = Self { child, folder, port };
        for _ in 0..READY_LOOKS {
            if server.send("GET /-/ready", "", &[]).is_ok_and(|(status, _)| status == 200) {
                return server;
            }
            std::thread::sleep(READY_LOOK);
        }
        panic!("the peer does not become ready");
    }

    fn send(&self, request: &str, headers: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        http::send(&format!("127.0.0.1:{}", self.port), request, headers, body)
    }

    /// Stores series.
    pub(crate) fn write(&self, series: &[(Labels, Points)]) {
        let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                       X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
        for some in series.chunks(SERIES_PER_WRITE) {
            let body = wire::snappy(&wire::write_request(some));
            let (status, answer) = self.send("POST /api/v1/write", headers, &body).expect("the peer answers");
            assert!(status < 300, "the peer refuses a write: {status} {}", String::from_utf8_lossy(&answer));
        }
    }

    /// Asks the query API; `Err` is the error's text.
    pub(crate) fn query(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let body: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", http::escaped(value))).collect();
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let (_, answer) =
            self.send(&format!("POST {path}"), headers, body.join("&").as_bytes()).expect("the peer answers");
        let json: Value = serde_json::from_slice(&answer).expect("the peer answers in JSON");
        if json["status"] == "success" {
            return Ok(json["data"].clone());
        }
        Err(json["error"].as_str().unwrap_or("no error text").to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The test is over either way: a server that cannot be stopped or a folder that cannot go is no failure of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
