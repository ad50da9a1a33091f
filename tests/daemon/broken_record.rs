//! A record that cannot be written: relaying and `/ice` go on, `/healthz` and the log say so.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER, eventually};
use crate::network::in_own_network;
use crate::turn_client::TurnClient;

/// Two clients with what `/ice` hands out right then talk to each other.
#[track_caller]
fn check_service(daemon: &Daemon) {
    let (username, credential) = daemon.issue("bob");
    let one = TurnClient::allocate(daemon.udp(), &username, &credential).unwrap();
    let two = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    one.permit(two.relayed.ip()).unwrap();
    two.permit(one.relayed.ip()).unwrap();
    one.send(two.relayed, b"hello");
    assert_eq!(two.receive(), Some((one.relayed, b"hello".to_vec())));
    one.release().unwrap();
    two.release().unwrap();
}

/// Serves until the record's trouble shows, and says what `/healthz` calls it.
#[track_caller]
fn serve_until_degraded(daemon: &Daemon) -> String {
    let problem = eventually(|| {
        check_service(daemon);
        let (ok, problem, _) = daemon.record_health();
        (!ok).then_some(problem)
    });
    daemon.wait_for_log("the record is not being written");
    let problem = problem.expect("/healthz shows that the record is not written");
    check_service(daemon);
    problem
}

/// Well again, and all that happened meanwhile is there.
#[track_caller]
fn check_recovery(daemon: &Daemon) {
    let well = eventually(|| daemon.record_health().0.then_some(()));
    assert!(well.is_some(), "{:?}", daemon.record_health());
    daemon.wait_for_log("the record is being written again");
    check_service(daemon);
    let rows = daemon.wait_for_rows(|rows| rows.iter().all(|row| row.end_reason.is_some()));
    assert!(rows.len() >= 6, "{rows:#?}");
    assert_eq!(daemon.record_health().2, 0, "rows were lost");
}

#[test]
fn a_locked_record_does_not_stop_relaying_or_ice_and_loses_nothing() {
    let daemon = Daemon::start(CONFIG);
    check_service(&daemon);
    daemon.wait_for_rows(|rows| rows.len() == 2);
    assert_eq!(daemon.record_health(), (true, String::new(), 0));

    let other = rusqlite::Connection::open(daemon.state().join("turnbell.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let problem = serve_until_degraded(&daemon);
    assert!(problem.contains("lock"), "{problem}");
    other.execute_batch("ROLLBACK").unwrap();
    check_recovery(&daemon);
}

#[test]
fn a_full_disk_does_not_stop_relaying_or_ice_and_loses_nothing() {
    in_own_network(|| {
        let directory = small_file_system();
        let daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
        check_service(&daemon);
        let filler = directory.path().join("state/filler");
        fill(&filler);
        let problem = serve_until_degraded(&daemon);
        assert!(problem.contains("free space"), "{problem}");
        std::fs::remove_file(&filler).unwrap();
        check_recovery(&daemon);
    });
}

#[test]
fn a_read_only_disk_does_not_stop_relaying_or_ice() {
    in_own_network(|| {
        let directory = small_file_system();
        let mut first = Daemon::start_in(Arc::clone(&directory), |_| {});
        check_service(&first);
        assert_eq!(first.terminate().code(), Some(0));
        // What is written at every start is there; the record is what cannot be written.
        let database = directory.path().join("state/turnbell.db");
        mount(&["--bind"], &database, &database);
        mount(&["-o", "remount,bind,ro"], &database, &database);

        let daemon = Daemon::start_in(directory, |_| {});
        let problem = serve_until_degraded(&daemon);
        assert!(!problem.is_empty());
    });
}

/// A directory with the config whose `state` is 4 MiB small; the mount ends with the test.
fn small_file_system() -> Arc<tempfile::TempDir> {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    mount(&["-t", "tmpfs", "-o", "size=4m,mode=0700"], Path::new("turnbell-test"), &state);
    directory
}

#[track_caller]
fn mount(options: &[&str], what: &Path, at: &Path) {
    let output = Command::new("mount").args(options).arg(what).arg(at).output().unwrap();
    assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
}

/// Takes what room is left.
fn fill(filler: &Path) {
    let mut file = std::fs::File::create(filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|written| written > 0) {}
}
