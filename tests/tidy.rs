//! Keeps the house small and clean: rules that no compiler lint holds, each with a snippet that
//! breaks it. A rule is a function from a file to what is wrong with it.

#[allow(dead_code, reason = "tests/floors.rs uses the rest")]
mod rust_source;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rust_source::{Source, Token, root, sources};

/// Most lines of a file in `src`.
const LINES_MAX: usize = 400;
/// Files that are longer, with the lines they may have. Numbers only go down; an entry that is no
/// longer needed must go.
const LONGER: &[(&str, usize)] = &[];
/// Most lines of `src/main.rs`.
const MAIN_LINES_MAX: usize = 39;

/// The one file that may be `unsafe`.
const UNSAFE_FILE: &str = "src/plane/sys.rs";
/// The one file that may compare with `ct_eq`, wrapped in `equal_constant_time`.
const COMPARING_FILE: &str = "src/constant_time.rs";
/// Files that compare MACs and must do it with `equal_constant_time`.
const MAC_FILES: &[&str] = &["src/wire/integrity.rs", "src/auth/nonce.rs"];

/// Phrases that no comment holds: they will not be true in a year.
const BANNED_PHRASES: &[&str] = &["for now", "temporary hack", "quick hack"];

/// Halves of what no tracked file holds; whole, this file would hold it.
const PATHS_OF_ONE_MACHINE: &[(&str, &str)] = &[("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")];
const REGISTRY_HOSTS: &[(&str, &str)] = &[
    ("crates", ".io"),
    ("npmjs", ".org"),
    ("npmjs", ".com"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("deb.debian", ".org"),
    ("proxy.golang", ".org"),
];
/// cargo writes its registry's name into it.
const MAY_NAME_REGISTRIES: &[&str] = &["Cargo.lock", "fuzz/Cargo.lock"];

/// `found` as one line each, with file and line.
fn at(source: &Source, found: impl IntoIterator<Item = (usize, String)>) -> Vec<String> {
    found.into_iter().map(|(line, what)| format!("{}:{line}: {what}", source.path)).collect()
}

fn says_its_purpose_first(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|purpose| !purpose.trim().is_empty());
    at(source, (!says).then(|| (1, "the first line is `//!` and the file's purpose".to_owned())))
}

fn is_short(source: &Source, longer: &[(&str, usize)]) -> Vec<String> {
    let lines = source.text.lines().count();
    let allowed = longer.iter().find(|(path, _)| *path == source.path).map(|(_, lines)| *lines);
    let wrong = match allowed {
        Some(allowed) if lines <= LINES_MAX => {
            Some(format!("{lines} lines: take it ({allowed}) off the list LONGER"))
        }
        Some(allowed) if lines < allowed => {
            Some(format!("{lines} lines: lower its number in LONGER from {allowed}"))
        }
        Some(allowed) if lines > allowed => Some(format!("{lines} lines, at most {allowed}")),
        Some(_) => None,
        None if source.path == "src/main.rs" && lines > MAIN_LINES_MAX => {
            Some(format!("{lines} lines, at most {MAIN_LINES_MAX}: main parses, runs, exits"))
        }
        None if lines > LINES_MAX => Some(format!("{lines} lines, at most {LINES_MAX}: split it")),
        None => None,
    };
    at(source, wrong.map(|what| (1, what)))
}

fn is_safe(source: &Source) -> Vec<String> {
    let found = words(&source.tokens, "unsafe").filter(|_| source.path != UNSAFE_FILE);
    at(source, found.map(|line| (line, format!("`unsafe` lives in {UNSAFE_FILE} only"))))
}

/// Outside test code.
fn has_no_shortcut(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (i, token) in source.code.iter().enumerate() {
        let Some(word) = token.word() else { continue };
        let next = |c| source.code.get(i + 1).is_some_and(|t| t.is(c));
        let after_dot = i > 0 && source.code[i - 1].is('.');
        let after_colon = i > 0 && source.code[i - 1].is(':');
        let wrong = match word {
            "unwrap" | "unwrap_err" => after_dot || after_colon,
            "todo" | "unimplemented" | "dbg" | "println" | "print" => next('!'),
            _ => false,
        };
        if wrong {
            found.push((token.line, format!("`{word}` outside tests")));
        }
    }
    at(source, found)
}

fn numbers_its_todos(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for comment in &source.comments {
        for mark in ["TODO", "FIXME", "XXX"] {
            for (start, _) in comment.text.match_indices(mark) {
                let rest = comment.text[start + mark.len()..].trim_start_matches(['(', ' ', ':']);
                let numbered = rest.strip_prefix('#').unwrap_or(rest);
                if mark != "TODO"
                    || rest == numbered
                    || !numbered.starts_with(|c: char| c.is_ascii_digit())
                {
                    found.push((comment.line, format!("`{mark}`: write `TODO(#12)`, an issue")));
                }
            }
        }
    }
    at(source, found)
}

fn comments_last(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for comment in &source.comments {
        let text = format!(" {} ", comment.text.to_lowercase());
        let text = text.replace(|c: char| !c.is_alphanumeric(), " ");
        for phrase in BANNED_PHRASES {
            if text.contains(&format!(" {phrase} ")) {
                found.push((comment.line, format!("\"{phrase}\" in a comment")));
            }
        }
    }
    at(source, found)
}

fn compares_secrets_in_one_place(source: &Source) -> Vec<String> {
    let mut found: Vec<(usize, String)> = ["ct_eq", "ct_ne", "ConstantTimeEq"]
        .iter()
        .flat_map(|word| words(&source.tokens, word))
        .filter(|_| source.path != COMPARING_FILE)
        .map(|line| (line, format!("compare with `equal_constant_time` of {COMPARING_FILE}")))
        .collect();
    let uses = words(&source.code, "equal_constant_time").count();
    // One mention is the import.
    if MAC_FILES.contains(&source.path.as_str()) && uses < 2 {
        found.push((1, "compares MACs, but never with `equal_constant_time`".to_owned()));
    }
    at(source, found)
}

/// Constants of `limits.rs`, and of the files below it, that nothing else in `src` names.
fn unused_limits(sources: &[Source]) -> Vec<String> {
    let mut used = BTreeSet::new();
    let mut constants = Vec::new();
    for source in sources {
        let holds_limits = source.path == "src/limits.rs" || source.path.starts_with("src/limits/");
        if !holds_limits {
            used.extend(source.tokens.iter().filter_map(Token::word));
            continue;
        }
        for i in 2..source.code.len() {
            let words = [i - 2, i - 1, i].map(|i| source.code[i].word());
            if let [Some("pub"), Some("const"), Some(name)] = words {
                constants.push((&source.path, source.code[i].line, name));
            }
        }
    }
    let unused = constants.into_iter().filter(|(_, _, name)| !used.contains(name));
    unused.map(|(path, line, name)| format!("{path}:{line}: nothing obeys `{name}`")).collect()
}

/// For every tracked file, whatever its language.
fn names_no_machine_and_no_registry(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        for (a, b) in PATHS_OF_ONE_MACHINE {
            let folder = format!("{a}{b}");
            let absolute = line.match_indices(&folder).any(|(start, _)| {
                !line[..start].ends_with(|c: char| c.is_alphanumeric() || "_-.*}".contains(c))
            });
            if absolute {
                found.push(format!("{path}:{}: a path of one machine, {folder}", n + 1));
            }
        }
        for (a, b) in REGISTRY_HOSTS {
            let host = format!("{a}{b}");
            if !MAY_NAME_REGISTRIES.contains(&path) && line.to_lowercase().contains(&host) {
                found.push(format!("{path}:{}: the registry's host {host}", n + 1));
            }
        }
    }
    found
}

/// Lines of `tokens` that hold `word`.
fn words<'a>(tokens: &'a [Token], word: &'a str) -> impl Iterator<Item = usize> + 'a {
    tokens.iter().filter(move |token| token.word() == Some(word)).map(|token| token.line)
}

/// Tracked files and new ones that are not ignored.
fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).expect("file names are UTF-8");
    list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

#[track_caller]
fn nothing(found: &[String]) {
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
}

#[track_caller]
fn every_source(rule: impl Fn(&Source) -> Vec<String>) {
    let sources = sources("src");
    assert!(sources.len() > 20, "src was found");
    nothing(&sources.iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn every_file_says_its_purpose_in_its_first_line() {
    every_source(says_its_purpose_first);
    nothing(&sources("tests").iter().flat_map(says_its_purpose_first).collect::<Vec<_>>());
}

#[test]
fn every_file_is_short() {
    every_source(|source| is_short(source, LONGER));
    for (path, _) in LONGER {
        assert!(root().join(path).exists(), "{path} is gone: take it off the list LONGER");
    }
}

#[test]
fn unsafe_lives_in_one_file() {
    every_source(is_safe);
}

#[test]
fn nothing_unwraps_prints_or_is_left_to_do_outside_tests() {
    every_source(has_no_shortcut);
}

#[test]
fn every_todo_has_an_issue() {
    every_source(numbers_its_todos);
}

#[test]
fn comments_read_the_same_in_a_year() {
    every_source(comments_last);
}

#[test]
fn secrets_and_macs_are_compared_in_constant_time() {
    every_source(compares_secrets_in_one_place);
    for path in MAC_FILES {
        assert!(root().join(path).exists(), "{path} moved: name where it is in MAC_FILES");
    }
}

#[test]
fn every_limit_is_obeyed_somewhere() {
    nothing(&unused_limits(&sources("src")));
}

#[test]
fn no_tracked_file_names_a_machine_or_a_registry() {
    let (mut found, tracked) = (Vec::new(), tracked());
    assert!(tracked.iter().any(|path| path == "tests/tidy.rs"), "git lists the tree: {tracked:?}");
    for path in tracked {
        // Deleted files are still listed; one that is not text has no words.
        let Ok(bytes) = fs::read(root().join(&path)) else { continue };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        found.extend(names_no_machine_and_no_registry(&path, &text));
    }
    nothing(&found);
}

#[test]
fn what_people_look_for_first_is_there() {
    let files = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "conf/turnbell.toml"];
    let more = ["systemd/turnbell.service", "scripts/test", "scripts/install", ".ci/run"];
    for path in files.iter().chain(&more) {
        assert!(root().join(path).is_file(), "{path} is missing");
    }
    let plan = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("just seen");
    assert!(plan.lines().count() < 200, "ARCHITECTURE.md stays under 200 lines");
    for path in plan.split('`').filter(|word| word.contains('/') && word.ends_with(".rs")) {
        let there = root().join(path).exists() || root().join("src").join(path).exists();
        assert!(there, "ARCHITECTURE.md names {path}, which is not there");
    }
}

#[cfg(test)]
mod rules {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    #[track_caller]
    fn finds(found: &[String], count: usize) {
        assert_eq!(found.len(), count, "{found:#?}");
    }

    #[test]
    fn a_file_without_a_purpose_is_found() {
        finds(&says_its_purpose_first(&source("src/a.rs", "use x;\n//! Late.")), 1);
        finds(&says_its_purpose_first(&source("src/a.rs", "//!\n")), 1);
        finds(&says_its_purpose_first(&source("src/a.rs", "")), 1);
        finds(&says_its_purpose_first(&source("src/a.rs", "//! Words.\n")), 0);
    }

    #[test]
    fn a_long_file_is_found_and_the_list_of_exceptions_only_shrinks() {
        let lines = |n: usize| source("src/a.rs", &"x\n".repeat(n));
        finds(&is_short(&lines(400), &[]), 0);
        finds(&is_short(&lines(401), &[]), 1);
        finds(&is_short(&lines(401), &[("src/a.rs", 401)]), 0);
        finds(&is_short(&lines(402), &[("src/a.rs", 401)]), 1);
        finds(&is_short(&lines(401), &[("src/a.rs", 402)]), 1);
        finds(&is_short(&lines(400), &[("src/a.rs", 401)]), 1);
        finds(&is_short(&source("src/main.rs", &"x\n".repeat(39)), &[]), 0);
        finds(&is_short(&source("src/main.rs", &"x\n".repeat(40)), &[]), 1);
    }

    #[test]
    fn unsafe_in_another_file_is_found() {
        finds(&is_safe(&source("src/plane/udp.rs", "fn f() { unsafe { g() } }")), 1);
        finds(&is_safe(&source("src/plane/udp.rs", "#[cfg(test)] unsafe fn f() {}")), 1);
        finds(&is_safe(&source("src/plane/sys.rs", "fn f() { unsafe { g() } }")), 0);
        finds(&is_safe(&source("src/a.rs", "// unsafe\nconst A: &str = \"unsafe\";")), 0);
    }

    #[test]
    fn shortcuts_outside_tests_are_found() {
        let bad = "fn f() { a.unwrap(); b\n.unwrap_err(); c.map(Option::unwrap); todo!(); \
                   unimplemented!(); dbg!(x); println!(\"x\"); std::print!(\"x\") }";
        finds(&has_no_shortcut(&source("src/a.rs", bad)), 8);
        let good = "fn f() { a.unwrap_or(1); b.unwrap_or_default(); todo(); eprintln!(\"x\") } \
                    #[cfg(test)] mod tests { fn f() { a.unwrap(); println!(\"x\") } }";
        finds(&has_no_shortcut(&source("src/a.rs", good)), 0);
    }

    #[test]
    fn a_todo_without_an_issue_is_found() {
        let bad = "// TODO later\n\n// TODO(me): x\n\n/* FIXME(#3) */\n\n// TODO #x";
        finds(&numbers_its_todos(&source("src/a.rs", bad)), 4);
        finds(&numbers_its_todos(&source("src/a.rs", "// TODO(#12): x\n\n// TODO #7: y")), 0);
        finds(&numbers_its_todos(&source("src/a.rs", "const A: &str = \"TODO\";")), 0);
    }

    #[test]
    fn a_comment_that_will_age_is_found_across_lines() {
        finds(&comments_last(&source("src/a.rs", "/// Does little, for\n/// now.\nfn f() {}")), 1);
        finds(&comments_last(&source("src/a.rs", "// A Temporary hack")), 1);
        finds(&comments_last(&source("src/a.rs", "// waits for nowhere; for a now")), 0);
    }

    #[test]
    fn a_comparison_that_leaks_time_is_found() {
        let check = |path, text| compares_secrets_in_one_place(&source(path, text));
        finds(&check("src/auth/key.rs", "fn f() { a.ct_eq(b).into() }"), 1);
        finds(&check("src/constant_time.rs", "fn f() { a.ct_eq(b).into() }"), 0);
        finds(&check("src/auth/nonce.rs", "fn f() { mac == theirs }"), 1);
        finds(&check("src/wire/integrity.rs", "use x::equal_constant_time;"), 1);
        let good = "use x::equal_constant_time; fn f() { equal_constant_time(a, b) }";
        finds(&check("src/wire/integrity.rs", good), 0);
    }

    #[test]
    fn a_limit_that_nothing_obeys_is_found() {
        let limits = "pub const A: u8 = 1; pub const B: u8 = 2; const _: () = assert!(A < B);";
        let user = "use crate::limits::A; // limits::B\nconst C: &str = \"B\";";
        for path in ["src/limits.rs", "src/limits/call.rs"] {
            let found = unused_limits(&[source(path, limits), source("src/a.rs", user)]);
            finds(&found, 1);
            assert!(found[0].starts_with(path) && found[0].contains("`B`"), "{found:?}");
        }
    }

    #[test]
    fn a_path_of_one_machine_and_a_registry_are_found() {
        for (a, b) in PATHS_OF_ONE_MACHINE {
            finds(&names_no_machine_and_no_registry("README.md", &format!("see {a}{b}x")), 1);
            finds(&names_no_machine_and_no_registry("README.md", &format!("see ./my{a}{b}x")), 0);
        }
        for (a, b) in REGISTRY_HOSTS {
            let line = format!("\"resolved\": \"https://x.{a}{b}/y\"");
            finds(&names_no_machine_and_no_registry("a/package-lock.json", &line), 1);
            finds(&names_no_machine_and_no_registry("Cargo.lock", &line), 0);
        }
    }
}
