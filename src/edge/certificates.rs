//! The certificate that is served: swapped without a restart when its files change.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{Certificate, CertificateError, CertificateFiles, days};
use crate::limits::CERTIFICATE_LOOK;
use crate::time::Now;

/// The application protocols of STUN and TURN over TLS (RFC 7443).
const ALPN_TURN: [&[u8]; 2] = [b"stun.turn", b"stun.nat-discovery"];

/// HTTP, at a port that is shared with it.
pub(super) const ALPN_HTTP: &[u8] = b"http/1.1";

/// The certificate in use, shared by all listeners and whoever asks about it.
#[derive(Debug)]
pub struct Certificates {
    files: CertificateFiles,
    current: RwLock<Arc<Certificate>>,
    watched: Mutex<Watched>,
}

/// What the last look at the files found.
#[derive(Debug)]
struct Watched {
    stamp: Stamp,
    /// Why what lies there is not used.
    refused: Option<&'static str>,
    /// The shortest time before expiry that was warned about, days.
    warned_days: Option<i64>,
}

/// Changes when a file is written or replaced.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Loads the pair for the first time.
    ///
    /// # Errors
    /// See [`Certificate::load`].
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, CertificateError> {
        let stamp = stamp(&files);
        let current = RwLock::new(Arc::new(Certificate::load(&files)?));
        let watched = Mutex::new(Watched { stamp, refused: None, warned_days: None });
        Ok(Arc::new(Self { files, current, watched }))
    }

    /// The one in use.
    #[must_use]
    pub fn current(&self) -> Arc<Certificate> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the pair on disk is not the one in use, without paths; `None` if it is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let refused = self.lock().refused?;
        Some(format!(
            "the new certificate is not used, the old one stays: {refused}; look at the log of turnbell, which names the file"
        ))
    }

    /// Swaps the certificate if its files have changed and fit, and warns of its end.
    pub fn look(&self, now: Now) {
        let mut watched = self.lock();
        // Before reading: what is written in between shows as a change at the next look.
        let stamp = stamp(&self.files);
        if stamp != watched.stamp {
            watched.stamp = stamp;
            match Certificate::load(&self.files) {
                Ok(certificate) => {
                    let left_s = certificate.not_after() - now.unix_ms / 1000;
                    tracing::info!(hosts = %certificate, expires_in = days(left_s), "new certificate");
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(certificate);
                    (watched.refused, watched.warned_days) = (None, None);
                }
                Err(why) => {
                    tracing::warn!(%why, "the changed certificate is not used; the old one stays");
                    watched.refused = Some(why.word());
                }
            }
        }
        let left_s = self.current().not_after() - now.unix_ms / 1000;
        let due = due_warning(left_s, watched.warned_days);
        if let Some(threshold) = due {
            watched.warned_days = Some(threshold);
            if left_s > 0 {
                tracing::warn!("the certificate expires in {}; renew it", days(left_s));
            } else {
                tracing::warn!("the certificate has expired; /ice leaves turns: out");
            }
        }
    }

    /// Looks every few seconds, for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut look = tokio::time::interval(CERTIFICATE_LOOK);
        loop {
            look.tick().await;
            let this = Arc::clone(&self);
            // Files may lie on a slow disk.
            let _ = tokio::task::spawn_blocking(move || this.look(Now::read())).await;
        }
    }

    /// TLS 1.2 and 1.3 with this certificate, for TURN, and for HTTP where the port is shared.
    ///
    /// # Errors
    /// If the crypto library supports neither version, which it does.
    pub fn server_config(
        self: &Arc<Self>,
        with_http: bool,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        let http = with_http.then_some(ALPN_HTTP);
        config.alpn_protocols = ALPN_TURN.into_iter().chain(http).map(<[u8]>::to_vec).collect();
        Ok(Arc::new(config))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().key))
    }
}

/// Days before the end at which a warning is due; 0 is the end itself.
const WARNED_DAYS: [i64; 5] = [0, 1, 7, 14, 30];

/// The threshold that `left_s` has passed, if no shorter one was warned about.
fn due_warning(left_s: i64, warned: Option<i64>) -> Option<i64> {
    let passed = WARNED_DAYS.into_iter().find(|days| left_s <= days * 86_400)?;
    warned.is_none_or(|warned| passed < warned).then_some(passed)
}

fn stamp(files: &CertificateFiles) -> Stamp {
    let of = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [of(&files.cert), of(&files.key)]
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::write_pair;
    use super::*;

    fn pair(host: &str) -> (tempfile::TempDir, CertificateFiles) {
        let directory = tempfile::tempdir().unwrap();
        let files = write_pair(directory.path(), &[host]);
        (directory, files)
    }

    #[test]
    fn a_changed_pair_is_swapped_and_a_mismatching_one_is_not() {
        let (directory, files) = pair("one.example");
        let certificates = Certificates::load(files.clone()).unwrap();
        let now = Now::read();
        let covers = |host: &str| certificates.current().covers(now, host);
        // Nothing changed.
        certificates.look(now);
        assert!(covers("one.example") && certificates.problem().is_none());
        // The certificate is replaced, the key not yet: as a renewal looks in the middle.
        let (_other, next) = pair("two.example");
        std::fs::copy(&next.cert, directory.path().join("cert.pem")).unwrap();
        certificates.look(now);
        assert!(covers("one.example") && !covers("two.example"));
        assert!(certificates.problem().unwrap().contains("does not belong"));
        std::fs::copy(&next.key, directory.path().join("key.pem")).unwrap();
        certificates.look(now);
        assert!(!covers("one.example") && covers("two.example"));
        assert_eq!(certificates.problem(), None);
        // A file that is gone changes nothing.
        std::fs::remove_file(&files.cert).unwrap();
        certificates.look(now);
        assert!(covers("two.example"));
        assert!(certificates.problem().unwrap().contains("cannot be read"));
    }

    #[test]
    fn the_end_is_warned_about_once_at_thirty_fourteen_seven_and_one_day() {
        let day = 86_400;
        assert_eq!(due_warning(30 * day + 1, None), None);
        assert_eq!(due_warning(30 * day, None), Some(30));
        assert_eq!(due_warning(14 * day + 1, Some(30)), None);
        assert_eq!(due_warning(14 * day, Some(30)), Some(14));
        assert_eq!(due_warning(7 * day, Some(14)), Some(7));
        assert_eq!(due_warning(day, Some(7)), Some(1));
        assert_eq!(due_warning(1, Some(1)), None);
        assert_eq!(due_warning(0, Some(1)), Some(0));
        assert_eq!(due_warning(-5 * day, Some(0)), None);
        assert_eq!(due_warning(3 * day, None), Some(7), "a start a few days before the end");
    }
}
