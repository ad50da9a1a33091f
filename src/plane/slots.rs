//! Receive buffers of a shard, with room for headers in front and padding behind.
//!
//! ```text
//! |headroom 48|a datagram, as received, up to 65,507|tail room 4|   one slot of SLOTS
//! ```
//! A turn fills slots in order and sends from them; they are reused after everything is sent.
//!
//! Parts of an aggregated datagram lie side by side. One that gets a longer header, or padding, is
//! copied behind the slots first, where it has room of its own:
//! ```text
//! |headroom 48|a part|tail room 4|headroom 48|a part|tail room 4|...   PARTS_BYTES in all
//! ```

use std::ops::Range;

use crate::limits::{DATAGRAM_BYTES_MAX, HEADROOM_BYTES, PARTS_BYTES, SLOTS, TAILROOM_BYTES};

const DATAGRAM_ROOM: usize = DATAGRAM_BYTES_MAX.next_multiple_of(8);
const SLOT_BYTES: usize = (HEADROOM_BYTES + DATAGRAM_ROOM + TAILROOM_BYTES).next_multiple_of(64);

/// The buffers. Pages that no datagram ever reached cost no memory.
#[derive(Debug)]
pub(super) struct Slots {
    bytes: Vec<u8>,
    used: usize,
    /// Bytes behind the slots that hold parts.
    parts: usize,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; SLOTS * SLOT_BYTES + PARTS_BYTES], used: 0, parts: 0 }
    }

    /// Slots that can be received into before [`Self::reuse`].
    pub(super) fn free(&self) -> usize {
        SLOTS - self.used
    }

    /// All slots are free again: nothing that was received is needed any more.
    pub(super) fn reuse(&mut self) {
        self.used = 0;
        self.reuse_parts();
    }

    /// The room for parts is free again: what was copied there has been sent.
    pub(super) fn reuse_parts(&mut self) {
        self.parts = 0;
    }

    /// Whether a part of so many bytes can be copied before [`Self::reuse_parts`].
    pub(super) fn has_room_for_part(&self, len: usize) -> bool {
        self.parts + HEADROOM_BYTES + len + TAILROOM_BYTES <= PARTS_BYTES
    }

    /// Copies a part of an aggregated datagram to where it has room of its own; returns where it
    /// lies now. There is room for one of any length right after [`Self::reuse_parts`].
    pub(super) fn part(&mut self, range: Range<usize>) -> Range<usize> {
        let part = self.take_part(range.len());
        self.bytes.copy_within(range, part.start);
        part
    }

    /// Room of its own for something of this length, under the same condition.
    pub(super) fn take_part(&mut self, len: usize) -> Range<usize> {
        let start = SLOTS * SLOT_BYTES + self.parts + HEADROOM_BYTES;
        self.parts += HEADROOM_BYTES + len + TAILROOM_BYTES;
        start..start + len
    }

    /// Where to receive into: the free slots' datagram rooms, in order.
    pub(super) fn receive_into(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes[self.used * SLOT_BYTES..SLOTS * SLOT_BYTES]
            .chunks_exact_mut(SLOT_BYTES)
            .map(|slot| &mut slot[HEADROOM_BYTES..HEADROOM_BYTES + DATAGRAM_ROOM])
    }

    /// Takes the next slot, into which `len` bytes were received; returns where they lie.
    pub(super) fn take(&mut self, len: usize) -> Range<usize> {
        let start = self.used * SLOT_BYTES + HEADROOM_BYTES;
        self.used += 1;
        start..start + len
    }

    /// Copies `bytes`, a datagram's worth, into the next slot; returns where they lie.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let whole = self.take(bytes.len());
        self.bytes[whole.clone()].copy_from_slice(bytes);
        whole
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}
