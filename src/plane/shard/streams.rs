//! The part of a shard's turn that is about TCP and TLS clients: streams are taken over, read,
//! cut into messages, and closed.

use std::sync::mpsc::TryRecvError;
use std::time::Instant;

use super::Shard;
use super::reading::Room;
use crate::limits::{FRAME_BYTES_UNALLOCATED_MAX, STREAM_IDLE_MAX, STREAMS_PER_TURN};
use crate::plane::stream::Reading;
use crate::time::Now;
use crate::turn::contract::{Discard, Header, Input};
use crate::turn::five_tuple::{ConnectionNumber, FiveTuple};
use crate::wire::framing::{Framing, first_frame};

impl Shard {
    /// Takes over the streams that the edge has finished.
    pub(super) fn take_streams(&mut self, now: Now) {
        self.streams.hold(self.ledger.is_short_of_memory());
        for _ in 0..STREAMS_PER_TURN {
            let finished = match self.finished.try_recv() {
                Ok(finished) => finished,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            };
            if self.streams.is_full() {
                self.end_an_idle_stream(now);
            }
            match self.streams.add(now.mono, &self.epoll, finished) {
                // What the edge read to tell protocols apart may be whole messages already.
                Some(number) => self.read_stream(now, number),
                None => tracing::debug!("a stream is refused: there are as many as may be"),
            }
        }
        self.turn_again();
    }

    /// Makes room for a new client: of the streams without allocation the one ends that has had its
    /// chance for longest. Whoever holds many open so keeps nobody out.
    fn end_an_idle_stream(&mut self, now: Now) {
        for _ in 0..STREAMS_PER_TURN {
            let Some((number, tuple)) = self.streams.first() else { return };
            if !self.relay.has_allocation(now, tuple) {
                return self.streams.end_later(number);
            }
            self.streams.look_again(number, now.mono + STREAM_IDLE_MAX);
        }
    }

    /// An event of a stream: it can be read, written, or is broken.
    pub(super) fn serve_stream(&mut self, now: Now, number: ConnectionNumber) {
        self.streams.flush_later(number);
        self.read_stream(now, number);
    }

    fn read_stream(&mut self, now: Now, number: ConnectionNumber) {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let Some((stream, scratch)) = self.streams.for_reading(number) else {
            self.plain = plain;
            return;
        };
        let reading = stream.read(scratch, &mut plain);
        let tuple = stream.tuple;
        // TLS may have something of its own to say.
        self.streams.flush_later(number);
        let taken = self.cut_into_messages(now, tuple, &plain);
        if reading == Reading::Ended {
            self.streams.end_later(number);
        }
        match taken {
            Ok(taken) => self.keep_rest(now, tuple, taken, &plain),
            Err(Malformed) => {
                self.relay.discard(Discard::MalformedStream);
                self.streams.end_later(number);
            }
        }
        self.plain = plain;
    }

    /// Decides every whole message in `plain`; returns how many bytes they took.
    fn cut_into_messages(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        plain: &[u8],
    ) -> Result<usize, Malformed> {
        let channels = self.relay.channel_range();
        let mut at = 0;
        loop {
            match first_frame(&plain[at..], channels) {
                Framing::Frame { len, taken } => {
                    self.make_room(now, 1);
                    // A slot of its own: a header may be written before it and padding behind.
                    let whole = self.slots.put(&plain[at..at + len]);
                    at += taken;
                    self.route_client(now, tuple, whole, 0, Room::Own);
                }
                Framing::Partial => return Ok(at),
                Framing::Malformed => return Err(Malformed),
            }
        }
    }

    fn keep_rest(&mut self, now: Now, tuple: FiveTuple, taken: usize, plain: &[u8]) {
        let rest = &plain[taken..];
        // Who has no allocation has nothing long to say; memory is for those who have.
        let is_long = rest.len() > FRAME_BYTES_UNALLOCATED_MAX;
        if is_long && !self.relay.has_allocation(now, tuple) {
            self.relay.discard(Discard::MalformedStream);
            return self.streams.end_later(tuple.connection);
        }
        if let Some(stream) = self.streams.get_mut(tuple.connection) {
            stream.rest.extend_from_slice(rest);
            if taken > 0 {
                stream.heard_at = now.mono;
            }
        }
    }

    /// Writes header and padding in place and queues the frame; the range is one of `slots`.
    pub(super) fn toward_stream(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        header: Header,
        data: std::ops::Range<usize>,
    ) {
        let end = data.end;
        let Some(mut frame) = self.write_header(header, data) else {
            return self.relay.discard(Discard::TooLong);
        };
        if let Header::Channel(_) = header {
            // RFC 8656 §12.5: padded to four on a stream; nothing of what lay here before shows.
            frame.end = frame.start + frame.len().next_multiple_of(4);
            self.slots.bytes_mut()[end..frame.end].fill(0);
        }
        let Some(stream) = self.streams.get_mut(tuple.connection) else {
            return self.relay.discard(Discard::NotSent);
        };
        let dropped = stream.push_relayed(now.mono, &self.slots.bytes()[frame]);
        self.discard_slow(dropped);
        self.streams.flush_later(tuple.connection);
    }

    /// Queues an answer; a stream that is full of answers nobody reads is closed.
    pub(super) fn answer_stream(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(tuple.connection) else {
            return self.relay.discard(Discard::NotSent);
        };
        match stream.push_answer(bytes) {
            Some(dropped) => {
                self.discard_slow(dropped);
                self.streams.flush_later(tuple.connection);
            }
            None => {
                self.relay.discard(Discard::SlowStream);
                self.streams.end_later(tuple.connection);
            }
        }
    }

    /// Sends what streams have queued.
    pub(super) fn flush_streams(&mut self, now: Now) {
        let dropped = self.streams.flush(now.mono, &self.epoll);
        self.discard_slow(dropped);
    }

    /// Closes what is to be closed; allocations end with their streams.
    pub(super) fn end_streams(&mut self, now: Now) {
        for looked_after in 0..=STREAMS_PER_TURN {
            let Some((number, heard_at)) = self.streams.next_due(now.mono) else { break };
            if looked_after == STREAMS_PER_TURN {
                self.turn_again();
                break;
            }
            self.look_after(now, number, heard_at);
        }
        while let Some(tuple) = self.streams.end_next() {
            self.relay.handle(now, Input::StreamClosed { tuple });
            self.drain(now);
        }
    }

    /// There is more to do than fits a turn: the next one does not wait for anything else.
    fn turn_again(&self) {
        // The counter of an eventfd cannot be full here.
        let _ = self.wake.write(1);
    }

    /// A stream is kept as long as it has an allocation, or said something lately.
    fn look_after(&mut self, now: Now, number: ConnectionNumber, heard_at: Instant) {
        let due = heard_at + STREAM_IDLE_MAX;
        let tuple = self.streams.get_mut(number).map(|stream| stream.tuple);
        let is_used = tuple.is_some_and(|tuple| self.relay.has_allocation(now, tuple));
        let again = if due > now.mono { due } else { now.mono + STREAM_IDLE_MAX };
        self.streams.look_again(number, again);
        if due <= now.mono && !is_used {
            self.streams.end_later(number);
        }
    }

    fn discard_slow(&mut self, frames: usize) {
        for _ in 0..frames {
            self.relay.discard(Discard::SlowStream);
        }
    }
}

/// Nobody can say where the next message begins.
struct Malformed;
