//! What comes out of the relay, and what must hold of it after each step.

use turnbell::limits::CREDENTIAL_SKEW_S;
use turnbell::turn::contract::{Output, Wanted};
use turnbell::turn::fact::Traffic;
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::guard::ExpiryRule;
use turnbell::turn::reservation::Ports;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::message::{Class, Message, Method};

use super::model::asked;
use super::place::{CLIENTS, Secrets};
use super::signer::Sent;
use super::world::{Asked, Cause, Question, World};

/// Allocates that may wait at once: one on each five-tuple, and one of each that is gone.
const QUESTIONS_MAX: usize = 64;

impl World {
    /// Whether there was an answer.
    pub(super) fn drain(&mut self, cause: &Cause<'_>) -> bool {
        let mut has_answered = false;
        while let Some(output) = self.relay.poll() {
            match output {
                Output::Send { tuple, bytes } => {
                    assert!(!has_answered, "one message for one");
                    has_answered = true;
                    match cause {
                        Cause::Nothing => panic!("nobody asked"),
                        Cause::Asked(asked) => {
                            assert_eq!(tuple, asked.tuple, "an answer goes the way it came");
                            self.hear(asked, &bytes);
                        }
                        Cause::Icmp(what) => {
                            self.icmp.1 += 1;
                            self.model.told_unreachable(self.now, tuple, *what, &bytes);
                        }
                    }
                }
                Output::OpenRelaySocket { token, user, source, wanted } => {
                    let Cause::Asked(Asked { tuple, bytes, sent, .. }) = *cause else {
                        panic!("nobody asked for a socket")
                    };
                    let sent = sent.expect("nobody guesses a password").clone();
                    assert!(source == tuple.client.ip() && *user == *sent.user);
                    let request = Message::parse(bytes).expect("only messages are obeyed");
                    self.check_admitted(&sent);
                    assert!(!self.is_draining && !self.is_stopped, "no new allocation");
                    let missing = self.check_wanted(wanted, &request);
                    // It counts from when the socket is there, by the rules of then.
                    let lifetime = asked(&request);
                    self.unanswered += 1;
                    self.questions.push(Question { token, wanted, lifetime, missing, tuple, sent });
                    assert!(self.questions.len() <= QUESTIONS_MAX, "questions are bounded");
                }
                Output::CloseRelaySocket { relay, user, source, is_last } => {
                    self.ledger.close(relay, &user, source, is_last);
                    self.model.closed(relay);
                }
                Output::CloseStream { tuple } => {
                    assert!(tuple.is_stream());
                    self.reconnects(tuple);
                    self.late.push(tuple);
                }
                Output::Fact(fact) => self.model.enter(self.now, &fact),
            }
        }
        self.model.settle(self.now, ended_family(cause));
        has_answered
    }

    /// Who is given a socket has a credential that is good by all rules.
    fn check_admitted(&self, sent: &Sent) {
        self.check_welcome(sent);
        self.check_strict_expiry(sent);
        let is_issued = sent.expires_at.is_some();
        assert!(!is_issued || self.secrets == Secrets::Both, "by a secret that was taken away");
        let is_over = |at: i64| at + CREDENTIAL_SKEW_S < self.now.unix_s();
        assert!(!sent.expires_at.is_some_and(is_over), "an expired credential allocates nothing");
    }

    /// Who hears a success may be served.
    fn check_welcome(&self, sent: &Sent) {
        assert!(!sent.must_fail, "what was altered is not obeyed");
        let until = self.revoked.get(sent.user);
        assert!(until.is_none_or(|until| *until <= self.now.unix_ms), "{} is revoked", sent.user);
    }

    fn check_strict_expiry(&self, sent: &Sent) {
        let is_strict = self.setting.expiry == ExpiryRule::Strict;
        let is_over = sent.expires_at.is_some_and(|at| at <= self.now.unix_s());
        assert!(!(is_strict && is_over), "its credential expired");
    }

    /// What is wanted is what the request says. Returns which family it will be told is missing.
    fn check_wanted(&self, wanted: Wanted, request: &Message<'_>) -> Option<(Family, u16)> {
        let value = |kind| request.attribute(kind);
        let even = value(AttributeType::EVEN_PORT);
        let is_dual = value(AttributeType::ADDITIONAL_ADDRESS_FAMILY).is_some();
        let told = value(AttributeType::RESERVATION_TOKEN);
        match wanted {
            Wanted::Reserved(token) => {
                assert_eq!(told, Some(&token.0[..]));
                assert!(even.is_none() && !is_dual);
                None
            }
            Wanted::Both { even: is_even } => {
                assert!(is_dual && told.is_none() && even.is_none_or(|flags| flags[0] & 0x80 == 0));
                assert_eq!(is_even, even.is_some());
                assert!(self.setting.has_family(Family::V4) && self.setting.has_family(Family::V6));
                None
            }
            Wanted::One(family, ports) => {
                assert!(told.is_none() && self.setting.has_family(family));
                let expected = match even {
                    None => Ports::Any,
                    Some(flags) if flags[0] & 0x80 == 0 => Ports::Even,
                    Some(_) => Ports::EvenAndReserve,
                };
                assert_eq!(ports, expected);
                let asked = value(AttributeType::REQUESTED_ADDRESS_FAMILY);
                let asked = asked.and_then(|value| Family::from_byte(value[0]));
                assert!(asked.is_none_or(|asked| asked == family));
                is_dual.then_some((family.other(), 440))
            }
        }
    }

    fn hear(&mut self, asked: &Asked<'_>, answer: &[u8]) {
        let question = Message::parse(asked.bytes).expect("only messages are answered");
        let answer = Message::parse(answer).expect("an answer is a message");
        assert_eq!(question.class(), Class::Request, "only requests are answered");
        assert_eq!(answer.method(), question.method());
        assert_eq!(answer.transaction_id(), question.transaction_id());
        assert_eq!(answer.has_fingerprint(), question.has_fingerprint());
        match answer.class() {
            Class::SuccessResponse if question.method() == Method::BINDING => {}
            Class::SuccessResponse => {
                let sent = asked.sent.expect("nobody guesses a password");
                self.check_welcome(sent);
                if !asked.has_waited {
                    self.check_strict_expiry(sent);
                }
                assert!(answer.integrity_matches(sent.key.as_bytes()), "signed by the user's key");
                // RFC 8489 §9.2.4: the kind of integrity that the client understands.
                let by_sha256 = question.attribute(AttributeType::PASSWORD_ALGORITHM).is_some();
                assert_eq!(answer.has_integrity_sha256(), by_sha256);
                self.model.succeeded(self.now, asked.tuple, sent, &question, &answer);
            }
            Class::ErrorResponse => {
                let key = asked.sent.map(|sent| sent.key.as_bytes());
                assert!(
                    !answer.has_integrity() || key.is_some_and(|key| answer.integrity_matches(key)),
                    "signed by the user's key, if at all"
                );
                self.check_error(asked.tuple, &answer);
            }
            Class::Request | Class::Indication => panic!("that is no answer"),
        }
        if let Some(nonce) = answer.attribute(AttributeType::NONCE) {
            for index in 0..CLIENTS {
                if self.tuple(index) == asked.tuple {
                    self.clients[index].nonce = Some(nonce.to_vec());
                }
            }
        }
    }

    fn check_error(&self, tuple: FiveTuple, answer: &Message<'_>) {
        let code = answer.attribute(AttributeType::ERROR_CODE).and_then(ErrorCode::from_value);
        let code = code.expect("an error has a code").number();
        let has = |kind| answer.attribute(kind).is_some();
        let is_challenge = [401, 438].contains(&code);
        let has_challenge = has(AttributeType::NONCE) && has(AttributeType::REALM);
        assert_eq!((is_challenge, is_challenge), (has_challenge, has(AttributeType::NONCE)));
        let elsewhere = answer.attribute(AttributeType::ALTERNATE_SERVER);
        assert_eq!(elsewhere.is_some(), code == 300, "300 says where to");
        if let Some(value) = elsewhere {
            assert!(self.is_draining && answer.has_integrity());
            assert_eq!(Family::from_byte(value[1]), Some(Family::of(tuple.client.ip())));
        }
    }

    pub(crate) fn check(&self) {
        let live = self.relay.allocation_count();
        let sockets = self.model.live.values().map(|live| live.relayed.len()).sum();
        assert_eq!(self.ledger.held(), (sockets, live), "sockets opened are closed or live");
        assert_eq!(self.model.live.len(), live, "facts add up to what is live");
        assert_eq!(self.relay.deadline(), self.model.next_expiry(), "the earliest end");
        let counters = self.relay.counters();
        let came = counters.datagrams_from_clients + counters.datagrams_from_peers + self.icmp.0;
        let forwarded = counters.forwarded_to_peers + counters.forwarded_to_clients + self.icmp.1;
        let answered = counters.bindings + counters.successes;
        let refused = counters.rejected().map(|(_, count)| count).sum::<u64>();
        let discarded = counters.discarded_total() - self.discarded_here;
        let accounted = forwarded + answered + refused + discarded + self.unanswered;
        assert_eq!(came, accounted, "every datagram is counted once");
        let mut traffic: Traffic = counters.traffic_of_ended;
        for view in self.relay.allocations(self.now) {
            let known = self.model.live.get(&view.number).expect("what is live was opened");
            assert_eq!((view.traffic, view.tuple), (known.traffic, known.tuple));
            assert_eq!(&*view.user, known.user);
            let relayed: Vec<_> = std::iter::once(view.relayed).chain(view.relayed_other).collect();
            assert!(known.relayed.iter().map(|relayed| relayed.address).eq(relayed));
            traffic += view.traffic;
        }
        assert_eq!(traffic, self.model.traffic, "what ended and what lives is all there was");
    }
}

/// Which family a client ends by its request, if that is what it says.
fn ended_family(cause: &Cause<'_>) -> Option<(FiveTuple, Family)> {
    let Cause::Asked(Asked { tuple, bytes, .. }) = cause else { return None };
    let message = Message::parse(bytes).ok()?;
    let is_zero = message.attribute(AttributeType::LIFETIME) == Some(&[0; 4]);
    let family = message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY)?;
    let family = Family::from_byte(*family.first()?)?;
    (message.method() == Method::REFRESH && is_zero).then_some((*tuple, family))
}
