//! `/etc/resolv.conf`: which servers to ask, and under which domains a short name is looked for.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::DiscoveryError;

/// As many as the C library looks at.
const SERVERS_MAX: usize = 3;
const DOMAINS_MAX: usize = 32;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<IpAddr>,
    domains: Vec<String>,
    /// A name with as many dots is tried as it is before the domains.
    dots: usize,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
}

pub(super) async fn read(path: &Path) -> Result<ResolvConf, DiscoveryError> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| DiscoveryError::File { path: path.to_owned(), why: error.to_string() })?;
    let conf = ResolvConf::parse(&text);
    if conf.servers.is_empty() {
        return Err(DiscoveryError::File {
            path: path.to_owned(),
            why: "names no server, expected nameserver lines".to_owned(),
        });
    }
    Ok(conf)
}

impl ResolvConf {
    fn parse(text: &str) -> Self {
        let timeout = Duration::from_secs(5);
        let mut conf = Self { servers: Vec::new(), domains: Vec::new(), dots: 1, timeout, attempts: 2 };
        for line in text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default()) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < SERVERS_MAX => {
                    // A scope (`fe80::1%eth0`) is left out: such servers cannot be asked by address alone.
                    conf.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                Some("search" | "domain") => {
                    conf.domains = words.take(DOMAINS_MAX).map(|word| word.trim_end_matches('.').to_owned()).collect();
                }
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let Some((key, number)) = word.split_once(':') else { return };
        let Ok(number) = number.parse::<u32>() else { return };
        match key {
            "ndots" => self.dots = number.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(number.clamp(1, 30).into()),
            "attempts" => self.attempts = number.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let mut names: Vec<String> = self.domains.iter().map(|domain| format!("{name}.{domain}.")).collect();
        let whole = format!("{name}.");
        let at = if name.matches('.').count() >= self.dots { 0 } else { names.len() };
        names.insert(at, whole);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_the_system_does() {
        let text = "# by dhcp\nnameserver 10.0.0.2\nnameserver ::1 ; comment\nsearch a.example b.example.\n\
                    options ndots:2 timeout:1 attempts:9 rotate\nnameserver nonsense\nnameserver 1.1.1.1\nnameserver 1.1.1.2\n";
        let conf = ResolvConf::parse(text);
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.2", "::1", "1.1.1.1"]);
        assert_eq!((conf.timeout, conf.attempts), (Duration::from_secs(1), 5));
        assert_eq!(conf.names("x"), ["x.a.example.", "x.b.example.", "x."]);
        assert_eq!(conf.names("x.y.z"), ["x.y.z.", "x.y.z.a.example.", "x.y.z.b.example."]);
        assert_eq!(conf.names("x.y."), ["x.y."]);
    }
}
