//! `Identity`: who a verified token says somebody is.

use std::fmt;
use std::sync::Arc;

/// Longest tenant id, bytes.
const TENANT_BYTES_MAX: usize = 32;
/// Longest user id, bytes (P11).
const USER_BYTES_MAX: usize = 128;

/// Who somebody is. Made from a token whose signature, issuer and times were checked; whoever holds
/// one need not check again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The walls: nobody sees, calls or hears of anybody in another tenant.
    pub tenant: TenantId,
    /// The token's subject, unique within the tenant.
    pub user: UserId,
    /// What he is in his tenant.
    pub role: Role,
    /// How he is shown to others: a label, may repeat; empty if nobody gave one.
    pub name: Box<str>,
    /// Whether an issuer vouches for the name. Guests choose theirs: `false`.
    pub is_verified: bool,
    /// Unix second from which the token is no longer good; `None` if it has no end.
    pub expires_at_unix_s: Option<i64>,
    /// The contact of somebody else's records that stands for this user, if the token names one.
    pub contact: Option<Box<str>>,
    /// The number shown to the other side, if the token names one.
    pub number: Option<Box<str>>,
}

/// A tenant: 1 to 32 of `a-z`, `0-9` and `-`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Reads one; `None` if it is empty, too long or holds another character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=TENANT_BYTES_MAX).contains(&text.len());
        (fits && text.bytes().all(is_legal)).then(|| Self(text.into()))
    }

    /// The tenant `default`, which always exists.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user within his tenant: 1 to 128 bytes of UTF-8, compared byte by byte. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Reads one; `None` if it is empty, too long or holds a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=USER_BYTES_MAX).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! roles {
    ($($variant:ident = $code:literal, $doc:literal;)*) => {
        /// What somebody is in his tenant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Role {
            $(#[doc = $doc] $variant,)*
        }

        impl Role {
            /// Every role, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable word, as tokens and the config write it.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

roles! {
    Owner = "owner", "Owns the tenant: may end any call of it.";
    Admin = "admin", "Runs the tenant: may end any call of it.";
    Agent = "agent", "Answers customers and visitors.";
    Member = "member", "One of the team; what a token without a role says.";
    PortalCustomer = "portal_customer", "A customer with an account: sees agents, not members.";
    Visitor = "visitor", "Somebody on a web page: sees nobody.";
    Service = "service", "A backend: uses the HTTP interface only.";
}

impl Role {
    /// Reads its word.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.code() == code)
    }

    /// Whether he may end and reject the calls of others in his tenant.
    #[must_use]
    pub fn governs_calls(self) -> bool {
        match self {
            Self::Owner | Self::Admin => true,
            Self::Agent | Self::Member | Self::PortalCustomer | Self::Visitor | Self::Service => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_short_lower_case_and_plain() {
        let longest = "a".repeat(32);
        for good in ["default", "a", "acme-2", &longest] {
            assert_eq!(TenantId::new(good).expect(good).as_str(), good);
        }
        let long = "a".repeat(33);
        for bad in ["", "Acme", "a/b", "a b", "ä", "a~b", &long] {
            assert_eq!(TenantId::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_user_has_1_to_128_bytes_without_control_characters() {
        let longest = "u".repeat(128);
        for good in ["alice", "0xAb5801a7", "Zoë / ~", &longest] {
            assert_eq!(UserId::new(good).expect(good).as_str(), good);
        }
        let long = "u".repeat(129);
        for bad in ["", "a\nb", "a\u{0}", "\u{85}", &long] {
            assert_eq!(UserId::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn every_role_is_known_by_its_word() {
        for &role in Role::ALL {
            assert_eq!(Role::from_code(role.code()), Some(role));
        }
        assert_eq!(Role::from_code("root"), None);
    }
}
