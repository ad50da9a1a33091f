//! The URLs of our own relay, from the config alone: no request header ever reaches one.

mod why;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::certificates::Certificates;
use crate::time::Now;

pub use why::Explained;

/// How a client reaches the relay, as a URL says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlTransport {
    /// `turn:...?transport=udp`
    Udp,
    /// `turn:...?transport=tcp`
    Tcp,
    /// `turns:...?transport=tcp`, while the certificate covers the advertised name.
    Tls,
}

/// One open port of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayListener {
    /// What is spoken there.
    pub transport: UrlTransport,
    /// The bound address, wildcard or not, with its real port.
    pub addr: SocketAddr,
}

/// A host the operator wants in URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// Name or address, without brackets.
    pub host: String,
    /// Port in front of a forwarder; `None`: the listener's.
    pub port: Option<u16>,
}

/// Everything a URL can be made of.
#[derive(Debug, Clone, Default)]
pub struct UrlSources {
    /// Host names or addresses the operator wants in URLs; the first that fits is used.
    pub advertise: Vec<Advertised>,
    /// Public addresses in front of a NAT; used if nothing is advertised.
    pub external: Vec<IpAddr>,
    /// Addresses that are relayed on; used if nothing else is known.
    pub relay_addresses: Vec<IpAddr>,
    /// Open ports, the preferred one first.
    pub listeners: Vec<RelayListener>,
    /// What is served at the TLS ports; `None`: no `turns:` URL.
    pub certificates: Option<Arc<Certificates>>,
}

/// From where the URLs will be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vantage {
    /// From a program on this machine: the loopback address, so that a laptop without any network
    /// works.
    ThisMachine,
    /// From anywhere else.
    Elsewhere,
}

impl UrlSources {
    /// `turn:` and `turns:` URLs: at most one per transport, UDP first.
    #[must_use]
    pub fn turn_urls(&self, now: Now, vantage: Vantage) -> Vec<String> {
        let transports = [UrlTransport::Udp, UrlTransport::Tcp, UrlTransport::Tls];
        transports.into_iter().filter_map(|transport| self.url(now, transport, vantage)).collect()
    }

    /// Why no `turns:` URL is handed out although there is a port for it (R26).
    #[must_use]
    pub fn turns_problem(&self, now: Now) -> Option<String> {
        let certificate = self.certificates.as_ref()?.current();
        let has_port = self.listeners.iter().any(|l| l.transport == UrlTransport::Tls);
        if !has_port || self.url(now, UrlTransport::Tls, Vantage::Elsewhere).is_some() {
            return None;
        }
        let why = certificate.problem(now).unwrap_or_else(|| {
            let hosts = self.public_hosts();
            let hosts: Vec<String> = hosts.iter().map(|(host, _)| host.bare()).collect();
            format!(
                "the certificate covers {certificate}, but not {}; name a host of it in `advertise`",
                hosts.join(", ")
            )
        });
        Some(format!("{NO_TURNS}{why}"))
    }

    /// `stun:` URL of the UDP port.
    #[must_use]
    pub fn stun_url(&self, vantage: Vantage) -> Option<String> {
        let (host, port) = self.place(UrlTransport::Udp, vantage, |_| true)?;
        Some(format!("stun:{host}:{port}"))
    }

    fn url(&self, now: Now, transport: UrlTransport, vantage: Vantage) -> Option<String> {
        let certificate = self.certificates.as_ref().map(|certificates| certificates.current());
        let is_covered = |host: &Host| match transport {
            UrlTransport::Udp | UrlTransport::Tcp => true,
            UrlTransport::Tls => certificate.as_ref().is_some_and(|c| c.covers(now, &host.bare())),
        };
        let (host, port) = self.place(transport, vantage, is_covered)?;
        Some(match transport {
            UrlTransport::Udp => format!("turn:{host}:{port}?transport=udp"),
            UrlTransport::Tcp => format!("turn:{host}:{port}?transport=tcp"),
            UrlTransport::Tls => format!("turns:{host}:{port}?transport=tcp"),
        })
    }

    fn place(
        &self,
        transport: UrlTransport,
        vantage: Vantage,
        fits: impl Fn(&Host) -> bool,
    ) -> Option<(String, u16)> {
        let hosts = match vantage {
            // Browsers refuse a certificate for a bare loopback address: no `turns:` there.
            Vantage::ThisMachine if transport != UrlTransport::Tls => {
                vec![Host::Ip(Ipv4Addr::LOCALHOST.into()), Host::Ip(Ipv6Addr::LOCALHOST.into())]
            }
            Vantage::ThisMachine => Vec::new(),
            Vantage::Elsewhere => Vec::new(),
        };
        let here = hosts.into_iter().map(|host| (host, None));
        let hosts = here.chain(self.public_hosts()).filter(|(host, _)| fits(host));
        hosts.into_iter().find_map(|(host, written)| {
            let listener = self.port(transport, &host)?;
            Some((host.in_url(), written.unwrap_or(listener)))
        })
    }

    /// Advertised names with their ports, else public addresses, else relay addresses; IPv4 before
    /// IPv6.
    fn public_hosts(&self) -> Vec<(Host, Option<u16>)> {
        if !self.advertise.is_empty() {
            return self.advertise.iter().map(|a| (Host::parse(&a.host), a.port)).collect();
        }
        let known = if self.external.is_empty() { &self.relay_addresses } else { &self.external };
        let mut hosts = known.clone();
        hosts.sort_by_key(IpAddr::is_ipv6);
        hosts.into_iter().map(|ip| (Host::Ip(ip), None)).collect()
    }

    /// The first port of this transport that `host` reaches. Browsers block port 53.
    fn port(&self, transport: UrlTransport, host: &Host) -> Option<u16> {
        let usable = |l: &&RelayListener| l.transport == transport && l.addr.port() != 53;
        let mut listeners = self.listeners.iter().filter(usable);
        listeners.find(|l| host.reaches(l.addr.ip())).map(|l| l.addr.port())
    }
}

/// Begins the sentence of [`UrlSources::turns_problem`].
const NO_TURNS: &str = "/ice hands out no turns: URL: ";

enum Host {
    Name(String),
    Ip(IpAddr),
}

impl Host {
    fn parse(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Ip)
    }

    /// Whether a packet to this host can arrive at a socket bound to `bound`. Behind a NAT the two
    /// differ, so a public host matches any address of its family but loopback.
    fn reaches(&self, bound: IpAddr) -> bool {
        match self {
            Self::Name(_) => !bound.is_loopback(),
            Self::Ip(ip) if ip.is_ipv4() != bound.is_ipv4() => false,
            Self::Ip(ip) if ip.is_loopback() => bound.is_unspecified() || bound.is_loopback(),
            Self::Ip(_) => !bound.is_loopback(),
        }
    }

    /// Without brackets.
    fn bare(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Ip(ip) => ip.to_string(),
        }
    }

    fn in_url(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Ip(IpAddr::V4(ip)) => ip.to_string(),
            Self::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::write_pair;
    use super::*;

    fn advertised(host: &str, port: Option<u16>) -> Advertised {
        Advertised { host: host.to_owned(), port }
    }

    #[test]
    fn an_advertised_port_stands_in_the_url_in_place_of_the_listeners() {
        let mut sources = UrlSources {
            listeners: vec![RelayListener {
                transport: UrlTransport::Udp,
                addr: "0.0.0.0:3478".parse().unwrap(),
            }],
            ..UrlSources::default()
        };
        sources.advertise = vec![advertised("turn.example.org", Some(443))];
        let urls = sources.turn_urls(Now::read(), Vantage::Elsewhere);
        assert_eq!(urls, ["turn:turn.example.org:443?transport=udp"]);
    }

    fn udp(addr: &str) -> RelayListener {
        RelayListener { transport: UrlTransport::Udp, addr: addr.parse().unwrap() }
    }

    fn row(transport: UrlTransport, addr: &str) -> RelayListener {
        RelayListener { transport, addr: addr.parse().unwrap() }
    }

    fn ips(ips: &[&str]) -> Vec<IpAddr> {
        ips.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn dual() -> UrlSources {
        UrlSources {
            relay_addresses: ips(&["2001:db8::7", "192.0.2.7"]),
            listeners: vec![udp("[::]:3478"), udp("0.0.0.0:3478")],
            ..UrlSources::default()
        }
    }

    #[track_caller]
    fn check(sources: &UrlSources, vantage: Vantage, urls: &[&str]) {
        assert_eq!(sources.turn_urls(Now::read(), vantage), urls);
    }

    #[test]
    fn a_program_on_this_machine_gets_the_loopback_address_of_a_port_that_is_open_there() {
        check(&dual(), Vantage::ThisMachine, &["turn:127.0.0.1:3478?transport=udp"]);
        let mut only_v6 = dual();
        only_v6.listeners = vec![udp("[::]:3479")];
        check(&only_v6, Vantage::ThisMachine, &["turn:[::1]:3479?transport=udp"]);
        let mut listed = dual();
        listed.listeners = vec![udp("192.0.2.7:3478")];
        check(&listed, Vantage::ThisMachine, &["turn:192.0.2.7:3478?transport=udp"]);
    }

    #[test]
    fn elsewhere_gets_what_is_advertised_else_the_public_address_else_the_relay_address() {
        let mut sources = dual();
        check(&sources, Vantage::Elsewhere, &["turn:192.0.2.7:3478?transport=udp"]);
        sources.external = ips(&["198.51.100.1"]);
        check(&sources, Vantage::Elsewhere, &["turn:198.51.100.1:3478?transport=udp"]);
        sources.advertise =
            vec![advertised("turn.example.org", None), advertised("other.example.org", None)];
        check(&sources, Vantage::Elsewhere, &["turn:turn.example.org:3478?transport=udp"]);
        assert_eq!(
            sources.stun_url(Vantage::Elsewhere).as_deref(),
            Some("stun:turn.example.org:3478")
        );
    }

    #[test]
    fn ipv6_literals_stand_in_brackets_however_they_were_written() {
        let mut sources = dual();
        for text in ["2001:db8::9", "[2001:db8::9]"] {
            sources.advertise = vec![advertised(text, None)];
            check(&sources, Vantage::Elsewhere, &["turn:[2001:db8::9]:3478?transport=udp"]);
        }
        sources.advertise.clear();
        sources.relay_addresses = ips(&["2001:db8::7"]);
        check(&sources, Vantage::Elsewhere, &["turn:[2001:db8::7]:3478?transport=udp"]);
    }

    #[test]
    fn an_address_is_paired_only_with_a_port_it_can_reach() {
        let mut sources = dual();
        sources.listeners = vec![udp("127.0.0.1:1"), udp("[::]:2"), udp("0.0.0.0:3")];
        check(&sources, Vantage::Elsewhere, &["turn:192.0.2.7:3?transport=udp"]);
        sources.listeners = vec![udp("127.0.0.1:1"), udp("[::]:2")];
        check(&sources, Vantage::Elsewhere, &["turn:[2001:db8::7]:2?transport=udp"]);
        sources.listeners = vec![udp("127.0.0.1:1")];
        check(&sources, Vantage::Elsewhere, &[]);
        sources.relay_addresses = ips(&["127.0.0.1"]);
        check(&sources, Vantage::Elsewhere, &["turn:127.0.0.1:1?transport=udp"]);
    }

    #[test]
    fn port_53_is_never_handed_out() {
        let mut sources = dual();
        sources.listeners = vec![udp("0.0.0.0:53"), udp("0.0.0.0:54")];
        check(&sources, Vantage::Elsewhere, &["turn:192.0.2.7:54?transport=udp"]);
        sources.listeners.pop();
        check(&sources, Vantage::Elsewhere, &[]);
        check(&sources, Vantage::ThisMachine, &[]);
        assert_eq!(sources.stun_url(Vantage::Elsewhere), None);
    }

    #[test]
    fn each_transport_has_one_url_and_udp_comes_first() {
        let mut sources = dual();
        sources.advertise = vec![advertised("turn.example.org", None)];
        sources.listeners = vec![
            row(UrlTransport::Tls, "0.0.0.0:5349"),
            row(UrlTransport::Tcp, "0.0.0.0:3478"),
            row(UrlTransport::Tcp, "0.0.0.0:80"),
            udp("0.0.0.0:3478"),
            udp("0.0.0.0:443"),
        ];
        let plain = [
            "turn:turn.example.org:3478?transport=udp",
            "turn:turn.example.org:3478?transport=tcp",
        ];
        check(&sources, Vantage::Elsewhere, &plain);
        let (_directory, certificates) = certificates(&["turn.example.org"]);
        sources.certificates = Some(certificates);
        let all = [&plain[..], &["turns:turn.example.org:5349?transport=tcp"]].concat();
        check(&sources, Vantage::Elsewhere, &all);
        assert_eq!(sources.turns_problem(Now::read()), None);
    }

    fn certificates(hosts: &[&str]) -> (tempfile::TempDir, Arc<Certificates>) {
        let directory = tempfile::tempdir().unwrap();
        let files = write_pair(directory.path(), hosts);
        (directory, Certificates::load(files).unwrap())
    }

    #[test] // R26
    fn a_turns_url_names_the_first_host_that_the_certificate_covers() {
        let mut sources = dual();
        sources.listeners = vec![row(UrlTransport::Tls, "0.0.0.0:5349")];
        let (_directory, certificates) = certificates(&["b.example.org", "192.0.2.7"]);
        sources.certificates = Some(certificates);
        // An address only because it stands in the SAN.
        check(&sources, Vantage::Elsewhere, &["turns:192.0.2.7:5349?transport=tcp"]);
        check(&sources, Vantage::ThisMachine, &["turns:192.0.2.7:5349?transport=tcp"]);
        sources.relay_addresses = ips(&["192.0.2.8"]);
        check(&sources, Vantage::Elsewhere, &[]);
        let problem = sources.turns_problem(Now::read()).unwrap();
        assert!(
            problem.contains("covers b.example.org, 192.0.2.7, but not 192.0.2.8"),
            "{problem}"
        );
        sources.advertise =
            vec![advertised("a.example.org", None), advertised("b.example.org", Some(443))];
        check(&sources, Vantage::Elsewhere, &["turns:b.example.org:443?transport=tcp"]);
        // No port, no complaint.
        sources.listeners.clear();
        assert_eq!(sources.turns_problem(Now::read()), None);
    }
}
