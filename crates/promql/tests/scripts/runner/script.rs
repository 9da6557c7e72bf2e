//! The text of a script: commands and their bodies.

use regex::Regex;
use std::sync::LazyLock;

use model::time::parse_duration;
use promql::syntax::quote::unquote;

/// One command with what belongs to it.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Clear,
    Load(Load),
    Eval(Case),
}

/// `load 5m` with its series.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) step_ms: i64,
    /// Also build native histograms with custom buckets from the classic ones.
    pub(crate) with_nhcb: bool,
    pub(crate) lines: Vec<String>,
}

/// `eval …` with what is expected.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) query: String,
    pub(crate) when: When,
    pub(crate) expect: Expect,
}

/// When it is evaluated, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

/// How a text must look.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Any,
    Exactly(String),
    Matching(Regex),
}

impl Text {
    pub(crate) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => expected == text,
            Self::Matching(regex) => regex.is_match(text),
        }
    }
}

/// What a case expects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expect {
    pub(crate) fail: Option<Text>,
    pub(crate) warn: Vec<Text>,
    pub(crate) info: Vec<Text>,
    pub(crate) no_warn: bool,
    pub(crate) no_info: bool,
    pub(crate) ordered: bool,
    pub(crate) string: Option<String>,
    pub(crate) scalar: Option<f64>,
    /// The times of a range vector result.
    pub(crate) matrix: Option<(i64, i64, i64)>,
    pub(crate) lines: Vec<String>,
}

static INSTANT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$").expect("a valid pattern")
});
static RANGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
        .expect("a valid pattern")
});
static MATRIX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^expect\s+range\s+vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$").expect("a valid pattern")
});
static EXPECT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$").expect("a valid pattern")
});

/// The commands of a script with their line numbers.
pub(crate) fn commands(text: &str) -> Vec<(usize, Result<Command, String>)> {
    let lines: Vec<&str> =
        text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        if line.is_empty() {
            continue;
        }
        let number = at;
        let word = line.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        if word == "clear" {
            out.push((number, Ok(Command::Clear)));
            continue;
        }
        let body: Vec<&str> = lines[at..].iter().take_while(|line| !line.is_empty()).copied().collect();
        if word.starts_with("load") {
            at += body.len();
            out.push((number, load(line, &body).map(Command::Load)));
        } else if word.starts_with("eval") {
            let mut used = 0;
            out.push((number, case(line, &body, &mut used).map(Command::Eval)));
            at += used;
        } else {
            out.push((number, Err(format!("unknown command {word:?}"))));
        }
    }
    out
}

fn load(line: &str, body: &[&str]) -> Result<Load, String> {
    let (word, step) = line.split_once(char::is_whitespace).ok_or("load without a step")?;
    Ok(Load {
        step_ms: millis(step.trim())?,
        with_nhcb: word.eq_ignore_ascii_case("load_with_nhcb"),
        lines: body.iter().map(|line| (*line).to_owned()).collect(),
    })
}

/// A duration, also a negative one.
fn millis(text: &str) -> Result<i64, String> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let duration = parse_duration(text.trim()).map_err(|error| error.to_string())?;
    Ok(sign * i64::try_from(duration.as_millis()).map_err(|error| error.to_string())?)
}

/// An `eval` and its body. `used` is how many lines belong to it, also where something is wrong.
fn case(line: &str, body: &[&str], used: &mut usize) -> Result<Case, String> {
    *used = body.len();
    let (variant, when, query) = head(line)?;
    let mut expect = Expect::default();
    match variant.to_ascii_lowercase().as_str() {
        "fail" => expect.fail = Some(Text::Any),
        "warn" => expect.warn.push(Text::Any),
        "info" => expect.info.push(Text::Any),
        "ordered" => expect.ordered = true,
        _ => {}
    }
    for (index, line) in body.iter().enumerate() {
        if expectation(line, &mut expect)? {
            continue;
        }
        if let Some(value) = promql::engine::number::parse(line) {
            expect.scalar = Some(value);
            *used = index + 1;
            break;
        }
        expect.lines.push((*line).to_owned());
    }
    Ok(Case { query, when, expect })
}

fn head(line: &str) -> Result<(String, When, String), String> {
    let group = |found: &regex::Captures<'_>, at: usize| found.get(at).map_or("", |m| m.as_str()).to_owned();
    if let Some(found) = INSTANT.captures(line) {
        let at = group(&found, 2);
        let when = When::Instant(if at.is_empty() { 0 } else { millis(&at)? });
        return Ok((group(&found, 1), when, group(&found, 3)));
    }
    let found = RANGE.captures(line).ok_or("an eval that is neither instant nor range")?;
    let when = When::Range {
        start: millis(&group(&found, 2))?,
        end: millis(&group(&found, 3))?,
        step: millis(&group(&found, 4))?,
    };
    Ok((group(&found, 1), when, group(&found, 5)))
}

/// Reads a line that says what to expect. False: it is a result.
fn expectation(line: &str, expect: &mut Expect) -> Result<bool, String> {
    if let Some(text) = line.strip_prefix("expected_fail_message ") {
        expect.fail = Some(Text::Exactly(text.trim().to_owned()));
        return Ok(true);
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp ") {
        expect.fail = Some(matching(pattern.trim())?);
        return Ok(true);
    }
    if let Some(literal) = line.strip_prefix("expect string ") {
        let text = unquote(literal.trim()).ok_or_else(|| format!("not a string: {literal}"))?;
        expect.string = Some(text.text());
        return Ok(true);
    }
    if let Some(found) = MATRIX.captures(line) {
        expect.matrix = Some((millis(&found[1])?, millis(&found[2])?, millis(&found[3])?));
        return Ok(true);
    }
    let is_expect = line == "expect" || line.starts_with("expect ") || line.starts_with("expect\t");
    if !is_expect {
        return Ok(false);
    }
    let found = EXPECT.captures(line).ok_or_else(|| format!("unknown expectation {line:?}"))?;
    let text = match (found.get(2).map(|m| m.as_str()), found.get(3)) {
        (Some("msg"), Some(text)) => Text::Exactly(text.as_str().trim().to_owned()),
        (Some("regex"), Some(pattern)) => matching(pattern.as_str().trim())?,
        _ => Text::Any,
    };
    match &found[1] {
        "ordered" => expect.ordered = true,
        "fail" => expect.fail = Some(text),
        "warn" => expect.warn.push(text),
        "info" => expect.info.push(text),
        "no_warn" => expect.no_warn = true,
        _ => expect.no_info = true,
    }
    Ok(true)
}

fn matching(pattern: &str) -> Result<Text, String> {
    Regex::new(pattern).map(Text::Matching).map_err(|error| error.to_string())
}
