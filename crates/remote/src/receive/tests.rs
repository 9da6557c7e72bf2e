//! Requests against a storage in memory and against one that says no: statuses, texts, headers, what is stored.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use model::histogram::{Histogram, IntHistogram, Span};
use model::labels::Labels;
use model::memory::MemoryStorage;
use model::storage::{
    Appender, Committed, Durability, Exemplar, Metadata, Queryable as _, Refusal, Refused, SampleValue, SelectHints,
    SelectedId, SeriesRef, StorageError, TimeRange,
};
use model::time::Timestamp;
use wire::remote_write::Version;
use wire::remote_write::write::RequestWriter;

use super::*;

const BOTH: [Version; 2] = [Version::V1, Version::V2];

fn headers(version: Version) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(version.content_type()));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    headers
}

fn receiver(storage: impl Appendable + 'static) -> Receiver {
    Receiver::new(Arc::new(storage), ReceiverOptions::default(), &Registry::new()).expect("a fresh registry")
}

fn squeezed(plain: &[u8]) -> Bytes {
    let mut body = Vec::new();
    wire::snappy::encode(plain, &mut body);
    body.into()
}

async fn send(receiver: &Receiver, version: Version, plain: &[u8]) -> Outcome {
    let headers = headers(version);
    receiver.receive(WriteRequest { sender: "test", headers: &headers, body: squeezed(plain) }).await
}

fn series(job: &str) -> Labels {
    Labels::from_pairs([("__name__", "up"), ("job", job)])
}

/// A request of float samples.
fn floats(version: Version, samples: &[(&str, i64, f64)]) -> Vec<u8> {
    let mut writer = RequestWriter::new(version);
    for (job, time, value) in samples {
        writer.series(&series(job), |series| series.value(*time, &SampleValue::Float(*value), 0));
    }
    writer.finish()
}

/// Everything stored, as text.
fn stored(storage: &MemoryStorage) -> Vec<String> {
    let snapshot = storage.snapshot().expect("memory");
    let selection = snapshot.select(&[], TimeRange::ALL, &SelectHints::default()).expect("memory");
    let mut cursor = selection.reader.cursor();
    let mut lines = Vec::new();
    for (index, labels) in selection.labels.iter().enumerate() {
        let column = cursor.read(SelectedId(index as u32)).expect("memory");
        let job = labels.get("job").unwrap_or("-");
        for (row, time) in column.times.iter().enumerate() {
            let start = column.start_times.map_or(0, |starts| starts[row]);
            lines.push(format!("{job}@{time}={} from {start}", column.values[row]));
        }
    }
    lines
}

fn status(outcome: &Outcome) -> u16 {
    outcome.status.as_u16()
}

#[tokio::test]
async fn samples_of_both_versions_are_stored_and_only_the_second_is_told_how_many() {
    for version in BOTH {
        let storage = MemoryStorage::new();
        let receiver = receiver(storage.clone());
        let mut writer = RequestWriter::new(version);
        let (float, start) = (SampleValue::Float(1.5), 50);
        writer.series(&series("a"), |series| {
            series.value(100, &float, start);
            series.value(200, &SampleValue::Float(2.5), 0);
            let labels = Labels::from_pairs([("trace_id", "x")]);
            series.exemplar(&Exemplar { labels, value: 7.0, time: Timestamp(150) });
        });
        let histogram = IntHistogram {
            count: 3,
            sum: 4.5,
            schema: 2,
            positive_spans: vec![Span { offset: -3, length: 2 }],
            positive_deltas: vec![1, 1],
            ..IntHistogram::default()
        };
        let native = SampleValue::IntHistogram(Arc::new(histogram));
        writer.series(&series("h"), |series| series.value(100, &native, 0));
        let outcome = send(&receiver, version, &writer.finish()).await;
        assert_eq!((status(&outcome), outcome.text.as_str()), (204, ""));
        assert_eq!(outcome.written, Written { samples: 2, histograms: 1, exemplars: 1 });
        let start = if version == Version::V1 { 0 } else { start };
        let expected = [format!("a@100=1.5 from {start}"), "a@200=2.5 from 0".into(), "h@100=0 from 0".into()];
        assert_eq!(stored(&storage), expected);
        let headers: Vec<String> = outcome
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        let expected: &[&str] = match version {
            Version::V1 => &[],
            Version::V2 => &[
                "x-prometheus-remote-write-samples-written: 2",
                "x-prometheus-remote-write-histograms-written: 1",
                "x-prometheus-remote-write-exemplars-written: 1",
            ],
        };
        assert_eq!(headers, expected);
        let exemplars = storage.snapshot().and_then(|s| s.exemplars(&[], TimeRange::ALL)).expect("memory");
        assert_eq!(exemplars.len(), 1);
    }
}

#[tokio::test]
async fn of_a_request_with_bad_samples_the_rest_is_stored_and_the_bad_ones_are_named() {
    for version in BOTH {
        let storage = MemoryStorage::new();
        let receiver = receiver(storage.clone());
        assert_eq!(status(&send(&receiver, version, &floats(version, &[("a", 100, 1.0)])).await), 204);
        let mut writer = RequestWriter::new(version);
        let float = SampleValue::Float(2.0);
        writer.series(&series("a"), |series| series.value(50, &float, 0));
        writer.series(&series("a"), |series| series.value(100, &float, 0));
        writer.series(&Labels::from_pairs([("job", "x")]), |series| series.value(1, &float, 0));
        writer.series(&series("b"), |series| series.value(50, &float, 0));
        let outcome = send(&receiver, version, &writer.finish()).await;
        assert_eq!(status(&outcome), 400);
        assert_eq!(
            outcome.text,
            "invalid metric name or labels, got {job=\"x\"}\n\
             out of order sample for series {__name__=\"up\", job=\"a\"}\n\
             duplicate sample for timestamp for series {__name__=\"up\", job=\"a\"}"
        );
        assert_eq!((outcome.written.samples, outcome.refused, outcome.invalid_labels), (1, 2, 1));
        assert_eq!(stored(&storage), ["a@100=1 from 0", "b@50=2 from 0"]);
    }
}

#[tokio::test]
async fn the_same_request_twice_is_good_both_times() {
    let storage = MemoryStorage::new();
    let receiver = receiver(storage.clone());
    let request = floats(Version::V2, &[("a", 100, 1.0), ("b", 100, 2.0)]);
    for _ in 0..2 {
        let outcome = send(&receiver, Version::V2, &request).await;
        assert_eq!((status(&outcome), outcome.written.samples), (204, 2));
    }
    assert_eq!(stored(&storage).len(), 2);
}

#[tokio::test]
async fn content_types_and_encodings_are_judged_as_prometheus_does() {
    let receiver = receiver(MemoryStorage::new());
    for (content_type, encoding, expected) in [
        ("", "", 204),
        ("application/x-protobuf", "", 204),
        ("application/x-protobuf", "SNAPPY", 204),
        ("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", 204),
        ("application/x-protobuf; a=b", "snappy", 204),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy", 415),
        ("application/x-protobuf;proto", "snappy", 415),
        ("application/json", "snappy", 415),
        ("application/x-protobuf", "zstd", 415),
        ("application/x-protobuf", "gzip", 415),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        let body = squeezed(&floats(Version::V1, &[("a", 100, 1.0)]));
        let outcome = receiver.receive(WriteRequest { sender: "t", headers: &headers, body }).await;
        assert_eq!(status(&outcome), expected, "{content_type} {encoding}: {}", outcome.text);
    }
}

#[tokio::test]
async fn what_cannot_be_read_stores_nothing() {
    let storage = MemoryStorage::new();
    let receiver = receiver(storage.clone());
    let mut cut = floats(Version::V1, &[("a", 100, 1.0), ("b", 100, 1.0)]);
    cut.pop();
    assert_eq!(status(&send(&receiver, Version::V1, &cut).await), 400);
    let headers = headers(Version::V1);
    for (body, expected) in [(&b"not snappy"[..], 400), (&[0xff, 0xff, 0xff, 0x7f, 0], 413), (&[], 400)] {
        let body = Bytes::from_static(body);
        let outcome = receiver.receive(WriteRequest { sender: "t", headers: &headers, body }).await;
        assert_eq!(status(&outcome), expected, "{}", outcome.text);
    }
    assert!(stored(&storage).is_empty());
    // The appender is as good as new.
    let good = send(&receiver, Version::V1, &floats(Version::V1, &[("a", 100, 1.0)])).await;
    assert_eq!((status(&good), stored(&storage).len()), (204, 1));
}

#[tokio::test]
async fn metadata_of_both_versions_reaches_storage() {
    let metadata =
        Metadata { family: "up".into(), kind: "gauge".into(), help: "Is it up?".into(), ..Metadata::default() };
    for version in BOTH {
        let storage = MemoryStorage::new();
        let receiver = receiver(storage.clone());
        let mut writer = RequestWriter::new(version);
        writer.metadata(&metadata);
        writer.series(&series("a"), |series| {
            series.value(100, &SampleValue::Float(1.0), 0);
            series.metadata(&metadata);
        });
        assert_eq!(status(&send(&receiver, version, &writer.finish()).await), 204);
        let found = storage.snapshot().and_then(|s| s.metadata("", 0)).expect("memory").items;
        assert_eq!(found, std::slice::from_ref(&metadata));
    }
}

#[tokio::test]
async fn histograms_of_all_kinds_arrive_bit_for_bit() {
    let float = Histogram {
        count: 6.5,
        zero_count: 0.0,
        sum: -0.0,
        schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        positive_buckets: vec![1.0, 2.0, 3.5],
        custom_values: Some([0.5, 1.0].into()),
        hint: model::histogram::ResetHint::Gauge,
        ..Histogram::default()
    };
    for version in BOTH {
        let storage = MemoryStorage::new();
        let receiver = receiver(storage.clone());
        let mut writer = RequestWriter::new(version);
        let value = SampleValue::Histogram(Arc::new(float.clone()));
        writer.series(&series("a"), |series| series.value(100, &value, 0));
        assert_eq!(status(&send(&receiver, version, &writer.finish()).await), 204);
        let snapshot = storage.snapshot().expect("memory");
        let selection = snapshot.select(&[], TimeRange::ALL, &SelectHints::default()).expect("memory");
        let mut cursor = selection.reader.cursor();
        let column = cursor.read(SelectedId(0)).expect("memory");
        assert!(column.histograms[0].1.bit_eq(&float), "{:?}", column.histograms);
    }
}

/// A storage that answers as it is told, and counts.
#[derive(Clone, Default)]
struct Moody {
    memory: MemoryStorage,
    errors: Arc<Mutex<Vec<StorageError>>>,
    /// Commits that forget every series first.
    forgets: Arc<AtomicUsize>,
    commits: Arc<AtomicUsize>,
    resolved: Arc<AtomicUsize>,
}

struct MoodyAppender {
    shared: Moody,
    inner: Box<dyn Appender>,
    /// References are of a generation, as a real storage's are.
    generation: u64,
    refused: Vec<Refused>,
}

impl Appendable for Moody {
    fn appender(&self, sender: Sender<'_>) -> Result<Box<dyn Appender>, StorageError> {
        let inner = self.memory.appender(sender)?;
        Ok(Box::new(MoodyAppender { shared: self.clone(), inner, generation: 0, refused: Vec::new() }))
    }
}

impl MoodyAppender {
    fn inner_ref(&mut self, series: SeriesRef, time: Timestamp) -> Option<SeriesRef> {
        if series.0 >> 32 == self.generation {
            return Some(SeriesRef(series.0 & 0xffff_ffff));
        }
        self.refused.push(Refused { series, time, reason: Refusal::UnknownSeries });
        None
    }
}

impl Appender for MoodyAppender {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refusal> {
        self.shared.resolved.fetch_add(1, Ordering::SeqCst);
        self.inner.resolve(labels).map(|series| SeriesRef(series.0 | self.generation << 32))
    }

    fn append(&mut self, series: SeriesRef, time: Timestamp, value: f64) {
        if let Some(series) = self.inner_ref(series, time) {
            self.inner.append(series, time, value);
        }
    }

    fn append_value(&mut self, series: SeriesRef, time: Timestamp, value: &SampleValue, start_time: i64) {
        if let Some(series) = self.inner_ref(series, time) {
            self.inner.append_value(series, time, value, start_time);
        }
    }

    fn exemplar(&mut self, _: SeriesRef, _: &Exemplar) {}

    fn metadata(&mut self, _: &Metadata) {}

    fn commit(&mut self, durability: Durability) -> Result<Committed, StorageError> {
        assert_eq!(durability, Durability::Synced);
        self.shared.commits.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.shared.errors.lock().unwrap().pop() {
            self.inner.rollback();
            return Err(error);
        }
        let mut committed = self.inner.commit(durability)?;
        committed.refused.iter_mut().for_each(|refused| refused.series.0 |= self.generation << 32);
        committed.refused.append(&mut self.refused);
        let forgets = self.shared.forgets.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        self.generation += u64::from(forgets.is_ok());
        Ok(committed)
    }

    fn rollback(&mut self) {
        self.inner.rollback();
    }
}

#[tokio::test]
async fn storage_that_says_no_is_passed_on_as_a_status_that_senders_understand() {
    let storage = Moody::default();
    let receiver = receiver(storage.clone());
    for (error, expected, retry_after) in [
        (StorageError::NoSpace("the log".into()), 503, Some("30")),
        (StorageError::NotReady("starting".into()), 503, Some("5")),
        (StorageError::TooLarge("a batch of 9 samples".into()), 413, None),
        (StorageError::NotSynced("fdatasync".into()), 500, None),
        (StorageError::Io(std::io::Error::other("gone")), 500, None),
    ] {
        storage.errors.lock().unwrap().push(error);
        let outcome = send(&receiver, Version::V2, &floats(Version::V2, &[("a", 100, 1.0)])).await;
        assert_eq!((status(&outcome), outcome.written), (expected, Written::default()), "{}", outcome.text);
        let headers = outcome.headers();
        let after = headers.iter().find(|(name, _)| name == "retry-after").map(|(_, value)| value.to_str().unwrap());
        assert_eq!(after, retry_after);
    }
    assert_eq!(status(&send(&receiver, Version::V2, &floats(Version::V2, &[("a", 100, 1.0)])).await), 204);
}

#[tokio::test]
async fn labels_are_looked_at_once_until_storage_forgets_the_series() {
    for version in BOTH {
        let storage = Moody::default();
        let receiver = receiver(storage.clone());
        for time in 1..=3 {
            let request = floats(version, &[("a", time, 1.0), ("b", time, 1.0)]);
            assert_eq!(status(&send(&receiver, version, &request).await), 204);
        }
        assert_eq!(storage.resolved.load(Ordering::SeqCst), 2);
        // Forgotten after the next commit: the request after it is written in two, without the sender noticing.
        storage.forgets.store(1, Ordering::SeqCst);
        for time in 4..=5 {
            let request = floats(version, &[("a", time, 1.0), ("b", time, 1.0), ("a", time, 1.0), ("c", time, 1.0)]);
            let outcome = send(&receiver, version, &request).await;
            assert_eq!((status(&outcome), outcome.written.samples), (204, 4), "{}", outcome.text);
        }
        assert_eq!(storage.resolved.load(Ordering::SeqCst), 2 + 1 + 3);
        assert_eq!(stored(&storage.memory).len(), 12);
    }
}

#[tokio::test]
async fn a_memory_of_series_that_is_full_starts_over_and_nothing_is_lost() {
    let storage = MemoryStorage::new();
    let options = ReceiverOptions { series_max: 3, ..ReceiverOptions::default() };
    let receiver = Receiver::new(Arc::new(storage.clone()), options, &Registry::new()).expect("a fresh registry");
    for time in 1..=3 {
        let jobs = ["a", "b", "c", "d", "e", "f", "g"];
        let samples: Vec<(&str, i64, f64)> = jobs.iter().map(|job| (*job, time, 1.0)).collect();
        assert_eq!(status(&send(&receiver, Version::V1, &floats(Version::V1, &samples)).await), 204);
    }
    assert_eq!(stored(&storage).len(), 21);
    let mut known = known::KnownSeries::new(3);
    for n in 0..100u64 {
        let name = known.name(&n.to_le_bytes());
        known.put(name, SeriesRef(n));
        assert!(known.len() <= 3);
        assert_eq!(known.get(name).map(|known| known.series), Some(SeriesRef(n)));
    }
}

#[tokio::test]
async fn senders_beyond_the_bound_and_requests_beyond_the_bound_harm_nobody() {
    let storage = MemoryStorage::new();
    let options = ReceiverOptions { senders_max: 2, ..ReceiverOptions::default() };
    let receiver = Receiver::new(Arc::new(storage.clone()), options, &Registry::new()).expect("a fresh registry");
    let headers = headers(Version::V1);
    for (sender, job) in [("1", "a"), ("2", "b"), ("3", "c"), ("1", "d")] {
        let body = squeezed(&floats(Version::V1, &[(job, 100, 1.0)]));
        assert_eq!(status(&receiver.receive(WriteRequest { sender, headers: &headers, body }).await), 204);
    }
    assert_eq!((stored(&storage).len(), lock(&receiver.senders).by_name.len()), (4, 2));

    let options = ReceiverOptions { requests_max: 0, ..ReceiverOptions::default() };
    let full = Receiver::new(Arc::new(storage), options, &Registry::new()).expect("a fresh registry");
    let outcome = send(&full, Version::V1, &floats(Version::V1, &[("a", 100, 1.0)])).await;
    assert_eq!((outcome.status, outcome.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(BUSY_RETRY_AFTER)));
}

#[tokio::test]
async fn no_body_however_broken_does_more_than_fail_its_own_request() {
    let storage = MemoryStorage::new();
    let receiver = receiver(storage.clone());
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for round in 0..::tests::depth::pick(400, 20_000) {
        let version = BOTH[round % 2];
        let good = floats(version, &[("a", 100, 1.0), ("bb", 200, 2.0), ("a", 300, 3.0)]);
        let mut bad = if round % 3 == 0 { squeezed(&good).to_vec() } else { good };
        for _ in 0..=random(4) {
            let at = random(bad.len());
            match random(3) {
                0 => bad[at] = random(256) as u8,
                1 => bad.truncate(at + 1),
                _ => bad.insert(at, random(256) as u8),
            }
        }
        let body = if round % 3 == 0 { bad.into() } else { squeezed(&bad) };
        let outcome = receiver.receive(WriteRequest { sender: "f", headers: &headers(version), body }).await;
        assert!([204, 400, 413].contains(&status(&outcome)), "{outcome:?}");
    }
    let good = send(&receiver, Version::V1, &floats(Version::V1, &[("last", 1, 1.0)])).await;
    assert_eq!(status(&good), 204);
}
