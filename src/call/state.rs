//! States of a call, how it ends, and what the record calls that.

/// Where a call stands, as its users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallState {
    /// Invited; no device has said yet that it rings.
    Initiated,
    /// A device rings.
    Ringing,
    /// Accepted; media is looking for its way.
    Connecting,
    /// They talk.
    Active,
    /// They could talk, but somebody holds the call.
    Held,
    /// Media, or who carried it, was lost; there is a little time to come back.
    Reconnecting,
    /// Over.
    Ended,
}

impl CallState {
    /// Its stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::Connecting => "connecting",
            Self::Active => "active",
            Self::Held => "held",
            Self::Reconnecting => "reconnecting",
            Self::Ended => "ended",
        }
    }
}

/// Which end of a call a party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartyRole {
    /// Who invited.
    Caller,
    /// Who was invited; polite in negotiations.
    Callee,
}

impl PartyRole {
    /// The call's direction as this party's record has it.
    #[must_use]
    pub fn direction(self) -> &'static str {
        match self {
            Self::Caller => "OUTBOUND",
            Self::Callee => "INBOUND",
        }
    }

    /// Its stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        }
    }

    /// Reads its word.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Caller, Self::Callee].into_iter().find(|role| role.code() == code)
    }
}

/// What the record says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallStatus {
    /// Invited.
    Initiated,
    /// A device rings.
    Ringing,
    /// Accepted and not over.
    Answered,
    /// Over, after it was accepted.
    Completed,
    /// Over: nobody answered, or the caller gave up.
    Missed,
    /// Over: the callee did not want it.
    Rejected,
    /// Over: the callee was in another call.
    Busy,
    /// Over: it could not be made.
    Failed,
}

impl CallStatus {
    /// Its stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Initiated => "INITIATED",
            Self::Ringing => "RINGING",
            Self::Answered => "ANSWERED",
            Self::Completed => "COMPLETED",
            Self::Missed => "MISSED",
            Self::Rejected => "REJECTED",
            Self::Busy => "BUSY",
            Self::Failed => "FAILED",
        }
    }

    /// Reads its word.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let all = [
            Self::Initiated,
            Self::Ringing,
            Self::Answered,
            Self::Completed,
            Self::Missed,
            Self::Rejected,
            Self::Busy,
            Self::Failed,
        ];
        all.into_iter().find(|status| status.code() == code)
    }

    /// Whether the call is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Initiated | Self::Ringing | Self::Answered => false,
            Self::Completed | Self::Missed | Self::Rejected | Self::Busy | Self::Failed => true,
        }
    }
}

macro_rules! reasons {
    ($($variant:ident = $code:literal, $early:ident, $doc:literal;)*) => {
        /// Why a call ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EndReason {
            $(#[doc = $doc] $variant,)*
        }

        impl EndReason {
            /// Every reason, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable word.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// The status of a call that ended so before it was ever active.
            #[must_use]
            pub fn status_before_active(self) -> CallStatus {
                match self {
                    $(Self::$variant => CallStatus::$early,)*
                }
            }
        }
    };
}

reasons! {
    Hangup = "hangup", Completed, "A party hung up.";
    Lost = "lost", Failed, "The connection did not come back.";
    Limit = "limit", Failed, "It lasted as long as a call may.";
    NoAnswer = "no_answer", Missed, "It rang, and nobody answered.";
    Cancelled = "cancelled", Missed, "The caller gave up.";
    Declined = "declined", Rejected, "The callee did not want it.";
    Dnd = "dnd", Rejected, "The callee must not be disturbed.";
    Busy = "busy", Busy, "The callee is in another call.";
    CalleeOffline = "callee_offline", Failed, "No device of the callee answered.";
    IceFailed = "ice_failed", Failed, "ICE found no way for the media.";
    IceTimeout = "ice_timeout", Failed, "No media in time.";
    MediaFailed = "media_failed", Failed, "Microphone or camera could not be had.";
    FeatureDisabled = "feature_disabled", Failed, "The tenant has no voice calls.";
    Forbidden = "forbidden", Failed, "The caller may not call the callee.";
    Quota = "quota", Failed, "As many calls as may be were there.";
    Revoked = "revoked", Failed, "A party was thrown out, or the tenant was switched off.";
    Admin = "admin", Failed, "Somebody in charge ended it.";
    ServerRestart = "server_restart", Failed, "The server restarted, and somebody did not come back.";
    Internal = "internal", Failed, "Our fault.";
}

impl EndReason {
    /// Reads its word.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// What the record says of a call that ended so.
    #[must_use]
    pub fn status(self, was_active: bool) -> CallStatus {
        if was_active { CallStatus::Completed } else { self.status_before_active() }
    }
}
