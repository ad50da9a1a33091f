//! libFuzzer's way into `targets/tcp_deframe.rs`.

#![no_main]

#[path = "../../targets"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod targets {
    pub(crate) mod reader;
    pub(crate) mod tcp_deframe;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::tcp_deframe::run(data));
