//! The doors and the client over real sockets on this machine.
//!
//! Nothing here fails on wall time: deadlines are waited for, with a generous end that only a hang reaches.
//! `WATCHPOST_TEST_DEPTH=deep` runs the counts of the promise (10,000 connections) instead of a sample of them.

#![allow(clippy::panic, reason = "one route of the server under test panics on purpose")]
#![allow(clippy::print_stdout, reason = "a measurement is printed, not asserted")]

mod client;
mod doors;
mod limits;
mod load;
mod protocol;
mod session;
mod session_tls;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use net::body::Inbound;
use net::door::{ConnInfo, Door, DoorKind, DoorSettings, DrainReport, Listener};
use net::limits::Limits;
use net::stats::DoorStats;
use net::tls::TlsPort;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Only a hang lasts this long.
const HANG: Duration = Duration::from_secs(60);

/// Deep runs use the counts of the promise.
fn is_deep() -> bool {
    std::env::var("WATCHPOST_TEST_DEPTH").is_ok_and(|depth| depth == "deep")
}

/// A door that serves until it is stopped.
struct Running {
    address: SocketAddr,
    stats: Arc<DoorStats>,
    stop: CancellationToken,
    serving: JoinSet<DrainReport>,
}

impl Running {
    async fn start(kind: DoorKind, tls: Option<Arc<TlsPort>>, settings: DoorSettings) -> Self {
        Self::start_on("127.0.0.1:0", kind, tls, settings).await
    }

    async fn start_on(listen: &str, kind: DoorKind, tls: Option<Arc<TlsPort>>, settings: DoorSettings) -> Self {
        let listener = Listener::bind(listen, kind).await.expect("a free port");
        let address = listener.local_addr();
        let door = Door::new(vec![listener], tls, settings);
        let (stats, stop) = (door.stats(), CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(door.serve(tower::service_fn(routes), stop.clone()));
        Self { address, stats, stop, serving }
    }

    async fn plain(limits: Limits) -> Self {
        Self::start(DoorKind::Plain, None, DoorSettings { limits, ..DoorSettings::default() }).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a door accepts")
    }

    /// Sends `text` on a connection of its own and returns all that comes back until its end.
    async fn raw(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.expect("written");
        read_to_end(&mut stream).await
    }

    async fn end(mut self) -> DrainReport {
        self.stop.cancel();
        self.serving.join_next().await.expect("it serves").expect("it does not panic")
    }
}

/// Everything until the connection ends, whether by a close or by a reset.
async fn read_to_end<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(HANG, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    drop(read);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer with a known end.
async fn read_until<S: tokio::io::AsyncRead + Unpin>(stream: &mut S, end: &str) -> String {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(end) {
        let count = tokio::time::timeout(HANG, stream.read(&mut piece)).await.expect("an answer").expect("readable");
        assert!(count > 0, "ended before {end:?}: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Waits until something that will become true is.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(HANG, waiting).await.is_ok(), "never: {what}");
}

/// What the doors of these tests serve.
async fn routes(request: Request<Inbound>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let text = |text: String| Response::new(Full::new(Bytes::from(text)).boxed());
    let info = request.extensions().get::<ConnInfo>().expect("every request says where it came in").clone();
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/hello" => text(format!("hello over {:?}, tls {}.", request.version(), info.tls)),
        "/info" => {
            let cert = info.client_cert.map_or(0, |cert| cert.len());
            text(format!("{} {} {:?} cert {}.", info.peer.ip(), info.local.port(), info.door, cert > 0))
        }
        "/headers" => text(format!("{:?}", request.headers())),
        "/echo" => match request.into_body().collect().await {
            Ok(body) => Response::new(Full::new(body.to_bytes()).boxed()),
            Err(error) => {
                let mut response = text(format!("{error}."));
                *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
                response
            }
        },
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            text("slow but whole.".to_owned())
        }
        "/never" => std::future::pending().await,
        "/endless" => Response::new(Endless.boxed()),
        "/panic" => panic!("as asked"),
        redirect if redirect.starts_with("/to/") => {
            let mut response = text(String::new());
            *response.status_mut() = StatusCode::FOUND;
            let target = redirect["/to/".len()..].replace('|', "/");
            response.headers_mut().insert("location", target.parse().expect("a header value"));
            response
        }
        _ => {
            let mut response = text("no such page.".to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    })
}

/// An answer that always has more.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))))
    }
}

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("net-{}-{name}", std::process::id()));
        let _was_not_there = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only we can read.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        set_mode(&path, 0o600);
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_for_the_system = std::fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}
