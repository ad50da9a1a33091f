//! Why a URL of ours stands in `/ice`, or does not (R26).

use super::{Host, RelayListener, UrlSources, UrlTransport, Vantage};
use crate::time::Now;

/// One transport, as `/ice` has it for somebody elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// How a client would come.
    pub transport: UrlTransport,
    /// What is handed out; `None`: nothing.
    pub url: Option<String>,
    /// Why, as the second half of a sentence.
    pub why: String,
}

impl UrlSources {
    /// Every transport, in the order of `/ice`.
    #[must_use]
    pub fn explain(&self, now: Now) -> Vec<Explained> {
        [UrlTransport::Udp, UrlTransport::Tcp, UrlTransport::Tls]
            .into_iter()
            .map(|transport| {
                let url = self.url(now, transport, Vantage::Elsewhere);
                let why = match &url {
                    Some(_) => self.why_this_host(),
                    None => self.why_none(now, transport),
                };
                Explained { transport, url, why }
            })
            .collect()
    }

    fn why_this_host(&self) -> String {
        let source = if !self.advertise.is_empty() {
            "`advertise` names the host"
        } else if !self.external.is_empty() {
            "`external` names the address"
        } else {
            "nothing is named in `advertise`, so it is the relay address"
        };
        source.to_owned()
    }

    fn why_none(&self, now: Now, transport: UrlTransport) -> String {
        let key = match transport {
            UrlTransport::Udp => "listen",
            UrlTransport::Tcp => "listen_tcp",
            UrlTransport::Tls => "listen_tls",
        };
        let mine: Vec<&RelayListener> =
            self.listeners.iter().filter(|listener| listener.transport == transport).collect();
        if mine.is_empty() {
            return match (transport, &self.certificates) {
                (UrlTransport::Tls, None) => "[tls] names no certificate".to_owned(),
                _ => format!("`{key}` names no port"),
            };
        }
        if mine.iter().all(|listener| listener.addr.port() == 53) {
            return "browsers refuse port 53".to_owned();
        }
        if transport == UrlTransport::Tls
            && let Some(problem) = self.turns_problem(now)
        {
            let why = problem.strip_prefix(super::NO_TURNS).map(ToOwned::to_owned);
            return why.unwrap_or(problem);
        }
        let hosts: Vec<String> = self.public_hosts().iter().map(|(host, _)| host.bare()).collect();
        let is_lonely = mine.iter().all(|listener| listener.addr.ip().is_loopback());
        let hosts = hosts.join(", ");
        if is_lonely && self.public_hosts().iter().all(|(host, _)| !is_loopback(host)) {
            return format!("`{key}` listens on loopback only, where {hosts} does not lead");
        }
        format!("no address in `{key}` is of the family of {hosts}")
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(_) => false,
        Host::Ip(ip) => ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(transport: UrlTransport, addr: &str) -> RelayListener {
        RelayListener { transport, addr: addr.parse().unwrap() }
    }

    fn why(sources: &UrlSources, transport: UrlTransport) -> (bool, String) {
        let explained = sources.explain(Now::read());
        let one = explained.into_iter().find(|one| one.transport == transport).unwrap();
        (one.url.is_some(), one.why)
    }

    #[test]
    fn each_reason_for_a_url_and_for_none_has_its_words() {
        let mut sources = UrlSources {
            relay_addresses: vec!["192.0.2.7".parse().unwrap()],
            listeners: vec![listener(UrlTransport::Udp, "0.0.0.0:3478")],
            ..UrlSources::default()
        };
        let (udp, tcp, tls) = (UrlTransport::Udp, UrlTransport::Tcp, UrlTransport::Tls);
        let yes = |why: &str| (true, why.to_owned());
        let no = |why: &str| (false, why.to_owned());
        let by_itself = yes("nothing is named in `advertise`, so it is the relay address");
        assert_eq!(why(&sources, udp), by_itself);
        assert_eq!(why(&sources, tcp), no("`listen_tcp` names no port"));
        assert_eq!(why(&sources, tls), no("[tls] names no certificate"));
        sources.external = vec!["198.51.100.1".parse().unwrap()];
        assert_eq!(why(&sources, udp), yes("`external` names the address"));
        sources.listeners = vec![
            listener(udp, "0.0.0.0:53"),
            listener(tcp, "127.0.0.1:3478"),
            listener(tls, "[::]:5349"),
        ];
        assert_eq!(why(&sources, udp), no("browsers refuse port 53"));
        let lonely = "`listen_tcp` listens on loopback only, where 198.51.100.1 does not lead";
        assert_eq!(why(&sources, tcp), no(lonely));
        let family = "no address in `listen_tls` is of the family of 198.51.100.1";
        assert_eq!(why(&sources, tls), no(family));
        sources.listeners = vec![listener(udp, "[::]:3478")];
        sources.advertise =
            vec![super::super::Advertised { host: "turn.example.org".to_owned(), port: None }];
        assert_eq!(why(&sources, udp), yes("`advertise` names the host"));
    }

    #[test]
    fn a_certificate_for_another_name_is_the_reason_why_turns_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let files =
            super::super::super::certificate::tests::write_pair(directory.path(), &["a.example"]);
        let sources = UrlSources {
            relay_addresses: vec!["192.0.2.7".parse().unwrap()],
            listeners: vec![listener(UrlTransport::Tls, "0.0.0.0:5349")],
            certificates: Some(
                super::super::super::certificates::Certificates::load(files).unwrap(),
            ),
            ..UrlSources::default()
        };
        let (handed_out, why) = why(&sources, UrlTransport::Tls);
        assert!(!handed_out && why.starts_with("the certificate covers a.example, but not"));
    }
}
