//! Calls at each state, ready for a test.

use std::sync::Arc;

use turnbell::auth::identity::UserId;
use turnbell::call::event::Reply;
use turnbell::call::media::{
    Candidate, CandidateType, Media, MediaPath, MediaStatus, PathTransport, Sdp, Signal,
    SignalPayload,
};
use turnbell::call::options::TenantOptions;
use turnbell::call::request::{
    HangupReason, Invite, RejectReason, RejectScope, RejoinMedia, Request, Target, Update,
};
use turnbell::call::ulid::CallId;

use super::board::{Board, Page, who, who_on};

/// Alice calls bob, who is on a laptop and a phone.
pub(crate) struct Call {
    pub(crate) board: Board,
    pub(crate) alice: Page,
    pub(crate) laptop: Page,
    pub(crate) phone: Page,
    pub(crate) id: CallId,
}

impl Call {
    /// Nobody has said yet that it rings.
    pub(crate) fn initiated() -> Self {
        Self::initiated_with(TenantOptions::default())
    }

    pub(crate) fn initiated_with(options: TenantOptions) -> Self {
        Self::initiated_in(Board::with(options))
    }

    /// They talk on this board.
    pub(crate) fn active_in(board: Board) -> Self {
        let mut call = Self::initiated_in(board);
        call.board.does(&call.laptop, accept(call.id));
        for page in [&call.alice, &call.laptop] {
            call.board.does(page, media(call.id, MediaStatus::Connected));
        }
        call
    }

    fn initiated_in(mut board: Board) -> Self {
        let alice = board.page(who("alice"));
        let laptop = board.page(who("bob"));
        let phone = board.page(who_on("bob", "phone"));
        for page in [&alice, &laptop, &phone] {
            board.hears(page, &["sync []"]);
        }
        let id = calls(&mut board, &alice, "bob");
        for page in [&laptop, &phone] {
            board.hears(page, &["incoming alice"]);
        }
        board.hears(&alice, &[]);
        Self { board, alice, laptop, phone, id }
    }

    /// It rings on both.
    pub(crate) fn ringing() -> Self {
        let mut call = Self::initiated();
        let Self { board, alice, laptop, phone, id } = &mut call;
        board.does(laptop, Request::CallRinging { call: *id });
        board.does(phone, Request::CallRinging { call: *id });
        board.hears(alice, &["state ringing"]);
        call
    }

    /// The laptop has accepted.
    pub(crate) fn connecting() -> Self {
        let mut call = Self::ringing();
        let Self { board, alice, laptop, phone, id } = &mut call;
        board.does(laptop, accept(*id));
        board.hears(alice, &["state connecting"]);
        board.hears(laptop, &["state connecting"]);
        board.hears(phone, &["cancelled answered_elsewhere"]);
        call
    }

    /// They talk.
    pub(crate) fn active() -> Self {
        let mut call = Self::connecting();
        call.becomes_active();
        call
    }

    pub(crate) fn becomes_active(&mut self) {
        let Self { board, alice, laptop, id, .. } = self;
        board.does(alice, media(*id, MediaStatus::Connected));
        board.does(laptop, media(*id, MediaStatus::Connected));
        board.hears(alice, &["state active"]);
        board.hears(laptop, &["state active"]);
    }

    /// Alice's media is lost.
    pub(crate) fn reconnecting() -> Self {
        let mut call = Self::active();
        let Self { board, alice, laptop, id, .. } = &mut call;
        board.does(alice, media(*id, MediaStatus::Disconnected));
        board.hears(alice, &["state reconnecting"]);
        board.hears(laptop, &["state reconnecting"]);
        call
    }

    /// Both hear that it ended so, and the record says the same.
    #[track_caller]
    pub(crate) fn is_over(&mut self, reason: &str, outcome: &str) {
        let Self { board, alice, laptop, .. } = self;
        let words = format!("state ended {reason}");
        board.hears(alice, &[&words]);
        board.hears(laptop, &[&words]);
        assert_eq!(board.outcome(), outcome);
        assert_eq!(board.switchboard.call_count(), 0);
    }

    pub(crate) fn ends(self) {
        self.board.ends();
    }
}

/// The invite of `user` by this page; the call.
#[track_caller]
pub(crate) fn calls(board: &mut Board, page: &Page, user: &str) -> CallId {
    let reply = board.does(page, invite(user));
    let Reply::Invited(invited) = reply else { panic!("{reply:?}") };
    invited.call.call
}

pub(crate) fn invite(user: &str) -> Request {
    Request::CallInvite(Box::new(plain_invite(user)))
}

pub(crate) fn plain_invite(user: &str) -> Invite {
    Invite {
        to: Target::User(UserId::new(user).unwrap()),
        media: Media { audio: true, video: false },
        offer: None,
        ring: None,
        display: None,
        to_number: None,
        contact: None,
        external_id: None,
        metadata: None,
        conversation: None,
    }
}

pub(crate) fn sdp(text: &str) -> Sdp {
    Sdp(Arc::from(text))
}

pub(crate) fn accept(call: CallId) -> Request {
    Request::CallAccept { call, answer: None }
}

pub(crate) fn ringing(call: CallId) -> Request {
    Request::CallRinging { call }
}

pub(crate) fn cancel(call: CallId) -> Request {
    Request::CallCancel { call }
}

pub(crate) fn reject(call: CallId, scope: RejectScope) -> Request {
    Request::CallReject { call, reason: RejectReason::Declined, scope }
}

pub(crate) fn hangup(call: CallId) -> Request {
    Request::CallHangup { call, reason: HangupReason::Hangup }
}

pub(crate) fn rejoin(call: CallId, media: RejoinMedia) -> Request {
    Request::CallRejoin { call, media }
}

pub(crate) fn hold(call: CallId, hold: bool) -> Request {
    Request::CallUpdate { call, update: Update { hold: Some(hold), ..Update::default() } }
}

pub(crate) fn mute(call: CallId) -> Request {
    Request::CallUpdate { call, update: Update { muted: Some(true), ..Update::default() } }
}

pub(crate) fn media(call: CallId, status: MediaStatus) -> Request {
    Request::CallMedia { call, status, path: None }
}

pub(crate) fn relayed() -> MediaPath {
    MediaPath {
        local: CandidateType::Relay,
        remote: CandidateType::ServerReflexive,
        transport: PathTransport::Udp,
    }
}

pub(crate) fn signal(call: CallId, generation: u32, payload: SignalPayload) -> Request {
    Request::CallSignal(Box::new(Signal { call, to: None, generation, payload }))
}

pub(crate) fn offer(call: CallId, generation: u32) -> Request {
    signal(call, generation, SignalPayload::Offer { sdp: sdp("offer"), is_restart: false })
}

pub(crate) fn answer(call: CallId, generation: u32) -> Request {
    signal(call, generation, SignalPayload::Answer { sdp: sdp("answer") })
}

pub(crate) fn candidates(call: CallId, generation: u32, count: usize) -> Request {
    let candidate = Candidate {
        candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".into(),
        sdp_mid: Some("0".into()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    };
    signal(call, generation, SignalPayload::Candidates(vec![candidate; count]))
}
