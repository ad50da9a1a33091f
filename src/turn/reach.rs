//! Whom a user may reach of what policy allows (P8).

use crate::auth::credential::Authenticated;
use crate::auth::page_run::is_page_run;
use crate::policy::peers::{AllowedAddress, AllowedPeer};

/// A page that verifies reaches its own other end, and nobody outside.
pub(super) fn address_for(who: &Authenticated, address: AllowedAddress) -> Option<AllowedAddress> {
    if is_page_run(&who.user) { address.inside_only() } else { Some(address) }
}

/// The same for a transport address.
pub(super) fn peer_for(who: &Authenticated, peer: AllowedPeer) -> Option<AllowedPeer> {
    if is_page_run(&who.user) { peer.inside_only() } else { Some(peer) }
}
