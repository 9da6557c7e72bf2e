//! `/proc/stat`: what processors did, and what the system did since it started.

use std::io;

use super::HostCollector;
use super::page::{Page, odd};

/// The kernel shows times in hundredths of a second, whatever it counts in itself.
const TICKS_PER_SECOND: f64 = 100.0;
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

pub(super) fn stat(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let text = host.read("stat")?;
    let lines = || text.lines().filter_map(|line| line.split_once(' '));
    // `cpu` alone is the sum.
    let cpus: Vec<(&str, Vec<f64>)> = lines()
        .filter_map(|(name, rest)| Some((name.strip_prefix("cpu").filter(|number| !number.is_empty())?, rest)))
        .map(|(number, rest)| (number, rest.split_whitespace().filter_map(|ticks| ticks.parse().ok()).collect()))
        .collect();
    if cpus.is_empty() {
        return Err(odd("/proc/stat"));
    }
    page.family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.");
    for (cpu, ticks) in &cpus {
        for (mode, ticks) in MODES.iter().zip(ticks) {
            page.sample(&[("cpu", cpu), ("mode", mode)], ticks / TICKS_PER_SECOND);
        }
    }
    page.family("node_cpu_guest_seconds_total", "counter", "Seconds the CPUs spent in guests (VMs) for each mode.");
    for (cpu, ticks) in &cpus {
        for (mode, ticks) in ["user", "nice"].iter().zip(ticks.iter().skip(MODES.len())) {
            page.sample(&[("cpu", cpu), ("mode", mode)], ticks / TICKS_PER_SECOND);
        }
    }
    for (key, name, kind, help) in [
        ("ctxt", "node_context_switches_total", "counter", "Total number of context switches."),
        ("intr", "node_intr_total", "counter", "Total number of interrupts serviced."),
        ("processes", "node_forks_total", "counter", "Total number of forks."),
        ("btime", "node_boot_time_seconds", "gauge", "Node boot time, in unixtime."),
        ("procs_running", "node_procs_running", "gauge", "Number of processes in runnable state."),
        ("procs_blocked", "node_procs_blocked", "gauge", "Number of processes blocked waiting for I/O to complete."),
    ] {
        let value = lines().find(|(found, _)| *found == key).and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        if let Some(value) = value {
            page.single(name, kind, help, value);
        }
    }
    Ok(())
}
