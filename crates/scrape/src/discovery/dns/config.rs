//! The `dns_sd_configs` block.

use std::str::FromStr;
use std::time::Duration;

use yaml::{At, Context};

yaml::record! {
    /// Names that are asked for periodically.
    #[yaml(check = DnsSdConfig::check)]
    pub struct DnsSdConfig {
        pub names: Vec<String>,
        pub refresh_interval: Duration = Duration::from_secs(30),
        /// `SRV`, `A`, `AAAA`, `MX` or `NS`, in any case.
        #[yaml(name = "type")]
        pub kind: String = "SRV".to_owned(),
        /// The port of the targets, for all but SRV.
        pub port: u16 = 0,
    }
}

/// The kinds of record that name targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    A,
    Aaaa,
    Srv,
    Mx,
    Ns,
}

impl FromStr for RecordKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "A" => Ok(Self::A),
            "AAAA" => Ok(Self::Aaaa),
            "SRV" => Ok(Self::Srv),
            "MX" => Ok(Self::Mx),
            "NS" => Ok(Self::Ns),
            _ => Err(format!("invalid DNS-SD records type {text}")),
        }
    }
}

impl DnsSdConfig {
    fn check(&self, at: &At<'_>, cx: &mut Context) {
        if self.names.is_empty() {
            cx.problem(at.map(), "DNS-SD config must contain at least one SRV record name");
        }
        match self.kind.parse::<RecordKind>() {
            Ok(RecordKind::Srv) => {}
            Ok(_) if self.port == 0 => {
                cx.problem(at.map(), "a port is required in DNS-SD configs for all record types except SRV");
            }
            Ok(_) => {}
            Err(sentence) => cx.problem(at.value("type"), sentence),
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
            ("type: A\nport: 80", "DNS-SD config must contain at least one SRV record name"),
            ("names: [a]\ntype: A", "a port is required in DNS-SD configs for all record types except SRV"),
            ("names: [a]\ntype: PTR", "a.yml:2:7: invalid DNS-SD records type PTR"),
            ("names: [a]\nport: 70000", "expected a whole number from 0 to 65535"),
        ] {
            let problems = yaml::from_str::<DnsSdConfig>("a.yml", text).expect_err(text).to_string();
            assert!(problems.contains(why), "{text}: {problems}");
        }
        let good = yaml::from_str::<DnsSdConfig>("a.yml", "names: [a, b]\ntype: aaaa\nport: 1").expect("fits");
        assert_eq!((good.kind.parse(), good.refresh_interval), (Ok(RecordKind::Aaaa), Duration::from_secs(30)));
        assert!(yaml::from_str::<DnsSdConfig>("a.yml", "names: [a]").is_ok(), "SRV needs no port");
    }
}
