//! What a run found, for a table and for scripts.

use std::collections::BTreeMap;

use serde::Serialize;

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of all were not longer.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What the server used meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ServerUse {
    /// Resident memory before the first session.
    pub rss_bytes_before: u64,
    /// And at the end.
    pub rss_bytes_after: u64,
    /// What it grew by for each session.
    pub rss_bytes_per_session: f64,
    /// Kernel memory of the machine that grew for each session: both ends of its connection, and
    /// whatever else the machine did.
    pub kernel_bytes_per_session: f64,
    /// CPU while the load was on, part of one core.
    pub cores: f64,
    /// The same for each message that a client sent or received.
    pub cpu_us_per_message: Option<f64>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Which one.
    pub scenario: &'static str,
    /// Of which server.
    pub url: String,
    /// Sessions that were open.
    pub sessions: usize,
    /// How long the load was on.
    pub seconds: f64,
    /// Messages, or calls, that were begun.
    pub sent: u64,
    /// Those that came to their end.
    pub received: u64,
    /// Those that did not.
    pub lost: u64,
    /// Requests that were refused, by the code of the refusal.
    pub refused: BTreeMap<String, u64>,
    /// Sessions that were closed, by close code or what else happened. Slow readers and floods are
    /// meant to be.
    pub closed: BTreeMap<String, u64>,
    /// Sessions that should have stayed and did not.
    pub sessions_lost: u64,
    /// What is measured, from the time it should have been sent.
    pub latency_ms: Option<Quantiles>,
    /// From the invite to every device.
    pub ring_ms: Option<Quantiles>,
    /// From the first lost connection to the last session that was back, seconds.
    pub all_back_s: Option<f64>,
    /// By how much this generator was late itself; the latencies above hold it.
    pub generator_late_ms: Option<Quantiles>,
    /// If the server's process is known.
    pub server: Option<ServerUse>,
    /// Load average of this machine over the last minute.
    pub load_average: f64,
    /// Cores that this program may use.
    pub cores: usize,
}

impl Report {
    /// Name and value of every figure that there is, for a table.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        row("scenario", self.scenario.to_owned());
        row("sessions", self.sessions.to_string());
        row("seconds", format!("{:.1}", self.seconds));
        if self.sent > 0 {
            let per_s = self.sent as f64 / self.seconds.max(0.001);
            row("sent", format!("{} ({per_s:.0} a second)", self.sent));
            row("lost", self.lost.to_string());
        }
        if let Some(quantiles) = self.latency_ms {
            row("latency p50 / p99 / max", of(quantiles));
        }
        if let Some(quantiles) = self.ring_ms {
            row("invite to ring p50 / p99 / max", of(quantiles));
        }
        if let Some(seconds) = self.all_back_s {
            row("all back after", format!("{seconds:.1} s"));
        }
        if let Some(quantiles) = self.generator_late_ms {
            row("of it the generator p50 / p99 / max", of(quantiles));
        }
        for (name, counts) in [("refused", &self.refused), ("closed", &self.closed)] {
            for (code, count) in counts {
                row(&format!("{name}, {code}"), count.to_string());
            }
        }
        row("sessions lost", self.sessions_lost.to_string());
        if let Some(server) = self.server {
            let kib = |bytes: f64| format!("{:.1} KiB", bytes / 1024.0);
            row("server memory a session", kib(server.rss_bytes_per_session));
            row("kernel memory a session, both ends", kib(server.kernel_bytes_per_session));
            row("server memory", kib(server.rss_bytes_after as f64));
            row("server CPU, cores", format!("{:.2}", server.cores));
            if let Some(us) = server.cpu_us_per_message {
                row("server CPU a message", format!("{us:.1} us"));
            }
        }
        row("load average of this machine", format!("{:.2}", self.load_average));
        rows
    }
}

fn of(Quantiles { p50, p99, max }: Quantiles) -> String {
    format!("{p50:.1} / {p99:.1} / {max:.1} ms")
}
