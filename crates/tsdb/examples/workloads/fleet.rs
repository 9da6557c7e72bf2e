//! The virtual exporters of the side-by-side benchmark: the same seed gives the same samples as its load generator.
//!
//! About 200 series in the manner of a node exporter, then application instances of about 245. Every value is an
//! integer with at most 6 decimals; a third of the counters hardly move, histograms are cumulative and consistent.
//! Which random number is drawn when is part of the data: an edit that changes it changes every figure.

#![allow(clippy::too_many_arguments, reason = "a table of metrics, one call a row")]

use model::labels::Labels;

/// xorshift64*: small, fast, good enough for load.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Random((z ^ (z >> 31)) | 1)
    }
    pub(crate) fn next(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    /// Uniform in 0..n.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((self.next() >> 32) * n) >> 32
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Const,
    /// Counter: with `busy`/256 probability per step it grows by 1..=max.
    Counter {
        busy: u64,
        max: u64,
    },
    /// Random walk in lo..=hi, step at most `step`; moves with `busy`/256.
    Gauge {
        lo: i64,
        hi: i64,
        step: u64,
        busy: u64,
    },
    /// First series of a histogram of n buckets (+Inf included), then _sum and
    /// _count; at most `rate` observations a step; `mid` is the usual bucket.
    Hist {
        n: usize,
        rate: u64,
        mid: usize,
    },
    /// Driven by the Hist before it.
    Member,
}

pub(crate) struct Series {
    name: String,
    labels: Pairs,
    kind: Kind,
    dec: u8,
    family: usize,
    /// Churn group: all series of a group are replaced together.
    group: u32,
    v: i64,
}

/// A virtual exporter.
pub(crate) struct Target {
    pub(crate) id: usize,
    pub(crate) series: Vec<Series>,
    random: Random,
    /// How often each churn group was replaced.
    generation: Vec<u32>,
}

const LE: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
/// Typical latency within a bucket, in microseconds.
const LE_US: [i64; 12] =
    [3_000, 7_000, 17_000, 37_000, 75_000, 170_000, 370_000, 750_000, 1_700_000, 3_700_000, 7_500_000, 15_000_000];
const ENDPOINTS: [&str; 8] = [
    "/",
    "/login",
    "/api/v1/items",
    "/api/v1/items/{id}",
    "/api/v1/orders",
    "/api/v1/search",
    "/api/v1/users/{id}",
    "/healthz",
];

struct Builder {
    families: Vec<String>,
    series: Vec<Series>,
    group: u32,
    random: Random,
}

type Pairs = Vec<(&'static str, String)>;

impl Builder {
    fn family(&mut self, name: &str) -> usize {
        if let Some(i) = self.families.iter().position(|f| f == name) {
            return i;
        }
        self.families.push(name.to_owned());
        self.families.len() - 1
    }
    fn push(&mut self, family: usize, name: String, labels: Pairs, kind: Kind, dec: u8, v: i64) {
        self.series.push(Series { name, labels, kind, dec, family, group: self.group, v });
    }
    fn counter(&mut self, name: &str, labels: Pairs, busy: u64, max: u64, dec: u8) {
        let f = self.family(name);
        let v = if busy == 0 { 0 } else { self.random.below(max * 100_000) as i64 };
        self.push(f, name.to_owned(), labels, Kind::Counter { busy, max }, dec, v);
    }
    fn gauge(&mut self, name: &str, labels: Pairs, range: (i64, i64), step: u64, busy: u64, dec: u8) {
        let f = self.family(name);
        let v = range.0 + self.random.below((range.1 - range.0).max(1) as u64) as i64;
        let kind = Kind::Gauge { lo: range.0, hi: range.1, step, busy };
        self.push(f, name.to_owned(), labels, kind, dec, v);
    }
    fn constant(&mut self, name: &str, labels: Pairs, v: i64) {
        let f = self.family(name);
        self.push(f, name.to_owned(), labels, Kind::Const, 0, v);
    }
    fn hist(&mut self, name: &str, labels: Pairs, rate: u64, mid: usize) {
        let f = self.family(name);
        for (i, le) in LE.iter().enumerate() {
            let mut l = labels.clone();
            l.push(("le", (*le).to_owned()));
            let kind = if i == 0 { Kind::Hist { n: LE.len(), rate, mid } } else { Kind::Member };
            self.push(f, format!("{name}_bucket"), l, kind, 0, 0);
        }
        self.push(f, format!("{name}_sum"), labels.clone(), Kind::Member, 6, 0);
        self.push(f, format!("{name}_count"), labels, Kind::Member, 0, 0);
    }

    /// About 250 series in the manner of node_exporter on a small host.
    fn node(&mut self) {
        for cpu in 0..8 {
            self.group += 1;
            for (mode, busy, max) in [
                ("idle", 256, 500),
                ("user", 250, 120),
                ("system", 230, 40),
                ("iowait", 80, 10),
                ("softirq", 120, 4),
                ("irq", 0, 1),
                ("nice", 0, 1),
                ("steal", 10, 2),
            ] {
                let lab = vec![("cpu", cpu.to_string()), ("mode", mode.to_owned())];
                self.counter("node_cpu_seconds_total", lab, busy, max, 2);
            }
        }
        self.node_memory();
        self.node_devices();
        self.node_rest();
    }

    fn node_memory(&mut self) {
        self.group += 1;
        for (name, busy) in [
            ("MemTotal", 0),
            ("MemFree", 250),
            ("MemAvailable", 250),
            ("Buffers", 100),
            ("Cached", 230),
            ("SwapCached", 0),
            ("Active", 240),
            ("Inactive", 240),
            ("Active_anon", 230),
            ("Inactive_anon", 90),
            ("Dirty", 250),
            ("Writeback", 20),
            ("AnonPages", 230),
            ("Mapped", 120),
            ("Shmem", 60),
            ("Slab", 200),
            ("SReclaimable", 180),
            ("SUnreclaim", 180),
            ("KernelStack", 160),
            ("PageTables", 160),
            ("SwapTotal", 0),
            ("SwapFree", 0),
            ("HugePages_Total", 0),
            ("CommitLimit", 0),
            ("Committed_AS", 200),
        ] {
            // page granular: 4096-byte steps
            let f = self.family(&format!("node_memory_{name}_bytes"));
            let v = (1_000_000 + self.random.below(3_000_000) as i64) * 4096;
            let kind = if busy == 0 {
                Kind::Const
            } else {
                Kind::Gauge { lo: 4096 * 1000, hi: 17_179_869_184, step: 4096 * 2000, busy }
            };
            self.push(f, format!("node_memory_{name}_bytes"), vec![], kind, 0, v);
        }
    }

    fn node_devices(&mut self) {
        let l = |k: &'static str, v: &str| vec![(k, v.to_owned())];
        for dev in ["eth0", "eth1", "lo", "docker0"] {
            self.group += 1;
            let hot = dev == "eth0" || dev == "lo";
            for (m, max) in [
                ("receive_bytes", 2_000_000),
                ("transmit_bytes", 900_000),
                ("receive_packets", 2_000),
                ("transmit_packets", 1_500),
            ] {
                let b = if hot { 256 } else { 60 };
                self.counter(&format!("node_network_{m}_total"), l("device", dev), b, max, 0);
            }
            for m in
                ["receive_errs", "transmit_errs", "receive_drop", "transmit_drop", "receive_fifo", "transmit_colls"]
            {
                self.counter(&format!("node_network_{m}_total"), l("device", dev), 0, 1, 0);
            }
            self.constant("node_network_up", l("device", dev), 1);
            self.constant("node_network_mtu_bytes", l("device", dev), 1500);
        }
        for dev in ["sda", "sdb", "nvme0n1"] {
            self.group += 1;
            let b = if dev == "sdb" { 5 } else { 220 };
            for (m, max, dec) in [
                ("reads_completed", 50, 0),
                ("writes_completed", 200, 0),
                ("read_bytes", 1_000_000, 0),
                ("written_bytes", 4_000_000, 0),
                ("read_time_seconds", 200, 3),
                ("write_time_seconds", 500, 3),
                ("io_time_seconds", 400, 3),
                ("reads_merged", 5, 0),
                ("writes_merged", 50, 0),
            ] {
                self.counter(&format!("node_disk_{m}_total"), l("device", dev), b, max, dec);
            }
        }
        for (m, dev) in [("/", "/dev/sda1"), ("/boot", "/dev/sda2"), ("/data", "/dev/nvme0n1p1"), ("/run", "tmpfs")] {
            self.group += 1;
            let lab = || vec![("device", dev.to_owned()), ("fstype", "ext4".to_owned()), ("mountpoint", m.to_owned())];
            self.constant("node_filesystem_size_bytes", lab(), 107_374_182_400);
            let b = if m == "/data" || m == "/" { 200 } else { 3 };
            self.gauge("node_filesystem_avail_bytes", lab(), (10_000_000_000, 90_000_000_000), 40_960, b, 0);
            self.gauge("node_filesystem_free_bytes", lab(), (10_000_000_000, 95_000_000_000), 40_960, b, 0);
            self.constant("node_filesystem_files", lab(), 6_553_600);
            self.constant("node_filesystem_readonly", lab(), 0);
        }
    }

    fn node_rest(&mut self) {
        let l = |k: &'static str, v: &str| vec![(k, v.to_owned())];
        self.group += 1;
        for n in ["node_load1", "node_load5", "node_load15"] {
            self.gauge(n, vec![], (0, 1200), 20, 240, 2);
        }
        for zone in 0..4 {
            self.gauge("node_hwmon_temp_celsius", l("sensor", &format!("temp{zone}")), (300, 850), 10, 120, 1);
        }
        self.counter("node_context_switches_total", vec![], 256, 60_000, 0);
        self.counter("node_intr_total", vec![], 256, 40_000, 0);
        self.counter("node_forks_total", vec![], 200, 30, 0);
        self.constant("node_boot_time_seconds", vec![], 1_751_000_000);
        self.constant(
            "node_uname_info",
            vec![
                ("machine", "x86_64".into()),
                ("nodename", "host".into()),
                ("release", "6.1.0-21-amd64".into()),
                ("sysname", "Linux".into()),
            ],
            1,
        );
        self.gauge("node_procs_running", vec![], (1, 20), 2, 150, 0);
        self.gauge("node_filefd_allocated", vec![], (1500, 9000), 64, 150, 0);
        self.gauge("node_sockstat_TCP_inuse", vec![], (10, 400), 5, 150, 0);
        self.gauge("node_entropy_available_bits", vec![], (256, 3000), 50, 20, 0);
        self.gauge("node_time_offset_seconds", vec![], (-5000, 5000), 200, 256, 6);
    }

    /// About 250 series of one application instance (service `app`).
    fn app(&mut self, app: usize) {
        let base = |extra: &[(&'static str, &str)]| -> Pairs {
            let mut l: Pairs = vec![("app", format!("svc-{app}"))];
            l.extend(extra.iter().map(|(k, v)| (*k, (*v).to_owned())));
            l
        };
        for (i, ep) in ENDPOINTS.iter().enumerate() {
            self.group += 1;
            for method in ["GET", "POST"] {
                for (status, b) in [("200", 230), ("201", 60), ("400", 20), ("404", 30), ("500", 6)] {
                    let b = if method == "POST" { b / 3 } else { b };
                    let busy = if i < 5 { b } else { b / 8 };
                    let lab = base(&[("endpoint", ep), ("method", method), ("status", status)]);
                    self.counter("http_requests_total", lab, busy, 40, 0);
                }
            }
            let lab = base(&[("endpoint", ep), ("method", "GET")]);
            let rate = if i < 5 { 24 } else { 2 };
            self.hist("http_request_duration_seconds", lab, rate, 3 + i % 3);
        }
        self.group += 1;
        for cache in ["session", "page"] {
            self.counter("cache_hits_total", base(&[("cache", cache)]), 220, 60, 0);
            self.counter("cache_misses_total", base(&[("cache", cache)]), 150, 12, 0);
        }
        self.group += 1;
        for q in ["select", "update"] {
            self.hist("db_query_duration_seconds", base(&[("query_type", q)]), 16, 2);
        }
        self.group += 1;
        let p = || base(&[]);
        self.counter("process_cpu_seconds_total", p(), 250, 30, 2);
        self.gauge("process_resident_memory_bytes", p(), (50_000_000, 900_000_000), 40_960, 200, 0);
        self.gauge("process_open_fds", p(), (10, 300), 3, 100, 0);
        self.constant("process_start_time_seconds", p(), 1_751_000_000);
        self.constant("app_info", base(&[("version", "1.4.2")]), 1);
        self.gauge("http_requests_in_flight", p(), (0, 40), 4, 200, 0);
        self.gauge("db_connections_active", p(), (0, 20), 2, 100, 0);
        self.gauge("queue_depth", p(), (0, 500), 20, 120, 0);
        self.gauge("worker_utilization_ratio", p(), (0, 1000), 30, 220, 3);
        for g in 0..3 {
            let turn = g.to_string();
            self.counter("gc_collections_total", base(&[("generation", &turn)]), 120 >> g, 10, 0);
            self.counter("gc_objects_collected_total", base(&[("generation", &turn)]), 120 >> g, 3000, 0);
        }
        for e in ["timeout", "validation", "db", "upstream", "auth"] {
            self.counter("app_errors_total", base(&[("error_type", e)]), 3, 2, 0);
        }
    }
}

impl Target {
    pub(crate) fn new(id: usize, n_series: usize, seed: u64) -> Self {
        let mut b = Builder {
            families: vec![],
            series: vec![],
            group: 0,
            random: Random::new(seed ^ (id as u64).wrapping_mul(0xA24B_AED4_963E_E407)),
        };
        b.node();
        let mut app = 0;
        while b.series.len() < n_series {
            b.app(app);
            app += 1;
        }
        // Cut at n_series, but never inside a histogram.
        let mut cut = n_series;
        while cut > 0 && cut < b.series.len() && matches!(b.series[cut].kind, Kind::Member) {
            cut -= 1;
        }
        b.series.truncate(cut);
        b.group += 1;
        while b.series.len() < n_series {
            let i = b.series.len().to_string();
            b.gauge("app_extra_value", vec![("slot", i)], (0, 10_000), 50, 128, 2);
        }
        let mut series = b.series;
        series.sort_by_key(|s| s.family); // stable: histograms stay together
        let groups = b.group as usize + 1;
        Target { id, series, random: b.random, generation: vec![0; groups] }
    }

    /// Replaces the series of every group whose turn has come; the replaced ones. `turned` is how many hundredths of
    /// all groups have been replaced since the start.
    pub(crate) fn churn_to(&mut self, turned: u64) -> Vec<usize> {
        let mut changed_series = Vec::new();
        let mut changed = vec![false; self.generation.len()];
        for (g, turn) in self.generation.iter_mut().enumerate() {
            let slot = (g * 37 + self.id * 13) as u64 % 100;
            let want = if turned > slot { 1 + (turned - slot - 1) / 100 } else { 0 } as u32;
            if want != *turn {
                *turn = want;
                changed[g] = true;
            }
        }
        for i in 0..self.series.len() {
            if changed[self.series[i].group as usize] {
                if !matches!(self.series[i].kind, Kind::Gauge { .. } | Kind::Const) {
                    self.series[i].v = 0;
                }
                changed_series.push(i);
            }
        }
        changed_series
    }

    /// Advances all series by one scrape interval.
    pub(crate) fn step(&mut self) {
        let r = &mut self.random;
        let mut i = 0;
        while i < self.series.len() {
            match self.series[i].kind {
                Kind::Const | Kind::Member => {}
                Kind::Counter { busy, max } => {
                    if busy > 0 {
                        let x = r.next();
                        if (x & 255) < busy {
                            self.series[i].v += 1 + (((x >> 32) * max) >> 32) as i64;
                        }
                    }
                }
                Kind::Gauge { lo, hi, step, busy } => {
                    let x = r.next();
                    if (x & 255) < busy {
                        let mut d = (((x >> 32) * (2 * step + 1)) >> 32) as i64 - step as i64;
                        if step >= 4096 {
                            d -= d % 4096;
                        }
                        self.series[i].v = (self.series[i].v + d).clamp(lo, hi);
                    }
                }
                Kind::Hist { n, rate, mid } => {
                    let obs = r.below(rate + 1);
                    for _ in 0..obs {
                        let x = r.next();
                        // roughly bell-shaped around mid, with a long right tail
                        let mut b = mid + ((x & 3) + ((x >> 2) & 3)) as usize;
                        b = b.saturating_sub(3);
                        if (x >> 8) & 127 == 0 {
                            b += 3 + ((x >> 16) & 1) as usize;
                        }
                        let b = b.min(n - 1);
                        for k in b..n {
                            self.series[i + k].v += 1;
                        }
                        let us = LE_US[b] + ((x >> 20) & 1023) as i64;
                        self.series[i + n].v += us;
                        self.series[i + n + 1].v += 1;
                    }
                    i += n + 1;
                }
            }
            i += 1;
        }
    }

    /// The labels of a series as they are now, sorted.
    pub(crate) fn labels(&self, at: usize) -> Labels {
        let series = &self.series[at];
        let generation = self.generation[series.group as usize];
        let mut pairs: Vec<(&str, String)> = series.labels.iter().map(|(name, value)| (*name, value.clone())).collect();
        if generation > 0 {
            pairs.push(("pod", format!("p{generation}")));
        }
        pairs.push(("__name__", series.name.clone()));
        pairs.push(("instance", format!("host-{:03}:9100", self.id)));
        pairs.push(("job", "fleet".to_owned()));
        Labels::from_pairs(pairs)
    }
}

const POW10: [i64; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// The value as it is sampled.
pub(crate) fn value(s: &Series) -> f64 {
    s.v as f64 / POW10[s.dec as usize] as f64
}
