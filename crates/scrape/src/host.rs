//! The machine we run on as a target: processor, memory, disks, file systems, network and load, under the names that
//! node_exporter gave them, so that dashboards and rules for it work.
//!
//! Promises: nothing is kept between scrapes; what cannot be read is left out and said
//! (`node_scrape_collector_success` 0), never made up; file systems that may hang (those of other machines) are not
//! asked.
//! Not here: machines other than Linux.

mod cpu;
mod disk;
mod filesystem;
mod memory;
mod network;
mod page;
mod system;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::time::Clock;

use self::page::Page;
use crate::fetch::LocalTarget;
use crate::target::Target;

/// What [`HostCollector::write`] answers.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Reads the machine's state when it is scraped.
#[derive(Clone, Debug)]
pub struct HostCollector {
    proc: PathBuf,
    sys: PathBuf,
    /// Where the machine's own root is seen, in a container that has it mounted.
    root: PathBuf,
    clock: Arc<dyn Clock>,
}

/// One part of it: its name, and what reads it.
type Collector = (&'static str, fn(&HostCollector, &mut Page<'_>) -> io::Result<()>);

const COLLECTORS: [Collector; 10] = [
    ("cpu", cpu::stat),
    ("diskstats", disk::collect),
    ("filefd", system::file_descriptors),
    ("filesystem", filesystem::collect),
    ("loadavg", system::load),
    ("meminfo", memory::collect),
    ("netdev", network::collect),
    ("pressure", system::pressure),
    ("time", system::time),
    ("uname", system::uname),
];

impl HostCollector {
    /// The machine as this process sees it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::at(Path::new("/proc"), Path::new("/sys"), Path::new("/"), clock)
    }

    /// The machine whose `/proc`, `/sys` and root are mounted elsewhere.
    #[must_use]
    pub fn at(proc: &Path, sys: &Path, root: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { proc: proc.to_owned(), sys: sys.to_owned(), root: root.to_owned(), clock }
    }

    fn read(&self, file: &str) -> io::Result<String> {
        std::fs::read_to_string(self.proc.join(file))
    }
}

impl LocalTarget for HostCollector {
    fn write(&self, out: &mut Vec<u8>) -> Result<&'static str, String> {
        let mut page = Page::new(out);
        let mut success = Vec::with_capacity(COLLECTORS.len());
        for (name, collect) in COLLECTORS {
            let mark = page.mark();
            let read = collect(self, &mut page);
            if read.is_err() {
                // Half of a part would look like the whole of it.
                page.back_to(mark);
            }
            success.push((name, read.is_ok()));
        }
        page.family("node_scrape_collector_success", "gauge", "node_exporter: Whether a collector succeeded.");
        for (name, ok) in &success {
            page.sample(&[("collector", name)], f64::from(u8::from(*ok)));
        }
        if success.iter().all(|(_, ok)| !ok) {
            return Err(format!("nothing of this machine can be read at {}", self.proc.display()));
        }
        Ok(CONTENT_TYPE)
    }
}

/// Whether a target is a node_exporter by its port or job: then the built-in collector would say everything twice.
#[must_use]
pub fn looks_like_node_exporter(target: &Target) -> bool {
    let job = target.labels.get("job").unwrap_or("");
    let address = target.discovered.get(crate::target::ADDRESS).unwrap_or("");
    address.ends_with(":9100") || matches!(job, "node" | "nodes" | "node_exporter" | "node-exporter" | "nodeexporter")
}

#[cfg(test)]
mod tests {
    use model::time::{ManualClock, Timestamp};
    use wire::exposition::{Entry, Format, Options, Parser};

    use super::*;

    fn fixture() -> HostCollector {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/host");
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_500)));
        HostCollector::at(&folder.join("proc"), &folder.join("sys"), Path::new("/"), clock)
    }

    /// All samples of a page, as `key value`; fails where it is no good exposition.
    fn samples(collector: &HostCollector) -> Vec<String> {
        let mut out = Vec::new();
        let content_type = collector.write(&mut out).unwrap();
        assert!(content_type.starts_with("text/plain"));
        let mut parser = Parser::new(&out, Format::Text, Options::default());
        let mut found = Vec::new();
        while let Some(entry) = parser.next().unwrap() {
            if let Entry::Series(series) = entry {
                found.push(format!("{} {}", String::from_utf8_lossy(series.key), series.value));
            }
        }
        found
    }

    #[test]
    fn a_recorded_machine_reads_as_node_exporter_would_say_it() {
        let samples = samples(&fixture());
        for expected in [
            "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1321.43",
            "node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 86131.53",
            "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"user\"} 0.08",
            "node_context_switches_total 38014093",
            "node_intr_total 8885917",
            "node_forks_total 26442",
            "node_procs_running 2",
            "node_procs_blocked 1",
            "node_boot_time_seconds 1418183276",
            "node_load1 0.21",
            "node_load15 0.39",
            "node_memory_MemTotal_bytes 16042172416",
            "node_memory_Active_anon_bytes 2068484096",
            "node_memory_HugePages_Total 0",
            "node_disk_reads_completed_total{device=\"sda\"} 25354637",
            "node_disk_read_bytes_total{device=\"sda\"} 513713216512",
            "node_disk_io_now{device=\"sda\"} 0",
            "node_disk_io_time_seconds_total{device=\"sda\"} 9653.88",
            "node_disk_write_time_seconds_total{device=\"nvme0n1\"} 1.069",
            "node_network_receive_bytes_total{device=\"eth0\"} 68210035552",
            "node_network_transmit_colls_total{device=\"eth0\"} 7",
            "node_network_up{device=\"eth0\"} 1",
            "node_filefd_allocated 1024",
            "node_filefd_maximum 1.631329e+06",
            "node_pressure_io_stalled_seconds_total 159.229614",
            "node_time_seconds 1.7000000005e+09",
            "node_uname_info{domainname=\"(none)\",machine=\"",
            "node_scrape_collector_success{collector=\"meminfo\"} 1",
            "node_scrape_collector_success{collector=\"filesystem\"} 1",
        ] {
            let expected = expected.replace("1.631329e+06", "1631329").replace("1.7000000005e+09", "1700000000.5");
            assert!(samples.iter().any(|sample| sample.starts_with(&expected)), "{expected} is not in {samples:#?}");
        }
        assert!(!samples.iter().any(|sample| {
            sample.starts_with("node_disk_") && (sample.contains("\"sda1\"") || sample.contains("loop0"))
        }));
        assert!(
            samples
                .iter()
                .any(|sample| sample.starts_with("node_filesystem_size_bytes{") && sample.contains("mountpoint=\"/\""))
        );
        // What other machines hold may hang, and what is no disk has no size.
        assert!(!samples.iter().any(|sample| sample.contains("nfs") || sample.contains("mountpoint=\"/proc\"")));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_said() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/host");
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        // A folder without any of the files: only the clock can be read.
        let collector = HostCollector::at(&folder.join("sys"), &folder.join("sys"), Path::new("/"), clock);
        let samples = samples(&collector);
        assert!(samples.contains(&"node_scrape_collector_success{collector=\"cpu\"} 0".to_owned()));
        assert!(samples.contains(&"node_scrape_collector_success{collector=\"time\"} 1".to_owned()));
        assert!(!samples.iter().any(|sample| sample.starts_with("node_cpu")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_can_be_read() {
        let collector = HostCollector::new(Arc::new(model::time::SystemClock::new()));
        let samples = samples(&collector);
        for name in ["node_cpu_seconds_total{", "node_memory_MemTotal_bytes ", "node_load1 ", "node_time_seconds "] {
            assert!(samples.iter().any(|sample| sample.starts_with(name)), "{name} is missing");
        }
    }
}
