//! Where else to go: drain, and what a full server says (R25). Live allocations go on until they end.

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
        self.alternates = alternates;
        self.is_draining = true;
    }

    /// §7.2: what an Allocate hears while draining; `Ok` if it may go on.
    ///
    /// # Errors
    /// See [`Self::no_capacity`].
    pub(super) fn may_allocate(&self, tuple: FiveTuple) -> Result<(), Reject> {
        if self.is_draining { Err(self.no_capacity(tuple)) } else { Ok(()) }
    }

    /// What a client hears for whom there is no room: 300 if there is another server of the
    /// request's family (RFC 8489 §10), else 508.
    pub(super) fn no_capacity(&self, tuple: FiveTuple) -> Reject {
        let family = Family::of(tuple.client.ip());
        let of_family = || self.alternates.iter().filter(|a| Family::of(a.server.ip()) == family);
        // RFC 8489 §10: the client keeps its transport. Where there is a name, TLS is spoken.
        let is_tls = tuple.transport == Transport::Tls;
        let fitting = of_family().find(|a| a.domain.is_some() == is_tls);
        let server = fitting.or_else(|| of_family().next()).map(|a| a.server);
        server.map_or(Reject::InsufficientCapacity, Reject::TryAlternate)
    }

    /// The attributes of a 300.
    pub(super) fn alternate(&self, writer: MessageWriter, server: SocketAddr) -> MessageWriter {
        let value = XorAddress::encode_plain(server);
        let writer = writer.attribute(AttributeType::ALTERNATE_SERVER, value.as_bytes());
        let known = self.alternates.iter().find(|a| a.server == server);
        match known.and_then(|a| a.domain.as_ref()) {
            Some(domain) => writer.attribute(AttributeType::ALTERNATE_DOMAIN, domain.as_bytes()),
            None => writer,
        }
    }
}
