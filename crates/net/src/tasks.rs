//! Where hyper puts the requests of an HTTP/2 connection: tasks that end when their door is cut.
//!
//! Promise: nothing that serves a request outlives [`Tasks::cut`]; hyper-util's own executor would leave such tasks
//! running after their connection was dropped.

use std::future::Future;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    cut: CancellationToken,
}

impl Tasks {
    /// Ends every task, now and to come.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// Cuts the tasks when the call that owns them ends, however it ends.
#[derive(Debug)]
pub(crate) struct CutOnDrop(pub(crate) Tasks);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        let cut = self.cut.clone();
        self.tracker.spawn(async move {
            let _ended_or_cut = cut.run_until_cancelled_owned(work).await;
        });
    }
}
