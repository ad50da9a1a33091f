//! The same numbers under the names that coturn's exporter has, so that existing dashboards live on.
//!
//! Two things differ from coturn: traffic counts while a session is on, not only when it has ended;
//! and there is no label by user, which a time-limited name would make grow for ever.

use std::fmt::Write;

use super::Reading;
use crate::turn::contract::Discard;
use crate::turn::counters::Statistics;
use crate::turn::fact::Transport;

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// Lines for `/metrics`; in OpenMetrics a counter's name would have to end in `_total`, which these
/// do not, so that there they have no type.
pub(super) fn lines(reading: &Reading, realm: &str, is_open: bool) -> String {
    let Some(relay) = &reading.relay else { return String::new() };
    let mut to = Lines { text: String::new(), is_open };
    to.binding(relay);
    to.traffic(relay, realm);
    to.allocations(relay);
    to.packets(relay);
    to.text
}

struct Lines {
    text: String,
    is_open: bool,
}

impl Lines {
    fn binding(&mut self, relay: &Statistics) {
        let bindings = relay.counters.bindings;
        self.one("stun_binding_request", "Binding requests that were answered", bindings);
        self.one("stun_binding_response", "Binding success responses", bindings);
        self.one("stun_binding_error", "Binding error responses", 0);
    }

    fn traffic(&mut self, relay: &Statistics, realm: &str) {
        let traffic = relay.traffic;
        let (to_peers, to_client) = (traffic.packets_to_peers, traffic.packets_to_client);
        let (bytes_to_peers, bytes_to_client) = (traffic.bytes_to_peers, traffic.bytes_to_client);
        let all = [
            ("rcvp", "datagrams from clients", to_peers),
            ("rcvb", "bytes from clients", bytes_to_peers),
            ("sentp", "datagrams to clients", to_client),
            ("sentb", "bytes to clients", bytes_to_client),
            ("peer_rcvp", "datagrams from peers", to_client),
            ("peer_rcvb", "bytes from peers", bytes_to_client),
            ("peer_sentp", "datagrams to peers", to_peers),
            ("peer_sentb", "bytes to peers", bytes_to_peers),
        ];
        let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
        for (name, what, value) in all {
            let labels = format!("{{realm=\"{realm}\"}}");
            let name = format!("turn_traffic_{name}");
            self.family(&name, &format!("Relayed {what}"), Kind::Counter, &[(&labels, value)]);
        }
        for (name, what, value) in all {
            self.one(&format!("turn_total_traffic_{name}"), &format!("Relayed {what}"), value);
        }
    }

    fn allocations(&mut self, relay: &Statistics) {
        let rows = relay.live.map(|(transport, count)| {
            let word = match transport {
                Transport::Udp => "UDP",
                Transport::Tcp => "TCP",
                Transport::Tls => "TLS/TCP",
            };
            (format!("{{type=\"{word}\"}}"), count)
        });
        let rows = rows.each_ref().map(|(labels, count)| (labels.as_str(), *count));
        self.family("turn_total_allocations", "Live allocations", Kind::Gauge, &rows);
    }

    fn packets(&mut self, relay: &Statistics) {
        let counters = &relay.counters;
        let processed = counters.datagrams_from_clients + counters.datagrams_from_peers;
        self.one("turn_packet_processed", "Messages that arrived", processed);
        let dropped = counters.discarded_total();
        self.one("turn_packet_dropped", "Messages that were discarded", dropped);
        let rejected = counters.rejected().find(|(code, _)| *code == 401);
        let responses = rejected.map_or(0, |(_, count)| count);
        let cut = [Discard::ShieldSource, Discard::ShieldTotal];
        let cut: u64 = cut.into_iter().map(|reason| counters.discarded(reason)).sum();
        self.one("turn_unauthenticated_401_requests", "Answered 401 or cut", responses + cut);
        self.one("turn_unauthenticated_401_responses", "401 responses", responses);
        let help = "Answers that were not sent for the budgets of [shield]";
        self.one("turn_unauthenticated_401_dropped_responses", help, cut);
    }

    fn one(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, Kind::Counter, &[("", value)]);
    }

    fn family(&mut self, name: &str, help: &str, kind: Kind, rows: &[(&str, u64)]) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter if self.is_open => "unknown",
            Kind::Counter => "counter",
        };
        let end = if self.is_open { "." } else { "" };
        let _ = write!(self.text, "# HELP {name} {help}{end}\n# TYPE {name} {kind}\n");
        for (labels, value) in rows {
            let _ = writeln!(self.text, "{name}{labels} {value}");
        }
    }
}
