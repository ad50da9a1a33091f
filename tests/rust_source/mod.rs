//! Reads Rust source the way `tests/floors.rs` and `tests/tidy.rs` need it: tokens without comments,
//! strings and test code, the comments by themselves, and every path with the module it stands in.

mod lex;
pub(crate) mod paths;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One token of code. Comments are not tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Word(String),
    Punct(char),
    /// A string, character, number or lifetime: its content never matters.
    Literal,
}

impl Token {
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Punct(_) | Kind::Literal => None,
        }
    }

    pub(crate) fn is(&self, c: char) -> bool {
        self.kind == Kind::Punct(c)
    }
}

/// A comment; lines of comment that follow each other are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    /// Line of its end.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// One file of Rust.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Relative to the package, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Everything.
    pub(crate) tokens: Vec<Token>,
    /// Without `#[cfg(test)]` items and `#[test]` functions.
    pub(crate) code: Vec<Token>,
    pub(crate) comments: Vec<Comment>,
    /// Modules declared as `#[cfg(test)] mod name;`.
    test_modules: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (tokens, comments) = lex::lex(text);
        let (code, test_modules) = without_tests(&tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens, code, comments, test_modules }
    }

    /// The module this file is: `src/turn/fact.rs` is `["turn", "fact"]`, `src/lib.rs` is `[]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        module
    }
}

/// The package's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `folder`, sorted, files that are only compiled for tests left out.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let sources: Vec<Source> = paths
        .iter()
        .map(|path| {
            let relative = path.strip_prefix(root()).expect("collected below the root");
            let relative = relative.to_str().expect("file names are UTF-8").replace('\\', "/");
            let text = fs::read_to_string(path).expect("a source file is readable UTF-8");
            Source::new(&relative, &text)
        })
        .collect();
    only_shipped(sources)
}

/// Leaves out the files of `#[cfg(test)] mod name;` and what lies below them.
pub(crate) fn only_shipped(sources: Vec<Source>) -> Vec<Source> {
    let mut tests: BTreeSet<Vec<String>> = BTreeSet::new();
    for source in &sources {
        for name in &source.test_modules {
            let mut module = source.module();
            module.push(name.clone());
            tests.insert(module);
        }
    }
    sources.into_iter().filter(|s| !tests.iter().any(|t| s.module().starts_with(t))).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules") {
                collect(&path, into);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The index behind the bracket that closes the one at `open`.
fn behind_bracket(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Punct('(' | '[' | '{') => depth += 1,
            Kind::Punct(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Kind::Punct(_) | Kind::Word(_) | Kind::Literal => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// Drops what is compiled for tests only; names the test modules that live in files of their own.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut code, mut modules, mut i) = (Vec::new(), Vec::new(), 0);
    while i < tokens.len() {
        let inner = tokens[i].is('#') && tokens.get(i + 1).is_some_and(|t| t.is('!'));
        let open = i + 1 + usize::from(inner);
        if !tokens[i].is('#') || !tokens.get(open).is_some_and(|t| t.is('[')) {
            code.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let mut end = behind_bracket(tokens, open);
        let words: Vec<&str> = tokens[open..end].iter().filter_map(Token::word).collect();
        let of_test = words == ["test"]
            || (words.first() == Some(&"cfg")
                && words.contains(&"test")
                && !words.contains(&"not"));
        if !of_test {
            code.extend_from_slice(&tokens[i..end]);
        } else if inner {
            return (Vec::new(), modules);
        } else {
            while tokens.get(end).is_some_and(|t| t.is('#')) {
                end = behind_bracket(tokens, end + 1);
            }
            let item = end;
            end = behind_item(tokens, item);
            let words: Vec<&str> = tokens[item..end].iter().filter_map(Token::word).collect();
            if let ([.., "mod", name], true) = (&words[..], tokens[end - 1].is(';')) {
                modules.push((*name).to_owned());
            }
        }
        i = end;
    }
    (code, modules)
}

/// Past one item, statement, field, variant or arm.
fn behind_item(tokens: &[Token], start: usize) -> usize {
    const ITEMS: &[&str] = &[
        "pub",
        "fn",
        "mod",
        "use",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "unsafe",
        "async",
        "extern",
        "macro_rules",
        "let",
    ];
    let of_list = !tokens.get(start).and_then(Token::word).is_some_and(|w| ITEMS.contains(&w));
    let mut i = start;
    while i < tokens.len() {
        match tokens[i].kind {
            Kind::Punct(';') => return i + 1,
            Kind::Punct(',') if of_list => return i + 1,
            Kind::Punct('{') => return behind_bracket(tokens, i),
            Kind::Punct('(' | '[') => i = behind_bracket(tokens, i),
            Kind::Punct(')' | ']' | '}') => return i,
            Kind::Punct(_) | Kind::Word(_) | Kind::Literal => i += 1,
        }
    }
    i.max(start + 1).min(tokens.len())
}
