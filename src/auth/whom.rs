//! Whom an operator means by a user's name: as `turnbell sessions` shows it (`acme/alice`), or
//! without a tenant, which is the tenant `default`.

use super::credential::turn_user;
use super::identity::{TenantId, UserId};

/// The user of the tenant `default` behind a TURN user, `default/Zo%C3%AB`, as his token names him;
/// `None` for those of other tenants, and for names without a tenant.
#[must_use]
pub fn plain_name(turn_user: &str) -> Option<String> {
    decoded(turn_user.strip_prefix("default/")?)
}

/// Who is meant. `None` if nobody can have that name.
#[must_use]
pub fn meant(text: &str) -> Option<(TenantId, UserId)> {
    let of_tenant = text.split_once('/').and_then(|(tenant, user)| {
        let user = decoded(user).unwrap_or_else(|| user.to_owned());
        Some((TenantId::new(tenant)?, UserId::new(&user)?))
    });
    of_tenant.or_else(|| Some((TenantId::default_tenant(), UserId::new(text)?)))
}

/// The name as it is kept: of a user with a tenant as the relay has it, else as it was typed, which
/// means him of the tenant `default` and him without one.
#[must_use]
pub fn kept(text: &str) -> String {
    match (text.contains('/'), meant(text)) {
        (true, Some((tenant, user))) => turn_user(&tenant, &user),
        (true, None) | (false, _) => text.to_owned(),
    }
}

/// `None` if it is not percent-encoded UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tenant_means_the_one_of_default() {
        let of = |text| meant(text).map(|(tenant, user)| turn_user(&tenant, &user));
        assert_eq!(of("alice").as_deref(), Some("default/alice"));
        assert_eq!(of("acme/alice").as_deref(), Some("acme/alice"));
        assert_eq!(of("acme/Zo%C3%AB").as_deref(), Some("acme/Zo%C3%AB"));
        assert_eq!(of("acme/Zoë").as_deref(), Some("acme/Zo%C3%AB"));
        assert_eq!(of("acme/50%").as_deref(), Some("acme/50%25"));
        assert_eq!(of("Team A/alice").as_deref(), Some("default/Team%20A%2Falice"));
        assert_eq!(of(""), None);
    }

    #[test]
    fn what_is_kept_is_what_was_typed_or_what_the_relay_has() {
        assert_eq!(kept("alice"), "alice");
        assert_eq!(kept("50%"), "50%");
        assert_eq!(kept("acme/Zoë"), "acme/Zo%C3%AB");
    }

    #[test]
    fn the_plain_name_is_the_one_in_the_token() {
        assert_eq!(plain_name("default/Zo%C3%AB").as_deref(), Some("Zoë"));
        for not in ["alice", "acme/alice", "default/%", "default/%f", "default/%FF", "default/%+1"]
        {
            assert_eq!(plain_name(not), None, "{not}");
        }
    }
}
