//! libFuzzer's way into `targets/config_parse.rs`.

#![no_main]

#[path = "../../targets"]
mod targets {
    pub(crate) mod config_parse;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::config_parse::run(data));
