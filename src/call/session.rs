//! `Session`: one page of one user, across the sockets it is reached by.

use std::collections::BTreeSet;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::contract::ConnectionId;
use super::outbox::Outbox;
use super::rates::Rates;
use super::replies::Replies;
use super::request::{Capabilities, Device, DeviceStatus, PresenceSubscribe};
use super::ulid::SessionId;
use super::user::UserKey;
use crate::auth::identity::{Identity, UserId};
use crate::constant_time::equal_constant_time;

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) key: UserKey,
    pub(super) identity: Identity,
    pub(super) device: Device,
    pub(super) capabilities: Capabilities,
    /// `None`: its socket is lost, and it may be resumed.
    pub(super) connection: Option<ConnectionId>,
    pub(super) secret: ResumeSecret,
    pub(super) outbox: Outbox,
    pub(super) replies: Replies,
    pub(super) rates: Rates,
    pub(super) status: DeviceStatus,
    pub(super) subscription: PresenceSubscribe,
    /// Whose presence changed since it was told.
    pub(super) dirty: BTreeSet<UserId>,
    /// Too many changed: it is told how all are.
    pub(super) wants_snapshot: bool,
    pub(super) last_diff: Option<Instant>,
}

impl Session {
    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }
}

/// The secret half of a resume token.
pub(super) struct ResumeSecret([u8; 24]);

impl std::fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl ResumeSecret {
    pub(super) fn new(random: [u8; 32]) -> Self {
        let mut secret = [0; 24];
        secret.copy_from_slice(&random[..24]);
        Self(secret)
    }

    /// The token: `<session>.<secret>`.
    pub(super) fn token(&self, session: SessionId) -> Box<str> {
        format!("{session}.{}", URL_SAFE_NO_PAD.encode(self.0)).into()
    }

    /// Whether `text` is this secret.
    pub(super) fn is(&self, text: &str) -> bool {
        equal_constant_time(URL_SAFE_NO_PAD.encode(self.0).as_bytes(), text.as_bytes())
    }
}

/// The halves of a resume token; `None` if it is none.
pub(super) fn read_token(token: &str) -> Option<(SessionId, &str)> {
    let (session, secret) = token.split_once('.')?;
    Some((SessionId::parse(session)?, secret))
}
