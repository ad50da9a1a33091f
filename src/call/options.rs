//! What the config says of tenants, as the switchboard needs it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::request::WhenBusy;
use crate::auth::identity::{Role, TenantId};
use crate::limits::call::{
    CALLS_PER_TENANT_DEFAULT, ICE_REFRESH_DEFAULT, INVITES_PER_MINUTE_DEFAULT,
    SESSIONS_PER_TENANT_DEFAULT, SESSIONS_PER_USER_DEFAULT, UNANSWERED_INVITES_DEFAULT,
};

/// All tenants there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenants {
    /// By their ids.
    pub options_by_tenant: BTreeMap<TenantId, TenantOptions>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantOptions {
    /// Nobody gets in.
    pub is_suspended: bool,
    /// Calls may be made.
    pub voice_enabled: bool,
    /// ICE configs may name TURN servers.
    pub turn_enabled: bool,
    /// Calls that are not over, at the same time.
    pub calls_max: usize,
    /// Invites of one user a minute.
    pub invites_per_minute: u32,
    /// Invites of one user to another in 10 minutes that nobody answered (P31).
    pub unanswered_invites_max: usize,
    /// Sessions of everybody.
    pub sessions_max: usize,
    /// Sessions of one user.
    pub sessions_per_user_max: usize,
    /// What happens to who is called while in a call, unless he says otherwise.
    pub when_busy: WhenBusy,
    /// Who may call whom; `None`: everybody everybody.
    pub allow: Option<Vec<(Role, Role)>>,
    /// Whether a backend is asked before a call rings; `None`: no, every call may be made.
    pub authorize: Option<AuthorizeOptions>,
    /// How long after a welcome, and after each other, fresh ICE configs are sent: 80 % of the life
    /// of the credentials in them.
    pub ice_refresh: Duration,
}

/// Asking a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorizeOptions {
    /// What counts if it does not answer in time.
    pub on_error: OnError,
}

/// What counts if nobody says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The call may not be made.
    #[default]
    Refuse,
    /// It may.
    Allow,
}

impl Default for TenantOptions {
    fn default() -> Self {
        Self {
            is_suspended: false,
            voice_enabled: true,
            turn_enabled: true,
            calls_max: CALLS_PER_TENANT_DEFAULT,
            invites_per_minute: INVITES_PER_MINUTE_DEFAULT,
            unanswered_invites_max: UNANSWERED_INVITES_DEFAULT,
            sessions_max: SESSIONS_PER_TENANT_DEFAULT,
            sessions_per_user_max: SESSIONS_PER_USER_DEFAULT,
            when_busy: WhenBusy::Refuse,
            allow: None,
            authorize: None,
            ice_refresh: ICE_REFRESH_DEFAULT,
        }
    }
}
