//! The objects of one kind that a cluster has now, kept up by a list and the watch that follows it.
//!
//! Promises: whoever reads finds a state that the cluster had; a watch that was interrupted goes on where it ended;
//! where the server has forgotten that place (410) everything is listed again and what is gone is dropped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use net::client::Call;
use net::session::{BodyBuffer, Session, Streaming};
use serde::Deserialize;
use tokio::sync::Notify;

use super::super::docker::percent_encoded;
use super::super::{DiscoveryError, Out};
use super::objects::{Meta, Object};

/// Objects in one answer to a list.
const PAGE: u32 = 500;
/// Of one such answer.
const PAGE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Of one event of a watch: an object may have 1.5 MiB.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// For a list, and for the header of a watch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// After this the server ends a watch, and we begin the next one.
const WATCH: Duration = Duration::from_secs(300);
/// A watch that is not ended by then is dead.
const WATCH_GRACE: Duration = Duration::from_secs(30);
/// Between attempts, doubled each time.
const PAUSE_LEAST: Duration = Duration::from_millis(500);
const PAUSE_MOST: Duration = Duration::from_secs(30);

/// Where a kind of object is listed.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `https://host:port/api/v1/namespaces/x/pods`
    pub(super) url: String,
    /// `labelSelector` and `fieldSelector`, encoded, each with a `&` before it.
    pub(super) selectors: String,
}

impl Place {
    pub(super) fn new(base: &str, prefix: &str, namespace: Option<&str>, plural: &str, selector: (&str, &str)) -> Self {
        let namespace = namespace.map_or_else(String::new, |name| format!("/namespaces/{}", percent_encoded(name)));
        let given = [("labelSelector", selector.0), ("fieldSelector", selector.1)];
        let given = given.into_iter().filter(|(_, text)| !text.is_empty());
        let selectors = given.map(|(key, text)| format!("&{key}={}", percent_encoded(text))).collect();
        Self { url: format!("{base}{prefix}{namespace}/{plural}"), selectors }
    }
}

type Key = (String, String);

/// The objects.
#[derive(Debug)]
pub(super) struct Store<T> {
    objects: Mutex<BTreeMap<Key, Arc<T>>>,
    /// Listed at least once.
    synced: AtomicBool,
    /// Rung when something changed.
    changed: Arc<Notify>,
}

impl<T: Object> Store<T> {
    pub(super) fn new(changed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { objects: Mutex::default(), synced: AtomicBool::new(false), changed })
    }

    pub(super) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// What a list said: whatever is not in it is gone.
    fn replace(&self, objects: Vec<T>) {
        let objects = objects.into_iter().map(|object| (key(object.meta()), Arc::new(object))).collect();
        *self.objects.lock().unwrap_or_else(PoisonError::into_inner) = objects;
        self.synced.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    fn put(&self, object: T) {
        let key = key(object.meta());
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::new(object));
        self.changed.notify_one();
    }

    fn remove(&self, meta: &Meta) {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(meta));
        self.changed.notify_one();
    }

    /// Lists and watches for ever.
    pub(super) async fn follow(self: Arc<Self>, session: Session, place: Place, out: Out) {
        let (mut version, mut pause): (Option<String>, Duration) = (None, PAUSE_LEAST);
        loop {
            let outcome = match &version {
                None => self.list(&session, &place).await,
                Some(from) => self.watch(&session, &place, from).await,
            };
            match outcome {
                Ok(next) => {
                    version = next;
                    pause = PAUSE_LEAST;
                    // Also where nothing changes a pause: a server that ends each watch at once is not asked in a loop.
                    tokio::time::sleep(PAUSE_LEAST / 5).await;
                }
                Err(error) => {
                    out.failed(&error);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MOST);
                }
            }
        }
    }

    /// Everything there is, page by page; returns the version to watch from.
    async fn list(&self, session: &Session, place: &Place) -> Result<Option<String>, DiscoveryError> {
        let (mut objects, mut body) = (Vec::new(), BodyBuffer::new());
        let mut next = String::new();
        loop {
            let after = if next.is_empty() { String::new() } else { format!("&continue={}", percent_encoded(&next)) };
            let call = call(format!("{}?limit={PAGE}{}{after}", place.url, place.selectors));
            let answer = session.send(&call, &mut body).await?;
            if answer.status == http::StatusCode::GONE && !next.is_empty() {
                // The list took longer than the server remembers: from the beginning.
                return Ok(None);
            }
            if !answer.status.is_success() {
                return Err(refused(&place.url, answer.status, body.bytes()));
            }
            let page: List<T> = serde_json::from_slice(body.bytes()).map_err(|error| wrong(&place.url, &error))?;
            objects.extend(page.items.unwrap_or_default());
            next = page.metadata.next;
            if next.is_empty() {
                self.replace(objects);
                return Ok(Some(page.metadata.resource_version));
            }
        }
    }

    /// Follows what happens after `from`; returns where to go on, or none where everything must be listed again.
    async fn watch(&self, session: &Session, place: &Place, from: &str) -> Result<Option<String>, DiscoveryError> {
        let url = format!(
            "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}{}",
            place.url,
            WATCH.as_secs(),
            percent_encoded(from),
            place.selectors
        );
        let mut stream = session.stream(&call(url)).await?;
        let status = stream.answer().status;
        if status == http::StatusCode::GONE {
            return Ok(None);
        }
        if !status.is_success() {
            let body = stream.chunk().await?.unwrap_or_default();
            return Err(refused(&place.url, status, &body));
        }
        let mut version = Some(from.to_owned());
        let reading = self.read(&mut stream, place, &mut version);
        match tokio::time::timeout(WATCH + WATCH_GRACE, reading).await {
            Ok(outcome) => outcome.map(|()| version),
            // Nothing is lost: the next watch begins where this one stood.
            Err(_) => Ok(version),
        }
    }

    /// Reads events until the watch ends, breaks off, or the server says that our version is too old.
    async fn read(
        &self,
        stream: &mut Streaming,
        place: &Place,
        version: &mut Option<String>,
    ) -> Result<(), DiscoveryError> {
        let mut line: Vec<u8> = Vec::new();
        // A watch that breaks off is like one that ends: the next one begins where this one stood.
        while let Ok(Some(piece)) = stream.chunk().await {
            for part in piece.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(part);
                if line.len() > EVENT_BYTES_MAX {
                    return Err(wrong(&place.url, &format!("an event of more than {EVENT_BYTES_MAX} bytes")));
                }
                if part.ends_with(b"\n") {
                    self.event(&line, place, version)?;
                    line.clear();
                }
                if version.is_none() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// One line of a watch.
    fn event(&self, line: &[u8], place: &Place, version: &mut Option<String>) -> Result<(), DiscoveryError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let event: Event = serde_json::from_slice(line).map_err(|error| wrong(&place.url, &error))?;
        if event.kind == "ERROR" {
            let status: Status = serde_json::from_value(event.object).unwrap_or_default();
            // "Expired" and "gone" are the same: the server does not remember our version.
            *version = None;
            if [410, 504].contains(&status.code) {
                return Ok(());
            }
            return Err(wrong(&place.url, &status.message));
        }
        if event.kind == "BOOKMARK" {
            let seen: Seen = serde_json::from_value(event.object).map_err(|error| wrong(&place.url, &error))?;
            *version = Some(seen.metadata.resource_version);
            return Ok(());
        }
        let object: T = serde_json::from_value(event.object).map_err(|error| wrong(&place.url, &error))?;
        *version = Some(object.meta().resource_version.clone());
        match event.kind.as_str() {
            "ADDED" | "MODIFIED" => self.put(object),
            "DELETED" => self.remove(object.meta()),
            other => tracing::debug!(kind = other, "an event of a watch that nobody knows"),
        }
        Ok(())
    }
}

fn key(meta: &Meta) -> Key {
    (meta.namespace.clone(), meta.name.clone())
}

/// A request with the bounds of this module.
fn call(url: String) -> Call {
    let mut call = Call::get(url);
    call.headers.insert(http::header::ACCEPT, http::HeaderValue::from_static("application/json"));
    call.budget.total = ANSWER_TIMEOUT;
    call.budget.body_bytes_max = PAGE_BYTES_MAX;
    call
}

fn wrong(url: &str, why: &dyn std::fmt::Display) -> DiscoveryError {
    DiscoveryError::Answer { url: url.to_owned(), why: why.to_string() }
}

/// The API server says in a `Status` what it refuses and why.
fn refused(url: &str, status: http::StatusCode, body: &[u8]) -> DiscoveryError {
    let said: Status = serde_json::from_slice(body).unwrap_or_default();
    let said: String = said.message.chars().take(300).collect();
    wrong(url, &format!("the API server answers {status}: {said}").trim_end_matches([':', ' ']))
}

#[derive(Deserialize)]
struct List<T> {
    metadata: ListMeta,
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(rename = "resourceVersion", default)]
    resource_version: String,
    #[serde(rename = "continue", default)]
    next: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: serde_json::Value,
}

/// What a bookmark carries.
#[derive(Deserialize)]
struct Seen {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}
