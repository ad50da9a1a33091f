//! libFuzzer's way into `targets/relay_step_unauthenticated.rs`.

#![no_main]

#[path = "../../targets"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod targets {
    pub(crate) mod place;
    pub(crate) mod reader;
    pub(crate) mod relay_step_unauthenticated;
    pub(crate) mod repair;
    pub(crate) mod signer;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::relay_step_unauthenticated::run(data));
