//! What an answer means for the way: Binding, Allocate, a second allocation, permissions, the end.

use std::net::SocketAddr;
use std::time::Duration;

use super::datagrams::Datagrams;
use super::entropy::Entropy;
use super::session::{Answer, Request};
use super::way::{Phase, Role, Way, step};
use crate::limits::probe::VERIFY_DATA_PATIENCE;
use crate::probe::observation::{Allocated, Fault, Step};
use crate::time::Now;

impl Way {
    pub(super) fn answered(
        &mut self,
        now: Now,
        role: Role,
        answer: Answer,
        took: Duration,
        entropy: &mut Entropy,
    ) {
        match (self.phase, role) {
            (Phase::Binding, Role::First) => self.bound(now, answer, took, entropy),
            (Phase::Allocating(Role::First), Role::First) => {
                self.allocated(now, answer, took);
            }
            (Phase::Allocating(Role::Later), Role::Later) => {
                self.seen.later = step(allocated(answer), took);
                if self.seen.later.is_done() {
                    self.phase = Phase::Releasing(Role::Later);
                    self.ask(now, Role::Later, Request::Release, entropy);
                } else {
                    self.close();
                }
            }
            (Phase::Allocating(Role::Second), Role::Second) => match allocated(answer) {
                Ok(Allocated { relayed, .. }) => {
                    self.relayed[1] = Some(relayed);
                    self.phase = Phase::Permitting(Role::First);
                    self.ask(now, Role::First, Request::Permit(relayed), entropy);
                }
                Err(fault) => {
                    self.seen.permit = Step::Failed { fault, took };
                    self.release(now, entropy);
                }
            },
            (Phase::Permitting(asked), answered) if asked == answered => {
                self.permitted(now, asked, answer, took, entropy);
            }
            (Phase::OutsiderBinding, Role::Outsider) => match mapped(answer) {
                Ok(at) => {
                    self.outsider = Some(at);
                    self.phase = Phase::OutsiderPermitting;
                    self.ask(now, Role::First, Request::Permit(at), entropy);
                }
                Err(fault) => self.broken(now, Role::Outsider, fault, entropy),
            },
            (Phase::OutsiderPermitting, Role::First) => match done(answer) {
                Ok(()) => {
                    self.enter(now, Phase::Directly, VERIFY_DATA_PATIENCE);
                    self.datagrams = Some(Datagrams::new(now, entropy));
                    self.exchange(now, entropy);
                }
                Err(fault) => self.broken(now, Role::Outsider, fault, entropy),
            },
            (Phase::Releasing(asked), answered) if asked == answered => {
                self.released(now, asked, answer, took, entropy);
            }
            // An answer to what is not asked any more.
            (_, _) => {}
        }
    }

    fn bound(&mut self, now: Now, answer: Answer, took: Duration, entropy: &mut Entropy) {
        self.seen.binding = step(mapped(answer), took);
        // Whoever gives no Binding to strangers may relay for users (coturn: no-stun), and browsers
        // ask a TURN server for no Binding.
        let may_go_on = match self.seen.binding.fault() {
            None | Some(Fault::Error { .. } | Fault::Empty | Fault::Silent) => true,
            Some(_) => false,
        };
        if may_go_on && self.is_turn && self.login.is_some() {
            self.phase = Phase::Allocating(Role::First);
            self.ask(now, Role::First, Request::Allocate, entropy);
        } else {
            self.close();
        }
    }

    fn allocated(&mut self, now: Now, answer: Answer, took: Duration) {
        self.seen.allocate = step(allocated(answer), took);
        self.relayed[0] = self.seen.allocate.value().map(|allocated| allocated.relayed);
        let is_401 = matches!(self.seen.allocate.fault(), Some(Fault::Error { code: 401, .. }));
        if self.relayed[0].is_some() {
            self.open(now, Role::Second);
        } else if is_401 && self.later_login.is_some() {
            self.open(now, Role::Later);
        } else {
            self.close();
        }
    }

    fn permitted(
        &mut self,
        now: Now,
        role: Role,
        answer: Answer,
        took: Duration,
        entropy: &mut Entropy,
    ) {
        let step = step(done(answer), took);
        let (Some(first), true) = (self.relayed[0], step.is_done()) else {
            self.seen.permit = step;
            return self.directly(now, entropy);
        };
        if role == Role::First {
            self.phase = Phase::Permitting(Role::Second);
            self.ask(now, Role::Second, Request::Permit(first), entropy);
            return;
        }
        self.seen.permit = step;
        self.enter(now, Phase::Relaying, VERIFY_DATA_PATIENCE);
        self.datagrams = Some(Datagrams::new(now, entropy));
        self.exchange(now, entropy);
    }

    fn released(
        &mut self,
        now: Now,
        role: Role,
        answer: Answer,
        took: Duration,
        entropy: &mut Entropy,
    ) {
        // Of two ends the one that failed is told.
        if !matches!(self.seen.release, Step::Failed { .. }) {
            self.seen.release = step(done(answer), took);
        }
        if role == Role::First && self.relayed[1].is_some() {
            self.phase = Phase::Releasing(Role::Second);
            self.ask(now, Role::Second, Request::Release, entropy);
        } else {
            self.close();
        }
    }
}

fn mapped(answer: Answer) -> Result<SocketAddr, Fault> {
    match answer {
        Answer::Mapped(at) => Ok(at),
        Answer::Failed(fault) => Err(fault),
        Answer::Allocated(_) | Answer::Done => Err(Fault::Empty),
    }
}

fn allocated(answer: Answer) -> Result<Allocated, Fault> {
    match answer {
        Answer::Allocated(allocated) => Ok(allocated),
        Answer::Failed(fault) => Err(fault),
        Answer::Mapped(_) | Answer::Done => Err(Fault::Empty),
    }
}

fn done(answer: Answer) -> Result<(), Fault> {
    match answer {
        Answer::Done => Ok(()),
        Answer::Failed(fault) => Err(fault),
        Answer::Mapped(_) | Answer::Allocated(_) => Err(Fault::Empty),
    }
}
