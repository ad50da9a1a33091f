//! Drain: new allocations are sent elsewhere, live ones go on until they end (R25).

use std::net::SocketAddr;
use std::sync::Arc;

use super::fact::Transport;
use super::five_tuple::FiveTuple;
use super::relay::Relay;
use super::reply::Reject;
use crate::wire::address::{Family, XorAddress};
use crate::wire::attribute::AttributeType;
use crate::wire::writer::MessageWriter;

/// Another server that clients may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternate {
    /// Its transport address.
    pub server: SocketAddr,
    /// The name its certificate is for, where it is reached over TLS.
    pub domain: Option<Box<str>>,
}

impl Relay {
    /// Refuses new allocations from here on. Whatever is live refreshes, permits and binds as before.
    pub(super) fn drain(&mut self, alternates: Arc<[Alternate]>) {
        self.draining = Some(alternates);
    }

    /// §7.2: what an Allocate hears while draining; `Ok` if it may go on.
    ///
    /// # Errors
    /// 300 if there is another server of the request's family (RFC 8489 §10), else 508.
    pub(super) fn may_allocate(&self, tuple: FiveTuple) -> Result<(), Reject> {
        let Some(alternates) = &self.draining else { return Ok(()) };
        let family = Family::of(tuple.client.ip());
        let of_family = || alternates.iter().filter(|a| Family::of(a.server.ip()) == family);
        // RFC 8489 §10: the client keeps its transport. Where there is a name, TLS is spoken.
        let is_tls = tuple.transport == Transport::Tls;
        let fitting = of_family().find(|a| a.domain.is_some() == is_tls);
        let server = fitting.or_else(|| of_family().next()).map(|a| a.server);
        Err(server.map_or(Reject::InsufficientCapacity, Reject::TryAlternate))
    }

    /// The attributes of a 300.
    pub(super) fn alternate(&self, writer: MessageWriter, server: SocketAddr) -> MessageWriter {
        let value = XorAddress::encode_plain(server);
        let writer = writer.attribute(AttributeType::ALTERNATE_SERVER, value.as_bytes());
        let alternates = self.draining.iter().flat_map(|list| list.iter());
        match alternates.filter(|a| a.server == server).find_map(|a| a.domain.as_ref()) {
            Some(domain) => writer.attribute(AttributeType::ALTERNATE_DOMAIN, domain.as_bytes()),
            None => writer,
        }
    }
}
