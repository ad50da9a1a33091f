//! A client's connection: TCP, with TLS or without, and the messages in it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use rustls::ClientConnection;
use socket2::SockRef;

use super::{Reading, Sending};
use crate::limits::load::{LOAD_PATIENCE, LOAD_READ_BYTES, LOAD_UNSENT_BYTES_MAX};
use crate::load::relay::server::Server;
use crate::time::Now;
use crate::wire::channel_data::ChannelRange;
use crate::wire::framing::{Framing, first_frame};

/// Connected, and encrypted if that was asked for.
pub(crate) struct Stream {
    pub(super) socket: TcpStream,
    tls: Option<ClientConnection>,
    /// Received of a message whose rest is still to come; at most a message and a read.
    rest: Vec<u8>,
    /// What the kernel did not take yet.
    unsent: Vec<u8>,
}

impl Stream {
    /// # Errors
    /// If nobody takes the connection, or TLS is not agreed on, in [`LOAD_PATIENCE`].
    pub(super) fn open(server: &Server) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&server.address, LOAD_PATIENCE)?;
        socket.set_nodelay(true)?;
        let mut tls = None;
        if let Some((config, name)) = &server.tls {
            let session = ClientConnection::new(config.clone(), name.clone());
            let mut session = session.map_err(io::Error::other)?;
            session.set_buffer_limit(None);
            shake_hands(&socket, &mut session)?;
            tls = Some(session);
        }
        socket.set_nonblocking(true)?;
        Ok(Self { socket, tls, rest: Vec::new(), unsent: Vec::new() })
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<Sending> {
        if !self.unsent.is_empty() && self.flush() {
            return Ok(Sending::Full);
        }
        self.ask(bytes).map(|()| Sending::Taken)
    }

    pub(super) fn ask(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.unsent.len() > LOAD_UNSENT_BYTES_MAX {
            return Err(ErrorKind::TimedOut.into());
        }
        match &mut self.tls {
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.unsent)?;
                }
            }
            None if self.unsent.is_empty() => {
                let count = write_once(&self.socket, bytes)?;
                self.unsent.extend_from_slice(&bytes[count..]);
                return Ok(());
            }
            None => self.unsent.extend_from_slice(bytes),
        }
        self.flush();
        Ok(())
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether anything is left. What is broken is seen when it is read from.
    pub(super) fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match write_once(&self.socket, &self.unsent) {
                Ok(0) | Err(_) => return true,
                Ok(count) => drop(self.unsent.drain(..count)),
            }
        }
        false
    }

    pub(super) fn read(&mut self, buffer: &mut [u8], mut each: impl FnMut(&[u8])) -> Reading {
        let count = match (&self.socket).read(buffer) {
            Ok(0) => return Reading::Ended,
            Ok(count) => count,
            Err(error) if is_later(&error) => return Reading::Empty,
            Err(_) => return Reading::Ended,
        };
        let mut ended = false;
        match &mut self.tls {
            None => self.rest.extend_from_slice(&buffer[..count]),
            Some(tls) => match decrypt(tls, &buffer[..count], &mut self.rest) {
                Ok(closed) => ended = closed,
                Err(_) => return Reading::Ended,
            },
        }
        let mut at = 0;
        loop {
            match first_frame(&self.rest[at..], ChannelRange::Rfc8656) {
                Framing::Frame { len, taken } => {
                    each(&self.rest[at..at + len]);
                    at += taken;
                }
                Framing::Partial => break,
                Framing::Malformed => return Reading::Ended,
            }
        }
        self.rest.drain(..at);
        if ended { Reading::Ended } else { Reading::Open }
    }
}

/// Waits for the handshake, in all for [`LOAD_PATIENCE`].
fn shake_hands(mut socket: &TcpStream, tls: &mut ClientConnection) -> io::Result<()> {
    let until = Now::read().mono + LOAD_PATIENCE;
    while tls.is_handshaking() || tls.wants_write() {
        let left = until.saturating_duration_since(Now::read().mono);
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let options = SockRef::from(socket);
        options.set_read_timeout(Some(left))?;
        options.set_write_timeout(Some(left))?;
        if tls.wants_write() {
            tls.write_tls(&mut socket)?;
        } else if tls.read_tls(&mut socket)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        } else {
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Appends what `wire` decrypts to; whether the server said that it closes.
fn decrypt(tls: &mut ClientConnection, mut wire: &[u8], plain: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let start = plain.len();
        plain.resize(start + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(&mut plain[start..])?;
        if state.peer_has_closed() {
            return Ok(true);
        }
        if wire.is_empty() {
            return Ok(false);
        }
        tls.read_tls(&mut wire)?;
    }
}

/// Bytes written; 0 if the kernel takes none.
fn write_once(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if is_later(&error) => Ok(0),
        other => other,
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

const _: () = assert!(LOAD_READ_BYTES >= crate::limits::FRAME_BYTES_MAX);
