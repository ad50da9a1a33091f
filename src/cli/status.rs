//! `turnbell status`: whether the daemon runs, relays, and writes its record.

use clap::Args;

use super::ask::{Format, Question};
use super::table;
use crate::edge::control_json::Request;
use crate::edge::json::{ExternalHealth, Health, IssuerHealth, QuotaHealth, QuotaWord};
use crate::edge::verify_json::VerificationHealth;
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(after_help = "\
The record does not decide: relaying goes on without it.

Exit code 0 if it runs and relays, else 1.")]
pub(super) struct Status {
    #[command(flatten)]
    format: Format,
}

impl Status {
    pub(super) fn question(self) -> Question {
        Question { request: Request::Status {}, format: self.format }
    }
}

pub(super) fn shown(health: &Health) -> String {
    let Health { ok, draining, relay, record, tls, external, issuers, proxies, verified, quotas } =
        health;
    let allocations = match relay.allocations {
        1 => "1 allocation".to_owned(),
        count => format!("{count} allocations"),
    };
    let relay = if *ok {
        let draining = if *draining { ", draining: no new ones, then the end" } else { "" };
        format!("well, {allocations}{draining}")
    } else {
        format!("NOT WELL, {} of {} shards make progress", relay.shards_alive, relay.shards)
    };
    let mut text = format!("relay   {relay}\nrecord  ");
    match &record.problem {
        Some(problem) => text.push_str(&format!("NOT WRITTEN: {}", printable(problem))),
        None => text.push_str(if record.ok { "well" } else { "NOT WRITTEN" }),
    }
    match record.dropped {
        0 => {}
        1 => text.push_str(", 1 row lost since the start"),
        rows => text.push_str(&format!(", {rows} rows lost since the start")),
    }
    text.push('\n');
    if let Some(tls) = tls {
        let state = tls.problem.as_deref().map_or_else(|| "well".into(), printable);
        text.push_str(&format!("TLS     {state}\n"));
    }
    for ExternalHealth { address, public, server, found_at, problem } in external {
        let known = match (public, server, found_at) {
            (Some(public), Some(server), Some(at)) => format!(
                "{} is told in place of {address}, found by STUN from {} at {} UTC",
                printable(public),
                printable(server),
                table::time(*at)
            ),
            _ => format!("{address} is told as it is"),
        };
        text.push_str(&format!("public  {known}\n"));
        if let Some(problem) = problem {
            text.push_str(&format!("        {}\n", printable(problem)));
        }
    }
    for IssuerHealth { issuer, url, keys, fetched_at, problem } in issuers {
        let (issuer, url) = (printable(issuer), printable(url));
        let known = match (keys, fetched_at) {
            (keys, Some(at)) => format!("{keys} of {issuer}, fetched at {} UTC", table::time(*at)),
            (_, None) => format!("NONE of {issuer}: nobody of it can sign in"),
        };
        text.push_str(&format!("keys    {known}\n"));
        if let Some(problem) = problem {
            text.push_str(&format!("        {url} {}\n", printable(problem)));
        }
    }
    if let Some(proxies) = proxies {
        text.push_str(&format!(
            "HTTP    {} requests with a forwarding header that is ignored; {}\n",
            proxies.ignored,
            printable(&proxies.hint)
        ));
    }
    for VerificationHealth { vantage, at, verdict, summary } in verified {
        let (vantage, verdict) = (printable(vantage), printable(verdict));
        let (at, summary) = (table::time(*at), printable(summary));
        text.push_str(&format!(
            "verify  {verdict} from {vantage} at {at} UTC: {summary}\n",
            vantage = vantage.replace('_', " ")
        ));
    }
    if let Some(QuotaHealth { users, total, tenants, near }) = quotas {
        for QuotaWord { quota, who, used, limit } in near {
            let what = match quota.as_str() {
                "allocations" => {
                    format!("user {} has {used} of {limit} allocations", printable(who))
                }
                "calls" => format!("tenant {} has {used} of {limit} calls", printable(who)),
                _ => format!("all together have {used} of {limit} allocations"),
            };
            text.push_str(&format!("quota   {what}\n"));
        }
        let more = (users + total + tenants).saturating_sub(near.len());
        if more > 0 {
            text.push_str(&format!("        and {more} more are near theirs\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::json::{ProxyHealth, RecordHealth, RelayHealth, TlsHealth};

    #[test]
    fn what_is_wrong_catches_the_eye() {
        let mut health = Health {
            ok: true,
            draining: false,
            relay: RelayHealth { shards: 1, shards_alive: 1, allocations: 1 },
            record: RecordHealth { ok: true, problem: None, dropped: 0 },
            tls: None,
            external: Vec::new(),
            issuers: Vec::new(),
            proxies: None,
            verified: Vec::new(),
            quotas: None,
        };
        assert_eq!(shown(&health), "relay   well, 1 allocation\nrecord  well\n");
        health.ok = false;
        health.relay.shards_alive = 0;
        health.record =
            RecordHealth { ok: false, problem: Some("the disk is full".to_owned()), dropped: 3 };
        assert_eq!(
            shown(&health),
            "relay   NOT WELL, 0 of 1 shards make progress\n\
             record  NOT WRITTEN: the disk is full, 3 rows lost since the start\n"
        );
        let problem = Some("the certificate expired 3 days ago".to_owned());
        health.tls = Some(TlsHealth { ok: false, problem, expires_at: 0 });
        assert!(shown(&health).ends_with("\nTLS     the certificate expired 3 days ago\n"));
        let found = ExternalHealth {
            address: "10.0.0.5".to_owned(),
            public: Some("203.0.113.7".to_owned()),
            server: Some("stun.example.org:3478".to_owned()),
            found_at: Some(0),
            problem: Some("it does not keep ports".to_owned()),
        };
        health.external = vec![found];
        assert!(
            shown(&health).ends_with(
                "\npublic  203.0.113.7 is told in place of 10.0.0.5, found by STUN from \
                 stun.example.org:3478 at 1970-01-01 00:00:00 UTC\n        it does not keep ports\n"
            ),
            "{}",
            shown(&health)
        );
        health.issuers = vec![IssuerHealth {
            issuer: "https://id.example".to_owned(),
            url: "https://id.example/jwks".to_owned(),
            keys: 2,
            fetched_at: Some(0),
            problem: None,
        }];
        assert!(
            shown(&health).ends_with(
                "\nkeys    2 of https://id.example, fetched at 1970-01-01 00:00:00 UTC\n"
            ),
            "{}",
            shown(&health)
        );
        (health.issuers[0].keys, health.issuers[0].fetched_at) = (0, None);
        health.issuers[0].problem = Some("answers 404 Not Found".to_owned());
        assert!(
            shown(&health).ends_with(
                "\nkeys    NONE of https://id.example: nobody of it can sign in\n        \
                 https://id.example/jwks answers 404 Not Found\n"
            ),
            "{}",
            shown(&health)
        );
        let hint = "write this".to_owned();
        health.proxies = Some(ProxyHealth { ignored: 7, sources: Vec::new(), hint });
        let line = "HTTP    7 requests with a forwarding header that is ignored; write this\n";
        assert!(shown(&health).ends_with(line));
        health.verified = vec![VerificationHealth {
            vantage: "this_machine".to_owned(),
            at: 0,
            verdict: "error".to_owned(),
            summary: "UDP is blocked".to_owned(),
        }];
        let line = "verify  error from this machine at 1970-01-01 00:00:00 UTC: UDP is blocked\n";
        assert!(shown(&health).ends_with(line), "{}", shown(&health));
        let near = QuotaWord { quota: "calls".into(), who: "acme".into(), used: 80, limit: 100 };
        health.quotas = Some(QuotaHealth { users: 0, total: 0, tenants: 2, near: vec![near] });
        let lines =
            "\nquota   tenant acme has 80 of 100 calls\n        and 1 more are near theirs\n";
        assert!(shown(&health).ends_with(lines), "{}", shown(&health));
    }
}
