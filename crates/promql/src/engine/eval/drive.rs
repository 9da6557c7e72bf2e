//! Drains a source: on one thread, or on several with the columns handed on in the order of the series.
//!
//! Because the receiver always sees the series in the same order, a result does not depend on how many threads
//! there were. At most a batch for each thread waits for its turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use model::query::QueryError;

use super::super::column::Column;
use super::super::notes::NoteSet;
use super::super::plan::Grid;
use super::Run;
use super::frame::{Source, Stream, Worker};

/// Receives the columns in the order of the series; may take them.
pub(crate) type Sink<'s> = dyn FnMut(usize, &mut Column) -> Result<(), QueryError> + Send + 's;

/// Threads that queries may borrow.
#[derive(Debug)]
pub(crate) struct Threads {
    free: AtomicUsize,
}

impl Threads {
    pub(crate) fn new(extra: usize) -> Self {
        Self { free: AtomicUsize::new(extra) }
    }

    /// Borrows up to `wanted`.
    fn borrow(&self, wanted: usize) -> Borrowed<'_> {
        let mut count = 0;
        while count < wanted
            && self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok()
        {
            count += 1;
        }
        Borrowed { threads: self, count }
    }
}

struct Borrowed<'t> {
    threads: &'t Threads,
    count: usize,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        self.threads.free.fetch_add(self.count, Ordering::Relaxed);
    }
}

/// Hands all columns of a stream on.
pub(crate) fn drive(run: &Run<'_>, stream: Stream<'_>, grid: Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
    match stream {
        Stream::Source(source) => drive_source(run, &*source, grid, sink),
        Stream::Frame(mut frame) => {
            for (series, entry) in frame.series.iter_mut().enumerate() {
                run.budget.go_on()?;
                sink(series, &mut entry.column)?;
            }
            Ok(())
        }
    }
}

/// Hands all columns of a source on.
pub(crate) fn drive_source(
    run: &Run<'_>,
    source: &dyn Source,
    grid: Grid,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let series = source.heads().len();
    let batch = run.settings.batch.max(1);
    let batches = series.div_ceil(batch);
    let wanted = (source.work() / run.settings.thread_samples.max(1)).min(batches.saturating_sub(1) as u64) as usize;
    let borrowed = run.threads.borrow(wanted);
    if borrowed.count == 0 {
        return alone(run, source, grid, sink);
    }
    let shared = Shared {
        next: AtomicUsize::new(0),
        turn: Mutex::new(Turn { batch: 0, result: Ok(()), sink }),
        changed: Condvar::new(),
        batch,
        series,
    };
    std::thread::scope(|scope| {
        for _ in 0..borrowed.count {
            scope.spawn(|| shared.work(run, source, grid));
        }
        shared.work(run, source, grid);
    });
    shared.turn.into_inner().unwrap_or_else(PoisonError::into_inner).result
}

fn alone(run: &Run<'_>, source: &dyn Source, grid: Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
    let mut worker = source.worker();
    let mut column = Column::default();
    let mut notes = NoteSet::default();
    for series in 0..source.heads().len() {
        run.budget.go_on()?;
        column.reset(grid.count);
        worker.fill(series, &mut column, &mut notes)?;
        sink(series, &mut column)?;
    }
    drop(worker);
    run.note(|all| all.merge(notes));
    Ok(())
}

/// What the threads share.
struct Shared<'s, 'k> {
    next: AtomicUsize,
    turn: Mutex<Turn<'s, 'k>>,
    changed: Condvar,
    batch: usize,
    series: usize,
}

/// Whose turn it is to hand on.
struct Turn<'s, 'k> {
    batch: usize,
    result: Result<(), QueryError>,
    sink: &'s mut Sink<'k>,
}

impl Shared<'_, '_> {
    fn work(&self, run: &Run<'_>, source: &dyn Source, grid: Grid) {
        let mut worker = source.worker();
        let mut notes = NoteSet::default();
        let mut columns: Vec<Column> = Vec::new();
        loop {
            let batch = self.next.fetch_add(1, Ordering::Relaxed);
            let first = batch * self.batch;
            if first >= self.series {
                break;
            }
            let count = self.batch.min(self.series - first);
            columns.resize_with(count, Column::default);
            let made = make(run, &mut *worker, first, &mut columns, grid, &mut notes);
            if !self.hand_on(batch, first, &mut columns, made) {
                break;
            }
        }
        drop(worker);
        run.note(|all| all.merge(notes));
    }

    /// Waits for the turn of a batch. False: another batch failed. Errors also wait for their turn, so that it is
    /// always the first one that is reported.
    fn hand_on(&self, batch: usize, first: usize, columns: &mut [Column], made: Result<(), QueryError>) -> bool {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        while turn.batch != batch && turn.result.is_ok() {
            turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        if turn.result.is_err() {
            return false;
        }
        turn.result = made
            .and_then(|()| columns.iter_mut().enumerate().try_for_each(|(at, column)| (turn.sink)(first + at, column)));
        turn.batch += 1;
        self.changed.notify_all();
        turn.result.is_ok()
    }
}

fn make(
    run: &Run<'_>,
    worker: &mut dyn Worker,
    first: usize,
    columns: &mut [Column],
    grid: Grid,
    notes: &mut NoteSet,
) -> Result<(), QueryError> {
    for (at, column) in columns.iter_mut().enumerate() {
        run.budget.go_on()?;
        column.reset(grid.count);
        worker.fill(first + at, column, notes)?;
    }
    Ok(())
}
