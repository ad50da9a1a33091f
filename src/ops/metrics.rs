//! `/metrics`: what the daemon counts, read when it is asked for. Never labelled by user or address.

mod coturn;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelValue, MetricEncoder,
    NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::call_counts::CallCounts;
use super::process::Process;
use super::socket_drops::SocketDrops;
use crate::store::{StoreHealth, StoreState};
use crate::turn::contract::Discard;
use crate::turn::counters::Statistics;

/// Everything that is shown, as it is at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Version of the program.
    pub version: &'static str,
    /// Shards that were started, and those that make progress.
    pub shards: (u64, u64),
    /// No new allocations.
    pub draining: bool,
    /// Users near their quota of allocations, 1 if all together are, tenants near theirs of calls.
    pub near: [usize; 3],
    /// What the relay counted; absent if it does not answer.
    pub relay: Option<Statistics>,
    /// Neither allocations nor streams become more.
    pub short_of_memory: bool,
    /// Relay ports.
    pub ports: Ports,
    /// The record.
    pub record: StoreHealth,
    /// Keys that are fetched, by issuer.
    pub issuers: Vec<IssuerKeys>,
    /// The last verification of each vantage.
    pub verified: Vec<Verified>,
    /// This process.
    pub process: Process,
    /// End of the certificate, Unix seconds, and whether it serves; absent without one.
    pub certificate: Option<(i64, bool)>,
    /// Allocations in all that may be.
    pub allocations_max: u64,
    /// Datagrams that the kernel threw away.
    pub drops: SocketDrops,
    /// Bytes that the disk of the record has left.
    pub disk_free_bytes: Option<u64>,
    /// Calls and pages.
    pub calls: CallCounts,
    /// Give coturn's names, too, under this realm.
    pub coturn_realm: Option<String>,
}

/// The last verification of one vantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Its word.
    pub vantage: &'static str,
    /// 0 works, 1 with a note, 2 warning, 3 error.
    pub severity: u64,
    /// When, Unix seconds.
    pub at_unix_s: u64,
}

/// The keys of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKeys {
    /// Its name in the config.
    pub issuer: String,
    /// How many count.
    pub keys: u64,
    /// Whether the last fetch brought them.
    pub is_well: bool,
}

/// Relay ports by their use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Can be drawn.
    pub free: u64,
    /// Held by another program when last tried.
    pub resting: u64,
    /// Of live or opening allocations.
    pub used: u64,
}

/// The reading in the OpenMetrics text format.
#[must_use]
pub fn open_metrics(reading: Reading) -> String {
    let realm = reading.coturn_realm.as_deref();
    let more = realm.map_or_else(String::new, |realm| coturn::lines(&reading, realm, true));
    let mut text = own(reading);
    let end = text.len() - END.len();
    text.insert_str(end, &more);
    text
}

/// The last line of OpenMetrics.
const END: &str = "# EOF\n";

fn own(reading: Reading) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(reading));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    debug_assert!(text.ends_with(END));
    text
}

/// The reading in Prometheus' own text format, for whoever does not ask for OpenMetrics: the same
/// lines, but a counter is declared by the name that its samples have.
#[must_use]
pub fn plain(reading: Reading) -> String {
    let mut text = String::new();
    let realm = reading.coturn_realm.as_deref();
    let more = realm.map_or_else(String::new, |realm| coturn::lines(&reading, realm, false));
    let open = own(reading);
    for line in open.lines().filter(|line| *line != "# EOF") {
        let declared = ["# HELP ", "# TYPE "].iter().find_map(|word| {
            let (name, rest) = line.strip_prefix(word)?.split_once(' ')?;
            Some((*word, name, rest)).filter(|_| is_counter(&open, name))
        });
        match declared {
            Some((word, name, rest)) => text.push_str(&format!("{word}{name}_total {rest}")),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text.push_str(&more);
    text
}

fn is_counter(open: &str, name: &str) -> bool {
    open.contains(&format!("# TYPE {name} counter\n"))
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Page(encoder);
        let version = [(self.version, 1)];
        to.gauges("turnbell_build_info", "Version of turnbell; always 1", "version", &version)?;
        let (started, alive) = self.shards;
        let help = "Relay threads that were started, and those that make progress";
        to.gauges("turnbell_shards", help, "state", &[("started", started), ("alive", alive)])?;
        let help = "Whether new allocations are refused until the daemon ends";
        to.gauge("turnbell_draining", help, self.draining.into())?;
        let help = "Whether new work is refused for want of memory";
        to.gauge("turnbell_memory_short", help, self.short_of_memory.into())?;
        let [users, total, tenants] = self.near.map(|count| count as u64);
        let near = [("user_allocations", users), ("allocations", total), ("tenant_calls", tenants)];
        let help = "Users, all together and tenants that have 80 % of a quota or more";
        to.gauges("turnbell_quotas_near", help, "quota", &near)?;
        let Ports { free, resting, used } = self.ports;
        let ports = [("free", free), ("resting", resting), ("used", used)];
        to.gauges("turnbell_relay_ports", "Relay ports by their use", "state", &ports)?;
        if let Some(relay) = &self.relay {
            to.relay(relay)?;
        }
        let help = "Live allocations that there may be";
        to.gauge("turnbell_allocations_max", help, self.allocations_max)?;
        to.machine(self)?;
        to.calls(&self.calls)?;
        to.record(&self.record)?;
        to.issuers(&self.issuers)?;
        let of = |value: fn(&Verified) -> u64| {
            self.verified.iter().map(|v| (v.vantage, value(v))).collect::<Vec<_>>()
        };
        let help = "Worst finding of the last verification: 0 works, 1 note, 2 warning, 3 error";
        to.gauges("turnbell_verification_severity", help, "vantage", &of(|v| v.severity))?;
        let help = "When the last verification began, Unix time";
        let name = "turnbell_verification_timestamp_seconds";
        to.gauges(name, help, "vantage", &of(|v| v.at_unix_s))?;
        to.process(&self.process)
    }
}

/// The encoder, with words for the shapes that are used.
struct Page<'a>(DescriptorEncoder<'a>);

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Page<'_> {
    fn relay(&mut self, relay: &Statistics) -> fmt::Result {
        let Statistics { counters, live, traffic } = relay;
        let live = live.map(|(way, count)| (way.code(), count));
        let help = "Live allocations by the client's transport";
        self.gauges("turnbell_allocations", help, "transport", &live)?;
        let help = "Relayed transport addresses given";
        self.counter("turnbell_allocations_opened", help, counters.allocations)?;
        let packets = [("peer", traffic.packets_to_peers), ("client", traffic.packets_to_client)];
        let help = "Datagrams relayed for ended and live allocations";
        self.counters("turnbell_relayed_packets", help, "to", &packets)?;
        let bytes = [("peer", traffic.bytes_to_peers), ("client", traffic.bytes_to_client)];
        let help = "Payload of the datagrams relayed, without any header";
        self.counters("turnbell_relayed_bytes", help, "to", &bytes)?;
        let received =
            [("client", counters.datagrams_from_clients), ("peer", counters.datagrams_from_peers)];
        let help = "Messages that arrived, of any kind";
        self.counters("turnbell_datagrams_received", help, "from", &received)?;
        let discarded: Vec<_> =
            Discard::ALL.iter().map(|r| (r.code(), counters.discarded(*r))).collect();
        let help = "Messages that got neither an answer nor a way on";
        self.counters("turnbell_datagrams_discarded", help, "reason", &discarded)?;
        let responses = [("binding", counters.bindings), ("turn", counters.successes)];
        let help = "Success responses by kind of request";
        self.counters("turnbell_responses", help, "to", &responses)?;
        let errors: Vec<_> = counters.rejected().collect();
        self.counters("turnbell_error_responses", "Error responses by code", "code", &errors)?;
        let failures: Vec<_> = counters.auth_failures().collect();
        let help = "Requests with credentials that were refused, by their true cause";
        self.counters("turnbell_authentication_failures", help, "cause", &failures)?;
        let help = "Live permissions that a reload closed";
        self.counter("turnbell_permissions_closed", help, counters.permissions_closed)?;
        let help = "Live channels that a reload closed";
        self.counter("turnbell_channels_closed", help, counters.channels_closed)
    }

    fn machine(&mut self, reading: &Reading) -> fmt::Result {
        if let Some((expires_at, serves)) = reading.certificate {
            let (name, help) = ("turnbell_certificate_expires_seconds", "End of it, Unix seconds");
            self.one(name, help, Kind::Gauge, expires_at as f64)?;
            let help = "Whether turns: URLs are handed out where there is a port for TLS";
            self.gauge("turnbell_certificate_ok", help, serves.into())?;
        }
        let SocketDrops { listeners, relay_sockets, machine } = reading.drops;
        let help = "Datagrams that the kernel threw away because a buffer was full";
        self.counters(
            "turnbell_socket_drops",
            help,
            "of",
            &[("listeners", listeners), ("relay_sockets", relay_sockets), ("machine", machine)],
        )?;
        let Some(free) = reading.disk_free_bytes else { return Ok(()) };
        self.gauge("turnbell_record_disk_free_bytes", "What the disk of the record has left", free)
    }

    fn calls(&mut self, calls: &CallCounts) -> fmt::Result {
        let help = "Users' pages and programs that are connected for signaling";
        self.gauge("turnbell_signaling_sessions", help, calls.sessions)?;
        let help = "Calls that are over, by why they ended";
        self.counters("turnbell_calls_ended", help, "reason", &calls.ended())?;
        let help = "Calls that are over, by what the record says of them";
        self.counters("turnbell_calls", help, "status", &calls.by_status())
    }

    fn record(&mut self, record: &StoreHealth) -> fmt::Result {
        let is_well = matches!(record.state, StoreState::Ok);
        self.gauge("turnbell_record_ok", "Whether the record is being written", is_well.into())?;
        let entries = [("stored", record.stored), ("dropped", record.dropped)];
        let help = "Entries of the record by what became of them";
        self.counters("turnbell_record_entries", help, "outcome", &entries)?;
        self.gauge("turnbell_record_queued_entries", "Entries on their way", record.queued)?;
        let help = "Size of the database and its write-ahead log";
        self.gauge("turnbell_record_size_bytes", help, record.file_bytes)
    }

    /// Few, and named by the operator: no user chooses a label.
    fn issuers(&mut self, issuers: &[IssuerKeys]) -> fmt::Result {
        if issuers.is_empty() {
            return Ok(());
        }
        let of = |value: fn(&IssuerKeys) -> u64| {
            issuers.iter().map(|one| (one.issuer.as_str(), value(one))).collect::<Vec<_>>()
        };
        let help = "Keys fetched from an issuer that verify its tokens";
        self.gauges("turnbell_issuer_keys", help, "issuer", &of(|one| one.keys))?;
        let help = "Whether the last fetch of an issuer's keys brought them";
        self.gauges("turnbell_issuer_keys_ok", help, "issuer", &of(|one| one.is_well.into()))
    }

    fn process(&mut self, process: &Process) -> fmt::Result {
        let Process { cpu_s, resident_bytes, virtual_bytes, open_fds, max_fds, started_unix_s } =
            *process;
        let help = "User and system CPU time spent";
        self.one("process_cpu_seconds", help, Kind::Counter, cpu_s)?;
        self.gauge("process_resident_memory_bytes", "Resident memory size", resident_bytes)?;
        self.gauge("process_virtual_memory_bytes", "Virtual memory size", virtual_bytes)?;
        self.gauge("process_open_fds", "Open file descriptors", open_fds)?;
        self.gauge("process_max_fds", "Most file descriptors that may be open", max_fds)?;
        let help = "Start of the process, Unix seconds";
        self.one("process_start_time_seconds", help, Kind::Gauge, started_unix_s)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, Kind::Gauge, value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, Kind::Counter, value)
    }

    fn gauges<V: EncodeLabelValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        rows: &[(V, u64)],
    ) -> fmt::Result {
        self.family(name, help, Kind::Gauge, label, rows)
    }

    fn counters<V: EncodeLabelValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        rows: &[(V, u64)],
    ) -> fmt::Result {
        self.family(name, help, Kind::Counter, label, rows)
    }

    fn family<V: EncodeLabelValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        label: &'static str,
        rows: &[(V, u64)],
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, kind.metric_type())?;
        for (value, count) in rows {
            kind.encode(family.encode_family(&[(label, *value)])?, *count)?;
        }
        Ok(())
    }

    fn one<N>(&mut self, name: &str, help: &str, kind: Kind, value: N) -> fmt::Result
    where
        N: EncodeCounterValue + EncodeGaugeValue,
    {
        kind.encode(self.0.encode_descriptor(name, help, None, kind.metric_type())?, value)
    }
}

impl Kind {
    fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
        }
    }

    fn encode<N>(self, mut sample: MetricEncoder<'_>, value: N) -> fmt::Result
    where
        N: EncodeCounterValue + EncodeGaugeValue,
    {
        match self {
            Self::Counter => sample.encode_counter::<NoLabelSet, N, u64>(&value, None),
            Self::Gauge => sample.encode_gauge(&value),
        }
    }
}

#[cfg(test)]
mod tests;
