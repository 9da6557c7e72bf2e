//! TLS: ring only, 1.2 and 1.3, AEAD suites only; the server's side and what the client verifies with.
//!
//! A [`TlsPort`] holds the certificate in use. [`TlsPort::refresh`] renews or re-reads it; connections that stand
//! keep theirs, and a pair that cannot be used changes nothing. The crypto provider is passed explicitly: nothing
//! is installed for the whole process.
//! Not here: ACME; when refresh is called (the owner's loop); the alert before a certificate expires (`not_after`).

mod files;
mod local;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use model::time::{Clock, Timestamp};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};

/// TLS 1.3 tickets sent per handshake: one is enough for clients that reconnect one at a time.
const TICKETS: usize = 1;

/// Where the server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// A local CA and a leaf in `folder` (`<data>/tls`), made and renewed by us. `names`: what the leaf is valid for
    /// besides `localhost`, `127.0.0.1`, `::1` and the machine's host name.
    Auto { folder: PathBuf, names: Vec<String> },
    /// PEM files kept by somebody else.
    Files { cert_file: PathBuf, key_file: PathBuf },
}

/// Why a certificate cannot be used. Each names the file and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {found}, expected {expected}", path = path.display())]
    Content { path: PathBuf, found: String, expected: &'static str },
    #[error("{path}: mode {mode:o} lets everybody read the private key, expected 0600 or 0640 (chmod o-r)", path = path.display())]
    KeyReadable { path: PathBuf, mode: u32 },
    #[error("{key}: does not belong to the first certificate of {cert}, expected its private key", key = key.display(), cert = cert.display())]
    KeyMismatch { cert: PathBuf, key: PathBuf },
    #[error("{path}: the certificate expired at {at}, expected one that is valid now", path = path.display())]
    Expired { path: PathBuf, at: Timestamp },
    #[error("{path}: the certificate is valid only from {at}, expected one that is valid now", path = path.display())]
    NotYetValid { path: PathBuf, at: Timestamp },
    #[error("{name:?} cannot stand in a certificate, expected a DNS name or an address")]
    Name { name: String },
    #[error("making a certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error("tls set-up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What [`TlsPort::refresh`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    Unchanged,
    /// New connections get another certificate (or client CA) from now on.
    Replaced,
}

/// The certificate in use, for pages, metrics and alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsStatus {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// DNS names and addresses it is valid for.
    pub names: Vec<String>,
    /// What is wrong: the last refresh failed and the old pair is still in use, or the pair in use is out of date.
    pub problem: Option<String>,
}

/// A certificate chain and its key, checked against each other.
pub(crate) struct Pair {
    /// The file the chain is from, for messages.
    path: PathBuf,
    key: CertifiedKey,
    facts: Facts,
}

/// The server's side of TLS.
pub struct TlsPort {
    mode: TlsMode,
    client_ca_file: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
    config: ArcSwap<ServerConfig>,
    ca_pem: ArcSwap<Option<String>>,
    /// What the config was made from, and the status; the lock also makes refreshes take turns.
    state: Mutex<State>,
}

struct State {
    /// The bytes of every file the config was made from: a refresh that finds the same ones has nothing to do.
    /// Bytes instead of file times, because a volume's symlink swap may carry any time.
    sources: Vec<Vec<u8>>,
    status: TlsStatus,
}

impl fmt::Debug for TlsPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPort").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Everything a refresh read, not yet in use.
struct Loaded {
    pair: Pair,
    sources: Vec<Vec<u8>>,
    ca_pem: Option<String>,
}

impl TlsPort {
    /// Opens with the certificate of `mode`; in [`TlsMode::Auto`] makes what is missing. A certificate out of date
    /// is used, with [`TlsStatus::problem`] saying so: a server that does not start cannot raise the alarm.
    /// `client_ca_file`: clients may present a certificate, and one that does not verify is refused.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn open(mode: TlsMode, client_ca_file: Option<PathBuf>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsError> {
        let provider = provider();
        let Loaded { pair, mut sources, ca_pem } = load(&mode, &provider, &*clock)?;
        let (client_ca, bytes) = read_client_ca(client_ca_file.as_deref())?;
        sources.extend(bytes);
        let problem = valid_now(&pair.path, &pair.facts, clock.now()).err().map(|error| error.to_string());
        let status = pair.facts.status(problem);
        let config = ArcSwap::from(server_config(&provider, &clock, pair.key, client_ca)?);
        let state = Mutex::new(State { sources, status });
        let ca_pem = ArcSwap::from_pointee(ca_pem);
        Ok(Arc::new(Self { mode, client_ca_file, clock, provider, config, ca_pem, state }))
    }

    /// Renews a leaf that is due, or takes over files that changed. Blocks for some file reads; call it every minute
    /// or so, and when a reload is asked for.
    ///
    /// # Errors
    /// What is there now cannot be used; the certificate in use stays, and [`Self::status`] shows the problem.
    pub fn refresh(&self) -> Result<Refreshed, TlsError> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let outcome = self.refresh_locked(&mut state);
        if let Err(error) = &outcome {
            state.status.problem = Some(error.to_string());
        }
        outcome
    }

    fn refresh_locked(&self, state: &mut State) -> Result<Refreshed, TlsError> {
        let Loaded { pair, mut sources, ca_pem } = load(&self.mode, &self.provider, &*self.clock)?;
        let (client_ca, bytes) = read_client_ca(self.client_ca_file.as_deref())?;
        sources.extend(bytes);
        let now = self.clock.now();
        let problem = valid_now(&pair.path, &pair.facts, now);
        if sources == state.sources {
            state.status.problem = problem.err().map(|error| error.to_string());
            return Ok(Refreshed::Unchanged);
        }
        // An outdated pair replaces only one that is no better.
        let in_use_is_valid = state.status.not_before <= now && now < state.status.not_after;
        let problem = match problem {
            Err(error) if in_use_is_valid => return Err(error),
            problem => problem.err().map(|error| error.to_string()),
        };
        let status = pair.facts.status(problem);
        // A new config also brings new ticket keys: nobody resumes past a client CA that was taken away.
        self.config.store(server_config(&self.provider, &self.clock, pair.key, client_ca)?);
        self.ca_pem.store(Arc::new(ca_pem));
        *state = State { sources, status };
        Ok(Refreshed::Replaced)
    }

    /// The local CA's certificate, for `/ca.crt`; `None` in [`TlsMode::Files`].
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.ca_pem.load().as_ref().clone()
    }

    #[must_use]
    pub fn status(&self) -> TlsStatus {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).status.clone()
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

fn load(mode: &TlsMode, provider: &CryptoProvider, clock: &dyn Clock) -> Result<Loaded, TlsError> {
    match mode {
        TlsMode::Auto { folder, names } => local::load(folder, names, provider, clock.now()),
        TlsMode::Files { cert_file, key_file } => files::load(cert_file, key_file, provider),
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn Clock>,
    key: CertifiedKey,
    client_ca: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let time = Arc::new(ClockTime(Arc::clone(clock)));
    let builder = ServerConfig::builder_with_details(Arc::clone(provider), time)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| rustls::Error::General(format!("client_ca_file: {error}")))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ignore_client_order = true;
    config.send_tls13_tickets = TICKETS;
    // Tickets carry the session, so that an idle server holds none.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// ring, and of its suites all that rustls has: they are AEAD throughout.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// rustls asks for the time through our clock.
#[derive(Debug)]
pub(crate) struct ClockTime(pub(crate) Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().since(Timestamp(0))))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Io { path: path.to_owned(), source })
}

/// The certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong =
        |found: String| TlsError::Content { path: path.to_owned(), found, expected: "certificates in PEM, leaf first" };
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| wrong(error.to_string()))?;
    if chain.is_empty() { Err(wrong("no certificate".to_owned())) } else { Ok(chain) }
}

/// Reads a private key, unless everybody can.
fn read_key(path: &Path) -> Result<(PrivateKeyDer<'static>, Vec<u8>), TlsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let meta = std::fs::metadata(path).map_err(|source| TlsError::Io { path: path.to_owned(), source })?;
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o004 != 0 {
        return Err(TlsError::KeyReadable { path: path.to_owned(), mode });
    }
    let pem = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| TlsError::Content {
        path: path.to_owned(),
        found: error.to_string(),
        expected: "a private key in PEM",
    })?;
    Ok((key, pem))
}

/// The client CAs, and the file's bytes.
fn read_client_ca(path: Option<&Path>) -> Result<(Option<RootCertStore>, Option<Vec<u8>>), TlsError> {
    let Some(path) = path else { return Ok((None, None)) };
    let pem = read(path)?;
    let mut roots = RootCertStore::empty();
    add_roots(&mut roots, path, &pem)?;
    Ok((Some(roots), Some(pem)))
}

pub(crate) fn add_roots(roots: &mut RootCertStore, path: &Path, pem: &[u8]) -> Result<(), TlsError> {
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| TlsError::Content {
            path: path.to_owned(),
            found: error.to_string(),
            expected: "CA certificates",
        })?;
    }
    Ok(())
}

impl Pair {
    fn new(
        (cert_file, key_file): (&Path, &Path),
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let facts = Facts::of(cert_file, &chain[0])?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::KeyMismatch { cert: cert_file.to_owned(), key: key_file.to_owned() }
            }
            other => TlsError::Content {
                path: key_file.to_owned(),
                found: other.to_string(),
                expected: "an RSA, ECDSA (P-256, P-384) or Ed25519 key",
            },
        })?;
        Ok(Self { path: cert_file.to_owned(), key, facts })
    }
}

/// What we read in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    not_before: Timestamp,
    not_after: Timestamp,
    names: Vec<String>,
    /// Subject and issuer as encoded; equal bytes are equal names.
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

impl Facts {
    pub(crate) fn of(path: &Path, certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        use x509_parser::prelude::{FromDer as _, X509Certificate};
        let wrong =
            |found: String| TlsError::Content { path: path.to_owned(), found, expected: "an X.509 certificate" };
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| wrong(error.to_string()))?;
        let names = parsed.subject_alternative_name().map_err(|error| wrong(error.to_string()))?;
        let names = names.map(|extension| extension.value.general_names.iter().filter_map(general_name).collect());
        let at = |time: x509_parser::time::ASN1Time| Timestamp(time.timestamp().saturating_mul(1000));
        Ok(Self {
            not_before: at(parsed.validity().not_before),
            // The last second of a certificate's life is still part of it.
            not_after: at(parsed.validity().not_after).plus(std::time::Duration::from_secs(1)),
            names: names.unwrap_or_default(),
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
        })
    }

    fn status(&self, problem: Option<String>) -> TlsStatus {
        TlsStatus { not_before: self.not_before, not_after: self.not_after, names: self.names.clone(), problem }
    }
}

fn general_name(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn valid_now(path: &Path, facts: &Facts, now: Timestamp) -> Result<(), TlsError> {
    if now >= facts.not_after {
        return Err(TlsError::Expired { path: path.to_owned(), at: facts.not_after });
    }
    if now < facts.not_before {
        return Err(TlsError::NotYetValid { path: path.to_owned(), at: facts.not_before });
    }
    Ok(())
}
