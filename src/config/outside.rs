//! What is asked outside: nothing, unless these keys say so (R19).

use super::checker::Checker;
use super::raw::{List, Switch};
use super::value::{self, Refusal};
use super::{Config, Host};
use crate::limits::outside::STUN_SERVERS_MAX;

/// A STUN server that says under which public address we are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StunServer {
    /// Name or address.
    pub host: Host,
    /// UDP port.
    pub port: u16,
}

impl Checker<'_> {
    pub(super) fn outside(&mut self, config: &mut Config, servers: List, nat64: Switch) {
        let key = "external_stun";
        if let Some(found) = self.list(key, servers, 0..=STUN_SERVERS_MAX, stun_server) {
            config.external_stun = found;
        }
        // Whoever has a STUN server asked lets names be asked, too.
        config.discover_nat64 = self.switch(nat64, !config.external_stun.is_empty());
    }
}

/// `stun.example.org`, `stun.example.org:3478`, an address, an address with a port.
fn stun_server(text: &str) -> Result<StunServer, Refusal> {
    let refusal = || {
        let text = "must be a STUN server, a name or an address, with a port or without and without \
                    scheme, such as \"stun.example.org:3478\"";
        Refusal(text.to_owned())
    };
    let (host, port) = if let Ok(ip) = text.parse() {
        (Host::Address(ip), STUN_PORT)
    } else if let Ok(at) = text.parse::<std::net::SocketAddr>() {
        (Host::Address(at.ip()), at.port())
    } else {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, port.parse().map_err(|_| refusal())?),
            None => (text, STUN_PORT),
        };
        (Host::Name(value::dns_name(name).ok_or_else(refusal)?), port)
    };
    match host {
        Host::Address(ip) if ip.is_unspecified() || ip.is_multicast() => Err(refusal()),
        Host::Address(_) | Host::Name(_) if port == 0 => Err(refusal()),
        Host::Address(_) | Host::Name(_) => Ok(StunServer { host, port }),
    }
}

/// The port that STUN is registered for (RFC 8489 §18.6).
const STUN_PORT: u16 = 3478;
