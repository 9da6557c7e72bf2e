//! The peers: Prometheus and VictoriaMetrics, started here, given the same samples by remote write, and measured.
//!
//! Bytes are those of the files that hold the data once it is in its final form, indexes included: Prometheus's
//! snapshot (its head written as a block), VictoriaMetrics's `data` and `indexdb` after a forced merge.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::labels::Labels;

use crate::Outcome;
use crate::generators::{Row, Sink};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Prometheus,
    VictoriaMetrics,
}

/// A running peer with a folder of its own.
pub(crate) struct Peer {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    child: Child,
    connection: Option<BufReader<TcpStream>>,
    /// Each series' labels as remote write has them.
    labels: Vec<Vec<u8>>,
    body: Vec<u8>,
    pub(crate) refused_requests: u64,
}

impl Peer {
    pub(crate) fn start(kind: Kind, binary: &str, folder: PathBuf, late: bool) -> Outcome<Self> {
        std::fs::create_dir_all(&folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let configuration = folder.join("configuration.yml");
        let window = if late { "storage:\n  tsdb:\n    out_of_order_time_window: 1h\n" } else { "" };
        std::fs::write(&configuration, format!("global: {{}}\n{window}"))?;
        let data = folder.join("data");
        let mut command = Command::new(binary);
        match kind {
            Kind::Prometheus => command
                .arg(format!("--config.file={}", configuration.display()))
                .arg(format!("--storage.tsdb.path={}", data.display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .args(["--web.enable-remote-write-receiver", "--web.enable-admin-api"])
                .args(["--storage.tsdb.retention.time=30d", "--log.level=error"]),
            Kind::VictoriaMetrics => command
                .arg(format!("-storageDataPath={}", data.display()))
                .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
                .args(["-retentionPeriod=30d", "-loggerLevel=ERROR"]),
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut peer = Self {
            kind,
            port,
            folder,
            child,
            connection: None,
            labels: Vec::new(),
            body: Vec::new(),
            refused_requests: 0,
        };
        for _ in 0..600 {
            let path = if kind == Kind::Prometheus { "/-/ready" } else { "/health" };
            if peer.request("GET", path, &[]).is_ok_and(|code| code == 200) {
                return Ok(peer);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{binary} did not become ready").into())
    }

    /// Sends one request; the status of the answer. The body, if any, is remote write.
    fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Outcome<u16> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_nodelay(true)?;
            self.connection = Some(BufReader::new(stream));
        }
        let Some(connection) = &mut self.connection else { return Err("no connection".into()) };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let stream = connection.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let code = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("not an answer")?;
        let (mut length, mut whole) = (0, true);
        loop {
            line.clear();
            if connection.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            let field = line.to_ascii_lowercase();
            if let Some(bytes) = field.strip_prefix("content-length:") {
                length = bytes.trim().parse()?;
            }
            whole &= !field.contains("chunked");
        }
        connection.read_exact(&mut vec![0; length])?;
        if !whole {
            self.connection = None;
        }
        Ok(code)
    }

    /// Brings the data to its final form, ends the process, and counts the bytes of files.
    pub(crate) fn finish(mut self) -> Outcome<u64> {
        let data = self.folder.join("data");
        let folders = match self.kind {
            Kind::Prometheus => {
                let code = self.request("POST", "/api/v1/admin/tsdb/snapshot", &[])?;
                if code != 200 {
                    return Err(format!("no snapshot: {code}").into());
                }
                vec![data.join("snapshots")]
            }
            Kind::VictoriaMetrics => {
                self.request("GET", "/internal/force_flush", &[])?;
                self.request("GET", "/internal/force_merge", &[])?;
                std::thread::sleep(Duration::from_secs(8));
                Command::new("kill").arg(self.child.id().to_string()).status()?;
                self.child.wait()?;
                vec![data.join("data"), data.join("indexdb")]
            }
        };
        let bytes = folders.iter().map(|folder| bytes_below(folder)).sum();
        let _ = self.child.kill();
        self.child.wait()?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(bytes)
    }
}

/// The lengths of all files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

impl Sink for Peer {
    fn series(&mut self, labels: &Labels) -> u32 {
        let mut bytes = Vec::new();
        for (name, value) in labels {
            let mut pair = Vec::new();
            put_field(0x0a, name.as_bytes(), &mut pair);
            put_field(0x12, value.as_bytes(), &mut pair);
            put_field(0x0a, &pair, &mut bytes);
        }
        self.labels.push(bytes);
        self.labels.len() as u32 - 1
    }

    fn batch(&mut self, _: usize, rows: &[Row]) -> Outcome<()> {
        for request in rows.chunks(10_000) {
            self.body.clear();
            for rows in request.chunk_by(|a, b| a.series == b.series) {
                let mut series = self.labels[rows[0].series as usize].clone();
                for row in rows {
                    let mut sample = vec![0x09];
                    sample.extend_from_slice(&row.value.to_le_bytes());
                    sample.push(0x10);
                    put_varint(row.time as u64, &mut sample);
                    put_field(0x12, &sample, &mut series);
                }
                put_field(0x0a, &series, &mut self.body);
            }
            let body = snappy_of_literals(&self.body);
            let code = self.request("POST", "/api/v1/write", &body)?;
            self.refused_requests += u64::from(code / 100 != 2);
        }
        Ok(())
    }

    fn tick(&mut self, _: i64) -> Outcome<()> {
        Ok(())
    }
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_field(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Valid, and not compressed: what travels over loopback need not be small.
fn snappy_of_literals(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 10_000 + 16);
    put_varint(bytes.len() as u64, &mut out);
    for piece in bytes.chunks(1 << 16) {
        out.push(61 << 2);
        out.extend_from_slice(&(piece.len() as u16).wrapping_sub(1).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}
