//! Users that stand for one verification of a page (P8): what a credential of theirs is good for is
//! little, so that nobody makes a relay of the test.

use super::credential::User;
use super::secret::{hex, random_bytes};

/// What their names begin with.
const PREFIX: &str = "turnbell-verify.";

/// A new one.
///
/// # Errors
/// Fails only where the kernel has no entropy source.
pub fn user() -> Result<User, getrandom::Error> {
    let name = format!("{PREFIX}{}", hex(&random_bytes::<6>()?));
    // Made of letters, digits, a dash and a dot.
    User::parse(&name).or_else(|_| User::random())
}

/// Whether a user is one: his allocations end with his credential, are few, and reach only relayed
/// addresses of this daemon.
#[must_use]
pub fn is_page_run(user: &str) -> bool {
    user.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_and_known_as_one() {
        let [one, other] = [(); 2].map(|()| user().unwrap());
        assert_ne!(one, other);
        assert!(is_page_run(one.as_str()));
        assert!(!is_page_run("turnbell-verify"));
        assert!(!is_page_run("alice"));
    }
}
