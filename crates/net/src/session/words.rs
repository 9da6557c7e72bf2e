//! What a failed call means to somebody who did not write this program, and what to look at next.
//!
//! Not here: what only the caller knows, such as which setting of which file the address stands in.

use std::error::Error as _;
use std::io;

use crate::client::ClientError;

impl ClientError {
    /// The error in a sentence, with a hint where the usual cause is known.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self}: {hint}"),
            None => self.with_source(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Connect { source, .. } | Self::Unix { source, .. } => connect_hint(source),
            Self::Resolve { .. } => Some("no such name; is it spelled right, and known where this program runs?"),
            Self::Tls { source, .. } => tls_hint(&source.to_string()),
            Self::Exchange { source, .. } if source.is_parse() => {
                Some("the answer is not HTTP; does the server want TLS (scheme: https)?")
            }
            Self::Exchange { source, .. } if source.is_incomplete_message() => {
                Some("the server closed the connection before its answer was complete")
            }
            _ => None,
        }
    }

    /// hyper's own sentence leaves the cause out.
    fn with_source(&self) -> String {
        match self {
            Self::Exchange { source, .. } => match source.source() {
                Some(cause) => format!("{self}: {cause}"),
                None => self.to_string(),
            },
            _ => self.to_string(),
        }
    }
}

fn connect_hint(source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::ConnectionRefused => Some("nothing listens there; is the program running, is the port right?"),
        io::ErrorKind::TimedOut => Some("no answer at all; is the machine up, does a firewall drop packets?"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Some("there is no way to that network"),
        io::ErrorKind::NotFound => Some("there is no such socket; is it mounted into the container?"),
        io::ErrorKind::PermissionDenied => Some("this program may not use it"),
        _ => None,
    }
}

/// rustls says what it saw; the usual causes are few.
fn tls_hint(said: &str) -> Option<&'static str> {
    [
        ("UnknownIssuer", "the certificate is signed by nobody we know; set tls_config.ca_file"),
        ("InvalidContentType", "the server does not speak TLS; is the scheme http?"),
        ("NotValidForName", "the certificate is for another name; set tls_config.server_name"),
        ("not valid for name", "the certificate is for another name; set tls_config.server_name"),
        ("Expired", "the certificate has expired"),
        ("expired", "the certificate has expired"),
        ("CertificateRequired", "the server wants a client certificate; set tls_config.cert_file and key_file"),
        ("ProtocolVersion", "the server speaks no version of TLS that is allowed here"),
    ]
    .into_iter()
    .find(|(word, _)| said.contains(word))
    .map(|(_, hint)| hint)
}
