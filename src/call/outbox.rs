//! What waits for one client: bounded, in order, numbered, and kept until it is acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{Event, Message};
use super::weight;
use crate::limits::call::{
    IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MESSAGES_MAX, OUTBOX_BYTES_MAX, OUTBOX_COALESCE_PERCENT,
    OUTBOX_MESSAGES_MAX, RESUME_BYTES_MAX, RESUME_EVENTS_MAX,
};

/// The way out of a session.
///
/// ```text
/// push ─> queue ─next─> in flight ─sent─> gone
///                  └──> kept ─ack─> gone        events only; the oldest goes when there are many
/// ```
/// An event has its number from `push` on. While no socket is there, events go straight to `kept`;
/// messages that are not events are dropped (a repeated request gets its stored reply).
#[derive(Debug)]
pub(super) struct Outbox {
    queue: VecDeque<(Message, usize)>,
    queued_bytes: usize,
    in_flight: VecDeque<usize>,
    in_flight_bytes: usize,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// Number of the next event.
    next_seq: u64,
    is_attached: bool,
}

/// An event that was sent, or would have been. Most sessions keep a few: this is small.
#[derive(Debug)]
struct Kept {
    seq: u64,
    at_unix_ms: i64,
    event: Arc<Event>,
    weight: usize,
}

impl Kept {
    fn message(&self) -> Message {
        let Self { seq, at_unix_ms, event, weight: _ } = self;
        Message::Event { seq: *seq, at_unix_ms: *at_unix_ms, event: Arc::clone(event) }
    }
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            next_seq: 1,
            is_attached: true,
        }
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Queues an event; `false` if there are too many, and the client is to be closed.
    #[must_use]
    pub(super) fn push_event(&mut self, at_unix_ms: i64, event: Arc<Event>) -> bool {
        let weight = weight::event(&event);
        let kept = Kept { seq: self.next_seq, at_unix_ms, event, weight };
        let message = kept.message();
        self.next_seq += 1;
        self.keep(kept);
        !self.is_attached || self.queue(message, weight)
    }

    /// Queues anything but a new event.
    #[must_use]
    pub(super) fn push(&mut self, message: Message) -> bool {
        let weight = weight::message(&message);
        !self.is_attached || self.queue(message, weight)
    }

    fn queue(&mut self, message: Message, weight: usize) -> bool {
        self.queue.push_back((message, weight));
        self.queued_bytes += weight;
        self.messages() <= OUTBOX_MESSAGES_MAX && self.bytes() <= OUTBOX_BYTES_MAX
    }

    fn keep(&mut self, kept: Kept) {
        self.kept_bytes += kept.weight;
        self.kept.push_back(kept);
        while self.kept.len() > RESUME_EVENTS_MAX || self.kept_bytes > RESUME_BYTES_MAX {
            self.drop_oldest_kept();
        }
    }

    fn drop_oldest_kept(&mut self) {
        if let Some(Kept { weight, .. }) = self.kept.pop_front() {
            self.kept_bytes -= weight;
        }
    }

    fn messages(&self) -> usize {
        self.queue.len() + self.in_flight.len()
    }

    fn bytes(&self) -> usize {
        self.queued_bytes + self.in_flight_bytes
    }

    /// Whether what can wait should.
    pub(super) fn is_half_full(&self) -> bool {
        let over = |is: usize, max: usize| is * 100 >= max * OUTBOX_COALESCE_PERCENT;
        over(self.messages(), OUTBOX_MESSAGES_MAX) || over(self.bytes(), OUTBOX_BYTES_MAX)
    }

    /// The next message to hand over, if the socket keeps up.
    pub(super) fn next(&mut self) -> Option<Message> {
        let is_open = self.in_flight.is_empty()
            || self.in_flight.len() < IN_FLIGHT_MESSAGES_MAX
                && self.in_flight_bytes < IN_FLIGHT_BYTES_MAX;
        if !is_open {
            return None;
        }
        let (message, weight) = self.queue.pop_front()?;
        self.queued_bytes -= weight;
        self.in_flight.push_back(weight);
        self.in_flight_bytes += weight;
        Some(message)
    }

    /// So many were written to the socket.
    pub(super) fn sent(&mut self, count: usize) {
        for _ in 0..count.min(self.in_flight.len()) {
            let weight = self.in_flight.pop_front().unwrap_or_default();
            self.in_flight_bytes -= weight;
        }
    }

    /// The client has dealt with everything up to `seq`. One it was never sent changes nothing.
    pub(super) fn acknowledge(&mut self, seq: u64) {
        if seq >= self.next_seq {
            return;
        }
        while self.first_kept().is_some_and(|first| first <= seq) {
            self.drop_oldest_kept();
        }
    }

    fn first_kept(&self) -> Option<u64> {
        self.kept.front().map(|kept| kept.seq)
    }

    /// The socket is gone.
    pub(super) fn detach(&mut self) {
        self.is_attached = false;
        self.queue.clear();
        self.queued_bytes = 0;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
    }

    /// A new socket is there, and the client has dealt with everything up to `last_seq`. What it
    /// missed, to be pushed again after the welcome; `None` if some of it is no longer there.
    pub(super) fn attach(&mut self, last_seq: u64) -> Option<Vec<Message>> {
        self.is_attached = true;
        let first = self.first_kept().unwrap_or(self.next_seq);
        if last_seq >= self.next_seq || last_seq + 1 < first {
            self.kept.clear();
            self.kept_bytes = 0;
            return None;
        }
        self.acknowledge(last_seq);
        Some(self.kept.iter().map(Kept::message).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn void() -> Arc<Event> {
        Arc::new(Event::Void)
    }

    fn seqs(messages: &[Message]) -> Vec<u64> {
        let seq = |message: &Message| {
            let Message::Event { seq, .. } = message else { panic!("no event: {message:?}") };
            *seq
        };
        messages.iter().map(seq).collect()
    }

    #[test]
    fn messages_come_in_order_and_stop_when_the_socket_does_not_keep_up() {
        let mut outbox = Outbox::new();
        for _ in 0..IN_FLIGHT_MESSAGES_MAX + 2 {
            assert!(outbox.push_event(0, void()));
        }
        let first: Vec<Message> = std::iter::from_fn(|| outbox.next()).collect();
        assert_eq!(seqs(&first), (1..=IN_FLIGHT_MESSAGES_MAX as u64).collect::<Vec<_>>());
        outbox.sent(1);
        assert_eq!(seqs(&[outbox.next().unwrap()]), [IN_FLIGHT_MESSAGES_MAX as u64 + 1]);
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn the_512th_message_fits_and_the_next_does_not() {
        let mut outbox = Outbox::new();
        for n in 0..OUTBOX_MESSAGES_MAX {
            assert_eq!(outbox.is_half_full(), n >= OUTBOX_MESSAGES_MAX / 2, "{n}");
            assert!(outbox.push_event(0, void()), "{n}");
        }
        assert!(!outbox.push_event(0, void()));
    }

    #[test]
    fn what_was_missed_is_there_up_to_256_events() {
        let mut outbox = Outbox::new();
        outbox.detach();
        for _ in 0..RESUME_EVENTS_MAX {
            assert!(outbox.push_event(0, void()));
        }
        let all = outbox.attach(0).expect("nothing is lost");
        assert_eq!(seqs(&all), (1..=RESUME_EVENTS_MAX as u64).collect::<Vec<_>>());
        outbox.detach();
        assert!(outbox.push_event(0, void()));
        // The first one is gone: who has it misses nothing, who has not is told.
        assert_eq!(outbox.attach(1).map(|missed| missed.len()), Some(RESUME_EVENTS_MAX));
        outbox.detach();
        assert!(outbox.push_event(0, void()));
        assert_eq!(outbox.attach(1), None);
    }

    #[test]
    fn an_acknowledged_event_does_not_come_again_and_a_future_one_is_nonsense() {
        let mut outbox = Outbox::new();
        for _ in 0..3 {
            assert!(outbox.push_event(0, void()));
        }
        outbox.acknowledge(4);
        outbox.acknowledge(2);
        outbox.detach();
        assert_eq!(outbox.attach(2).map(|missed| seqs(&missed)), Some(vec![3]));
        outbox.detach();
        assert_eq!(outbox.attach(4), None);
        assert_eq!(outbox.next_seq(), 4);
    }

    #[test]
    fn replies_are_not_kept() {
        let mut outbox = Outbox::new();
        assert!(
            outbox.push(Message::Reply { re: None, result: Ok(super::super::event::Reply::Done) })
        );
        outbox.detach();
        assert_eq!(outbox.attach(0), Some(vec![]));
        assert_eq!(outbox.next(), None);
    }
}
