//! A link that opens the page of `/ice-verify` for a day: what this machine sees of itself does not
//! prove that others reach it (P6).

use super::{qr, table};
use crate::edge::operator_json::VerifyLink;
use crate::ops::log::printable;

/// The link that was asked for.
pub(super) fn shown(link: &VerifyLink) -> String {
    let VerifyLink { url, url_from, id, expires_at } = link;
    format!(
        "{url}\n\n{}Opens the page as often as wanted, until {} UTC, and nothing else.\nThe link begins \
         as {}.\nTake it back: turnbell key revoke {id}\n",
        qr::of(url),
        table::time(*expires_at),
        printable(url_from),
    )
}

/// What stands below a verification of oneself that found no error, and that nobody else confirmed.
pub(super) fn to_be_opened(link: &VerifyLink) -> String {
    format!("To prove it, open this on a phone without Wi-Fi:\n\n{}", shown(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> VerifyLink {
        VerifyLink {
            url: "https://calls.example.org/ice-verify#k=tbv_x".into(),
            url_from: "http.public_url says".into(),
            id: "k01".into(),
            expires_at: 60_000,
        }
    }

    #[test]
    fn a_link_is_told_with_its_end_and_how_to_take_it_back() {
        let text = shown(&link());
        assert!(text.starts_with("https://calls.example.org/ice-verify#k=tbv_x\n"), "{text}");
        assert!(text.contains("until 1970-01-01 00:01:00 UTC"), "{text}");
        assert!(text.ends_with("turnbell key revoke k01\n"), "{text}");
    }
}
