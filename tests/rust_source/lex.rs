//! Text to tokens and comments.

use super::{Comment, Kind, Token};

/// Splits text into tokens and comments. Knows nested comments, raw strings and lifetimes.
pub(super) fn lex(text: &str) -> (Vec<Token>, Vec<Comment>) {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let (mut tokens, mut comments) = (Vec::new(), Vec::<Comment>::new());
    let (mut i, mut line) = (0, 1);
    while i < c.len() {
        let (start, first_line) = (i, line);
        match c[i] {
            '\n' => i += 1,
            ch if ch.is_whitespace() => i += 1,
            '/' if at(i + 1) == '/' => {
                while i < c.len() && c[i] != '\n' {
                    i += 1;
                }
                let text: String = c[start..i].iter().collect();
                match comments.last_mut() {
                    Some(last) if last.line + 1 == line => {
                        last.text.push(' ');
                        last.text.push_str(text.trim_start_matches(['/', '!', ' ']));
                        last.line = line;
                    }
                    _ => comments.push(Comment { line, text }),
                }
            }
            '/' if at(i + 1) == '*' => {
                i = end_of_block_comment(&c, i);
                let text: String = c[start..i].iter().collect();
                comments.push(Comment { line: line + text.matches('\n').count(), text });
            }
            '"' => i = end_of_string(&c, i),
            '\'' => i = end_of_quote(&c, i),
            ch if ch.is_alphanumeric() || ch == '_' => {
                while i < c.len() && (c[i].is_alphanumeric() || c[i] == '_') {
                    i += 1;
                }
                let word: String = c[start..i].iter().collect();
                i = end_of_prefixed(&c, i, &word);
            }
            _ => i += 1,
        }
        line += c[start..i].iter().filter(|ch| **ch == '\n').count();
        let kind = match c[start] {
            ch if ch.is_whitespace() => continue,
            '/' if i > start + 1 => continue,
            '"' | '\'' | '0'..='9' => Kind::Literal,
            ch if ch.is_alphanumeric() || ch == '_' => {
                let word: String = c[start..i].iter().collect();
                let raw = word.strip_prefix("r#").unwrap_or(&word);
                if raw.contains(['"', '\'']) { Kind::Literal } else { Kind::Word(raw.to_owned()) }
            }
            ch => Kind::Punct(ch),
        };
        tokens.push(Token { line: first_line, kind });
    }
    (tokens, comments)
}

fn end_of_block_comment(c: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < c.len() {
        match (c[i], c.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i.min(c.len())
}

fn end_of_string(c: &[char], mut i: usize) -> usize {
    i += 1;
    while i < c.len() && c[i] != '"' {
        i += if c[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(c.len())
}

/// Past a character literal, or past a lifetime.
fn end_of_quote(c: &[char], mut i: usize) -> usize {
    if c.get(i + 1) == Some(&'\\') {
        i += 3;
        while i < c.len() && c[i] != '\'' {
            i += 1;
        }
        return (i + 1).min(c.len());
    }
    if c.get(i + 2) == Some(&'\'') {
        return i + 3;
    }
    i += 1;
    while i < c.len() && (c[i].is_alphanumeric() || c[i] == '_') {
        i += 1;
    }
    i
}

/// Past `r#"..."#`, `b"..."`, `b'x'` or `r#word` if `word` is such a prefix, else where it was.
fn end_of_prefixed(c: &[char], i: usize, word: &str) -> usize {
    let raw = matches!(word, "r" | "br" | "cr");
    let hashes = if raw { c[i..].iter().take_while(|ch| **ch == '#').count() } else { 0 };
    match c.get(i + hashes) {
        Some('"') if raw => {
            let mut end = i + hashes + 1;
            while end < c.len() {
                let closes = c[end] == '"'
                    && c[end + 1..].iter().take(hashes).filter(|ch| **ch == '#').count() == hashes;
                if closes {
                    return end + 1 + hashes;
                }
                end += 1;
            }
            end
        }
        Some('"') if matches!(word, "b" | "c") => end_of_string(c, i),
        Some('\'') if word == "b" => end_of_quote(c, i),
        Some(ch) if word == "r" && hashes == 1 && (ch.is_alphabetic() || *ch == '_') => {
            let name = c[i + 1..].iter().take_while(|ch| ch.is_alphanumeric() || **ch == '_');
            i + 1 + name.count()
        }
        _ => i,
    }
}
