//! One client of the flow: its numbered datagrams leave through the relay and come back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::ChannelRange;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::framing::{Framing, first_frame};
use turnbell::wire::message::{Class, Message, Method};
use turnbell::wire::writer::MessageWriter;

use crate::stream_client::{StreamClient, channel_data, new_id};
use crate::turn_client::TurnClient;

/// The channel of every line that has one.
const CHANNEL: u16 = 0x4000;
/// Bytes that arrive at once, at the most.
const READ_BYTES: usize = 16 * 1024;

/// A client with an allocation, and a peer of its own that echoes.
pub(super) struct Line {
    link: Link,
    server: SocketAddr,
    pub(super) relayed: SocketAddr,
    pub(super) echo: UdpSocket,
    peer: SocketAddr,
    has_channel: bool,
}

enum Link {
    Udp { socket: UdpSocket, client: TurnClient },
    Tcp { socket: TcpStream, client: StreamClient, received: Vec<u8>, unsent: Vec<u8> },
}

/// How a line reaches the relay and how its data is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    UdpChannel,
    UdpIndication,
    TcpChannel,
}

/// What came for a client.
#[derive(Debug)]
pub(super) enum Heard {
    Data(Vec<u8>),
    /// To a request: its transaction id, and the code if it was refused.
    Answer([u8; 12], Option<u16>),
}

impl Line {
    /// Allocates and opens the way to its echo; everything blocks until it is done.
    pub(super) fn open(server: SocketAddr, kind: Kind, username: &str, password: &str) -> Self {
        let echo = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
        let peer = echo.local_addr().unwrap();
        let has_channel = kind != Kind::UdpIndication;
        let (link, relayed) = match kind {
            Kind::UdpChannel | Kind::UdpIndication => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let own = socket.try_clone().unwrap();
                let client = TurnClient::allocate_from(own, server, username, password).unwrap();
                if has_channel {
                    client.bind_channel(CHANNEL, peer).unwrap();
                }
                client.permit(peer.ip()).unwrap();
                socket.set_nonblocking(true).unwrap();
                let relayed = client.relayed;
                (Link::Udp { socket, client }, relayed)
            }
            Kind::TcpChannel => {
                let mut client = StreamClient::connect(server);
                let relayed = client.allocate(username, password).unwrap();
                client.bind_channel(CHANNEL, peer).unwrap();
                let socket = client.socket.try_clone().unwrap();
                socket.set_nonblocking(true).unwrap();
                let (received, unsent) = (Vec::new(), Vec::new());
                (Link::Tcp { socket, client, received, unsent }, relayed)
            }
        };
        echo.set_nonblocking(true).unwrap();
        Self { link, server, relayed, echo, peer, has_channel }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.link {
            Link::Udp { socket, .. } => socket.as_fd(),
            Link::Tcp { socket, .. } => socket.as_fd(),
        }
    }

    /// Sends `data` to the echo.
    pub(super) fn send(&mut self, data: &[u8]) {
        let bytes = if self.has_channel {
            channel_data(CHANNEL, data)
        } else {
            MessageWriter::new(Class::Indication, Method::SEND, new_id())
                .xor_address(AttributeType::XOR_PEER_ADDRESS, self.peer)
                .attribute(AttributeType::DATA, data)
                .finish(None, false)
        };
        self.write(&bytes);
    }

    /// Sends bytes to the server as they are.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match &mut self.link {
            // Loopback takes it or the test counts it as lost.
            Link::Udp { socket, .. } => drop(socket.send_to(bytes, self.server)),
            Link::Tcp { socket, unsent, .. } => {
                unsent.extend_from_slice(bytes);
                if let Ok(count) = socket.write(unsent) {
                    unsent.drain(..count);
                }
            }
        }
    }

    /// The requests that keep its allocation, its permission and its channel, each with its id.
    pub(super) fn keep_alive(&self) -> Vec<([u8; 12], Vec<u8>)> {
        let requests = [
            self.request(Method::REFRESH, |writer| writer),
            self.request(Method::CREATE_PERMISSION, |writer| {
                let peer = SocketAddr::new(self.peer.ip(), 0);
                writer.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            }),
            self.request(Method::CHANNEL_BIND, |writer| {
                writer
                    .u32(AttributeType::CHANNEL_NUMBER, u32::from(CHANNEL) << 16)
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, self.peer)
            }),
        ];
        let count = if self.has_channel { 3 } else { 2 };
        let with_id = |bytes: Vec<u8>| (bytes[8..20].try_into().unwrap(), bytes);
        requests.into_iter().take(count).map(with_id).collect()
    }

    fn request(
        &self,
        method: Method,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> Vec<u8> {
        match &self.link {
            Link::Udp { client, .. } => client.request(method, fill),
            Link::Tcp { client, .. } => client.request(method, fill).1,
        }
    }

    /// Everything that has come for it.
    pub(super) fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut buffer = [0; READ_BYTES];
        match &mut self.link {
            Link::Udp { socket, .. } => {
                while let Ok((count, _)) = socket.recv_from(&mut buffer) {
                    heard.extend(understood(&buffer[..count]));
                }
            }
            Link::Tcp { socket, received, .. } => {
                match socket.read(&mut buffer) {
                    Ok(0) => panic!("the server closed a connection of the flow"),
                    Ok(count) => received.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("a connection of the flow broke: {error}"),
                }
                while let Framing::Frame { len, taken } = frame(received) {
                    heard.extend(understood(&received[..len]));
                    received.drain(..taken);
                }
            }
        }
        heard
    }

    /// Sends back whatever reached the peer.
    pub(super) fn echo(&self) {
        let mut buffer = [0; READ_BYTES];
        while let Ok((count, from)) = self.echo.recv_from(&mut buffer) {
            let _ = self.echo.send_to(&buffer[..count], from);
        }
    }
}

fn frame(received: &[u8]) -> Framing {
    first_frame(received, ChannelRange::Rfc8656)
}

fn understood(bytes: &[u8]) -> Option<Heard> {
    if bytes[0] & 0xC0 == 0x40 {
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        return Some(Heard::Data(bytes[4..4 + length].to_vec()));
    }
    let message = Message::parse(bytes).unwrap();
    match message.class() {
        Class::Indication => {
            message.attribute(AttributeType::DATA).map(|data| Heard::Data(data.to_vec()))
        }
        Class::SuccessResponse | Class::ErrorResponse => {
            let code = message.attribute(AttributeType::ERROR_CODE);
            let code = code.map(|value| ErrorCode::from_value(value).unwrap().number());
            Some(Heard::Answer(message.transaction_id().0, code))
        }
        Class::Request => panic!("a server asks nothing"),
    }
}
