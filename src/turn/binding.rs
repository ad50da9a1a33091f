//! Binding: tells a client how we see it (RFC 8489 §6.3.1.1). Open to everybody, keeps nothing.

use super::contract::Output;
use super::five_tuple::FiveTuple;
use super::relay::Relay;
use super::reply::{Reject, UnknownAttributes, response};
use super::watch::What;
use crate::policy::shield::AnswerKind;
use crate::time::Now;
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Class, Message};

impl Relay {
    pub(super) fn binding(&mut self, now: Now, tuple: FiveTuple, message: &Message<'_>) {
        if let Some(list) = UnknownAttributes::of(message) {
            return self.reject(now, tuple, message, &Reject::UnknownAttributes(list), None);
        }
        let Some(answerable) = self.may_answer(now, tuple, message, AnswerKind::Binding) else {
            return;
        };
        self.counters.bindings += 1;
        self.note(now, tuple, message, What::Bound);
        let bytes = response(message, Class::SuccessResponse)
            .xor_address(AttributeType::XOR_MAPPED_ADDRESS, tuple.client)
            .finish(None, message.has_fingerprint());
        self.answered(tuple, answerable, bytes.len());
        self.outputs.push_back(Output::Send { tuple, bytes });
    }
}
