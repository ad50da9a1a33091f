//! Guesses what was meant by a key that does not exist.

/// The sentence for an unknown key: the nearest known one, its right section, or where to look.
pub(super) fn for_unknown_key(path: &str, known: &[String]) -> String {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    if let Some(ours) = coturn_name(name) {
        return format!("there is no such key; what coturn calls `{name}` is {ours} here");
    }
    // The right name in the wrong section: usually a line added below the last [section].
    if let Some(right) = known.iter().find(|key| name_of(key) == name && key.as_str() != path) {
        return format!("there is no such key here; {}", place_of(right));
    }
    let misspelt = |key: &&String| {
        let other = section_of(key);
        !other.is_empty() && other != path && distance(other, path) <= 1 + path.len() / 4
    };
    if section.is_empty()
        && let Some(key) = known.iter().find(misspelt)
    {
        return format!("there is no such section; did you mean [{}]?", section_of(key));
    }
    let near = |key: &&String| distance(name_of(key), name) <= 1 + name.len() / 4;
    let nearest = known
        .iter()
        .filter(near)
        .min_by_key(|key| (distance(name_of(key), name), section_of(key) != section));
    match nearest {
        Some(key) if section_of(key) == section => {
            format!("there is no such key; did you mean `{}`?", name_of(key))
        }
        Some(key) => {
            format!("there is no such key; did you mean `{}`? {}", name_of(key), place_of(key))
        }
        None => {
            let here: Vec<&str> = known
                .iter()
                .filter(|key| section_of(key) == section)
                .map(|key| name_of(key))
                .collect();
            match (here.is_empty(), section) {
                (true, _) => "there is no such section".to_owned(),
                (false, "") => format!("there is no such key; there are {}", here.join(", ")),
                (false, _) => {
                    format!("there is no such key; [{section}] has {}", here.join(", "))
                }
            }
        }
    }
}

/// Text from the file, cut for a message, control characters escaped.
pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut short: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    short = short.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(CHARS_MAX).is_some() {
        short.push_str("...");
    }
    short
}

fn section_of(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(section, _)| section)
}

fn name_of(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}

fn place_of(key: &str) -> String {
    let name = name_of(key);
    match section_of(key) {
        "" => format!("`{name}` stands at the top of the file, above the first [section]"),
        list @ ("ice.server" | "identity.issuer") => format!("`{name}` stands in [[{list}]]"),
        "tenant.default" => format!("`{name}` stands in a table of a tenant, [tenant.<id>]"),
        section => format!("`{name}` stands in [{section}]"),
    }
}

/// Our word for the keys people bring along most often.
fn coturn_name(name: &str) -> Option<&'static str> {
    let ours = match name.replace('_', "-").as_str() {
        "listening-port" | "listening-ip" => "the list `listen`",
        "tls-listening-port" => "the list `listen_tls`",
        "pkey" => "`key` in [tls]",
        "relay-ip" => "the list `relay_addresses`",
        "external-ip" => "the list `external`",
        "min-port" | "max-port" => "`relay_ports` = \"49152-65535\"",
        "static-auth-secret" => "the list `secrets` in [auth]",
        "user" => "the list `users` in [auth]",
        "user-quota" => "`per_user` in [quota]",
        "total-quota" => "`total` in [quota]",
        "allowed-peer-ip" => "the list `allow_private_peers`",
        "denied-peer-ip" => "the list `deny_peers`",
        _ => return None,
    };
    Some(ours)
}

/// Edits (insert, delete, replace) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [("", "", 0), ("a", "", 1), ("realm", "relm", 1), ("ttl", "tls", 2)] {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn text_of_a_file_is_cut_and_escaped_for_a_message() {
        assert_eq!(shortened("\"a\u{1b}[2J\""), "\"a\\u{1b}[2J\"");
        assert_eq!(shortened(&"x".repeat(60)), "x".repeat(60));
        assert_eq!(shortened(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
    }
}
