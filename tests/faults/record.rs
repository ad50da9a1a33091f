//! K3, K4, K5: a record that cannot be written. Relaying and `/ice` go on, `/healthz` and the log say
//! so, and what happened meanwhile is stored when the fault is over.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use turnbell::limits::RECORD_QUEUED_MAX;
use turnbell::time::Now;

use crate::daemon::{Daemon, PASSWORD, USER, eventually, record};
use crate::flow::{Flow, check_loss, config, lasting, pass};
use crate::network::in_own_network;
use crate::turn_client::TurnClient;

/// Entries of the record for one [`serve`]: a credential, two allocations, two ends.
const ENTRIES: usize = 5;
/// Between two of them.
const PACE: Duration = Duration::from_millis(100);
/// Of them in one fault, that what waits to be written has room ([`RECORD_QUEUED_MAX`]).
const SERVED_MAX: u32 = 2_000;
const _: () = assert!(SERVED_MAX as usize * ENTRIES < RECORD_QUEUED_MAX);

#[test] // K3
fn a_full_disk_costs_no_packet_no_credential_and_no_row() {
    in_own_network(|| {
        let directory = small_file_system();
        let daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
        let flow = Flow::start(&daemon);
        let filler = directory.path().join("state/filler");
        let mut served = 0;
        flow.check_unharmed("full disk", || {
            fill(&filler);
            served += serve_while_degraded(&daemon, "free space");
            fs::remove_file(&filler).unwrap();
            served += check_recovery(&daemon);
        });
        check_accounts(&daemon, &flow, served);
    });
}

#[test] // P32
fn a_full_disk_is_named_by_verify_and_doctor_and_calls_go_on() {
    in_own_network(|| {
        let directory = small_file_system();
        let daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
        fill(&directory.path().join("state/filler"));
        let full = eventually(|| {
            serve(&daemon);
            (!daemon.record_health().0).then_some(())
        });
        assert!(full.is_some(), "{:?}", daemon.record_health());
        let (code, text, _) = daemon.command(&["verify", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        let verdicts = report["verdicts"].as_array().unwrap();
        assert_eq!((code, verdicts.len()), (Some(0), 1), "{report:#}");
        assert_eq!(verdicts[0]["code"], "disk_full", "{report:#}");
        let (code, text, _) = daemon.command(&["doctor"]);
        assert!(code == Some(1) && text.contains("Make room on the disk"), "{text}");
    });
}

#[test] // K4
fn a_record_locked_by_another_process_costs_no_packet_no_credential_and_no_row() {
    let daemon = Daemon::start(&config(""));
    let flow = Flow::start(&daemon);
    let mut served = 0;
    flow.check_unharmed("locked record", || {
        // `sqlite3` in another shell is nothing else for the daemon: locks are per open file.
        let other = rusqlite::Connection::open(daemon.state().join("turnbell.db")).unwrap();
        other.busy_timeout(crate::daemon::PATIENCE).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        served += serve_while_degraded(&daemon, "lock");
        other.execute_batch("ROLLBACK").unwrap();
        served += check_recovery(&daemon);
    });
    check_accounts(&daemon, &flow, served);
}

#[test] // K5
fn a_record_that_is_deleted_replaced_or_damaged_costs_no_packet_and_is_made_anew() {
    in_own_network(|| {
        let directory = small_file_system();
        let state = directory.path().join("state");
        let mut daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
        let flow = Flow::start(&daemon);
        flow.check_unharmed("deleted record", || {
            for log in ["", "-wal", "-shm"] {
                fs::remove_file(state.join(format!("turnbell.db{log}"))).unwrap();
            }
            serve_for(&daemon, lasting(Duration::from_secs(1)));
            daemon.wait_for_log("deleted or replaced");
            assert!(eventually(|| daemon.record_health().0.then_some(())).is_some());
        });
        flow.check_unharmed("record replaced by one that cannot be written", || {
            let (database, aside) = (state.join("turnbell.db"), state.join("aside.db"));
            fs::rename(&database, &aside).unwrap();
            fs::copy(&aside, &database).unwrap();
            mount(&["--bind"], &database, &database);
            mount(&["-o", "remount,bind,ro"], &database, &database);
            serve_while_degraded(&daemon, "");
            unmount(&database);
            check_recovery(&daemon);
        });
        let before = flow.measure(|| pass(Duration::from_secs(2)));
        flow.check_unharmed("record overwritten while it is open", || {
            scribble(&state.join("turnbell.db"));
            serve_for(&daemon, lasting(Duration::from_secs(1)));
        });
        drop(flow);
        assert_eq!(daemon.terminate().code(), Some(0));

        // At start: one that is damaged, then one that cannot be written.
        scribble(&state.join("turnbell.db"));
        let mut daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
        daemon.wait_for_log("it is moved aside and a new one started");
        check_loss("damaged record at start", &before, &serve_under_flow(&daemon));
        assert_eq!(daemon.record_health(), (true, String::new(), 0));
        assert_eq!(daemon.terminate().code(), Some(0));

        let database = state.join("turnbell.db");
        mount(&["--bind"], &database, &database);
        mount(&["-o", "remount,bind,ro"], &database, &database);
        let daemon = Daemon::start_in(Arc::clone(&directory), |_| {});
        check_loss("read-only record at start", &before, &serve_under_flow(&daemon));
        assert!(!daemon.record_health().0);
        daemon.wait_for_log("the record is not being written");
    });
}

/// Two clients with what `/ice` hands out right then talk to each other.
#[track_caller]
fn serve(daemon: &Daemon) {
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

/// Serves for so long; how often.
fn serve_for(daemon: &Daemon, time: Duration) -> usize {
    let end = Now::read().mono + time;
    let pace = PACE.max(time / SERVED_MAX);
    let mut served = 0;
    while served == 0 || Now::read().mono < end {
        serve(daemon);
        served += 1;
        pass(pace);
    }
    served
}

fn serve_under_flow(daemon: &Daemon) -> crate::flow::Counts {
    let flow = Flow::start(daemon);
    let counts = flow.measure(|| _ = serve_for(daemon, lasting(Duration::from_secs(2))));
    flow.check_alive();
    counts
}

/// Serves until `/healthz` says that the record is not written and why, and on; how often.
#[track_caller]
fn serve_while_degraded(daemon: &Daemon, why: &str) -> usize {
    let mut served = 0;
    let problem = eventually(|| {
        serve(daemon);
        served += 1;
        let (ok, problem, _) = daemon.record_health();
        (!ok).then_some(problem)
    });
    let problem = problem.expect("/healthz shows that the record is not written");
    assert!(problem.contains(why) && !problem.is_empty(), "{problem}");
    let (_, found) = daemon.get("/api/diagnostics");
    let mut items = found["items"].as_array().unwrap().iter();
    let record = items.find(|item| item["id"] == "record").unwrap();
    assert_eq!((&found["state"], &record["state"]), (&"red".into(), &"red".into()), "{record}");
    assert!(record["says"].as_str().unwrap().contains("calls go on"), "{record}");
    assert!(record["cure"].as_str().is_some_and(|cure| cure.len() > 10), "{record}");
    daemon.wait_for_log("the record is not being written");
    served + serve_for(daemon, lasting(Duration::from_secs(3)))
}

/// It is well again without help; how often it served for that.
#[track_caller]
fn check_recovery(daemon: &Daemon) -> usize {
    let well = eventually(|| daemon.record_health().0.then_some(()));
    assert!(well.is_some(), "{:?}", daemon.record_health());
    daemon.wait_for_log("the record is being written again");
    serve(daemon);
    1
}

/// Everything that happened is a row: none is lost, none is there twice, and the books agree.
#[track_caller]
fn check_accounts(daemon: &Daemon, flow: &Flow, served: usize) {
    let live = flow.relayed.len();
    let count = |of: &str| {
        let outcome = format!("turnbell_record_entries_total{{outcome=\"{of}\"}}");
        daemon.metric(&outcome) as usize
    };
    let mut found = Vec::new();
    let wanted = vec![live + ENTRIES * served, 0, served, live + 2 * served, 2 * served];
    let agree = eventually(|| {
        let record = record(&daemon.state());
        let rows = |of: &str| {
            let select = format!("SELECT count(*) FROM {of}");
            record.query_row(&select, [], |row| row.get::<_, i64>(0)).unwrap() as usize
        };
        found = vec![
            count("stored"),
            count("dropped"),
            rows("credentials_issued"),
            rows("allocations"),
            rows("allocations WHERE end_reason IS NOT NULL"),
        ];
        (found == wanted).then_some(())
    });
    assert!(
        agree.is_some(),
        "stored, dropped, credentials, allocations, ended: {found:?}, {wanted:?}"
    );
}

/// A directory with the config whose `state` is 4 MiB small; the mount ends with the test.
fn small_file_system() -> Arc<tempfile::TempDir> {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(directory.path().join("turnbell.toml"), config("")).unwrap();
    mount(&["-t", "tmpfs", "-o", "size=4m,mode=0700"], Path::new("turnbell-test"), &state);
    directory
}

#[track_caller]
fn mount(options: &[&str], what: &Path, at: &Path) {
    let output = Command::new("mount").args(options).arg(what).arg(at).output().unwrap();
    assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn unmount(at: &Path) {
    assert!(Command::new("umount").arg("--lazy").arg(at).status().unwrap().success());
}

/// Takes what room is left.
fn fill(filler: &Path) {
    let mut file = fs::File::create(filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|written| written > 0) {}
}

/// Overwrites all of it but its length.
fn scribble(database: &Path) {
    let file = fs::OpenOptions::new().write(true).open(database).unwrap();
    for page in 0..file.metadata().unwrap().len() / 4096 {
        file.write_all_at(&[0x5a; 4096], page * 4096).unwrap();
    }
}
