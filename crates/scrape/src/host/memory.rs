//! `/proc/meminfo`: every line is a metric.

use std::io;

use super::HostCollector;
use super::page::{Page, odd};

pub(super) fn collect(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let text = host.read("meminfo")?;
    let mut any = false;
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_whitespace();
        let Some(value) = words.next().and_then(|word| word.parse::<f64>().ok()) else { continue };
        let in_kib = words.next() == Some("kB");
        // `Active(anon)` is no name of a metric.
        let name: String = name.replace('(', "_").replace(')', "");
        let name = format!("node_memory_{name}{}", if in_kib { "_bytes" } else { "" });
        let field = name.trim_start_matches("node_memory_");
        page.single(
            &name,
            "gauge",
            &format!("Memory information field {field}."),
            if in_kib { value * 1024.0 } else { value },
        );
        any = true;
    }
    if any { Ok(()) } else { Err(odd("/proc/meminfo")) }
}
