//! `/proc/diskstats`: what was read from and written to whole disks.

use std::io;

use super::HostCollector;
use super::page::Page;

/// The file counts in sectors of this size, whatever the disk's own is.
const SECTOR_BYTES: f64 = 512.0;
const MILLI: f64 = 0.001;

/// A column of the file: its place behind the name, metric, kind, help, and what one is worth.
type Column = (usize, &'static str, &'static str, &'static str, f64);

const COLUMNS: [Column; 17] = [
    (0, "node_disk_reads_completed_total", "counter", "The total number of reads completed successfully.", 1.0),
    (1, "node_disk_reads_merged_total", "counter", "The total number of reads merged.", 1.0),
    (2, "node_disk_read_bytes_total", "counter", "The total number of bytes read successfully.", SECTOR_BYTES),
    (3, "node_disk_read_time_seconds_total", "counter", "The total number of seconds spent by all reads.", MILLI),
    (4, "node_disk_writes_completed_total", "counter", "The total number of writes completed successfully.", 1.0),
    (5, "node_disk_writes_merged_total", "counter", "The number of writes merged.", 1.0),
    (6, "node_disk_written_bytes_total", "counter", "The total number of bytes written successfully.", SECTOR_BYTES),
    (7, "node_disk_write_time_seconds_total", "counter", "The total number of seconds spent by all writes.", MILLI),
    (8, "node_disk_io_now", "gauge", "The number of I/Os currently in progress.", 1.0),
    (9, "node_disk_io_time_seconds_total", "counter", "Total seconds spent doing I/Os.", MILLI),
    (10, "node_disk_io_time_weighted_seconds_total", "counter", "The weighted # of seconds spent doing I/Os.", MILLI),
    (11, "node_disk_discards_completed_total", "counter", "The total number of discards completed successfully.", 1.0),
    (12, "node_disk_discards_merged_total", "counter", "The total number of discards merged.", 1.0),
    (13, "node_disk_discarded_sectors_total", "counter", "The total number of sectors discarded successfully.", 1.0),
    (
        14,
        "node_disk_discard_time_seconds_total",
        "counter",
        "This is the total number of seconds spent by all discards.",
        MILLI,
    ),
    (15, "node_disk_flush_requests_total", "counter", "The total number of flush requests completed successfully", 1.0),
    (
        16,
        "node_disk_flush_requests_time_seconds_total",
        "counter",
        "This is the total number of seconds spent by all flush requests.",
        MILLI,
    ),
];

pub(super) fn collect(host: &HostCollector, page: &mut Page<'_>) -> io::Result<()> {
    let text = host.read("diskstats")?;
    let disks: Vec<(&str, Vec<f64>)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(2);
            let name = words.next().filter(|name| is_disk(name))?;
            Some((name, words.filter_map(|word| word.parse().ok()).collect()))
        })
        .collect();
    for (place, name, kind, help, worth) in COLUMNS {
        // Older kernels have fewer columns.
        if !disks.iter().any(|(_, columns)| columns.len() > place) {
            break;
        }
        page.family(name, kind, help);
        for (disk, columns) in &disks {
            if let Some(value) = columns.get(place) {
                // A division, as multiplying by a thousandth does not give the nearest number.
                let value = if worth == MILLI { value / 1000.0 } else { value * worth };
                page.sample(&[("device", disk)], value);
            }
        }
    }
    Ok(())
}

/// Not what node_exporter leaves out: parts of disks, memory and loops.
fn is_disk(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = stem.len() < name.len();
    let lettered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_lowercase()))
    };
    let part_of_nvme = stem.starts_with("nvme") && stem.ends_with('p');
    let excluded = matches!(stem, "ram" | "zram" | "loop" | "fd")
        || ["hd", "sd", "vd", "xvd"].into_iter().any(lettered)
        || part_of_nvme;
    !(numbered && excluded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_told_from_their_parts() {
        for name in ["sda", "nvme0n1", "vdb", "dm-0", "md0", "mmcblk0", "sr0", "xvda"] {
            assert!(is_disk(name), "{name}");
        }
        for name in ["sda1", "nvme0n1p2", "vdb12", "loop0", "ram3", "zram0", "fd0", "xvda1"] {
            assert!(!is_disk(name), "{name}");
        }
    }
}
