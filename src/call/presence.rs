//! How users are, as others see it.

use super::request::DeviceStatus;
use crate::auth::identity::{Role, UserId};

/// How somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceEntry {
    /// Who.
    pub user: UserId,
    /// His name, a label; empty if he is not there.
    pub name: Box<str>,
    /// What he is in the tenant; `None` if he is not there.
    pub role: Option<Role>,
    /// How he is.
    pub status: PresenceStatus,
    /// His words beside it.
    pub note: Option<Box<str>>,
}

/// How a user is, made from his devices and his calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PresenceStatus {
    /// There.
    Online,
    /// There, not at the keyboard.
    Away,
    /// In a call, or says so.
    Busy,
    /// Must not be disturbed.
    Dnd,
    /// Not there.
    Offline,
}

impl PresenceStatus {
    /// Its stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Busy => "busy",
            Self::Dnd => "dnd",
            Self::Offline => "offline",
        }
    }

    /// From what the devices say and whether the user is in a call: `dnd` if any device says so,
    /// else `busy` in a call, else the most available of the devices (P27).
    #[must_use]
    pub fn of(devices: impl IntoIterator<Item = DeviceStatus>, is_in_call: bool) -> Self {
        let mut best = Self::Offline;
        for device in devices {
            let status = match device {
                DeviceStatus::Dnd => return Self::Dnd,
                DeviceStatus::Online => Self::Online,
                DeviceStatus::Away => Self::Away,
                DeviceStatus::Busy => Self::Busy,
                DeviceStatus::Offline => Self::Offline,
            };
            best = best.min(status);
        }
        if is_in_call { Self::Busy } else { best }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_as_available_as_his_most_available_device_but_for_dnd_and_calls() {
        use DeviceStatus as D;
        use PresenceStatus as P;
        for (devices, is_in_call, status) in [
            (&[][..], false, P::Offline),
            (&[D::Offline, D::Away], false, P::Away),
            (&[D::Busy, D::Away, D::Online], false, P::Online),
            (&[D::Busy, D::Offline], false, P::Busy),
            (&[D::Online, D::Dnd], false, P::Dnd),
            (&[D::Online, D::Dnd], true, P::Dnd),
            (&[D::Online], true, P::Busy),
            (&[], true, P::Busy),
        ] {
            assert_eq!(P::of(devices.iter().copied(), is_in_call), status, "{devices:?}");
        }
    }
}
