//! Mode `auto`: a CA of our own in the data folder, and a leaf that it signs.
//!
//! Promise: people trust the CA once. It is made when there is none, and replaced only when it is about to expire;
//! a CA that is there and cannot be used is an error, never silently another one. The leaf is ours to replace: when
//! it is due, when the names change, when anything about it is not as it should be.
//! Files: `ca.crt`, `ca.key`, `leaf.crt`, `leaf.key`; keys 0600 in a folder 0700; each is written whole or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::crypto::CryptoProvider;

use super::{Facts, Loaded, Pair, TlsError, certificates, read, read_key};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Ten years: people put it into their trust stores by hand.
const CA_LIFE: Duration = DAY.saturating_mul(3650);
/// A CA with less than this left is replaced, so that a leaf always fits into it.
const CA_RENEW_BEFORE: Duration = DAY.saturating_mul(120);
/// Below the 397 days that browsers accept, and short enough that a stolen key is soon worth nothing.
const LEAF_LIFE: Duration = DAY.saturating_mul(90);
/// A third of its life is left to notice that renewal fails.
const LEAF_RENEW_BEFORE: Duration = DAY.saturating_mul(30);
/// Certificates begin earlier by this much: the clocks of clients may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Reads the leaf, after making whatever is missing or due.
pub(super) fn load(
    folder: &Path,
    names: &[String],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Loaded, TlsError> {
    make_folder(folder)?;
    let names = all_names(names)?;
    let ca = Authority::open(folder, now)?;
    let (cert_file, key_file) = (folder.join("leaf.crt"), folder.join("leaf.key"));
    let in_place = read_leaf(&cert_file, &key_file, provider);
    let loaded = match in_place {
        Ok(leaf) if is_good(&leaf.pair.facts, &ca.facts, &names, now) => leaf,
        _ => {
            ca.issue(&names, (&cert_file, &key_file), now)?;
            read_leaf(&cert_file, &key_file, provider)?
        }
    };
    Ok(Loaded { ca_pem: Some(ca.pem), ..loaded })
}

fn read_leaf(cert_file: &Path, key_file: &Path, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
    let pem = read(cert_file)?;
    let chain = certificates(cert_file, &pem)?;
    let (key, key_pem) = read_key(key_file)?;
    let pair = Pair::new((cert_file, key_file), chain, key, provider)?;
    Ok(Loaded { pair, sources: vec![pem, key_pem], ca_pem: None })
}

/// The leaf is by this CA, for these names, and not due.
fn is_good(leaf: &Facts, ca: &Facts, names: &BTreeSet<String>, now: Timestamp) -> bool {
    leaf.issuer == ca.subject
        && leaf.names.iter().cloned().collect::<BTreeSet<_>>() == *names
        && leaf.not_before <= now
        && now.plus(LEAF_RENEW_BEFORE) < leaf.not_after
}

/// What the leaf is valid for.
fn all_names(given: &[String]) -> Result<BTreeSet<String>, TlsError> {
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    // A host name that is no DNS name would only make every client refuse the certificate.
    names.extend(host_name().filter(|name| is_dns_name(name)));
    for name in given {
        let name = name.trim().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => {}
            Ok(ip) => _ = names.insert(ip.to_canonical().to_string()),
            Err(_) if is_dns_name(&name) => _ = names.insert(name),
            Err(_) => return Err(TlsError::Name { name }),
        }
    }
    Ok(names)
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

/// The machine's name, where the kernel tells; else the shell's word for it.
fn host_name() -> Option<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok())?.trim().to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

/// The local CA.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    facts: Facts,
    pem: String,
}

impl Authority {
    fn open(folder: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let (cert_file, key_file) = (folder.join("ca.crt"), folder.join("ca.key"));
        // The key is written first, so one without a certificate is half of a beginning nobody trusts yet.
        if !cert_file.exists() {
            return Self::make(&cert_file, &key_file, now);
        }
        let ca = Self::read(&cert_file, &key_file)?;
        if now.plus(CA_RENEW_BEFORE) < ca.facts.not_after {
            return Ok(ca);
        }
        tracing::warn!(expires = %ca.facts.not_after, "the local CA ends soon and is replaced: trust the new one");
        Self::make(&cert_file, &key_file, now)
    }

    fn read(cert_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let bytes = read(cert_file)?;
        let chain = certificates(cert_file, &bytes)?;
        let wrong = |path: &Path, found: String| TlsError::Content {
            path: path.to_owned(),
            found,
            expected: "the CA made here; restore it, or remove ca.crt and ca.key to have a new one made",
        };
        let (_, key_pem) = read_key(key_file).map_err(|error| match error {
            TlsError::Io { path, source } => wrong(&path, source.to_string()),
            other => other,
        })?;
        let key_pem = String::from_utf8_lossy(&key_pem);
        let key = KeyPair::from_pem(&key_pem).map_err(|error| wrong(key_file, error.to_string()))?;
        // The same comparison of key and certificate that the leaf gets.
        let der = read_key(key_file)?.0;
        let provider = rustls::crypto::ring::default_provider();
        let facts = Pair::new((cert_file, key_file), chain.clone(), der, &provider)?.facts;
        let issuer = Issuer::from_ca_cert_der(&chain[0], key).map_err(|error| wrong(cert_file, error.to_string()))?;
        Ok(Self { issuer, facts, pem: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn make(cert_file: &Path, key_file: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        lifetime(&mut params, now, now.plus(CA_LIFE));
        // It signs leaves only, no further CAs.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Part of its key's fingerprint: two instances' CAs must not look alike in a trust store.
        let id: String = params.key_identifier(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        params.distinguished_name = named(&format!("Watchpost local CA {id}"));
        let pem = params.self_signed(&key)?.pem();
        write_whole(key_file, key.serialize_pem().as_bytes(), 0o600)?;
        write_whole(cert_file, pem.as_bytes(), 0o644)?;
        Self::read(cert_file, key_file)
    }

    /// Writes a leaf and its key. Between the two renames the pair does not match; then the next start makes another.
    fn issue(
        &self,
        names: &BTreeSet<String>,
        (cert_file, key_file): (&Path, &Path),
        now: Timestamp,
    ) -> Result<(), TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        lifetime(&mut params, now, now.plus(LEAF_LIFE).min(self.facts.not_after));
        for name in names {
            let san = match name.parse::<IpAddr>() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(name.clone().try_into().map_err(|_| TlsError::Name { name: name.clone() })?),
            };
            params.subject_alt_names.push(san);
        }
        params.distinguished_name = named("Watchpost");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        write_whole(key_file, key.serialize_pem().as_bytes(), 0o600)?;
        write_whole(cert_file, pem.as_bytes(), 0o644)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn lifetime(params: &mut CertificateParams, now: Timestamp, end: Timestamp) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + whole_seconds(now.minus(CLOCK_SKEW));
    params.not_after = epoch + whole_seconds(end);
}

/// Certificates count seconds; a clock before 1970 counts as 1970.
fn whole_seconds(at: Timestamp) -> Duration {
    Duration::from_secs(at.since(Timestamp(0)).as_secs())
}

fn make_folder(folder: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| TlsError::Io { path: folder.to_owned(), source })
}

/// Writes beside the target and renames: a reader sees the old file or the new one. The mode holds from the first
/// byte, so a key is never readable by others, not even for a moment.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let beside = PathBuf::from(format!("{}.new", path.display()));
    let written = || -> io::Result<()> {
        // Left over from a start that was killed; its mode is not ours to trust.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|source| TlsError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
