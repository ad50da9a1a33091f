//! Single values: text in, meaning or refusal out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use super::{Advertise, Alternate, External, Host};
use crate::limits::{AMPLIFICATION_MAX, REALM_BYTES_MAX, REFLECTION_PORTS_MAX};

/// Why a text is no value of its kind: what is allowed, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) String);

impl Refusal {
    fn new<T>(text: impl Into<String>) -> Result<T, Self> {
        Err(Self(text.into()))
    }
}

type Parsed<T> = Result<T, Refusal>;

/// `90s`, `10m`, `12h`; a bare number is refused, because nobody knows its unit.
pub(super) fn duration(text: &str, allowed: &RangeInclusive<Duration>) -> Parsed<Duration> {
    let unit = text.chars().last().and_then(|unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3600),
        _ => None,
    });
    let seconds = unit.and_then(|unit| digits(&text[..text.len() - 1])?.checked_mul(unit));
    let found = seconds.map(Duration::from_secs).filter(|found| allowed.contains(found));
    found.map_or_else(
        || {
            Refusal::new(format!(
                "must be a duration from {} to {}, written like \"90s\", \"10m\" or \"12h\"",
                shown(*allowed.start()),
                shown(*allowed.end())
            ))
        },
        Ok,
    )
}

/// A duration as it is written in the config.
pub(super) fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// `512MiB`, `1GiB`: a size in bytes, from 16 MiB to 1 TiB.
pub(super) fn record_bytes(text: &str) -> Parsed<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let size = units.iter().find_map(|(unit, shift)| {
        let count = digits(text.strip_suffix(unit)?.trim_end())?;
        count.checked_mul(1 << shift)
    });
    match size {
        Some(size) if (16 << 20..=1 << 40).contains(&size) => Ok(size),
        Some(_) | None => Refusal::new(
            "must be a size from \"16MiB\" to \"1TiB\", with one of the units KiB, MiB, GiB, TiB",
        ),
    }
}

/// `49152-65535`, within 1024-65535.
pub(super) fn relay_ports(text: &str) -> Parsed<RangeInclusive<u16>> {
    let port = |text: &str| digits(text.trim()).and_then(|port| u16::try_from(port).ok());
    match text.split_once('-').and_then(|(low, high)| Some((port(low)?, port(high)?))) {
        Some((low, high)) if low >= 1024 && low <= high => Ok(low..=high),
        Some((low, high)) if low > high => {
            Refusal::new(format!("the lower port comes first: write \"{high}-{low}\""))
        }
        Some(_) | None => Refusal::new(
            "must be two ports, lower first, within 1024-65535, such as \"49152-65535\"",
        ),
    }
}

/// `19 53 137-139`: ports and ranges of ports; none is legal.
pub(super) fn reflection_ports(text: &str) -> Parsed<Vec<RangeInclusive<u16>>> {
    let port = |text: &str| digits(text).and_then(|port| u16::try_from(port).ok());
    let range = |word: &str| match word.split_once('-') {
        Some((low, high)) => {
            Some(port(low)?..=port(high)?).filter(|range: &RangeInclusive<u16>| !range.is_empty())
        }
        None => port(word).map(|port| port..=port),
    };
    let ranges: Option<Vec<_>> = text.split_ascii_whitespace().map(range).collect();
    ranges.filter(|ranges| ranges.len() <= REFLECTION_PORTS_MAX).map_or_else(
        || {
            Refusal::new(format!(
                "must be at most {REFLECTION_PORTS_MAX} ports or ranges of ports with blanks \
                 between them, lower first, such as \"53 123 137-139\""
            ))
        },
        Ok,
    )
}

/// `0.0.0.0:3478`, `[::]:3478`. Port 0 is legal: the kernel chooses one.
pub(super) fn listener(text: &str, port: u16) -> Parsed<SocketAddr> {
    if text.contains('%') {
        return Refusal::new("zone ids (the part after %) are not supported; leave it out");
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let example = SocketAddr::new(address, port);
        return Refusal::new(format!("lacks a port: write \"{example}\""));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if is_many(address.ip()) => {
            Refusal::new("must not be a multicast or broadcast address")
        }
        Ok(address) => Ok(address),
        Err(_) => Refusal::new(format!(
            "must be an address and a port, such as \"0.0.0.0:{port}\" or \"[::]:{port}\""
        )),
    }
}

/// An address relay sockets can be bound to.
pub(super) fn relay_address(text: &str) -> Parsed<IpAddr> {
    let address = address(text)?;
    if address.is_unspecified() {
        return Refusal::new(
            "is not one address but all of them; leave the list empty to have one chosen",
        );
    }
    host_address(address)
}

/// `203.0.113.7` or `203.0.113.7/10.0.0.5`, public first.
pub(super) fn external(text: &str) -> Parsed<External> {
    let (public, private) = match text.split_once('/') {
        Some((public, private)) => (address(public)?, Some(host_address(address(private)?)?)),
        None => (address(text)?, None),
    };
    if public.is_unspecified() || public.is_loopback() || is_many(public) || is_link_local(public) {
        return Refusal::new(
            "must be the address the world sends to, or PUBLIC/PRIVATE, such as \
             \"203.0.113.7/10.0.0.5\"",
        );
    }
    if private.is_some_and(|private| private.is_ipv4() != public.is_ipv4()) {
        return Refusal::new("the public and the private address must be of one family");
    }
    Ok(External { public, private })
}

/// `turn.example.org`, `turn.example.org:3478`, an address, an address with a port.
pub(super) fn advertise(text: &str) -> Parsed<Advertise> {
    let (host, port) = if let Ok(address) = text.parse::<IpAddr>() {
        (Host::Address(address), None)
    } else if let Ok(address) = text.parse::<SocketAddr>() {
        (Host::Address(address.ip()), Some(address.port()))
    } else {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => {
                let port = digits(port).and_then(|port| u16::try_from(port).ok());
                let Some(port) = port else { return Refusal::new(ADVERTISE) };
                (name, Some(port))
            }
            None => (text, None),
        };
        let Some(name) = dns_name(name) else { return Refusal::new(ADVERTISE) };
        (Host::Name(name), port)
    };
    if let Host::Address(address) = host
        && (address.is_unspecified() || is_many(address) || is_link_local(address))
    {
        return Refusal::new("must be one address that clients can reach");
    }
    match port {
        Some(0) => Refusal::new("port 0 is none; leave the port out to name the listener's"),
        Some(53) => Refusal::new("port 53 is refused by browsers; use another port"),
        Some(_) | None => Ok(Advertise { host, port }),
    }
}

const ADVERTISE: &str = "must be a host name or an address without scheme, with a port or without, \
                         such as \"turn.example.org\" or \"turn.example.org:3478\"";

/// `203.0.113.9:3478`, or with the name in its certificate, `203.0.113.9:5349/turn2.example.org`.
pub(super) fn alternate(text: &str) -> Parsed<Alternate> {
    const ALLOWED: &str = "must be the address and port of another TURN server, and for TLS the name \
                           in its certificate: \"203.0.113.9:3478\" or \
                           \"203.0.113.9:5349/turn2.example.org\"";
    let (server, domain) =
        text.split_once('/').map_or((text, None), |(server, domain)| (server, Some(domain)));
    let domain = match domain.map(dns_name) {
        Some(None) => return Refusal::new(ALLOWED),
        Some(Some(name)) => Some(name),
        None => None,
    };
    let Ok(server) = server.parse::<SocketAddr>() else { return Refusal::new(ALLOWED) };
    if server.port() == 0 || server.ip().is_unspecified() || is_many(server.ip()) {
        return Refusal::new(ALLOWED);
    }
    Ok(Alternate { server, domain })
}

/// A network, and the sentence about bits that say nothing (`10.0.0.5/8`).
pub(super) fn network(text: &str) -> Parsed<(IpNet, Option<String>)> {
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => (address(host)?, Some(bits)),
        None if text.contains('-') => {
            return Refusal::new(
                "address ranges are not understood; write networks, such as \"10.0.0.0/8\"",
            );
        }
        None => (address(text)?, None),
    };
    if let IpAddr::V6(v6) = host
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Refusal::new(format!(
            "IPv4 inside IPv6 is folded before it is looked up: write it as IPv4 ({v4})"
        ));
    }
    let width = if host.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => width,
        Some(bits) => match digits(bits).and_then(|bits| u8::try_from(bits).ok()) {
            Some(parsed) if parsed <= width && bits == parsed.to_string() => parsed,
            Some(_) | None => {
                return Refusal::new(format!(
                    "the prefix length must be a number from 0 to {width}, such as \"{host}/{}\"",
                    width / 2
                ));
            }
        },
    };
    // Cannot fail: the length was just checked. The refusal keeps that out of panics.
    let Ok(net) = IpNet::new(host, bits) else { return Refusal::new("is no network") };
    let means = net.trunc();
    let note = (means.addr() != host).then(|| format!("\"{text}\" means {means}"));
    Ok((means, note))
}

/// A network that peers may be opened to: not so wide that the relay is open to everything.
pub(super) fn allowed_network(text: &str) -> Parsed<(IpNet, Option<String>)> {
    let (net, note) = network(text)?;
    let bits_min = match net {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 7,
    };
    if net.prefix_len() < bits_min {
        return Refusal::new(format!(
            "is too wide: at least /{bits_min} here, so that one line cannot open everything"
        ));
    }
    if net.addr().is_unspecified() && net.prefix_len() == net.max_prefix_len()
        || is_many(net.addr())
    {
        return Refusal::new("unspecified, multicast and broadcast addresses are never relayed to");
    }
    Ok((net, note))
}

/// `https://app.example.org`, exactly as a browser writes it in the Origin header.
/// Reads an origin as browsers write it, as `http.cors_origins` does.
///
/// # Errors
/// How it must look.
pub fn origin_of_pages(text: &str) -> Result<String, String> {
    origin(text).map_err(|refusal| refusal.0)
}

pub(super) fn origin(text: &str) -> Parsed<String> {
    const ALLOWED: &str = "must be exactly what a browser sends as Origin: scheme, host and port \
                           if it is not the usual one, in lower case, without a slash at the end, \
                           such as \"https://app.example.org\"";
    if text == "*" || text == "null" {
        return Refusal::new(format!("{text} would open it to every page; {ALLOWED}"));
    }
    let Some((scheme @ ("http" | "https"), rest)) = text.split_once("://") else {
        return Refusal::new(ALLOWED);
    };
    let usual = if scheme == "http" { 80 } else { 443 };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => {
            let canonical = host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_string() == host);
            (canonical, port.strip_prefix(':').or_else(|| (!port.is_empty()).then_some("?")))
        }
        None => {
            let (host, port) = rest.split_once(':').map_or((rest, None), |(h, p)| (h, Some(p)));
            let canonical =
                dns_name(host).is_some_and(|name| name == host) || host.parse::<Ipv4Addr>().is_ok();
            (canonical, port)
        }
    };
    let port_fits = port.is_none_or(|port| {
        let number = digits(port).and_then(|port| u16::try_from(port).ok());
        number.is_some_and(|number| number != 0 && number != usual && number.to_string() == port)
    });
    if host && port_fits { Ok(text.to_owned()) } else { Refusal::new(ALLOWED) }
}

/// A DNS name in lower case without a final dot; `None` if it is none, or looks like an address.
pub(super) fn dns_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next()?;
    let fits = name.len() <= 253
        && name.split('.').all(label_fits)
        && !last.bytes().all(|c| c.is_ascii_digit());
    fits.then_some(name)
}

/// The realm, short enough that a 401 stays small.
pub(super) fn realm(text: &str) -> Parsed<String> {
    if text.len() > REALM_BYTES_MAX {
        return Err(Refusal(format!(
            "must be at most {REALM_BYTES_MAX} bytes long, found {}: the realm is repeated in every \
             401, and a longer one would let a spoofed request be amplified more than {AMPLIFICATION_MAX} times",
            text.len()
        )));
    }
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return Err(Refusal(
            "must not be empty or hold quotes, backslashes or control characters".to_owned(),
        ));
    }
    Ok(text.to_owned())
}

fn address(text: &str) -> Parsed<IpAddr> {
    if text.contains('%') {
        return Refusal::new("zone ids (the part after %) are not supported; leave it out");
    }
    let leading_zero = |part: &str| part.len() > 1 && part.starts_with('0');
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address),
        Err(_) if !text.contains(':') && text.split('.').any(leading_zero) => Refusal::new(
            "leading zeros are refused, because some programs read them as octal; leave them out",
        ),
        Err(_) => Refusal::new(format!("\"{}\" is no IP address", super::suggest::shortened(text))),
    }
}

/// Refuses addresses that no single host of this machine's networks can have.
fn host_address(address: IpAddr) -> Parsed<IpAddr> {
    if address.is_unspecified() || is_many(address) {
        return Refusal::new("must be an address of this machine");
    }
    if address.is_ipv6() && is_link_local(address) {
        return Refusal::new("link-local addresses cannot be relayed on: they need a zone");
    }
    Ok(address)
}

fn is_many(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// A number in digits only: no sign, no blank, no underscore.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
