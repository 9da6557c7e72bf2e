//! Samples: asking for them in PromQL, looking at what is there, deleting, copying.
//!
//! Promises: every call is checked against the caller's permission; an engine never runs on a thread that serves
//! connections; a caller who goes away stops its query.
//! Not here: dialects (`api`), how samples come in (`scrape`, `remote`), evaluation (`promql`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth::audit::AuditResult;
use auth::permit::{Action, Denied, Object, Principal, authz};
use bytes::Bytes;
use http::HeaderMap;
use model::labels::Labels;
use model::matcher::Matcher;
use model::query::{Answer, CancelFlag, Evaluator, QueryError, QueryOptions, Steps};
use model::storage::{Exemplar, Limited, Metadata, StorageError, TimeRange};
use model::time::{Clock, Timestamp};
use promql::syntax::{self, Expr, ParseOptions};
use remote::federate::{Federated, Federation};
use remote::receive::{Outcome, Receiver, WriteRequest};

use crate::explain::empty::{self, Asked, Reason};
use crate::explain::{self, Part as QueryPart, When};
use crate::identity::{Caller, Identity, What};
use crate::pool::{Pool, PoolError};
use crate::ports::{Cardinality, Figure, MetricStore, Part, Quarantined};

/// How long work of the server itself waits for a place.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    #[error("{0}")]
    Denied(Denied),
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Without login only the flag of Prometheus opens the endpoints that delete and copy.
    #[error("admin APIs disabled")]
    AdminClosed,
    /// Without login only the flag of Prometheus opens the receiver of remote write.
    #[error("remote write receiver needs to be enabled with --web.enable-remote-write-receiver")]
    ReceiverClosed,
}

impl From<StorageError> for MetricsError {
    fn from(error: StorageError) -> Self {
        let text = error.to_string();
        Self::Query(match error {
            StorageError::NotReady(_) => QueryError::Unavailable(text),
            StorageError::Cancelled => QueryError::Cancelled(text),
            StorageError::OverBudget(_) => QueryError::Execution(text),
            _ => QueryError::Internal(text),
        })
    }
}

impl From<PoolError> for MetricsError {
    fn from(error: PoolError) -> Self {
        Self::Query(match error {
            PoolError::Full(_) => QueryError::Timeout("query timed out in query queue".to_owned()),
            PoolError::Panicked => QueryError::Internal("the evaluation panicked".to_owned()),
        })
    }
}

/// Exemplars by series.
pub type SeriesExemplars = Vec<(Labels, Vec<Exemplar>)>;

/// What is asked about samples, and done to them.
pub struct Metrics {
    pub store: Arc<dyn MetricStore>,
    pub evaluator: Arc<dyn Evaluator>,
    pub pool: Pool,
    pub identity: Arc<Identity>,
    /// Parts of the language that are switched on.
    pub language: ParseOptions,
    /// `--web.enable-admin-api`
    pub admin_open: bool,
    pub receiver: Receiver,
    /// `--web.enable-remote-write-receiver`
    pub receiver_open: bool,
    /// How old a sample may be and still count as current.
    pub lookback: Duration,
    pub clock: Arc<dyn Clock>,
    /// Where copies are put.
    pub snapshots: PathBuf,
}

/// Stops a query when whoever waits for it goes away.
struct StopOnDrop(CancelFlag);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Metrics {
    /// What a query is at one time.
    pub async fn instant(
        &self,
        caller: &Caller,
        query: String,
        at: Timestamp,
        options: QueryOptions,
    ) -> Result<Answer, MetricsError> {
        self.ask(caller, options, move |evaluator, options| evaluator.instant(&query, at, options)).await
    }

    /// What a query is over time.
    pub async fn range(
        &self,
        caller: &Caller,
        query: String,
        steps: Steps,
        options: QueryOptions,
    ) -> Result<Answer, MetricsError> {
        self.ask(caller, options, move |evaluator, options| evaluator.range(&query, steps, options)).await
    }

    /// The label sets that pass any of the selectors.
    pub async fn series(
        &self,
        caller: &Caller,
        selectors: Vec<String>,
        range: TimeRange,
        options: QueryOptions,
    ) -> Result<Limited<Labels>, MetricsError> {
        self.ask(caller, options, move |evaluator, options| evaluator.series(&selectors, range, options)).await
    }

    /// Label names, or the values of one.
    pub async fn labels(
        &self,
        caller: &Caller,
        label: Option<String>,
        selectors: Vec<String>,
        range: TimeRange,
        options: QueryOptions,
    ) -> Result<Limited<String>, MetricsError> {
        let ask = move |evaluator: &dyn Evaluator, options: &QueryOptions| {
            evaluator.labels(label.as_deref(), &selectors, range, options)
        };
        self.ask(caller, options, ask).await
    }

    /// What each part of a query returns by itself, and what that costs.
    pub async fn explain(
        &self,
        caller: &Caller,
        query: &str,
        when: When,
        (clock, options): (Arc<dyn Clock>, QueryOptions),
    ) -> Result<Vec<QueryPart>, MetricsError> {
        let expr = self.parse(caller, query)?;
        self.ask(caller, options, move |evaluator, options| explain::parts(evaluator, &*clock, &expr, when, options))
            .await
    }

    /// Why a query brought nothing. Only where its selectors all have samples are its parts evaluated.
    pub async fn explain_empty(
        &self,
        caller: &Caller,
        query: &str,
        asked: Asked,
        (clock, options): (Arc<dyn Clock>, QueryOptions),
    ) -> Result<Vec<Reason>, MetricsError> {
        let expr = self.parse(caller, query)?;
        let looked = expr.clone();
        let found = self.read(move |store| empty::reasons(store, &looked, asked)).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        let ask = move |evaluator: &dyn Evaluator, options: &QueryOptions| {
            explain::parts(evaluator, &*clock, &expr, asked.when, options)
        };
        Ok(empty::filtered(&self.ask(caller, options, ask).await?).into_iter().collect())
    }

    /// The oldest time there are sealed samples of; `None` where nothing is sealed yet.
    pub fn oldest(&self, caller: &Caller) -> Result<Option<Timestamp>, MetricsError> {
        Ok(self.parts(caller)?.into_iter().map(|part| part.range.start).min())
    }

    async fn ask<T, F>(&self, caller: &Caller, options: QueryOptions, ask: F) -> Result<T, MetricsError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Evaluator, &QueryOptions) -> Result<T, QueryError> + Send + 'static,
    {
        may_read(caller)?;
        let _stop = StopOnDrop(options.cancel.clone());
        let evaluator = Arc::clone(&self.evaluator);
        let patience = options.timeout.unwrap_or(PATIENCE).min(PATIENCE);
        Ok(self.pool.run(patience, move || ask(&*evaluator, &options)).await??)
    }

    /// Reads a query without evaluating it.
    pub fn parse(&self, caller: &Caller, query: &str) -> Result<Expr, MetricsError> {
        may_read(caller)?;
        syntax::parse(query, self.language).map_err(|errors| QueryError::BadData(errors.to_string()).into())
    }

    /// Exemplars of the series a query looks at.
    pub async fn exemplars(
        &self,
        caller: &Caller,
        query: &str,
        range: TimeRange,
    ) -> Result<SeriesExemplars, MetricsError> {
        let expr = self.parse(caller, query)?;
        let mut selectors: Vec<Vec<Matcher>> = Vec::new();
        expr.for_each_selector(&mut |selector| selectors.push(selector.matchers.clone()));
        if selectors.is_empty() {
            return Ok(Vec::new());
        }
        self.read(move |store| store.snapshot()?.exemplars(&selectors, range)).await
    }

    /// What is known about metric families.
    pub async fn metadata(
        &self,
        caller: &Caller,
        family: String,
        limit: usize,
    ) -> Result<Limited<Metadata>, MetricsError> {
        may_read(caller)?;
        self.read(move |store| store.snapshot()?.metadata(&family, limit)).await
    }

    /// How many series there are, and whose.
    pub async fn cardinality(&self, caller: &Caller, limit: usize) -> Result<Cardinality, MetricsError> {
        may_read(caller)?;
        self.read(move |store| Ok(store.cardinality(limit))).await
    }

    /// What the storage counts about itself.
    pub fn figures(&self, caller: &Caller) -> Result<Vec<Figure>, MetricsError> {
        may_read(caller)?;
        Ok(self.store.figures())
    }

    /// The sealed files.
    pub fn parts(&self, caller: &Caller) -> Result<Vec<Part>, MetricsError> {
        may_read(caller)?;
        Ok(self.store.parts())
    }

    /// What was damaged and put aside.
    pub fn quarantined(&self, caller: &Caller) -> Result<Vec<Quarantined>, MetricsError> {
        may_read(caller)?;
        Ok(self.store.quarantined())
    }

    async fn read<T, F>(&self, work: F) -> Result<T, MetricsError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn MetricStore) -> Result<T, StorageError> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        Ok(self.pool.run(PATIENCE, move || work(&*store)).await??)
    }

    /// Whether the caller may bring samples.
    pub fn may_write(&self, caller: &Caller) -> Result<(), MetricsError> {
        match authz(&caller.principal, Action::WriteMetrics, Object::Server) {
            Err(denied) => Err(MetricsError::Denied(denied)),
            Ok(()) if caller.principal == Principal::Local && !self.receiver_open => Err(MetricsError::ReceiverClosed),
            Ok(()) => Ok(()),
        }
    }

    /// Stores what a remote-write request holds; it is on the disk when the outcome says so.
    pub async fn write(&self, caller: &Caller, headers: &HeaderMap, body: Bytes) -> Result<Outcome, MetricsError> {
        self.may_write(caller)?;
        let name = caller.principal.name();
        let address = caller.client.address.map(|address| address.to_string()).unwrap_or_default();
        let sender = if name.is_empty() { address } else { format!("{name} {address}") };
        Ok(self.receiver.receive(WriteRequest { sender: &sender, headers, body }).await)
    }

    /// The newest samples of the series that pass any of the selectors, for another server to scrape.
    pub async fn federate(
        &self,
        caller: &Caller,
        selectors: &[String],
        external_labels: Labels,
        utf8_names: bool,
    ) -> Result<Federated, MetricsError> {
        may_read(caller)?;
        let selectors = selectors
            .iter()
            .map(|text| syntax::parse_selector(text).map_err(|errors| QueryError::BadData(errors.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        let (now, lookback) = (self.clock.now(), self.lookback);
        let work = move |store: &dyn MetricStore| {
            let asked =
                Federation { selectors: &selectors, now, lookback, external_labels: &external_labels, utf8_names };
            remote::federate::federate(store, &asked)
        };
        self.read(work).await
    }

    /// Deletes samples of the series that pass any of the selectors. Several are independent deletions.
    pub async fn delete(
        &self,
        caller: &Caller,
        selectors: Vec<Vec<Matcher>>,
        range: TimeRange,
    ) -> Result<(), MetricsError> {
        let detail = format!("{} selectors, {} to {}", selectors.len(), range.start, range.end);
        let work =
            move |store: &dyn MetricStore| selectors.iter().try_for_each(|selector| store.delete(selector, range));
        self.operate(caller, "metrics.delete", detail, work).await
    }

    /// Puts a copy beside the data and names it.
    pub async fn snapshot(&self, caller: &Caller, name: String) -> Result<String, MetricsError> {
        let folder = self.snapshots.join(&name);
        let work = move |store: &dyn MetricStore| {
            if let Some(above) = folder.parent() {
                std::fs::create_dir_all(above)?;
            }
            store.snapshot_to(&folder)
        };
        self.operate(caller, "metrics.snapshot", name.clone(), work).await?;
        Ok(name)
    }

    /// Frees the space of what was deleted.
    pub async fn clean(&self, caller: &Caller) -> Result<(), MetricsError> {
        self.operate(caller, "metrics.clean", String::new(), |store| store.clean()).await
    }

    /// Seals what is in memory, and brings files to their final form.
    pub async fn flush(&self, caller: &Caller) -> Result<(), MetricsError> {
        self.operate(caller, "metrics.flush", String::new(), |store| store.flush()).await
    }

    /// Whether the endpoints that delete and copy are open to the caller at all.
    pub fn may_operate(&self, caller: &Caller) -> Result<(), MetricsError> {
        match authz(&caller.principal, Action::Operate, Object::Server) {
            Err(denied) => Err(MetricsError::Denied(denied)),
            Ok(()) if caller.principal == Principal::Local && !self.admin_open => Err(MetricsError::AdminClosed),
            Ok(()) => Ok(()),
        }
    }

    async fn operate<F>(&self, caller: &Caller, deed: &str, detail: String, work: F) -> Result<(), MetricsError>
    where
        F: FnOnce(&dyn MetricStore) -> Result<(), StorageError> + Send + 'static,
    {
        let outcome = match self.may_operate(caller) {
            Err(refused) => Err(refused),
            Ok(()) => self.read(work).await,
        };
        let (result, detail) = match &outcome {
            Ok(()) => (AuditResult::Ok, detail),
            Err(MetricsError::Query(error)) => (AuditResult::Failed, error.to_string()),
            Err(refused) => (AuditResult::Refused, refused.to_string()),
        };
        let what = What { action: deed, object: "samples", result, detail: &detail };
        if let Err(error) = self.identity.record(caller, what).await {
            tracing::warn!(%error, deed, "the audit log could not be written");
        }
        outcome
    }
}

fn may_read(caller: &Caller) -> Result<(), MetricsError> {
    authz(&caller.principal, Action::ReadMetrics, Object::Server).map_err(MetricsError::Denied)
}
