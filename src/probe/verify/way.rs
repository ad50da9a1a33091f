//! The way to one address: its connections, and which step it is at. What an answer means stands in
//! `answers`, what is sent through the relay in `relaying`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::LinkKind;
use super::datagrams::Datagrams;
use super::entropy::Entropy;
use super::session::{Request, Said, Session};
use crate::limits::probe::VERIFY_STREAM_PATIENCE;
use crate::probe::observation::{CertificateFacts, Fault, Step, WaySeen};
use crate::probe::target::{Carrier, Login, Target};
use crate::time::Now;

/// The connections of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Whose steps are told.
    First,
    /// With the other allocation.
    Second,
    /// With the credential that ends later.
    Later,
    /// A bare socket, as a peer has it.
    Outsider,
}

/// What a way wants.
#[derive(Debug)]
pub(super) enum Wish {
    Open(Role),
    Send(Role, SocketAddr, Vec<u8>),
    Close(Role),
}

/// What happened to one of its connections.
#[derive(Debug)]
pub(super) enum Happened<'a> {
    Opened(Result<(), Fault>),
    Secured(Result<CertificateFacts, Fault>),
    Received(Option<SocketAddr>, &'a [u8]),
    Closed(Fault),
}

#[derive(Debug)]
pub(super) struct Way {
    pub(super) seen: WaySeen,
    /// Place of its target in the plan.
    pub(super) target: usize,
    carrier: Carrier,
    pub(super) is_turn: bool,
    pub(super) is_tried_directly: bool,
    pub(super) login: Option<Login>,
    pub(super) later_login: Option<Login>,
    sessions: [Option<Session>; 4],
    pub(super) phase: Phase,
    pub(super) began: Instant,
    /// When a phase that is no request is given up.
    pub(super) until: Instant,
    pub(super) relayed: [Option<SocketAddr>; 2],
    pub(super) datagrams: Option<Datagrams>,
    pub(super) outsider: Option<SocketAddr>,
    /// Who sent the last datagram.
    pub(super) heard_from: Option<SocketAddr>,
    /// Who sent what was relayed to the bare socket.
    pub(super) came_from: Option<SocketAddr>,
    pub(super) wishes: Vec<Wish>,
}

/// Which step it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Opening(Role),
    Securing(Role),
    Binding,
    Allocating(Role),
    Permitting(Role),
    Relaying,
    OutsiderBinding,
    OutsiderPermitting,
    Directly,
    Releasing(Role),
    Over,
}

impl Way {
    pub(super) fn new(
        now: Now,
        index: usize,
        target: &Target,
        to: SocketAddr,
        inside: bool,
    ) -> Self {
        Self {
            seen: WaySeen::new(to, inside),
            target: index,
            carrier: target.place.carrier,
            is_turn: target.place.is_turn,
            is_tried_directly: target.is_tried_directly && target.place.carrier == Carrier::Udp,
            login: target.login.clone(),
            later_login: target.later_login.clone(),
            sessions: [const { None }; 4],
            phase: Phase::Waiting,
            began: now.mono,
            until: now.mono,
            relayed: [None; 2],
            datagrams: None,
            outsider: None,
            heard_from: None,
            came_from: None,
            wishes: Vec::new(),
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Over before it began.
    pub(super) fn refuse(&mut self, fault: Fault) {
        self.seen.open = Step::Failed { fault, took: Duration::ZERO };
        self.phase = Phase::Over;
    }

    pub(super) fn start(&mut self, now: Now) {
        self.open(now, Role::First);
    }

    /// What the connections to the server are; `host`: whom a certificate is to name.
    pub(super) fn kind(&self, host: &str) -> LinkKind {
        match self.carrier {
            Carrier::Udp => LinkKind::Udp,
            Carrier::Tcp => LinkKind::Tcp,
            Carrier::Tls => LinkKind::Tls(host.to_owned()),
        }
    }

    pub(super) fn wishes(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting | Phase::Over => None,
            Phase::Relaying | Phase::Directly => {
                let next = self.datagrams.as_ref().map_or(self.until, Datagrams::next_at);
                Some(next.min(self.until))
            }
            Phase::Opening(_) | Phase::Securing(_) => Some(self.until),
            Phase::Binding
            | Phase::Allocating(_)
            | Phase::Permitting(_)
            | Phase::OutsiderBinding
            | Phase::OutsiderPermitting
            | Phase::Releasing(_) => {
                self.sessions.iter().flatten().filter_map(Session::deadline).min()
            }
        }
    }

    /// The time of the run is over: what was under way is told as such.
    pub(super) fn cut_off(&mut self) {
        let seen = &mut self.seen;
        match self.phase {
            Phase::Over => return,
            Phase::Waiting => {}
            Phase::Opening(Role::First) => seen.open = Step::Unfinished,
            Phase::Securing(Role::First) => seen.tls = Step::Unfinished,
            Phase::Binding => seen.binding = Step::Unfinished,
            Phase::Allocating(Role::First) => seen.allocate = Step::Unfinished,
            Phase::Opening(Role::Later)
            | Phase::Securing(Role::Later)
            | Phase::Allocating(Role::Later) => seen.later = Step::Unfinished,
            Phase::Opening(Role::Second)
            | Phase::Securing(Role::Second)
            | Phase::Allocating(Role::Second)
            | Phase::Permitting(_) => seen.permit = Step::Unfinished,
            Phase::Relaying if seen.relayed.is_done() => seen.large = Step::Unfinished,
            Phase::Relaying => seen.relayed = Step::Unfinished,
            Phase::Opening(Role::Outsider)
            | Phase::Securing(Role::Outsider)
            | Phase::Allocating(Role::Outsider)
            | Phase::OutsiderBinding
            | Phase::OutsiderPermitting
            | Phase::Directly => seen.direct = Step::Unfinished,
            Phase::Releasing(_) => seen.release = Step::Unfinished,
        }
        self.close();
    }

    pub(super) fn tick(&mut self, now: Now, entropy: &mut Entropy) {
        match self.phase {
            Phase::Waiting | Phase::Over => {}
            Phase::Opening(role) if now.mono >= self.until => {
                self.opened(now, role, Err(Fault::Silent), entropy);
            }
            Phase::Securing(role) if now.mono >= self.until => {
                self.secured(now, role, Err(Fault::Silent), entropy);
            }
            Phase::Opening(_) | Phase::Securing(_) => {}
            Phase::Relaying | Phase::Directly => self.exchange(now, entropy),
            Phase::Binding
            | Phase::Allocating(_)
            | Phase::Permitting(_)
            | Phase::OutsiderBinding
            | Phase::OutsiderPermitting
            | Phase::Releasing(_) => {
                for role in ROLES {
                    let said = self.session(role).map(|session| session.tick(now));
                    self.take(now, role, said.unwrap_or_default(), entropy);
                }
            }
        }
    }

    pub(super) fn happened(
        &mut self,
        now: Now,
        role: Role,
        what: Happened<'_>,
        entropy: &mut Entropy,
    ) {
        match what {
            Happened::Opened(result) if self.phase == Phase::Opening(role) => {
                self.opened(now, role, result, entropy);
            }
            Happened::Secured(result) if self.phase == Phase::Securing(role) => {
                self.secured(now, role, result, entropy);
            }
            Happened::Opened(_) | Happened::Secured(_) => {}
            Happened::Received(from, bytes) => {
                self.heard_from = from;
                let said = self.session(role).map(|session| session.hear(now, bytes, entropy));
                self.take(now, role, said.unwrap_or_default(), entropy);
            }
            Happened::Closed(fault) if self.phase == Phase::Opening(role) => {
                self.opened(now, role, Err(fault), entropy);
            }
            Happened::Closed(fault) if self.phase == Phase::Securing(role) => {
                self.secured(now, role, Err(fault), entropy);
            }
            Happened::Closed(fault) => {
                let said = self.session(role).map(|session| session.fail(now, fault));
                self.take(now, role, said.unwrap_or_default(), entropy);
            }
        }
    }

    pub(super) fn session(&mut self, role: Role) -> Option<&mut Session> {
        self.sessions[role as usize].as_mut()
    }

    pub(super) fn open(&mut self, now: Now, role: Role) {
        let (carrier, login) = match role {
            Role::First | Role::Second => {
                (self.carrier, self.login.clone().filter(|_| self.is_turn))
            }
            Role::Later => (self.carrier, self.later_login.clone()),
            Role::Outsider => (Carrier::Udp, None),
        };
        self.sessions[role as usize] = Some(Session::new(self.seen.address, carrier, login));
        self.enter(now, Phase::Opening(role), VERIFY_STREAM_PATIENCE);
        self.wishes.push(Wish::Open(role));
    }

    pub(super) fn enter(&mut self, now: Now, phase: Phase, patience: Duration) {
        self.phase = phase;
        (self.began, self.until) = (now.mono, now.mono + patience);
    }

    pub(super) fn ask(&mut self, now: Now, role: Role, request: Request, entropy: &mut Entropy) {
        let said = self.session(role).map(|session| session.ask(now, request, entropy));
        self.take(now, role, said.unwrap_or_default(), entropy);
    }

    fn opened(&mut self, now: Now, role: Role, result: Result<(), Fault>, entropy: &mut Entropy) {
        let step = step(result, now.mono.saturating_duration_since(self.began));
        let fault = step.fault().cloned();
        if role == Role::First {
            self.seen.open = step;
        }
        match (fault, self.carrier) {
            (Some(fault), _) => self.broken(now, role, fault, entropy),
            (None, Carrier::Tls) if role != Role::Outsider => {
                self.enter(now, Phase::Securing(role), VERIFY_STREAM_PATIENCE);
            }
            (None, Carrier::Udp | Carrier::Tcp | Carrier::Tls) => self.ready(now, role, entropy),
        }
    }

    fn secured(
        &mut self,
        now: Now,
        role: Role,
        result: Result<CertificateFacts, Fault>,
        entropy: &mut Entropy,
    ) {
        let step = step(result, now.mono.saturating_duration_since(self.began));
        let fault = step.fault().cloned();
        if role == Role::First {
            self.seen.tls = step;
        }
        match fault {
            Some(fault) => self.broken(now, role, fault, entropy),
            None => self.ready(now, role, entropy),
        }
    }

    /// The connection can be spoken on.
    fn ready(&mut self, now: Now, role: Role, entropy: &mut Entropy) {
        let (phase, request) = match role {
            Role::First => (Phase::Binding, Request::Binding),
            Role::Second | Role::Later => (Phase::Allocating(role), Request::Allocate),
            Role::Outsider => (Phase::OutsiderBinding, Request::Binding),
        };
        self.phase = phase;
        self.ask(now, role, request, entropy);
    }

    /// A connection did not come about.
    pub(super) fn broken(&mut self, now: Now, role: Role, fault: Fault, entropy: &mut Entropy) {
        let step = Step::Failed { fault, took: Duration::ZERO };
        match role {
            Role::First => self.close(),
            Role::Later => {
                self.seen.later = retyped(step);
                self.close();
            }
            Role::Second => {
                self.seen.permit = retyped(step);
                self.release(now, entropy);
            }
            Role::Outsider => {
                self.seen.direct = retyped(step);
                self.release(now, entropy);
            }
        }
    }

    fn take(&mut self, now: Now, role: Role, said: Vec<Said>, entropy: &mut Entropy) {
        for said in said {
            match said {
                Said::Send(bytes) => {
                    let server = self.seen.address;
                    self.wishes.push(Wish::Send(role, server, bytes));
                }
                Said::Answer { answer, took } => self.answered(now, role, answer, took, entropy),
                Said::Data { from, bytes } => self.data(now, role, Some(from), &bytes, entropy),
                Said::Other(bytes) => self.data(now, role, None, &bytes, entropy),
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.phase = Phase::Over;
        for role in ROLES {
            if self.sessions[role as usize].take().is_some() {
                self.wishes.push(Wish::Close(role));
            }
        }
    }
}

const ROLES: [Role; 4] = [Role::First, Role::Second, Role::Later, Role::Outsider];

impl Role {
    pub(super) fn from_index(index: u32) -> Option<Self> {
        ROLES.into_iter().find(|role| *role as u32 == index)
    }
}

pub(super) fn step<T>(result: Result<T, Fault>, took: Duration) -> Step<T> {
    match result {
        Ok(value) => Step::Done { value, took },
        Err(fault) => Step::Failed { fault, took },
    }
}

fn retyped<T>(step: Step<()>) -> Step<T> {
    match step {
        Step::Failed { fault, took } => Step::Failed { fault, took },
        Step::Unfinished => Step::Unfinished,
        Step::NotTried | Step::Done { .. } => Step::NotTried,
    }
}
