//! One connection of a run: opened, read with a bound, closed when nobody writes to it any more.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::roots::Roots;
use super::{Heard, tls};
use crate::limits::probe::VERIFY_BYTES_MAX;
use crate::ops::interfaces::InterfaceAddress;
use crate::probe::observation::Fault;
use crate::probe::verify::{Link, LinkKind};

type Outgoing = mpsc::Receiver<(SocketAddr, Vec<u8>)>;

/// Which families this machine has an address of that leads anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    pub(super) fn of(here: &[InterfaceAddress]) -> Self {
        let leads = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_loopback() && ip.segments()[0] & 0xFFC0 != 0xFE80,
        };
        let has =
            |v4: bool| here.iter().map(|a| a.address).any(|ip| ip.is_ipv4() == v4 && leads(&ip));
        Self { v4: has(true), v6: has(false) }
    }

    fn have(self, address: SocketAddr) -> bool {
        address.ip().is_loopback() || if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// Runs a link to its end.
pub(super) async fn run(
    link: Link,
    kind: LinkKind,
    address: SocketAddr,
    families: Families,
    roots: Roots,
    outgoing: Outgoing,
    tell: mpsc::Sender<Heard>,
) {
    let fault = |error: &io::Error| fault(error, families, address);
    let ended = match kind {
        LinkKind::Udp | LinkKind::OpenUdp => {
            let is_connected = kind == LinkKind::Udp;
            match udp(address, is_connected).await {
                Ok(socket) => {
                    let _ = tell.send(Heard::Opened(link, Ok(()))).await;
                    datagrams(link, &socket, is_connected, outgoing, &tell).await
                }
                Err(error) => return opened(link, fault(&error), &tell).await,
            }
        }
        LinkKind::Tcp | LinkKind::Tls(_) => {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => return opened(link, fault(&error), &tell).await,
            };
            let _ = stream.set_nodelay(true);
            let _ = tell.send(Heard::Opened(link, Ok(()))).await;
            match kind {
                LinkKind::Tls(host) => match tls::shake_hands(stream, &host, &roots).await {
                    Ok((stream, facts)) => {
                        let _ = tell.send(Heard::Secured(link, Ok(facts))).await;
                        bytes(link, stream, outgoing, &tell).await
                    }
                    Err(fault) => {
                        let _ = tell.send(Heard::Secured(link, Err(fault))).await;
                        return;
                    }
                },
                LinkKind::Udp | LinkKind::OpenUdp | LinkKind::Tcp => {
                    bytes(link, stream, outgoing, &tell).await
                }
            }
        }
    };
    if let Err(error) = ended {
        let fault =
            if error.kind() == ErrorKind::UnexpectedEof { Fault::Closed } else { fault(&error) };
        let _ = tell.send(Heard::Closed(link, fault)).await;
    }
}

async fn opened(link: Link, fault: Fault, tell: &mpsc::Sender<Heard>) {
    let _ = tell.send(Heard::Opened(link, Err(fault))).await;
}

async fn udp(address: SocketAddr, is_connected: bool) -> io::Result<UdpSocket> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    if is_connected {
        socket.connect(address).await?;
    }
    Ok(socket)
}

/// `Ok`: nobody needs it any more.
async fn datagrams(
    link: Link,
    socket: &UdpSocket,
    is_connected: bool,
    mut outgoing: Outgoing,
    tell: &mpsc::Sender<Heard>,
) -> io::Result<()> {
    let mut buffer = [0; 2048];
    let mut heard = 0;
    loop {
        tokio::select! {
            next = outgoing.recv() => {
                let Some((to, bytes)) = next else { return Ok(()) };
                if is_connected {
                    socket.send(&bytes).await?;
                } else {
                    // One of several addresses may be out of reach.
                    let _ = socket.send_to(&bytes, to).await;
                }
            }
            received = socket.recv_from(&mut buffer) => {
                let (count, from) = match received {
                    Ok(received) => received,
                    // ICMP of an earlier datagram.
                    Err(_) if !is_connected => continue,
                    Err(error) => return Err(error),
                };
                heard += count.max(1);
                let received = Heard::Received(link, Some(from), buffer[..count].to_vec());
                if heard > VERIFY_BYTES_MAX * 2 || tell.send(received).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

async fn bytes(
    link: Link,
    stream: impl AsyncRead + AsyncWrite,
    mut outgoing: Outgoing,
    tell: &mpsc::Sender<Heard>,
) -> io::Result<()> {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut buffer = [0; 4096];
    let mut heard = 0;
    loop {
        tokio::select! {
            next = outgoing.recv() => {
                let Some((_, bytes)) = next else { return Ok(()) };
                write.write_all(&bytes).await?;
                write.flush().await?;
            }
            received = read.read(&mut buffer) => {
                let count = received?;
                if count == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                heard += count;
                let received = Heard::Received(link, None, buffer[..count].to_vec());
                if heard > VERIFY_BYTES_MAX * 2 || tell.send(received).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether this machine knows where to send what goes there, if it is said that no network does:
/// asking for a route sends nothing.
fn has_route(error: &io::Error, address: SocketAddr) -> bool {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let connected = || std::net::UdpSocket::bind(any)?.connect(address);
    error.kind() != ErrorKind::NetworkUnreachable || connected().is_ok()
}

fn fault(error: &io::Error, families: Families, address: SocketAddr) -> Fault {
    use ErrorKind as Kind;
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return tls::fault(error);
    }
    if error.kind() == Kind::ConnectionRefused {
        return Fault::Refused;
    }
    // A rule of its firewall, or of the unit.
    if error.kind() == Kind::PermissionDenied {
        return Fault::Forbidden;
    }
    let is_family = matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL));
    let is_unreachable = matches!(error.kind(), Kind::NetworkUnreachable | Kind::HostUnreachable);
    let has_way = || families.have(address) && has_route(error, address);
    if is_family || is_unreachable && !has_way() {
        Fault::NoFamily
    } else if is_unreachable {
        Fault::Unreachable
    } else if error.kind() == Kind::TimedOut {
        Fault::Silent
    } else if matches!(
        error.kind(),
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted
    ) {
        Fault::Closed
    } else {
        Fault::Other(error.to_string())
    }
}
