//! What is asked of the kernel for a socket, once or for one datagram; the calls are in `sys.rs`.

use std::io;
use std::os::fd::BorrowedFd;

use super::{send_batch, set_option};
use crate::plane::datagram::Transmit;

/// Asks the kernel to say with each datagram which address of ours it was sent to.
pub(in crate::plane) fn report_destination(fd: BorrowedFd<'_>, is_v6: bool) -> io::Result<()> {
    if is_v6 {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Asks the kernel to say with each datagram which DSCP and ECN it came with.
pub(in crate::plane) fn report_tos(fd: BorrowedFd<'_>, is_v6: bool) -> io::Result<()> {
    if is_v6 {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)
    } else {
        set_option(fd, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)
    }
}

/// Lets datagrams of one flow that came together be received as one, with the length of each.
///
/// There is no way back: what is in the queue then would be handed out without that length.
pub(in crate::plane) fn aggregate(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Whether this kernel cuts bursts up; 0 is what a socket begins with.
pub(in crate::plane) fn knows_bursts(fd: BorrowedFd<'_>) -> bool {
    set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

/// Lets routers fragment what is relayed: DF is not set (RFC 8656 §14's alternate behaviour).
pub(in crate::plane) fn allow_fragments(fd: BorrowedFd<'_>, is_v6: bool) -> io::Result<()> {
    if is_v6 {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)
    } else {
        set_option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)
    }
}

/// Sends one datagram that must not be fragmented, over IPv4 with DF set; it fails with EMSGSIZE if
/// the next link is too narrow.
///
/// From then on the socket sends as before, but routers that drop such a datagram are heard:
/// PMTUDISC_OMIT clears DF and ignores what routers say of a path, as DONT does, and the kernel
/// still reports it.
pub(in crate::plane) fn send_whole(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    transmit: Transmit,
) -> io::Result<()> {
    let (level, option, probe, omit) = if transmit.to.is_ipv6() {
        let (probe, omit) = (libc::IPV6_PMTUDISC_PROBE, libc::IPV6_PMTUDISC_OMIT);
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, probe, omit)
    } else {
        let (probe, omit) = (libc::IP_PMTUDISC_PROBE, libc::IP_PMTUDISC_OMIT);
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, probe, omit)
    };
    set_option(fd, level, option, probe)?;
    let sent = send_batch(fd, bytes, &[transmit], false);
    set_option(fd, level, option, omit)?;
    sent.map(|_| ())
}
