//! Forwarding headers that are not believed: counted, and told once for each address they come
//! from, so that whoever put a proxy in front hears which line is missing.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;

use super::forwarded::is_trusted;
use super::json::ProxyHealth;
use crate::limits::PROXIES_NAMED_MAX;

/// What was ignored since the start.
#[derive(Debug, Default)]
pub(super) struct ProxyWatch(Mutex<Ignored>);

#[derive(Debug, Default)]
struct Ignored {
    count: u64,
    /// At most [`PROXIES_NAMED_MAX`]: strangers can send such a header, too.
    sources: Vec<IpAddr>,
}

impl ProxyWatch {
    /// Notes a request from `source`, which is no trusted proxy and names a client.
    pub(super) fn note(&self, source: IpAddr) {
        let mut ignored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ignored.count = ignored.count.saturating_add(1);
        if ignored.sources.contains(&source) || ignored.sources.len() >= PROXIES_NAMED_MAX {
            return;
        }
        ignored.sources.push(source);
        drop(ignored);
        tracing::warn!("a forwarding header from {source} is ignored; {}", hint(&[source]));
    }

    /// What `/healthz` says about those that are still not `trusted`.
    pub(super) fn health(&self, trusted: &[IpNet]) -> Option<ProxyHealth> {
        let ignored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = ignored.sources.iter().copied().filter(|ip| !is_trusted(*ip, trusted));
        let sources: Vec<IpAddr> = sources.collect();
        let hint = (!sources.is_empty()).then(|| hint(&sources))?;
        Some(ProxyHealth { ignored: ignored.count, sources, hint })
    }
}

fn hint(sources: &[IpAddr]) -> String {
    let list: Vec<String> = sources.iter().map(|ip| format!("\"{ip}\"")).collect();
    format!(
        "if a proxy of yours is there, and only then, write under [http]: trusted_proxies = [{}]",
        list.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn every_request_counts_and_the_first_few_addresses_are_named() {
        let watch = ProxyWatch::default();
        assert_eq!(watch.health(&[]), None);
        for n in 0..1000 {
            watch.note(ip(n));
            watch.note(ip(n));
        }
        let health = watch.health(&[]).unwrap();
        assert_eq!((health.ignored, health.sources.len()), (2000, PROXIES_NAMED_MAX));
        assert!(
            health.hint.contains("trusted_proxies = [\"0.0.0.0\", \"0.0.0.1\", "),
            "{health:?}"
        );
    }

    #[test]
    fn an_address_that_is_trusted_by_now_is_not_named() {
        let watch = ProxyWatch::default();
        watch.note(ip(0x7F00_0001));
        watch.note(ip(0x0A00_0001));
        let health = watch.health(&["127.0.0.1/32".parse().unwrap()]).unwrap();
        assert_eq!(health.sources, [ip(0x0A00_0001)]);
        let all = ["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        assert_eq!(watch.health(&all), None);
    }
}
