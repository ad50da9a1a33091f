//! What is done with it: room that is left, refused clients, how calls go.

use super::{green, of, red, yellow};
use crate::edge::diagnostics::json::{Facts, Item, UsedOf};

/// Per cent of a quota or a table from which on it is worth a look.
const NEARLY_FULL: u64 = 80;
/// Refused clients within an hour that are no accident.
const REFUSED_MANY: u64 = 20;
/// Calls and reports that are too few to judge by.
const FEW: u64 = 10;
/// Per cent of calls that fail.
const FAILED_MANY: u64 = 30;
/// Per cent of relayed calls that have no UDP.
const WITHOUT_UDP_MANY: u64 = 20;
/// Per cent of datagrams that are lost in bad calls.
const LOSS_BAD: f64 = 5.0;
/// A round trip that people notice, milliseconds.
const RTT_BAD_MS: f64 = 400.0;

pub(super) fn judge(facts: &Facts, items: &mut Vec<Item>) {
    items.push(allocations(facts));
    items.extend(holders(facts));
    items.push(ports(facts));
    items.push(descriptors(facts.descriptors));
    items.push(drops(facts));
    items.push(refused(facts));
    items.push(calls(facts));
    items.extend(without_udp(facts));
    items.extend(quality(facts));
    items.push(capacity(facts));
}

fn percent(used: u64, limit: u64) -> u64 {
    used.saturating_mul(100).checked_div(limit).unwrap_or(0)
}

fn allocations(facts: &Facts) -> Item {
    let (id, title) = ("quota", "Quota");
    let UsedOf { used, limit } = facts.quota.total;
    let cure = "Raise quota.total (and relay_ports), or take a second server.";
    if limit > 0 && used >= limit {
        let says = format!("All {limit} allocations are taken: new clients are refused (508).");
        return yellow(id, title, says, cure);
    }
    if percent(used, limit) >= NEARLY_FULL {
        return yellow(id, title, format!("{used} of {limit} allocations are taken."), cure);
    }
    green(id, title, format!("{used} of {limit} allocations are taken."))
}

/// Users and addresses at their own limit.
fn holders(facts: &Facts) -> Vec<Item> {
    let quota = &facts.quota;
    let full = |limit: u64| move |held: &u64| limit > 0 && *held >= limit;
    let mut items = Vec::new();
    let users = quota.users.iter().map(|user| user.allocations).filter(full(quota.per_user));
    if let Some(user) = quota.users.first().filter(|_| users.count() > 0) {
        let says = format!(
            "{} has all {} allocations that one user may have: more are refused (486).",
            user.name, quota.per_user
        );
        let cure = "One name for many people needs a higher quota.per_user; better, give each a name \
                    (GET /ice?user=...). If one person has so many: turnbell sessions --user.";
        items.push(yellow("quota_user", "Quota of a user", says, cure));
    }
    let sources = quota.sources.iter().map(|source| source.allocations);
    let sources = sources.filter(full(quota.per_source));
    if let Some(source) = quota.sources.first().filter(|_| sources.count() > 0) {
        let says = format!(
            "{} has all {} allocations that one address may have: more are refused (486).",
            source.name, quota.per_source
        );
        let cure = "If many people share it (an office, a proxy that hides them), raise \
                    quota.per_source; else look who it is: turnbell sessions.";
        items.push(yellow("quota_source", "Quota of an address", says, cure));
    }
    items
}

fn ports(facts: &Facts) -> Item {
    let (id, title, ports) = ("ports", "Relay ports", &facts.ports);
    let all = ports.free + ports.used + ports.resting + ports.reserved;
    let cure = "Widen relay_ports (and the firewall), and look for programs in that range: \
                ss -ulnp; scripts/install keeps others out of it.";
    if all > 0 && ports.free == 0 {
        let says = format!("No port of {} is free: new clients are refused (508).", ports.range);
        return red(id, title, says, cure);
    }
    if percent(all - ports.free, all) >= NEARLY_FULL {
        let says = format!("{} of {all} ports are taken.", all - ports.free);
        return yellow(id, title, says, cure);
    }
    green(id, title, format!("{} of {all} ports are free ({}).", ports.free, ports.range))
}

fn descriptors(UsedOf { used, limit }: UsedOf) -> Item {
    let (id, title) = ("descriptors", "File descriptors");
    let says = format!("{used} of {limit} file descriptors are open.");
    match percent(used, limit) {
        95.. => red(id, title, says, "Raise LimitNOFILE in the unit (ulimit -n in a shell)."),
        NEARLY_FULL.. => {
            yellow(id, title, says, "Raise LimitNOFILE in the unit, or lower quota.total.")
        }
        _ => green(id, title, says),
    }
}

fn drops(facts: &Facts) -> Item {
    let (id, title, drops) = ("buffers", "Socket buffers", facts.drops);
    if drops.last_hour > 0 {
        let says = format!(
            "The kernel threw {} of clients or peers away within the last hour: a buffer was full.",
            of(drops.last_hour, "datagram")
        );
        let cure = "sysctl -w net.core.rmem_max=4194304 (scripts/install sets it), then restart; if \
                    it is set, one core has too much to do: look at the CPU below.";
        return yellow(id, title, says, cure);
    }
    green(id, title, "No datagram was thrown away within the last hour.")
}

fn refused(facts: &Facts) -> Item {
    let (id, title) = ("credentials", "Credentials");
    let lately = |cause: &str| {
        let found = facts.refused.iter().find(|refused| refused.cause == cause);
        found.map_or(0, |refused| refused.last_hour)
    };
    let wrong = lately("wrong_integrity") + lately("no_such_user");
    let expired = lately("expired");
    if wrong >= REFUSED_MANY && wrong >= expired {
        let says = format!("{wrong} requests with wrong credentials within the last hour.");
        let cure = "A backend may make them with another secret than auth.secrets: keep the old \
                    secret behind the new one until the last credential of it is over. `turnbell log \
                    --kind auth_failure` names users and addresses; conf/fail2ban shuts strangers out.";
        return yellow(id, title, says, cure);
    }
    if expired >= REFUSED_MANY {
        let says = format!("{expired} requests with expired credentials within the last hour.");
        let cure = "Pages that stay open must ask again after `refresh_after`, or ice.ttl must be \
                    longer; if they are fresh, one of the clocks is wrong: timedatectl.";
        return yellow(id, title, says, cure);
    }
    let all: u64 = facts.refused.iter().map(|refused| refused.last_hour).sum();
    green(id, title, format!("{} refused within the last hour.", of(all, "request")))
}

fn calls(facts: &Facts) -> Item {
    let (id, title, calls) = ("calls", "Calls", &facts.calls);
    if let Some(problem) = &calls.problem {
        let says = format!("Calls cannot be counted: {problem}");
        return yellow(id, title, says, "See what is said of the database.");
    }
    let failed = calls.by_status.iter().find(|status| status.code == "FAILED");
    let failed = failed.map_or(0, |status| status.count);
    if calls.total >= FEW && percent(failed, calls.total) >= FAILED_MANY {
        let of_failure = |code: &str| {
            [
                "ice_failed",
                "ice_timeout",
                "media_failed",
                "callee_offline",
                "lost",
                "quota",
                "internal",
            ]
            .contains(&code)
        };
        let why = calls.by_reason.iter().find(|reason| of_failure(&reason.code));
        let why = why.map_or_else(String::new, |why| format!(", most often {}", why.code));
        let says = format!("{failed} of {} calls of the last day failed{why}.", calls.total);
        let cure = "`turnbell calls --since 24h` lists them, `turnbell calls <id>` tells each; \
                    ice_failed and ice_timeout mean that media found no way: open /ice-verify.";
        return yellow(id, title, says, cure);
    }
    green(id, title, format!("{} within the last day, {} on.", of(calls.total, "call"), calls.live))
}

fn without_udp(facts: &Facts) -> Option<Item> {
    let share = facts.relay_share;
    let relayed = share.udp + share.tcp + share.tls;
    let without = share.tcp + share.tls;
    if relayed < FEW || percent(without, relayed) < WITHOUT_UDP_MANY {
        return None;
    }
    let says = format!("{without} of {relayed} relayed calls came over TCP or TLS, not over UDP.");
    let cure = "One office that blocks UDP is nothing to worry about; many people are: open UDP 3478 \
                and relay_ports in every firewall before this machine, the provider's too.";
    Some(yellow("without_udp", "Way to the relay", says, cure))
}

fn quality(facts: &Facts) -> Option<Item> {
    let quality = facts.quality;
    if quality.reports < FEW {
        return None;
    }
    let (loss, rtt) = (quality.loss_percent?, quality.rtt_ms?);
    let (id, title) = ("quality", "Quality");
    if loss.p95 < LOSS_BAD && rtt.p95 < RTT_BAD_MS {
        let says = format!("{:.0} ms round trip, {:.1} % lost in the middle.", rtt.p50, loss.p50);
        return Some(green(id, title, says));
    }
    let says = format!(
        "The worst 5 % of calls lose {:.1} % of their datagrams and wait {:.0} ms for a round trip.",
        loss.p95, rtt.p95
    );
    let cure = if facts.drops.last_hour > 0 {
        "Begin with the socket buffers, see there."
    } else {
        "If the line of this server is full, set rate.total a little below it, so that it is shared; \
         if people are far away, take a server nearer to them."
    };
    Some(yellow(id, title, says, cure))
}

fn capacity(facts: &Facts) -> Item {
    let (id, title) = ("capacity", "Capacity");
    let relayed = facts.relayed.bits_per_s_to_peers + facts.relayed.bits_per_s_to_clients;
    // A call is 1 Mbit/s each way, in and out again: two of these here.
    let calls = relayed / 2_000_000;
    let Some(most) = facts.capacity.calls else {
        return green(id, title, facts.capacity.says.clone());
    };
    if most > 0 && percent(calls, most) >= NEARLY_FULL {
        let says = format!("What is relayed is as much as {calls} of {most} calls of 1 Mbit/s.");
        let cure = "Take a second server, or one with more of what is named first under capacity.";
        return yellow(id, title, says, cure);
    }
    green(id, title, facts.capacity.says.clone())
}
