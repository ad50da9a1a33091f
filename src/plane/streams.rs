//! All streams of one shard: by number, with what is to be flushed, ended or looked after.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::handle::FinishedStream;
use super::stream::{Flushed, Scratch, Stream};
use crate::limits::{STREAM_IDLE_MAX, STREAMS_MAX, STREAMS_SHORT};
use crate::turn::five_tuple::{ConnectionNumber, FiveTuple};

/// The streams of one shard.
#[derive(Debug, Default)]
pub(super) struct Streams {
    stream_by_number: HashMap<ConnectionNumber, Entry>,
    /// While memory is short: as many as there were when it became so, or a few.
    most_while_short: Option<usize>,
    last_number: u64,
    /// Something was queued since the last flush.
    to_flush: Vec<ConnectionNumber>,
    /// To be closed at the end of the turn.
    to_end: Vec<ConnectionNumber>,
    /// When to look whether each still does something.
    look_at: BTreeSet<(Instant, ConnectionNumber)>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Entry {
    stream: Stream,
    look_at: Instant,
    is_to_flush: bool,
    is_to_end: bool,
    /// The kernel is to say when it takes bytes again.
    is_blocked: bool,
}

impl Streams {
    /// While memory is short they do not become more than they are, or than a few.
    pub(super) fn hold(&mut self, is_short_of_memory: bool) {
        let now = self.stream_by_number.len().max(STREAMS_SHORT);
        self.most_while_short = is_short_of_memory.then_some(self.most_while_short.unwrap_or(now));
    }

    /// Whether there are as many as may be, without those that end with this turn.
    pub(super) fn is_full(&self) -> bool {
        let most = self.most_while_short.unwrap_or(STREAMS_MAX).min(STREAMS_MAX);
        self.stream_by_number.len() - self.to_end.len() >= most
    }

    pub(super) fn len(&self) -> usize {
        self.stream_by_number.len()
    }

    /// Takes a stream over and watches it; `None` if there are as many as may be, or the kernel
    /// does not watch it: then it is closed.
    pub(super) fn add(
        &mut self,
        now: Instant,
        epoll: &Epoll,
        finished: FinishedStream,
    ) -> Option<ConnectionNumber> {
        if self.is_full() {
            return None;
        }
        self.last_number += 1;
        let number = ConnectionNumber(self.last_number);
        let stream = Stream::new(now, number, finished);
        epoll.add(stream.fd(), EpollEvent::new(READING, stream_token(number))).ok()?;
        let look_at = now + STREAM_IDLE_MAX;
        self.look_at.insert((look_at, number));
        let entry =
            Entry { stream, look_at, is_to_flush: false, is_to_end: false, is_blocked: false };
        self.stream_by_number.insert(number, entry);
        Some(number)
    }

    pub(super) fn get_mut(&mut self, number: ConnectionNumber) -> Option<&mut Stream> {
        self.stream_by_number.get_mut(&number).map(|entry| &mut entry.stream)
    }

    /// The stream and the buffers for reading from it.
    pub(super) fn for_reading(
        &mut self,
        number: ConnectionNumber,
    ) -> Option<(&mut Stream, &mut Scratch)> {
        let entry = self.stream_by_number.get_mut(&number)?;
        Some((&mut entry.stream, &mut self.scratch))
    }

    /// Has it flushed at the end of the turn.
    pub(super) fn flush_later(&mut self, number: ConnectionNumber) {
        if let Some(entry) = self.stream_by_number.get_mut(&number)
            && !entry.is_to_flush
        {
            entry.is_to_flush = true;
            self.to_flush.push(number);
        }
    }

    /// Has it closed at the end of the turn, after a last flush.
    pub(super) fn end_later(&mut self, number: ConnectionNumber) {
        if let Some(entry) = self.stream_by_number.get_mut(&number)
            && !entry.is_to_end
        {
            entry.is_to_end = true;
            self.to_end.push(number);
        }
    }

    /// Sends what was queued; returns how many frames had grown too old.
    pub(super) fn flush(&mut self, now: Instant, epoll: &Epoll) -> usize {
        let mut dropped = 0;
        while let Some(number) = self.to_flush.pop() {
            let Some(entry) = self.stream_by_number.get_mut(&number) else { continue };
            entry.is_to_flush = false;
            let flushed = entry.stream.flush(now, &mut self.scratch, &mut dropped);
            let is_blocked = flushed == Flushed::Blocked;
            if is_blocked != entry.is_blocked {
                entry.is_blocked = is_blocked;
                let interest = if is_blocked { READING | EpollFlags::EPOLLOUT } else { READING };
                let mut event = EpollEvent::new(interest, stream_token(number));
                // It is in the set: `add` put it there, and only closing takes it out.
                let _ = epoll.modify(entry.stream.fd(), &mut event);
            }
            if flushed == Flushed::Broken {
                self.end_later(number);
            }
        }
        dropped
    }

    /// Closes the next one that is to end; whose it was.
    pub(super) fn end_next(&mut self) -> Option<FiveTuple> {
        let number = self.to_end.pop()?;
        let Some(mut entry) = self.stream_by_number.remove(&number) else {
            debug_assert!(false, "a stream is ended once");
            return None;
        };
        self.look_at.remove(&(entry.look_at, number));
        entry.stream.say_goodbye(&mut self.scratch);
        Some(entry.stream.tuple)
    }

    /// The next one to look after: when it was last heard of.
    pub(super) fn next_due(&self, now: Instant) -> Option<(ConnectionNumber, Instant)> {
        let (_, number) = *self.look_at.first().filter(|(at, _)| *at <= now)?;
        self.stream_by_number.get(&number).map(|entry| (number, entry.stream.heard_at))
    }

    /// The one to look after first, due or not, of those that are to stay.
    pub(super) fn first(&self) -> Option<(ConnectionNumber, FiveTuple)> {
        let stays = |number| self.stream_by_number.get(number).filter(|entry| !entry.is_to_end);
        let mut staying = self.look_at.iter().filter_map(|(_, number)| stays(number));
        staying.next().map(|entry| (entry.stream.tuple.connection, entry.stream.tuple))
    }

    /// Looks after it again at `at`, which is later than before.
    pub(super) fn look_again(&mut self, number: ConnectionNumber, at: Instant) {
        if let Some(entry) = self.stream_by_number.get_mut(&number) {
            self.look_at.remove(&(entry.look_at, number));
            entry.look_at = at;
            self.look_at.insert((at, number));
        }
    }
}

const READING: EpollFlags = EpollFlags::EPOLLIN;

/// The epoll token of a stream; a late event of a closed one finds nothing.
fn stream_token(number: ConnectionNumber) -> u64 {
    STREAM_BIT | number.0
}

/// Reads a token back; `None` if it belongs to something else.
pub(super) fn stream_of(token: u64) -> Option<ConnectionNumber> {
    (token & STREAM_BIT != 0).then_some(ConnectionNumber(token & !STREAM_BIT))
}

/// Below the bit of relay sockets.
const STREAM_BIT: u64 = 1 << 61;
