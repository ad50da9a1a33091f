//! Datagrams that the kernel threw away because the buffer of a socket was full.
//!
//! The kernel counts them for each socket and is asked where there may be some: a socket that threw
//! something away is full, so reading it fills many buffers at once. Asking for every datagram would
//! cost each of them, and reading `/proc/net/udp` stops a relay thread on the same processor for as
//! long as the kernel writes that table.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sys;
use crate::limits::plane::DROPS_LOOKED_FOR_AT;

/// Those of one shard since its start.
#[derive(Debug, Default)]
pub(super) struct Drops {
    pub(super) listeners: AtomicU64,
    pub(super) relay_sockets: AtomicU64,
}

/// What was counted of a socket already; the kernel's number wraps around.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted(u32);

impl Counted {
    /// Counts what is new in `into`.
    pub(super) fn count(&mut self, fd: BorrowedFd<'_>, into: &AtomicU64) {
        let before = self.0;
        self.leave_out(fd);
        let new = self.0.wrapping_sub(before);
        if new > 0 {
            into.fetch_add(new.into(), Ordering::Relaxed);
        }
    }

    /// Leaves out what is new: it was thrown away on purpose.
    pub(super) fn leave_out(&mut self, fd: BorrowedFd<'_>) {
        // A kernel that does not say counts nothing.
        self.0 = sys::drops(fd).unwrap_or(self.0);
    }
}

/// Whether so many datagrams, read into so many buffers, are a reason to ask.
pub(super) fn may_be(received: usize, buffers: usize) -> bool {
    received == buffers && buffers >= DROPS_LOOKED_FOR_AT
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_a_full_socket_throws_away_is_counted_once_and_may_be_left_out() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(2048).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = || {
            for _ in 0..100 {
                sender.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
            }
        };
        let (mut counted, drops) = (Counted::default(), AtomicU64::default());
        let mut read = || {
            counted.count(socket.as_fd(), &drops);
            drops.load(Ordering::Relaxed)
        };
        assert_eq!(read(), 0);
        send();
        let kept = std::iter::from_fn(|| socket.recv(&mut [0; 1000]).ok()).count() as u64;
        assert!((1..100).contains(&kept), "{kept}");
        assert_eq!((read(), read()), (100 - kept, 100 - kept));
        send();
        counted.leave_out(socket.as_fd());
        counted.count(socket.as_fd(), &drops);
        assert_eq!(drops.load(Ordering::Relaxed), 100 - kept);
    }
}
