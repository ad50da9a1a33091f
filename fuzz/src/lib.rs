//! The folders of the daemon that read bytes of strangers, compiled by themselves: words, rules, the
//! relay, the config. What stands above them in the floors needs sockets and is not fuzzed here.

pub use source::{auth, config, constant_time, limits, policy, time, turn, wire};

#[path = "../../src"]
mod source {
    pub mod config;
    pub mod constant_time;
    pub mod limits;
    pub mod policy;
    pub mod time;
    pub mod turn;
    pub mod wire;

    /// Without the tokens of web apps: their signatures take the library of TLS.
    pub mod auth {
        pub mod api_key;
        pub mod credential;
        pub mod identity;
        pub mod key;
        pub mod nonce;
        pub mod secret;
        pub mod user_hash;
    }
}
