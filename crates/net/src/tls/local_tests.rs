//! The local CA and its leaf over the years.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::tls::{provider, valid_now};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("net-local-{}-{name}", std::process::id()));
        let _was_not_there = fs::remove_dir_all(&path);
        Self(path)
    }

    fn load(&self, names: &[&str], now: Timestamp) -> Result<Loaded, TlsError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        load(&self.0, &names, &provider(), now)
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).expect(name).permissions().mode() & 0o777
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_for_the_system = fs::remove_dir_all(&self.0);
    }
}

fn days(count: u32) -> Duration {
    DAY * count
}

#[test]
fn the_first_start_makes_a_ca_and_a_leaf_that_nobody_else_can_read() {
    let folder = Folder::new("first");
    let made = folder.load(&["watch.example", "192.0.2.7", "0.0.0.0", "[2001:db8::1]"], NOW).expect("made");
    for name in ["localhost", "127.0.0.1", "::1", "watch.example", "192.0.2.7", "2001:db8::1"] {
        assert!(made.pair.facts.names.iter().any(|have| have == name), "{name} in {:?}", made.pair.facts.names);
    }
    assert!(!made.pair.facts.names.iter().any(|have| have == "0.0.0.0"));
    assert_eq!((folder.mode("ca.key"), folder.mode("leaf.key"), folder.mode("ca.crt")), (0o600, 0o600, 0o644));
    assert_eq!(fs::metadata(&folder.0).expect("the folder").permissions().mode() & 0o777, 0o700);
    let life = made.pair.facts.not_after.since(made.pair.facts.not_before);
    assert!(life <= days(397), "{life:?}");
    assert!(made.ca_pem.expect("a CA").starts_with("-----BEGIN CERTIFICATE-----"));
    let again = folder.load(&["watch.example", "192.0.2.7", "2001:db8::1"], NOW.plus(days(59))).expect("again");
    assert_eq!(again.sources, made.sources, "nothing is due, nothing is made");
}

#[test]
fn what_a_certificate_may_be_used_for_is_written_into_it() {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let folder = Folder::new("usage");
    folder.load(&[], NOW).expect("made");
    let der = |name: &str| {
        let path = folder.0.join(name);
        certificates(&path, &read(&path).expect(name)).expect(name).remove(0)
    };
    let (ca, leaf) = (der("ca.crt"), der("leaf.crt"));
    let (_, ca) = X509Certificate::from_der(&ca).expect("a certificate");
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
    let basic = ca.basic_constraints().expect("readable").expect("there");
    assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(0));
    let usage = ca.key_usage().expect("readable").expect("there");
    assert!(
        usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign() && !usage.value.digital_signature()
    );
    assert!(!leaf.is_ca());
    let usage = leaf.key_usage().expect("readable").expect("there");
    assert!(usage.critical && usage.value.digital_signature() && !usage.value.key_cert_sign());
    let purpose = leaf.extended_key_usage().expect("readable").expect("there");
    assert!(purpose.value.server_auth && !purpose.value.client_auth && !purpose.value.any);
    assert_eq!(leaf.issuer(), ca.subject());
    assert!(leaf.raw_serial().len() >= 8 && leaf.raw_serial() != ca.raw_serial());
    let life = ca.validity().not_after.timestamp() - ca.validity().not_before.timestamp();
    assert_eq!(life / 86_400, 3650);
}

#[test]
fn a_leaf_is_renewed_thirty_days_before_it_ends_and_the_ca_stays() {
    let folder = Folder::new("renew");
    let first = folder.load(&[], NOW).expect("made");
    let later = NOW.plus(days(61));
    let renewed = folder.load(&[], later).expect("renewed");
    assert_ne!(renewed.sources, first.sources);
    assert_eq!(renewed.ca_pem, first.ca_pem);
    assert!(renewed.pair.facts.not_after > first.pair.facts.not_after);
    valid_now(Path::new("leaf"), &renewed.pair.facts, later).expect("valid");
}

#[test]
fn other_names_need_another_leaf() {
    let folder = Folder::new("names");
    let first = folder.load(&["one.example"], NOW).expect("made");
    let second = folder.load(&["two.example"], NOW).expect("made");
    assert_ne!(first.sources, second.sources);
    assert!(second.pair.facts.names.iter().any(|name| name == "two.example"));
    let error = folder.load(&["not a name"], NOW).map(|_| ()).expect_err("no name").to_string();
    assert_eq!(error, "\"not a name\" cannot stand in a certificate, expected a DNS name or an address");
}

#[test]
fn a_leaf_that_is_damaged_or_not_ours_is_made_anew() {
    let folder = Folder::new("damaged");
    let first = folder.load(&[], NOW).expect("made");
    let other = Folder::new("damaged-other");
    other.load(&[], NOW).expect("made");
    let damages: [&dyn Fn(); 5] = [
        &|| fs::write(folder.0.join("leaf.crt"), "rubbish").expect("written"),
        &|| fs::remove_file(folder.0.join("leaf.key")).expect("removed"),
        &|| fs::write(folder.0.join("leaf.key"), fs::read(folder.0.join("ca.key")).expect("read")).expect("written"),
        &|| fs::set_permissions(folder.0.join("leaf.key"), fs::Permissions::from_mode(0o644)).expect("set"),
        &|| {
            for name in ["leaf.crt", "leaf.key"] {
                fs::copy(other.0.join(name), folder.0.join(name)).expect("copied");
            }
        },
    ];
    for (at, damage) in damages.iter().enumerate() {
        damage();
        let made = folder.load(&[], NOW).unwrap_or_else(|error| panic!("damage {at}: {error}"));
        assert_eq!(made.ca_pem, first.ca_pem, "damage {at}");
        assert_eq!(folder.mode("leaf.key"), 0o600, "damage {at}");
        assert_eq!(folder.load(&[], NOW).expect("in place").sources, made.sources, "damage {at}");
    }
}

#[test]
fn a_ca_that_cannot_be_used_is_an_error_and_never_another_ca() {
    let expected = "expected the CA made here; restore it, or remove ca.crt and ca.key to have a new one made";
    let folder = Folder::new("ca");
    folder.load(&[], NOW).expect("made");
    let trusted = fs::read(folder.0.join("ca.crt")).expect("read");
    let key = fs::read(folder.0.join("ca.key")).expect("read");
    fs::remove_file(folder.0.join("ca.key")).expect("removed");
    let error = folder.load(&[], NOW).map(|_| ()).expect_err("no key").to_string();
    assert!(error.contains("ca.key") && error.contains(expected), "{error}");
    fs::copy(folder.0.join("leaf.key"), folder.0.join("ca.key")).expect("copied");
    let error = folder.load(&[], NOW).map(|_| ()).expect_err("another key").to_string();
    assert!(error.contains("does not belong to the first certificate"), "{error}");
    fs::write(folder.0.join("ca.key"), key).expect("written");
    fs::set_permissions(folder.0.join("ca.key"), fs::Permissions::from_mode(0o604)).expect("set");
    let error = folder.load(&[], NOW).map(|_| ()).expect_err("readable").to_string();
    assert!(error.contains("mode 604 lets everybody read the private key"), "{error}");
    assert_eq!(fs::read(folder.0.join("ca.crt")).expect("read"), trusted);
    // A key without a certificate is half of a first start that was killed.
    fs::remove_file(folder.0.join("ca.crt")).expect("removed");
    folder.load(&[], NOW).expect("made");
}

#[test]
fn a_ca_about_to_end_is_replaced_together_with_its_leaf() {
    let folder = Folder::new("ca-end");
    let first = folder.load(&[], NOW).expect("made");
    let kept = folder.load(&[], NOW.plus(days(3650 - 121))).expect("kept");
    assert_eq!(kept.ca_pem, first.ca_pem);
    let late = NOW.plus(days(3650 - 119));
    let second = folder.load(&[], late).expect("made");
    assert_ne!(second.ca_pem, first.ca_pem);
    assert_ne!(second.sources, kept.sources);
    valid_now(Path::new("leaf"), &second.pair.facts, late).expect("valid");
}
