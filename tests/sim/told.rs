//! What a run was made of, in numbers: a simulation in which nothing happens proves nothing.

use std::collections::BTreeMap;

/// What happened in one run, in numbers; equal for equal seeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) simulated_s: u64,
    pub(crate) allocations: u64,
    /// Of them: with both families.
    pub(crate) dual: u64,
    /// Ports reserved, and redeemed.
    pub(crate) reserved: u64,
    pub(crate) redeemed: u64,
    pub(crate) successes: u64,
    pub(crate) errors: u64,
    pub(crate) silences: u64,
    pub(crate) to_peers: u64,
    /// Of them: not to be fragmented.
    pub(crate) whole: u64,
    pub(crate) to_clients: u64,
    pub(crate) on_channels: u64,
    pub(crate) inside: u64,
    pub(crate) icmp: u64,
    pub(crate) dropped: u64,
    pub(crate) unknown_answered: u64,
    pub(crate) ended_by_client: u64,
    pub(crate) expired: u64,
    pub(crate) refused_by_ledger: u64,
    /// Ended by what is not the client's doing.
    pub(crate) disconnected: u64,
    pub(crate) revoked: u64,
    pub(crate) credential_expired: u64,
    /// Whole messages out of streams; streams that said what is none; that ended within one.
    pub(crate) frames: u64,
    pub(crate) malformed: u64,
    pub(crate) cut_off: u64,
    /// Allocates whose connection went first, and what came later of a connection that was gone.
    pub(crate) abandoned: u64,
    pub(crate) late: u64,
    pub(crate) orders: u64,
    /// Permissions and channels.
    pub(crate) closed_by_policy: u64,
    /// Answers to those who had proven nothing that were kept back.
    pub(crate) cuts: u64,
    pub(crate) over_rate: u64,
    /// By their code.
    pub(crate) errors_by_code: BTreeMap<u16, u64>,
    /// What the ledger refused, by the reason.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) hash: u64,
}

impl Told {
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.simulated_s += other.simulated_s;
        self.allocations += other.allocations;
        self.dual += other.dual;
        self.reserved += other.reserved;
        self.redeemed += other.redeemed;
        self.successes += other.successes;
        self.errors += other.errors;
        self.silences += other.silences;
        self.to_peers += other.to_peers;
        self.whole += other.whole;
        self.to_clients += other.to_clients;
        self.on_channels += other.on_channels;
        self.inside += other.inside;
        self.icmp += other.icmp;
        self.dropped += other.dropped;
        self.unknown_answered += other.unknown_answered;
        self.ended_by_client += other.ended_by_client;
        self.expired += other.expired;
        self.refused_by_ledger += other.refused_by_ledger;
        self.disconnected += other.disconnected;
        self.revoked += other.revoked;
        self.credential_expired += other.credential_expired;
        self.frames += other.frames;
        self.malformed += other.malformed;
        self.cut_off += other.cut_off;
        self.abandoned += other.abandoned;
        self.late += other.late;
        self.orders += other.orders;
        self.closed_by_policy += other.closed_by_policy;
        self.cuts += other.cuts;
        self.over_rate += other.over_rate;
        for (code, count) in other.errors_by_code {
            *self.errors_by_code.entry(code).or_default() += count;
        }
        for (why, count) in other.refused {
            *self.refused.entry(why).or_default() += count;
        }
        self.hash ^= other.hash;
        self
    }

    /// A hundred runs were worth their time.
    pub(crate) fn check_lively(&self) {
        let counts = [
            self.allocations,
            self.dual,
            self.reserved,
            self.redeemed,
            self.to_peers,
            self.whole,
            self.to_clients,
            self.on_channels,
            self.inside,
            self.icmp,
            self.dropped,
            self.silences,
            self.unknown_answered,
            self.ended_by_client,
            self.expired,
            self.disconnected,
            self.revoked,
            self.credential_expired,
            self.frames,
            self.malformed,
            self.cut_off,
            self.abandoned,
            self.late,
            self.orders,
            self.closed_by_policy,
            self.cuts,
            self.over_rate,
        ];
        assert!(counts.iter().all(|count| *count >= 20), "{self:#?}");
        for code in [300, 400, 401, 403, 437, 438, 441, 443, 486, 508] {
            assert!(self.errors_by_code.get(&code).is_some_and(|n| *n >= 5), "{code} {self:#?}");
        }
        for why in ["user", "source", "total", "reservation", "ports", "bind"] {
            assert!(self.refused.get(why).is_some_and(|n| *n >= 5), "{why} {self:#?}");
        }
        assert!(self.successes > self.errors / 10, "{self:#?}");
    }
}
