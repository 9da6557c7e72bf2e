//! A query in its colours, and what the engine noted about it with the place it means.

use model::query::Notes;
use promql::editor::{Role, highlight};
use promql::syntax::Expr;

use crate::pages::query::{Note, Piece};
use crate::tone::Tone;

/// Beyond this the field stays plain: the colours would weigh more than the query.
const PAINTED_BYTES_MAX: usize = 4_000;

/// The query in pieces that together are the query; none where it is too long.
pub(super) fn pieces(query: &str) -> Vec<Piece> {
    if query.trim().is_empty() || query.len() > PAINTED_BYTES_MAX {
        return Vec::new();
    }
    let mut pieces = Vec::new();
    let mut done = 0;
    let mut put = |class: &'static str, text: &str| {
        if !text.is_empty() {
            pieces.push(Piece { class, text: text.to_owned() });
        }
    };
    for part in highlight(query) {
        let (start, end) = (part.span.start as usize, part.span.end as usize);
        // A span outside the text or inside a letter would be a bug of the scanner; the field then stays plain.
        let (Some(between), Some(text)) = (query.get(done..start), query.get(start..end)) else { return Vec::new() };
        put("", between);
        put(class(part.role), text);
        done = end;
    }
    put("", query.get(done..).unwrap_or_default());
    pieces
}

fn class(role: Role) -> &'static str {
    match role {
        Role::Function | Role::Aggregation | Role::Keyword => "q-word",
        Role::Label => "q-label",
        Role::String => "q-text",
        Role::Number | Role::Duration => "q-number",
        Role::Comment => "q-comment",
        Role::Unreadable => "q-wrong",
        Role::Metric | Role::Operator | Role::Punctuation => "",
    }
}

/// Warnings first, then infos, each with what stands at its place.
pub(super) fn notes(query: &str, expr: &Expr, notes: &Notes) -> Vec<Note> {
    let warnings = notes.warnings.iter().map(|text| (Tone::Warning, text));
    let infos = notes.infos.iter().map(|text| (Tone::Info, text));
    warnings.chain(infos).map(|(tone, text)| note(query, expr, tone, text)).collect()
}

fn note(query: &str, expr: &Expr, tone: Tone, text: &str) -> Note {
    let said = text.trim_start_matches("PromQL warning: ").trim_start_matches("PromQL info: ");
    let placed = said.strip_suffix(')').and_then(|said| said.rsplit_once(" ("));
    let placed = placed.filter(|(_, place)| !place.is_empty() && place.chars().all(|c| c.is_ascii_digit() || c == ':'));
    let (said, place) = placed.unwrap_or((said, ""));
    Note {
        tone,
        text: super::refusal::sentence(said),
        place: place.to_owned(),
        snippet: at(query, expr, place).unwrap_or_default().to_owned(),
    }
}

/// The text of the largest part that begins at a place.
fn at<'q>(query: &'q str, expr: &Expr, place: &str) -> Option<&'q str> {
    let (line, column) = place.split_once(':')?;
    let wanted = (line.parse().ok()?, column.parse().ok()?);
    let mut waiting = vec![expr];
    while let Some(expr) = waiting.pop() {
        let span = expr.span();
        if span.line_col(query) == wanted {
            return query.get(span.start as usize..span.end as usize);
        }
        waiting.extend(expr.children());
    }
    None
}

#[cfg(test)]
mod tests {
    use promql::syntax::{ParseOptions, parse};

    use super::*;

    #[test]
    fn the_pieces_together_are_the_query() {
        for query in ["sum by (job) (rate(up{a=\"ü\"}[5m])) > 1 # so", " \n up", "rate(foo{a=\"b", "𝄞 + 1", "foo $ bar"]
        {
            let whole: String = pieces(query).iter().map(|piece| piece.text.as_str()).collect();
            assert_eq!(whole, query);
        }
        let painted = pieces("rate(up{a=\"b\"}[5m])");
        let classes: Vec<&str> = painted.iter().map(|piece| piece.class).filter(|class| !class.is_empty()).collect();
        assert_eq!(classes, ["q-word", "q-label", "q-text", "q-number"]);
        assert!(pieces(&"x".repeat(5_000)).is_empty() && pieces("  ").is_empty());
    }

    #[test]
    fn a_note_names_its_place_and_what_stands_there() {
        let query = "sum(\n  rate(up[5m]))";
        let expr = parse(query, ParseOptions::ALL).unwrap();
        let known = Notes {
            warnings: vec!["PromQL warning: something (is) odd (2:8)".to_owned()],
            infos: vec!["PromQL info: metric might not be a counter".to_owned()],
        };
        let notes = notes(query, &expr, &known);
        let shown = |note: &Note| (note.text.clone(), note.place.clone(), note.snippet.clone());
        assert_eq!(shown(&notes[0]), ("Something (is) odd.".into(), "2:8".into(), "up[5m]".into()));
        assert_eq!(shown(&notes[1]), ("Metric might not be a counter.".into(), String::new(), String::new()));
        assert_eq!((notes[0].tone, notes[1].tone), (Tone::Warning, Tone::Info));
    }
}
