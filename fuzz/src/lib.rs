//! The folders of the daemon that read bytes of strangers, compiled by themselves: words, rules, the
//! machines, the config. What stands above them in the floors needs sockets and is not fuzzed here.

pub use source::{auth, call, config, constant_time, limits, policy, time, turn, wire};

#[path = "../../src"]
mod source {
    pub mod auth;
    pub mod call;
    pub mod config;
    pub mod constant_time;
    pub mod limits;
    pub mod policy;
    pub mod time;
    pub mod turn;
    pub mod wire;
}
