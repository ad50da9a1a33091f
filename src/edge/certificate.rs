//! A certificate with its key, from PEM files: whether the two fit, for whom and until when.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::limits::CERTIFICATE_BYTES_MAX;
use crate::time::Now;

/// Where certificate chain and private key lie, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate first, then what leads to a root.
    pub cert: PathBuf,
    /// Its private key, without passphrase.
    pub key: PathBuf,
}

/// A certificate that can be served.
#[derive(Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// SAN, lower case, `*.` in front of a wildcard.
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// Unix seconds.
    not_before: i64,
    /// Unix seconds.
    not_after: i64,
}

/// Why two files make no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It is not there, or not for us.
    #[error("{setting} {path} cannot be read: {error}{cure}", path = .path.display())]
    Unreadable {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
        /// What to do, with a semicolon in front.
        cure: &'static str,
    },
    /// It holds something else.
    #[error("{setting} {path} {what}", path = .path.display())]
    Content {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and the cure.
        what: String,
    },
    /// Both are fine, but not together.
    #[error(
        "the key in tls.key {key} does not belong to the certificate in tls.cert {cert}",
        key = .0.key.display(), cert = .0.cert.display()
    )]
    Mismatch(CertificateFiles),
}

impl CertificateError {
    /// What is wrong in a few words, for people who are not shown paths.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "a file cannot be read",
            Self::Content { .. } => "a file does not hold what it should",
            Self::Mismatch(_) => "the key does not belong to the certificate",
        }
    }
}

impl Certificate {
    /// Reads both files and checks that they fit. Dates are not looked at here: an expired
    /// certificate is served, because a client may forgive it, but not advertised.
    ///
    /// # Errors
    /// A sentence that names the setting, the file and the cure.
    pub fn load(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let cert_pem = read("tls.cert", &files.cert)?;
        let content = |what: String| CertificateError::Content {
            setting: "tls.cert",
            path: files.cert.clone(),
            what,
        };
        let chain = CertificateDer::pem_slice_iter(&cert_pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| content(format!("is no PEM file: {error}")))?;
        let Some(first) = chain.first() else {
            let what = if is_key(&cert_pem) { SWAPPED } else { NO_CERTIFICATE };
            return Err(content(what.to_owned()));
        };
        let (names, addresses, not_before, not_after) = read_subject(first)
            .ok_or_else(|| content("holds a certificate that cannot be read".to_owned()))?;
        let key = load_key(&files.key)?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // A key that does not tell its public half cannot be checked.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(CertificateError::Mismatch(files.clone()));
            }
            Err(error) => {
                return Err(content(format!("holds a certificate that is no use: {error}")));
            }
        }
        Ok(Self { key: Arc::new(key), names, addresses, not_before, not_after })
    }

    /// Its end, Unix seconds.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Whether a client that connects to `host` (a name, or an address without brackets) accepts
    /// it, as far as names and dates go.
    #[must_use]
    pub fn covers(&self, now: Now, host: &str) -> bool {
        self.is_current(now) && self.names_host(host)
    }

    /// What keeps it from being advertised at all.
    #[must_use]
    pub fn problem(&self, now: Now) -> Option<String> {
        let at = now.unix_ms / 1000;
        if at >= self.not_after {
            return Some(format!("the certificate expired {} ago", days(at - self.not_after)));
        }
        (at < self.not_before)
            .then(|| format!("the certificate is valid in {} only", days(self.not_before - at)))
    }

    fn is_current(&self, now: Now) -> bool {
        (self.not_before..self.not_after).contains(&(now.unix_ms / 1000))
    }

    fn names_host(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        // RFC 6125 §6.4.3: a wildcard stands for one whole label, the first.
        let behind_first_label = host.split_once('.').map(|(_, rest)| rest);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => behind_first_label == Some(rest),
            None => *name == host,
        })
    }
}

/// The hosts it covers.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<String> =
            self.names.iter().cloned().chain(addresses).take(SHOWN_MAX).collect();
        f.write_str(if all.is_empty() { "no host at all" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// Hosts named in a sentence.
const SHOWN_MAX: usize = 5;

/// A number of days for a sentence, rounded down.
pub(super) fn days(seconds: i64) -> String {
    match seconds / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

const NO_CERTIFICATE: &str =
    "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----); name the full chain";
const SWAPPED: &str = "holds a private key; tls.cert and tls.key seem to be swapped";

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |error: io::Error| {
        let cure = if error.kind() == io::ErrorKind::PermissionDenied {
            "; the user that turnbell runs as must read it"
        } else if error.kind() == io::ErrorKind::NotFound {
            "; name the file with its whole path"
        } else {
            ""
        };
        CertificateError::Unreadable { setting, path: path.to_owned(), error, cure }
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > CERTIFICATE_BYTES_MAX {
        let what = format!("is {length} bytes long, which is no certificate");
        return Err(CertificateError::Content { setting, path: path.to_owned(), what });
    }
    std::fs::read(path).map_err(unreadable)
}

fn load_key(path: &Path) -> Result<Arc<dyn rustls::sign::SigningKey>, CertificateError> {
    let pem = read("tls.key", path)?;
    let content = |what: String| CertificateError::Content {
        setting: "tls.key",
        path: path.to_owned(),
        what,
    };
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let text = String::from_utf8_lossy(&pem);
        let what = if text.contains("ENCRYPTED") {
            "is protected by a passphrase; write it without: openssl pkey -in KEY -out NEW"
        } else if text.contains("BEGIN CERTIFICATE") {
            "holds a certificate; tls.cert and tls.key seem to be swapped"
        } else {
            "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        };
        content(what.to_owned())
    })?;
    aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|_| content("holds a key of a kind that TLS does not use".to_owned()))
}

fn is_key(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("PRIVATE KEY-----")
}

/// SAN names and addresses, and the dates in Unix seconds.
fn read_subject(der: &[u8]) -> Option<(Vec<String>, Vec<IpAddr>, i64, i64)> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let alternative = certificate.subject_alternative_name().ok().flatten();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        if let GeneralName::DNSName(name) = name {
            names.push(name.trim_end_matches('.').to_ascii_lowercase());
        } else if let GeneralName::IPAddress(bytes) = name {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            addresses.extend(v4.or(v6));
        }
    }
    let validity = certificate.validity();
    Some((names, addresses, validity.not_before.timestamp(), validity.not_after.timestamp()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Writes a pair for `hosts` into `directory`.
    pub(crate) fn write_pair(directory: &Path, hosts: &[&str]) -> CertificateFiles {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(hosts).unwrap().self_signed(&key).unwrap();
        let files =
            CertificateFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
        std::fs::write(&files.cert, cert.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    #[track_caller]
    fn check_refused(files: &CertificateFiles, words: &[&str]) {
        let error = Certificate::load(files).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    }

    #[test]
    fn a_pair_is_loaded_and_covers_the_names_and_addresses_in_its_san_only() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = ["Turn.example.org", "*.example.net", "192.0.2.7", "2001:db8::7"];
        let certificate = Certificate::load(&write_pair(directory.path(), &hosts)).unwrap();
        let now = Now::read();
        for (host, covered) in [
            ("turn.example.org", true),
            ("TURN.example.org.", true),
            ("example.org", false),
            ("a.turn.example.org", false),
            ("a.example.net", true),
            ("a.b.example.net", false),
            ("example.net", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::7", true),
            ("2001:db8::8", false),
        ] {
            assert_eq!(certificate.covers(now, host), covered, "{host}");
        }
        assert!(certificate.to_string().starts_with("turn.example.org, *.example.net, 192.0.2.7"));
    }

    #[test]
    fn a_certificate_covers_nothing_before_and_after_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut certificate = Certificate::load(&write_pair(directory.path(), &["a.b"])).unwrap();
        let now = Now::read();
        let at = now.unix_ms / 1000;
        (certificate.not_before, certificate.not_after) = (at, at + 1);
        assert!(certificate.covers(now, "a.b") && certificate.problem(now).is_none());
        let later = now.after(Duration::from_secs(1));
        assert!(!certificate.covers(later, "a.b"));
        assert_eq!(
            certificate.problem(later).as_deref(),
            Some("the certificate expired less than a day ago")
        );
        (certificate.not_before, certificate.not_after) = (at + 86_401, at + 90_000);
        assert!(!certificate.covers(now, "a.b"));
        let problem = certificate.problem(now).unwrap();
        assert_eq!(problem, "the certificate is valid in 1 day only");
    }

    #[test]
    fn files_that_make_no_certificate_are_named_with_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let files = write_pair(directory.path(), &["a.example"]);
        let other = tempfile::tempdir().unwrap();
        let foreign = write_pair(other.path(), &["a.example"]);
        let missing = directory.path().join("missing.pem");
        let with = |cert: &PathBuf, key: &PathBuf| CertificateFiles {
            cert: cert.clone(),
            key: key.clone(),
        };
        check_refused(&with(&missing, &files.key), &["tls.cert", "missing.pem cannot be read"]);
        check_refused(&with(&files.cert, &missing), &["tls.key", "missing.pem cannot be read"]);
        check_refused(&with(&files.cert, &foreign.key), &["does not belong to", "key.pem"]);
        check_refused(&with(&files.key, &files.cert), &["tls.cert", "swapped"]);
        check_refused(&with(&files.cert, &files.cert), &["tls.key", "swapped"]);
        let text = directory.path().join("text.pem");
        std::fs::write(&text, "hello").unwrap();
        check_refused(&with(&text, &files.key), &["no certificate in PEM form"]);
        check_refused(&with(&files.cert, &text), &["no private key in PEM form"]);
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        std::fs::write(&text, locked).unwrap();
        check_refused(&with(&files.cert, &text), &["passphrase"]);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&text, broken).unwrap();
        check_refused(&with(&text, &files.key), &["cannot be read"]);
        std::fs::write(&text, vec![b'x'; CERTIFICATE_BYTES_MAX as usize + 1]).unwrap();
        check_refused(&with(&text, &files.key), &["is no certificate"]);
    }
}
