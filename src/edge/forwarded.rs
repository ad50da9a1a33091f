//! Who sent a request that came through proxies: `X-Forwarded-For`, or `Forwarded` (RFC 7239).
//!
//! Each proxy adds the address it was spoken to from at the right end, so whatever stands left of
//! the first address that is not one of our proxies is the client's own words. Read from the right:
//! addresses of trusted proxies are passed over, the next entry is the client. What that entry
//! hides (`unknown`, `_gazonk`) or garbles is never guessed at.
//!
//! If both headers are there they must name the same client, else it counts as unknown: a proxy
//! writes one of them, and hands on the other as the client made it up.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap};
use ipnet::IpNet;

/// The header that most proxies write.
pub(super) const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client of a request, as far as it can be known. The router puts it into every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpClient {
    /// What counts for rates: the client's address, or where that is unknown the one of the trusted
    /// proxy nearest to it. An IPv4 address is never written as an IPv6 one.
    pub address: IpAddr,
    /// How it is known.
    pub told: Told,
}

/// How the address of a client is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is the source of the TCP connection, which is no trusted proxy.
    Direct,
    /// A trusted proxy says it.
    Forwarded,
    /// The source is a trusted proxy, and it says nothing. It may speak for itself or for anybody.
    Nothing,
    /// A trusted proxy says that it does not know, or nothing that can be understood.
    Unknown,
}

impl HttpClient {
    /// Reads what the proxies in `trusted` say; what anybody else says does not count.
    #[must_use]
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        if !is_trusted(peer, trusted) {
            return Self { address: peer, told: Told::Direct };
        }
        let walk = |name: &str, nodes: fn(&str) -> Vec<Node>| {
            let lines = headers.get_all(name).iter().rev();
            walked(
                peer,
                lines.map(|line| line.to_str().map_or_else(|_| vec![Node::Hidden], nodes)),
                trusted,
            )
        };
        let (usual, standard) =
            (walk(X_FORWARDED_FOR, of_x), walk(FORWARDED.as_str(), of_standard));
        match (usual.told, standard.told) {
            (_, Told::Nothing) => usual,
            (Told::Nothing, _) => standard,
            (Told::Direct | Told::Forwarded | Told::Unknown, _) if usual == standard => usual,
            (Told::Direct | Told::Forwarded | Told::Unknown, _) => {
                Self { address: peer, told: Told::Unknown }
            }
        }
    }

    /// Its address, if that is known to be the client's and not a proxy's.
    #[must_use]
    pub fn known(&self) -> Option<IpAddr> {
        match self.told {
            Told::Direct | Told::Forwarded | Told::Nothing => Some(self.address),
            Told::Unknown => None,
        }
    }
}

/// Whether an address is one of the proxies whose word counts.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// Whether a request says whom it was forwarded for, true or not.
pub(super) fn names_a_client(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// One entry of either header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Address(IpAddr),
    /// `unknown`, an obfuscated name, or nothing that can be understood.
    Hidden,
}

/// From the last line to the first, in each from right to left.
fn walked(peer: IpAddr, lines: impl Iterator<Item = Vec<Node>>, trusted: &[IpNet]) -> HttpClient {
    let mut client = HttpClient { address: peer, told: Told::Nothing };
    for node in lines.flat_map(|line| line.into_iter().rev()) {
        let Node::Address(address) = node else {
            return HttpClient { told: Told::Unknown, ..client };
        };
        client = HttpClient { address, told: Told::Forwarded };
        if !is_trusted(address, trusted) {
            return client;
        }
    }
    // Every one is a proxy of ours: the first of them speaks for itself.
    client
}

/// One line of `X-Forwarded-For`. Empty entries are no entries (RFC 9110 §5.6.1).
fn of_x(line: &str) -> Vec<Node> {
    let entries = line.split(',').map(trimmed).filter(|entry| !entry.is_empty());
    entries.map(node).collect()
}

/// One line of `Forwarded` (RFC 7239 §4). A line that breaks the grammar hides everything in it: an
/// open quote at its left end would swallow what a proxy wrote at its right.
fn of_standard(line: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = trimmed(line);
    while !rest.is_empty() {
        let Some((entry, behind)) = element(rest) else { return vec![Node::Hidden] };
        nodes.extend(entry);
        rest = behind;
    }
    nodes
}

/// The element at the left end, `None` where it is empty, and what is left behind its comma.
fn element(mut text: &str) -> Option<(Option<Node>, &str)> {
    let (mut client, mut is_empty) = (None, true);
    loop {
        text = text.trim_start_matches(BLANK);
        if let Some(rest) = text.strip_prefix(';') {
            text = rest;
            continue;
        }
        let end = text.strip_prefix(',').or_else(|| text.is_empty().then_some(text));
        if let Some(rest) = end {
            let entry = (!is_empty).then(|| client.unwrap_or(Node::Hidden));
            return Some((entry, rest.trim_start_matches(BLANK)));
        }
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = value(rest)?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        // A parameter occurs once in an element (§4).
        if name.eq_ignore_ascii_case("for") && client.replace(node(&value)).is_some() {
            return None;
        }
        is_empty = false;
        text = rest.trim_start_matches(BLANK);
        if !text.is_empty() && !text.starts_with([';', ',']) {
            return None;
        }
    }
}

/// A token or a quoted string, and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|c| !is_token(c)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// An address with or without port, an IPv6 one with or without brackets.
fn node(text: &str) -> Node {
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|at| at.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse().ok().map(IpAddr::V6)
    };
    let found = bare().or_else(with_port).or_else(in_brackets).map(|ip| ip.to_canonical());
    // No client has the address "any".
    found.filter(|ip| !ip.is_unspecified()).map_or(Node::Hidden, Node::Address)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(BLANK)
}

const BLANK: [char; 2] = [' ', '\t'];

/// RFC 9110 §5.6.2.
fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

#[cfg(test)]
mod tests;
