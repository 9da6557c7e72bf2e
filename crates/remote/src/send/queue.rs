//! The loop of one queue: reading the log, sharing rows out, sending, and noting how far everything got.
//!
//! Invariant: every row that was read is in exactly one place (a shard, or a request under way) until it is done with,
//! and its chunk counts it; a position is noted only when every row before it is done with.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hashbrown::DefaultHashBuilder;
use model::labels::Labels;
use model::relabel::Scratch;
use model::storage::{Metadata, Position, SampleValue, StorageError, Tail, TailRows};
use model::time::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wire::remote_write::Version;
use wire::remote_write::write::RequestWriter;

use super::batch::{Batch, Counts, FamilyTexts, Row, Sending, Shard, What, encode, squeeze};
use super::metrics::QueueMetrics;
use super::position::PositionFile;
use super::transport::{Outgoing, Reply, Unanswered};
use super::verdict::{Pace, Verdict, judge, shards_wanted};
use super::{SendError, SenderParts, SenderSpec};

/// How often the log is asked for news when it had none.
const POLL: Duration = Duration::from_millis(200);
/// The same after it could not be read.
const POLL_AFTER_ERROR: Duration = Duration::from_secs(1);
/// Samples of one read: enough to fill some requests, few enough to bound what a read adds.
const READ_SAMPLES: usize = 5_000;
/// How often the number of shards is thought over; as Prometheus.
const RESHARD_INTERVAL: Duration = Duration::from_secs(10);
/// How often the position is written at most: after a kill so much is sent twice.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How long answers are waited for at the end.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Relabelled series that are remembered; beyond it all are worked out again.
const RELABELLED_MAX: usize = 200_000;

/// One read of the log that is not done with.
struct Chunk {
    /// The position behind it.
    end: Position,
    /// Rows that are not sent.
    left: usize,
}

type ReadEnd = (Box<dyn Tail>, TailRows, Result<(), StorageError>);
type Reading = Pin<Box<dyn Future<Output = Result<ReadEnd, tokio::task::JoinError>> + Send>>;
type Answer = Result<Reply, Unanswered>;

/// What a request that ended was for.
enum Ended {
    Rows { shard: usize, batch: Batch, took: Duration, answer: Answer },
    Metadata { families: u64, bytes: u64, answer: Answer },
}

type Sends = FuturesUnordered<Pin<Box<dyn Future<Output = Ended> + Send>>>;

/// The state of a queue at work.
pub(super) struct Queue<'s> {
    spec: &'s SenderSpec,
    parts: &'s SenderParts,
    file: &'s PositionFile,
    metrics: QueueMetrics,
    version: Version,
    /// `None` while it is being read.
    tail: Option<(Box<dyn Tail>, TailRows)>,
    reading: Option<Reading>,
    read_at: Instant,
    shards: Vec<Shard>,
    /// How many there shall be; no request is begun while there are others.
    shards_wanted: usize,
    hasher: DefaultHashBuilder,
    relabelled: HashMap<Labels, Option<Labels>>,
    scratch: Scratch,
    sends: Sends,
    chunks: VecDeque<Chunk>,
    /// The number of the first chunk.
    first_chunk: u64,
    /// Up to where everything is done with, and whether that is noted.
    done: Position,
    saved: Position,
    save_at: Instant,
    families: FamilyTexts,
    metadata_at: Instant,
    pace: Pace,
    reshard_at: Instant,
    highest: (Timestamp, Timestamp),
}

impl<'s> Queue<'s> {
    /// Takes up where the last run stopped, or begins with what is committed from now on.
    pub(super) async fn open(
        spec: &'s SenderSpec,
        parts: &'s SenderParts,
        file: &'s PositionFile,
    ) -> Result<Self, SendError> {
        let task =
            |reason: tokio::task::JoinError| SendError::Task { queue: spec.name.clone(), reason: reason.to_string() };
        let (tailable, path, reader) =
            (Arc::clone(&parts.tailable), file.clone(), format!("remote-write/{}", spec.name));
        let opened = tokio::task::spawn_blocking(move || {
            let from = path.load().unwrap_or_else(|error| {
                warn!(%error, "the position of a remote-write queue is lost; it goes on where storage says");
                None
            });
            tailable.tail(&reader, from)
        });
        let tail = opened.await.map_err(task)?;
        let tail = tail.map_err(|source| SendError::Storage { queue: spec.name.clone(), source })?;
        let (now, start) = (Instant::now(), tail.position());
        let metrics = parts.metrics.queue(&spec.name, &spec.url);
        metrics.shards_min.set(spec.queue.shards_min as f64);
        metrics.shards_max.set(spec.queue.shards_max as f64);
        metrics.capacity.set(spec.queue.capacity as f64);
        metrics.max_samples_per_send.set(spec.queue.max_samples_per_send as f64);
        let shards = (0..spec.queue.shards_min).map(|_| Shard::default()).collect::<Vec<_>>();
        Ok(Self {
            spec,
            parts,
            file,
            metrics,
            version: spec.version,
            tail: Some((tail, TailRows::default())),
            reading: None,
            read_at: now,
            shards_wanted: shards.len(),
            shards,
            hasher: DefaultHashBuilder::default(),
            relabelled: HashMap::new(),
            scratch: Scratch::default(),
            sends: Sends::new(),
            chunks: VecDeque::new(),
            first_chunk: 0,
            done: start,
            saved: start,
            save_at: now,
            families: FamilyTexts::default(),
            metadata_at: now,
            pace: Pace::default(),
            reshard_at: now + RESHARD_INTERVAL,
            highest: (Timestamp::MIN, Timestamp::MIN),
        })
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), SendError> {
        // The place from which a first run reads is noted at once: a kill before the first answer loses nothing.
        self.save().await?;
        loop {
            let now = Instant::now();
            self.begin_work(now).await?;
            let due = self.due(now);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.sends.next(), if !self.sends.is_empty() => self.ended(ended),
                read = next_read(&mut self.reading) => self.was_read(read)?,
                () = tokio::time::sleep_until(due) => {}
            }
        }
        let grace = tokio::time::sleep(STOP_GRACE);
        tokio::pin!(grace);
        while !self.sends.is_empty() {
            tokio::select! {
                () = &mut grace => break,
                Some(ended) = self.sends.next() => self.ended(ended),
            }
        }
        self.save().await
    }

    /// Begins whatever is due.
    async fn begin_work(&mut self, now: Instant) -> Result<(), SendError> {
        if now >= self.reshard_at {
            self.think_of_shards(now);
        }
        if self.shards_wanted != self.shards.len() && self.sends.is_empty() {
            self.reshard(now);
        }
        if self.spec.metadata.send && now >= self.metadata_at {
            self.metadata_at = now + self.spec.metadata.send_interval.max(Duration::from_secs(1));
            self.say_metadata().await?;
        }
        self.begin_sends(now);
        self.begin_read(now);
        if self.done != self.saved && now >= self.save_at {
            self.save().await?;
        }
        let waiting: usize = self.shards.iter().map(Shard::waiting).sum();
        self.metrics.pending.set(waiting as f64);
        self.metrics.shards.set(self.shards.len() as f64);
        Ok(())
    }

    /// When there is something to do again, if nothing else happens.
    fn due(&self, now: Instant) -> Instant {
        let mut due = self.reshard_at;
        if self.reading.is_none() && self.has_room() {
            due = due.min(self.read_at);
        }
        if self.done != self.saved {
            due = due.min(self.save_at);
        }
        if self.spec.metadata.send {
            due = due.min(self.metadata_at);
        }
        if self.shards_wanted == self.shards.len() {
            let limits = &self.spec.queue;
            let of = |shard: &Shard| shard.due(limits.max_samples_per_send, limits.batch_send_deadline, now);
            due = self.shards.iter().filter_map(of).fold(due, Instant::min);
        }
        due
    }

    fn has_room(&self) -> bool {
        self.shards.iter().all(|shard| shard.waiting() < self.spec.queue.capacity)
    }

    /// Asks the log for more, unless a shard is full: then the log is where samples wait.
    fn begin_read(&mut self, now: Instant) {
        if now < self.read_at || self.tail.is_none() {
            return;
        }
        if !self.has_room() {
            if !self.pace.held_back {
                self.metrics.enqueue_retries.inc();
            }
            self.pace.held_back = true;
            return;
        }
        let Some((mut tail, mut rows)) = self.tail.take() else { return };
        let saved = self.saved;
        let read = tokio::task::spawn_blocking(move || {
            tail.release(saved);
            let end = tail.read(READ_SAMPLES, &mut rows);
            (tail, rows, end)
        });
        self.reading = Some(Box::pin(read));
    }

    /// Shares out what was read.
    fn was_read(&mut self, read: Result<ReadEnd, tokio::task::JoinError>) -> Result<(), SendError> {
        self.reading = None;
        let now = Instant::now();
        let (tail, mut rows, end) = read.map_err(|error| self.task_error(&error))?;
        if let Err(error) = end {
            warn!(queue = %self.spec.name, %error, "the log cannot be read now");
            self.read_at = now + POLL_AFTER_ERROR;
            self.tail = Some((tail, rows));
            return Ok(());
        }
        for lost in &rows.lost {
            warn!(queue = %self.spec.name, %lost, "samples are not sent, because the log lost them");
            self.metrics.lost.inc();
        }
        let end = tail.position();
        let nothing_new = self.chunks.back().map_or(self.done, |chunk| chunk.end) == end;
        self.read_at = if nothing_new { now + POLL } else { now };
        if !nothing_new {
            let left = self.share_out(&rows, now);
            self.chunks.push_back(Chunk { end, left });
            self.settle();
        }
        rows.labels.clear();
        self.tail = Some((tail, rows));
        Ok(())
    }

    /// Puts rows into their shards; returns how many.
    fn share_out(&mut self, rows: &TailRows, now: Instant) -> usize {
        rows.metadata.iter().for_each(|metadata| self.families.learn(metadata));
        let sent_as: Vec<Option<(Labels, usize)>> = rows.labels.iter().map(|labels| self.sent_as(labels)).collect();
        let chunk = self.first_chunk + self.chunks.len() as u64;
        let oldest = self.oldest_wanted();
        let mut left = 0;
        for sample in &rows.samples {
            self.highest.0 = self.highest.0.max(sample.time);
            let native = !matches!(sample.value, SampleValue::Float(_));
            let dropped = if native { &self.metrics.histograms_dropped } else { &self.metrics.samples_dropped };
            let Some(Some((labels, shard))) = sent_as.get(sample.series as usize) else {
                dropped.relabelled.inc();
                continue;
            };
            if native && !self.spec.send_native_histograms {
                dropped.unwanted.inc();
                continue;
            }
            if self.version == Version::V1 && has_custom_buckets(&sample.value) {
                dropped.unsupported.inc();
                continue;
            }
            if sample.time < oldest {
                dropped.too_old.inc();
                continue;
            }
            let value = sample.value.clone();
            let what = What::Sample { time: sample.time, value, start_time: sample.start_time };
            self.shards[*shard].push(Row { labels: labels.clone(), what, chunk }, now);
            left += 1;
        }
        for (series, exemplar) in rows.exemplars.iter().filter(|_| self.spec.send_exemplars) {
            if let Some(Some((labels, shard))) = sent_as.get(*series as usize) {
                let what = What::Exemplar(Box::new(exemplar.clone()));
                self.shards[*shard].push(Row { labels: labels.clone(), what, chunk }, now);
                left += 1;
            }
        }
        self.pace.read += left as u64;
        if self.highest.0 > Timestamp::MIN {
            self.metrics.highest_read.set(self.highest.0.seconds());
        }
        left
    }

    /// The labels a series is sent under and its shard; `None` where a rule drops it.
    fn sent_as(&mut self, labels: &Labels) -> Option<(Labels, usize)> {
        let plain = self.spec.external_labels.is_empty() && self.spec.rules.is_empty();
        let sent = if plain {
            labels.clone()
        } else if let Some(known) = self.relabelled.get(labels) {
            known.clone()?
        } else {
            let made = self.relabel(labels);
            if self.relabelled.len() >= RELABELLED_MAX {
                self.relabelled.clear();
            }
            self.relabelled.insert(labels.clone(), made.clone());
            made?
        };
        let shard = (self.hasher.hash_one(&sent) % self.shards.len() as u64) as usize;
        Some((sent, shard))
    }

    fn relabel(&mut self, labels: &Labels) -> Option<Labels> {
        let mut builder = labels.to_builder();
        for (name, value) in &self.spec.external_labels {
            // What a series says itself counts.
            if labels.get(name).is_none() {
                builder.set(name, value);
            }
        }
        let full = builder.build();
        let sent = match self.spec.rules.apply(&full, &mut self.scratch) {
            model::relabel::Outcome::Unchanged => full,
            model::relabel::Outcome::Changed => self.scratch.labels(&full),
            model::relabel::Outcome::Dropped => return None,
        };
        (!sent.is_empty()).then_some(sent)
    }

    /// Samples before this are not sent.
    fn oldest_wanted(&self) -> Timestamp {
        let limit = self.spec.queue.sample_age_limit;
        if limit.is_zero() { Timestamp::MIN } else { self.parts.clock.now().minus(limit) }
    }

    /// Begins a request for every shard that is due.
    fn begin_sends(&mut self, now: Instant) {
        if self.shards_wanted != self.shards.len() {
            return;
        }
        let limits = self.spec.queue;
        for index in 0..self.shards.len() {
            let shard = &mut self.shards[index];
            let due = shard.due(limits.max_samples_per_send, limits.batch_send_deadline, now);
            if due.is_none_or(|due| due > now) {
                continue;
            }
            let batch = match std::mem::take(&mut shard.sending) {
                Sending::Waiting { batch, .. } => self.renew(batch),
                Sending::Idle | Sending::UnderWay => {
                    let rows = shard.take(limits.max_samples_per_send, now);
                    self.batch(rows)
                }
            };
            if batch.rows.is_empty() {
                continue;
            }
            self.shards[index].sending = Sending::UnderWay;
            self.send(index, batch);
        }
    }

    fn batch(&self, rows: Vec<Row>) -> Batch {
        let body = encode(self.version, &rows, &self.families);
        Batch { rows, body, version: self.version, attempt: 0, backoff: self.spec.queue.backoff_min }
    }

    /// A batch that failed, without what became too old since, and in the version that is spoken now.
    fn renew(&mut self, mut batch: Batch) -> Batch {
        let oldest = self.oldest_wanted();
        let (keep, old): (Vec<Row>, Vec<Row>) = batch.rows.into_iter().partition(|row| row.time() >= oldest);
        batch.rows = keep;
        if !old.is_empty() {
            let counts = Counts::of(&old);
            self.metrics.samples_dropped.too_old.add(counts.samples);
            self.metrics.histograms_dropped.too_old.add(counts.histograms);
            self.finish(&old);
        }
        if batch.version != self.version && self.version == Version::V1 {
            batch.rows = self.without_custom_buckets(batch.rows);
        }
        if !old.is_empty() || batch.version != self.version {
            batch.version = self.version;
            batch.body = encode(self.version, &batch.rows, &self.families);
        }
        batch
    }

    /// What version 1.0 cannot say goes when the receiver turns out to know no other.
    fn without_custom_buckets(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let custom = |row: &Row| matches!(&row.what, What::Sample { value, .. } if has_custom_buckets(value));
        let (custom, keep): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(custom);
        self.metrics.histograms_dropped.unsupported.add(custom.len() as u64);
        self.finish(&custom);
        keep
    }

    fn send(&self, shard: usize, batch: Batch) {
        let request = Outgoing { version: batch.version, body: batch.body.clone(), attempt: batch.attempt };
        let (transport, timeout) = (Arc::clone(&self.parts.transport), self.spec.timeout);
        self.sends.push(Box::pin(async move {
            let begun = Instant::now();
            let answer = within(timeout, transport.send(request)).await;
            Ended::Rows { shard, batch, took: begun.elapsed(), answer }
        }));
    }

    /// Draws the consequences of an answer.
    fn ended(&mut self, ended: Ended) {
        let (shard, mut batch, took, answer) = match ended {
            Ended::Rows { shard, batch, took, answer } => (shard, batch, took, answer),
            Ended::Metadata { families, bytes, answer } => return self.metadata_ended(families, bytes, &answer),
        };
        self.metrics.duration.observe(took.as_secs_f64());
        self.shards[shard].sending = Sending::Idle;
        match judge(&answer, batch.version, self.spec.queue.retry_on_429) {
            Verdict::Sent => {
                self.pace.sent += batch.rows.len() as u64;
                self.pace.busy += took;
                self.count_sent(&batch);
                self.finish(&batch.rows);
            }
            Verdict::Refused(why) => {
                warn!(queue = %self.spec.name, rows = batch.rows.len(), why, "samples are not sent again");
                self.count_refused(&batch, &answer);
                self.finish(&batch.rows);
            }
            Verdict::Retry { why, after } => {
                if batch.attempt == 0 {
                    warn!(queue = %self.spec.name, rows = batch.rows.len(), why, "sending failed and is tried again");
                }
                self.count(&batch.rows, |kind| &kind.retried);
                let until = Instant::now() + after.unwrap_or(batch.backoff);
                batch.attempt += 1;
                batch.backoff = (batch.backoff * 2).min(self.spec.queue.backoff_max);
                self.shards[shard].sending = Sending::Waiting { until, batch };
            }
            Verdict::Older(why) => {
                if self.version == Version::V2 {
                    warn!(queue = %self.spec.name, why, "falling back to remote write 1.0");
                    self.version = Version::V1;
                }
                self.count(&batch.rows, |kind| &kind.retried);
                batch.attempt += 1;
                self.shards[shard].sending = Sending::Waiting { until: Instant::now(), batch };
            }
        }
    }

    fn count(&self, rows: &[Row], which: impl Fn(&super::metrics::KindMetrics) -> &model::meter::instrument::Counter) {
        let counts = Counts::of(rows);
        which(&self.metrics.samples).add(counts.samples);
        which(&self.metrics.histograms).add(counts.histograms);
        which(&self.metrics.exemplars).add(counts.exemplars);
    }

    fn count_sent(&mut self, batch: &Batch) {
        self.count(&batch.rows, |kind| &kind.total);
        self.metrics.bytes.add(batch.body.len() as u64);
        let newest = batch.rows.iter().map(Row::time).max().unwrap_or(Timestamp::MIN);
        self.highest.1 = self.highest.1.max(newest);
        self.metrics.highest_sent.set(self.highest.1.seconds());
    }

    /// A receiver of version 2.0 says what it stored of a request that it refused.
    fn count_refused(&self, batch: &Batch, answer: &Answer) {
        let counts = Counts::of(&batch.rows);
        let stored = answer.as_ref().ok().and_then(|reply| reply.written).unwrap_or_default();
        for (kind, sent, stored) in [
            (&self.metrics.samples, counts.samples, stored.samples),
            (&self.metrics.histograms, counts.histograms, stored.histograms),
            (&self.metrics.exemplars, counts.exemplars, stored.exemplars),
        ] {
            let stored = stored.min(sent);
            kind.total.add(stored);
            kind.failed.add(sent - stored);
        }
    }

    /// Takes rows out of the books.
    fn finish(&mut self, rows: &[Row]) {
        for row in rows {
            let at = (row.chunk - self.first_chunk) as usize;
            if let Some(chunk) = self.chunks.get_mut(at) {
                chunk.left -= 1;
            }
        }
        self.settle();
    }

    /// Moves on behind every chunk that is done with.
    fn settle(&mut self) {
        while let Some(chunk) = self.chunks.front().filter(|chunk| chunk.left == 0) {
            self.done = chunk.end;
            self.chunks.pop_front();
            self.first_chunk += 1;
        }
    }

    /// Notes how far everything got.
    async fn save(&mut self) -> Result<(), SendError> {
        let (file, position) = (self.file.clone(), self.done);
        let saved = tokio::task::spawn_blocking(move || file.save(position)).await;
        self.save_at = Instant::now() + SAVE_INTERVAL;
        match saved.map_err(|error| self.task_error(&error))? {
            Ok(()) => self.saved = position,
            // Sending goes on: the storage keeps what is not released, and after a kill more is sent twice.
            Err(error) => warn!(queue = %self.spec.name, %error, "how far samples were sent cannot be noted"),
        }
        Ok(())
    }

    fn think_of_shards(&mut self, now: Instant) {
        self.pace.waiting = self.shards.iter().map(|shard| shard.waiting() as u64).sum();
        let bounds = (self.spec.queue.shards_min, self.spec.queue.shards_max);
        self.shards_wanted = shards_wanted(self.shards.len(), &self.pace, RESHARD_INTERVAL, bounds);
        self.metrics.shards_desired.set(self.shards_wanted as f64);
        self.pace = Pace::default();
        self.reshard_at = now + RESHARD_INTERVAL;
    }

    /// Shares everything that waits out anew. No request is under way, so that no series is in two places.
    fn reshard(&mut self, now: Instant) {
        info!(queue = %self.spec.name, from = self.shards.len(), to = self.shards_wanted, "remote write is resharded");
        let rows: Vec<Row> = self.shards.iter_mut().flat_map(Shard::drain).collect();
        self.shards = (0..self.shards_wanted).map(|_| Shard::default()).collect();
        for row in rows {
            let shard = (self.hasher.hash_one(&row.labels) % self.shards.len() as u64) as usize;
            self.shards[shard].push(row, now);
        }
    }

    /// Reads what is known about families; version 1.0 sends it in requests of its own.
    async fn say_metadata(&mut self) -> Result<(), SendError> {
        let Some(queryable) = self.parts.metadata.clone() else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || queryable.snapshot()?.metadata("", 0)).await;
        let known = match read.map_err(|error| self.task_error(&error))? {
            Ok(known) => known.items,
            Err(error) => {
                warn!(queue = %self.spec.name, %error, "metadata cannot be read now");
                return Ok(());
            }
        };
        if self.version == Version::V2 {
            known.iter().for_each(|metadata| self.families.learn(metadata));
            return Ok(());
        }
        // By family; what the first target says counts.
        let mut families: Vec<Metadata> = known;
        families.dedup_by(|later, first| later.family == first.family);
        for group in families.chunks(self.spec.metadata.max_samples_per_send as usize) {
            let mut writer = RequestWriter::new(Version::V1);
            group.iter().for_each(|metadata| writer.metadata(metadata));
            let body = squeeze(&writer.finish());
            let (families, bytes) = (group.len() as u64, body.len() as u64);
            let request = Outgoing { version: Version::V1, body, attempt: 0 };
            let (transport, timeout) = (Arc::clone(&self.parts.transport), self.spec.timeout);
            self.sends.push(Box::pin(async move {
                let answer = within(timeout, transport.send(request)).await;
                Ended::Metadata { families, bytes, answer }
            }));
        }
        Ok(())
    }

    /// Metadata is said again before long, so that what failed is only counted.
    fn metadata_ended(&self, families: u64, bytes: u64, answer: &Answer) {
        match judge(answer, Version::V1, false) {
            Verdict::Sent => {
                self.metrics.metadata.total.add(families);
                self.metrics.metadata_bytes.add(bytes);
            }
            Verdict::Refused(_) | Verdict::Retry { .. } | Verdict::Older(_) => {
                self.metrics.metadata.failed.add(families);
            }
        }
    }

    fn task_error(&self, error: &tokio::task::JoinError) -> SendError {
        SendError::Task { queue: self.spec.name.clone(), reason: error.to_string() }
    }
}

/// Waits for a read that is under way; for ever if there is none.
async fn next_read(reading: &mut Option<Reading>) -> Result<ReadEnd, tokio::task::JoinError> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

/// An answer, or that there was none in time.
async fn within(timeout: Duration, answer: impl Future<Output = Answer>) -> Answer {
    tokio::time::timeout(timeout, answer)
        .await
        .unwrap_or_else(|_| Err(Unanswered(format!("no answer within {}", model::time::format_duration(timeout)))))
}

/// Version 1.0 has no field for bounds of buckets.
fn has_custom_buckets(value: &SampleValue) -> bool {
    let schema = match value {
        SampleValue::Float(_) => return false,
        SampleValue::Histogram(histogram) => histogram.schema,
        SampleValue::IntHistogram(histogram) => histogram.schema,
    };
    schema == model::histogram::CUSTOM_BUCKETS_SCHEMA
}
