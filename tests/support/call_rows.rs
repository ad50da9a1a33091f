//! Rows of calls, as the switchboard hands them to the record.

use turnbell::auth::identity::{TenantId, UserId};
use turnbell::call::media::{Media, PartyId};
use turnbell::call::request::Device;
use turnbell::call::rows::{CallRow, EventRow, PartyRow, Row, TimelineKind};
use turnbell::call::state::{CallStatus, PartyRole};
use turnbell::call::ulid::{CallId, SessionId, Ulid};

pub(crate) fn id(n: i64) -> CallId {
    CallId(Ulid::new(0, n.unsigned_abs().into()))
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn call(n: i64, started_at: i64, caller: &str, callee: &str) -> Row {
    Row::Call(Box::new(CallRow {
        call: id(n),
        tenant: TenantId::default_tenant(),
        conversation: None,
        status: CallStatus::Ringing,
        reason: None,
        media: Media { audio: true, video: false },
        caller: user(caller),
        callee: user(callee),
        from_display: "Alice".into(),
        from_number: "WebRTC".into(),
        to_number: None,
        contact_id: None,
        external_id: None,
        metadata: None,
        recording_url: None,
        started_at,
        ringing_at: None,
        answered_at: None,
        connected_at: None,
        ended_at: None,
        ring_ms: None,
        setup_ms: None,
        talk_ms: None,
        path: None,
        replaces: None,
    }))
}

pub(crate) fn party(
    of: i64,
    number: u32,
    role: PartyRole,
    name: &str,
    session: Option<i64>,
) -> Row {
    Row::Party(Box::new(PartyRow {
        call: id(of),
        party: PartyId(number),
        tenant: TenantId::default_tenant(),
        user: user(name),
        name: name.into(),
        is_verified: true,
        user_role: None,
        role,
        session: session.map(session_id),
        device: Some(Device { id: "d".into(), kind: "browser".into(), label: "Desk".into() }),
        joined_at: Some(1),
        left_at: None,
        path: None,
    }))
}

pub(crate) fn session_id(n: i64) -> SessionId {
    SessionId(Ulid::new(0, n.unsigned_abs().into()))
}

pub(crate) fn event(of: i64, number: u32, kind: TimelineKind) -> Row {
    Row::Event(Box::new(EventRow {
        call: id(of),
        tenant: TenantId::default_tenant(),
        at: 1,
        number,
        kind,
        party: Some(PartyId(1)),
        device: None,
        detail: Some("relay".into()),
    }))
}
