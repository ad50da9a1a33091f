//! What is asked about: a call by its id, a moment by its time, a user by his name.

use crate::auth::credential::turn_user;
use crate::auth::identity::UserId;
use crate::auth::whom::{kept, meant};
use crate::call::ulid::CallId;
use crate::limits::why::{WHY_AROUND, WHY_BACK};
use crate::time::Now;
use crate::time::utc;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// One call.
    Call(CallId),
    /// Everybody around a moment, Unix milliseconds.
    Moment(i64),
    /// One user.
    User {
        /// As in a token.
        user: Option<UserId>,
        /// As the relay may have him: with his tenant, and as he was typed.
        names: Vec<String>,
    },
}

impl About {
    /// Reads what was typed: 26 characters of a call's id, `10:02` or `2026-11-20 10:02` with or
    /// without an offset, and anything else is a name.
    pub(super) fn read(text: &str, now: Now) -> Self {
        if let Some(call) = CallId::parse(text) {
            return Self::Call(call);
        }
        match utc::parse(text, now.unix_ms) {
            Some(at) => Self::Moment(at),
            None => Self::of_user(text),
        }
    }

    /// A user, whatever his name looks like.
    pub(super) fn of_user(text: &str) -> Self {
        let meant = meant(text);
        let mut names = vec![kept(text)];
        if let Some((tenant, user)) = &meant {
            let name = turn_user(tenant, user);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self::User { user: meant.map(|(_, user)| user), names }
    }

    /// From when to when is looked, Unix milliseconds; a call's own times say it better.
    pub(super) fn window(&self, now: Now, since_unix_ms: Option<i64>) -> (i64, i64) {
        let ms = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        match self {
            Self::Moment(at) => {
                (at.saturating_sub(ms(WHY_AROUND)), at.saturating_add(ms(WHY_AROUND)))
            }
            Self::Call(_) | Self::User { .. } => {
                let back = now.unix_ms.saturating_sub(ms(WHY_BACK));
                (since_unix_ms.unwrap_or(back), now.unix_ms)
            }
        }
    }
}

impl About {
    /// Its stable word.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Call(_) => "call",
            Self::Moment(_) => "moment",
            Self::User { .. } => "user",
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn calls_and_times_are_known_by_their_form_and_the_rest_are_names() {
        let now = Now { mono: Now::read().mono, unix_ms: 1_795_168_923_000 };
        let read = |text| About::read(text, now);
        assert!(matches!(read("01JD0Q3ZK5V9XW2M4N6P8R0T1Y"), About::Call(_)));
        assert_eq!(read("10:02"), About::Moment(1_795_168_920_000));
        let names = |about| match about {
            About::User { names, .. } => names,
            About::Call(_) | About::Moment(_) => panic!("a user"),
        };
        assert_eq!(names(read("alice")), ["alice", "default/alice"]);
        assert_eq!(names(read("acme/Zoë")), ["acme/Zo%C3%AB"]);
        assert_eq!(names(About::of_user("10:02")), ["10:02", "default/10%3A02"]);
    }
}
