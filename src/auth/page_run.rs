//! Users that stand for one verification of a page (P8): what a credential of theirs is good for is
//! little, so that nobody makes a relay of the test.

use super::credential::VERIFIER;

/// Whether a user is one (`turnbell-verify.<run>`, made by
/// [`of_page_run`](super::credential::User::of_page_run)): his allocations end with his credential,
/// are few, and reach only relayed addresses of this daemon.
#[must_use]
pub fn is_page_run(user: &str) -> bool {
    user.strip_prefix(VERIFIER).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credential::User;

    #[test]
    fn each_is_new_and_known_as_one() {
        let [one, other] = [(); 2].map(|()| User::of_page_run().unwrap());
        assert_ne!(one, other);
        assert!(is_page_run(one.as_str()));
        assert_eq!(one.counted_as(), one.as_str());
        assert!(User::parse(one.as_str()).is_ok());
        assert!(!is_page_run(VERIFIER));
        assert!(!is_page_run("turnbell-verifyer.a"));
        assert!(!is_page_run("alice"));
    }
}
