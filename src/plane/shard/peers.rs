//! The part of a shard's turn that is about peers outside, beside reading and batching.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use super::Shard;
use crate::plane::sys::{self, Transmit};
use crate::turn::contract::Discard;
use crate::turn::relayed_address::RelayPort;

impl Shard {
    /// Collects a datagram for a peer; one that must not be fragmented goes at once, by itself.
    pub(super) fn toward_peer(
        &mut self,
        relay: RelayPort,
        transmit: Transmit,
        dont_fragment: bool,
    ) {
        if !dont_fragment {
            return self.to_peers.push((relay, transmit));
        }
        // What was collected before it leaves before it.
        self.send_collected();
        let Some(socket) = self.sockets.socket(relay) else {
            return self.relay.discard(Discard::NotSent);
        };
        if let Err(error) = sys::send_whole(socket.as_fd(), self.slots.bytes(), transmit) {
            self.relay.discard(why_not_sent(&error));
        }
    }
}

fn why_not_sent(error: &io::Error) -> Discard {
    if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) {
        Discard::TooBigForPath
    } else {
        Discard::NotSent
    }
}
