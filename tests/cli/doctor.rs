//! `turnbell doctor`: whatever is wrong, it says what to do next.

use serde_json::Value;

use crate::command::{CONFIG, run};
use crate::daemon::Daemon;

#[test]
fn a_server_that_works_has_nothing_red_and_one_that_does_not_run_is_to_be_started() {
    let mut daemon = Daemon::start(CONFIG);
    let directory = daemon.directory();
    let said = run(directory.path(), "doctor");
    assert_eq!(said.code, Some(0), "{said:#?}");
    for line in [
        "ok      config       turnbell.toml: clients called each other over",
        "ok      daemon       ",
    ] {
        assert!(said.out.contains(line), "{}", said.out);
    }
    assert!(said.out.contains("Seen from outside: Not yet proven"), "{}", said.out);
    let json = run(directory.path(), "doctor --json").json();
    assert_eq!((&json["ok"], &json["looked_at"][1]["id"]), (&Value::Bool(true), &"daemon".into()));

    daemon.terminate();
    let said = run(directory.path(), "doctor");
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("1. Daemon: No turnbell runs on state"), "{}", said.out);
    assert!(said.out.contains("systemctl start turnbell"), "{}", said.out);
    assert_eq!(said.err, "turnbell: something does not work; what to do stands above\n");
}

#[test]
fn a_config_that_cannot_be_meant_is_named_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("127.0.0.1:0", "nowhere");
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    let said = run(directory.path(), "doctor --json");
    assert_eq!(said.code, Some(1), "{said:#?}");
    let found: Value = serde_json::from_str(&said.out).unwrap();
    let first = &found["to_do"][0];
    assert_eq!((&found["ok"], &first["id"]), (&Value::Bool(false), &"config".into()));
    assert!(first["says"].as_str().unwrap().contains("turnbell.toml:3"), "{first}");
}

#[test]
fn a_port_that_another_program_holds_is_red() {
    let holder = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let taken = holder.local_addr().unwrap();
    let config = CONFIG.replace(
        "listen = [\"127.0.0.1:0\"]\nlisten_tcp",
        &format!("listen = [\"{taken}\"]\nlisten_tcp"),
    );
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    let said = run(directory.path(), "doctor");
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(
        said.out.contains("BROKEN  config") && said.out.contains(&taken.port().to_string()),
        "{}",
        said.out
    );
}
