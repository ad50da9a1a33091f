//! Bytes <-> STUN/TURN words; no state.
