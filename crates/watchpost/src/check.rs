//! `watchpost check`: reads the configuration as `serve` would, or files of Prometheus, and reports what is wrong.

use std::process::ExitCode;

use appliance::config::load::load;
use appliance::prometheus;
use yaml::{Problem, Problems};

use crate::cli::{Check, ReportFormat};
use crate::sources::sources;
use crate::version::say;

/// Exits with 0 where the configuration is right, 1 where it is not.
pub(crate) fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let (problems, warnings) = if arguments.prometheus.is_empty() { own(arguments) } else { of_prometheus(arguments) };
    say(&report(arguments.format, &problems, &warnings))?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn own(arguments: &Check) -> (Problems, Vec<String>) {
    match load(&sources(arguments.config.clone(), &[], false)) {
        Ok(config) => (Problems::default(), config.warnings),
        Err(problems) => (problems, Vec::new()),
    }
}

fn of_prometheus(arguments: &Check) -> (Problems, Vec<String>) {
    let variable = |name: &str| std::env::var(name).ok();
    let (mut problems, mut warnings) = (Problems::default(), Vec::new());
    for file in &arguments.prometheus {
        let report = prometheus::check::check(file, &variable);
        problems.extend(report.problems);
        warnings.extend(report.warnings.iter().map(ToString::to_string));
    }
    (problems, warnings)
}

fn report(format: ReportFormat, problems: &Problems, warnings: &[String]) -> String {
    match format {
        ReportFormat::Text => as_text(problems, warnings),
        ReportFormat::Json => as_json(problems, warnings),
        ReportFormat::Github => as_github(problems, warnings),
    }
}

fn as_text(problems: &Problems, warnings: &[String]) -> String {
    let mut text = String::new();
    for warning in warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    for problem in problems.iter() {
        text.push_str(&format!("{problem}\n"));
    }
    text.push_str(&match problems.len() {
        0 => "the configuration is right\n".to_owned(),
        1 => "1 problem\n".to_owned(),
        more => format!("{more} problems\n"),
    });
    text
}

fn as_json(problems: &Problems, warnings: &[String]) -> String {
    let object = |problem: &Problem| {
        let place = problem.place();
        serde_json::json!({
            "file": &*place.file, "line": place.line, "column": place.column, "message": message(problem),
        })
    };
    let list: Vec<_> = problems.iter().map(object).collect();
    format!("{}\n", serde_json::json!({"ok": list.is_empty(), "problems": list, "warnings": warnings}))
}

/// What is wrong, without the place.
fn message(problem: &Problem) -> String {
    let text = problem.to_string();
    text.strip_prefix(&format!("{}: ", problem.place())).map_or_else(|| text.clone(), str::to_owned)
}

/// The commands by which a GitHub workflow shows a line beside the file.
fn as_github(problems: &Problems, warnings: &[String]) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let mut text = String::new();
    for warning in warnings {
        text.push_str(&format!("::warning::{}\n", escape(warning)));
    }
    for problem in problems.iter() {
        let place = problem.place();
        let file = escape(&place.file).replace(',', "%2C").replace(':', "%3A");
        text.push_str(&format!(
            "::error file={file},line={},col={}::{}\n",
            place.line,
            place.column,
            escape(&message(problem))
        ));
    }
    text
}
