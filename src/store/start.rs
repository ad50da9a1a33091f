//! What runs at start and now and then, however large the record is, looks only where it must.

use super::calls::{CALL, LIVE};
use super::retention::{EMPTY_RUNS, OLDEST};
use super::run::{CLOSE_ALLOCATIONS, CLOSE_RUNS};
use super::testing::File;

/// Tables that have few rows by their bounds, or that a partial index makes few.
const SMALL: [&str; 4] = ["runs", "api_keys", "revocations", "invites"];

/// Lines of the plan that go through a whole table, or a whole index of it.
fn scans(file: &mut File, sql: &str) -> Vec<String> {
    let connection = file.connection();
    let mut statement = connection.prepare(&["EXPLAIN QUERY PLAN ", sql].concat()).unwrap();
    let count = statement.parameter_count();
    let parameters = rusqlite::params_from_iter(std::iter::repeat_n(1, count));
    let lines = statement.query_map(parameters, |row| row.get::<_, String>(3)).unwrap();
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    let is_scan = |line: &String| line.starts_with("SCAN ") && !line.starts_with("SCAN (subquery");
    let is_small = |line: &String| SMALL.iter().any(|table| line.split(' ').nth(1) == Some(table));
    lines.into_iter().filter(is_scan).filter(|line| !is_small(line)).collect()
}

/// An index of only the rows that are wanted, read from its beginning to its end.
fn is_of_live_rows(line: &str) -> bool {
    line.ends_with("USING INDEX allocations_open") || line.ends_with("USING INDEX calls_live")
}

#[test] // P33: a large record starts as fast as a small one
fn no_statement_of_the_start_reads_a_whole_table() {
    let mut file = File::new();
    let unfinished = [CALL, LIVE].concat();
    for sql in [CLOSE_ALLOCATIONS, CLOSE_RUNS, &unfinished, EMPTY_RUNS] {
        let scans = scans(&mut file, sql);
        assert!(scans.iter().all(|line| is_of_live_rows(line)), "{sql}: {scans:?}");
    }
    let all = scans(&mut file, "SELECT * FROM allocations WHERE ended_at_ms = started_at_ms");
    assert!(!all.iter().all(|line| is_of_live_rows(line)), "a whole table is noticed: {all:?}");
}

#[test]
fn retention_finds_the_oldest_rows_of_each_table_by_its_index() {
    let mut file = File::new();
    let scans = scans(&mut file, OLDEST);
    assert_eq!(scans, Vec::<String>::new());
}
