//! Our own cases of the language: `testdata/syntax`.
//!
//! A file is a run of cases with empty lines between them. A case is a query (`>` in front of further lines) and
//! what must come of it: `= canonical form`, `! start..end message` for each error, `| pretty line at width 20`,
//! `( the query with all parentheses`, `{ JSON`, `@ text` under each node, `- option` switches an option off.

use promql::syntax::json::to_json;
use promql::syntax::{Expr, ParseOptions, parse, parse_metric, parse_selector, pretty};

const WIDTH: usize = 20;

#[derive(Default)]
struct Case {
    query: String,
    off: Vec<String>,
    canonical: Option<String>,
    errors: Vec<String>,
    pretty: Vec<String>,
    grouped: Option<String>,
    spans: Vec<String>,
    json: Option<String>,
}

fn cases(file: &str) -> Vec<Case> {
    let path = format!("{}/testdata/syntax/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the file is there");
    let mut cases = Vec::new();
    for block in text.split("\n\n") {
        let mut case = Case::default();
        for (index, line) in block.lines().filter(|line| !line.starts_with("//")).enumerate() {
            if index == 0 {
                case.query = line.to_owned();
                continue;
            }
            match line.split_at_checked(2) {
                Some(("> ", rest)) => case.query = format!("{}\n{rest}", case.query),
                Some(("= ", rest)) => case.canonical = Some(rest.to_owned()),
                Some(("! ", rest)) => case.errors.push(rest.to_owned()),
                Some(("| ", rest)) => case.pretty.push(rest.to_owned()),
                Some(("( ", rest)) => case.grouped = Some(rest.to_owned()),
                Some(("@ ", rest)) => case.spans.push(rest.to_owned()),
                Some(("+ ", rest)) => {
                    let last = case.spans.last_mut().expect("a text that goes on");
                    *last = format!("{last}\n+ {rest}");
                }
                Some(("- ", rest)) => case.off.push(rest.to_owned()),
                Some(("{ ", rest)) => case.json = Some(rest.to_owned()),
                _ => panic!("{file}: what is {line:?}?"),
            }
        }
        if !case.query.is_empty() {
            cases.push(case);
        }
    }
    assert!(!cases.is_empty(), "{file} has no case");
    cases
}

fn options(off: &[String]) -> ParseOptions {
    let mut options = ParseOptions::ALL;
    for name in off {
        match name.as_str() {
            "experimental_functions" => options.experimental_functions = false,
            "extended_range_selectors" => options.extended_range_selectors = false,
            "binop_fill" => options.binop_fill = false,
            "duration_expr" => options.duration_expr = false,
            other => panic!("no option {other}"),
        }
    }
    options
}

/// The query with parentheses around every operation.
fn grouped(expr: &Expr) -> String {
    match expr {
        Expr::Binary(node) => format!("({} {} {})", grouped(&node.lhs), node.op.as_str(), grouped(&node.rhs)),
        Expr::Unary(node) => format!("({}{})", if node.negative { "-" } else { "+" }, grouped(&node.expr)),
        other => other.to_string(),
    }
}

/// The text under each node.
fn spans(expr: &Expr, query: &str) -> Vec<String> {
    let span = expr.span();
    let mut texts = vec![query[span.start as usize..span.end as usize].to_owned()];
    for child in expr.children() {
        texts.extend(spans(child, query));
    }
    texts
}

#[track_caller]
fn check(file: &str) {
    let mut problems = Vec::new();
    for case in cases(file) {
        let query = &case.query;
        match parse(query, options(&case.off)) {
            Err(errors) => {
                let shown = |error: &promql::syntax::ParseError| {
                    format!("{}..{} {}", error.span.start, error.span.end, error.message)
                };
                let got: Vec<String> = errors.0.iter().map(shown).collect();
                if got != case.errors {
                    problems.push(format!("{query}\n  got    {got:#?}\n  wanted {:#?}", case.errors));
                }
            }
            Ok(_) if !case.errors.is_empty() => problems.push(format!("{query}\n  parsed, wanted {:#?}", case.errors)),
            Ok(expr) => {
                let (printed, json) = (expr.to_string(), to_json(&expr));
                let broken: Vec<String> = pretty(&expr, WIDTH).lines().map(str::to_owned).collect();
                if case.canonical.as_ref().is_some_and(|wanted| *wanted != printed) {
                    problems.push(format!("{query}\n  got    {printed}\n  wanted {:?}", case.canonical));
                }
                if !case.pretty.is_empty() && case.pretty != broken {
                    problems.push(format!("{query}\n  got    {broken:#?}\n  wanted {:#?}", case.pretty));
                }
                if case.grouped.as_ref().is_some_and(|wanted| *wanted != grouped(&expr)) {
                    problems.push(format!("{query}\n  got    {}\n  wanted {:?}", grouped(&expr), case.grouped));
                }
                let spans = spans(&expr, query);
                if !case.spans.is_empty() && case.spans != spans {
                    problems.push(format!("{query}\n  got    {spans:#?}\n  wanted {:#?}", case.spans));
                }
                if case.json.as_ref().is_some_and(|wanted| *wanted != json) {
                    problems.push(format!("{query}\n  got    {json}\n  wanted {:?}", case.json));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn canonical_forms_keep_the_meaning() {
    check("canonical.txt");
}

#[test]
fn errors_say_what_was_expected_and_where() {
    check("errors.txt");
}

#[test]
fn every_node_knows_its_text() {
    check("spans.txt");
}

#[test]
fn every_function_checks_its_arguments() {
    check("functions.txt");
}

#[test]
fn operators_group_by_their_precedence() {
    check("operators.txt");
}

#[test]
fn what_is_switched_off_says_so() {
    check("switches.txt");
}

#[test]
fn long_queries_are_broken_and_indented() {
    check("pretty.txt");
}

#[test]
fn trees_become_the_json_of_prometheus() {
    check("json.txt");
}

#[test]
fn deep_nesting_is_refused_and_not_overflowing() {
    for (open, close) in [("(", ")"), ("abs(", ")"), ("-", ""), ("sum(", ")"), ("a[", "]"), ("1 ^ ", "")] {
        for depth in [50, 100_000] {
            let query = format!("{}a{}", open.repeat(depth), close.repeat(depth));
            let parsed = parse(&query, ParseOptions::ALL);
            assert!(depth < 100 || parsed.is_err(), "{open}");
        }
    }
    let chain = |length: usize| vec!["a"; length].join(" + ");
    assert!(parse(&chain(900), ParseOptions::ALL).is_ok());
    let errors = parse(&chain(100_000), ParseOptions::ALL).expect_err("too high a tree");
    assert!(errors.to_string().contains("nested too deeply"), "{errors}");
    let durations = format!("a[{}]", vec!["1m"; 100_000].join(" + "));
    assert!(parse(&durations, ParseOptions::ALL).is_err());
}

#[test]
fn endless_errors_are_cut_off() {
    let errors = parse(&format!("f(a{}", ",".repeat(100_000)), ParseOptions::ALL).expect_err("many errors");
    assert!(errors.0.len() <= 50, "{}", errors.0.len());
}

#[test]
fn selectors_and_metrics_are_read_by_themselves() {
    let shown = |text: &str| match parse_selector(text) {
        Ok(matchers) => matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(errors) => errors.to_string(),
    };
    for (text, expected) in [
        ("up", "__name__=\"up\""),
        ("up{job=\"x\", a!~\"b|c\"}", "job=\"x\" a!~\"b|c\" __name__=\"up\""),
        ("{\"a.b\"}", "__name__=\"a.b\""),
        ("{}", ""),
        ("sum", "__name__=\"sum\""),
        ("", "unknown position: parse error: unexpected end of input"),
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("rate(up[5m])", "1:5: parse error: unexpected \"(\""),
        ("up{a=}", "1:6: parse error: unexpected \"}\" in label matching, expected string"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
    let shown = |text: &str| parse_metric(text).map_or_else(|errors| errors.to_string(), |labels| labels.to_string());
    for (text, expected) in [
        ("up", "{__name__=\"up\"}"),
        ("{b=\"2\", a=\"1\"}", "{a=\"1\", b=\"2\"}"),
        ("up{a='x',}", "{__name__=\"up\", a=\"x\"}"),
        ("{\"u t\", \"l.l\"=\"v\"}", "{__name__=\"u t\", \"l.l\"=\"v\"}"),
        ("up{a!=\"x\"}", "1:5: parse error: unexpected <op:!=> in label set, expected \"=\""),
        ("up{a=\"x\" b=\"y\"}", "1:10: parse error: unexpected identifier \"b\" in label set, expected \",\" or \"}\""),
        ("up{=}", "1:4: parse error: unexpected \"=\" in label set, expected identifier or \"}\""),
        ("up{}x", "1:5: parse error: unexpected identifier \"x\""),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn positions_are_lines_and_columns() {
    for (text, expected) in [
        ("", "unknown position: parse error: no expression found in input"),
        ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
        ("foo\n  + *", "2:5: parse error: unexpected <op:*>"),
        ("ü", "1:1: parse error: unexpected character: 'ü'"),
        ("{\"ü\"}\n\n}", "3:1: parse error: unexpected character: '}'"),
    ] {
        let errors = parse(text, ParseOptions::ALL).expect_err(text);
        assert_eq!(errors.to_string(), expected);
    }
}

#[test]
fn queries_of_unheard_length_are_refused() {
    let errors = parse(&" ".repeat(5 << 20), ParseOptions::ALL).expect_err("too long");
    assert!(errors.to_string().contains("longer than"), "{errors}");
}
