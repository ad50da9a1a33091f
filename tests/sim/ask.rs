//! Requests and data as the simulation knows them: bytes together with what they mean.

use std::net::SocketAddr;
use std::rc::Rc;

use turnbell::auth::key::PasswordAlgorithm;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::TransactionId;

use crate::support::event;
use crate::support::request::{Credential, Request};

/// What a request asks for.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    Binding,
    /// A request without credentials, to get a nonce.
    Challenge,
    Allocate {
        lifetime_s: Option<u32>,
        family: Option<Family>,
    },
    Refresh {
        lifetime_s: Option<u32>,
    },
    Permit {
        peers: Vec<SocketAddr>,
    },
    Bind {
        number: u16,
        peer: SocketAddr,
    },
}

/// Who asks: a credential and whether its password is right.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) credential: Credential,
    pub(crate) expires_s: i64,
    pub(crate) is_right: bool,
}

/// A request and its meaning.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) wanted: Wanted,
    pub(crate) signer: Signer,
    pub(crate) nonce: Vec<u8>,
    pub(crate) id: TransactionId,
    pub(crate) request: Request,
}

impl Ask {
    pub(crate) fn new(
        wanted: Wanted,
        signer: Signer,
        nonce: Vec<u8>,
        id: TransactionId,
        fingerprint: bool,
    ) -> Rc<Self> {
        let request = match &wanted {
            Wanted::Binding => event::binding(),
            Wanted::Challenge => event::allocate().unsigned(),
            Wanted::Allocate { lifetime_s, family } => {
                let request = with_lifetime(event::allocate(), *lifetime_s);
                family.map_or_else(|| request.clone(), |family| request.clone().family(family))
            }
            Wanted::Refresh { lifetime_s } => with_lifetime(event::refresh(), *lifetime_s),
            Wanted::Permit { peers } => event::create_permission(peers),
            Wanted::Bind { number, peer } => event::channel_bind(*number, *peer),
        };
        let request = match wanted {
            Wanted::Binding | Wanted::Challenge => request,
            Wanted::Allocate { .. }
            | Wanted::Refresh { .. }
            | Wanted::Permit { .. }
            | Wanted::Bind { .. } => {
                // One client says who it is in another form each time (RFC 8489 §9.2.4).
                let request = request.signed_by(signer.credential.clone()).nonce(nonce.clone());
                match id.0.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) % 4 {
                    0 => request,
                    1 => request.sha256(),
                    2 => request.by(PasswordAlgorithm::Md5),
                    _ => request.by_sha256(),
                }
            }
        };
        let request = if fingerprint { request.fingerprint() } else { request };
        Rc::new(Self { wanted, signer, nonce, id, request })
    }

    pub(crate) fn bytes(&self) -> Rc<[u8]> {
        self.request.encode(self.id, &self.nonce).into()
    }
}

fn with_lifetime(request: Request, lifetime_s: Option<u32>) -> Request {
    match lifetime_s {
        Some(lifetime_s) => request.raw(AttributeType::LIFETIME, &lifetime_s.to_be_bytes()),
        None => request,
    }
}

/// What a datagram of a client means, if nobody has touched it on its way.
#[derive(Debug, Clone)]
pub(crate) enum Intent {
    Ask(Rc<Ask>),
    Send {
        peer: SocketAddr,
        data: Vec<u8>,
    },
    Channel {
        number: u16,
        data: Vec<u8>,
    },
    /// Anything: mutated, random, or from somebody who does not say.
    Unknown,
}

/// A datagram from a client's address to the server.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) client: SocketAddr,
    pub(crate) bytes: Rc<[u8]>,
    pub(crate) intent: Intent,
}

impl Packet {
    pub(crate) fn ask(client: SocketAddr, ask: &Rc<Ask>) -> Self {
        Self { client, bytes: ask.bytes(), intent: Intent::Ask(Rc::clone(ask)) }
    }

    pub(crate) fn send(client: SocketAddr, peer: SocketAddr, data: Vec<u8>) -> Self {
        let bytes = event::send(peer, &data).encode(TransactionId([0x5E; 12]), b"").into();
        Self { client, bytes, intent: Intent::Send { peer, data } }
    }

    /// ChannelData, padded to a multiple of four as some clients do over UDP, too.
    pub(crate) fn channel(client: SocketAddr, number: u16, data: Vec<u8>) -> Self {
        let length = (data.len() as u16).to_be_bytes();
        let mut bytes = [&number.to_be_bytes()[..], &length, &data].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0xFF);
        Self { client, bytes: bytes.into(), intent: Intent::Channel { number, data } }
    }
}
