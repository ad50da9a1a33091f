//! Whether a name has no address, as far as a browser tells.

use std::net::IpAddr;

use super::UrlSeen;
use crate::limits::probe::PAGE_LOOKUP_MAX;
use crate::probe::target::Carrier;

/// "No server was reached", in Firefox without a reason.
const NOT_REACHED: u16 = 701;

/// What the browser says of a name without an address; the text may be empty.
///
/// A browser with addresses of both families looks a name up for each, and says so of the one that
/// the name lacks, whatever becomes of the other. So nobody may have been reached by that name, and
/// the browser has to have ended its search: what does not answer is waited for.
pub(super) fn lookup_error<'a>(seen: &'a [UrlSeen], url: &'a UrlSeen) -> Option<&'a str> {
    let host = &url.place.host;
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return None;
    }
    let of_host = || seen.iter().filter(|other| other.place.host == *host);
    if of_host().any(is_reached) {
        return None;
    }
    let said = of_host().find_map(not_found)?;
    not_found(url).or(Some(said))
}

fn is_reached(url: &UrlSeen) -> bool {
    url.page.mapped.is_some() || url.page.relayed.is_some()
}

fn not_found(url: &UrlSeen) -> Option<&str> {
    if url.page.gathered_ms.is_none_or(|ms| ms > PAGE_LOOKUP_MAX.as_millis()) {
        return None;
    }
    let is_lookup = |code: u16, text: &str| {
        // Over TCP a closed port ends it as soon.
        let is_unsaid = code == NOT_REACHED && text.is_empty() && url.place.carrier == Carrier::Udp;
        is_unsaid || text.to_ascii_lowercase().contains("lookup")
    };
    let mut errors = url.page.errors.iter();
    errors.find(|(code, text)| is_lookup(*code, text)).map(|(_, text)| text.as_str())
}
