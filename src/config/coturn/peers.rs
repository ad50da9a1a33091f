//! coturn's peer ranges as networks. There the allow list wins over the deny list; here deny wins and
//! private networks are closed, so what is allowed is cut out of what is denied.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::draft::{Item, Value};
use super::reading::{At, Import};
use super::report::Verdict;
use super::turndb::Rows;
use crate::config::value as ours;
use crate::limits::coturn::COTURN_NETWORKS_MAX;

/// First and last address, both of one family and included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

/// What coturn relays to unless told otherwise, and turnbell only if told so. Loopback and link-local
/// addresses are not among them: coturn refuses those before it looks at its lists.
const OPEN_THERE: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "192.0.0.0/24",
    "fc00::/7",
];

/// One line of a list.
struct Entry {
    /// `None`: of the database.
    at: Option<At>,
    text: String,
    span: Span,
}

/// Networks to deny, each once.
#[derive(Default)]
struct Closed {
    items: Vec<Item>,
    texts: HashSet<String>,
}

impl Import {
    pub(super) fn peers(&mut self, rows: Option<&Rows>, realm: &str) {
        let nothing = Vec::new();
        let of_database = |allow: bool| {
            rows.map_or(&nothing, |rows| if allow { &rows.allowed } else { &rows.denied })
        };
        let allowed = self.entries("allowed-peer-ip", of_database(true), realm);
        let denied = self.entries("denied-peer-ip", of_database(false), realm);
        let loopback = self.is_on("allow-loopback-peers");
        let mut opened: Vec<Item> = Vec::new();
        if let Some(at) = loopback {
            let from = self.from(at);
            for net in ["127.0.0.0/8", "::1/128"] {
                opened.push(Item { text: net.to_owned(), from: Some(from.clone()) });
            }
            let text = "`allow_private_peers`: clients reach every service of this machine that \
                        listens on loopback; take it out if you do not know why it is there";
            self.tell(at, Verdict::Mapped, text);
        }
        for entry in &allowed {
            self.open(entry, &mut opened, loopback.is_some());
        }
        if !opened.is_empty() {
            self.draft.set("allow_private_peers", Value::List(opened), "allowed-peer-ip");
        }
        let mut closed = Closed::default();
        let exceptions = disjoint(allowed.iter().map(|entry| entry.span).collect());
        for entry in &denied {
            // Far beyond what can be written: denying more is all that is left.
            let is_full = closed.items.len() > 16 * COTURN_NETWORKS_MAX;
            self.close(entry, if is_full { &[] } else { &exceptions }, &mut closed);
        }
        let mut closed = closed.items;
        if closed.len() > COTURN_NETWORKS_MAX {
            closed = widened(&closed);
            self.report.note(format!(
                "denied-peer-ip makes more than {COTURN_NETWORKS_MAX} networks; neighbours were put \
                 together, so more is denied than in coturn: look at `deny_peers`"
            ));
        }
        if !closed.is_empty() {
            let why = "denied-peer-ip, without what allowed-peer-ip opens: here deny wins";
            self.draft.set("deny_peers", Value::List(closed), why);
        }
        self.report.note(
            "coturn relays to private networks (10.0.0.0/8, 192.168.0.0/16, ...) unless \
             denied-peer-ip names them; turnbell does not. If clients reach a media server at a \
             private address, name it in `allow_private_peers`",
        );
    }

    fn entries(&mut self, name: &str, rows: &[(String, String)], realm: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        for at in self.all(&[name]) {
            let text = self.value(at).to_owned();
            match span(&text) {
                Ok(span) => entries.push(Entry { at: Some(at), text, span }),
                Err(why) => self.tell(at, Verdict::Broken, why),
            }
        }
        let (of_ours, others): (Vec<_>, Vec<_>) =
            rows.iter().partition(|(of, _)| of.is_empty() || of == realm);
        for (of, text) in of_ours {
            match span(text) {
                Ok(span) => entries.push(Entry { at: None, text: text.clone(), span }),
                Err(why) => {
                    let what = format!("{name} {text} (realm {of})");
                    self.tell_database(&what, Verdict::Broken, why);
                }
            }
        }
        if !others.is_empty() {
            let what = format!("{name}, {} of other realms", others.len());
            self.tell_database(&what, Verdict::NotSupported, ONE_REALM);
        }
        entries
    }

    fn tell_entry(&mut self, entry: &Entry, name: &str, verdict: Verdict, text: &str) {
        match entry.at {
            Some(at) => {
                let text = match entry.text.contains('/') {
                    true => format!("{text}; coturn reads no /BITS and passed this line over"),
                    false => text.to_owned(),
                };
                self.tell(at, verdict, text);
            }
            None => self.tell_database(&format!("{name} {}", entry.text), verdict, text),
        }
    }

    fn entry_from(&self, entry: &Entry) -> String {
        entry.at.map_or_else(|| format!("database, {}", entry.text), |at| self.from(at))
    }

    fn open(&mut self, entry: &Entry, opened: &mut Vec<Item>, loopback: bool) {
        let name = "allowed-peer-ip";
        if is_inside(entry.span, &["127.0.0.0/8", "::1/128"]) {
            let why =
                if loopback { "`allow_private_peers`" } else { "coturn refuses loopback first" };
            let verdict = if loopback { Verdict::TakenOver } else { Verdict::NotNeeded };
            return self.tell_entry(entry, name, verdict, why);
        }
        let parts: Vec<IpNet> = OPEN_THERE
            .iter()
            .filter_map(|net| meet(entry.span, span(net).ok()?))
            .flat_map(networks)
            .collect();
        if parts.is_empty() {
            let why = "public addresses are open here; it is cut out of `deny_peers`";
            return self.tell_entry(entry, name, Verdict::Mapped, why);
        }
        if networks(entry.span).iter().any(|net| ours::allowed_network(&net.to_string()).is_err()) {
            let why = "too wide: it would open every private network around; name those that \
                       clients need in `allow_private_peers`";
            return self.tell_entry(entry, name, Verdict::NotSupported, why);
        }
        let from = self.entry_from(entry);
        for net in parts {
            let text = net.to_string();
            if opened.iter().all(|item| item.text != text) {
                opened.push(Item { text, from: Some(from.clone()) });
            }
        }
        self.tell_entry(entry, name, Verdict::TakenOver, "`allow_private_peers`");
    }

    fn close(&mut self, entry: &Entry, exceptions: &[Span], closed: &mut Closed) {
        let left = without(entry.span, exceptions);
        let is_whole = matches!(&*left, [same] if *same == entry.span);
        // Around what is opened the table denies by itself; a dozen networks would say no more.
        let written = left.iter().filter(|span| is_whole || !is_inside(**span, &OPEN_THERE));
        let written: Vec<Span> = written.copied().collect();
        let from = self.entry_from(entry);
        for net in written.iter().copied().flat_map(networks) {
            let text = net.to_string();
            // A mapped address is folded to IPv4 before it is looked up.
            let is_ours = ours::network(&text).is_ok();
            if is_ours && closed.texts.insert(text.clone()) {
                closed.items.push(Item { text, from: Some(from.clone()) });
            }
        }
        let (verdict, text) = if left.is_empty() {
            (Verdict::NotNeeded, "allowed-peer-ip opens all of it again")
        } else if is_whole {
            (Verdict::TakenOver, "`deny_peers`")
        } else if written.is_empty() {
            (Verdict::Mapped, "closed here by itself, but for what `allow_private_peers` opens")
        } else {
            (Verdict::Mapped, "`deny_peers`, without what allowed-peer-ip opens")
        };
        self.tell_entry(entry, "denied-peer-ip", verdict, text);
    }
}

pub(super) const ONE_REALM: &str =
    "there is one realm here; run a second turnbell for another, or use tenants";

/// `10.0.0.1`, `10.0.0.1-10.0.0.9`; `10.0.0.0/8` is what its writer meant.
fn span(text: &str) -> Result<Span, String> {
    let wrong = || {
        "must be an address or FIRST-LAST; an old coturn passes such a line over without a word, so \
         it never had an effect"
            .to_owned()
    };
    if text.contains('/') {
        let net: IpNet = text.parse().map_err(|_| wrong())?;
        return pair(net.network(), net.broadcast()).ok_or_else(wrong);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |text: &str| {
        text.trim().trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| ip.to_canonical())
    };
    let (Ok(first), Ok(last)) = (parse(first), parse(last)) else { return Err(wrong()) };
    match pair(first, last) {
        Some(span) => Ok(span),
        None => Err("the first address must come first, and both be of one family".to_owned()),
    }
}

fn pair(first: IpAddr, last: IpAddr) -> Option<Span> {
    match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => Some(Span::V4(a.to_bits(), b.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => Some(Span::V6(a.to_bits(), b.to_bits())),
        (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => None,
    }
}

/// What both hold.
fn meet(a: Span, b: Span) -> Option<Span> {
    match (a, b) {
        (Span::V4(a, b), Span::V4(c, d)) => {
            (a.max(c) <= b.min(d)).then(|| Span::V4(a.max(c), b.min(d)))
        }
        (Span::V6(a, b), Span::V6(c, d)) => {
            (a.max(c) <= b.min(d)).then(|| Span::V6(a.max(c), b.min(d)))
        }
        (Span::V4(..), Span::V6(..)) | (Span::V6(..), Span::V4(..)) => None,
    }
}

/// Ascending, IPv4 first, and no two meet.
fn disjoint(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| match span {
        Span::V4(a, _) => (false, u128::from(*a)),
        Span::V6(a, _) => (true, *a),
    });
    spans.dedup_by(|next, kept| match (next, kept) {
        (Span::V4(a, b), Span::V4(_, end)) if *a <= *end => {
            *end = (*end).max(*b);
            true
        }
        (Span::V6(a, b), Span::V6(_, end)) if *a <= *end => {
            *end = (*end).max(*b);
            true
        }
        (Span::V4(..) | Span::V6(..), Span::V4(..) | Span::V6(..)) => false,
    });
    spans
}

/// What of `span` is left without `holes`, which are [`disjoint`].
fn without(span: Span, holes: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    // What lies behind the last hole.
    let mut rest = Some(span);
    for hole in holes {
        let Some(piece) = rest else { break };
        let Some(hole) = meet(piece, *hole) else { continue };
        rest = match (piece, hole) {
            (Span::V4(a, b), Span::V4(c, d)) => {
                left.extend((a < c).then(|| Span::V4(a, c - 1)));
                (d < b).then(|| Span::V4(d + 1, b))
            }
            (Span::V6(a, b), Span::V6(c, d)) => {
                left.extend((a < c).then(|| Span::V6(a, c - 1)));
                (d < b).then(|| Span::V6(d + 1, b))
            }
            (Span::V4(..), Span::V6(..)) | (Span::V6(..), Span::V4(..)) => Some(piece),
        };
    }
    left.extend(rest);
    left
}

/// The fewest networks that hold exactly this.
fn networks(span: Span) -> Vec<IpNet> {
    match span {
        Span::V4(a, b) => {
            Ipv4Subnets::new(Ipv4Addr::from(a), Ipv4Addr::from(b), 0).map(IpNet::from).collect()
        }
        Span::V6(a, b) => {
            Ipv6Subnets::new(Ipv6Addr::from(a), Ipv6Addr::from(b), 0).map(IpNet::from).collect()
        }
    }
}

fn is_inside(span: Span, nets: &[&str]) -> bool {
    nets.iter().any(|net| self::span(net).is_ok_and(|net| meet(span, net) == Some(span)))
}

/// Fewer networks that hold all of these and more.
fn widened(items: &[Item]) -> Vec<Item> {
    let mut nets: Vec<IpNet> = items.iter().filter_map(|item| item.text.parse().ok()).collect();
    for cut in 1..=128_u8 {
        if nets.len() <= COTURN_NETWORKS_MAX {
            break;
        }
        let shorter = |net: IpNet| {
            let bits = net.prefix_len().min(net.max_prefix_len() - cut.min(net.max_prefix_len()));
            IpNet::new(net.addr(), bits).map_or(net, |net| net.trunc())
        };
        nets = IpNet::aggregate(&nets.into_iter().map(shorter).collect());
    }
    nets.iter().map(|net| Item { text: net.to_string(), from: None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(text: &str) -> Vec<String> {
        networks(span(text).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ranges_become_the_networks_that_hold_exactly_them() {
        assert_eq!(nets("10.0.0.0-10.255.255.255"), ["10.0.0.0/8"]);
        assert_eq!(nets("10.0.0.1"), ["10.0.0.1/32"]);
        assert_eq!(nets("10.0.0.1-10.0.0.2"), ["10.0.0.1/32", "10.0.0.2/32"]);
        assert_eq!(nets("0.0.0.0-255.255.255.255"), ["0.0.0.0/0"]);
        assert_eq!(nets("fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ["fc00::/7"]);
        assert_eq!(nets("::ffff:10.0.0.1"), ["10.0.0.1/32"]);
        assert_eq!(nets("192.168.0.7/16"), ["192.168.0.0/16"]);
        for wrong in ["", "-", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "example.org", "10.0.0.0/33"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn holes_leave_what_lies_around_them() {
        let of = |texts: &[&str]| texts.iter().map(|text| span(text).unwrap()).collect::<Vec<_>>();
        let check = |text: &str, holes: &[&str], left: &[&str]| {
            let found = without(span(text).unwrap(), &disjoint(of(holes)));
            assert_eq!(found, of(left), "{text} without {holes:?}");
        };
        check("10.0.0.0-10.0.0.9", &["10.0.0.5"], &["10.0.0.0-10.0.0.4", "10.0.0.6-10.0.0.9"]);
        check("10.0.0.5", &["10.0.0.5"], &[]);
        check("::1", &["10.0.0.5"], &["::1"]);
        check("0.0.0.0", &["0.0.0.0-255.255.255.255"], &[]);
        check("10.0.0.4-10.0.0.5", &["10.0.0.5-10.0.0.7", "::1"], &["10.0.0.4"]);
        check(
            "10.0.0.0-10.0.0.9",
            &["10.0.0.7-10.0.0.8", "9.0.0.0-10.0.0.1", "10.0.0.1-10.0.0.3"],
            &["10.0.0.4-10.0.0.6", "10.0.0.9"],
        );
        check("fc00::-fc00::9", &["fc00::3", "10.0.0.1"], &["fc00::-fc00::2", "fc00::4-fc00::9"]);
    }

    #[test]
    fn too_many_networks_are_put_together_and_deny_no_less() {
        let items: Vec<Item> = (0..2 * COTURN_NETWORKS_MAX)
            .map(|n| Item { text: format!("10.{}.{}.1/32", n / 256, n % 256), from: None })
            .collect();
        let fewer = widened(&items);
        assert!(fewer.len() <= COTURN_NETWORKS_MAX, "{}", fewer.len());
        let fewer: Vec<IpNet> = fewer.iter().map(|item| item.text.parse().unwrap()).collect();
        for item in &items {
            let net: IpNet = item.text.parse().unwrap();
            assert!(fewer.iter().any(|wide| wide.contains(&net)), "{net}");
        }
    }
}
