//! What a run was made of, in numbers: a simulation in which nothing happens proves nothing.

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
        self.hash ^= other.hash;
        self
    }

    /// Whether a hundred runs were worth their time.
    pub(crate) fn is_lively(&self) -> bool {
        [
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
            self.refused_by_ledger,
        ]
        .iter()
        .all(|count| *count >= 50)
            && self.successes > self.errors / 10
    }
}
