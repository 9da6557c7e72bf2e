//! What every Prometheus client says of its process, read from `/proc` at scrape time.
//!
//! Promise: the names and meanings of the standard process metrics; a value the system does not give is left out, not
//! written as zero. On systems without `/proc` none of them is shown.
//! Not here: the machine around us (the host collector of `scrape`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::meter::{Desc, Kind, MeterError, Registry};

/// Registers the process metrics of this process.
pub(crate) fn register(registry: &Registry) -> Result<(), MeterError> {
    register_from(registry, Path::new("/proc"))
}

/// What to read, and what it is called.
struct Reading {
    kind: Kind,
    desc: Desc,
    read: fn(&Path) -> Option<f64>,
}

fn register_from(registry: &Registry, proc: &Path) -> Result<(), MeterError> {
    let proc: Arc<Path> = Arc::from(PathBuf::from(proc));
    for Reading { kind, desc, read } in readings() {
        let proc = Arc::clone(&proc);
        registry.collect(kind, desc, [], move |out| {
            if let Some(value) = read(&proc) {
                out.push([], value);
            }
        })?;
    }
    Ok(())
}

fn readings() -> [Reading; 6] {
    let gauge = |name, help, read| Reading { kind: Kind::Gauge, desc: Desc::new(name, help), read };
    [
        Reading {
            kind: Kind::Counter,
            desc: Desc::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."),
            read: cpu_seconds,
        },
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", |proc| status_kib(proc, "VmRSS")),
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", |proc| status_kib(proc, "VmSize")),
        gauge("process_open_fds", "Number of open file descriptors.", open_fds),
        gauge("process_max_fds", "Maximum number of open file descriptors.", max_fds),
        gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            start_time_seconds,
        ),
    ]
}

/// `/proc` counts CPU and start times in these. The kernel's interface fixes it at 100 on every architecture we build
/// for, whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu_seconds(proc: &Path) -> Option<f64> {
    let stat = stat_fields(proc)?;
    let ticks = |at: usize| stat.get(at)?.parse::<f64>().ok();
    Some((ticks(STAT_UTIME)? + ticks(STAT_STIME)?) / TICKS_PER_SECOND)
}

fn start_time_seconds(proc: &Path) -> Option<f64> {
    let since_boot = stat_fields(proc)?.get(STAT_STARTTIME)?.parse::<f64>().ok()? / TICKS_PER_SECOND;
    let stat = std::fs::read_to_string(proc.join("stat")).ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + since_boot)
}

/// Positions after the command's name, which stands in brackets and may hold spaces and brackets itself.
const STAT_UTIME: usize = 11;
const STAT_STIME: usize = 12;
const STAT_STARTTIME: usize = 19;

fn stat_fields(proc: &Path) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(proc.join("self/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn status_kib(proc: &Path, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(proc.join("self/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: f64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn open_fds(proc: &Path) -> Option<f64> {
    let open = std::fs::read_dir(proc.join("self/fd")).ok()?.count();
    // The folder being listed is open while it is listed.
    Some(open.saturating_sub(1) as f64)
}

fn max_fds(proc: &Path) -> Option<f64> {
    let limits = std::fs::read_to_string(proc.join("self/limits")).ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
    if soft == "unlimited" { Some(f64::INFINITY) } else { soft.parse().ok() }
}

#[cfg(test)]
mod tests {
    //! The fixture is a `/proc` written by hand, so the numbers are known; the last test reads the real one.

    use model::meter::exposition::Format;

    use super::*;

    fn made_up_proc(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("watchpost-proc-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("self/fd")).unwrap();
        for (file, text) in [
            ("stat", "cpu  1 2 3\nbtime 1700000000\nprocesses 9\n"),
            ("self/stat", "42 (a (b) c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 8 0 1234 5000 60\n"),
            ("self/status", "Name:\ta\nVmSize:\t    2048 kB\nVmRSS:\t     100 kB\n"),
            (
                "self/limits",
                "Limit            Soft Limit  Hard Limit  Units\nMax open files   1024        4096        files\n",
            ),
            ("self/fd/0", ""),
            ("self/fd/1", ""),
            ("self/fd/2", ""),
        ] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        folder
    }

    fn values(proc: &Path) -> Vec<String> {
        let registry = Registry::new();
        register_from(&registry, proc).unwrap();
        let text = registry.render(Format::Text);
        text.lines().filter(|line| line.starts_with("process_")).map(str::to_owned).collect()
    }

    #[test]
    fn process_metrics_are_what_proc_says() {
        let proc = made_up_proc("whole");
        let read = values(&proc);
        std::fs::remove_dir_all(&proc).unwrap();
        assert_eq!(
            read,
            [
                "process_cpu_seconds_total 2",
                "process_max_fds 1024",
                "process_open_fds 2",
                "process_resident_memory_bytes 102400",
                "process_start_time_seconds 1.70000001234e+09",
                "process_virtual_memory_bytes 2.097152e+06",
            ]
        );
    }

    #[test]
    fn a_value_that_cannot_be_read_is_left_out() {
        let proc = made_up_proc("partial");
        std::fs::remove_file(proc.join("self/limits")).unwrap();
        std::fs::write(proc.join("self/stat"), "42 (a) S 1").unwrap();
        let read = values(&proc);
        std::fs::remove_dir_all(&proc).unwrap();
        let names: Vec<&str> = read.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["process_open_fds", "process_resident_memory_bytes", "process_virtual_memory_bytes"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn on_linux_all_six_are_there_for_ourselves() {
        let registry = Registry::new();
        register(&registry).unwrap();
        assert_eq!(registry.render(Format::OpenMetrics).matches("\nprocess_").count(), 6);
    }
}
