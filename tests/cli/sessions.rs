//! `turnbell sessions`: who is connected with the bytes so far, and who was.

use serde_json::Value;

use crate::command::{CONFIG, ask, ask_after, ask_stopped, run};
use crate::daemon::{Daemon, eventually};
use crate::turn_client::TurnClient;

fn client(daemon: &Daemon, user: &str) -> TurnClient {
    let issued = run(daemon.directory().path(), &format!("credential --json --user {user}")).json();
    let text = |key: &str| issued["credential"][key].as_str().unwrap().to_owned();
    TurnClient::allocate(daemon.udp(), &text("username"), &text("credential")).unwrap()
}

/// The cells of each line below the head.
fn cells(table: &str) -> Vec<Vec<String>> {
    let cell = |cell: &str| Some(cell.trim().to_owned()).filter(|cell| !cell.is_empty());
    table.lines().skip(1).map(|line| line.split("  ").filter_map(cell).collect()).collect()
}

#[test]
fn a_live_allocation_shows_its_bytes_and_an_ended_one_its_reason() {
    let mut daemon = Daemon::start(CONFIG);
    assert_eq!(ask(&daemon, "sessions"), "no allocations\n");
    let (ann, bob) = (client(&daemon, "ann"), client(&daemon, "bob"));
    for client in [&ann, &bob] {
        client.permit("127.0.0.1".parse().unwrap()).unwrap();
    }
    ann.send(bob.relayed, &[7; 1536]);
    assert_eq!(bob.receive().expect("it is relayed").0, ann.relayed);

    let live = cells(&ask(&daemon, "sessions"));
    assert_eq!(live.len(), 2, "{live:?}");
    assert_eq!((&*live[0][3], &*live[1][3]), ("ann", "bob"), "the newest is the last");
    assert_eq!(live[0][5], ann.relayed.to_string());
    assert_eq!(live[0][6..], ["1.5 KiB", "0 B"]);
    assert_eq!(live[1][6..], ["0 B", "1.5 KiB"]);
    assert!(live[0][2].starts_with("on, 9m") || live[0][2].starts_with("on, 10m"), "{live:?}");
    assert_eq!(cells(&ask(&daemon, "sessions --all")), cells(&ask(&daemon, "sessions")));
    assert_eq!(cells(&ask(&daemon, "sessions --user bob")).len(), 1);
    assert_eq!(cells(&ask(&daemon, "sessions -n 1"))[0][3], "bob");
    let cut = run(daemon.directory().path(), "sessions -n 1").err;
    assert!(cut.contains("these are the newest 1;"), "{cut}");
    let json = run(daemon.directory().path(), "sessions --json").json();
    assert_eq!(json["sessions"][1]["traffic"]["bytes_to_peers"], Value::from(1536));

    ann.release().unwrap();
    assert_eq!(cells(&ask(&daemon, "sessions")).len(), 1);
    let ended = eventually(|| {
        let all = cells(&ask(&daemon, "sessions --all"));
        (all[0][2] == "client").then_some(all)
    });
    let ended = ended.expect("the record has the end");
    assert_eq!((&*ended[0][3], &ended[0][6..]), ("ann", &live[0][6..]));

    let stopped = cells(&ask_after(&mut daemon, "sessions --all"));
    assert_eq!(stopped[0], ended[0], "the same line with and without a daemon");
    assert_eq!((&*stopped[1][2], &*stopped[1][3]), ("shutdown", "bob"));
    assert_eq!(ask_stopped(daemon.directory().path(), "sessions"), "no allocations\n");
}

#[test]
fn after_a_crash_nothing_is_live_and_the_record_says_crash() {
    let mut daemon = Daemon::start(CONFIG);
    let _ann = client(&daemon, "ann");
    daemon.wait_for_rows(|rows| rows.len() == 1);
    daemon.kill();
    let directory = daemon.directory();
    // The socket that a killed daemon leaves behind keeps nobody out.
    assert!(directory.path().join("state/control.sock").exists());
    assert_eq!(ask_stopped(directory.path(), "sessions"), "no allocations\n");
    let all = cells(&ask_stopped(directory.path(), "sessions --all"));
    assert_eq!((&*all[0][2], &*all[0][3]), ("crash", "ann"));
}
