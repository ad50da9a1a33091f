//! Requests and data as the simulation knows them: bytes together with what they mean.

use std::net::SocketAddr;
use std::rc::Rc;

use turnbell::auth::key::PasswordAlgorithm;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::TransactionId;

use super::origin::Origin;
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
        relays: Relays,
    },
    Refresh {
        lifetime_s: Option<u32>,
        family: Option<Family>,
    },
    Permit {
        peers: Vec<SocketAddr>,
    },
    Bind {
        number: u16,
        peer: SocketAddr,
    },
}

/// Which relayed transport addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relays {
    Any,
    One(Family),
    Both,
    /// An even port; with the next one reserved or without.
    Even {
        reserve: bool,
    },
    BothEven,
    Token([u8; 8]),
    /// What the text forbids beside a token.
    TokenAndEven([u8; 8]),
}

/// Who asks: a credential and whether its password is right.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) credential: Credential,
    pub(crate) expires_s: i64,
    /// By whom quotas and revocations go.
    pub(crate) user: Box<str>,
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
    /// Whether SHA-256 makes its key.
    pub(crate) is_sha256_key: bool,
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
            Wanted::Allocate { lifetime_s, relays } => {
                let request = with_lifetime(event::allocate(), *lifetime_s);
                match relays {
                    Relays::Any => request,
                    Relays::One(family) => request.family(*family),
                    Relays::Both => request.both_families(),
                    Relays::Even { reserve: false } => request.raw(AttributeType::EVEN_PORT, &[0]),
                    Relays::Even { reserve: true } => {
                        request.raw(AttributeType::EVEN_PORT, &[0x80])
                    }
                    Relays::BothEven => request.both_families().raw(AttributeType::EVEN_PORT, &[0]),
                    Relays::Token(token) => request.raw(AttributeType::RESERVATION_TOKEN, token),
                    Relays::TokenAndEven(token) => request
                        .raw(AttributeType::EVEN_PORT, &[0])
                        .raw(AttributeType::RESERVATION_TOKEN, token),
                }
            }
            Wanted::Refresh { lifetime_s, family } => {
                let request = with_lifetime(event::refresh(), *lifetime_s);
                family.map_or_else(|| request.clone(), |family| request.clone().family(family))
            }
            Wanted::Permit { peers } => event::create_permission(peers),
            Wanted::Bind { number, peer } => event::channel_bind(*number, *peer),
        };
        let kind = id.0.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) % 4;
        let request = match wanted {
            // A nonce shows that its bearer is there, whatever it is shown with.
            Wanted::Binding | Wanted::Challenge if !nonce.is_empty() => {
                request.raw(AttributeType::NONCE, &nonce)
            }
            Wanted::Binding | Wanted::Challenge => request,
            Wanted::Allocate { .. }
            | Wanted::Refresh { .. }
            | Wanted::Permit { .. }
            | Wanted::Bind { .. } => {
                // One client says who it is in another form each time (RFC 8489 §9.2.4).
                let request = request.signed_by(signer.credential.clone()).nonce(nonce.clone());
                match kind {
                    0 => request,
                    1 => request.sha256(),
                    2 => request.by(PasswordAlgorithm::Md5),
                    _ => request.by_sha256(),
                }
            }
        };
        let request = if fingerprint { request.fingerprint() } else { request };
        Rc::new(Self { wanted, signer, nonce, id, request, is_sha256_key: kind == 3 })
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
        dont_fragment: bool,
    },
    Channel {
        number: u16,
        data: Vec<u8>,
    },
    /// On a stream: no message at all, so nobody can say where the next one begins.
    Garbage,
    /// Anything: mutated, random, or from somebody who does not say.
    Unknown,
}

/// A datagram, or a message on a stream, from a client to the server.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) client: Origin,
    pub(crate) bytes: Rc<[u8]>,
    pub(crate) intent: Intent,
}

impl Packet {
    pub(crate) fn ask(client: Origin, ask: &Rc<Ask>) -> Self {
        Self { client, bytes: ask.bytes(), intent: Intent::Ask(Rc::clone(ask)) }
    }

    pub(crate) fn send(client: Origin, peer: SocketAddr, data: Vec<u8>) -> Self {
        Self::send_as(client, peer, data, false)
    }

    pub(crate) fn send_as(
        client: Origin,
        peer: SocketAddr,
        data: Vec<u8>,
        dont_fragment: bool,
    ) -> Self {
        let mut request = event::send(peer, &data);
        if dont_fragment {
            request = request.raw(AttributeType::DONT_FRAGMENT, &[]);
        }
        let bytes = request.encode(TransactionId([0x5E; 12]), b"").into();
        Self { client, bytes, intent: Intent::Send { peer, data, dont_fragment } }
    }

    /// ChannelData, padded to a multiple of four as some clients do over UDP, too.
    pub(crate) fn channel(client: Origin, number: u16, data: Vec<u8>) -> Self {
        let length = (data.len() as u16).to_be_bytes();
        let mut bytes = [&number.to_be_bytes()[..], &length, &data].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0xFF);
        Self { client, bytes: bytes.into(), intent: Intent::Channel { number, data } }
    }
}
