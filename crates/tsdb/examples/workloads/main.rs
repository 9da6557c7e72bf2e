//! What samples cost, for every kind of sender: ours, and beside it Prometheus and VictoriaMetrics with the same samples.
//!
//! `cargo run --release -p tsdb --example workloads -- [--targets 10] [--scrapes 480] [--only NAME]
//! [--prometheus BINARY] [--victoria-metrics BINARY]`; 1,000 series each target, every 15 seconds. Times are those of
//! one thread on the processor; the heap is what our storage asked the allocator for. Every sample is read again and
//! compared before a figure is printed.

#![allow(clippy::print_stdout, reason = "printing figures is what this is for")]
#![allow(clippy::disallowed_methods, reason = "the samples of a peer must be of these days")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

mod fleet;
mod generators;
mod gorilla;
mod ours;
mod peers;

use generators::{Plan, STEP_MS, WORKLOADS};
use ours::{Figures, Ours};
use peers::{Kind, Peer};

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Counts what our storage holds: what is asked for and given back within [`heap_of`].
struct Counting;

static HEAP: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

#[allow(unsafe_code, reason = "an allocator that counts has to be one; it hands everything to the system's")]
// SAFETY: every call goes to the system allocator with the layout it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if INSIDE.try_with(Cell::get).unwrap_or(false) {
            HEAP.fetch_add(layout.size() as isize, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if INSIDE.try_with(Cell::get).unwrap_or(false) {
            HEAP.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a call of the storage, counting what it keeps.
pub(crate) fn heap_of<T>(call: impl FnOnce() -> T) -> T {
    INSIDE.set(true);
    let result = call();
    INSIDE.set(false);
    result
}

pub(crate) fn heap_bytes() -> usize {
    HEAP.load(Ordering::Relaxed).max(0) as usize
}

/// Time this thread was on a processor, so that a busy machine changes the figures less.
pub(crate) fn cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What was asked for on the command line.
struct Wishes {
    targets: usize,
    scrapes: i64,
    only: Option<String>,
    prometheus: Option<String>,
    victoria: Option<String>,
}

fn wishes() -> Outcome<Wishes> {
    let mut wishes = Wishes { targets: 10, scrapes: 480, only: None, prometheus: None, victoria: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--targets" => wishes.targets = value.parse()?,
            "--scrapes" => wishes.scrapes = value.parse()?,
            "--only" => wishes.only = Some(value),
            "--prometheus" => wishes.prometheus = Some(value),
            "--victoria-metrics" => wishes.victoria = Some(value),
            _ => return Err(format!("unknown argument {name}").into()),
        }
    }
    Ok(wishes)
}

fn main() -> Outcome<()> {
    let wishes = wishes()?;
    let window = 480 * STEP_MS;
    // Peers take samples of the last days only; the last whole windows before now.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
    let start = (now - wishes.scrapes * STEP_MS).div_euclid(window) * window;
    let plan = Plan { targets: wishes.targets, scrapes: wishes.scrapes, start };
    let folder = std::env::temp_dir().join(format!("tsdb-workloads-{}", std::process::id()));
    println!("{} targets of 1,000 series, {} scrapes; bytes for each sample", plan.targets, plan.scrapes);
    println!(
        "| workload | samples | series | sealed | final | XOR | Prometheus | VictoriaMetrics | log | append ns | seal ns | merge ns | heap B/series | scan M/s |"
    );
    println!("| --- |{}", " ---: |".repeat(13));
    for (name, workload, late) in WORKLOADS {
        if wishes.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        HEAP.store(0, Ordering::Relaxed);
        let mut ours = Ours::open(folder.join("ours"), plan.start, late)?;
        workload(plan, &mut ours)?;
        let figures = ours.finish()?;
        let peer = |kind, binary: &Option<String>| -> Outcome<String> {
            let Some(binary) = binary else { return Ok("–".to_owned()) };
            let mut peer = Peer::start(kind, binary, folder.join("peer"), late)?;
            workload(plan, &mut peer)?;
            let refused = peer.refused_requests;
            let bytes = peer.finish()? as f64 / figures.samples as f64;
            Ok(if refused > 0 { format!("{bytes:.3} ({refused} requests refused)") } else { format!("{bytes:.3}") })
        };
        let prometheus = peer(Kind::Prometheus, &wishes.prometheus)?;
        let victoria = peer(Kind::VictoriaMetrics, &wishes.victoria)?;
        print_row(name, &figures, &prometheus, &victoria);
    }
    Ok(())
}

fn print_row(name: &str, figures: &Figures, prometheus: &str, victoria: &str) {
    let Figures { samples, refused, series, append_ns, seal_ns, merge_ns, log, sealed, finished, xor, heap, scanned } =
        figures;
    let refused = if *refused > 0 { format!(" ({refused} refused)") } else { String::new() };
    println!(
        "| {name} | {samples}{refused} | {series} | {sealed:.3} | {finished:.3} | {xor:.3} | {prometheus} | {victoria} | {log:.3} | {append_ns:.0} | {seal_ns:.1} | {merge_ns:.0} | {heap:.0} | {:.0} |",
        scanned / 1e6
    );
}
