//! The server that gets the load, from a URL as `/ice` hands it out.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use crate::load::target::{SYSTEM_AUTHORITIES, client_config};
use crate::load::{LoadError, own};
use crate::probe::target::{Carrier, Place};

/// A server, resolved once.
#[derive(Debug, Clone)]
pub struct Server {
    pub(super) url: String,
    pub(super) address: SocketAddr,
    pub(super) carrier: Carrier,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Whether somebody said so: then its relayed addresses are believed, too.
    pub(super) is_own: bool,
}

impl Server {
    /// Reads `turn:`, `turns:` and `stun:` URLs. What is neither this machine nor in a network for
    /// benchmarks is refused unless it `is_own`.
    ///
    /// `authorities`: PEM file of those that a `turns:` server's certificate may come from; by
    /// itself, the system's.
    ///
    /// # Errors
    /// If the URL is none, leads elsewhere, or the file cannot be used.
    pub fn new(url: &str, is_own: bool, authorities: Option<&Path>) -> Result<Self, LoadError> {
        let wrong = |why: String| LoadError::RelayUrl { url: url.to_owned(), why };
        let place =
            Place::parse(url).ok_or_else(|| wrong("this is no URL of a relay".to_owned()))?;
        let host = place.host.as_str();
        let mut found = (host, place.port)
            .to_socket_addrs()
            .map_err(|why| wrong(format!("{host} cannot be resolved: {why}")))?;
        let address = found.next().ok_or_else(|| wrong(format!("{host} has no address")))?;
        own::refuse_foreign(address, is_own)?;
        let tls = match place.carrier {
            Carrier::Udp | Carrier::Tcp => None,
            Carrier::Tls => {
                let name = ServerName::try_from(place.host.clone())
                    .map_err(|_| wrong(format!("{host} is no name for a certificate")))?;
                let authorities = authorities.unwrap_or_else(|| Path::new(SYSTEM_AUTHORITIES));
                Some((client_config(authorities)?, name))
            }
        };
        Ok(Self { url: url.to_owned(), address, carrier: place.carrier, tls, is_own })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Server::new(url, false, None).expect_err(url).to_string()
    }

    #[test]
    fn only_what_is_ours_is_taken_without_a_word() {
        for url in ["turn:127.0.0.1", "turn:[::1]:5?transport=tcp", "stun:198.18.0.1"] {
            assert!(Server::new(url, false, None).is_ok(), "{url}");
        }
        for url in ["turn:192.0.2.1", "turn:[2001:db8::1]:7?transport=tcp", "stun:0.0.0.0"] {
            assert!(refused(url).contains("--i-own-this-server"), "{url}");
            assert!(Server::new(url, true, None).is_ok(), "{url}");
        }
        // Refused before its certificate would matter.
        assert!(refused("turns:192.0.2.1").contains("--i-own-this-server"));
    }

    #[test]
    fn what_is_no_url_of_a_relay_is_refused_with_an_example() {
        for url in ["", "http://127.0.0.1/", "127.0.0.1:3478", "turn:", "turns:x?transport=udp"] {
            assert!(refused(url).contains("turn:127.0.0.1:3478"), "{url}");
        }
    }
}
