//! Tests of reading as coturn reads.

use proptest::prelude::*;

use super::*;

fn typed(text: &str) -> Vec<(usize, String, String)> {
    let line = |place| match place {
        Place::Line(line) | Place::Word(line) => line,
    };
    file(text.as_bytes()).unwrap().into_iter().map(|s| (line(s.place), s.name, s.value)).collect()
}

fn check(text: &str, name: &str, value: &str) {
    assert_eq!(typed(text), [(1, name.to_owned(), value.to_owned())], "{text:?}");
}

#[test]
fn name_and_value_stand_apart_by_equals_signs_blanks_and_tabs() {
    check("realm=a", "realm", "a");
    check("realm a", "realm", "a");
    check("realm\t = == a", "realm", "a");
    check("  realm=a  \r", "realm", "a");
    check("verbose", "verbose", "");
    check("user=name:pass=word", "user", "name:pass=word");
    check("static-auth-secret=ab cd", "static-auth-secret", "ab cd");
}

#[test]
fn quotes_around_a_value_go_and_others_stay() {
    check("realm=\"a b\"  ", "realm", "a b");
    check("realm=\"a", "realm", "a");
    check("realm=a\"", "realm", "a\"");
    check("realm='a'", "realm", "'a'");
    check("realm=\"", "realm", "");
}

#[test]
fn only_a_line_that_begins_with_a_hash_is_a_comment() {
    assert_eq!(typed("# realm=a\n  #x\n\n \t\n"), []);
    check("realm=a # b", "realm", "a # b");
    let odd = file(b"realm=a # b").unwrap()[0].odd;
    assert!(odd.is_some_and(|odd| odd.contains("comments only at the start")), "{odd:?}");
    assert!(file(b"realm=a;").unwrap()[0].odd.is_some_and(|odd| odd.contains("semicolon")));
}

#[test]
fn a_line_goes_on_as_another_one_after_1023_bytes() {
    let long = |bytes: usize| format!("realm={}", "a".repeat(bytes - 6));
    assert_eq!(typed(&long(1023)).len(), 1);
    let two = file(long(1024).as_bytes()).unwrap();
    assert_eq!((two.len(), &*two[1].name), (2, "a"));
    assert!(two[0].odd.is_some_and(|odd| odd.contains("longer than coturn reads")));
}

#[test]
fn what_is_no_text_or_has_too_many_options_is_refused() {
    assert!(file(b"realm=a\0").unwrap_err().contains("zero bytes"));
    assert_eq!(file("v\n".repeat(COTURN_STATEMENTS_MAX).as_bytes()).unwrap().len(), 30_000);
    assert!(file("v\n".repeat(COTURN_STATEMENTS_MAX + 1).as_bytes()).is_err());
    let latin = file(b"realm=caf\xe9").unwrap();
    assert!(latin[0].odd.is_some_and(|odd| odd.contains("not UTF-8")));
}

fn words_of(text: &str) -> Vec<(String, String)> {
    command_line(text).unwrap().statements.into_iter().map(|s| (s.name, s.value)).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_command_line_is_read_as_getopt_reads_it() {
    assert_eq!(
        words_of("turnserver -a -f -p 3479 -r=x --realm=a --user 'b:c d' --no-cli -vop3480"),
        pairs(&[
            ("lt-cred-mech", ""),
            ("fingerprint", ""),
            ("listening-port", "3479"),
            ("realm", "=x"),
            ("realm", "a"),
            ("user", "b:c d"),
            ("no-cli", ""),
            ("verbose", ""),
            ("daemon", ""),
            ("listening-port", "3480"),
        ])
    );
    // Unique beginnings are enough, others are not.
    assert_eq!(words_of("--stale=5 --li=6"), pairs(&[("stale-nonce", "5"), ("li", "6")]));
    // A switch takes no word that stands behind it.
    let line = command_line("--no-tcp off -- -x").unwrap();
    assert_eq!(line.strays, [(Place::Word(2), "off".into()), (Place::Word(4), "-x".into())]);
}

#[test]
fn a_units_command_line_names_its_file() {
    let line =
        command_line("ExecStart=/usr/bin/turnserver -c /etc/turnserver.conf --pidfile=").unwrap();
    assert_eq!(line.file.as_deref(), Some("/etc/turnserver.conf"));
    assert_eq!((line.strays.len(), line.statements.len(), line.no_file), (0, 1, false));
    assert!(command_line("-n").unwrap().no_file);
    assert_eq!(command_line("-c/etc/a").unwrap().file.as_deref(), Some("/etc/a"));
}

#[test]
fn what_a_containers_script_puts_in_is_named() {
    let line =
        command_line("-n --external-ip=$(detect-external-ip -4) \\\n --realm=\"$R\"").unwrap();
    assert_eq!(line.statements[0].value, "$(detect-external-ip -4)");
    assert!(line.statements[0].odd.is_some_and(|odd| odd.contains("start script")));
    assert!(command_line("--realm='a").unwrap_err().contains("inside quotes"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = file(&bytes);
        let _ = command_line(&String::from_utf8_lossy(&bytes));
    }
}
