//! The root certificates of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::limits::probe::ROOTS_FILE_BYTES_MAX;

/// Whom this machine trusts.
#[derive(Debug, Clone)]
pub struct Roots {
    pub(super) store: Arc<RootCertStore>,
}

/// Where distributions keep them, all in one file.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

impl Roots {
    /// Reads them: those of the file that `SSL_CERT_FILE` names, else of the first bundle that is
    /// there. Blocks on the disk.
    #[must_use]
    pub fn of_system() -> Self {
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let bundles = BUNDLES.iter().map(PathBuf::from).filter(|path| path.exists());
        named
            .or_else(|| bundles.into_iter().next())
            .map_or_else(Self::none, |path| Self::read(&path))
    }

    fn none() -> Self {
        Self { store: Arc::new(RootCertStore::empty()) }
    }

    /// Reads a bundle; what is no certificate in it is left out.
    fn read(path: &Path) -> Self {
        let is_sane = std::fs::metadata(path).is_ok_and(|file| file.len() <= ROOTS_FILE_BYTES_MAX);
        let pem = if is_sane { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
        let mut store = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
        store.add_parsable_certificates(certificates);
        Self { store: Arc::new(store) }
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// For connections that must be trusted.
    #[must_use]
    pub fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.store)
    }
}
