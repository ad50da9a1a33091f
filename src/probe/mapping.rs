//! Which public address a NAT in front gives to one of ours: several STUN servers are asked at once
//! from one socket, and their answers compared.
//!
//! The contract is that of every machine: `handle`, then `poll` until `None`, then wait for a
//! datagram or `deadline`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::binding::{Answer, Binding, Due};
use crate::limits::outside::STUN_GRACE;
use crate::policy::public::not_public;
use crate::time::Now;
use crate::wire::message::TransactionId;

/// One round of asking.
#[derive(Debug)]
pub struct Mapping {
    /// Where it is asked from.
    local: SocketAddr,
    asked: Vec<(Binding, Option<Outcome>)>,
    /// From here on one answer is enough.
    grace_until: Instant,
    outputs: VecDeque<Output>,
    is_over: bool,
}

/// What happens to it.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// From whom.
        from: SocketAddr,
        /// The whole datagram.
        bytes: &'a [u8],
    },
    /// What should go to this server could not be sent.
    NotSent(SocketAddr),
    /// Time went by.
    Tick,
}

/// What it wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// These bytes are to go to a server.
    Send {
        /// Which.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// It is over.
    Done(Answers),
}

/// What came of asking one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It sees us here.
    Mapped(SocketAddr),
    /// It sees us where nobody outside can send to; the name of the range.
    NotPublic(SocketAddr, &'static str),
    /// It answers with an error of this code.
    Error(u16),
    /// It answers, but not with an address of our family.
    Useless,
    /// The way to it is closed on this machine.
    NotSent,
    /// It does not answer, or had not when the round was over.
    Silent,
}

/// What came of a round, server by server in the order they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Where it was asked from.
    pub local: SocketAddr,
    /// One per server.
    pub outcomes: Vec<Outcome>,
}

impl Mapping {
    /// Begins a round. `local`: the bound socket; `servers`: of its family, each with an id that
    /// nobody can guess. The first requests are due at once.
    #[must_use]
    pub fn new(now: Now, local: SocketAddr, servers: &[(SocketAddr, TransactionId)]) -> Self {
        let asked =
            |(server, id): &(SocketAddr, TransactionId)| (Binding::new(now, *server, *id), None);
        Self {
            local,
            asked: servers.iter().map(asked).collect(),
            grace_until: now.mono + STUN_GRACE,
            outputs: VecDeque::new(),
            is_over: false,
        }
    }

    /// One mutation. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.is_over {
            return;
        }
        match input {
            Input::Datagram { from, bytes } => self.hear(from, bytes),
            Input::NotSent(server) => {
                let open = self.asked.iter_mut().filter(|(_, outcome)| outcome.is_none());
                for (_, outcome) in open.filter(|(binding, _)| binding.server == server) {
                    *outcome = Some(Outcome::NotSent);
                }
            }
            Input::Tick => self.tick(now),
        }
        let is_open = |(_, outcome): &(Binding, Option<Outcome>)| outcome.is_none();
        let is_answered =
            |(_, outcome): &(Binding, Option<Outcome>)| matches!(outcome, Some(Outcome::Mapped(_)));
        let is_enough = now.mono >= self.grace_until && self.asked.iter().any(is_answered);
        if is_enough || !self.asked.iter().any(is_open) {
            self.is_over = true;
            self.outputs.clear();
            self.outputs.push_back(Output::Done(self.answers()));
        }
    }

    /// What is to be done, oldest first; `None` when all is.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle(now, Input::Tick)` at the latest; `None` when it is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let open = self.asked.iter().filter(|(_, outcome)| outcome.is_none());
        let next = open.map(|(binding, _)| binding.deadline()).min();
        let is_answered = self.asked.iter().any(|(_, o)| matches!(o, Some(Outcome::Mapped(_))));
        let grace = is_answered.then_some(self.grace_until);
        next.into_iter().chain(grace).min()
    }

    /// What is known by this moment.
    #[must_use]
    pub fn answers(&self) -> Answers {
        let outcomes = self.asked.iter().map(|(_, outcome)| outcome.unwrap_or(Outcome::Silent));
        Answers { local: self.local, outcomes: outcomes.collect() }
    }

    fn hear(&mut self, from: SocketAddr, bytes: &[u8]) {
        let is_v4 = self.local.is_ipv4();
        let open = self.asked.iter_mut().filter(|(_, outcome)| outcome.is_none());
        for (binding, outcome) in open {
            let Some(answer) = binding.answer(from, bytes) else { continue };
            *outcome = Some(match answer {
                Answer::Mapped(at) if at.is_ipv4() != is_v4 || at.port() == 0 => Outcome::Useless,
                Answer::Mapped(at) => match not_public(at.ip()) {
                    Some(range) => Outcome::NotPublic(at, range),
                    None => Outcome::Mapped(at),
                },
                Answer::Error(code) => Outcome::Error(code),
                Answer::Empty => Outcome::Useless,
            });
        }
    }

    fn tick(&mut self, now: Now) {
        for (binding, outcome) in self.asked.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
            match binding.due(now) {
                Due::Nothing => {}
                Due::Send(bytes) => {
                    self.outputs.push_back(Output::Send { to: binding.server, bytes });
                }
                Due::GivenUp => *outcome = Some(Outcome::Silent),
            }
        }
    }
}

impl Answers {
    /// The first server that answered with a public address, by its place, and the address.
    #[must_use]
    pub fn first(&self) -> Option<(usize, SocketAddr)> {
        self.mapped().next()
    }

    /// The first server that disagrees about our address with the one before it that answered.
    #[must_use]
    pub fn other_address(&self) -> Option<(usize, SocketAddr)> {
        let (_, first) = self.first()?;
        self.mapped().find(|(_, at)| at.ip() != first.ip())
    }

    /// A port as which ours was seen, if it is another one: relayed transport addresses are not
    /// where clients are told they are then.
    #[must_use]
    pub fn other_port(&self) -> Option<u16> {
        self.mapped().map(|(_, at)| at.port()).find(|port| *port != self.local.port())
    }

    fn mapped(&self) -> impl Iterator<Item = (usize, SocketAddr)> {
        self.outcomes.iter().enumerate().filter_map(|(place, outcome)| match outcome {
            Outcome::Mapped(at) => Some((place, *at)),
            Outcome::NotPublic(..)
            | Outcome::Error(_)
            | Outcome::Useless
            | Outcome::NotSent
            | Outcome::Silent => None,
        })
    }
}

#[cfg(test)]
mod tests;
