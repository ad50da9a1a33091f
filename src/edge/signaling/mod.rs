//! `turnbell.v1`: signaling over WebSocket, as JSON. The words are `call`'s, the wire form is here.

mod body;
mod body_media;
mod desk;
mod end;
pub mod exchange;
pub mod frame_in;
pub mod frame_out;
mod shared;
pub mod socket;
pub mod upgrade;
