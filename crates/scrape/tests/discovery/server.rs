//! An HTTP server whose answers a test decides.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) enum Reply {
    /// Status line, header lines, body.
    Whole(&'static str, &'static str, String),
    /// Lines as they come, until the sender is dropped.
    Lines(mpsc::Receiver<String>),
}

pub(crate) fn json(body: impl Into<String>) -> Reply {
    Reply::Whole("200 OK", "content-type: application/json\r\n", body.into())
}

type Script = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// Serves until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Server {
    /// `script` gets the head of a request.
    pub(crate) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (script, seen, mut serving): (Script, _, _) = (Arc::new(script), Arc::clone(&requests), JoinSet::new());
        serving.spawn(async move {
            let mut each = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                each.spawn(converse(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address, requests, _serving: serving }
    }

    pub(crate) async fn on_socket(
        path: &std::path::Path,
        script: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::UnixListener::bind(path).expect("a socket");
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (script, seen, mut serving): (Script, _, _) = (Arc::new(script), Arc::clone(&requests), JoinSet::new());
        serving.spawn(async move {
            let mut each = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                each.spawn(converse(stream, Arc::clone(&script), Arc::clone(&seen)));
            }
        });
        Self { address: ([127, 0, 0, 1], 0).into(), requests, _serving: serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The first lines of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("unbroken");
        requests.iter().map(|request| request.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// The last request, whole.
    pub(crate) fn last(&self) -> String {
        self.requests.lock().expect("unbroken").last().cloned().unwrap_or_default()
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: Script, seen: Arc<Mutex<Vec<String>>>) {
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece).await {
                Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
                _ => return,
            }
        }
        let request = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        seen.lock().expect("unbroken").push(request.clone());
        let written = match script(&request) {
            Reply::Whole(status, headers, body) => {
                let whole = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(whole.as_bytes()).await
            }
            Reply::Lines(lines) => return stream_lines(stream, lines).await,
        };
        if written.is_err() {
            return;
        }
    }
}

async fn stream_lines<S: AsyncWrite + Unpin>(mut stream: S, mut lines: mpsc::Receiver<String>) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head).await.is_err() {
        return;
    }
    while let Some(line) = lines.recv().await {
        let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            return;
        }
    }
    let _may_be_gone = stream.write_all(b"0\r\n\r\n").await;
}
