//! libFuzzer's way into `targets/credential.rs`.

#![no_main]

#[path = "../../targets"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod targets {
    pub(crate) mod credential;
    pub(crate) mod reader;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::credential::run(data));
