//! Replays what the fuzz targets start from and every crash they ever found, by the same code.
//!
//! The targets themselves run in `scripts/soak`, and for seconds in `scripts/test`.

use std::path::Path;

#[path = "../fuzz/targets"]
#[allow(dead_code, reason = "what a fuzzer wants to know more of is not asked here")]
mod targets {
    pub(crate) mod config_parse;
    pub(crate) mod credential;
    pub(crate) mod heard;
    pub(crate) mod ledger;
    pub(crate) mod live;
    pub(crate) mod message_parse;
    pub(crate) mod model;
    pub(crate) mod place;
    pub(crate) mod reach;
    pub(crate) mod reader;
    pub(crate) mod relay_step_authenticated;
    pub(crate) mod relay_step_unauthenticated;
    pub(crate) mod repair;
    pub(crate) mod signer;
    pub(crate) mod tcp_deframe;
    pub(crate) mod world;
}

/// Files of all targets together, and their bytes: a checkout stays small.
const SEEDS_MAX: usize = 400;
const SEED_BYTES_MAX: u64 = 200 * 1024;

#[test]
fn any_bytes_are_parsed_as_a_message_or_refused() {
    replay("message_parse", targets::message_parse::run);
}

#[test] // security.md C11
fn any_bytes_are_cut_into_the_same_messages_however_they_arrive() {
    replay("tcp_deframe", targets::tcp_deframe::run);
}

#[test]
fn strangers_leave_nothing_behind_and_get_little() {
    replay("relay_step_unauthenticated", targets::relay_step_unauthenticated::run);
}

#[test]
fn clients_get_what_the_model_says_and_everything_ends() {
    replay("relay_step_authenticated", targets::relay_step_authenticated::run);
}

#[test]
fn any_text_is_a_config_or_refused_with_its_lines() {
    replay("config_parse", targets::config_parse::run);
}

#[test]
fn any_name_is_verified_or_refused() {
    replay("credential", targets::credential::run);
}

#[test]
fn the_seeds_are_few_and_small_and_belong_to_a_target() {
    let folders = std::fs::read_dir(seeds()).expect("fuzz/seeds is there");
    let (mut files, mut bytes) = (0, 0);
    for folder in folders {
        let folder = folder.expect("readable").path();
        assert!(folder.is_dir(), "{} is no target", folder.display());
        let target = folder.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let body = format!("fuzz/targets/{target}.rs");
        assert!(root().join(&body).is_file(), "{body} is not there");
        for file in std::fs::read_dir(&folder).expect("readable") {
            files += 1;
            bytes += file.expect("readable").metadata().expect("readable").len();
        }
    }
    assert!((1..=SEEDS_MAX).contains(&files), "{files} files");
    assert!(bytes <= SEED_BYTES_MAX, "{bytes} bytes");
}

fn replay(target: &str, run: fn(&[u8])) {
    let folder = seeds().join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("every target has seeds")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seed in {}", folder.display());
    for path in paths {
        // Seen only when the test fails.
        eprintln!("{}", path.display());
        run(&std::fs::read(&path).expect("readable"));
    }
}

fn seeds() -> std::path::PathBuf {
    root().join("fuzz/seeds")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
