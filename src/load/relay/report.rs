//! What a run on the relay found, for a table and for scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::spans::Spread;

/// What the server used while it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RelayUse {
    /// CPU, part of one core.
    pub cores: f64,
    /// CPU of each datagram, request or login that came to its end, microseconds.
    pub cpu_us_each: Option<f64>,
    /// Resident memory before the first client.
    pub rss_bytes_before: u64,
    /// And at the end.
    pub rss_bytes_after: u64,
    /// What it grew by for each client.
    pub rss_bytes_per_client: f64,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelayReport {
    /// Which one.
    pub scenario: &'static str,
    /// Of which server.
    pub url: String,
    /// How many clients.
    pub clients: u32,
    /// How long it was measured.
    pub seconds: f64,
    /// What is counted: datagrams, answers, logins ...
    pub unit: &'static str,
    /// Whether order counts: of datagrams and answers, not of logins.
    #[serde(skip)]
    pub is_traffic: bool,
    /// All that were sent or begun, the warm-up included.
    pub sent: u64,
    /// Those of them that came to their end, once each.
    pub delivered: u64,
    /// Those that did not.
    pub lost: u64,
    /// Those that came after a later one of their flow.
    pub reordered: u64,
    /// Those that came a second time.
    pub duplicated: u64,
    /// What came and was not what had been sent, or came from or to the wrong one.
    pub corrupted: u64,
    /// Delivered while it was measured.
    pub measured: u64,
    /// The same a second.
    pub per_second: f64,
    /// Bits of payload a second.
    pub bits_per_second: Option<f64>,
    /// Microseconds from when it should have been sent to when it came to its end.
    pub latency_us: Option<Spread>,
    /// How late this program sent, where a rate is kept; the latency holds it.
    pub generator_late_us: Option<Spread>,
    /// CPU of this program while it was measured, part of one core: near 1, it was the limit.
    pub generator_cores: f64,
    /// Seconds until all clients were ready.
    pub ready_after_s: f64,
    /// Requests that were sent again.
    pub repeated: u64,
    /// Answers that were not signed as they should be.
    pub unverified: u64,
    /// Answers that nobody asked for.
    pub unasked: u64,
    /// Connections that the server closed.
    pub closed: u64,
    /// Requests that were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// If the server's process is known.
    pub server: Option<RelayUse>,
    /// Load average of this machine over the last minute.
    pub load_average: f64,
    /// Cores that this program may use.
    pub cores: usize,
}

impl RelayReport {
    /// Whether anything that was sent came to its end, or nothing was to be sent.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.sent == 0 || self.delivered > 0
    }

    /// Name and value of every figure that there is, for a table.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        row("scenario", format!("{}, {}", self.scenario, self.url));
        row("clients", format!("{}, ready after {:.1} s", self.clients, self.ready_after_s));
        row("seconds", format!("{:.1}", self.seconds));
        if self.sent > 0 {
            row(&format!("{} a second", self.unit), format!("{:.0}", self.per_second));
            if let Some(bits) = self.bits_per_second {
                row("payload", format!("{:.1} Mbit/s", bits / 1e6));
            }
            row("sent", self.sent.to_string());
            row("delivered", self.delivered.to_string());
            row("lost", format!("{} ({:.3} %)", self.lost, percent(self.lost, self.sent)));
        }
        if self.is_traffic {
            let order = format!("{} / {}", self.reordered, self.duplicated);
            row("reordered / duplicated", order);
            row("corrupted", self.corrupted.to_string());
        }
        if let Some(spread) = self.latency_us {
            row("latency p50 / p99 / p99.9 / max", of(spread));
        }
        if let Some(spread) = self.generator_late_us {
            row("of it this program", of(spread));
        }
        for (name, count) in [
            ("requests repeated", self.repeated),
            ("answers not signed", self.unverified),
            ("answers not asked for", self.unasked),
            ("connections closed", self.closed),
        ] {
            if count > 0 {
                row(name, count.to_string());
            }
        }
        for (code, count) in &self.refused {
            row(&format!("refused, {code}"), count.to_string());
        }
        if let Some(server) = self.server {
            row("server CPU, cores", format!("{:.2}", server.cores));
            if let Some(us) = server.cpu_us_each {
                row("server CPU each", format!("{us:.2} us"));
            }
            let mib = server.rss_bytes_after as f64 / 1024.0 / 1024.0;
            row("server memory", format!("{mib:.1} MiB"));
            let each = server.rss_bytes_per_client / 1024.0;
            row("server memory a client", format!("{each:.1} KiB"));
        }
        row("this program, cores", format!("{:.2}", self.generator_cores));
        row("load average of this machine", format!("{:.2}", self.load_average));
        rows
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn of(Spread { p50, p99, p999, max }: Spread) -> String {
    let ms = |us: f64| us / 1000.0;
    format!("{:.3} / {:.3} / {:.3} / {:.3} ms", ms(p50), ms(p99), ms(p999), ms(max))
}
