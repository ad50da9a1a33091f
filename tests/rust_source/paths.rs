//! Tokens to paths: each leaf of each `use`, and each `a::b` written out.

use super::{Kind, Token};

/// A path as it is written, completed by the `use` groups around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    /// `["crate", "plane", "Handle"]`; a glob ends in `"*"`.
    pub(crate) segments: Vec<String>,
    /// Inline modules around it, outermost first.
    pub(crate) inside: Vec<String>,
}

/// Every path in the code: each leaf of each `use`, and each `a::b` written out.
pub(crate) fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut modules: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut i) = (0_usize, 0);
    while i < tokens.len() {
        let inside = || modules.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let next = |n: usize| tokens.get(i + n);
        match &tokens[i].kind {
            Kind::Punct('{') => depth += 1,
            Kind::Punct('}') => {
                depth = depth.saturating_sub(1);
                modules.retain(|(_, at)| *at <= depth);
            }
            Kind::Word(word) if word == "mod" && next(2).is_some_and(|t| t.is('{')) => {
                if let Some(name) = next(1).and_then(Token::word) {
                    modules.push((name.to_owned(), depth + 1));
                }
            }
            Kind::Word(word) if word == "use" && !next(1).is_some_and(|t| t.is('<')) => {
                let mut leaves = Vec::new();
                let end = use_tree(tokens, i + 1, &[], &mut leaves);
                found.extend(leaves.into_iter().map(|(line, segments)| Mention {
                    line,
                    segments,
                    inside: inside(),
                }));
                i = end;
                continue;
            }
            Kind::Word(_) if starts_path(tokens, i) => {
                let line = tokens[i].line;
                let mut segments = Vec::new();
                while let Some(word) = tokens.get(i).and_then(Token::word) {
                    segments.push(word.to_owned());
                    if !is_path_separator(tokens, i + 1) {
                        break;
                    }
                    i += 3;
                }
                found.push(Mention { line, segments, inside: inside() });
                continue_behind(tokens, &mut i);
                continue;
            }
            Kind::Punct(_) | Kind::Word(_) | Kind::Literal => {}
        }
        i += 1;
    }
    found
}

/// Steps over the last word of a path, unless the path ended in `::<` or `::{`.
fn continue_behind(tokens: &[Token], i: &mut usize) {
    if tokens.get(*i).and_then(Token::word).is_some() {
        *i += 1;
    }
}

fn is_path_separator(tokens: &[Token], i: usize) -> bool {
    tokens.get(i).is_some_and(|t| t.is(':')) && tokens.get(i + 1).is_some_and(|t| t.is(':'))
}

/// Whether a path of two words or more begins at `i`.
fn starts_path(tokens: &[Token], i: usize) -> bool {
    const BEFORE: &[&str] = &["return", "in", "as", "mut", "dyn", "impl", "else", "match", "if"];
    if !is_path_separator(tokens, i + 1) {
        return false;
    }
    let continues = i >= 3
        && is_path_separator(tokens, i - 2)
        && (tokens[i - 3].is('>')
            || tokens[i - 3].word().is_some_and(|word| !BEFORE.contains(&word)));
    !continues
}

/// Reads one `use` tree, with `prefix` before it; returns the index behind it.
fn use_tree(
    tokens: &[Token],
    mut i: usize,
    prefix: &[String],
    leaves: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(i).map_or(0, |t| t.line);
    if is_path_separator(tokens, i) {
        i += 2;
    }
    while let Some(token) = tokens.get(i) {
        match &token.kind {
            Kind::Word(word) => {
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                i += 1;
            }
            Kind::Punct('*') => {
                path.push("*".to_owned());
                i += 1;
            }
            Kind::Punct('{') => {
                i += 1;
                while tokens.get(i).is_some_and(|t| !t.is('}')) {
                    let before = i;
                    i = use_tree(tokens, i, &path, leaves);
                    i += usize::from(tokens.get(i).is_some_and(|t| t.is(',')));
                    i += usize::from(i == before);
                }
                return i + 1;
            }
            Kind::Punct(_) | Kind::Literal => break,
        }
        if is_path_separator(tokens, i) {
            i += 2;
        } else {
            break;
        }
    }
    if tokens.get(i).and_then(Token::word) == Some("as") {
        i += 2;
    }
    leaves.push((line, path));
    i
}
