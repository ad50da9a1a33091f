//! libFuzzer's way into `targets/message_parse.rs`.

#![no_main]

#[path = "../../targets"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod targets {
    pub(crate) mod message_parse;
    pub(crate) mod repair;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::message_parse::run(data));
