//! libFuzzer's way into `targets/relay_step_authenticated.rs`.

#![no_main]

#[path = "../../targets"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod targets {
    pub(crate) mod heard;
    pub(crate) mod ledger;
    pub(crate) mod live;
    pub(crate) mod model;
    pub(crate) mod place;
    pub(crate) mod reach;
    pub(crate) mod reader;
    pub(crate) mod relay_step_authenticated;
    pub(crate) mod repair;
    pub(crate) mod signer;
    pub(crate) mod world;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::relay_step_authenticated::run(data));
