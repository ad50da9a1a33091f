//! URLs of foreign ICE servers (RFC 7064, RFC 7065), as strictly as browsers read them.

use std::net::Ipv6Addr;

use super::value::{Refusal, dns_name};

/// A checked URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IceUrl {
    /// As it is handed out.
    pub(super) url: String,
    /// `turn:` or `turns:`, which need a credential.
    pub(super) is_turn: bool,
}

/// Checks `stun:host[:port]`, `turn:host[:port][?transport=udp|tcp]`, `turns:` likewise.
pub(super) fn parse(text: &str) -> Result<IceUrl, Refusal> {
    let refuse = |why: &str| {
        Err(Refusal(format!(
            "{why}; such URLs look like \"stun:stun.example.org:3478\", \
             \"turn:turn.example.org:3478?transport=udp\" or \"turns:turn.example.org:443\""
        )))
    };
    let Some((scheme @ ("stun" | "stuns" | "turn" | "turns"), rest)) = text.split_once(':') else {
        return refuse("must start with stun:, turn: or turns:");
    };
    if scheme == "stuns" {
        return refuse("browsers do not do stuns:");
    }
    if rest.starts_with("//") {
        return refuse("there are no slashes after the colon");
    }
    let is_turn = scheme != "stun";
    let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
    match query {
        None => {}
        Some(_) if !is_turn => return refuse("stun: takes no ?transport"),
        Some("transport=udp") if scheme == "turns" => {
            return refuse("turns: over UDP is done by no browser; leave ?transport=udp out");
        }
        Some("transport=udp" | "transport=tcp") => {}
        Some(_) => return refuse("after the ? only transport=udp or transport=tcp may stand"),
    }
    let (host_fits, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((host, port)) => {
            (host.parse::<Ipv6Addr>().is_ok(), (!port.is_empty()).then_some(port))
        }
        None => {
            let (host, port) = authority
                .find(':')
                .map_or((authority, None), |at| (&authority[..at], Some(&authority[at..])));
            let is_v4 = host.parse::<std::net::Ipv4Addr>().is_ok();
            (is_v4 || dns_name(host).is_some(), port)
        }
    };
    if !host_fits {
        return refuse("the host must be a name, an IPv4 address or an IPv6 address in brackets");
    }
    match port {
        None => {}
        Some(":53") => return refuse("port 53 is refused by browsers"),
        Some(port) => {
            let port = port.strip_prefix(':').filter(|p| p.bytes().all(|c| c.is_ascii_digit()));
            if port.and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
                return refuse("the port must be a number from 1 to 65535");
            }
        }
    }
    Ok(IceUrl { url: text.to_owned(), is_turn })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_browsers_take_pass() {
        for (url, is_turn) in [
            ("stun:stun.example.org", false),
            ("stun:stun.example.org:3478", false),
            ("stun:[2001:db8::1]:3478", false),
            ("turn:198.51.100.4:1", true),
            ("turn:turn.example.org:65535?transport=udp", true),
            ("turns:turn.example.org:443?transport=tcp", true),
        ] {
            assert_eq!(parse(url), Ok(IceUrl { url: url.to_owned(), is_turn }));
        }
    }

    #[test]
    fn urls_that_break_pages_are_refused_with_the_reason() {
        for (url, reason) in [
            ("turn.example.org", "must start with"),
            ("http://turn.example.org", "must start with"),
            ("TURN:turn.example.org", "must start with"),
            ("stuns:turn.example.org", "stuns"),
            ("turn://turn.example.org", "slashes"),
            ("stun:a.example?transport=udp", "takes no ?transport"),
            ("turn:a.example?transport=sctp", "only transport="),
            ("turn:a.example?transport=udp&x=1", "only transport="),
            ("turns:a.example?transport=udp", "no browser"),
            ("turn:a.example:53", "port 53"),
            ("turn:a.example:0", "1 to 65535"),
            ("turn:a.example:65536", "1 to 65535"),
            ("turn:a.example:", "1 to 65535"),
            ("turn:a.example:+1", "1 to 65535"),
            ("turn:", "the host"),
            ("turn:2001:db8::1", "the host"),
            ("turn:[2001:db8::1", "the host"),
            ("turn:[a.example]:1", "the host"),
            ("turn:a b", "the host"),
            ("turn:999.1.1.1", "the host"),
            ("turn:user@a.example", "the host"),
        ] {
            let refusal = parse(url).expect_err(url).0;
            assert!(refusal.contains(reason), "{url}: {refusal}");
        }
    }
}
