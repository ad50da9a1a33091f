//! Names, families, blocked ways: what keeps packets from a server.

use super::{Case, Code, Facts, Severity, Verdict};
use crate::policy::public::not_public;
use crate::probe::observation::{DnsFault, Fault, Resolution, TargetSeen, Vantage, WaySeen};
use crate::probe::target::Carrier;

impl Case<'_> {
    /// Where its name leads.
    pub(super) fn name(&self, target: &TargetSeen, found: &mut Vec<Verdict>) {
        let host = &target.host;
        let Resolution::Failed(fault) = &target.resolution else { return };
        let (code, cause, cure) = match fault {
            DnsFault::NoSuchName => (
                Code::DnsMissing,
                format!("the name {host} has no address"),
                format!(
                    "add an A record (and AAAA, if the server has IPv6) for {host}, or correct \
                         the name in the config"
                ),
            ),
            DnsFault::NoAnswer => (
                Code::DnsNoAnswer,
                format!("no name server says where {host} leads"),
                "look at /etc/resolv.conf and at the name servers it lists".to_owned(),
            ),
            DnsFault::Other(why) => (
                Code::DnsNoAnswer,
                format!("asking for the address of {host} fails: {why}"),
                "look at /etc/resolv.conf and at the name servers it lists".to_owned(),
            ),
        };
        found.push(self.verdict(code, Severity::Error, target, cause, cure));
    }

    /// Ways on which no packet came back.
    pub(super) fn network(&self, target: &TargetSeen, found: &mut Vec<Verdict>) {
        let outer = || target.ways.iter().filter(|way| !way.is_inside);
        for way in outer() {
            if let Some(Fault::NotPublic(range)) = way.open.fault() {
                let ip = way.address.ip();
                let cause = format!(
                    "{} leads to {ip} ({range}), which nobody outside can reach",
                    target.host
                );
                let cure = "set `advertise` (or `external`) on the server to its public name or \
                            address; to verify it all the same, run this in its own network";
                found.push(self.verdict(
                    Code::PrivateAddress,
                    Severity::Error,
                    target,
                    cause,
                    cure,
                ));
            }
        }
        let lost: Vec<_> =
            outer().filter_map(|way| Some((way, lost(way, target.carrier)?))).collect();
        let is_other_alive = |way: &WaySeen| {
            outer().any(|w| w.address.is_ipv4() != way.address.is_ipv4() && w.is_answered())
        };
        for (way, fault) in &lost {
            if **fault == Fault::NoFamily {
                found.push(self.not_tested(target, way));
            } else if !matches!(fault, Fault::NotPublic(_)) && is_other_alive(way) {
                found.push(self.broken_family(target, way, fault));
            }
        }
        let is_all_lost = !lost.is_empty() && lost.len() == outer().count();
        let tested =
            lost.iter().find(|(_, fault)| !matches!(fault, Fault::NoFamily | Fault::NotPublic(_)));
        if let (true, Some((way, fault))) = (is_all_lost, tested) {
            found.push(self.unreached(target, way, fault));
        }
    }

    fn not_tested(&self, target: &TargetSeen, way: &WaySeen) -> Verdict {
        let family = family(way);
        let is_only = target.ways.len() == 1;
        let cause =
            format!("{} has an {family} address, and this machine has no {family}", target.host);
        let cure = format!(
            "nothing is wrong with the server; run it from a machine that has {family} to test this, too"
        );
        let severity = if is_only { Severity::Warning } else { Severity::Note };
        self.verdict(Code::FamilyNotTested, severity, target, cause, cure)
    }

    fn broken_family(&self, target: &TargetSeen, way: &WaySeen, fault: &Fault) -> Verdict {
        let (code, record) = if way.address.is_ipv6() {
            (Code::Ipv6Broken, "AAAA")
        } else {
            (Code::Ipv4Broken, "A")
        };
        let (family, other) =
            if way.address.is_ipv6() { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
        let (host, ip) = (&target.host, way.address.ip());
        let what = if *fault == Fault::Refused {
            "nothing listens there"
        } else {
            "nothing comes back from there"
        };
        let cause = format!(
            "{host} leads to {ip} over {family}, and {what}; over {other} the server answers"
        );
        let cure = format!(
            "listen on {family} and open its firewall, or remove the {record} record of {host}"
        );
        self.verdict(code, Severity::Warning, target, cause, cure)
    }

    /// Nothing came back on any way.
    fn unreached(&self, target: &TargetSeen, way: &WaySeen, fault: &Fault) -> Verdict {
        let (host, at) = (&target.host, way.address);
        let protocol = if target.carrier == Carrier::Udp { "UDP" } else { "TCP" };
        let inside = target.ways.iter().find(|way| way.is_inside && way.is_answered());
        let error = |code, cause: String, cure: String| {
            self.verdict(code, Severity::Error, target, cause, cure)
        };
        if let Some(inside) = inside.filter(|_| *fault == Fault::Silent) {
            let mut verdict = error(
                Code::HairpinMissing,
                format!(
                    "the server answers at {}, but from this machine not at its public address {}: \
                     the router in front does not lead packets from inside back to it, or does not \
                     forward the port at all",
                    inside.address.ip(), at.ip()
                ),
                "switch on NAT loopback (hairpin) in the router if clients in the same network are \
                 to call; whether others reach it, only a run from outside tells"
                    .to_owned(),
            );
            verdict.severity = Severity::Warning;
            return verdict;
        }
        if self.leads_elsewhere(target, way) {
            return error(
                Code::DnsWrong,
                format!(
                    "{host} leads to {}, which is no address of this machine, and nothing answers there",
                    at.ip()
                ),
                format!("let the record of {host} name {}", self.told()),
            );
        }
        let works_inside = self.facts.worked_inside.contains(&target.url);
        if works_inside && self.answering_sibling(target).is_none() {
            return error(
                Code::OutsideBlocked,
                format!("{at} over {protocol} works on the server itself, but not from here"),
                format!(
                    "open {protocol} port {} in the firewall of the server and in the one of its \
                     provider; if other networks reach it, this one blocks it",
                    at.port()
                ),
            );
        }
        if *fault == Fault::Refused {
            return error(
                Code::PortClosed,
                format!("nothing listens at {at} over {protocol}"),
                format!(
                    "start the server, or correct the port in the URL; a firewall that rejects \
                         {protocol} port {} looks the same",
                    at.port()
                ),
            );
        }
        if *fault == Fault::Unreachable {
            return error(
                Code::ServerUnreachable,
                format!("there is no way from here to {}", at.ip()),
                "look at the routes and at the firewall of this machine, and whether the address \
                 is right"
                    .to_owned(),
            );
        }
        self.silent(target, way, protocol)
    }

    /// A URL of the same host that answers over the other protocol.
    fn answering_sibling<'b>(&'b self, target: &'b TargetSeen) -> Option<&'b TargetSeen> {
        let is_udp = target.carrier == Carrier::Udp;
        let is_other =
            |other: &&TargetSeen| (other.carrier == Carrier::Udp) != is_udp && other.is_answered();
        self.siblings(target).find(is_other)
    }

    fn silent(&self, target: &TargetSeen, way: &WaySeen, protocol: &str) -> Verdict {
        let (host, at) = (&target.host, way.address);
        let is_udp = target.carrier == Carrier::Udp;
        let error =
            |code, cause, cure: String| self.verdict(code, Severity::Error, target, cause, cure);
        let Some(other) = self.answering_sibling(target) else {
            return error(
                Code::ServerSilent,
                format!("nothing comes back from {at} over {protocol}"),
                format!(
                    "look whether the server runs, and open {protocol} port {} in its firewall \
                         and in the one of its provider",
                    at.port()
                ),
            );
        };
        let code = if is_udp { Code::UdpBlocked } else { Code::TcpBlocked };
        let passes = if is_udp { "TCP" } else { "UDP" };
        let cause = format!(
            "{protocol} to {host} port {} is blocked on the way: {} answers over {passes}",
            at.port(),
            other.url
        );
        let whom = match self.seen.vantage {
            Vantage::ThisMachine => "in the firewall of the server or of this machine",
            Vantage::AnotherMachine | Vantage::Browser => {
                "in the firewall of the server, or use another network: some let no UDP out"
            }
        };
        let whom = if is_udp { whom } else { "in the firewall of the server" };
        error(code, cause, format!("open {protocol} port {} {whom}", at.port()))
    }

    /// Whether a name of ours leads to an address that we do not know as ours.
    pub(super) fn leads_elsewhere(&self, target: &TargetSeen, way: &WaySeen) -> bool {
        let Facts { own_addresses, told_addresses, .. } = self.facts;
        let ip = way.address.ip();
        target.is_ours
            && self.is_here()
            && matches!(target.resolution, Resolution::Found { .. })
            && !own_addresses.contains(&ip)
            && !told_addresses.contains(&ip)
            // Behind a NAT nobody may have told us our public address.
            && told_addresses.iter().any(|told| not_public(*told).is_none())
    }

    fn told(&self) -> String {
        let told: Vec<_> = self.facts.told_addresses.iter().map(ToString::to_string).collect();
        told.join(" or ")
    }
}

/// Why nothing came back on it, if nothing did.
fn lost(way: &WaySeen, carrier: Carrier) -> Option<&Fault> {
    if way.is_answered() {
        return None;
    }
    let is_lost = |fault: &&Fault| {
        matches!(
            fault,
            Fault::Silent
                | Fault::Refused
                | Fault::Unreachable
                | Fault::NoFamily
                | Fault::NotPublic(_)
        )
    };
    // Over TCP whoever takes the connection is there.
    let of_binding = || way.binding.fault().filter(|_| carrier == Carrier::Udp);
    way.open.fault().or_else(of_binding).filter(is_lost)
}

fn family(way: &WaySeen) -> &'static str {
    if way.address.is_ipv6() { "IPv6" } else { "IPv4" }
}
