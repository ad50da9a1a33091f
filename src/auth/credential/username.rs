//! What a time-limited username says: until when it is good, and whose it is.

/// Which usernames are taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Forms {
    /// `"<expiry>:<user>"`.
    Strict,
    /// A lone `"<expiry>"`, which is its own user, and `"<user>:<expiry>"`, too.
    Coturn,
}

impl Forms {
    /// The expiry, and the user without `~session`.
    pub(super) fn parse(self, username: &str) -> Option<(i64, &str)> {
        let (expiry, user) = match (self, username.split_once(':')) {
            (Self::Strict, None) => return None,
            (Self::Coturn, None) => (username, username),
            // Where both are digits, the first is the expiry.
            (Self::Coturn, Some((user, expiry))) if !user.is_empty() && !is_number(user) => {
                (expiry, user)
            }
            (Self::Strict | Self::Coturn, Some(pair)) => pair,
        };
        // Digits only: no sign, no blank, no hexadecimal; what does not fit an `i64` is no expiry.
        let expires_at = if is_number(expiry) { expiry.parse().ok() } else { None };
        Some((expires_at?, without_session(user)))
    }
}

/// What quotas and the record go by.
pub(super) fn without_session(user: &str) -> &str {
    user.rsplit_once('~').map_or(user, |(user, _session)| user)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}
