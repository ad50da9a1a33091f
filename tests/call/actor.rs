//! A page of the simulation: what it was told, what it thinks is so, what it waits for.

use std::collections::{BTreeMap, BTreeSet};

use turnbell::call::event::{CancelReason, Event, Message, Reply, Resumed};
use turnbell::call::refusal::{ErrorCode, Refusal};
use turnbell::call::request::{RejectScope, Request, RequestId};
use turnbell::call::state::CallState;
use turnbell::call::ulid::{CallId, SessionId};

use super::board::{Page, Who};

/// What a model says of a request: granted, or refused so.
pub(crate) type Prediction = Result<(), ErrorCode>;

/// Somebody's device, with a page or without.
pub(crate) struct Actor {
    pub(crate) who: Who,
    pub(crate) page: Option<Page>,
    pub(crate) session: Option<SessionId>,
    pub(crate) token: Option<Box<str>>,
    /// The last event it has dealt with.
    pub(crate) last_seq: u64,
    pub(crate) ringing: BTreeSet<CallId>,
    pub(crate) silenced: BTreeSet<CallId>,
    pub(crate) seats: BTreeSet<CallId>,
    ended: BTreeSet<CallId>,
    /// What it asked and heard nothing of.
    pub(crate) pending: BTreeMap<RequestId, (Request, Option<Prediction>)>,
    pub(crate) resumed: Option<Resumed>,
    /// The daemon it was in a session of is gone.
    pub(crate) is_stranded: bool,
}

/// What an actor learnt from one message that concerns the world.
pub(crate) enum Learnt {
    Nothing,
    /// It won a call, perhaps by calling at the same time.
    Won {
        call: CallId,
        is_glare: bool,
    },
    /// It heard of a call.
    HeardOf(CallId),
}

impl Actor {
    pub(crate) fn new(who: Who) -> Self {
        Self {
            who,
            page: None,
            session: None,
            token: None,
            last_seq: 0,
            ringing: BTreeSet::new(),
            silenced: BTreeSet::new(),
            seats: BTreeSet::new(),
            ended: BTreeSet::new(),
            pending: BTreeMap::new(),
            resumed: None,
            is_stranded: false,
        }
    }

    /// Whether it could still answer the call.
    pub(crate) fn is_rung(&self, call: CallId) -> bool {
        self.ringing.contains(&call) || self.silenced.contains(&call)
    }

    fn forget(&mut self) {
        self.ringing.clear();
        self.silenced.clear();
        self.seats.clear();
        self.ended.clear();
        self.pending.clear();
    }

    pub(crate) fn reads(&mut self, message: Message) -> Learnt {
        match message {
            Message::Welcome(welcome) => {
                match welcome.resumed {
                    Resumed::Yes => {
                        assert_eq!(welcome.next_seq, self.last_seq + 1, "nothing is left out");
                        assert_eq!(Some(welcome.session), self.session);
                    }
                    Resumed::Gap | Resumed::New | Resumed::UnknownToken => self.forget(),
                }
                self.resumed = Some(welcome.resumed);
                self.session = Some(welcome.session);
                self.token = Some(welcome.resume_token);
                self.last_seq = welcome.next_seq - 1;
                Learnt::Nothing
            }
            Message::Refused(_) => Learnt::Nothing,
            Message::Reply { re, result } => {
                let re = re.expect("the simulation sends no nonsense");
                let (request, prediction) =
                    self.pending.remove(&re).expect("a request is answered once");
                self.hears_reply(request, prediction, result)
            }
            Message::Event { seq, event, .. } => {
                assert_eq!(seq, self.last_seq + 1, "events come without a gap");
                self.last_seq = seq;
                self.hears(&event)
            }
        }
    }

    fn hears_reply(
        &mut self,
        request: Request,
        prediction: Option<Prediction>,
        result: Result<Reply, Refusal>,
    ) -> Learnt {
        let is_paced = matches!(&result, Err(refusal) if refusal.code == ErrorCode::RateLimited);
        if let Some(prediction) = prediction.filter(|_| !is_paced) {
            let outcome = result.as_ref().map(|_| ()).map_err(|refusal| refusal.code);
            assert_eq!(outcome, prediction, "{request:?}");
        }
        let Ok(reply) = result else { return Learnt::Nothing };
        match (reply, request) {
            (Reply::Accepted(view), _) => {
                self.sits(view.call);
                Learnt::Won { call: view.call, is_glare: false }
            }

            (Reply::Invited(invited), _) => {
                let call = invited.call.call;
                self.sits(call);
                match invited.glare {
                    Some(_) => Learnt::Won { call, is_glare: true },
                    None => Learnt::HeardOf(call),
                }
            }
            (Reply::Rejoined(view), _) => {
                self.sits(view.call);
                Learnt::Nothing
            }
            (Reply::Done, Request::CallReject { call, scope, .. }) => {
                let was_ringing = self.ringing.remove(&call);
                match scope {
                    RejectScope::All => {
                        self.silenced.remove(&call);
                    }
                    RejectScope::Device if was_ringing => {
                        self.silenced.insert(call);
                    }
                    RejectScope::Device => {}
                }
                Learnt::Nothing
            }
            (Reply::Done, Request::CallHangup { call, .. }) => {
                self.ringing.remove(&call);
                self.silenced.remove(&call);
                Learnt::Nothing
            }
            (Reply::Done | Reply::Pong(_) | Reply::Signaled { .. } | Reply::Blocked(_), _) => {
                Learnt::Nothing
            }
        }
    }

    /// A late reply to a repeated request may tell of a call that is over.
    fn sits(&mut self, call: CallId) {
        self.ringing.remove(&call);
        self.silenced.remove(&call);
        if !self.ended.contains(&call) {
            self.seats.insert(call);
        }
    }

    fn hears(&mut self, event: &Event) -> Learnt {
        match event {
            Event::StateSync { calls } => {
                let seated = calls.iter().filter(|call| call.you.is_some());
                self.seats = seated.map(|call| call.call).collect();
                Learnt::Nothing
            }
            Event::CallIncoming(incoming) => {
                assert_ne!(incoming.from.user, self.who.identity.user);
                self.ringing.insert(incoming.call);
                Learnt::HeardOf(incoming.call)
            }
            Event::CallCancelled { call, reason, .. } => {
                self.ringing.remove(call);
                self.silenced.remove(call);
                if *reason == CancelReason::RejoinedElsewhere {
                    assert!(self.seats.remove(call), "it had the seat");
                }
                Learnt::Nothing
            }
            Event::CallState { view, reason } => {
                let call = view.call;
                assert!(!self.ended.contains(&call), "what is over is over");
                assert!(view.you.is_some(), "only those in the call hear of it");
                assert_eq!(reason.is_some(), view.state == CallState::Ended);
                if reason.is_some() {
                    self.seats.remove(&call);
                    self.ended.insert(call);
                } else {
                    self.seats.insert(call);
                }
                Learnt::Nothing
            }
            Event::CallSignal { call, .. }
            | Event::CallUpdate { call, .. }
            | Event::CallRestart { call, .. }
            | Event::QualityWarning { call, .. } => {
                assert!(self.seats.contains(call), "signals go to who is in the call");
                Learnt::Nothing
            }
            Event::CallMissed { .. }
            | Event::AuthExpiring { .. }
            | Event::IceUpdate { .. }
            | Event::PresenceSnapshot { .. }
            | Event::PresenceDiff { .. }
            | Event::SessionRevoked
            | Event::ServerDraining { .. }
            | Event::Void => Learnt::Nothing,
        }
    }
}
