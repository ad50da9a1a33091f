//! Tests of the table.

use std::collections::BTreeSet;

use super::*;

/// Every option of coturn's long ones up to 4.17.1, and those that it once had.
const OF_COTURN: &str = include_str!("names.txt");

#[test]
fn every_option_that_coturn_ever_had_is_known_once() {
    let ours: Vec<&str> = names().collect();
    let unique: BTreeSet<&str> = ours.iter().copied().collect();
    assert_eq!(unique.len(), ours.len());
    let theirs: BTreeSet<&str> = OF_COTURN.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(theirs.len(), 143 + 26);
    let unknown: Vec<&&str> = theirs.difference(&unique).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let of_nobody: Vec<&&str> = unique.difference(&theirs).collect();
    assert_eq!(of_nobody, [&"help"]);
}

#[test]
fn letters_are_unique() {
    let letters: Vec<char> = ROWS.iter().filter_map(|row| row.letter).collect();
    let unique: BTreeSet<char> = letters.iter().copied().collect();
    assert_eq!(unique.len(), letters.len());
    // Those of `turnserver --help`; -c and -n are about the file itself.
    for letter in "ABCEJKLMNOQSVXabdefhilmopqrsuvz".chars() {
        assert!(by_letter(letter).is_some(), "{letter}");
    }
}
