//! The pages about metrics with made-up data: a query in every state, the storage, targets, discovery, `prometheus.yml`.

use ui::form::Field;
use ui::pages::prometheus::{Line, PrometheusPage, Text};
use ui::pages::query::{
    Answer, Bucket, Example, Fault, Histogram, Jump, Metric, Note, Part, Piece, QueryPage, Row, Table, Value, Why,
};
use ui::pages::settings::{ConfigProblem, Reload};
use ui::pages::storage::{Aside, Cardinality, PartRow, Producer, Producers, StoragePage, Top, TopRow};
use ui::pages::targets::{
    Change, DiscoveryPage, Effect, Failure, Filter, FoundList, FoundPool, FoundRow, Labels, List, Pool, RelabelPage,
    StateTab, StepRow, TargetRow, TargetsPage, TrialPage,
};
use ui::shell::Freshness;
use ui::tone::Tone;

use super::{Sample, Samples};

impl Samples<'_> {
    /// All of them.
    pub(super) fn metric_pages(&self) -> Vec<Sample> {
        let mut all = self.query_pages();
        all.extend(self.empty_query_pages());
        all.extend(self.storage_pages());
        all.extend(self.target_pages());
        all.extend(self.relabel_pages());
        all.extend(self.discovery_pages());
        all.extend(self.prometheus_pages());
        all
    }

    fn jump(&self, label: &str, href: &str, current: bool) -> Jump {
        Jump { label: self.t(label), href: self.t(href), current }
    }

    fn labels(&self, pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| (self.t(name), self.t(value))).collect()
    }

    fn pieces(&self) -> Vec<Piece> {
        let piece = |(class, text): &(&'static str, &str)| Piece { class, text: self.t(text) };
        [
            ("q-word", "sum by"),
            ("", " ("),
            ("q-label", "job"),
            ("", ") ("),
            ("q-word", "rate"),
            ("", "(http_requests_total{"),
            ("q-label", "code"),
            ("", "=~"),
            ("q-text", "\"5..\""),
            ("", "}["),
            ("q-number", "5m"),
            ("", "]))"),
        ]
        .iter()
        .map(piece)
        .collect()
    }

    fn query(&self, answer: Answer) -> QueryPage {
        QueryPage {
            query: self.t("sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))"),
            painted: self.pieces(),
            from: Field::default(),
            to: Field::default(),
            step: Field::default(),
            explain: false,
            spans: vec![
                self.jump("One time", "/query?expr=up", true),
                self.jump("1 h", "/query?expr=up&from=1h", false),
                self.jump("1 day", "/query?expr=up&from=1d", false),
            ],
            table_href: self.t("/query?expr=up"),
            explain_href: self.t("/query?expr=up&show=explain"),
            notes: Vec::new(),
            cost: self.t("3 series · 2,040 samples read · at most 1.2 MB held · 11 ms"),
            answer,
        }
    }

    fn table(&self, over: bool) -> Table {
        let row = |instance: &str, zone: &str, value| Row {
            cells: vec![self.t(instance), self.t(zone)],
            labels: Vec::new(),
            value,
        };
        let bucket =
            |bounds: &str, count: &str, percent| Bucket { bounds: self.t(bounds), count: self.t(count), percent };
        let histogram = Value::Histogram(Histogram {
            summary: self.t("120 observations, mean 0.285, sum 34.2"),
            buckets: vec![bucket("0.25 to 0.5", "84", 100), bucket("0.5 to 1", "36", 43)],
        });
        let span = |last: &str, least: &str, most: &str| Value::Span {
            last: self.t(last),
            least: self.t(least),
            mean: self.t("0.31"),
            most: self.t(most),
            points: self.t("241"),
        };
        let rows = if over {
            vec![
                row("api-1:8000", "fra1-a", span("0.42", "0.1", "1.75")),
                row("api-2:8000", "fra1-b", span("0", "0", "0.0333")),
                row("api-3:8000", "fra1-b", histogram),
            ]
        } else {
            vec![
                row("api-1:8000", "fra1-a", Value::Number(self.t("0.4217391304347826"))),
                row("api-2:8000", "fra1-b", Value::Number(self.t("1.2e+21"))),
                row("api-3:8000", "", histogram),
            ]
        };
        Table {
            common: self.labels(&[("__name__", "http_requests_total"), ("job", "api")]),
            columns: vec![self.t("instance"), self.t("zone")],
            over,
            rows,
            all: if over { self.t("1,240") } else { String::new() },
        }
    }

    fn query_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/query?expr=up");
        let mut table = self.query(Answer::Table(self.table(false)));
        table.notes = vec![
            Note {
                tone: Tone::Warning,
                text: self.t("Bucket label le is missing or has a malformed value of \"x\"."),
                place: self.t("1:14"),
                snippet: self.t("rate(http_requests_total[5m])"),
            },
            Note {
                tone: Tone::Info,
                text: self.t("Metric might not be a counter, name does not end in _total."),
                place: String::new(),
                snippet: String::new(),
            },
        ];
        let mut over = self.query(Answer::Table(self.table(true)));
        (over.from, over.step) = (self.field("1h"), self.field("15s"));
        let one = Table {
            common: Vec::new(),
            columns: Vec::new(),
            over: false,
            rows: vec![Row {
                cells: Vec::new(),
                labels: self.labels(&[("__name__", "up"), ("instance", "api-1:8000"), ("job", "api")]),
                value: Value::Number(self.t("1")),
            }],
            all: String::new(),
        };
        let text = Table {
            rows: vec![Row { cells: Vec::new(), labels: Vec::new(), value: Value::Text(self.t("a text")) }],
            ..one.clone()
        };
        vec![
            ("query", table.render(&shell)),
            ("query-over", over.render(&shell)),
            ("query-one", self.query(Answer::Table(one)).render(&shell)),
            ("query-text", self.query(Answer::Table(text)).render(&shell)),
            ("query-explain", self.explained().render(&shell)),
        ]
    }

    fn explained(&self) -> QueryPage {
        let part = |depth, text: &str, does: &str, returns: &str, tone| Part {
            depth,
            text: self.t(text),
            does: self.t(does),
            returns: self.t(returns),
            tone,
            read: self.t("2,040"),
            held: self.t("1.2 MB"),
            took: self.t("11 ms"),
        };
        let parts = vec![
            part(
                0,
                "sum by (job) (rate(http_requests_total[5m])) > 5",
                "only what the comparison lets through",
                "nothing",
                Tone::NoData,
            ),
            part(1, "sum by (job) (rate(http_requests_total[5m]))", "sum for each job", "1 series", Tone::Ok),
            part(
                2,
                "rate(http_requests_total[5m])",
                "growth per second, averaged over the range",
                "3 series",
                Tone::Ok,
            ),
            part(3, "http_requests_total[5m]", "all samples of 5m", "3 series, 60 samples", Tone::Ok),
            part(
                1,
                "a / on (job) b",
                "computed value by value, pairs by job",
                "found duplicate series for the match group",
                Tone::Critical,
            ),
            part(9, "5", "a constant", "", Tone::Ok),
        ];
        let pretty = self.t("  sum by (job) (\n    rate(http_requests_total[5m])\n  )\n>\n  5");
        QueryPage { explain: true, cost: String::new(), ..self.query(Answer::Parts { pretty, parts }) }
    }

    fn empty_query_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/query");
        let example = |query: &str, says: &str| Example {
            query: self.t(query),
            says: self.t(says),
            href: self.t("/query?expr=up"),
        };
        let examples = vec![
            example("up", "1 for each target that answers"),
            example("count by (job) (up == 0)", "how many are down"),
        ];
        let metric = |name: &str, series: &str| Metric {
            name: self.t(name),
            series: self.t(series),
            href: self.t("/query?expr=up"),
        };
        let metrics =
            vec![metric("http_request_duration_seconds_bucket", "2,208"), metric("http_requests_total", "184")];
        let blank = |answer| QueryPage {
            query: String::new(),
            painted: Vec::new(),
            spans: Vec::new(),
            table_href: String::new(),
            cost: String::new(),
            ..self.query(answer)
        };
        let fault = Fault {
            place: self.t("1:14"),
            message: self.t("unexpected character: '$', expected a label or \")\""),
            before: self.t("sum by (job) "),
            marked: self.t("$"),
            after: self.t("up)"),
        };
        let wrong = QueryPage { cost: String::new(), ..self.query(Answer::Wrong(vec![fault])) };
        let why = |fact: &str, cause: &str, instead| Why { fact: self.t(fact), cause: self.t(cause), instead };
        let nothing = Answer::Nothing(vec![
            why(
                "There is no metric http_request_total.",
                "These have names like it:",
                vec![
                    self.jump("http_requests_total", "/query?expr=up", false),
                    self.jump("http_requests_failed_total", "/query?expr=up", false),
                ],
            ),
            why(
                "The target redis-exporter:9121 of redis is down since 20 Nov 2026, 10:31 UTC, 31 minutes ago.",
                "redis_up comes from it; its last sample is of 20 Nov 2026, 10:30 UTC, 32 minutes ago.",
                Vec::new(),
            ),
        ]);
        let failed = Answer::Failed {
            fact: self.t("The query took too long."),
            cause: self.t("It was stopped after 2 minutes."),
            ours: false,
        };
        let ours = Answer::Failed { fact: self.t("The storage failed."), cause: self.t("Reading failed."), ours: true };
        let mut times = blank(Answer::Start { examples: Vec::new(), metrics: Vec::new() });
        times.from = self.wrong("yesterday", "A length such as 1h before the end, or a time.");
        vec![
            ("query-start", blank(Answer::Start { examples: examples.clone(), metrics }).render(&shell)),
            ("query-nothing-stored", blank(Answer::Start { examples, metrics: Vec::new() }).render(&shell)),
            ("query-wrong", wrong.render(&shell)),
            ("query-empty", self.query(nothing).render(&shell)),
            ("query-failed", self.query(failed).render(&shell)),
            ("query-broken", self.query(ours).render(&shell)),
            ("query-times", times.render(&shell)),
        ]
    }

    fn tops(&self) -> Vec<Top> {
        let top = |title: &str, name: &str, rows: &[(&str, &str, u8)], href: &str| Top {
            title: self.t(title),
            name: self.t(name),
            count: self.t("Series"),
            rows: rows
                .iter()
                .map(|(name, count, percent)| TopRow {
                    name: self.t(name),
                    count: self.t(count),
                    percent: *percent,
                    href: if href.is_empty() { String::new() } else { self.t(href) },
                })
                .collect(),
        };
        vec![
            top(
                "Series by metric",
                "Metric",
                &[("http_request_duration_seconds_bucket", "2,208", 100), ("http_requests_total", "184", 8)],
                "/query?expr=up",
            ),
            top("Values by label", "Label", &[("le", "14", 100), ("instance", "12", 86)], ""),
            top("Series by label and value", "Pair", &[], ""),
        ]
    }

    fn storage_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/status/tsdb");
        let lists = self.tops();
        let producer = |job: &str, instance: &str, count: &str, percent| Producer {
            job: self.t(job),
            instance: self.t(instance),
            count: self.t(count),
            percent,
            href: self.t("/query?expr=up"),
        };
        let part = |from: &str, to: &str| PartRow {
            id: self.t("00000000000000000017"),
            from: self.t(from),
            to: self.t(to),
            samples: self.t("2,208,114"),
            series: self.t("4,120"),
            bytes: self.t("3.1 MB"),
        };
        let full = StoragePage {
            figures: vec![
                self.fact("Series in memory", "4,120"),
                self.fact("Samples since the start", "2,208,114"),
                self.fact("Kept for", "30d"),
            ],
            cardinality: Cardinality::Lists(lists.clone()),
            targets: Producers::Rows(vec![
                producer("api", "api-1:8000", "1,840", 100),
                producer("node", "node-1:9100", "412", 22),
            ]),
            parts: vec![
                part("20 Nov 2026, 08:00 UTC", "20 Nov 2026, 10:00 UTC"),
                part("20 Nov 2026, 06:00 UTC", "20 Nov 2026, 08:00 UTC"),
            ],
            parts_all: self.t("360"),
            quarantined: vec![Aside { what: self.t("part 16"), reason: self.t("the checksum of block 3 is wrong") }],
        };
        let empty = StoragePage {
            figures: Vec::new(),
            cardinality: Cardinality::Lists(lists[2..].to_vec()),
            targets: Producers::Rows(Vec::new()),
            parts: Vec::new(),
            parts_all: String::new(),
            quarantined: Vec::new(),
        };
        let failed = StoragePage {
            cardinality: Cardinality::Failed(self.t("Query timed out in query queue.")),
            targets: Producers::Failed(self.t("Query timed out in query queue.")),
            ..full.clone()
        };
        vec![
            ("storage", full.render(&shell)),
            ("storage-empty", empty.render(&shell)),
            ("storage-failed", failed.render(&shell)),
        ]
    }

    fn target(
        &self,
        tone: Tone,
        state: &str,
        url: &str,
        labels: &[(&str, &str)],
        failure: Option<Failure>,
    ) -> TargetRow {
        TargetRow {
            pool: self.t("api"),
            id: self.t("5c9d0e3a"),
            tone,
            state: self.t(state),
            url: self.t(url),
            labels: self.labels(labels),
            last: self.t("4 seconds ago"),
            took: self.t("11 ms"),
            samples: self.t("1,840"),
            relabel_href: self.t("/targets/relabel?pool=api&target=5c9d0e3a"),
            failure,
        }
    }

    fn pools(&self) -> Vec<Pool> {
        let refused = Failure {
            fact: self.t("Connection refused."),
            cause: self.t(
                "The host answers, nothing listens on port 9121. The last good scrape was at 10:30:52, 31 minutes ago.",
            ),
        };
        let pool = |name: &str, summary: &str, down, rows| Pool {
            name: self.t(name),
            summary: self.t(summary),
            down,
            place: self.t("prometheus.yml:31 · every 15s"),
            problem: String::new(),
            rows,
            all: String::new(),
        };
        let redis = [("instance", "redis-exporter:9121")];
        vec![
            pool(
                "redis",
                "0 of 1 up",
                true,
                vec![self.target(Tone::Down, "down", "http://redis-exporter:9121/metrics", &redis, Some(refused))],
            ),
            pool(
                "api",
                "2 of 3 up",
                false,
                vec![
                    self.target(
                        Tone::Ok,
                        "up",
                        "http://api-1:8000/metrics",
                        &[("instance", "api-1:8000"), ("version", "2.14.0")],
                        None,
                    ),
                    self.target(
                        Tone::Ok,
                        "up",
                        "http://api-2:8000/metrics",
                        &[("instance", "api-2:8000"), ("version", "2.14.0")],
                        None,
                    ),
                    self.target(
                        Tone::NoData,
                        "waiting",
                        "http://api-3:8000/metrics",
                        &[("instance", "api-3:8000")],
                        None,
                    ),
                ],
            ),
            Pool {
                problem: self.t("consul_sd_configs is not supported: nothing of this job is scraped."),
                all: self.t("1,240"),
                ..pool("consul", "0 of 0 up", false, Vec::new())
            },
        ]
    }

    fn target_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/targets");
        let pools = self.pools();
        let tab = |label: &str, count: &str, current| StateTab {
            label: self.t(label),
            count: self.t(count),
            href: self.t("/targets?state=down"),
            current,
        };
        let filter = Filter {
            states: vec![tab("All", "4", true), tab("Down", "1", false), tab("Up", "2", false)],
            state: self.t("down"),
            text: self.t("api"),
        };
        let page = |headline: &str, tone, list| TargetsPage {
            headline: self.t(headline),
            tone,
            freshness: Freshness { as_of: self.t("as of 11:02:14 UTC"), stale: false },
            filter: filter.clone(),
            list,
        };
        vec![
            ("targets", page("1 of 4 is down.", Tone::Down, List::Pools(pools)).render(&shell)),
            ("targets-unfit", page("All 4 are up.", Tone::Ok, List::Pools(Vec::new())).render(&shell)),
            ("targets-empty", page("No target.", Tone::Info, List::Nothing).render(&shell)),
            ("targets-failed", page("No target.", Tone::Info, List::Failed(self.t("You may not."))).render(&shell)),
        ]
    }

    fn relabel_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/targets/relabel");
        let change = |name: &str, before: &str, after: &str| Change {
            name: self.t(name),
            before: if before.is_empty() { String::new() } else { self.t(before) },
            after: if after.is_empty() { String::new() } else { self.t(after) },
        };
        let step = |rule: &str, changes, effect| StepRow {
            place: self.t("prometheus.yml:40"),
            rule: self.t(rule),
            changes,
            effect,
        };
        let changes = vec![
            change("service", "", "checkout"),
            change("instance", "10.0.0.7:8000", "api-1"),
            change("__meta_docker_container_name", "/api-1", ""),
        ];
        let steps = vec![
            step(
                "source_labels: [__meta_docker_container_name]\nregex: /(.*)\ntarget_label: instance",
                changes,
                Effect::Changed,
            ),
            step("regex: tmp_.*\naction: labeldrop", Vec::new(), Effect::Nothing),
            step("source_labels: [job]\nregex: test\naction: drop", Vec::new(), Effect::Dropped),
        ];
        let before = self.labels(&[
            ("__address__", "10.0.0.7:8000"),
            ("__meta_docker_container_name", "/api-1"),
            ("job", "api"),
        ]);
        let result = Some(self.labels(&[("instance", "api-1"), ("job", "api"), ("service", "checkout")]));
        let kept = RelabelPage { pool: self.t("api"), before: before.clone(), steps, result };
        let plain = RelabelPage { pool: self.t("api"), before, steps: Vec::new(), result: None };
        let trial = |failure| TrialPage {
            pool: self.t("api"),
            id: self.t("5c9d0e3a"),
            url: self.t("http://api-1:8000/metrics"),
            failure,
            facts: vec![self.fact("Took", "11 ms"), self.fact("Status", "200 OK"), self.fact("Samples", "1,840")],
            first: vec![
                self.t("http_requests_total{code=\"200\",instance=\"api-1\"} 1204"),
                self.t("up{instance=\"api-1\"} 1"),
            ],
        };
        let failure =
            Failure { fact: self.t("This is JSON, no metrics."), cause: self.t("Are the metrics at /prometheus?") };
        vec![
            ("relabel", kept.render(&shell)),
            ("relabel-dropped", plain.render(&shell)),
            ("trial", trial(None).render(&shell)),
            ("trial-failed", TrialPage { first: Vec::new(), ..trial(Some(failure)) }.render(&shell)),
        ]
    }

    fn discovery_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/service-discovery");
        let row = |labels: &[(&str, &str)], dropped: &str| FoundRow {
            discovered: self.labels(&[("__address__", "10.0.0.7:8000"), ("__meta_docker_container_name", "/api-1")]),
            labels: self.labels(labels),
            dropped: if dropped.is_empty() { String::new() } else { self.t(dropped) },
            relabel_href: self.t("/targets/relabel?pool=api&target=5c9d0e3a"),
        };
        let pool = FoundPool {
            name: self.t("api"),
            summary: self.t("1 kept, 1,240 dropped"),
            place: self.t("prometheus.yml:9"),
            problem: self.t("The socket /var/run/docker.sock cannot be read: permission denied."),
            rows: vec![
                row(&[("instance", "api-1"), ("job", "api")], ""),
                row(&[], "drop by relabel_configs 2, prometheus.yml:40"),
            ],
            all: self.t("1,241"),
        };
        let page = |list| DiscoveryPage { text: self.t("api"), only_dropped: true, list };
        vec![
            ("discovery", page(FoundList::Pools(vec![pool])).render(&shell)),
            ("discovery-unfit", page(FoundList::Pools(Vec::new())).render(&shell)),
            ("discovery-empty", page(FoundList::Nothing).render(&shell)),
            ("discovery-failed", page(FoundList::Failed(self.t("You may not."))).render(&shell)),
        ]
    }

    fn prometheus_pages(&self) -> Vec<Sample> {
        let shell = self.shell("/status/configuration");
        let reload = |problems| Reload {
            at: self.t("10:31:07, 31 minutes ago"),
            cause: self.t("by a change of the file"),
            files: vec![self.t("/etc/prometheus/prometheus.yml")],
            problems,
        };
        let refused = vec![ConfigProblem {
            place: self.t("prometheus.yml:31:5"),
            text: self.t("unknown key `scrape_intervall`, did you mean scrape_interval?"),
            refused: true,
        }];
        let file = [
            "global:",
            "  scrape_interval: 15s",
            "scrape_configs:",
            "- job_name: api",
            "  basic_auth:",
            "    password: <secret>",
        ];
        let line = |(index, text): (usize, &&str)| Line { number: index + 1, text: self.t(text) };
        let lines = Text::Lines(file.iter().enumerate().map(line).collect());
        let page = |reload, text| PrometheusPage { reload, may_reload: true, text };
        vec![
            ("prometheus", page(reload(refused), lines).render(&shell)),
            ("prometheus-none", page(reload(Vec::new()), Text::NotNamed).render(&shell)),
            (
                "prometheus-unread",
                page(reload(Vec::new()), Text::NotRead(self.t("/etc/prometheus/prometheus.yml"))).render(&shell),
            ),
        ]
    }
}
