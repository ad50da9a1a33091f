//! Replace: other secrets, accounts, peer rules and rates while calls are on (R28).
//!
//! Live allocations keep their keys: a secret that was taken away refuses new Allocates only. Where
//! expiry becomes strict, it ends what is live, too.

use std::sync::Arc;

use super::drain::Alternate;
use super::guard::GuardRules;
use super::reach::{address_for, peer_for};
use super::relay::{DefaultFamily, Relay};
use super::relayed_address::RelayAddresses;
use crate::auth::credential::Verifier;
use crate::policy::peers::PeerPolicy;
use crate::time::Now;

/// What the relay goes by from then on; snapshots that are read, never written.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// Of the same realm: another one would end what is live at its next refresh.
    pub verifier: Arc<Verifier>,
    /// Which peers may be reached.
    pub policy: Arc<PeerPolicy>,
    /// Family of an allocation that does not ask for one.
    pub default_family: DefaultFamily,
    /// What clients are told from here on; of the same number and families. What a live allocation
    /// was told before must still lead to it: see [`RelayAddresses::with_former`].
    pub relay_addresses: RelayAddresses,
    /// Other servers, for clients that find no room here.
    pub alternates: Arc<[Alternate]>,
    /// What is done about abuse.
    pub guard: GuardRules,
}

impl Relay {
    /// Swaps the snapshots. Permissions and channels whose peer is refused from here on end; the
    /// client hears 403 when it asks for them again. All others go on untouched.
    pub(super) fn replace(&mut self, now: Now, replacement: Replacement) {
        let Replacement { verifier, policy, default_family, relay_addresses, alternates, guard } =
            replacement;
        debug_assert_eq!(verifier.realm(), self.verifier.realm());
        self.verifier = verifier;
        self.default_family = default_family;
        self.relay_addresses = relay_addresses;
        self.alternates = alternates;
        let live = self.allocations.iter().map(|(slot, live)| (slot, &*live.who.user));
        self.guard.replace(guard, live);
        self.shorten(now);
        if *policy == *self.policy {
            return;
        }
        self.policy = policy;
        for (_, allocation) in &mut self.allocations {
            let who = &allocation.who;
            self.counters.permissions_closed += allocation.permissions.judge_again(now, |ip| {
                self.policy.permit_address(ip).ok().and_then(|address| address_for(who, address))
            });
            self.counters.channels_closed += allocation.channels.judge_again(now, |peer| {
                self.policy.permit_peer(peer).ok().and_then(|peer| peer_for(who, peer))
            });
        }
    }

    /// Lets nothing live longer than the rules about expiry say.
    fn shorten(&mut self, now: Now) {
        for (slot, allocation) in &mut self.allocations {
            let Some(left) = self.guard.time_left(now, &allocation.who) else { continue };
            let noted = allocation.next_expiry();
            allocation.live_at_most_until(now.mono + left);
            let next = allocation.next_expiry();
            if next != noted {
                self.expiry.remove(noted, slot);
                self.expiry.insert(next, slot);
            }
        }
    }
}
