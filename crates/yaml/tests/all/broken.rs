//! Input that breaks off, was damaged or wants to do harm: refused or read, within the limits, without a panic.
//!
//! Nothing here measures time: a limit that does not hold shows as memory or a test that never ends.

use yaml::parse::{DEPTH_MAX, INPUT_BYTES_MAX};

const SAMPLE: &str = include_str!("../../testdata/sample.yml");

/// Reads, and if it reads: writes and reads again.
fn survive(bytes: &[u8]) {
    let Ok(node) = yaml::parse_bytes("broken.yml", bytes) else { return };
    let _either = yaml::decode::<yaml::Map<Vec<String>>>(&node);
    let text = yaml::to_string(&node);
    let again = yaml::parse("written.yml", &text).map_err(|problems| problems.to_string());
    let line = again.map(|again| yaml::write::to_line(&again));
    assert_eq!(line, Ok(yaml::write::to_line(&node)), "{text:?}\nread from {:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn the_sample_reads() {
    let node = yaml::parse("sample.yml", SAMPLE).expect("the sample is good");
    let job = &node.get("scrape_configs").and_then(|jobs| jobs.as_list()).expect("jobs")[0];
    assert!(job.get("scrape_interval").is_some(), "merged in");
    survive(SAMPLE.as_bytes());
}

#[test]
fn a_file_cut_off_at_any_byte_is_read_or_refused() {
    for end in 0..SAMPLE.len() {
        survive(&SAMPLE.as_bytes()[..end]);
    }
}

/// A small generator with a fixed seed: a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn a_damaged_file_is_read_or_refused() {
    let alphabet = b"-:?,[]{}#&*!|>'\"%@` \n\t~<=ab0.$\\\r\xc3\xa4\xff";
    let mut random = Random(0x5eed);
    for _ in 0..1_500 {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = random.below(bytes.len());
            let with = alphabet[random.below(alphabet.len())];
            match random.below(4) {
                0 => bytes[at] = with,
                1 => bytes.insert(at, with),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        survive(&bytes);
    }
}

#[test]
fn arbitrary_punctuation_is_read_or_refused() {
    let alphabet = [
        "- ", ": ", "? ", ", ", "[", "]", "{", "}", "# ", "&a ", "*a", "!", "|", ">", "'", "\"", "\n", "  ", "a", "<<",
    ];
    let mut random = Random(0xa11);
    for _ in 0..6_000 {
        let length = random.below(40);
        let text: String = (0..length).map(|_| alphabet[random.below(alphabet.len())]).collect();
        survive(text.as_bytes());
    }
}

#[track_caller]
fn refused(text: &str, part: &str) {
    let problems = yaml::parse("hostile.yml", text).expect_err("over the limit").to_string();
    assert!(problems.contains(part), "{problems}");
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..=30 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    refused(&text, "expected anchors and aliases that expand to at most 16 MiB, found more");
}

#[test]
fn a_long_text_repeated_by_aliases_is_refused() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    refused(&text, "expected anchors and aliases");
}

#[test]
fn merging_many_maps_is_refused_by_the_same_limit() {
    let keys: String = (0..2_000).map(|key| format!("  k{key}: v\n")).collect();
    let text = format!("a: &a\n{keys}b:\n  <<: [{}]\n", vec!["*a"; 1_000].join(", "));
    refused(&text, "expected anchors and aliases");
}

#[test]
fn nesting_is_refused_beyond_its_limit_and_read_up_to_it() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(yaml::parse("deep.yml", &nested(DEPTH_MAX)).is_ok());
    refused(&nested(DEPTH_MAX + 1), "at most 64 lists and maps");
    for opening in ["[", "{a: ", "- ", "? "] {
        refused(&opening.repeat(5_000), "");
    }
    let block: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    refused(&block, "at most 64 lists and maps");
}

#[test]
fn an_alias_counts_with_the_depth_of_what_it_names() {
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let text = format!("a: &a {deep}\nb: {}*a{}\n", "[".repeat(30), "]".repeat(30));
    refused(&text, "at most 64 lists and maps");
}

#[test]
fn a_file_beyond_the_size_limit_is_refused_before_it_is_read() {
    refused(&" ".repeat(INPUT_BYTES_MAX + 1), "expected at most 32 MiB");
}
