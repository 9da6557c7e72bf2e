//! Addresses of Prometheus's own query page, which stand in bookmarks, chats and every alert's source link.

use serde::Deserialize;

use super::address;

/// The first panel of such an address. Further panels had queries of their own; this page shows one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Old {
    #[serde(rename = "g0.expr")]
    expr: String,
    /// `0`, `graph`: over time; `1`, `table`: at one time; `2`, `explain`.
    #[serde(rename = "g0.tab")]
    tab: String,
    #[serde(rename = "g0.range_input")]
    range: String,
    #[serde(rename = "g0.end_input")]
    end: String,
    #[serde(rename = "g0.moment_input")]
    moment: String,
    #[serde(rename = "g0.step_input")]
    step: String,
    /// How later versions write a step: seconds.
    #[serde(rename = "g0.res_step")]
    fixed_step: String,
}

impl Old {
    /// The same here; `None` where nothing was asked.
    pub(super) fn address(&self) -> Option<String> {
        if self.expr.is_empty() {
            return None;
        }
        let over = matches!(self.tab.as_str(), "0" | "graph");
        let show = if matches!(self.tab.as_str(), "2" | "explain") { "explain" } else { "" };
        let range = if self.range.is_empty() { "1h" } else { &self.range };
        let step = if self.step.is_empty() { &self.fixed_step } else { &self.step };
        let to = if over || self.moment.is_empty() { &self.end } else { &self.moment };
        let (from, step) = if over { (range, step.as_str()) } else { ("", "") };
        Some(address([("expr", self.expr.as_str()), ("from", from), ("to", to), ("step", step), ("show", show)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let get =
            |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone()).unwrap_or_default();
        let old = Old {
            expr: get("g0.expr"),
            tab: get("g0.tab"),
            range: get("g0.range_input"),
            end: get("g0.end_input"),
            moment: get("g0.moment_input"),
            step: get("g0.step_input"),
            fixed_step: get("g0.res_step"),
        };
        assert_eq!(old.address().unwrap_or_default(), expected, "{query}");
    }

    #[test]
    fn what_was_asked_there_is_asked_here() {
        check("g0.expr=up+%3D%3D+0&g0.tab=1", "/query?expr=up+%3D%3D+0");
        check("g0.expr=up&g0.tab=0&g0.range_input=6h&g0.step_input=30", "/query?expr=up&from=6h&step=30");
        check(
            "g0.expr=up&g0.tab=graph&g0.end_input=2026-11-20+10%3A00",
            "/query?expr=up&from=1h&to=2026-11-20+10%3A00",
        );
        check(
            "g0.expr=up&g0.tab=table&g0.moment_input=2026-11-20+10%3A00%3A07",
            "/query?expr=up&to=2026-11-20+10%3A00%3A07",
        );
        check("g0.expr=up&g0.tab=explain&g0.res_type=fixed&g0.res_step=5", "/query?expr=up&show=explain");
        check("g0.expr=up&g0.tab=graph&g0.res_type=fixed&g0.res_step=5", "/query?expr=up&from=1h&step=5");
        check("g1.expr=up", "");
    }
}
