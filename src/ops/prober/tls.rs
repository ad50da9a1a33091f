//! A TLS handshake that takes any certificate and notes what is wrong with it, each thing by itself:
//! nothing secret is ever said on such a connection.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::roots::Roots;
use crate::probe::observation::{CertificateFacts, Fault, TlsFault, Trust};

/// Names of a certificate that are told, and characters of each.
const NAMES_MAX: usize = 5;
const NAME_CHARACTERS_MAX: usize = 100;

/// Shakes hands; the facts are those of the certificate that was shown.
pub(super) async fn shake_hands(
    stream: TcpStream,
    host: &str,
    roots: &Roots,
) -> Result<(TlsStream<TcpStream>, CertificateFacts), Fault> {
    let other = |why: String| Fault::Tls(TlsFault::Other(why));
    let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
        .map_err(|error| other(error.to_string()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let noting = Arc::new(Noting {
        algorithms: provider.signature_verification_algorithms,
        roots: roots.clone(),
        facts: Mutex::new(None),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| other(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Noting>::clone(&noting))
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| fault(&error))?;
    let facts = noting.facts.lock().unwrap_or_else(PoisonError::into_inner).take();
    let facts = facts.ok_or_else(|| other("no certificate was shown".to_owned()))?;
    Ok((stream, facts))
}

pub(super) fn fault(error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Fault::Tls(match inner {
        Some(rustls::Error::InvalidMessage(_)) => TlsFault::NotTls,
        Some(rustls::Error::AlertReceived(alert)) => TlsFault::Alert(format!("{alert:?}")),
        Some(error) => TlsFault::Other(error.to_string()),
        None if is_closed(error.kind()) => return Fault::Closed,
        None => TlsFault::Other(error.to_string()),
    })
}

fn is_closed(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(kind, Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe)
}

#[derive(Debug)]
struct Noting {
    algorithms: WebPkiSupportedAlgorithms,
    roots: Roots,
    facts: Mutex<Option<CertificateFacts>>,
}

impl Noting {
    fn facts(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<CertificateFacts> {
        let (_, certificate) = parse_x509_certificate(leaf).ok()?;
        let validity = certificate.validity();
        let (not_before, not_after) =
            (validity.not_before.timestamp(), validity.not_after.timestamp());
        let last = others.last().unwrap_or(leaf);
        let leads_to_itself = self.is_signed_by_itself(last);
        let (_, last) = parse_x509_certificate(last).ok()?;
        let parsed = ParsedCertificate::try_from(leaf).ok();
        let covers_name =
            parsed.as_ref().is_some_and(|leaf| verify_server_name(leaf, name).is_ok());
        Some(CertificateFacts {
            names: names(&certificate),
            last_issuer: short(&last.issuer().to_string()),
            not_before,
            not_after,
            chain_length: others.len() + 1,
            covers_name,
            is_self_signed: self.is_signed_by_itself(leaf),
            trust: parsed.map_or_else(
                || Trust::Broken("it cannot be read".to_owned()),
                |leaf| self.trust(&leaf, others, now, not_after, leads_to_itself),
            ),
        })
    }

    /// Whether its own key made its signature: the same name in both places is no proof of it.
    fn is_signed_by_itself(&self, der: &CertificateDer<'_>) -> bool {
        use CertificateError as Error;
        let Ok((_, certificate)) = parse_x509_certificate(der) else { return false };
        let mut itself = RootCertStore::empty();
        let (true, Ok(()), Ok(leaf)) = (
            certificate.issuer().as_raw() == certificate.subject().as_raw(),
            itself.add(der.clone().into_owned()),
            ParsedCertificate::try_from(der),
        ) else {
            return false;
        };
        let at = u64::try_from(certificate.validity().not_after.timestamp() - 1).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let algorithms = self.algorithms.all;
        let judged = verify_server_cert_signed_by_trust_anchor(&leaf, &itself, &[], at, algorithms);
        // A root is found unfit for a server; that it signed itself is found before.
        !matches!(
            judged,
            Err(rustls::Error::InvalidCertificate(Error::UnknownIssuer | Error::BadSignature))
        )
    }

    /// Where the chain leads. Dates of the first certificate are judged apart, so that one that is
    /// expired and of a wrong chain is told as both.
    fn trust(
        &self,
        leaf: &ParsedCertificate<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        not_after: i64,
        leads_to_itself: bool,
    ) -> Trust {
        use CertificateError as Error;
        if self.roots.is_empty() {
            return Trust::NoRootsHere;
        }
        let at = |now| {
            let (roots, algorithms) = (&self.roots.store, self.algorithms.all);
            verify_server_cert_signed_by_trust_anchor(leaf, roots, others, now, algorithms)
        };
        let in_its_days = u64::try_from(not_after - 1).unwrap_or(0);
        let judged = match at(now) {
            Err(rustls::Error::InvalidCertificate(
                Error::Expired
                | Error::ExpiredContext { .. }
                | Error::NotValidYet
                | Error::NotValidYetContext { .. },
            )) => at(UnixTime::since_unix_epoch(Duration::from_secs(in_its_days))),
            judged => judged,
        };
        match judged {
            Ok(()) => Trust::Root,
            Err(rustls::Error::InvalidCertificate(Error::UnknownIssuer)) if leads_to_itself => {
                Trust::OwnRoot
            }
            Err(rustls::Error::InvalidCertificate(Error::UnknownIssuer)) => Trust::Incomplete,
            Err(error) => Trust::Broken(error.to_string()),
        }
    }
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let facts = self.facts(leaf, others, name, now);
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn names(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Vec<String> {
    let san = certificate.subject_alternative_name().ok().flatten();
    let all = san.iter().flat_map(|san| san.value.general_names.iter());
    let text = |name: &GeneralName<'_>| {
        if let GeneralName::DNSName(name) = name {
            return Some(short(name));
        }
        let GeneralName::IPAddress(bytes) = name else { return None };
        let v4 = <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from);
        let v6 = || <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from);
        v4.or_else(v6).map(|ip| ip.to_string())
    };
    all.filter_map(text).take(NAMES_MAX).collect()
}

/// Text from a certificate as a sentence may hold it.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS_MAX).collect()
}
