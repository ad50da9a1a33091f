//! `turnbell usage`, `backup` and `forget`: with a daemon and without one.

use std::sync::Arc;

use rusqlite::Connection;

use crate::calls::recorded;
use crate::command::{CONFIG, ask, ask_after, ask_stopped, run};
use crate::daemon::Daemon;

#[test] // P30
fn usage_is_a_table_json_or_csv_with_and_without_a_daemon() {
    let directory = recorded();
    let at = directory.path();
    // One call of the record is of the first minute of 1970.
    let table = ask_stopped(at, "usage --by user --from 0 --to 86400000");
    let row = |user: &str| table.lines().find(|line| line.contains(user)).unwrap().to_owned();
    assert!(table.starts_with("TENANT   USER   CALLS"), "{table}");
    assert!(row("carol").starts_with("default  carol  1 "), "{table}");
    assert!(row("all ").starts_with("all             2 "), "{table}");
    assert!(table.ends_with("from 1970-01-01 00:00:00 to 1970-01-02 00:00:00 UTC\n"), "{table}");
    let json = run(at, "usage --by day --from 0 --to 1970-01-02 --json").json();
    assert_eq!(json["usage"]["items"][0]["calls"], 2, "{json}");
    assert_eq!(json["usage"]["total"]["minutes"], 1, "{json}");
    let csv = ask_stopped(at, "usage --by tenant --from 0 --to 86400000 --csv");
    assert_eq!(csv.lines().nth(1), Some("default,2,0,1,65000,0,0,0,0,0,0"), "{csv}");
    assert!(ask_stopped(at, "usage").starts_with("nothing was used from "));
    for (arguments, word) in [
        ("usage --from yesterday", "from is a day or time such as"),
        ("usage --from 2026-01-02 --to 2026-01-02", "to must be later than from"),
        ("usage --from 2020-01-01 --to 2026-01-02", "at most 366 days"),
    ] {
        let said = run(at, arguments).refused();
        assert!(said.contains(word), "{said}");
    }
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!(ask(&daemon, "usage --by user --from 0 --to 86400000"), table);
}

#[test] // P33
fn a_backup_is_taken_beside_a_daemon_and_without_one_and_overwrites_nothing() {
    let directory = recorded();
    let daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
    let at = directory.path();
    let said = run(at, "backup copy.db").done();
    assert!(said.starts_with("copy.db: ") && said.ends_with(" KiB, checked\n"), "{said}");
    let copy = Connection::open(at.join("copy.db")).unwrap();
    let calls = copy.query_row("SELECT count(*) FROM calls", [], |row| row.get::<_, i64>(0));
    assert_eq!(calls, Ok(2));
    let again = run(at, "backup copy.db").refused();
    assert_eq!(again, "copy.db exists and is not overwritten: name another file, or move that one");
    let mut daemon = daemon;
    daemon.terminate();
    let json = run(at, "backup second.db --json").json();
    assert_eq!(json["backup"]["file"], "second.db", "{json}");
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("turnbell.toml"), CONFIG).unwrap();
    assert!(run(empty.path(), "backup x.db").refused().contains("there is no record"));
    assert!(run(at, "backup no/such/x.db").refused().contains("cannot be created"));
}

#[test] // P33
fn a_person_is_forgotten_only_by_yes_and_the_answer_says_what_was_done() {
    let directory = recorded();
    let at = directory.path();
    let looked = run(at, "forget alice");
    assert_eq!(looked.code, Some(1), "{looked:?}");
    assert!(looked.err.ends_with("turnbell: nothing was done: `--yes` does it\n"), "{looked:?}");
    let lines: Vec<&str> = looked.out.lines().collect();
    assert_eq!(lines[0], "on record of \"alice\" of tenant default:", "{looked:?}");
    assert!(lines[2].ends_with("would be anonymised"), "{looked:?}");
    let daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
    let said = ask(&daemon, "forget alice --yes");
    assert!(said.starts_with("forgotten: \"alice\" of tenant default\n"), "{said}");
    let row: Vec<&str> = said.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(row, ["calls", "2", "anonymised"], "{said}");
    let calls = ask(&daemon, "calls");
    assert!(!calls.contains("alice") && calls.contains("(forgotten)"), "{calls}");
    let mut daemon = daemon;
    let none = ask_after(&mut daemon, "forget alice --yes");
    assert_eq!(none, "nothing is on record of \"alice\" of tenant default\n");
    let other = ask_stopped(at, "forget bob --tenant acme --yes");
    assert_eq!(other, "nothing is on record of \"bob\" of tenant acme\n");
    let wrong = run(at, "forget bob --tenant Acme --yes").refused();
    assert!(wrong.contains("1 to 32 of a-z, 0-9 and -"), "{wrong}");
}
