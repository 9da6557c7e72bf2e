//! `/proc/net/dev`: what went over the network interfaces.

use std::io;

use super::HostCollector;
use super::page::{Page, odd};

/// The columns of the file, as node_exporter calls them.
const COLUMNS: [(&str, &str); 16] = [
    ("receive", "bytes"),
    ("receive", "packets"),
    ("receive", "errs"),
    ("receive", "drop"),
    ("receive", "fifo"),
    ("receive", "frame"),
    ("receive", "compressed"),
    ("receive", "multicast"),
    ("transmit", "bytes"),
    ("transmit", "packets"),
    ("transmit", "errs"),
    ("transmit", "drop"),
    ("transmit", "fifo"),
    ("transmit", "colls"),
    ("transmit", "carrier"),
    ("transmit", "compressed"),
];
/// Two lines of headings.
const HEAD_LINES: usize = 2;

pub(super) fn collect(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let text = host.read("net/dev")?;
    let mut devices: Vec<(&str, Vec<f64>)> = Vec::new();
    for line in text.lines().skip(HEAD_LINES) {
        let (name, rest) = line.rsplit_once(':').ok_or_else(|| odd("/proc/net/dev"))?;
        devices.push((name.trim(), rest.split_whitespace().filter_map(|word| word.parse().ok()).collect()));
    }
    for (place, (way, what)) in COLUMNS.into_iter().enumerate() {
        page.family(
            &format!("node_network_{way}_{what}_total"),
            "counter",
            &format!("Network device statistic {way}_{what}."),
        );
        for (device, columns) in &devices {
            if let Some(value) = columns.get(place) {
                page.sample(&[("device", device)], *value);
            }
        }
    }
    page.family("node_network_up", "gauge", "Value is 1 if operstate is 'up', 0 otherwise.");
    for (device, _) in &devices {
        // A name with a slash would lead elsewhere; the kernel allows none.
        let state = std::fs::read_to_string(host.sys.join("class/net").join(device).join("operstate"));
        if let Ok(state) = state {
            page.sample(&[("device", device)], f64::from(u8::from(state.trim() == "up")));
        }
    }
    Ok(())
}
