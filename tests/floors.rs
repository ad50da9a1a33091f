//! Holds the table of floors: who may import whom, and what the lower floors may not touch at all.
//!
//! A folder imports from itself, from the leaves and from lower floors; never upwards, and never from
//! its own floor (floor 4 excepted). A new edge between folders is made here and in ARCHITECTURE.md.

#[allow(dead_code, reason = "tests/tidy.rs uses the rest")]
mod rust_source;

use std::collections::BTreeSet;
use std::fs;

use rust_source::paths::{Mention, mentions};
use rust_source::{Source, Token, root, sources};

/// Lowest first. The leaves may be imported by all and import only each other.
const FLOORS: &[&[&str]] = &[
    &["wire", "auth", "policy"],
    &["turn", "call", "probe"],
    &["plane", "store"],
    &["edge", "ops", "config", "load"],
    &["daemon", "cli", "main"],
];
const LEAVES: &[&str] = &["constant_time", "limits", "time"];
const FLOOR_OF_THE_WHOLE: usize = 4;

/// All that floor 3 may name of the plane: `plane::Handle`, and what `plane/handle.rs` says with it.
const PLANE_HANDLE: &[&str] = &["Handle", "handle"];

/// Crates for floors 0 and 1: computation only. Any other dependency is for floor 2 and up.
const PURE_CRATES: &str =
    "base64 crc32fast getrandom hashbrown hmac ipnet md5 sha1 sha2 slab subtle thiserror zeroize";

/// A token is JSON, and its signatures are a library's: computation, for `auth` alone.
const TOKEN_CRATES: &[&str] = &["jsonwebtoken", "serde_json"];

/// Paths that floors 0 and 1 may not name, nor anything below them.
const IMPURE_PATHS: &[(&[&str], &str)] = &[
    (&["std", "fs"], "files are for floor 2 and up"),
    (&["std", "thread"], "threads are for floor 2 and up"),
    (&["std", "process"], "processes are for floor 2 and up"),
    (&["std", "env"], "the environment is read on floor 4"),
    (&["std", "os"], "file descriptors are for floor 2 and up"),
    (&["Instant", "now"], "time is handed in as Now"),
    (&["Now", "read"], "time is handed in as Now"),
];

/// Words that floors 0 and 1 may not hold in any position.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("UdpSocket", "sockets are for the plane"),
    ("TcpStream", "sockets are for the plane"),
    ("TcpListener", "sockets are for the plane"),
    ("UnixStream", "sockets are for the edge"),
    ("UnixListener", "sockets are for the edge"),
    ("UnixDatagram", "sockets are for the edge"),
    ("ToSocketAddrs", "it asks the resolver"),
    ("SystemTime", "time is handed in as Now"),
    ("async", "machines are called, they do not wait"),
    ("await", "machines are called, they do not wait"),
    ("println", "machines do not print"),
    ("eprintln", "machines do not print"),
    ("stdout", "machines do not print"),
];

fn floor(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|folders| folders.contains(&folder))
}

/// The crates in `[dependencies]`, as they are called in code (`md-5` is `md5`).
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if let (true, Some((name, _))) =
            (inside && !line.starts_with('#'), line.split_once('='))
        {
            names.insert(match name.trim() {
                "md-5" => "md5".to_owned(),
                name => name.replace('-', "_"),
            });
        }
    }
    names
}

/// Everything in `source` that the table forbids, one line each.
fn violations(source: &Source, dependencies: &BTreeSet<String>) -> Vec<String> {
    let folder = match source.path.as_str() {
        "src/lib.rs" => return violations_of_root(source),
        "src/main.rs" => "main".to_owned(),
        _ => source.module()[0].clone(),
    };
    let mut found = Vec::new();
    let mut report = |line: usize, what: &str| {
        found.push(format!("{}:{line}: {what}", source.path));
    };
    let own = floor(&folder);
    if own.is_none() && !LEAVES.contains(&folder.as_str()) {
        report(1, &format!("`{folder}` stands on no floor: give it one in tests/floors.rs"));
        return found;
    }
    let pure = own.is_none_or(|floor| floor <= 1) && folder != "time";
    for mention in mentions(&source.code) {
        let above = target(source, &mention).and_then(|path| forbidden(&folder, &path));
        let is_token = folder == "auth" && TOKEN_CRATES.contains(&&*mention.segments[0]);
        let world = if pure && !is_token { impure(&mention, dependencies) } else { None };
        if let Some(why) = above.or(world) {
            report(mention.line, &format!("{} must not name {why}", describe(&folder)));
        }
    }
    if pure {
        for (i, token) in source.code.iter().enumerate() {
            if i > 0 && source.code[i - 1].is('.') && token.word() == Some("elapsed") {
                report(token.line, "`.elapsed()` reads a clock: compare with Now");
            }
            if let Some((word, why)) = impure_word(token) {
                report(token.line, &format!("{} must not name `{word}`: {why}", describe(&folder)));
            }
        }
    }
    found
}

/// The root lists modules and holds no logic, so it has nothing to name.
fn violations_of_root(source: &Source) -> Vec<String> {
    mentions(&source.code)
        .iter()
        .map(|m| format!("{}:{}: the root only lists modules", source.path, m.line))
        .collect()
}

fn describe(folder: &str) -> String {
    floor(folder).map_or_else(|| format!("{folder} (a leaf)"), |f| format!("{folder} (floor {f})"))
}

/// The path below our own crate that a mention leads to; `None` if it leads elsewhere.
fn target(source: &Source, mention: &Mention) -> Option<Vec<String>> {
    let mut segments = mention.segments.as_slice();
    let mut module = source.module();
    module.extend(mention.inside.iter().cloned());
    match segments.first().map(String::as_str)? {
        "crate" | "turnbell" => return Some(segments[1..].to_vec()),
        "self" | "super" => {}
        _ => return None,
    }
    while let Some(first @ ("self" | "super")) = segments.first().map(String::as_str) {
        if first == "super" {
            module.pop();
        }
        segments = &segments[1..];
    }
    module.extend_from_slice(segments);
    Some(module)
}

/// Why `folder` may not name `path` of our own crate, if it may not.
fn forbidden(folder: &str, path: &[String]) -> Option<String> {
    let name = path.join("::");
    let Some(other) = path.first().filter(|first| *first != "*") else {
        return Some("the whole crate: name what it needs".to_owned());
    };
    if folder == other || LEAVES.contains(&other.as_str()) {
        return None;
    }
    let Some(theirs) = floor(other) else {
        return Some(format!("`{name}`: it stands on no floor"));
    };
    let Some(own) = floor(folder) else {
        return Some(format!("`{name}`: a leaf imports leaves only"));
    };
    if other == "config" && own != FLOOR_OF_THE_WHOLE {
        return Some(format!("`{name}`: each part receives its own options from floor 4"));
    }
    if path.starts_with(&["config".to_owned(), "raw".to_owned()]) {
        return Some(format!("`{name}`: what was typed stays inside config"));
    }
    if theirs > own {
        return Some(format!("`{name}`: floor {theirs} is above"));
    }
    if theirs == own && own != FLOOR_OF_THE_WHOLE {
        return Some(format!("`{name}`: it stands on the same floor"));
    }
    if other == "plane" && own == 3 && !path.get(1).is_some_and(|p| PLANE_HANDLE.contains(&&**p)) {
        return Some(format!("`{name}`: of the plane, floor 3 knows `plane::Handle` only"));
    }
    None
}

/// Why floors 0 and 1 may not name this path outside our crate, if they may not.
fn impure(mention: &Mention, dependencies: &BTreeSet<String>) -> Option<String> {
    let words: Vec<&str> = mention.segments.iter().map(String::as_str).collect();
    let name = words.join("::");
    let first = words[0];
    if first == "std" && (words.len() == 1 || words[1] == "*") {
        return Some("all of `std`: name what it needs".to_owned());
    }
    if dependencies.contains(first) && !PURE_CRATES.split(' ').any(|name| name == first) {
        return Some(format!("`{name}`: of crates, only those that compute"));
    }
    let found = IMPURE_PATHS.iter().find(|(path, _)| {
        let anywhere = path[0] != "std";
        words.starts_with(path) || (anywhere && words.windows(path.len()).any(|w| w == *path))
    });
    found.map(|(_, why)| format!("`{name}`: {why}"))
}

fn impure_word(token: &Token) -> Option<(&'static str, &'static str)> {
    let word = token.word()?;
    IMPURE_WORDS.iter().find(|(impure, _)| *impure == word).copied()
}

#[test]
fn no_file_names_what_stands_above_or_beside_it() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is there");
    let dependencies = dependencies(&manifest);
    assert!(dependencies.contains("tokio") && dependencies.contains("md5"), "{dependencies:?}");
    let sources = sources("src");
    assert!(sources.len() > 20, "src was found");
    let found: Vec<String> = sources.iter().flat_map(|s| violations(s, &dependencies)).collect();
    assert!(found.is_empty(), "the floors do not hold:\n{}", found.join("\n"));
}

#[cfg(test)]
mod checker {
    use super::rust_source::only_shipped;
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        let dependencies = dependencies(
            "[dependencies]\ntokio = \"1\"\nhmac = \"1\"\ntracing=\"1\"\nserde_json=\"1\"\n",
        );
        violations(&Source::new(path, text), &dependencies)
    }

    #[track_caller]
    fn fails(path: &str, text: &str, because: &str) {
        let found = check(path, text);
        assert_eq!(found.len(), 1, "{path} with {text:?}: {found:#?}");
        assert!(found[0].contains(because), "{found:?} does not say {because:?}");
    }

    #[track_caller]
    fn passes(path: &str, text: &str) {
        let found = check(path, text);
        assert!(found.is_empty(), "{path} with {text:?}: {found:#?}");
    }

    #[test]
    fn an_import_that_goes_up_is_found_and_one_that_goes_down_is_not() {
        fails("src/turn/relay.rs", "use crate::plane::Shard;", "floor 2 is above");
        fails("src/wire/message.rs", "use crate::turn::fact::Fact;", "floor 1 is above");
        fails("src/store/writer.rs", "use crate::daemon;", "floor 4 is above");
        fails("src/ops/log.rs", "use crate::cli::run;", "floor 4 is above");
        passes("src/turn/relay.rs", "use crate::{wire::message::Message, auth, policy::peers};");
        passes("src/plane/shard.rs", "use crate::turn::relay::Relay;");
        passes("src/cli/run.rs", "use crate::{config::Config, daemon, store};");
    }

    #[test]
    fn an_import_from_the_same_floor_is_found() {
        fails("src/auth/nonce.rs", "use crate::wire::message;", "the same floor");
        fails("src/policy/quota.rs", "use crate::auth::key;", "the same floor");
        fails("src/call/room.rs", "use crate::turn::fact;", "the same floor");
        fails("src/plane/shard.rs", "use crate::store::Writer;", "the same floor");
        fails("src/store/mod.rs", "use crate::plane::Handle;", "the same floor");
        fails("src/edge/ice.rs", "use crate::ops::log;", "the same floor");
        passes("src/daemon.rs", "use crate::cli::help;");
    }

    #[test]
    fn json_is_for_tokens_below_the_edge_and_for_nothing_else() {
        passes("src/auth/token.rs", "use serde_json::Value;");
        fails("src/call/invite.rs", "use serde_json::Value;", "only those that compute");
        fails("src/wire/message.rs", "use serde_json::Value;", "only those that compute");
    }

    #[test]
    fn a_path_in_code_counts_like_an_import() {
        fails("src/turn/relay.rs", "fn f() -> crate::store::Row { g() }", "floor 2 is above");
        fails("src/turn/relay.rs", "type X = <crate::store::Row as T>::Y;", "floor 2 is above");
        fails("src/turn/relay.rs", "macro_rules! m { () => { $crate::edge::f() } }", "above");
        fails("src/turn/relay.rs", "fn f() { g(super::super::plane::h::<u8>()) }", "above");
        fails("src/turn/relay.rs", "pub(in crate::plane::shard) fn f() {}", "above");
    }

    #[test]
    fn nested_groups_aliases_and_many_lines_are_read() {
        let text =
            "use crate::{\n    auth::{self, key},\n    plane::{shard::{Shard}},\n    time,\n};";
        fails("src/turn/relay.rs", text, "src/turn/relay.rs:3: turn (floor 1)");
        fails("src/turn/relay.rs", "use crate::plane as p;", "floor 2 is above");
        fails("src/turn/relay.rs", "use super::super::plane;", "floor 2 is above");
        fails("src/turn/relay.rs", "use super::{fact, super::store::Row};", "floor 2 is above");
        fails("src/turn/mod.rs", "use super::plane;", "floor 2 is above");
        fails("src/turn/mod.rs", "pub use r#fact::x; use crate::plane::*;", "floor 2 is above");
        fails("src/turn/relay.rs", "mod a { use super::super::super::plane; }", "floor 2");
        passes("src/turn/relay.rs", "mod a { use super::super::fact; } use super::fact;");
    }

    #[test]
    fn the_whole_crate_is_never_imported() {
        fails("src/cli/run.rs", "use crate::*;", "the whole crate");
        fails("src/turn/relay.rs", "use crate as root;", "the whole crate");
        fails("src/turn/relay.rs", "use super::super::*;", "the whole crate");
    }

    #[test]
    fn the_leaves_import_each_other_only() {
        fails("src/limits.rs", "use crate::auth::key;", "a leaf imports leaves only");
        fails("src/time.rs", "use crate::cli;", "a leaf imports leaves only");
        passes("src/time.rs", "use crate::limits::X; fn f() { SystemTime::now(); }");
        fails("src/limits.rs", "const X: SystemTime = y;", "limits (a leaf)");
    }

    #[test]
    fn floor_3_knows_the_plane_by_its_handle_only() {
        passes("src/edge/mod.rs", "use crate::plane::{Handle, handle::NoAnswer};");
        fails("src/edge/mod.rs", "use crate::plane::{Handle, Shard};", "`plane::Shard`");
        fails("src/ops/mod.rs", "use crate::plane;", "`plane::Handle` only");
        fails("src/config/mod.rs", "use crate::plane::ledger::Ledger;", "`plane::Handle` only");
        fails("src/edge/mod.rs", "use crate::plane::*;", "`plane::Handle` only");
        passes("src/daemon.rs", "use crate::plane::shard::Shard;");
    }

    #[test]
    fn config_is_read_by_floor_4_and_what_was_typed_by_config_alone() {
        fails("src/edge/mod.rs", "use crate::config::Config;", "its own options");
        fails("src/turn/relay.rs", "use crate::config::Config;", "its own options");
        fails("src/daemon.rs", "use crate::config::raw::Raw;", "stays inside config");
        fails("src/main.rs", "use turnbell::config::{self, raw};", "stays inside config");
        passes("src/config/mod.rs", "use raw::Raw; use self::raw::X; use super::config::raw::Y;");
        passes("src/main.rs", "fn main() { turnbell::cli::run(turnbell::config::load()) }");
    }

    #[test]
    fn a_folder_without_a_floor_is_found() {
        fails("src/utils/mod.rs", "", "stands on no floor");
        fails("src/turn/relay.rs", "use crate::utils::x;", "stands on no floor");
    }

    #[test]
    fn the_root_holds_a_list_and_no_imports() {
        fails("src/lib.rs", "pub mod a;\npub use a::B;", "src/lib.rs:2");
        passes("src/lib.rs", "//! [`crate::plane`]\npub mod auth;\npub mod turn;");
    }

    #[test]
    fn floors_0_and_1_touch_no_world() {
        for (path, text) in [
            ("src/wire/x.rs", "use std::net::{IpAddr, UdpSocket};"),
            ("src/turn/x.rs", "use std::{collections::HashMap, fs};"),
            ("src/turn/x.rs", "fn f() { std::thread::spawn(g); }"),
            ("src/turn/x.rs", "fn f() { ::std::fs::read(p); }"),
            ("src/policy/x.rs", "use std::time::{Duration, SystemTime};"),
            ("src/auth/x.rs", "fn f() { Instant::now() }"),
            ("src/auth/x.rs", "fn f() { std::time::Instant::now() }"),
            ("src/auth/x.rs", "fn f(i: Instant) { i.elapsed() }"),
            ("src/turn/x.rs", "use crate::time::Now; fn f() { Now::read() }"),
            ("src/turn/x.rs", "fn f() { crate::time::Now::read() }"),
            ("src/turn/x.rs", "fn f() { println!(\"x\") }"),
            ("src/turn/x.rs", "async fn f() {}"),
            ("src/turn/x.rs", "use tokio::sync::mpsc;"),
            ("src/turn/x.rs", "fn f() { tracing::info!(\"x\") }"),
            ("src/call/x.rs", "use std::*;"),
            ("src/call/x.rs", "use std as s;"),
        ] {
            let found = check(path, text);
            assert_eq!(found.len(), 1, "{path} with {text:?}: {found:#?}");
            let above = path.replace("/auth/", "/plane/").replace("/wire/", "/plane/");
            let above = above.replace("/turn/", "/plane/").replace("/policy/", "/store/");
            passes(&above.replace("/call/", "/edge/"), text);
        }
        passes("src/wire/x.rs", "use std::{fmt, net::{IpAddr, SocketAddr}, time::Instant};");
        passes("src/auth/x.rs", "use hmac::{Hmac, Mac}; use std::io::ErrorKind; let elapsed = 1;");
    }

    #[test]
    fn comments_strings_and_test_code_do_not_count() {
        passes(
            "src/turn/x.rs",
            r##"
            //! Sends through [`crate::plane`], see `use crate::store;`.
            /* use crate::plane; /* nested */ use crate::store; */
            fn f<'a>(x: &'a str) -> char { g("use crate::plane;", r#"crate::"store::x"#, b'"'); '"' }
            #[cfg(test)] use crate::plane;
            #[test] fn t() { crate::plane::x() }
            #[cfg(all(test, unix))]
            #[allow(dead_code)]
            mod tests { use crate::{plane::x, store}; fn f() { println!("{}", Instant::now()) } }
            "##,
        );
        fails("src/turn/x.rs", "#[cfg(not(test))] use crate::plane;", "floor 2 is above");
        fails("src/turn/x.rs", "#[cfg(test)] mod t { } use crate::plane;", "floor 2 is above");
        fails("src/turn/x.rs", "#[cfg(test)] use a::{b, c}; use crate::plane;", "above");
        fails("src/turn/x.rs", "struct S { #[cfg(test)] a: u8, b: crate::plane::B }", "above");
    }

    #[test]
    fn a_file_that_is_only_compiled_for_tests_is_left_out() {
        let source = |path, text| Source::new(path, text);
        let kept = only_shipped(vec![
            source("src/turn/mod.rs", "mod relay; #[cfg(test)] mod conformance;"),
            source("src/turn/relay.rs", ""),
            source("src/turn/conformance.rs", ""),
            source("src/turn/conformance/allocate.rs", ""),
        ]);
        let kept: Vec<&str> = kept.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(kept, ["src/turn/mod.rs", "src/turn/relay.rs"]);
    }
}
