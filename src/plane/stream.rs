//! One client's TCP or TLS connection inside a shard: bytes in, bytes out, never waiting.

mod queue;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustls::ServerConnection;
use socket2::SockRef;

use super::handle::FinishedStream;
use crate::limits::{
    STREAM_NOTSENT_BYTES, STREAM_READ_BYTES, STREAM_SEND_BUFFER_BYTES, STREAM_STALL_TIMEOUT,
    STREAM_WRITE_BYTES,
};
use crate::turn::five_tuple::{ConnectionNumber, FiveTuple};
use queue::SendQueue;

/// A stream of one shard.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) tuple: FiveTuple,
    /// When its last whole message came.
    pub(super) heard_at: Instant,
    /// What was received of a message whose rest is still to come.
    pub(super) rest: Vec<u8>,
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    queue: SendQueue,
    /// As it goes to the kernel, what the kernel did not take yet.
    unsent: Vec<u8>,
}

/// Buffers that all streams of a shard use in turn; a stream at rest holds none.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// As received or as sent, encrypted where TLS is spoken.
    wire: Vec<u8>,
    plain: Vec<u8>,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// There may be more to come.
    Open,
    /// The other side has closed, or the connection is broken; what came before still counts.
    Ended,
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing is left.
    All,
    /// The kernel takes no more.
    Blocked,
    /// The connection is broken.
    Broken,
}

impl Stream {
    /// Takes a finished stream over. `number` was never used before.
    pub(super) fn new(now: Instant, number: ConnectionNumber, finished: FinishedStream) -> Self {
        let FinishedStream { socket, tls, transport, client, server, received } = finished;
        let options = SockRef::from(&socket);
        // Without one of them the stream works, only slower or longer than it should.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_tcp_notsent_lowat(STREAM_NOTSENT_BYTES);
        let _ = options.set_send_buffer_size(STREAM_SEND_BUFFER_BYTES);
        let _ = options.set_tcp_user_timeout(Some(STREAM_STALL_TIMEOUT));
        let mut tls = tls;
        if let Some(tls) = &mut tls {
            // The queue has bounds of its own, and what is encrypted is taken out at once.
            tls.set_buffer_limit(None);
        }
        Self {
            tuple: FiveTuple { transport, client, server, connection: number },
            heard_at: now,
            rest: received,
            socket,
            tls,
            queue: SendQueue::default(),
            unsent: Vec::new(),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Appends what has arrived to `plain`, behind the rest of last time; does not wait, and reads
    /// at most [`STREAM_READ_BYTES`].
    pub(super) fn read(&mut self, scratch: &mut Scratch, plain: &mut Vec<u8>) -> Reading {
        plain.append(&mut self.rest);
        self.rest = Vec::new();
        let Some(tls) = &mut self.tls else {
            let start = plain.len();
            plain.resize(start + STREAM_READ_BYTES, 0);
            let (count, reading) = read_once(&self.socket, &mut plain[start..]);
            plain.truncate(start + count);
            return reading;
        };
        scratch.wire.resize(STREAM_READ_BYTES, 0);
        let (count, reading) = read_once(&self.socket, &mut scratch.wire);
        match decrypt(tls, &scratch.wire[..count], plain) {
            Ok(Reading::Open) => reading,
            Ok(Reading::Ended) | Err(_) => Reading::Ended,
        }
    }

    /// Queues an answer; returns how many relayed frames were dropped for it, or `None` if the
    /// queue is full of answers and the stream has to be closed.
    pub(super) fn push_answer(&mut self, answer: &[u8]) -> Option<usize> {
        self.queue.push_answer(answer).ok()
    }

    /// Queues a relayed frame; returns how many were dropped.
    pub(super) fn push_relayed(&mut self, now: Instant, frame: &[u8]) -> usize {
        self.queue.push_relayed(now, frame)
    }

    /// Sends what is queued, until nothing is left or the kernel takes no more; adds to `dropped`
    /// what had grown too old.
    pub(super) fn flush(
        &mut self,
        now: Instant,
        scratch: &mut Scratch,
        dropped: &mut usize,
    ) -> Flushed {
        loop {
            while !self.unsent.is_empty() {
                match write_once(&self.socket, &self.unsent) {
                    Ok(0) => return Flushed::Blocked,
                    Ok(count) => drop(self.unsent.drain(..count)),
                    Err(_) => return Flushed::Broken,
                }
            }
            // A stream at rest holds no buffers.
            self.unsent = Vec::new();
            *dropped += self.queue.drop_old(now);
            let Scratch { wire, plain } = scratch;
            let bytes: &[u8] = match &mut self.tls {
                None => {
                    plain.clear();
                    while plain.len() < STREAM_WRITE_BYTES && self.queue.pop(plain) {}
                    plain
                }
                Some(tls) => match encrypt(tls, &mut self.queue, plain, wire) {
                    Ok(()) => wire,
                    Err(_) => return Flushed::Broken,
                },
            };
            if bytes.is_empty() {
                return Flushed::All;
            }
            match write_once(&self.socket, bytes) {
                Ok(count) => self.unsent.extend_from_slice(&bytes[count..]),
                Err(_) => return Flushed::Broken,
            }
        }
    }

    /// Says goodbye where TLS has a word for it; does not wait.
    pub(super) fn say_goodbye(&mut self, scratch: &mut Scratch) {
        if let (Some(tls), true) = (&mut self.tls, self.unsent.is_empty()) {
            tls.send_close_notify();
            scratch.wire.clear();
            if take_encrypted(tls, &mut scratch.wire).is_ok() {
                let _ = write_once(&self.socket, &scratch.wire);
            }
        }
    }
}

/// Bytes read, and whether more can come.
fn read_once(mut socket: &TcpStream, into: &mut [u8]) -> (usize, Reading) {
    match socket.read(into) {
        Ok(0) => (0, Reading::Ended),
        Ok(count) => (count, Reading::Open),
        Err(error) if is_later(&error) => (0, Reading::Open),
        Err(_) => (0, Reading::Ended),
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
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Appends to `plain` what `wire` and what came before it decrypt to.
fn decrypt(
    tls: &mut ServerConnection,
    mut wire: &[u8],
    plain: &mut Vec<u8>,
) -> io::Result<Reading> {
    loop {
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let start = plain.len();
        plain.resize(start + state.plaintext_bytes_to_read(), 0);
        tls.reader().read_exact(&mut plain[start..])?;
        if state.peer_has_closed() {
            return Ok(Reading::Ended);
        }
        if wire.is_empty() {
            return Ok(Reading::Open);
        }
        // A slice is read from, so nothing here waits.
        tls.read_tls(&mut wire)?;
    }
}

/// Replaces `wire` by what is to be sent next: of the queue, and for TLS itself.
///
/// Each message is a record of its own, because some clients take what they read at once for one
/// message.
fn encrypt(
    tls: &mut ServerConnection,
    queue: &mut SendQueue,
    plain: &mut Vec<u8>,
    wire: &mut Vec<u8>,
) -> io::Result<()> {
    wire.clear();
    let mut bytes = 0;
    plain.clear();
    while bytes < STREAM_WRITE_BYTES && queue.pop(plain) {
        tls.writer().write_all(plain)?;
        bytes += plain.len();
        plain.clear();
    }
    take_encrypted(tls, wire)
}

fn take_encrypted(tls: &mut ServerConnection, wire: &mut Vec<u8>) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(wire)?;
    }
    Ok(())
}
