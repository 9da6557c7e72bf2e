//! The `http_sd_configs` block.

use std::time::Duration;

use net::http_config::{HttpConfig, Url};
use yaml::{At, Context};

yaml::record! {
    /// A server that answers with a list of targets.
    #[yaml(check = HttpSdConfig::check)]
    pub struct HttpSdConfig {
        pub url: Url,
        /// How often it is asked.
        pub refresh_interval: Duration = Duration::from_secs(60),
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

impl HttpSdConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.url.is_empty() {
            cx.problem(at.value("url"), "URL is missing");
        } else if !["http", "https"].contains(&self.url.scheme().as_str()) {
            cx.problem(at.value("url"), "URL scheme must be 'http' or 'https'");
        } else if self.url.host().is_empty() {
            cx.problem(at.value("url"), "host is missing in URL");
        }
        super::super::check_interval(self.refresh_interval, at, cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_refuses_is_refused_in_its_words() {
        for (text, why) in [
            ("refresh_interval: 1m", "URL is missing"),
            ("url: ftp://example.com", "a.yml:1:6: URL scheme must be 'http' or 'https'"),
            ("url: http:///a", "host is missing in URL"),
            ("url: http://a\nrefresh_interval: 0s", "refresh_interval must be greater than zero"),
            (
                "url: http://foo\nbearer_token: foo\nbearer_token_file: foo",
                "a.yml:3:1: at most one of bearer_token & bearer_token_file must be configured",
            ),
        ] {
            let problems = yaml::from_str::<HttpSdConfig>("a.yml", text).expect_err(text).to_string();
            assert!(problems.contains(why), "{text}: {problems}");
        }
        let good = yaml::from_str::<HttpSdConfig>("a.yml", "url: http://a/b\nfollow_redirects: false").expect("fits");
        assert!(!good.http.follow_redirects);
    }
}
