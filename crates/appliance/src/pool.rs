//! The one door between the asynchronous server and its synchronous engines.
//!
//! Promises: no more pieces of work run at a time than there are places, whoever wants more waits in the order of
//! arrival; work that panics is an error for its caller and for nobody else.
//! Not here: what the work is (`metrics`), the engine's own threads (`promql`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Why a piece of work gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    #[error("no place within {} ms", .0.as_millis())]
    Full(Duration),
    #[error("the work panicked")]
    Panicked,
}

/// Places for synchronous work.
#[derive(Clone, Debug)]
pub struct Pool {
    places: Arc<Semaphore>,
}

impl Pool {
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places.max(1))) }
    }

    /// Runs synchronous work on a thread of its own, after waiting for a place at most so long.
    pub async fn run<T, F>(&self, patience: Duration, work: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let running = self.start(patience, work).await?;
        running.await.map_err(|_| PoolError::Panicked)
    }

    /// Begins synchronous work whose result leaves by another way than its return, such as a body in pieces.
    pub async fn begin<F>(&self, patience: Duration, work: F) -> Result<(), PoolError>
    where
        F: FnOnce() + Send + 'static,
    {
        self.start(patience, work).await.map(drop)
    }

    async fn start<T, F>(&self, patience: Duration, work: F) -> Result<JoinHandle<T>, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let waited = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_owned()).await;
        // The semaphore is never closed, so the inner result is always a place.
        let place = waited.map_err(|_| PoolError::Full(patience))?.map_err(|_| PoolError::Full(patience))?;
        Ok(tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(place);
            outcome
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_finds_no_place_is_told_and_the_others_go_on() {
        let pool = Pool::new(1);
        let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
        let busy = pool.run(LONG, move || held.recv().is_ok());
        let mut busy = std::pin::pin!(busy);
        let first = tokio::time::timeout(Duration::from_millis(20), &mut busy).await;
        assert!(first.is_err(), "it waits for us");
        let patience = Duration::from_millis(5);
        assert_eq!(pool.run(patience, || ()).await, Err(PoolError::Full(patience)));
        release.send(()).unwrap();
        assert_eq!(busy.await, Ok(true));
        assert_eq!(pool.run(LONG, || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_the_callers_own() {
        let pool = Pool::new(1);
        let outcome: Result<(), _> = pool.run(LONG, || panic!("on purpose")).await;
        assert_eq!(outcome, Err(PoolError::Panicked));
        assert_eq!(pool.run(LONG, || 7).await, Ok(7), "its place is free again");
    }
}
