//! A UDP socket that sends and receives several datagrams at once where the kernel lets it.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use socket2::SockRef;

use super::Sending;
use crate::limits::load::{LOAD_PEER_BUFFER_BYTES, LOAD_PORTS};

/// Of a client, or of the peer.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    is_connected: bool,
    /// Whether the kernel cuts one send into datagrams (UDP_SEGMENT).
    has_segments: bool,
    control: Vec<u8>,
}

impl Datagrams {
    /// A client's, from `port` as [`bind`] takes it. What does not come from the server is never
    /// seen.
    ///
    /// # Errors
    /// As the kernel says, for example that `server` cannot be reached.
    pub(super) fn connected(server: SocketAddr, port: &mut u16) -> io::Result<Self> {
        let socket = bind(any(server.ip()), port)?;
        socket.connect(server)?;
        Self::new(socket, true)
    }

    /// A peer's, with room for what all clients send at once; from `port` as [`bind`] takes it. For
    /// where the server relays from the same address, it would take a port of its range for one of
    /// its own relays: the load would be swallowed there instead of refused.
    ///
    /// # Errors
    /// If `ip` is not this machine's.
    pub(in crate::load::relay) fn of_peer(ip: IpAddr, port: &mut u16) -> io::Result<Self> {
        let socket = bind(ip, port)?;
        let options = SockRef::from(&socket);
        // Without it, it works as well, with a smaller window.
        let _ = options.set_recv_buffer_size(LOAD_PEER_BUFFER_BYTES);
        let _ = options.set_send_buffer_size(LOAD_PEER_BUFFER_BYTES);
        Self::new(socket, false)
    }

    fn new(socket: UdpSocket, is_connected: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // An old kernel hands over single datagrams.
        let _ = setsockopt(&socket, UdpGroSegment, &true);
        let control = nix::cmsg_space!(i32);
        Ok(Self { socket, is_connected, has_segments: true, control })
    }

    pub(in crate::load::relay) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// # Errors
    /// None that is known.
    pub(in crate::load::relay) fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends datagrams of `each` bytes, the last of which may be shorter, `to` somebody unless the
    /// socket is connected.
    ///
    /// # Errors
    /// That of the kernel but for a lack of room.
    pub(in crate::load::relay) fn send(
        &mut self,
        bytes: &[u8],
        each: usize,
        to: Option<SocketAddr>,
    ) -> io::Result<Sending> {
        if bytes.len() > each && self.has_segments {
            match self.send_segments(bytes, each, to) {
                // No such thing in this kernel, or not through this device: one after the other.
                Err(error) if is_unable(&error) => self.has_segments = false,
                other => return other,
            }
        }
        for (nth, datagram) in bytes.chunks(each).enumerate() {
            let sent = match to {
                Some(to) => self.socket.send_to(datagram, to),
                None => self.socket.send(datagram),
            };
            match taken(sent)? {
                Sending::Full if nth == 0 => return Ok(Sending::Full),
                // The rest is lost, as it would be on a full line.
                Sending::Full => return Ok(Sending::Taken),
                Sending::Taken => {}
            }
        }
        Ok(Sending::Taken)
    }

    fn send_segments(
        &self,
        bytes: &[u8],
        each: usize,
        to: Option<SocketAddr>,
    ) -> io::Result<Sending> {
        let size = u16::try_from(each).map_err(|_| ErrorKind::InvalidInput)?;
        let to = to.map(SockaddrStorage::from);
        let sent = sendmsg(
            self.socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            &[ControlMessage::UdpGsoSegments(&size)],
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            to.as_ref(),
        );
        taken(sent.map_err(Into::into))
    }

    /// Reads once and hands over each datagram with its source; the server, where connected.
    ///
    /// # Errors
    /// That of the kernel; `WouldBlock` if nothing is there.
    pub(in crate::load::relay) fn read(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8], SocketAddr),
    ) -> io::Result<()> {
        let mut room = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let control = Some(&mut self.control[..]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = recvmsg::<SockaddrStorage>(fd, &mut room, control, flags)?;
        let bytes = received.bytes;
        let from = match self.is_connected {
            true => None,
            false => received.address.as_ref().and_then(address),
        };
        let size = received.cmsgs().ok().and_then(|mut messages| {
            messages.find_map(|message| {
                let ControlMessageOwned::UdpGroSegments(size) = message else { return None };
                usize::try_from(size).ok()
            })
        });
        let from = from.unwrap_or(NOBODY);
        let size = size.filter(|size| *size > 0).unwrap_or_else(|| bytes.max(1));
        if bytes == 0 {
            each(&[], from);
        }
        buffer[..bytes].chunks(size).for_each(|datagram| each(datagram, from));
        Ok(())
    }
}

const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn taken(sent: io::Result<usize>) -> io::Result<Sending> {
    match sent {
        Ok(_) => Ok(Sending::Taken),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS) => Ok(Sending::Full),
            Some(_) | None => Err(error),
        },
    }
}

fn is_unable(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::ENOPROTOOPT | libc::EOPNOTSUPP)
    )
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    storage.as_sockaddr_in6().map(|v6| {
        let v6 = SocketAddrV6::from(*v6);
        // Neither belongs to who somebody is.
        SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0).into()
    })
}

/// Binds to `port`, or the next one of [`LOAD_PORTS`] that is free; `port` goes on.
fn bind(ip: IpAddr, port: &mut u16) -> io::Result<UdpSocket> {
    let mut result = Err(ErrorKind::AddrInUse.into());
    for _ in LOAD_PORTS {
        result = UdpSocket::bind((ip, *port));
        *port = if *port < *LOAD_PORTS.end() { *port + 1 } else { *LOAD_PORTS.start() };
        match &result {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Ok(_) | Err(_) => break,
        }
    }
    result
}

/// The unspecified address of the same family.
fn any(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{REFLECTION_PORTS_DEFAULT, RELAY_PORTS_DEFAULT};
    use crate::time::Now;

    /// What arrives at `peer` within a generous while, until `count` datagrams are there.
    fn arrived(peer: &mut Datagrams, count: usize) -> Vec<Vec<u8>> {
        let begin = Now::read().mono;
        let (mut found, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while found.len() < count && (Now::read().mono - begin).as_secs() < 20 {
            let _ = peer.read(&mut buffer, |datagram, _| found.push(datagram.to_vec()));
        }
        found
    }

    #[test]
    fn a_peer_is_on_no_port_of_relays_or_reflectors() {
        for start in [*LOAD_PORTS.start(), *LOAD_PORTS.end()] {
            let mut port = start;
            let peers = [(); 3]
                .map(|()| Datagrams::of_peer("127.0.0.1".parse().unwrap(), &mut port).unwrap());
            for peer in &peers {
                let port = peer.local().unwrap().port();
                assert!(LOAD_PORTS.contains(&port), "{port}");
            }
        }
        let refused = std::iter::once(&RELAY_PORTS_DEFAULT).chain(REFLECTION_PORTS_DEFAULT);
        for ports in refused {
            assert!(ports.end() < LOAD_PORTS.start() || LOAD_PORTS.end() < ports.start());
        }
    }

    #[test]
    fn a_burst_arrives_as_the_datagrams_that_it_was_made_of() {
        let mut peer = Datagrams::of_peer("127.0.0.1".parse().unwrap(), &mut 20_000).unwrap();
        let at = peer.local().unwrap();
        let mut client = Datagrams::connected(at, &mut 20_000).unwrap();
        let bytes: Vec<u8> = (0..1500).map(|at| (at / 200) as u8).collect();
        assert_eq!(client.send(&bytes, 200, None).unwrap(), Sending::Taken);
        let found = arrived(&mut peer, 8);
        let right: Vec<Vec<u8>> = bytes.chunks(200).map(<[u8]>::to_vec).collect();
        assert_eq!(found, right);
        // The other way, and where the kernel has no such thing.
        client.has_segments = false;
        client.send(&bytes[..300], 200, None).unwrap();
        assert_eq!(arrived(&mut peer, 2).iter().map(Vec::len).collect::<Vec<_>>(), [200, 100]);
        peer.send(&bytes, 500, Some(client.local().unwrap())).unwrap();
        assert_eq!(arrived(&mut client, 3).concat(), bytes);
    }
}
