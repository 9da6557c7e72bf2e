//! The `docker_sd_configs` block.

use std::time::Duration;

use net::http_config::{HttpConfig, Url};
use yaml::{At, Context};

yaml::record! {
    /// A Docker daemon.
    #[yaml(check = DockerSdConfig::check)]
    pub struct DockerSdConfig {
        /// `unix:///var/run/docker.sock`, `tcp://…`, `http://…` or `https://…`.
        pub host: Url,
        /// The port of containers that expose none.
        pub port: u16 = 80,
        /// What the daemon is asked to leave out.
        pub filters: Vec<DockerFilter>,
        /// The address of containers that use the host's network.
        pub host_networking_host: String = "localhost".to_owned(),
        pub refresh_interval: Duration = Duration::from_secs(60),
        /// Of several networks only the first by name.
        pub match_first_network: bool = true,
        #[yaml(flatten)]
        pub http: HttpConfig,
    }
}

yaml::record! {
    /// A filter of the daemon's list of containers.
    pub struct DockerFilter {
        pub name: String,
        pub values: Vec<String>,
    }
}

impl DockerSdConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        let scheme = self.host.scheme();
        if self.host.is_empty() {
            cx.problem(at.value("host"), "host missing");
        } else if !["unix", "tcp", "http", "https"].contains(&scheme.as_str()) {
            cx.problem(at.value("host"), "unable to parse docker host, expected unix://, tcp://, http:// or https://");
        }
        super::super::check_interval(self.refresh_interval, at, cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_has_an_address() {
        for (text, why) in [
            ("port: 80", "host missing"),
            ("host: ''", "host missing"),
            ("host: /var/run/docker.sock", "unable to parse docker host"),
            ("host: tcp://a:1\nauthorization: {type: basic}", "use \"basic_auth\" instead"),
        ] {
            let problems = yaml::from_str::<DockerSdConfig>("a.yml", text).expect_err(text).to_string();
            assert!(problems.contains(why), "{text}: {problems}");
        }
        let text = "host: unix:///var/run/docker.sock\nfilters: [{name: label, values: [a, b]}]";
        let good = yaml::from_str::<DockerSdConfig>("a.yml", text).expect("fits");
        assert_eq!((good.port, good.host_networking_host.as_str()), (80, "localhost"));
        assert!(good.match_first_network && good.filters[0].values == ["a", "b"]);
    }
}
