//! What one client says to the server and hears from it, one request at a time.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::auth::key::{LongTermKey, PasswordAlgorithm};
use crate::auth::secret::{Secret, random_bytes};
use crate::limits::load::{LOAD_NONCES_MAX, LOAD_RTO};
use crate::wire::address::{Family, XorAddress};
use crate::wire::attribute::AttributeType;
use crate::wire::error_code::ErrorCode;
use crate::wire::message::{Class, Message, Method, TransactionId};
use crate::wire::writer::MessageWriter;

/// UDP, as REQUESTED-TRANSPORT has it.
const UDP: u32 = 17 << 24;
/// Most of a reason phrase that is repeated.
const REASON_CHARS_MAX: usize = 80;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An Allocate without a login, which is refused: realm and nonce.
    Challenge,
    /// An Allocate for a relayed address of this family.
    Allocate(Family),
    /// CreatePermission.
    Permit(IpAddr),
    /// ChannelBind.
    Bind(u16, SocketAddr),
    /// Refresh as long as the server likes.
    Keep,
    /// Refresh with lifetime 0.
    Release,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// The step is done.
    Done(Step),
    /// Another nonce: this is to be sent.
    Again(Vec<u8>),
    /// The server does not do it.
    Refused(Refusal),
    /// The answer does not prove that it comes from somebody who knows the key.
    Unverified,
    /// Nobody asked for it.
    Unasked,
}

/// A refusal, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) step: Step,
    pub(super) code: u16,
    pub(super) reason: String,
}

/// What time brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overdue<'a> {
    /// This is to be sent again.
    Repeat(&'a [u8]),
    /// There was no answer.
    Unanswered(Step),
}

/// Of one client.
pub(super) struct Session {
    username: String,
    password: Secret<String>,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: Option<LongTermKey>,
    pending: Option<Pending>,
    relayed: Option<SocketAddr>,
}

struct Pending {
    step: Step,
    id: TransactionId,
    bytes: Vec<u8>,
    begun: Instant,
    again_at: Option<Instant>,
    pause: Duration,
    nonces: u8,
}

impl Session {
    pub(super) fn new(username: String, password: Secret<String>) -> Self {
        let (realm, nonce) = (Vec::new(), Vec::new());
        Self { username, password, realm, nonce, key: None, pending: None, relayed: None }
    }

    /// The relayed transport address, once there is one.
    pub(super) fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    /// Whether it waits for an answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// The request to send. What was asked before and not answered is forgotten.
    ///
    /// # Errors
    /// If the kernel has no entropy.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        step: Step,
        may_lose: bool,
    ) -> Result<&[u8], getrandom::Error> {
        let id = TransactionId(random_bytes()?);
        let pending = Pending {
            step,
            id,
            bytes: self.request(step, id),
            begun: now,
            again_at: may_lose.then(|| now + LOAD_RTO),
            pause: LOAD_RTO,
            nonces: 0,
        };
        Ok(&self.pending.insert(pending).bytes)
    }

    /// Reads what the server sent, and believes nothing that is not signed as it should be.
    ///
    /// # Errors
    /// If the kernel has no entropy.
    pub(super) fn hear(&mut self, message: &Message<'_>) -> Result<Heard, getrandom::Error> {
        let Some(pending) = &self.pending else { return Ok(Heard::Unasked) };
        let step = pending.step;
        if message.transaction_id() != pending.id || message.method() != step.method() {
            return Ok(Heard::Unasked);
        }
        match message.class() {
            Class::Request | Class::Indication => Ok(Heard::Unasked),
            Class::SuccessResponse => Ok(self.succeeded(step, message)),
            Class::ErrorResponse => self.failed(step, message),
        }
    }

    fn succeeded(&mut self, step: Step, message: &Message<'_>) -> Heard {
        let refused =
            |reason: &str| Heard::Refused(Refusal { step, code: 0, reason: reason.to_owned() });
        if step == Step::Challenge {
            return refused("it lets anybody in without a login, which is not what is measured");
        }
        let is_signed =
            self.key.as_ref().is_some_and(|key| message.integrity_matches(key.as_bytes()));
        if !is_signed {
            return Heard::Unverified;
        }
        if let Step::Allocate(family) = step {
            let value = message.attribute(AttributeType::XOR_RELAYED_ADDRESS);
            let relayed = value.and_then(|v| XorAddress::decode(v, &message.transaction_id()));
            let is_good = |relayed: &SocketAddr| {
                let ip = relayed.ip();
                let is_one = !ip.is_unspecified() && !ip.is_multicast() && relayed.port() != 0;
                Family::of(ip) == family && is_one
            };
            let Some(relayed) = relayed.filter(is_good) else {
                return refused("its success names no usable relayed address");
            };
            self.relayed = Some(relayed);
        }
        if step == Step::Release {
            self.relayed = None;
        }
        self.pending = None;
        Heard::Done(step)
    }

    fn failed(&mut self, step: Step, message: &Message<'_>) -> Result<Heard, getrandom::Error> {
        let value = message.attribute(AttributeType::ERROR_CODE).unwrap_or_default();
        let code = ErrorCode::from_value(value);
        let is_wrongly_signed = message.has_integrity()
            && self.key.as_ref().is_some_and(|key| !message.integrity_matches(key.as_bytes()));
        if is_wrongly_signed {
            return Ok(Heard::Unverified);
        }
        let asks_for_login = code == Some(ErrorCode::UNAUTHENTICATED) && step == Step::Challenge;
        let is_stale = code == Some(ErrorCode::STALE_NONCE);
        let nonce = message.attribute(AttributeType::NONCE);
        if let (true, Some(nonce)) = (asks_for_login || is_stale, nonce) {
            self.nonce = nonce.to_vec();
            if asks_for_login {
                let realm = message.attribute(AttributeType::REALM).unwrap_or_default();
                self.take_realm(realm);
                self.pending = None;
                return Ok(Heard::Done(step));
            }
            return self.ask_again(step);
        }
        Ok(Heard::Refused(refusal(step, code.map_or(0, ErrorCode::number), value)))
    }

    fn take_realm(&mut self, realm: &[u8]) {
        self.realm = realm.to_vec();
        let (name, password) = (self.username.as_bytes(), self.password.expose().as_bytes());
        self.key = Some(LongTermKey::derive(PasswordAlgorithm::Md5, name, realm, password));
    }

    fn ask_again(&mut self, step: Step) -> Result<Heard, getrandom::Error> {
        let id = TransactionId(random_bytes()?);
        let bytes = self.request(step, id);
        let Some(pending) = &mut self.pending else { return Ok(Heard::Unasked) };
        pending.nonces += 1;
        if pending.nonces > LOAD_NONCES_MAX {
            let code = ErrorCode::STALE_NONCE.number();
            return Ok(Heard::Refused(refusal(step, code, &[])));
        }
        (pending.id, pending.bytes) = (id, bytes.clone());
        Ok(Heard::Again(bytes))
    }

    /// What is to be done by now; an answer is waited for as long as `patience`.
    pub(super) fn overdue(&mut self, now: Instant, patience: Duration) -> Option<Overdue<'_>> {
        let is_over = |pending: &Pending| now.saturating_duration_since(pending.begun) >= patience;
        if let Some(pending) = self.pending.take_if(|pending| is_over(pending)) {
            return Some(Overdue::Unanswered(pending.step));
        }
        let pending = self.pending.as_mut()?;
        if pending.again_at.is_none_or(|at| now < at) {
            return None;
        }
        pending.pause *= 2;
        pending.again_at = Some(now + pending.pause);
        Some(Overdue::Repeat(&pending.bytes))
    }

    fn request(&self, step: Step, id: TransactionId) -> Vec<u8> {
        let begin = MessageWriter::new(Class::Request, step.method(), id);
        let message = match step {
            Step::Challenge => begin.u32(AttributeType::REQUESTED_TRANSPORT, UDP),
            Step::Allocate(family) => begin
                .u32(AttributeType::REQUESTED_TRANSPORT, UDP)
                .u32(AttributeType::REQUESTED_ADDRESS_FAMILY, u32::from(family.to_byte()) << 24),
            Step::Permit(peer) => {
                begin.xor_address(AttributeType::XOR_PEER_ADDRESS, SocketAddr::new(peer, 0))
            }
            Step::Bind(channel, peer) => begin
                .u32(AttributeType::CHANNEL_NUMBER, u32::from(channel) << 16)
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer),
            Step::Keep => begin,
            Step::Release => begin.u32(AttributeType::LIFETIME, 0),
        };
        let Some(key) = self.key.as_ref().filter(|_| step != Step::Challenge) else {
            return message.finish(None, false);
        };
        message
            .attribute(AttributeType::USERNAME, self.username.as_bytes())
            .attribute(AttributeType::REALM, &self.realm)
            .attribute(AttributeType::NONCE, &self.nonce)
            .finish(Some(key.as_bytes()), false)
    }
}

impl Step {
    fn method(self) -> Method {
        match self {
            Self::Challenge | Self::Allocate(_) => Method::ALLOCATE,
            Self::Permit(_) => Method::CREATE_PERMISSION,
            Self::Bind(..) => Method::CHANNEL_BIND,
            Self::Keep | Self::Release => Method::REFRESH,
        }
    }

    /// For a person.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Challenge => "the first Allocate",
            Self::Allocate(_) => "Allocate",
            Self::Permit(_) => "CreatePermission",
            Self::Bind(..) => "ChannelBind",
            Self::Keep | Self::Release => "Refresh",
        }
    }
}

/// Whatever a server writes, a terminal shows it.
fn refusal(step: Step, code: u16, value: &[u8]) -> Refusal {
    let phrase = String::from_utf8_lossy(value.get(4..).unwrap_or_default());
    let printable = phrase.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
    Refusal { step, code, reason: printable.take(REASON_CHARS_MAX).collect() }
}

#[cfg(test)]
mod tests;
