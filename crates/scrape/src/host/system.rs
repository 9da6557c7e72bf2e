//! Small files of `/proc`: load, time, open files, pressure, what machine it is.

use std::io;

use super::HostCollector;
use super::page::{Page, odd};

pub(super) fn load(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let text = host.read("loadavg")?;
    let mut words = text.split_whitespace();
    for (name, help) in
        [("node_load1", "1m load average."), ("node_load5", "5m load average."), ("node_load15", "15m load average.")]
    {
        let load = words.next().and_then(|word| word.parse().ok()).ok_or_else(|| odd("/proc/loadavg"))?;
        page.single(name, "gauge", help, load);
    }
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "one shape for all collectors")]
pub(super) fn time(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let now = host.clock.now().seconds();
    page.single("node_time_seconds", "gauge", "System time in seconds since epoch (1970).", now);
    Ok(())
}

pub(super) fn file_descriptors(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let text = host.read("sys/fs/file-nr")?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [allocated, _, maximum] = numbers[..] else { return Err(odd("/proc/sys/fs/file-nr")) };
    page.single("node_filefd_allocated", "gauge", "File descriptor statistics: allocated.", allocated);
    page.single("node_filefd_maximum", "gauge", "File descriptor statistics: maximum.", maximum);
    Ok(())
}

pub(super) fn uname(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let read = |file: &str| host.read(&format!("sys/kernel/{file}")).map(|text| text.trim().to_owned());
    let (system, release, version) = (read("ostype")?, read("osrelease")?, read("version")?);
    let (node, domain) = (read("hostname")?, read("domainname")?);
    page.family("node_uname_info", "gauge", "Labeled system information as provided by the uname system call.");
    page.sample(
        &[
            ("domainname", &domain),
            ("machine", std::env::consts::ARCH),
            ("nodename", &node),
            ("release", &release),
            ("sysname", &system),
            ("version", &version),
        ],
        1.0,
    );
    Ok(())
}

/// How long work waited for a processor, memory or disk; kernels may be built without it, then nothing is said.
pub(super) fn pressure(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    for (resource, line, name, help) in [
        ("cpu", "some", "cpu_waiting", "Total time in seconds that processes have waited for CPU time"),
        ("io", "some", "io_waiting", "Total time in seconds that processes have waited due to IO congestion"),
        ("io", "full", "io_stalled", "Total time in seconds no process could make progress due to IO congestion"),
        ("memory", "some", "memory_waiting", "Total time in seconds that processes have waited for memory"),
        (
            "memory",
            "full",
            "memory_stalled",
            "Total time in seconds no process could make progress due to memory congestion",
        ),
    ] {
        let text = host.read(&format!("pressure/{resource}"))?;
        let total = text
            .lines()
            .filter(|found| found.starts_with(line))
            .find_map(|found| found.rsplit_once("total=")?.1.trim().parse::<f64>().ok());
        if let Some(micros) = total {
            page.single(&format!("node_pressure_{name}_seconds_total"), "counter", help, micros / 1e6);
        }
    }
    Ok(())
}
