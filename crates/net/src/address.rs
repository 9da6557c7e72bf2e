//! Networks as people write them (`10.0.0.0/8`, `::1`), and which addresses we may connect to.
//!
//! Promise: an address hidden in another notation (v4-mapped, NAT64, 6to4) is judged by the address it leads to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

/// Not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a network: {0:?}, expected for example 10.0.0.0/8, 192.168.1.7 or fd00::/8")]
pub struct BadNetwork(pub String);

impl Network {
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                same_prefix(base.to_bits().into(), ip.to_bits().into(), self.bits, 32)
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => same_prefix(base.to_bits(), ip.to_bits(), self.bits, 128),
            _ => false,
        }
    }
}

fn same_prefix(a: u128, b: u128, bits: u8, width: u8) -> bool {
    bits == 0 || (a ^ b) >> (width - bits) == 0
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base = address.parse::<IpAddr>().map_err(|_| bad())?.to_canonical();
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            // "+8" parses as a number and is not a prefix length.
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().map_err(|_| bad())?,
            Some(_) => return Err(bad()),
        };
        if bits > width {
            return Err(bad());
        }
        Ok(Self { base, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

yaml::text_type!(Network, "an address or network such as 10.0.0.0/8");

/// A kind of address that an outbound policy can deny; the names are those of the `outbound.deny` setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// This machine: 127/8, `::1`, and the unspecified addresses, which the kernel connects to this machine.
    Loopback,
    /// One cable, and the metadata services of clouds (169.254.169.254, `fd00:ec2::254`).
    LinkLocal,
    /// RFC 1918, carrier-grade NAT and unique local addresses.
    Private,
    /// Multicast, broadcast and reserved: never a place to connect to.
    Unusable,
    Public,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Private => "private",
            Self::Unusable => "unusable",
            Self::Public => "public",
        })
    }
}

impl FromStr for AddressClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "link_local" => Ok(Self::LinkLocal),
            "private" => Ok(Self::Private),
            _ => Err(format!("unknown address class {text:?}, expected loopback, link_local or private")),
        }
    }
}

/// Amazon's metadata service over IPv6 lives in private space; it is as sensitive as 169.254.169.254.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What kind of place an address is.
#[must_use]
pub fn classify(ip: IpAddr) -> AddressClass {
    match ip.to_canonical() {
        IpAddr::V4(ip) => classify_v4(ip),
        IpAddr::V6(ip) => embedded_v4(ip).map_or_else(|| classify_v6(ip), classify_v4),
    }
}

fn classify_v4(ip: Ipv4Addr) -> AddressClass {
    let [a, b, ..] = ip.octets();
    match (a, b) {
        (0 | 127, _) => AddressClass::Loopback,
        (169, 254) => AddressClass::LinkLocal,
        (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) => AddressClass::Private,
        (224.., _) => AddressClass::Unusable,
        _ => AddressClass::Public,
    }
}

fn classify_v6(ip: Ipv6Addr) -> AddressClass {
    let first = ip.segments()[0];
    if ip.is_loopback() || ip.is_unspecified() {
        AddressClass::Loopback
    } else if ip == METADATA_V6 || first & 0xffc0 == 0xfe80 {
        AddressClass::LinkLocal
    } else if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 {
        AddressClass::Private
    } else if first & 0xff00 == 0xff00 {
        AddressClass::Unusable
    } else {
        AddressClass::Public
    }
}

/// The IPv4 address a translating or tunnelling gateway would connect to: NAT64 (64:ff9b::/96), 6to4 (2002::/16),
/// and the IPv4-compatible form (::/96), which some resolvers still hand out.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4_of(high, low)),
        [0x2002, high, low, ..] => Some(v4_of(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4_of(high, low)),
        _ => None,
    }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// Which addresses a call may connect to. It is asked about the address connected to, after resolving, so a name
/// that changes its mind between check and connect gains nothing.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    deny: Vec<AddressClass>,
    allow: Vec<Network>,
}

/// An address that the policy denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("connecting to {ip} is not allowed: it is a {class} address (outbound.deny)")]
pub struct Denied {
    pub ip: IpAddr,
    pub class: AddressClass,
}

impl AddressPolicy {
    /// Any address: for what the operator's own configuration file names.
    #[must_use]
    pub fn anywhere() -> Self {
        Self::default()
    }

    /// Everything but `deny`; `allow` wins over it. For what is made in the user interface or by the API.
    #[must_use]
    pub fn denying(deny: Vec<AddressClass>, allow: Vec<Network>) -> Self {
        Self { deny, allow }
    }

    /// # Errors
    /// The address is of a denied class and not in an allowed network.
    pub fn check(&self, ip: IpAddr) -> Result<(), Denied> {
        let class = classify(ip);
        // With nothing denied the kernel's own refusal of multicast is answer enough.
        let denied = self.deny.contains(&class) || (class == AddressClass::Unusable && !self.deny.is_empty());
        if denied && !self.allow.iter().any(|network| network.contains(ip)) {
            return Err(Denied { ip, class });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_leading_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
            ("0.0.0.0/0", "255.255.255.255", "::2"),
            ("::/0", "fd00::1", "1.2.3.4"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("10.1.2.3/31", "::ffff:10.1.2.2", "10.1.2.4"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ] {
            let parsed: Network = network.parse().expect(network);
            assert!(parsed.contains(ip(inside)), "{inside} in {network}");
            assert!(!parsed.contains(ip(outside)), "{outside} not in {network}");
        }
    }

    #[test]
    fn what_is_not_a_network_is_refused_with_an_example() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "::/129", "localhost", "10.0.0/8"] {
            let error = text.parse::<Network>().expect_err(text);
            assert!(error.to_string().contains("expected for example 10.0.0.0/8"), "{error}");
        }
    }

    #[test]
    fn an_address_is_judged_by_where_it_leads() {
        use AddressClass::{LinkLocal, Loopback, Private, Public, Unusable};
        for (address, class) in [
            ("127.0.0.1", Loopback),
            ("127.255.0.9", Loopback),
            ("0.0.0.0", Loopback),
            ("::", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::127.0.0.1", Loopback),
            ("64:ff9b::7f00:1", Loopback),
            ("2002:7f00:1::", Loopback),
            ("169.254.169.254", LinkLocal),
            ("::ffff:169.254.169.254", LinkLocal),
            ("64:ff9b::a9fe:a9fe", LinkLocal),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fd00:ec2::254", LinkLocal),
            ("10.0.0.1", Private),
            ("172.15.0.1", Public),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.0.1", Private),
            ("100.64.0.1", Private),
            ("100.128.0.1", Public),
            ("fd12::1", Private),
            ("fec0::1", Private),
            ("224.0.0.1", Unusable),
            ("255.255.255.255", Unusable),
            ("ff02::1", Unusable),
            ("8.8.8.8", Public),
            ("2606:4700::1111", Public),
        ] {
            assert_eq!(classify(ip(address)), class, "{address}");
        }
    }

    #[test]
    fn an_allowed_network_wins_over_a_denied_class() {
        let allow = vec!["127.0.0.1".parse().expect("an address")];
        let policy = AddressPolicy::denying(vec![AddressClass::Loopback, AddressClass::LinkLocal], allow);
        assert_eq!(policy.check(ip("127.0.0.1")), Ok(()));
        assert_eq!(policy.check(ip("10.0.0.1")), Ok(()), "private is not in the list");
        assert!(policy.check(ip("ff02::1")).is_err(), "multicast is never a target once anything is denied");
        let denied = policy.check(ip("127.0.0.2")).expect_err("loopback");
        assert_eq!(
            denied.to_string(),
            "connecting to 127.0.0.2 is not allowed: it is a loopback address (outbound.deny)"
        );
        assert_eq!(AddressPolicy::anywhere().check(ip("127.0.0.1")), Ok(()));
    }

    #[test]
    fn the_classes_of_the_setting_are_known_by_name() {
        for class in ["loopback", "link_local", "private"] {
            assert_eq!(class.parse::<AddressClass>().expect(class).to_string(), class);
        }
        assert!("linklocal".parse::<AddressClass>().is_err());
    }
}
