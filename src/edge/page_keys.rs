//! Keys that let a person's browser see admin pages for a while: a link opens a page once, the page
//! goes on with a key of its own (P9). Kept in memory, as hashes; a restart ends them all.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::api_key::{self, ApiKeyHash};
use crate::auth::secret::Secret;
use crate::limits::diagnose::{
    DASHBOARD_LINK_TTL, DASHBOARD_LINKS_MAX, DASHBOARD_PAGE_TTL, DASHBOARD_PAGES_MAX,
};
use crate::time::Now;

/// What the key in a link begins with.
const OF_A_LINK: &str = "tbl_";
/// What the key of a page begins with.
const OF_A_PAGE: &str = "tbp_";

/// Links that were not opened, and pages that were.
#[derive(Debug, Default)]
pub struct PageKeys(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    links: Bounded,
    pages: Bounded,
}

/// Oldest first.
#[derive(Debug, Default)]
struct Bounded(VecDeque<(ApiKeyHash, Instant)>);

impl PageKeys {
    /// Makes the key of a link.
    ///
    /// # Errors
    /// If the kernel gives no random bytes.
    pub fn link(&self, now: Now) -> Result<Secret<String>, getrandom::Error> {
        let key = api_key::generate(OF_A_LINK)?;
        self.lock().links.add(now, &key, DASHBOARD_LINK_TTL, DASHBOARD_LINKS_MAX);
        Ok(key)
    }

    /// Takes the key of a link for the key of a page; `None` if it was taken before, or is too old.
    ///
    /// # Errors
    /// If the kernel gives no random bytes; the link can be opened again then.
    pub(crate) fn open(
        &self,
        now: Now,
        link: &str,
    ) -> Result<Option<Secret<String>>, getrandom::Error> {
        let key = api_key::generate(OF_A_PAGE)?;
        let mut keys = self.lock();
        if !keys.links.take(now, link) {
            return Ok(None);
        }
        keys.pages.add(now, &key, DASHBOARD_PAGE_TTL, DASHBOARD_PAGES_MAX);
        Ok(Some(key))
    }

    /// Whether this is the key of a page that was opened.
    pub(crate) fn passes(&self, now: Now, key: &str) -> bool {
        key.starts_with(OF_A_PAGE) && self.lock().pages.holds(now, ApiKeyHash::of(key))
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // Every change is one operation on one list.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is one of a link, which opens nothing but a page.
pub(crate) fn is_of_a_link(key: &str) -> bool {
    key.starts_with(OF_A_LINK)
}

impl Bounded {
    fn add(&mut self, now: Now, key: &Secret<String>, ttl: Duration, most: usize) {
        self.0.retain(|(_, expires_at)| *expires_at > now.mono);
        if self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back((ApiKeyHash::of(key.expose()), now.mono + ttl));
    }

    fn holds(&self, now: Now, hash: ApiKeyHash) -> bool {
        self.0.iter().any(|(held, expires_at)| *held == hash && *expires_at > now.mono)
    }

    fn take(&mut self, now: Now, key: &str) -> bool {
        let hash = ApiKeyHash::of(key);
        let is_good = self.holds(now, hash);
        self.0.retain(|(held, _)| *held != hash);
        is_good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(keys: &PageKeys, now: Now, link: &Secret<String>) -> Option<String> {
        Some(keys.open(now, link.expose()).unwrap()?.expose().clone())
    }

    #[test]
    fn a_link_opens_one_page_once() {
        let (keys, now) = (PageKeys::default(), Now::read());
        let link = keys.link(now).unwrap();
        assert!(!keys.passes(now, link.expose()), "a link is no page");
        let page = open(&keys, now, &link).unwrap();
        assert!(keys.passes(now, &page));
        assert_eq!(open(&keys, now, &link), None, "once");
        assert_eq!(open(&keys, now, &Secret::new(page)), None, "a page is no link");
        assert_eq!(open(&keys, now, &Secret::new("tbl_".into())), None);
    }

    #[test]
    fn a_link_is_good_for_ten_minutes_and_its_page_for_half_a_day() {
        let (keys, now) = (PageKeys::default(), Now::read());
        let [late, too_late] = [keys.link(now).unwrap(), keys.link(now).unwrap()];
        let second = Duration::from_secs(1);
        assert_eq!(open(&keys, now.after(DASHBOARD_LINK_TTL), &too_late), None);
        let then = now.after(DASHBOARD_LINK_TTL - second);
        let page = open(&keys, then, &late).unwrap();
        assert!(keys.passes(then.after(DASHBOARD_PAGE_TTL - second), &page));
        assert!(!keys.passes(then.after(DASHBOARD_PAGE_TTL), &page));
    }

    #[test]
    fn the_oldest_link_makes_room_for_one_too_many() {
        let (keys, now) = (PageKeys::default(), Now::read());
        let links: Vec<_> = (0..=DASHBOARD_LINKS_MAX).map(|_| keys.link(now).unwrap()).collect();
        assert_eq!(open(&keys, now, &links[0]), None);
        let pages: Vec<_> = links[1..].iter().map(|link| open(&keys, now, link).unwrap()).collect();
        assert!(pages.iter().all(|page| keys.passes(now, page)));
        for _ in 0..=DASHBOARD_PAGES_MAX - pages.len() {
            open(&keys, now, &keys.link(now).unwrap()).unwrap();
        }
        assert!(!keys.passes(now, &pages[0]) && keys.passes(now, &pages[1]));
    }
}
