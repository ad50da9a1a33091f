//! What waits to be sent over one stream: bounded in bytes and in age, never by memory.
//!
//! A slow reader loses the oldest relayed frames, whole and before encryption; answers to requests
//! are never lost. Answers go before relayed frames, so that a client hears of its channel before
//! it hears through it.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{STREAM_QUEUE_AGE_MAX, STREAM_QUEUE_BYTES_MAX};

/// The queue of one stream.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    /// Answers one after the other; `answer_bytes` says where each ends.
    answers: VecDeque<u8>,
    answer_bytes: VecDeque<usize>,
    /// Frames likewise.
    relayed: VecDeque<u8>,
    frames: VecDeque<Queued>,
}

#[derive(Debug)]
struct Queued {
    bytes: usize,
    since: Instant,
}

/// No room for an answer, though nothing else is left in the queue: nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl SendQueue {
    fn bytes(&self) -> usize {
        self.answers.len() + self.relayed.len()
    }

    /// Adds an answer; relayed frames make room for it. Returns how many were dropped.
    ///
    /// # Errors
    /// If the answers alone are too many; the stream is to be closed.
    pub(super) fn push_answer(&mut self, answer: &[u8]) -> Result<usize, Full> {
        let dropped = self.make_room(answer.len());
        if self.bytes() + answer.len() > STREAM_QUEUE_BYTES_MAX {
            return Err(Full);
        }
        self.answers.extend(answer);
        self.answer_bytes.push_back(answer.len());
        Ok(dropped)
    }

    /// Adds a relayed frame; older ones make room for it. Returns how many were dropped.
    pub(super) fn push_relayed(&mut self, now: Instant, frame: &[u8]) -> usize {
        let dropped = self.drop_old(now) + self.make_room(frame.len());
        if self.bytes() + frame.len() > STREAM_QUEUE_BYTES_MAX {
            return dropped + 1;
        }
        self.relayed.extend(frame);
        self.frames.push_back(Queued { bytes: frame.len(), since: now });
        dropped
    }

    /// Drops the frames that waited too long; returns how many.
    pub(super) fn drop_old(&mut self, now: Instant) -> usize {
        let mut dropped = 0;
        while self
            .frames
            .front()
            .is_some_and(|frame| now.saturating_duration_since(frame.since) > STREAM_QUEUE_AGE_MAX)
        {
            self.drop_oldest();
            dropped += 1;
        }
        dropped
    }

    /// Moves the next answer or frame behind `out`, whole; `false` if there is none.
    pub(super) fn pop(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(bytes) = self.answer_bytes.pop_front() {
            out.extend(self.answers.drain(..bytes));
        } else if let Some(frame) = self.frames.pop_front() {
            out.extend(self.relayed.drain(..frame.bytes));
        } else {
            return false;
        }
        if self.bytes() == 0 && self.relayed.capacity() + self.answers.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
        true
    }

    fn make_room(&mut self, needed: usize) -> usize {
        let mut dropped = 0;
        while self.bytes() + needed > STREAM_QUEUE_BYTES_MAX && !self.frames.is_empty() {
            self.drop_oldest();
            dropped += 1;
        }
        dropped
    }

    fn drop_oldest(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.relayed.drain(..frame.bytes);
        }
    }
}

/// An empty queue keeps this much, so that a stream that flows allocates nothing.
const KEPT_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Now;

    const HALF: usize = STREAM_QUEUE_BYTES_MAX / 2;

    fn taken(queue: &mut SendQueue) -> Vec<u8> {
        let mut out = Vec::new();
        while queue.pop(&mut out) {}
        assert_eq!(queue.bytes(), 0);
        out
    }

    #[test]
    fn answers_go_first_and_frames_in_order() {
        let (mut queue, now) = (SendQueue::default(), Now::read().mono);
        assert_eq!(queue.push_relayed(now, b"one."), 0);
        assert_eq!(queue.push_answer(b"answer"), Ok(0));
        assert_eq!(queue.push_relayed(now, b"two."), 0);
        assert_eq!(taken(&mut queue), b"answerone.two.");
    }

    #[test]
    fn answers_and_frames_are_taken_whole_and_one_at_a_time() {
        let (mut queue, now) = (SendQueue::default(), Now::read().mono);
        queue.push_relayed(now, b"12345678");
        queue.push_answer(b"answer").unwrap();
        queue.push_answer(b"another").unwrap();
        for expected in [&b"answer"[..], b"another", b"12345678"] {
            let mut out = Vec::new();
            assert!(queue.pop(&mut out));
            assert_eq!(out, expected);
        }
        assert!(!queue.pop(&mut Vec::new()));
    }

    #[test]
    fn a_full_queue_drops_the_oldest_frames_and_never_an_answer() {
        let (mut queue, now) = (SendQueue::default(), Now::read().mono);
        queue.push_answer(b"answer12").unwrap();
        assert_eq!(queue.push_relayed(now, &vec![b'a'; HALF - 8]), 0);
        assert_eq!(queue.push_relayed(now, &vec![b'b'; HALF]), 0, "just full");
        assert_eq!(queue.push_relayed(now, b"c"), 1);
        assert_eq!(queue.push_answer(&vec![b'd'; HALF]), Ok(1), "relayed frames make room");
        let out = taken(&mut queue);
        assert_eq!(&out[..8], b"answer12");
        assert_eq!(out[8..], [vec![b'd'; HALF], b"c".to_vec()].concat());
    }

    #[test]
    fn answers_that_nobody_reads_fill_it() {
        let (mut queue, now) = (SendQueue::default(), Now::read().mono);
        queue.push_answer(&vec![0; STREAM_QUEUE_BYTES_MAX - 4]).unwrap();
        assert_eq!(queue.push_relayed(now, b"12345678"), 1, "it does not fit and is dropped");
        assert_eq!(queue.push_answer(b"1234"), Ok(0));
        assert_eq!(queue.push_answer(b"1"), Err(Full));
    }

    #[test]
    fn a_frame_that_waited_too_long_is_dropped() {
        let (mut queue, now) = (SendQueue::default(), Now::read().mono);
        queue.push_relayed(now, b"old.");
        queue.push_relayed(now + Duration::from_millis(1), b"young");
        assert_eq!(queue.drop_old(now + STREAM_QUEUE_AGE_MAX), 0);
        assert_eq!(queue.drop_old(now + STREAM_QUEUE_AGE_MAX + Duration::from_millis(1)), 1);
        assert_eq!(taken(&mut queue), b"young");
    }
}
