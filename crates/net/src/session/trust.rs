//! Whom a session believes and who it says it is: TLS from a [`TlsConfig`], made anew when one of its files changes.
//!
//! Promise: a new certificate or authority is used for the next connection; connections of the old one are not used
//! again (their [`Trusted::generation`] differs).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::time::Clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};

use super::file_text::{Stamp, read};
use crate::client::ClientError;
use crate::http_config::{Given as _, TlsConfig, TlsVersion, is_old};
use crate::tls::{ClockTime, TlsError, add_roots, certificates, provider};

/// Stands in messages where the PEM text is in the configuration itself.
const INLINE: &str = "tls_config";

/// TLS as it is to be used now.
#[derive(Clone, Debug)]
pub(super) struct Trusted {
    pub(super) config: Arc<ClientConfig>,
    /// Counts how often it was made anew.
    pub(super) generation: u64,
}

/// Makes [`Trusted`] from the configuration and its files.
pub(super) struct Trust {
    settings: TlsConfig,
    http2: bool,
    files: Vec<PathBuf>,
    versions: Vec<&'static SupportedProtocolVersion>,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<(Vec<Option<Stamp>>, Trusted)>>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Trust {
    /// Reads no file yet: one that appears later is found when it is needed.
    ///
    /// # Errors
    /// Something is asked for that is not supported.
    pub(super) fn new(settings: &TlsConfig, http2: bool, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let versions = versions(settings)?;
        let files = [&settings.ca_file, &settings.cert_file, &settings.key_file];
        let files = files.into_iter().flatten().filter(|file| !file.value.as_os_str().is_empty());
        let files = files.map(|file| file.place.resolve(&file.value)).collect();
        Ok(Self { settings: settings.clone(), http2, files, versions, clock, last: Mutex::default() })
    }

    /// The name that the server's certificate must be for.
    pub(super) fn server_name(&self, host: &str) -> String {
        let own = self.settings.server_name.as_deref().filter(|name| !name.is_empty());
        own.unwrap_or(host).to_owned()
    }

    /// What is in force now.
    pub(super) fn now(&self) -> Result<Trusted, ClientError> {
        let stamps: Vec<Option<Stamp>> = self.files.iter().map(|file| Stamp::now(file)).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, trusted)) = last.as_ref().filter(|(of, _)| *of == stamps) {
            return Ok(trusted.clone());
        }
        let generation = last.as_ref().map_or(0, |(_, trusted)| trusted.generation + 1);
        let trusted = Trusted { config: Arc::new(self.make()?), generation };
        *last = Some((stamps, trusted.clone()));
        Ok(trusted)
    }

    /// Everything anew from settings and files.
    fn make(&self) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let time = Arc::new(ClockTime(Arc::clone(&self.clock)));
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), time);
        let builder = builder.with_protocol_versions(&self.versions)?;
        let builder = if self.settings.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match self.own()? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(config)
    }

    /// The given authorities instead of the built-in ones.
    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let given = self.pem(self.settings.ca.as_deref(), self.settings.ca_file.as_ref())?;
        let mut roots = RootCertStore::empty();
        if let Some((path, pem)) = given {
            add_roots(&mut roots, &path, &pem)?;
            return Ok(roots);
        }
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from) {
            let pem = read(&path).map_err(|source| TlsError::Io { path: path.clone(), source })?;
            add_roots(&mut roots, &path, &pem)?;
        }
        Ok(roots)
    }

    /// Our own certificate and key, where there are some.
    fn own(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TlsError> {
        let cert = self.pem(self.settings.cert.as_deref(), self.settings.cert_file.as_ref())?;
        let key = self.settings.key.as_ref().map(model::secret::Secret::expose);
        let key = self.pem(key, self.settings.key_file.as_ref())?;
        let (Some((cert_path, cert)), Some((key_path, key))) = (cert, key) else { return Ok(None) };
        let chain = certificates(&cert_path, &cert)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| TlsError::Content {
            path: key_path,
            found: error.to_string(),
            expected: "a private key in PEM",
        })?;
        Ok(Some((chain, key)))
    }

    /// A PEM text from the settings or from a file, and what to call it in messages.
    fn pem(
        &self,
        text: Option<&str>,
        file: Option<&yaml::Spanned<PathBuf>>,
    ) -> Result<Option<(PathBuf, Vec<u8>)>, TlsError> {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            return Ok(Some((Path::new(INLINE).to_owned(), text.as_bytes().to_vec())));
        }
        let Some(file) = file.filter(|file| !file.value.as_os_str().is_empty()) else { return Ok(None) };
        let path = file.place.resolve(&file.value);
        match read(&path) {
            Ok(pem) => Ok(Some((path, pem))),
            Err(source) => Err(TlsError::Io { path, source }),
        }
    }
}

/// What is left between the bounds; TLS 1.0 and 1.1 as a lower bound mean "no bound".
fn versions(settings: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, ClientError> {
    let refs = [settings.ca_ref.given(), settings.cert_ref.given(), settings.key_ref.given()];
    if refs.contains(&true) {
        let why = "ca_ref, cert_ref and key_ref are not supported, expected files or texts".to_owned();
        return Err(ClientError::Setting { key: "tls_config", why });
    }
    if let Some(most) = settings.max_version.as_ref().filter(|version| is_old(version.value)) {
        let why = format!("max_version {} is not supported, expected TLS12 or TLS13", most.value);
        return Err(ClientError::Setting { key: "tls_config", why });
    }
    let only_13 = settings.min_version.as_ref().is_some_and(|least| least.value == TlsVersion::Tls13);
    let only_12 = settings.max_version.as_ref().is_some_and(|most| most.value == TlsVersion::Tls12);
    let mut versions = Vec::new();
    if !only_12 {
        versions.push(&rustls::version::TLS13);
    }
    if !only_13 {
        versions.push(&rustls::version::TLS12);
    }
    Ok(versions)
}

/// Believes any certificate, as `insecure_skip_verify` asks; the handshake itself is still checked, so that whoever
/// holds the certificate also holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
