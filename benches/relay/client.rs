//! A TURN client over UDP, one request at a time, in turnbell's own words.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::lab::{PASSWORD, Server, USERNAME};

const UDP: u32 = 17 << 24;
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;

/// An allocation and the socket of its client, connected to the server.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    pub(crate) relayed: SocketAddr,
    key: LongTermKey,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    requests: u32,
}

/// Asks until the server answers a Binding request, for [`ANSWER_WITHIN`] times [`TRIES`].
pub(crate) fn wait_until_it_answers(server: &Server) -> Result<()> {
    // Not connected, so that it does not hear that the port is closed still.
    let socket = UdpSocket::bind((server.net.client(), 0))?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    let request = MessageWriter::new(Class::Request, Method::BINDING, id(0)).finish(None, false);
    for _ in 0..TRIES {
        socket.send_to(&request, server.net.server())?;
        if socket.recv(&mut [0; 1500]).is_ok() {
            return Ok(());
        }
    }
    bail!("no answer; it last said:\n{}", server.last_words())
}

impl Client {
    /// Logs in: refused with 401, then an allocation.
    pub(crate) fn allocate(from: IpAddr, server: SocketAddr) -> Result<Self> {
        let socket = connected(from, server)?;
        let allocate = |n| {
            MessageWriter::new(Class::Request, Method::ALLOCATE, id(n))
                .u32(AttributeType::REQUESTED_TRANSPORT, UDP)
        };
        let challenge = ask(&socket, 0, allocate(0), None)?;
        let message = parse(&challenge)?;
        let part = |kind| message.attribute(kind).map(<[u8]>::to_vec).context("a 401 without it");
        let (realm, nonce) = (part(AttributeType::REALM)?, part(AttributeType::NONCE)?);
        let key = LongTermKey::derive(
            PasswordAlgorithm::Md5,
            USERNAME.as_bytes(),
            &realm,
            PASSWORD.as_bytes(),
        );
        let nobody = SocketAddr::new(from, 0);
        let mut client = Self { socket, relayed: nobody, key, realm, nonce, requests: 1 };
        let answer = client.request(allocate(1))?;
        let value = parse(&answer)?.attribute(AttributeType::XOR_RELAYED_ADDRESS);
        let relayed = value.and_then(|value| XorAddress::decode(value, &id(1)));
        client.relayed = relayed.context("an Allocate success without XOR-RELAYED-ADDRESS")?;
        Ok(client)
    }

    /// A permission for `peer` and a channel to it.
    pub(crate) fn open(&mut self, peer: SocketAddr, channel: u16) -> Result<()> {
        let begin = |method, n| {
            MessageWriter::new(Class::Request, method, id(n))
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        };
        self.request(begin(Method::CREATE_PERMISSION, self.requests))?;
        let bind = begin(Method::CHANNEL_BIND, self.requests)
            .u32(AttributeType::CHANNEL_NUMBER, u32::from(channel) << 16);
        self.request(bind).map(drop)
    }

    fn request(&mut self, message: MessageWriter) -> Result<Vec<u8>> {
        let message = message
            .attribute(AttributeType::USERNAME, USERNAME.as_bytes())
            .attribute(AttributeType::REALM, &self.realm)
            .attribute(AttributeType::NONCE, &self.nonce);
        let number = self.requests;
        self.requests += 1;
        let answer = ask(&self.socket, number, message, Some(&self.key))?;
        let message = parse(&answer)?;
        if message.class() != Class::SuccessResponse {
            let code = message.attribute(AttributeType::ERROR_CODE).unwrap_or_default();
            let reason = String::from_utf8_lossy(code.get(4..).unwrap_or_default());
            bail!("{:?} was refused: {reason}", message.method());
        }
        Ok(answer)
    }
}

fn connected(from: IpAddr, server: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    Ok(socket)
}

/// Ids of one client differ; sockets tell clients apart.
fn id(number: u32) -> TransactionId {
    let mut id = *b"bench   0000";
    id[8..].copy_from_slice(&number.to_be_bytes());
    TransactionId(id)
}

fn ask(
    socket: &UdpSocket,
    number: u32,
    message: MessageWriter,
    key: Option<&LongTermKey>,
) -> Result<Vec<u8>> {
    let request = message.finish(key.map(LongTermKey::as_bytes), false);
    let mut buffer = [0; 1500];
    for _ in 0..TRIES {
        socket.send(&request)?;
        match socket.recv(&mut buffer) {
            Ok(len) => {
                let answer = &buffer[..len];
                if parse(answer).is_ok_and(|message| message.transaction_id() == id(number)) {
                    return Ok(answer.to_vec());
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("no answer within {:?}", ANSWER_WITHIN * TRIES)
}

fn parse(bytes: &[u8]) -> Result<Message<'_>> {
    Message::parse(bytes).map_err(|error| anyhow::anyhow!("an answer is no STUN: {error:?}"))
}
