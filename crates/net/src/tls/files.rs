//! Mode `files`: a certificate and key that somebody else keeps (cert-manager, certbot, an operator).

use std::path::Path;

use rustls::crypto::CryptoProvider;

use super::{Loaded, Pair, TlsError, certificates, read, read_key};

/// Reads the pair and checks one against the other. While somebody is between writing the two files they do not
/// match; the next refresh finds them whole.
pub(super) fn load(cert_file: &Path, key_file: &Path, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
    let pem = read(cert_file)?;
    let chain = certificates(cert_file, &pem)?;
    let (key, key_pem) = read_key(key_file)?;
    let pair = Pair::new((cert_file, key_file), chain, key, provider)?;
    Ok(Loaded { pair, sources: vec![pem, key_pem], ca_pem: None })
}
