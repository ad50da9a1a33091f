//! A client on one connection: one request at a time, its challenge, its retransmissions, and
//! replies that are believed only as far as they prove themselves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::entropy::Entropy;
use crate::auth::key::{LongTermKey, PasswordAlgorithm};
use crate::auth::nonce::says_password_algorithms;
use crate::limits::probe::{
    VERIFY_BYTES_MAX, VERIFY_CHALLENGE_BYTES_MAX, VERIFY_MESSAGES_MAX, VERIFY_RTO, VERIFY_SENDS,
    VERIFY_STREAM_PATIENCE,
};
use crate::probe::observation::{Allocated, Fault};
use crate::probe::target::{Carrier, Login};
use crate::time::Now;
use crate::wire::address::XorAddress;
use crate::wire::attribute::AttributeType;
use crate::wire::channel_data::{ChannelRange, is_channel_data};
use crate::wire::error_code::ErrorCode;
use crate::wire::framing::{Framing, first_frame};
use crate::wire::message::{Class, Message, Method, TransactionId};
use crate::wire::writer::MessageWriter;

/// UDP, the protocol number of REQUESTED-TRANSPORT.
const UDP: u32 = 17 << 24;

#[derive(Debug)]
pub(super) struct Session {
    server: SocketAddr,
    is_stream: bool,
    login: Option<Login>,
    challenge: Option<Challenge>,
    pending: Option<Pending>,
    /// The beginning of the next message on a stream.
    kept: Vec<u8>,
    bytes_heard: usize,
    messages_heard: u32,
    /// Replies to the pending request that failed their integrity.
    forged: u32,
}

/// What a server asks to be proven, and the key that does it.
#[derive(Debug)]
struct Challenge {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    /// PASSWORD-ALGORITHMS as sent, if it is to be repeated.
    offer: Option<Vec<u8>>,
    key: LongTermKey,
}

#[derive(Debug)]
struct Pending {
    request: Request,
    id: TransactionId,
    bytes: Vec<u8>,
    is_signed: bool,
    /// A fresh nonce was taken once.
    is_again: bool,
    sends: u32,
    next_at: Instant,
    began: Instant,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Binding,
    Allocate,
    Permit(SocketAddr),
    Release,
}

/// What a session wants, or has to tell.
#[derive(Debug)]
pub(super) enum Said {
    /// These bytes go to the server.
    Send(Vec<u8>),
    /// The request is over.
    Answer { answer: Answer, took: Duration },
    /// A peer sent this.
    Data { from: SocketAddr, bytes: Vec<u8> },
    /// A datagram that is no STUN.
    Other(Vec<u8>),
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum Answer {
    Mapped(SocketAddr),
    Allocated(Allocated),
    Done,
    Failed(Fault),
}

impl Session {
    pub(super) fn new(server: SocketAddr, carrier: Carrier, login: Option<Login>) -> Self {
        Self {
            server,
            is_stream: carrier != Carrier::Udp,
            login,
            challenge: None,
            pending: None,
            kept: Vec::new(),
            bytes_heard: 0,
            messages_heard: 0,
            forged: 0,
        }
    }

    /// Begins a request; the first sending is due at once.
    pub(super) fn ask(&mut self, now: Now, request: Request, entropy: &mut Entropy) -> Vec<Said> {
        self.forged = 0;
        let (id, is_signed) = (entropy.transaction_id(), self.challenge.is_some());
        let bytes = self.write(request, id);
        let (began, next_at) = (now.mono, now.mono);
        let is_again = false;
        self.pending =
            Some(Pending { request, id, bytes, is_signed, is_again, sends: 0, next_at, began });
        self.tick(now)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.next_at)
    }

    /// Sends again, or gives up.
    pub(super) fn tick(&mut self, now: Now) -> Vec<Said> {
        let Some(pending) = &mut self.pending else { return Vec::new() };
        if now.mono < pending.next_at {
            return Vec::new();
        }
        // Where an Allocate comes next in any case, silence need not be waited for as long.
        let is_prelude = pending.request == Request::Binding && self.login.is_some();
        let sends_max = if self.is_stream { 1 } else { VERIFY_SENDS - u32::from(is_prelude) };
        if pending.sends == sends_max {
            let fault = if self.forged > 0 { Fault::Forged } else { Fault::Silent };
            return self.end(now, Answer::Failed(fault));
        }
        let is_last = pending.sends + 1 == sends_max;
        let pause = match (self.is_stream, is_prelude) {
            (true, true) => VERIFY_STREAM_PATIENCE / 2,
            (true, false) => VERIFY_STREAM_PATIENCE,
            (false, false) if is_last => VERIFY_RTO * 4,
            (false, _) => VERIFY_RTO * (1 << pending.sends),
        };
        pending.sends += 1;
        pending.next_at = now.mono + pause;
        vec![Said::Send(pending.bytes.clone())]
    }

    /// The connection is gone, or never came.
    pub(super) fn fail(&mut self, now: Now, fault: Fault) -> Vec<Said> {
        self.end(now, Answer::Failed(fault))
    }

    /// Reads a datagram, or what came of a stream.
    pub(super) fn hear(&mut self, now: Now, bytes: &[u8], entropy: &mut Entropy) -> Vec<Said> {
        self.bytes_heard = self.bytes_heard.saturating_add(bytes.len());
        if self.bytes_heard > VERIFY_BYTES_MAX {
            return self.flooded(now);
        }
        if !self.is_stream {
            return self.message(now, bytes, entropy);
        }
        let mut said = Vec::new();
        self.kept.extend_from_slice(bytes);
        loop {
            match first_frame(&self.kept, ChannelRange::Rfc8656) {
                Framing::Frame { len, taken } => {
                    let message = self.kept[..len].to_vec();
                    self.kept.drain(..taken);
                    said.extend(self.message(now, &message, entropy));
                }
                Framing::Partial => return said,
                Framing::Malformed => {
                    self.kept.clear();
                    said.extend(self.end(now, Answer::Failed(Fault::NotStun)));
                    return said;
                }
            }
        }
    }

    /// A datagram for a peer, as it goes to the server.
    pub(super) fn to_peer(peer: SocketAddr, data: &[u8], entropy: &mut Entropy) -> Vec<u8> {
        MessageWriter::new(Class::Indication, Method::SEND, entropy.transaction_id())
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::DATA, data)
            .finish(None, false)
    }

    fn message(&mut self, now: Now, bytes: &[u8], entropy: &mut Entropy) -> Vec<Said> {
        self.messages_heard += 1;
        if self.messages_heard > VERIFY_MESSAGES_MAX {
            return self.flooded(now);
        }
        let Ok(message) = Message::parse(bytes) else {
            let is_ours = !is_channel_data(bytes, ChannelRange::Rfc8656);
            return if is_ours { vec![Said::Other(bytes.to_vec())] } else { Vec::new() };
        };
        match (message.class(), message.method()) {
            (Class::Indication, Method::DATA) => {
                let from = address(&message, AttributeType::XOR_PEER_ADDRESS);
                let data = message.attribute(AttributeType::DATA);
                from.zip(data)
                    .map(|(from, data)| Said::Data { from, bytes: data.to_vec() })
                    .into_iter()
                    .collect()
            }
            (Class::SuccessResponse | Class::ErrorResponse, _) => {
                self.response(now, &message, entropy)
            }
            (Class::Request | Class::Indication, _) => Vec::new(),
        }
    }

    fn response(&mut self, now: Now, message: &Message<'_>, entropy: &mut Entropy) -> Vec<Said> {
        let Some(pending) = &self.pending else { return Vec::new() };
        let is_answer = message.transaction_id() == pending.id
            && message.method() == method(pending.request)
            && pending.sends > 0;
        if !is_answer {
            return Vec::new();
        }
        let is_success = message.class() == Class::SuccessResponse;
        // §9.2.5: what claims to be signed must be, and a success must claim it. An error may come
        // unsigned: the server cannot sign for somebody it does not know.
        if pending.is_signed && (is_success || message.has_integrity()) {
            let key = self.challenge.as_ref().map(|challenge| challenge.key.as_bytes());
            if !key.is_some_and(|key| message.integrity_matches(key)) {
                self.forged = self.forged.saturating_add(1);
                return Vec::new();
            }
        }
        if !is_success {
            return self.refused(now, message, entropy);
        }
        let answer = match pending.request {
            Request::Binding => mapped(message).map(Answer::Mapped),
            Request::Allocate if !pending.is_signed => {
                // Or somebody who plays one: nothing in it can be believed.
                Some(Answer::Failed(Fault::OpenRelay))
            }
            Request::Allocate => self.allocated(message).map(Answer::Allocated),
            Request::Permit(_) | Request::Release => Some(Answer::Done),
        };
        self.end(now, answer.unwrap_or(Answer::Failed(Fault::Empty)))
    }

    fn refused(&mut self, now: Now, message: &Message<'_>, entropy: &mut Entropy) -> Vec<Said> {
        let code = message.attribute(AttributeType::ERROR_CODE);
        let code = code.and_then(ErrorCode::from_value).map_or(0, ErrorCode::number);
        let Some(pending) = &self.pending else { return Vec::new() };
        let is_challenge = match code {
            401 => !pending.is_signed && pending.request == Request::Allocate,
            438 => pending.is_signed && !pending.is_again,
            _ => false,
        };
        if !is_challenge {
            let fault = match code {
                300 => Fault::Redirected(alternate(message)),
                401 if self.is_other_realm(message) => Fault::OtherRealm(shown_realm(message)),
                code => Fault::Error { code, realm: shown_realm(message) },
            };
            return self.end(now, Answer::Failed(fault));
        }
        let old = self.challenge.take();
        self.challenge = self.login.as_ref().and_then(|login| challenge(message, login, old));
        if self.challenge.is_none() {
            return self.end(now, Answer::Failed(Fault::NoChallenge));
        }
        let Some(pending) = &self.pending else { return Vec::new() };
        let (request, id) = (pending.request, entropy.transaction_id());
        let bytes = self.write(request, id);
        if let Some(pending) = &mut self.pending {
            pending.is_again = code == 438;
            (pending.id, pending.bytes, pending.is_signed) = (id, bytes, true);
            (pending.sends, pending.next_at) = (0, now.mono);
        }
        self.tick(now)
    }

    /// Whether it asks for another realm than its challenge did.
    fn is_other_realm(&self, message: &Message<'_>) -> bool {
        let asked = message.attribute(AttributeType::REALM);
        let known = self.challenge.as_ref().map(|challenge| challenge.realm.as_slice());
        asked.is_some_and(|asked| known.is_some_and(|known| known != asked))
    }

    fn allocated(&self, message: &Message<'_>) -> Option<Allocated> {
        let relayed = address(message, AttributeType::XOR_RELAYED_ADDRESS)?;
        let challenge = self.challenge.as_ref()?;
        Some(Allocated {
            relayed: Some(relayed).filter(|at| at.port() != 0)?,
            mapped: address(message, AttributeType::XOR_MAPPED_ADDRESS),
            realm: shown(&challenge.realm),
            is_sha256: challenge.key.algorithm() == PasswordAlgorithm::Sha256,
        })
    }

    fn write(&self, request: Request, id: TransactionId) -> Vec<u8> {
        let mut writer = MessageWriter::new(Class::Request, method(request), id);
        writer = match request {
            Request::Binding => return writer.finish(None, true),
            Request::Allocate => writer.u32(AttributeType::REQUESTED_TRANSPORT, UDP),
            Request::Permit(peer) => writer.xor_address(AttributeType::XOR_PEER_ADDRESS, peer),
            Request::Release => writer.u32(AttributeType::LIFETIME, 0),
        };
        let (Some(challenge), Some(login)) = (&self.challenge, &self.login) else {
            return writer.finish(None, true);
        };
        writer = writer
            .attribute(AttributeType::USERNAME, login.username.as_bytes())
            .attribute(AttributeType::REALM, &challenge.realm)
            .attribute(AttributeType::NONCE, &challenge.nonce);
        let algorithm = challenge.key.algorithm();
        if let Some(offer) = &challenge.offer {
            writer = writer
                .attribute(AttributeType::PASSWORD_ALGORITHMS, offer)
                .attribute(AttributeType::PASSWORD_ALGORITHM, &algorithm.to_value());
        }
        let key = challenge.key.as_bytes();
        match algorithm {
            PasswordAlgorithm::Md5 => writer.finish(Some(key), true),
            PasswordAlgorithm::Sha256 => writer.integrity_sha256(key).finish(None, true),
        }
    }

    fn flooded(&mut self, now: Now) -> Vec<Said> {
        self.kept = Vec::new();
        self.end(now, Answer::Failed(Fault::Flooded))
    }

    fn end(&mut self, now: Now, answer: Answer) -> Vec<Said> {
        let Some(pending) = self.pending.take() else { return Vec::new() };
        let took = now.mono.saturating_duration_since(pending.began);
        vec![Said::Answer { answer, took }]
    }

    /// Where it connects to.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }
}

fn method(request: Request) -> Method {
    match request {
        Request::Binding => Method::BINDING,
        Request::Allocate => Method::ALLOCATE,
        Request::Permit(_) => Method::CREATE_PERMISSION,
        Request::Release => Method::REFRESH,
    }
}

/// Takes REALM, NONCE and what is offered from a challenge; a 438 need not repeat the realm.
fn challenge(message: &Message<'_>, login: &Login, old: Option<Challenge>) -> Option<Challenge> {
    let short = |value: &&[u8]| (1..=VERIFY_CHALLENGE_BYTES_MAX).contains(&value.len());
    let realm = message.attribute(AttributeType::REALM).filter(short).map(<[u8]>::to_vec);
    let realm = realm.or_else(|| old.map(|old| old.realm))?;
    let nonce = message.attribute(AttributeType::NONCE).filter(short)?.to_vec();
    let offer = message.attribute(AttributeType::PASSWORD_ALGORITHMS).filter(short);
    let offer = offer.filter(|_| says_password_algorithms(&nonce)).map(<[u8]>::to_vec);
    // §14.11: entries of number, length and parameters; those that are known have none.
    let sha_256 = PasswordAlgorithm::Sha256.to_value();
    let has_sha_256 = offer.as_ref().is_some_and(|o| o.chunks_exact(4).any(|e| e == sha_256));
    let algorithm = if has_sha_256 { PasswordAlgorithm::Sha256 } else { PasswordAlgorithm::Md5 };
    let (name, password) = (login.username.as_bytes(), login.password.expose().as_bytes());
    let key = LongTermKey::derive(algorithm, name, &realm, password);
    Some(Challenge { realm, nonce, offer, key })
}

fn address(message: &Message<'_>, kind: AttributeType) -> Option<SocketAddr> {
    XorAddress::decode(message.attribute(kind)?, &message.transaction_id())
}

/// XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of a server that is as old as that.
fn mapped(message: &Message<'_>) -> Option<SocketAddr> {
    let plain = || {
        let value = message.attribute(AttributeType::MAPPED_ADDRESS)?;
        XorAddress::decode_plain(value)
    };
    address(message, AttributeType::XOR_MAPPED_ADDRESS).or_else(plain)
}

fn alternate(message: &Message<'_>) -> Option<SocketAddr> {
    XorAddress::decode_plain(message.attribute(AttributeType::ALTERNATE_SERVER)?)
}

fn shown_realm(message: &Message<'_>) -> String {
    message.attribute(AttributeType::REALM).map(shown).unwrap_or_default()
}

/// Text from a server as a sentence may hold it.
fn shown(bytes: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 64;
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect()
}
