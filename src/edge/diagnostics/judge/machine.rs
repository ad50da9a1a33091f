//! The machine and what turnbell has of it: threads, certificate, addresses, database, config.

use super::{bytes, green, item, of, red, split, yellow};
use crate::edge::diagnostics::json::{Facts, Item, Light, RecordWord, VerificationWord};
use crate::limits::diagnose::VERIFIED_FOR;
use crate::time::Now;

/// Room on the disk below which the record is told to be in danger.
const DISK_FREE_MIN: u64 = 256 * 1024 * 1024;
/// Days before the end of a certificate at which a renewal that works has long been.
const CERTIFICATE_DAYS_MIN: i64 = 14;

pub(super) fn judge(now: Now, facts: &Facts, items: &mut Vec<Item>) {
    items.push(relay(facts));
    items.push(record(&facts.record));
    items.push(certificate(facts));
    items.extend(addresses(facts));
    items.push(verification(now, facts));
    items.extend(proxies(facts));
    items.extend(config(facts));
    for warning in &facts.warnings {
        let (says, cure) = split(warning, "Change the key that it names, then: turnbell reload");
        items.push(yellow("warning", "Warning", says, cure));
    }
}

fn relay(facts: &Facts) -> Item {
    let (id, title, relay) = ("relay", "Relay", &facts.relay);
    if !relay.alive || !relay.answers {
        let says = "The thread that relays makes no progress: no call gets through.";
        let cure = "systemctl restart turnbell, and report it with the log of the minute before \
                    (journalctl -u turnbell).";
        return red(id, title, says, cure);
    }
    if relay.draining {
        let says = "It is being drained: new clients are refused, and it ends with its last call.";
        return yellow(id, title, says, "Start it again when it has ended, if that was not meant.");
    }
    if relay.short_of_memory {
        let says = "Memory is short: new allocations and connections are refused.";
        let cure = "Raise MemoryMax in the unit or the machine's memory, or lower quota.total.";
        return red(id, title, says, cure);
    }
    green(id, title, format!("Relaying for {}.", of(facts.allocations.live, "allocation")))
}

fn record(record: &RecordWord) -> Item {
    let (id, title) = ("record", "Database");
    if !record.ok {
        let why = record.problem.as_deref().unwrap_or("it is not being written");
        let (says, cure) = split(why, "");
        let cure = if cure.is_empty() { cure_of_the_record(&says, &record.path) } else { cure };
        let says = format!("The record is not being written, calls go on: {says}.");
        return red(id, title, says, cure);
    }
    if let Some(free) = record.disk_free_bytes.filter(|free| *free < DISK_FREE_MIN) {
        let says = format!("The disk of the record has {} left.", bytes(free));
        let cure = format!(
            "Make room on the disk of {}, or lower record.retention_days and record.bytes_max.",
            record.path
        );
        return yellow(id, title, says, cure);
    }
    let size = bytes(record.file_bytes);
    if record.dropped > 0 {
        let says =
            format!("{} of the record were lost since the start.", of(record.dropped, "row"));
        let cure = "The disk was too slow or full for a while: the log says when; look at it with \
                    `journalctl -u turnbell` and at the disk with `df -h`.";
        return yellow(id, title, says, cure);
    }
    green(id, title, format!("Being written, {size}."))
}

fn cure_of_the_record(says: &str, path: &str) -> String {
    let says = says.to_lowercase();
    if says.contains("full") || says.contains("space") {
        return format!("Make room on the disk of {path} (df -h); it goes on by itself then.");
    }
    if says.contains("read-only") || says.contains("readonly") || says.contains("permission") {
        return format!("Let the user turnbell runs as write {path} and its directory.");
    }
    if says.contains("corrupt") || says.contains("malformed") || says.contains("not a database") {
        return format!("Stop turnbell, move {path} away, start it: a new record is begun.");
    }
    format!("Look at {path} and its disk (df -h, dmesg); it goes on by itself when it can.")
}

fn certificate(facts: &Facts) -> Item {
    let (id, title) = ("certificate", "Certificate");
    let Some(certificate) = &facts.certificate else {
        let says = "None: clients in networks that let only TLS out have no way here, and browsers \
                    give the microphone to no page of this server but on localhost. Set tls.cert \
                    and tls.key, or put a proxy with TLS in front of the pages.";
        return green(id, title, says);
    };
    let renew = "Renew it (certbot renew, or whatever made it); turnbell takes the new files by \
                 itself.";
    let (hosts, days) = (&certificate.hosts, certificate.days_left);
    if days < 0 {
        let says =
            format!("The certificate for {hosts} expired {} ago.", of(days.unsigned_abs(), "day"));
        return red(id, title, says, renew);
    }
    if let Some(problem) = &certificate.problem {
        let (says, cure) = split(problem, "Put the right pair at tls.cert and tls.key.");
        return red(id, title, format!("TLS is not offered as it should be: {says}."), cure);
    }
    let left = of(days.unsigned_abs(), "day");
    if days < CERTIFICATE_DAYS_MIN {
        let says = format!("The certificate for {hosts} ends in {left}.");
        return yellow(id, title, says, renew);
    }
    green(id, title, format!("Good for {hosts}, {left} left."))
}

fn addresses(facts: &Facts) -> Vec<Item> {
    let (id, title) = ("addresses", "Addresses");
    let mut items = Vec::new();
    for external in &facts.external {
        let Some(problem) = &external.problem else { continue };
        let (says, cure) = split(problem, "Write the public address into `external`.");
        items.push(yellow(id, title, format!("{}: {says}.", external.address), cure));
    }
    let is_file = facts.config.as_ref().is_some_and(|config| config.file.is_some());
    let unreachable = || facts.addresses.iter().filter(|address| address.not_public.is_some());
    if let Some(first) = unreachable().next().filter(|_| is_file) {
        let told: Vec<String> = unreachable()
            .map(|address| {
                format!("{} ({})", address.told, address.not_public.as_deref().unwrap_or_default())
            })
            .collect();
        let says = format!(
            "Clients are told {}: nobody outside this network can reach that.",
            told.join(" and ")
        );
        let cure = format!(
            "If this server has a public address, write external = [\"PUBLIC/{}\"]; if all clients \
             are in this network, it is right as it is.",
            first.address
        );
        items.push(yellow(id, title, says, cure));
    }
    if items.is_empty() {
        let told: Vec<&str> = facts.addresses.iter().map(|address| &*address.told).collect();
        items.push(green(id, title, format!("Clients are told {}.", told.join(" and "))));
    }
    items
}

fn verification(now: Now, facts: &Facts) -> Item {
    let (id, title) = ("verification", "Seen from outside");
    let day_ms = i64::try_from(VERIFIED_FOR.as_millis()).unwrap_or(i64::MAX);
    let lately = |at: &i64| now.unix_ms.saturating_sub(*at) < day_ms;
    let done = facts.verifications.iter().filter(|seen| seen.at.as_ref().is_some_and(lately));
    for (severity, light) in [("error", Light::Red), ("warning", Light::Yellow)] {
        let is_so = |seen: &&VerificationWord| seen.severity.as_deref() == Some(severity);
        if let Some(bad) = done.clone().filter(is_so).find(|bad| !is_told(facts, bad)) {
            let says = bad.verdict.as_deref().unwrap_or("the last verification failed");
            let whence = match bad.vantage.as_str() {
                "this_machine" => "this machine",
                "another_machine" => "another machine",
                _ => "a browser",
            };
            let says = format!("From {whence}: {}.", says.trim_end_matches('.'));
            let cure = "Run turnbell verify there, or open /ice-verify: both say what to do, line by \
                        line.";
            return item(id, "Verification", light, says, Some(cure.to_owned()));
        }
    }
    let is_outside = |vantage: &str| vantage != "this_machine";
    if done.clone().any(|seen| is_outside(&seen.vantage) && seen.ok == Some(true)) {
        return green(id, title, "Proven from outside within the last 30 days.");
    }
    let says = match done.clone().any(|seen| seen.ok == Some(true)) {
        true => "Works on this machine. Not yet proven from outside.",
        false => "Not yet proven from outside that clients can reach it.",
    };
    let cure = "Open the link of turnbell verify --link on a phone without Wi-Fi, or run turnbell \
                verify https://THIS-HOST on another machine: a firewall in front of this one cannot \
                be seen from here.";
    yellow(id, title, says, cure)
}

/// Whether it is what the certificate's item says.
fn is_told(facts: &Facts, seen: &VerificationWord) -> bool {
    let problem = facts.certificate.as_ref().and_then(|one| one.problem.as_ref());
    problem
        .zip(seen.verdict.as_ref())
        .is_some_and(|(problem, says)| problem.starts_with(says.trim_end_matches('.')))
}

fn proxies(facts: &Facts) -> Option<Item> {
    let proxies = facts.proxies.as_ref()?;
    let says = format!(
        "{} said by a forwarding header for whom they ask, and were not believed.",
        of(proxies.ignored, "request")
    );
    Some(yellow("proxies", "Proxies", says, format!("{}.", capital(&proxies.hint))))
}

fn config(facts: &Facts) -> Vec<Item> {
    let (id, title) = ("config", "Config");
    let Some(config) = &facts.config else { return Vec::new() };
    let mut items = Vec::new();
    for setting in &config.settings {
        if let Some(new) = &setting.after_restart {
            let says =
                format!("{} = {new} stands in the file and does not count yet.", setting.key);
            let cure = "turnbell drain, then start it again; a reload cannot change this key.";
            items.push(yellow(id, title, says, cure));
        }
        if setting.key == "identity.guests" && setting.value == "anyone" {
            let says = "Everybody may call without an account (identity.guests = \"anyone\").";
            let cure =
                "Set identity.guests = \"off\" and use `turnbell invite`, if that is not meant.";
            items.push(yellow("guests", "Guests", says, cure));
        }
    }
    if items.is_empty() {
        let file = config.file.as_deref().unwrap_or("the built-in default");
        items.push(green(id, title, format!("{file} is in effect.")));
    }
    items
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
