//! The relay against the RFC texts, section by section, with a virtual clock and no socket.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "tests/sim.rs uses the rest")]
mod support;

mod conformance {
    mod allocate;
    mod amplification;
    mod authentication;
    mod channel;
    mod drain;
    mod dual;
    mod expiry_rule;
    mod facts;
    mod flows;
    mod framing;
    mod general;
    mod harness;
    mod icmp;
    mod inside;
    mod integrity;
    mod nonce;
    mod page_run;
    mod password_algorithm;
    mod permission;
    mod rates;
    mod reflection;
    mod refresh;
    mod replace;
    mod reservation;
    mod revoke;
    mod send_data;
    mod several;
    mod shield;
    mod stop;
    mod stream;
    mod user_hash;
    mod watch;
}
