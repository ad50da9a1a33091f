//! How many calls this machine may carry: what bounds them, estimated from what is known of it.

use super::json::{Bound, CapacityWord};

/// What is known; `None` and 0 where nobody says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// Name and speed of the slowest link that relays, Mbit/s.
    pub link: Option<(String, u64)>,
    /// `rate.total`, bits a second each way.
    pub rate_total: Option<u64>,
    /// Allocations in all.
    pub quota_total: u64,
    /// Relay ports.
    pub ports: u64,
    /// File descriptors.
    pub descriptors: u64,
    /// Flows that connection tracking has room for; only where it is loaded.
    pub tracked_flows: Option<u64>,
    /// CPU seconds and relayed datagrams of the last hour.
    pub cpu: (f64, u64),
}

/// A call of 1 Mbit/s each way that one end relays goes in twice and out twice.
const LINK_BITS_PER_CALL: u64 = 2_000_000;
/// The same in datagrams, of about 1050 bytes each.
const PACKETS_PER_CALL_S: f64 = 240.0;
/// A browser makes an allocation for each URL and interface: so many for both ends together.
const ALLOCATIONS_PER_CALL: u64 = 6;
/// Connection tracking holds the client's flow and one to a peer.
const FLOWS_PER_CALL: u64 = 2 * ALLOCATIONS_PER_CALL;
/// Descriptors that are not allocations: listeners, HTTP, streams, files.
const OTHER_DESCRIPTORS: u64 = 128;
/// Datagrams from which on the time each takes can be told.
const PACKETS_MEASURED_MIN: u64 = 60_000;
/// Per cent of a link or a core that can be filled before calls suffer.
const FILLED: u64 = 80;

/// Estimates it.
#[must_use]
pub fn estimate(known: &Known) -> CapacityWord {
    let mut bounds = bounds(known);
    bounds.sort_by_key(|bound| bound.calls);
    let line = bounds.iter().any(|bound| bound.of == "link" || bound.of == "rate");
    let measured = bounds.iter().any(|bound| bound.of == "cpu");
    let unknown = match (line, measured) {
        (true, true) => "",
        (true, false) => " Too little was relayed within the last hour to measure the CPU.",
        (false, true) => {
            " The speed of the link is not known: set rate.total to a little less than it carries."
        }
        (false, false) => {
            " Neither the speed of the link is known (set rate.total to a little less than it \
             carries) nor was enough relayed within the last hour to measure the CPU."
        }
    };
    let says = bounds.first().map_or_else(
        || "Nothing is known that would bound it.".to_owned(),
        |tightest| {
            let word = if line || measured { "About" } else { "At most" };
            format!(
                "{word} {} relayed calls of 1 Mbit/s each way; {} bounds it first.{unknown}",
                tightest.calls, tightest.from
            )
        },
    );
    CapacityWord { calls: bounds.first().map(|bound| bound.calls), says, bounds }
}

fn bounds(known: &Known) -> Vec<Bound> {
    let Known { link, rate_total, quota_total, ports, descriptors, tracked_flows, cpu } = known;
    let mut bounds = Vec::new();
    let mut bound = |of: &str, calls: u64, from: String| {
        bounds.push(Bound { of: of.to_owned(), calls, from });
    };
    if let Some((name, mbit)) = link {
        let calls = mbit.saturating_mul(1_000_000) / 100 * FILLED / LINK_BITS_PER_CALL;
        bound("link", calls, format!("{FILLED} % of the link {name} ({mbit} Mbit/s)"));
    }
    if let Some(bits) = rate_total {
        bound("rate", bits / LINK_BITS_PER_CALL, "rate.total".to_owned());
    }
    let (cpu_s, packets) = *cpu;
    if packets >= PACKETS_MEASURED_MIN && cpu_s > 0.0 {
        let per_core = FILLED as f64 / 100.0 * packets as f64 / cpu_s;
        let from = format!("{FILLED} % of one core (measured: {:.0} datagrams a second)", per_core);
        bound("cpu", (per_core / PACKETS_PER_CALL_S) as u64, from);
    }
    for (of, all, from) in
        [("quota", *quota_total, "quota.total"), ("ports", *ports, "the number of relay_ports")]
    {
        if all > 0 {
            let from = format!("{from} ({all}, {ALLOCATIONS_PER_CALL} allocations a call)");
            bound(of, all / ALLOCATIONS_PER_CALL, from);
        }
    }
    if *descriptors > 0 {
        let calls = descriptors.saturating_sub(OTHER_DESCRIPTORS) / ALLOCATIONS_PER_CALL;
        bound("descriptors", calls, format!("the number of file descriptors ({descriptors})"));
    }
    if let Some(flows) = tracked_flows {
        let from = format!("room of connection tracking ({flows} flows)");
        bound("conntrack", flows / FLOWS_PER_CALL, from);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            link: Some(("eth0".into(), 1000)),
            quota_total: 14_745,
            ports: 16_384,
            descriptors: 65_536,
            ..Known::default()
        }
    }

    #[test]
    fn the_tightest_bound_is_told_with_what_it_was_estimated_from() {
        let told = estimate(&known());
        assert_eq!(told.calls, Some(400));
        assert!(
            told.says
                .starts_with("About 400 relayed calls of 1 Mbit/s each way; 80 % of the link eth0")
        );
        assert!(told.says.ends_with("to measure the CPU."), "{}", told.says);
        let told = estimate(&Known { rate_total: Some(480_000_000), ..known() });
        assert_eq!((told.calls, &*told.bounds[0].of), (Some(240), "rate"));
        let told = estimate(&Known { tracked_flows: Some(1200), ..known() });
        assert_eq!((told.calls, &*told.bounds[0].of), (Some(100), "conntrack"));
    }

    #[test]
    fn a_core_is_judged_only_by_what_it_was_seen_to_do() {
        // 60,000 datagrams in 0.6 s: 100,000 a second, of which 80 % are 333 calls.
        let told = estimate(&Known { cpu: (0.6, 60_000), ..known() });
        assert_eq!((told.calls, &*told.bounds[0].of), (Some(333), "cpu"));
        let told = estimate(&Known { cpu: (0.6, 59_999), ..known() });
        assert!(!told.bounds.iter().any(|bound| bound.of == "cpu"));
    }

    #[test]
    fn nothing_known_is_said_so() {
        assert_eq!(estimate(&Known::default()).calls, None);
        let told = estimate(&Known { link: None, ..known() });
        assert!(told.says.contains("Neither the speed of the link is known"), "{}", told.says);
    }
}
