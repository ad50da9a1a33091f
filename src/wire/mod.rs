//! Bytes <-> STUN/TURN words; no state.

pub mod address;
pub mod attribute;
pub mod channel_data;
pub mod data_indication;
pub mod error_code;
pub mod framing;
pub mod integrity;
pub mod message;
pub mod writer;
