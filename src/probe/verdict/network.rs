//! Names, families, blocked ways: what keeps packets from a server.

use std::net::IpAddr;

use super::{Case, Code, Facts, Severity, Verdict};
use crate::policy::public::not_public;
use crate::probe::observation::{DnsFault, Fault, Resolution, TargetSeen, Vantage, WaySeen};
use crate::probe::target::Carrier;

impl Case<'_> {
    /// Where its name leads.
    pub(super) fn name(&self, target: &TargetSeen, found: &mut Vec<Verdict>) {
        let host = &target.host;
        found.extend(self.leads_to_loopback(target));
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

    /// /etc/hosts often has the name of the machine itself: then packets stay on it, and nothing is
    /// known of the address that others get.
    fn leads_to_loopback(&self, target: &TargetSeen) -> Option<Verdict> {
        let Resolution::Found { addresses, took: _ } = &target.resolution else { return None };
        let ip = addresses.iter().find(|ip| ip.is_loopback())?;
        let has_public = self.facts.told_addresses.iter().any(|told| not_public(*told).is_none());
        let host = &target.host;
        (target.is_ours && self.is_here() && has_public).then(|| {
            let cause = format!(
                "{host} leads to {ip} on this machine, so nothing was seen of the address that \
                 others get"
            );
            let cure = "nothing is to be done if that comes from /etc/hosts; `turnbell verify \
                        https://...` on another machine sees what others get";
            self.verdict(Code::PrivateAddress, Severity::Note, target, cause, cure)
        })
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
                let cure = if matches!(target.resolution, Resolution::Literal) {
                    "set `advertise` (or `external`) on the server to its public name or address; \
                     to verify it all the same, run this in its own network"
                } else {
                    "let the record of that name lead to the public address of the server; to \
                     verify it all the same, run this in its own network"
                };
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
        let cause = format!(
            "{} has an {family} address, and this machine has no way into {family}",
            target.host
        );
        let cure = format!(
            "nothing is wrong with the server; run it from a machine that has {family} to test this, too"
        );
        let severity = if is_only { Severity::Warning } else { Severity::Note };
        self.verdict(Code::FamilyNotTested, severity, target, cause, cure)
    }

    fn broken_family(&self, target: &TargetSeen, way: &WaySeen, fault: &Fault) -> Verdict {
        let code = if way.address.is_ipv6() { Code::Ipv6Broken } else { Code::Ipv4Broken };
        let record = record(way);
        let route = if way.address.is_ipv6() { "ip -6 route" } else { "ip route" };
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
            "listen on {family}, open its firewall and look at the server's default route ({route}), or \
             remove the {record} record of {host}"
        );
        self.verdict(code, Severity::Warning, target, cause, cure)
    }

    /// Nothing came back on any way.
    fn unreached(&self, target: &TargetSeen, way: &WaySeen, fault: &Fault) -> Verdict {
        let at = way.address;
        let protocol = if target.carrier == Carrier::Udp { "UDP" } else { "TCP" };
        let error = |code, cause: String, cure: String| {
            self.verdict(code, Severity::Error, target, cause, cure)
        };
        if self.leads_elsewhere(target, way) {
            return self.wrong_record(target, way);
        }
        // A router without a way back in may answer itself, and refuse.
        let is_away = matches!(fault, Fault::Silent | Fault::Unreachable | Fault::Refused);
        let inside = target.ways.iter().find(|way| way.is_inside && way.is_answered());
        if let Some(inside) = inside.filter(|_| is_away) {
            return self.no_hairpin(target, way, inside);
        }
        if *fault == Fault::Forbidden {
            let code =
                if target.carrier == Carrier::Udp { Code::UdpBlocked } else { Code::TcpBlocked };
            return error(
                code,
                format!("this machine itself lets no {protocol} out to {at}"),
                format!(
                    "allow it in the firewall of this machine (nft list ruleset, or IPAddressDeny \
                     of a unit), or run this elsewhere: nothing is known of {protocol} at the server"
                ),
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
        if is_away && let Some(verdict) = self.handed_out_elsewhere(target, way) {
            return verdict;
        }
        if *fault == Fault::Refused && !works_inside {
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
        if self.is_unreachable(at.ip()) {
            return error(
                Code::ServerUnreachable,
                format!("there is no way from here to {}", at.ip()),
                "look whether that address is right, and at the routes and the firewall of this \
                 machine"
                    .to_owned(),
            );
        }
        self.silent(target, way, protocol)
    }

    fn wrong_record(&self, target: &TargetSeen, way: &WaySeen) -> Verdict {
        let (host, ip) = (&target.host, way.address.ip());
        let (record, told) = (record(way), self.told(ip));
        let cause = format!(
            "{host} leads to {ip}, which is no address of this machine, and nothing answers there"
        );
        let cure = format!("let the {record} record of {host} name {told}");
        self.verdict(Code::DnsWrong, Severity::Error, target, cause, cure)
    }

    fn no_hairpin(&self, target: &TargetSeen, way: &WaySeen, inside: &WaySeen) -> Verdict {
        let (inside, public) = (inside.address.ip(), way.address.ip());
        let cause = format!(
            "the server answers at {inside}, but from this machine not at its public address \
             {public}: the router in front does not lead packets from inside back to it, does not \
             forward the port at all, or has another public address"
        );
        let cure = format!(
            "run `turnbell verify` on a machine outside: if it works there, switch on NAT loopback \
             (hairpin) in the router only if clients in this network are to call; if not, let the \
             router forward the ports to {inside} and look whether {public} is right"
        );
        self.verdict(Code::HairpinMissing, Severity::Warning, target, cause, cure)
    }

    /// `/ice` answers at one address and hands out another one, where nothing does, not even for
    /// the server itself.
    fn handed_out_elsewhere(&self, target: &TargetSeen, way: &WaySeen) -> Option<Verdict> {
        let (host, ip) = (&target.host, way.address.ip());
        let asked = self.facts.asked_at.filter(|asked| {
            *asked != ip && asked.is_ipv4() == ip.is_ipv4() && not_public(*asked).is_none()
        })?;
        let is_dead = |other: &TargetSeen| {
            other.ways.iter().all(|way| way.address.ip() != ip || !way.is_answered())
        };
        let is_meant = target.is_ours
            && self.facts.failed_inside.contains(&target.url)
            && self.seen.targets.iter().all(is_dead);
        let open = "if it is right, open the ports of these URLs in the firewalls";
        let (code, cause, cure) = if matches!(target.resolution, Resolution::Literal) {
            (
                Code::ExternalAddressStale,
                format!(
                    "the server hands out {ip}, where nothing answers; its /ice answers at {asked}"
                ),
                format!(
                    "if {ip} is an old address, write the one of today into `external` (or `advertise`, or have it followed by external_stun); {open}"
                ),
            )
        } else {
            (
                Code::DnsWrong,
                format!(
                    "{host} leads to {ip}, where nothing answers; the server's /ice answers at {asked}"
                ),
                format!(
                    "if {ip} is an old address, correct the {} record of {host}; {open}",
                    record(way)
                ),
            )
        };
        is_meant.then(|| self.verdict(code, Severity::Error, target, cause, cure))
    }

    /// Whether anybody said so on any way to it: over UDP that is often not heard.
    fn is_unreachable(&self, ip: IpAddr) -> bool {
        let mut ways = self.seen.targets.iter().flat_map(|target| &target.ways);
        ways.any(|way| way.address.ip() == ip && way.open.fault() == Some(&Fault::Unreachable))
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
        let is_refused = way.open.fault().or_else(|| way.binding.fault()) == Some(&Fault::Refused);
        let how = if is_refused { "rejected" } else { "blocked" };
        let cause = format!(
            "{protocol} to {host} port {} is {how} on the way: {} answers over {passes}",
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

    /// What clients are told in this family, else all of it.
    fn told(&self, ip: IpAddr) -> String {
        let all = &self.facts.told_addresses;
        let is_same = |told: &&IpAddr| told.is_ipv4() == ip.is_ipv4();
        let has_any = all.iter().any(|told| is_same(&told));
        let told = all.iter().filter(|told| !has_any || is_same(told));
        told.map(ToString::to_string).collect::<Vec<_>>().join(" or ")
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
                | Fault::Forbidden
                | Fault::NotPublic(_)
        )
    };
    // Over TCP whoever takes the connection is there.
    let of_binding = || way.binding.fault().filter(|_| carrier == Carrier::Udp);
    way.open.fault().or_else(of_binding).filter(is_lost)
}

fn record(way: &WaySeen) -> &'static str {
    if way.address.is_ipv6() { "AAAA" } else { "A" }
}

fn family(way: &WaySeen) -> &'static str {
    if way.address.is_ipv6() { "IPv6" } else { "IPv4" }
}
