//! turnbell: a TURN/STUN relay, ICE configs over HTTP, and the record of both in SQLite.
//!
//! Floors, lowest first; a module imports from its own floor's leaves and below, never upwards
//! (`tests/floors.rs` holds the table):
//!
//! - leaves: [`time`], [`limits`], [`constant_time`]
//! - 0, words and rules: [`wire`], [`auth`], [`policy`]
//! - 1, machines: [`turn`], [`call`], [`probe`]
//! - 2, the world: [`plane`], [`store`]
//! - 3, the edge: [`edge`], [`ops`], [`config`], [`load`]
//! - 4, the whole: [`daemon`], [`cli`]

pub mod auth;
pub mod call;
pub mod cli;
pub mod config;
pub mod constant_time;
pub mod daemon;
pub mod edge;
pub mod limits;
pub mod load;
pub mod ops;
pub mod plane;
pub mod policy;
pub mod probe;
pub mod store;
pub mod time;
pub mod turn;
pub mod wire;
