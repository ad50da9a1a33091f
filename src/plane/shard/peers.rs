//! The part of a shard's turn that is about peers outside, beside reading and batching.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;

use super::Shard;
use crate::plane::datagram::Transmit;
use crate::plane::error_queue;
use crate::plane::relay_sockets::is_empty;
use crate::plane::sys;
use crate::time::Now;
use crate::turn::contract::{Discard, Input};
use crate::turn::relayed_address::RelayPort;

impl Shard {
    /// Collects a datagram for a peer; one that must not be fragmented goes at once, by itself.
    pub(super) fn toward_peer(
        &mut self,
        now: Now,
        relay: RelayPort,
        transmit: Transmit,
        dont_fragment: bool,
    ) {
        if !dont_fragment {
            self.to_peers.transmits.push(transmit);
            return self.to_peers.ports.push(relay);
        }
        // What was collected before it leaves before it.
        self.send_collected(now);
        let Some(socket) = self.sockets.socket(relay) else {
            return self.relay.discard(Discard::NotSent);
        };
        if let Err(error) = sys::send_whole(socket.as_fd(), self.slots.bytes(), transmit) {
            self.relay.discard(why_not_sent(&error));
        }
    }

    /// Reads errors and datagrams of a relay socket.
    pub(super) fn serve_relay(
        &mut self,
        now: Now,
        relay: RelayPort,
        events: EpollFlags,
        errors_left: &mut usize,
    ) {
        if events.contains(EpollFlags::EPOLLERR) {
            self.read_errors(now, relay, errors_left);
        }
        self.read_relay(now, relay);
    }

    /// Hands the machine what ICMP said of this socket's datagrams, as long as the turn has room
    /// for it. Taking an error out also keeps it from failing a later call.
    fn read_errors(&mut self, now: Now, relay: RelayPort, left: &mut usize) {
        while *left > 0 {
            let Some(socket) = self.sockets.socket(relay) else { return };
            match error_queue::next(socket.as_fd()) {
                Ok(Some((peer, error))) => {
                    self.relay.handle(now, Input::PeerUnreachable { relay, peer, error });
                    self.drain(now);
                }
                Ok(None) => {}
                Err(error) => {
                    if !is_empty(&error) {
                        tracing::trace!(%error, port = relay.number, "no error could be read");
                    }
                    return;
                }
            }
            *left -= 1;
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
