//! `turnbell status`: for a person and for a script.

use serde_json::Value;

use crate::command::{CONFIG, ask, run};
use crate::daemon::Daemon;

#[test]
fn a_running_daemon_is_well_and_a_stopped_one_is_an_exit_code() {
    let mut daemon = Daemon::start(CONFIG);
    let directory = daemon.directory();
    assert_eq!(ask(&daemon, "status"), "relay   well, 0 allocations\nrecord  well\n");
    let json = run(directory.path(), "status --json").json();
    assert_eq!(json["status"]["ok"], Value::Bool(true));
    daemon.terminate();
    let sentence = run(directory.path(), "status").refused();
    assert_eq!(sentence, "no turnbell runs on state, which turnbell.toml names");
}
