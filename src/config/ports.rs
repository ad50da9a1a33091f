//! Where TURN is listened for: the lists of ports, and the certificate that TLS needs.

use std::net::SocketAddr;

use toml::Spanned;

use super::checker::Checker;
use super::raw::{List, RawTls};
use super::value::{self, Refusal};
use super::{Config, STUN_PORT, STUNS_PORT, Tls};
use crate::limits::LISTENERS_MAX;

/// The lists as they were typed.
pub(super) struct RawListen {
    pub(super) udp: List,
    pub(super) tcp: List,
    pub(super) tls: List,
    pub(super) proxied: List,
}

impl Checker<'_> {
    /// Paths only: the files are read where the daemon starts.
    pub(super) fn tls(&mut self, raw: RawTls) -> Option<Tls> {
        let directory = self.directory;
        if let (Some(one), None) | (None, Some(one)) = (&raw.cert, &raw.key) {
            self.refuse(one.span(), "tls", "a certificate needs both `cert` and `key`");
            return None;
        }
        let mut path = |key: &str, raw| {
            self.text(key, raw, None, |text: &str| match text {
                "" => Err(Refusal("must be the path of a PEM file".to_owned())),
                text => Ok(Some(directory.join(text))),
            })
        };
        let (cert, key) = (path("tls.cert", raw.cert), path("tls.key", raw.key));
        Some(Tls { cert: cert?, key: key? })
    }

    /// `config.tls` is known already: without a certificate there is no TLS.
    pub(super) fn listen(&mut self, config: &mut Config, raw: RawListen) {
        let place = |list: &List| list.as_ref().map_or(0..0, Spanned::span);
        let (at_tls, at_proxied) = (place(&raw.tls), place(&raw.proxied));
        let mut list = |key: &str, raw, count, port| {
            self.list(key, raw, count, |text| value::listener(text, port))
        };
        let udp = list("listen", raw.udp, 1..=LISTENERS_MAX, STUN_PORT);
        let tcp = list("listen_tcp", raw.tcp, 0..=LISTENERS_MAX, STUN_PORT);
        let tls = list("listen_tls", raw.tls, 0..=LISTENERS_MAX, STUNS_PORT);
        let proxied = list("proxy_protocol", raw.proxied, 0..=LISTENERS_MAX, STUNS_PORT);
        config.listen = udp.unwrap_or_else(|| config.listen.clone());
        config.listen_tcp = tcp.unwrap_or_else(|| config.listen_tcp.clone());
        let default = if config.tls.is_some() { super::everywhere(STUNS_PORT) } else { Vec::new() };
        config.listen_tls = tls.unwrap_or(default);
        if config.tls.is_none() && !config.listen_tls.is_empty() {
            let text = "needs a certificate: set `cert` and `key` in [tls]";
            self.refuse(at_tls.clone(), "listen_tls", text);
        }
        let is_twice = |door: &&SocketAddr| door.port() != 0 && config.listen_tcp.contains(door);
        if let Some(door) = config.listen_tls.iter().find(is_twice) {
            let text =
                format!("{door} stands in `listen_tcp`, too; one port speaks TLS or it does not");
            self.refuse(at_tls, "listen_tls", &text);
        }
        config.proxy_protocol = proxied.unwrap_or_default();
        for door in &config.proxy_protocol {
            if !config.listen_tcp.contains(door) && !config.listen_tls.contains(door) {
                let text = format!("{door} stands neither in `listen_tcp` nor in `listen_tls`");
                self.refuse(at_proxied.clone(), "proxy_protocol", &text);
            }
            self.warnings.push(format!(
                "proxy_protocol: whoever reaches {door} without the load balancer can claim any \
                 address; let nobody else through the firewall"
            ));
        }
    }
}
