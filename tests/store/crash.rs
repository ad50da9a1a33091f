//! kill -9 at any moment (R8): the file is whole, what ended more than a second before has its row,
//! and what was on is found at the next start as crashed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use turnbell::store::StoreState;
use turnbell::time::Now;

use crate::support::{ask, close, closed, issued, open, opened, sessions, until_stored};

/// Set for the child: the state directory to write to.
const CHILD: &str = "TURNBELL_STORE_CRASH_CHILD";
const ROUNDS: u64 = 50;
/// Rounds that run at the same time, each on a record of its own that lives through its rounds.
const LANES: u64 = 10;
const SEED: u64 = 0x7475_726e_6265_6c6c;
/// What kill -9 may cost (R8).
const COST_MS: i64 = 1_000;

#[test] // R8, K1
fn kill_9_costs_at_most_what_ended_in_the_last_second() {
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            std::thread::spawn(move || {
                let directory = tempfile::tempdir().unwrap();
                let checked: usize = (lane..ROUNDS)
                    .step_by(LANES as usize)
                    .map(|round| kill_and_look(directory.path(), round))
                    .sum();
                checked
            })
        })
        .collect();
    let checked: usize = lanes.into_iter().map(|lane| lane.join().unwrap()).sum();
    assert!(checked > 1_000, "the rounds really checked something: {checked}");
}

/// The child: opens and closes allocations and says which have ended, until it is killed. Does nothing where it is not asked to.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let (store, _writer) = open(Path::new(&directory));
    assert_eq!(store.health().state, StoreState::Ok);
    let (_never, pause) = channel::<()>();
    for number in 1.. {
        let at = Now::read().unix_ms;
        store.record(opened(number, at, "alice"));
        // Every tenth stays on.
        if number % 10 == 0 {
            store.record(issued(at, "alice"));
        } else {
            let ended = Now::read().unix_ms;
            store.record(closed(number, ended));
            println!("ended {number} {ended}");
            std::io::stdout().flush().unwrap();
        }
        // A few hundred a second: the rounds together must not starve the machine of their own
        // guarantee.
        if number % 5 == 0 {
            assert_eq!(store.health().dropped, 0);
            let _ = pause.recv_timeout(Duration::from_millis(15));
        }
    }
}

/// One round. Returns how many allocations had to have their row.
fn kill_and_look(directory: &Path, round: u64) -> usize {
    let mut random = SEED ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let life = Duration::from_millis(1_050 + next(&mut random) % 900);
    let mut child = start_child(directory);
    let lines = lines_of(&mut child);
    let mut ended = BTreeMap::new();
    let first = lines.recv_timeout(Duration::from_secs(30)).expect("the child writes");
    ended.extend(first);
    let kill_at = Now::read().mono + life;
    loop {
        let left = kill_at.saturating_duration_since(Now::read().mono);
        match lines.recv_timeout(left) {
            Ok(line) => ended.extend(line),
            Err(_) => break,
        }
    }
    let killed_at = Now::read().unix_ms;
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9), "round {round}: it died of the kill only");
    ended.extend(lines.iter().flatten());

    let integrity: String = ask(directory, "PRAGMA integrity_check");
    assert_eq!(integrity, "ok", "round {round}");
    let (run, dropped) = (
        ask::<i64>(directory, "SELECT max(id) FROM runs"),
        ask::<i64>(directory, "SELECT sum(rows_dropped) FROM runs"),
    );
    assert_eq!(dropped, 0, "round {round}");
    let stored = stored_ends(directory, run);
    let due: Vec<_> = ended.iter().filter(|(_, at)| **at < killed_at - COST_MS).collect();
    for (number, at) in &due {
        assert_eq!(stored.get(number), Some(*at), "round {round}: allocation {number}");
    }
    // What has a row really ended, at the time the row says.
    for (number, at) in &stored {
        assert!(ended.get(number).is_none_or(|said| said == at), "round {round}: {number}");
    }
    look_at_the_next_start(directory, round);
    due.len()
}

fn look_at_the_next_start(directory: &Path, round: u64) {
    let on: i64 = ask(directory, "SELECT count(*) FROM allocations WHERE ended_at_ms IS NULL");
    let count = "SELECT count(*) FROM allocations WHERE end_reason = 'crash'";
    let crashed_before: i64 = ask(directory, count);
    assert!(on > 0, "round {round}: something was on");
    let (store, writer) = open(directory);
    let rows: Vec<_> = sessions(&store);
    assert!(
        rows.iter().all(|row| {
            row.ended_at_unix_ms.is_some_and(|ended| ended >= row.started_at_unix_ms)
        })
    );
    until_stored(&store);
    close(&store, writer);
    let crashed: i64 = ask(directory, count);
    assert_eq!(crashed, crashed_before + on, "round {round}");
    let runs: i64 = ask(directory, "SELECT count(*) FROM runs WHERE ended_at_ms IS NULL");
    assert_eq!(runs, 0, "round {round}");
}

fn stored_ends(directory: &Path, run: i64) -> BTreeMap<u64, i64> {
    let connection =
        rusqlite::Connection::open(directory.join(turnbell::store::FILE_NAME)).unwrap();
    connection
        .prepare(
            "SELECT number, ended_at_ms FROM allocations WHERE run = ?1 AND end_reason = 'client'",
        )
        .unwrap()
        .query_map([run], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn start_child(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The numbers and times of ends as the child says them; other lines are the test harness's.
fn lines_of(child: &mut Child) -> Receiver<Option<(u64, i64)>> {
    let (sender, lines) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if let Some(rest) = line.find("ended ").map(|at| &line[at + 6..])
                && let Some((number, at)) = rest.split_once(' ')
                && let (Ok(number), Ok(at)) = (number.parse(), at.parse())
            {
                let _ = sender.send(Some((number, at)));
            }
        }
    });
    lines
}

/// xorshift64.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
