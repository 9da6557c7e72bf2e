//! Queues against a log in memory and a server that follows a script: order, retries, restarts, bounds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use ::tests::folder::Folder;
use async_trait::async_trait;
use model::histogram::{CUSTOM_BUCKETS_SCHEMA, IntHistogram};
use model::memory::MemoryStorage;
use model::meter::Registry;
use model::storage::{
    Appendable as _, Durability, Exemplar, Metadata, Position, SampleValue, Sender, Tail, TailRows, TailSample,
};
use model::time::{ManualClock, Timestamp};
use wire::remote_write::read::{Entry, Item, RequestReader, key_labels};

use super::transport::{Outgoing, Reply, Unanswered};
use super::*;
use crate::receive::Written;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A log of batches; a position is how many were read.
#[derive(Clone, Default)]
struct Log {
    batches: Arc<Mutex<Vec<TailRows>>>,
    released: Arc<Mutex<Position>>,
    reads: Arc<Mutex<usize>>,
}

struct LogTail {
    log: Log,
    at: u64,
}

impl Tailable for Log {
    fn tail(&self, reader: &str, from: Option<Position>) -> Result<Box<dyn Tail>, StorageError> {
        assert_eq!(reader, "remote-write/test");
        let at = from.map_or(lock(&self.batches).len() as u64, |from| from.offset);
        Ok(Box::new(LogTail { log: self.clone(), at }))
    }
}

impl Tail for LogTail {
    fn read(&mut self, samples_max: usize, into: &mut TailRows) -> Result<(), StorageError> {
        *lock(&self.log.reads) += 1;
        *into = TailRows::default();
        let batches = lock(&self.log.batches);
        while into.samples.len() < samples_max
            && let Some(batch) = batches.get(self.at as usize)
        {
            let base = into.labels.len() as u32;
            into.labels.extend(batch.labels.iter().cloned());
            let shifted = |sample: &TailSample| TailSample { series: sample.series + base, ..sample.clone() };
            into.samples.extend(batch.samples.iter().map(shifted));
            into.exemplars.extend(batch.exemplars.iter().map(|(series, exemplar)| (series + base, exemplar.clone())));
            into.metadata.extend(batch.metadata.iter().cloned());
            into.lost.extend(batch.lost.iter().cloned());
            self.at += 1;
        }
        Ok(())
    }

    fn position(&self) -> Position {
        Position { segment: 0, offset: self.at }
    }

    fn release(&mut self, before: Position) {
        *lock(&self.log.released) = before;
    }
}

fn series(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

fn batch(samples: &[(&str, i64)]) -> TailRows {
    let mut rows = TailRows::default();
    for (name, time) in samples {
        let value = SampleValue::Float(*time as f64);
        let series = match rows.labels.iter().position(|known| known.metric_name() == *name) {
            Some(at) => at,
            None => {
                rows.labels.push(self::series(name));
                rows.labels.len() - 1
            }
        };
        rows.samples.push(TailSample { series: series as u32, time: Timestamp(*time), value, start_time: 0 });
    }
    rows
}

impl Log {
    fn commit(&self, rows: TailRows) {
        lock(&self.batches).push(rows);
    }
}

/// One sample as a server read it.
type Received = (String, i64);

/// What a server does with the next request.
#[derive(Clone, Debug)]
enum Act {
    Answer(u16),
    /// Says to come back after so many seconds.
    Later(u16, u64),
    /// Keeps the samples and loses the answer.
    Mute,
    /// Neither keeps nor answers.
    Gone,
    /// Takes so many seconds.
    Slow(u64),
}

/// A server with a script; when it is over it takes everything.
#[derive(Clone)]
struct Server {
    script: Arc<Mutex<VecDeque<Act>>>,
    knows_v2: bool,
    received: Arc<Mutex<Vec<Received>>>,
    /// Everything that is no float sample, in words.
    other: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<(Version, u32, usize)>>>,
    under_way: Arc<Mutex<(usize, usize)>>,
}

impl Server {
    fn new(script: impl IntoIterator<Item = Act>) -> Self {
        Self {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            knows_v2: true,
            received: Arc::default(),
            other: Arc::default(),
            requests: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// Reads the request; keeps what is in it if `keep`.
    fn read(&self, request: &Outgoing, keep: bool) -> Written {
        let mut plain = Vec::new();
        wire::snappy::decode(&request.body, 1 << 20, &mut plain).expect("a good block");
        let mut reader = RequestReader::new(request.version, &plain).expect("a good request");
        let (mut written, mut scratch) = (Written::default(), Vec::new());
        let (mut received, mut other) = (Vec::new(), Vec::new());
        while let Some(entry) = reader.next_entry().expect("a good request") {
            let series = match entry {
                Entry::Series(series) => series,
                Entry::Metadata(metadata) => {
                    other.push(format!("{} is a {}", String::from_utf8_lossy(metadata.family), metadata.kind));
                    continue;
                }
            };
            let key = series.key(&mut scratch).expect("good labels").to_vec();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let labels: Vec<String> = key_labels(&key)
                .map(|pair| pair.map(|(name, value)| format!("{}={}", text(name), text(value))).expect("good labels"))
                .collect();
            let labels = labels.join(",");
            let mut items = series.items();
            while let Some(item) = items.next_item().expect("a good request") {
                match item {
                    Item::Sample(sample) => {
                        written.samples += 1;
                        assert_eq!(sample.value, sample.time as f64);
                        received.push((labels.clone(), sample.time));
                    }
                    Item::Histogram(histogram) => {
                        written.histograms += 1;
                        other.push(format!("{labels} histogram@{}", histogram.time().expect("good")));
                    }
                    Item::Exemplar(exemplar) => {
                        written.exemplars += 1;
                        let point = exemplar.decode(&mut Vec::new()).expect("good");
                        other.push(format!("{labels} exemplar@{}", point.time));
                    }
                    Item::Metadata(metadata) => other.push(format!("{labels} is a {}", metadata.kind)),
                }
            }
        }
        if keep {
            lock(&self.received).extend(received);
            lock(&self.other).extend(other);
        }
        written
    }

    async fn act(&self, request: &Outgoing) -> Result<Reply, Unanswered> {
        let act = lock(&self.script).pop_front().unwrap_or(Act::Answer(204));
        let status = match act {
            Act::Answer(status) | Act::Later(status, _) => status,
            Act::Slow(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                204
            }
            Act::Mute => {
                self.read(request, true);
                return Err(Unanswered("reset".to_owned()));
            }
            Act::Gone => return Err(Unanswered("refused".to_owned())),
        };
        if request.version == Version::V2 && !self.knows_v2 {
            return Ok(Reply { status: 415, ..Reply::default() });
        }
        let good = (200..300).contains(&status);
        let written = self.read(request, good);
        let retry_after = if let Act::Later(_, seconds) = act { Some(Duration::from_secs(seconds)) } else { None };
        let written = (good && request.version == Version::V2).then_some(written);
        Ok(Reply { status, retry_after, written, ..Reply::default() })
    }
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Outgoing) -> Result<Reply, Unanswered> {
        lock(&self.requests).push((request.version, request.attempt, request.body.len()));
        {
            let mut under_way = lock(&self.under_way);
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        let answer = self.act(&request).await;
        lock(&self.under_way).0 -= 1;
        answer
    }
}

/// A queue with everything around it.
struct World {
    log: Log,
    server: Server,
    clock: Arc<ManualClock>,
    registry: Registry,
    folder: Folder,
    metadata: Option<Arc<dyn Queryable>>,
    spec: SenderSpec,
}

impl World {
    fn new(yaml: &str, script: impl IntoIterator<Item = Act>) -> Self {
        let text = format!("url: http://r/\nname: test\n{yaml}");
        let config: RemoteWriteConfig = yaml::from_str("p.yml", &text).expect("a good block");
        Self {
            log: Log::default(),
            server: Server::new(script),
            clock: Arc::new(ManualClock::at(Timestamp(1_000_000))),
            registry: Registry::new(),
            folder: Folder::new("remote-send"),
            metadata: None,
            spec: SenderSpec::new(&config, &Labels::empty(), NameScheme::Utf8).expect("good rules"),
        }
    }

    fn sender(&self) -> RemoteSender {
        let parts = SenderParts {
            tailable: Arc::new(self.log.clone()),
            metadata: self.metadata.clone(),
            transport: Arc::new(self.server.clone()),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            metrics: SendMetrics::new(&self.registry).expect("the same metrics"),
        };
        RemoteSender::new(self.spec.clone(), parts, self.folder.path())
    }

    /// Runs the queue while `scenario` does, then stops it.
    async fn run(&self, scenario: impl Future<Output = ()>) {
        let (sender, stop) = (self.sender(), CancellationToken::new());
        let story = async {
            // Until the queue has opened the log.
            tokio::time::sleep(Duration::from_millis(10)).await;
            scenario.await;
            stop.cancel();
        };
        let (end, ()) = tokio::join!(sender.run(stop.clone()), story);
        end.expect("it ends well");
    }

    /// Runs the queue and drops it after a while, as a kill does.
    async fn kill_after(&self, millis: u64) {
        let sender = self.sender();
        let killed = tokio::time::timeout(Duration::from_millis(millis), sender.run(CancellationToken::new())).await;
        assert!(killed.is_err(), "it runs until it is killed");
    }

    fn received(&self) -> Vec<Received> {
        lock(&self.server.received).clone()
    }

    fn metric(&self, line: &str) -> f64 {
        let text = self.registry.render(model::meter::exposition::Format::Text);
        let name = format!("prometheus_remote_storage_{line}");
        let found = text.lines().find_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.starts_with(&name) && !key.starts_with('#')).then(|| value.parse().ok()).flatten()
        });
        found.unwrap_or_else(|| panic!("no {name} in {text}"))
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn sent(name: &str, time: i64) -> Received {
    (format!("__name__={name}"), time)
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_sent_once_in_order_and_noted() {
    let world = World::new("queue_config: {batch_send_deadline: 1s}", []);
    world.log.commit(batch(&[("before", 1)]));
    world
        .run(async {
            world.log.commit(batch(&[("a", 1), ("b", 1)]));
            world.log.commit(batch(&[("a", 2)]));
            seconds(3).await;
            world.log.commit(batch(&[("a", 3)]));
            seconds(3).await;
            assert_eq!(world.metric("samples_total"), 4.0);
            assert_eq!(world.metric("queue_highest_sent_timestamp_seconds"), 0.003);
            assert_eq!(world.metric("samples_pending"), 0.0);
        })
        .await;
    assert_eq!(world.received(), [sent("a", 1), sent("b", 1), sent("a", 2), sent("a", 3)]);
    assert_eq!(lock(&world.server.requests).len(), 2, "what waits is sent together");
    let noted = PositionFile::new(world.folder.path(), "test").load().expect("it is whole");
    assert_eq!(noted, Some(Position { segment: 0, offset: 4 }));
    // The next run goes on from there.
    world.log.commit(batch(&[("a", 4)]));
    world.run(seconds(3)).await;
    assert_eq!(world.received().last(), Some(&sent("a", 4)));
    assert_eq!(world.received().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_until_it_does_and_nothing_overtakes_it() {
    let script = [Act::Answer(500), Act::Gone, Act::Later(503, 20), Act::Slow(60), Act::Answer(429)];
    let world = World::new(
        "remote_timeout: 10s\nqueue_config: {batch_send_deadline: 1s, retry_on_http_429: true, max_samples_per_send: 2}",
        script,
    );
    world
        .run(async {
            world.log.commit(batch(&[("a", 1), ("a", 2), ("a", 3)]));
            seconds(15).await;
            assert_eq!(world.received().len(), 0);
            assert_eq!(lock(&world.server.requests).len(), 3, "it waits as long as the receiver says");
            seconds(60).await;
        })
        .await;
    assert_eq!(world.received(), [sent("a", 1), sent("a", 2), sent("a", 3)]);
    let attempts: Vec<u32> = lock(&world.server.requests).iter().map(|(_, attempt, _)| *attempt).collect();
    assert_eq!(attempts, [0, 1, 2, 3, 4, 5, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_the_receiver_will_never_take_is_counted_and_let_go() {
    let world = World::new(
        "queue_config: {batch_send_deadline: 1s, max_samples_per_send: 1}",
        [Act::Answer(400), Act::Answer(429)],
    );
    world
        .run(async {
            world.log.commit(batch(&[("a", 1), ("a", 2), ("a", 3)]));
            seconds(10).await;
            assert_eq!((world.metric("samples_failed_total"), world.metric("samples_total")), (2.0, 1.0));
            assert_eq!(world.metric("samples_retried_total"), 0.0);
        })
        .await;
    assert_eq!(world.received(), [sent("a", 3)]);
    assert_eq!(*lock(&world.log.released), Position { segment: 0, offset: 1 });
}

#[tokio::test(start_paused = true)]
async fn labels_are_made_as_the_configuration_says() {
    let mut world = World::new(
        "queue_config: {batch_send_deadline: 1s}\nwrite_relabel_configs:\n\
         - {source_labels: [__name__], regex: secret.*, action: drop}\n\
         - {source_labels: [region], regex: (.*), target_label: zone, replacement: z-$1}\n",
        [],
    );
    world.spec.external_labels = Labels::from_pairs([("region", "eu"), ("__name__", "never")]);
    world
        .run(async {
            world.log.commit(batch(&[("a", 1), ("secret_a", 1), ("a", 2)]));
            seconds(5).await;
            assert_eq!(world.metric("samples_dropped_total{reason=\"dropped_series\""), 1.0);
        })
        .await;
    let expected = "__name__=a,region=eu,zone=z-eu".to_owned();
    assert_eq!(world.received(), [(expected.clone(), 1), (expected, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_stops_reading_and_memory_stays_bounded() {
    let down = std::iter::repeat_n(Act::Answer(503), 100);
    let world = World::new("queue_config: {capacity: 50, max_samples_per_send: 10, max_shards: 1}", down);
    world
        .run(async {
            for time in 0..40 {
                // A read takes 5,000 samples at most, so the batches are bigger than that together.
                let name = format!("m{}", time % 7);
                let samples: Vec<(&str, i64)> = (0..500).map(|n| (name.as_str(), time * 500 + n)).collect();
                world.log.commit(batch(&samples));
            }
            seconds(60).await;
            let pending = world.metric("samples_pending");
            assert!((1.0..=5_500.0).contains(&pending), "{pending}");
            assert!(world.metric("enqueue_retries_total") > 0.0);
            let reads = *lock(&world.log.reads);
            seconds(30).await;
            assert_eq!(*lock(&world.log.reads), reads, "nobody reads what cannot be kept");
            seconds(3_600).await;
        })
        .await;
    assert_eq!(world.received().len(), 20_000);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_know_version_2_gets_version_1() {
    let yaml = "protobuf_message: io.prometheus.write.v2.Request\nqueue_config: {batch_send_deadline: 1s}";
    let mut world = World::new(yaml, []);
    world.server.knows_v2 = false;
    world
        .run(async {
            world.log.commit(batch(&[("a", 1)]));
            seconds(3).await;
            world.log.commit(batch(&[("a", 2)]));
            seconds(3).await;
        })
        .await;
    assert_eq!(world.received(), [sent("a", 1), sent("a", 2)]);
    let versions: Vec<Version> = lock(&world.server.requests).iter().map(|(version, ..)| *version).collect();
    assert_eq!(versions, [Version::V2, Version::V1, Version::V1]);
}

#[tokio::test(start_paused = true)]
async fn histograms_exemplars_and_metadata_are_sent_where_the_configuration_says() {
    let native = |schema| SampleValue::IntHistogram(Arc::new(IntHistogram { schema, ..IntHistogram::default() }));
    let metadata = |family: &str| Metadata { family: family.into(), kind: "gauge".into(), ..Metadata::default() };
    for (yaml, expected) in [
        ("", vec!["a is a gauge"]),
        ("metadata_config: {send: false}\nsend_exemplars: true", vec!["__name__=a exemplar@1"]),
        ("metadata_config: {send: false}\nsend_native_histograms: true", vec!["__name__=a histogram@1"]),
        (
            "send_exemplars: true\nprotobuf_message: io.prometheus.write.v2.Request",
            vec!["__name__=a histogram@1", "__name__=a histogram@2", "__name__=a exemplar@1", "__name__=a is a gauge"],
        ),
    ] {
        let mut world = World::new(&format!("{yaml}\nqueue_config: {{batch_send_deadline: 1s}}"), []);
        let storage = MemoryStorage::new();
        let mut appender = storage.appender(Sender("test")).expect("memory");
        appender.metadata(&metadata("a"));
        appender.commit(Durability::Written).expect("memory");
        world.metadata = Some(Arc::new(storage));
        world
            .run(async {
                let mut rows = batch(&[("a", 1)]);
                for (time, schema) in [(1, 3), (2, CUSTOM_BUCKETS_SCHEMA)] {
                    let (time, value) = (Timestamp(time), native(schema));
                    rows.samples.push(TailSample { series: 0, time, value, start_time: 0 });
                }
                let labels = Labels::from_pairs([("trace", "1")]);
                rows.exemplars.push((0, Exemplar { labels, value: 1.0, time: Timestamp(1) }));
                world.log.commit(rows);
                seconds(5).await;
            })
            .await;
        assert_eq!(world.received(), [sent("a", 1)], "{yaml}");
        assert_eq!(*lock(&world.server.other), expected, "{yaml}");
    }
}

#[tokio::test(start_paused = true)]
async fn samples_beyond_the_age_limit_are_not_sent_not_even_when_tried_again() {
    let world = World::new(
        "queue_config: {batch_send_deadline: 1s, sample_age_limit: 10s, max_backoff: 1m, min_backoff: 1m}",
        [Act::Gone],
    );
    world
        .run(async {
            // Now is 1,000 s.
            world.log.commit(batch(&[("a", 980_000), ("a", 995_000), ("a", 1_000_000)]));
            seconds(10).await;
            world.clock.advance(Duration::from_secs(8));
            seconds(120).await;
            assert_eq!(world.metric("samples_dropped_total{reason=\"too_old\""), 2.0);
        })
        .await;
    assert_eq!(world.received(), [sent("a", 1_000_000)]);
    assert_eq!(*lock(&world.log.released), Position { segment: 0, offset: 1 });
}

#[tokio::test(start_paused = true)]
async fn more_work_gets_more_shards_and_series_stay_in_order() {
    let slow = std::iter::repeat_n(Act::Slow(1), 4_000);
    let world = World::new("queue_config: {max_samples_per_send: 20, capacity: 100, max_shards: 16}", slow);
    world
        .run(async {
            for time in 0..100 {
                let names: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
                let samples: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), time)).collect();
                world.log.commit(batch(&samples));
                seconds(1).await;
            }
            assert!(world.metric("shards{") > 1.0);
            seconds(400).await;
        })
        .await;
    assert!(lock(&world.server.under_way).1 > 2, "requests run side by side");
    in_order(&world.received(), 5_000);
}

/// Everything once, each series by time.
#[track_caller]
fn in_order(received: &[Received], count: usize) {
    assert_eq!(received.len(), count);
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, time) in received {
        let before = newest.insert(name, *time);
        assert!(before.is_none_or(|before| before < *time), "{name}: {time} after {before:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_log_lost_is_counted() {
    let world = World::new("", []);
    world
        .run(async {
            world.log.commit(TailRows { lost: vec!["segments 1 to 2 are gone".into()], ..TailRows::default() });
            seconds(2).await;
            assert_eq!(world.metric("lost_batches_total"), 1.0);
        })
        .await;
    assert_eq!(*lock(&world.log.released), Position { segment: 0, offset: 1 });
    let noted = PositionFile::new(world.folder.path(), "test").load().expect("it is whole");
    assert_eq!(noted, Some(Position { segment: 0, offset: 1 }));
}

/// Random scripts, kills at random moments, random commits: every sample arrives, first arrivals are in order.
#[tokio::test(start_paused = true)]
async fn whatever_the_receiver_does_and_whenever_we_are_killed_nothing_is_lost() {
    for seed in 0..::tests::depth::pick(12, 2_000u64) {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let acts = (0..60).map(|_| match random(6) {
            0 => Act::Answer(500),
            1 => Act::Later(503, random(4)),
            2 => Act::Mute,
            3 => Act::Gone,
            4 => Act::Slow(random(40)),
            _ => Act::Answer(204),
        });
        let acts: Vec<Act> = acts.collect();
        let yaml = format!(
            "remote_timeout: 20s\nqueue_config: {{max_samples_per_send: {}, capacity: {}, min_shards: {}, \
             batch_send_deadline: {}ms, max_backoff: 2s}}",
            1 + random(9),
            5 + random(50),
            1 + random(4),
            100 + random(3_000)
        );
        let world = World::new(&yaml, acts);
        // The place to begin is noted by the first run.
        world.kill_after(50).await;
        let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for time in 0..20 + random(30) as i64 {
            let names: Vec<String> = (0..=random(8)).map(|_| format!("m{}", random(9))).collect();
            let mut samples: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), time)).collect();
            samples.sort_unstable();
            samples.dedup();
            for (name, time) in &samples {
                expected.entry(format!("__name__={name}")).or_default().push(*time);
            }
            world.log.commit(batch(&samples));
            if random(4) == 0 {
                world.kill_after(random(20_000)).await;
            }
        }
        let end = Some(Position { segment: 0, offset: lock(&world.log.batches).len() as u64 });
        let file = PositionFile::new(world.folder.path(), "test");
        world
            .run(async {
                for _ in 0..2_000 {
                    seconds(1).await;
                    if file.load().expect("it is whole") == end {
                        return;
                    }
                }
            })
            .await;
        let mut first: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (name, time) in world.received() {
            let seen = first.entry(name).or_default();
            if !seen.contains(&time) {
                seen.push(time);
            }
        }
        assert_eq!(first, expected, "seed {seed}");
    }
}
