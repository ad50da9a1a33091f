//! The folders of the daemon that read bytes of strangers, compiled by themselves: words, rules, the
//! relay, the config. What stands above them in the floors needs sockets and is not fuzzed here.

#[path = "../../src/auth/mod.rs"]
pub mod auth;
#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/constant_time.rs"]
pub mod constant_time;
#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/policy/mod.rs"]
pub mod policy;
#[path = "../../src/time.rs"]
pub mod time;
#[path = "../../src/turn/mod.rs"]
pub mod turn;
#[path = "../../src/wire/mod.rs"]
pub mod wire;
