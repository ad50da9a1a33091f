//! The error queue of a relay socket: what ICMP said of datagrams it sent (IP_RECVERR).

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

use crate::turn::icmp::IcmpError;

/// Room for one extended error with the address of who complained, and a packet-info beside it.
const CONTROL_BYTES: usize = 256;

/// Asks the kernel to keep ICMP errors of this socket, with the peer that each is about.
///
/// From then on an error also fails one later send or receive, to or from anybody.
pub(super) fn keep(socket: &impl AsFd, is_v6: bool) -> io::Result<()> {
    let socket = socket.as_fd();
    if is_v6 {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    }
    Ok(())
}

/// Takes the oldest error out. `None` inside for one that did not come by ICMP and says nothing of
/// a path.
///
/// # Errors
/// `WouldBlock` if there is none.
pub(super) fn next(socket: BorrowedFd<'_>) -> io::Result<Option<(SocketAddr, IcmpError)>> {
    let mut control = [0; CONTROL_BYTES];
    // The datagram that was sent is of no use any more.
    let mut nothing = [0; 1];
    let mut buffers = [IoSliceMut::new(&mut nothing)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
    let Some(peer) = message.address.and_then(|address| socket_address(&address)) else {
        return Ok(None);
    };
    let error = message.cmsgs()?.find_map(|control| {
        if let ControlMessageOwned::Ipv4RecvErr(error, _) = &control {
            return icmp_v4(error);
        }
        if let ControlMessageOwned::Ipv6RecvErr(error, _) = &control {
            return icmp_v6(error);
        }
        None
    });
    Ok(error.map(|error| (peer, error)))
}

fn icmp_v4(error: &libc::sock_extended_err) -> Option<IcmpError> {
    let &libc::sock_extended_err { ee_errno, ee_origin, ee_type, ee_code, ee_info, .. } = error;
    match ee_origin {
        libc::SO_EE_ORIGIN_ICMP => Some(IcmpError { kind: ee_type, code: ee_code, mtu: ee_info }),
        // Our own link is too narrow for a datagram that must stay whole; a router that found the
        // same would say so by these numbers.
        libc::SO_EE_ORIGIN_LOCAL if ee_errno == Errno::EMSGSIZE as u32 => {
            Some(IcmpError { kind: 3, code: 4, mtu: ee_info })
        }
        _ => None,
    }
}

fn icmp_v6(error: &libc::sock_extended_err) -> Option<IcmpError> {
    let &libc::sock_extended_err { ee_errno, ee_origin, ee_type, ee_code, ee_info, .. } = error;
    match ee_origin {
        libc::SO_EE_ORIGIN_ICMP6 => Some(IcmpError { kind: ee_type, code: ee_code, mtu: ee_info }),
        libc::SO_EE_ORIGIN_LOCAL if ee_errno == Errno::EMSGSIZE as u32 => {
            Some(IcmpError { kind: 2, code: 0, mtu: ee_info })
        }
        _ => None,
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    let v6 = SocketAddrV6::from(*address.as_sockaddr_in6()?);
    // The flow label is not part of who somebody is; the scope of a link-local one is.
    Some(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into())
}

/// Calls again once after an error that ICMP may have left behind for an earlier datagram: the
/// first call took it away, the second one's error is its own.
pub(super) fn past_earlier_errors(
    mut call: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    match call() {
        // Nothing to read or no room to send, or a signal came.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Err(error)
        }
        Err(_) => call(),
        Ok(count) => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::plane::datagram::Transmit;
    use crate::plane::sys::{recv_batch, send_batch};

    fn check_dead_peer(loopback: &str, refused: IcmpError) {
        let bind = || UdpSocket::bind((loopback, 0)).unwrap();
        let socket = bind();
        keep(&socket, loopback.contains(':')).unwrap();
        let live = bind();
        let dead = bind().local_addr().unwrap();
        let to = |to| Transmit { range: 0..1, to, from: None, tos: 0 };
        let at = live.local_addr().unwrap();

        // The error of the first datagram is there when the second one is sent, and the third.
        assert_eq!(send_batch(socket.as_fd(), b"x", &[to(dead)], false).unwrap(), 1);
        assert_eq!(send_batch(socket.as_fd(), b"x", &[to(at)], false).unwrap(), 1);
        let mixed = [to(dead), to(at), to(dead), to(at)];
        let mut rest = &mixed[..];
        while !rest.is_empty() {
            rest = &rest[send_batch(socket.as_fd(), b"x", rest, false).unwrap()..];
        }
        live.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        for _ in 0..3 {
            assert_eq!(live.recv(&mut [0; 2]).unwrap(), 1);
        }
        // Nor does one hide what has arrived.
        live.send_to(b"y", socket.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        send_batch(socket.as_fd(), b"x", &[to(dead)], false).unwrap();
        let (mut buffer, mut received) = ([0; 8], Vec::new());
        let got = recv_batch(socket.as_fd(), false, [&mut buffer[..]].into_iter(), &mut received);
        assert_eq!(got.unwrap(), 1);

        for _ in 0..4 {
            assert_eq!(next(socket.as_fd()).unwrap(), Some((dead, refused)));
        }
        assert_eq!(next(socket.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test] // R12
    fn a_dead_peer_fails_no_other_datagram_and_is_found_in_the_queue() {
        check_dead_peer("127.0.0.1", IcmpError { kind: 3, code: 3, mtu: 0 });
        check_dead_peer("::1", IcmpError { kind: 1, code: 4, mtu: 0 });
    }
}
