//! Blocks of `remote_write` and `remote_read`: what is refused, in which words, and what is warned of.

use super::*;

fn write(text: &str) -> Result<RemoteWriteConfig, String> {
    yaml::from_str("prometheus.yml", text).map_err(|problems| problems.to_string())
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let problem = write(text).expect_err("it is wrong");
    assert!(problem.contains(expected), "{text}: {problem}");
}

#[test]
fn a_block_with_only_an_address_has_the_defaults_of_prometheus() {
    let block = write("url: https://host/api/v1/write").expect("it is good");
    assert_eq!(block.remote_timeout, Duration::from_secs(30));
    assert_eq!(block.queue_config.capacity, 10_000);
    assert_eq!((block.queue_config.min_shards, block.queue_config.max_shards), (1, 50));
    assert_eq!(block.queue_config.batch_send_deadline, Duration::from_secs(5));
    assert_eq!(block.protobuf_message.0, Version::V1);
    assert!(block.metadata_config.send && !block.send_exemplars);
    assert_eq!(block.queue_name().len(), 6);
    assert!(block.warnings().is_empty(), "{:?}", block.warnings());
}

#[test]
fn everything_a_block_may_say_is_read() {
    let block = write(
        "url: http://remote2/push\nname: two\nprotobuf_message: io.prometheus.write.v2.Request\n\
         headers: {X-Scope-OrgID: a}\nsend_exemplars: true\nremote_timeout: 5s\n\
         basic_auth: {username: u, password: p}\nenable_http2: false\n\
         queue_config: {retry_on_http_429: true, sample_age_limit: 1h, max_samples_per_send: 10}\n\
         metadata_config: {send: false, send_interval: 10s, max_samples_per_send: 7}\n\
         write_relabel_configs: [{source_labels: [__name__], regex: a.*, action: drop}]\n",
    )
    .expect("it is good");
    assert_eq!((block.queue_name().as_str(), block.protobuf_message.0), ("two", Version::V2));
    assert_eq!(block.headers.get("X-Scope-OrgID").map(String::as_str), Some("a"));
    assert_eq!((block.rules().count(), block.faults(NameScheme::Utf8).count()), (1, 0));
    assert!(block.queue_config.retry_on_http_429 && !block.http.enable_http2);
}

#[test]
fn what_prometheus_refuses_is_refused_in_its_words() {
    refused("name: a", "url for remote_write is empty");
    refused("url: a\nheaders: {Authorization: x}", "authorization header must be changed via the basic_auth");
    refused(
        "url: a\nheaders: {x-prometheus-remote-write-version: x}",
        "x-prometheus-remote-write-version is a reserved header. It must not be changed",
    );
    refused("url: a\nwrite_relabel_configs: [null]", "empty or null relabeling rule in remote write config");
    refused(
        "url: a\nprotobuf_message: io.prometheus.writet.v2.Request",
        "invalid protobuf_message value: unknown type for remote write protobuf message \
         io.prometheus.writet.v2.Request, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
    );
    refused(
        "url: a\nsigv4: {}\nbasic_auth: {username: a}",
        "must be configured. Currently configured: [basic_auth sigv4]",
    );
    for (queue, expected) in [
        ("capacity: 0", "remote write queue capacity must be positive"),
        ("max_shards: 0", "remote write queue max_shards must be positive"),
        ("min_shards: 0", "remote write queue min_shards must be positive"),
        ("min_shards: 100, max_shards: 10", "remote write queue min_shards must not be greater than max_shards"),
        ("min_backoff: 10s, max_backoff: 1s", "remote write queue max_backoff must not be less than min_backoff"),
    ] {
        refused(&format!("url: a\nqueue_config: {{{queue}}}"), expected);
    }
    let read = yaml::from_str::<RemoteReadConfig>("p.yml", "headers: {x-prometheus-remote-read-version: x}");
    let problem = read.expect_err("it is wrong").to_string();
    assert!(problem.contains("url for remote_read is empty"), "{problem}");
    assert!(problem.contains("x-prometheus-remote-read-version is a reserved header"), "{problem}");
}

#[test]
fn what_cannot_be_done_is_named_with_its_place() {
    let block = write("url: localhost:9090\nsigv4: {region: x}\nround_robin_dns: true").expect("it is read");
    let warnings: Vec<String> = block.warnings().iter().map(|(place, text)| format!("{place}: {text}")).collect();
    assert_eq!(
        warnings,
        [
            "prometheus.yml:2:8: sigv4 is not supported: nothing is sent to this remote_write",
            "prometheus.yml:1:6: url has no scheme http or https: nothing is sent to this remote_write",
            "prometheus.yml:3:18: round_robin_dns is not supported: addresses are taken as the resolver gives them",
        ]
    );
    assert_eq!(block.skipped().map(|(_, key)| key), Some("sigv4"));
}

#[test]
fn two_blocks_of_one_name_clash_and_nameless_ones_do_not() {
    let names: Vec<Spanned<String>> = yaml::from_str("p.yml", "[a, '', b, '', a]").expect("five texts");
    let clashes = name_clashes("write", &names);
    assert_eq!(clashes.len(), 1);
    assert_eq!(clashes[0].1, "found multiple remote write configs with job name \"a\"");
    assert_eq!(clashes[0].0.to_string(), "p.yml:1:16");
}

#[test]
fn a_rule_that_contradicts_itself_is_found_with_its_place() {
    let block = write("url: a\nwrite_relabel_configs:\n- {action: hashmod, target_label: a}").expect("it is read");
    let faults: Vec<String> = block.faults(NameScheme::Utf8).map(|(place, text)| format!("{place}: {text}")).collect();
    assert_eq!(faults, ["prometheus.yml:3:3: relabel configuration for hashmod requires non-zero modulus"]);
}
