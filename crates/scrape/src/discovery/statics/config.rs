//! The `static_configs` block, which is also one entry of a file or HTTP list.

use yaml::{At, Context, Map, Spanned};

yaml::record! {
    /// Addresses and the labels they have in common.
    #[yaml(check = StaticConfig::check)]
    pub struct StaticConfig {
        /// `host:port` each. A URL is refused by the job, and only where it has no rules that could take it apart.
        pub targets: Vec<Spanned<String>>,
        pub labels: Map<String>,
    }
}

impl StaticConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        for (name, _) in self.labels.iter().filter(|(name, _)| name.is_empty()) {
            cx.problem(at.value("labels"), format!("{name:?} is not a valid label name"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_name_and_an_address_is_judged_with_the_rules_of_its_job() {
        let good = yaml::from_str::<StaticConfig>("a.yml", "targets: [a:1, 'b']\nlabels: {env: prod}").expect("fits");
        assert_eq!((good.targets.len(), good.labels.get("env").map(String::as_str)), (2, Some("prod")));
        let problems =
            yaml::from_str::<StaticConfig>("a.yml", "targets: [http://rules-may-change-it]\nlabels: {'': x}");
        let problems = problems.expect_err("no name").to_string();
        assert!(!problems.contains("hostname"), "{problems}");
        assert!(problems.contains("\"\" is not a valid label name"), "{problems}");
    }
}
