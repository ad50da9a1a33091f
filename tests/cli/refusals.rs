//! What cannot be done is one clear sentence, or a list of them, and exit code 1.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::command::{CONFIG, Said, run, turnbell};
use crate::daemon::Daemon;

/// Somebody who is neither root nor the owner of the files of this test.
const NOBODY: u32 = 65_534;

fn directory_with(config: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    directory
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_second_daemon_on_one_state_directory_names_the_first() {
    let daemon = Daemon::start(CONFIG);
    let sentence = run(daemon.directory().path(), "run").refused();
    let expected = format!("already running as pid {}: it holds", daemon.pid());
    assert!(sentence.starts_with(&expected), "{sentence}");
    assert_eq!(run(daemon.directory().path(), "status").code, Some(0), "the first goes on");
}

#[test]
fn a_port_of_another_program_is_named_with_its_holder_and_the_setting() {
    let (udp, tcp) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (udp, tcp) = (udp.local_addr().map(|at| (udp, at)), tcp.local_addr().map(|at| (tcp, at)));
    let ((_udp, udp_at), (_tcp, tcp_at)) = (udp.unwrap(), tcp.unwrap());
    for (ours, taken, what, key) in [
        ("listen = [\"127.0.0.1:0\"]\nlisten_tcp", udp_at, "UDP", "\"listen\""),
        ("http.listen = [\"127.0.0.1:0\"]", tcp_at, "TCP", "\"http.listen\""),
    ] {
        let config = CONFIG.replace(ours, &ours.replace("127.0.0.1:0", &taken.to_string()));
        assert_ne!(config, CONFIG);
        let sentence = run(directory_with(&config).path(), "run").refused();
        let start = format!("{what} port {} on 127.0.0.1 is taken by ", taken.port());
        assert!(sentence.starts_with(&start), "{sentence}");
        let pid = format!("(pid {}); stop it", std::process::id());
        assert!(sentence.contains(&pid) && sentence.contains(key), "{sentence}");
    }
}

#[test]
fn a_port_of_another_turnbell_is_named_too() {
    let daemon = Daemon::start(CONFIG);
    let config = CONFIG.replacen("127.0.0.1:0", &daemon.udp().to_string(), 1);
    let sentence = run(directory_with(&config).path(), "run").refused();
    let expected = format!("taken by turnbell (pid {}); stop it (systemctl", daemon.pid());
    assert!(sentence.contains(&expected), "{sentence}");
}

#[test]
fn three_mistakes_are_a_list_with_lines_for_every_command() {
    let config = format!("relam = \"x\"\nrelay_ports = \"9-1\"\n{CONFIG}http.rate_per_key = -1\n");
    let directory = directory_with(&config);
    for command in ["run", "check-config", "key list", "sessions", "log", "credential", "status"] {
        let said = run(directory.path(), command);
        assert_eq!((said.code, &*said.out), (Some(1), ""), "{said:#?}");
        let lines: Vec<&str> = said.err.lines().collect();
        assert_eq!(lines.len(), 4, "{said:#?}");
        assert_eq!(lines[0], "turnbell: 3 problems in the configuration:");
        for (line, start) in lines[1..].iter().zip([
            "turnbell: turnbell.toml:1: `relam`: there is no such key; did you mean `realm`?",
            "turnbell: turnbell.toml:2: `relay_ports`: ",
            "turnbell: turnbell.toml:9: `http.rate_per_key`: ",
        ]) {
            assert!(line.starts_with(start), "{line}");
        }
    }
    assert!(!directory.path().join("state").exists());
}

#[test]
fn a_config_that_is_not_there_or_no_file_is_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    for (config, why) in [("nowhere.toml", "No such file"), (".", "Is a directory")] {
        let sentence = run(directory.path(), &format!("run --config {config}")).refused();
        assert!(sentence.starts_with(&format!("{config}: cannot be read: {why}")), "{sentence}");
    }
}

/// Whether the tests, which made this directory, run as root.
fn is_root(made: &Path) -> bool {
    made.metadata().unwrap().uid() == 0
}

/// A command as somebody without rights to what the others own.
fn as_nobody(directory: &Path, arguments: &str) -> Command {
    if !is_root(directory) {
        return turnbell(directory, arguments);
    }
    // The build's own directory may be closed to others.
    let binary = directory.join("turnbell");
    if !binary.exists() {
        let built = env!("CARGO_BIN_EXE_turnbell");
        fs::hard_link(built, &binary).or_else(|_| fs::copy(built, &binary).map(|_| ())).unwrap();
    }
    let mut command = Command::new(binary);
    command.args(arguments.split(' ')).current_dir(directory).uid(NOBODY).gid(NOBODY);
    command
}

#[test]
fn without_rights_to_the_config_every_command_says_who_has_them() {
    let directory = directory_with(CONFIG);
    set_mode(directory.path(), 0o755);
    set_mode(&directory.path().join("turnbell.toml"), 0o000);
    for command in ["run", "check-config", "key list", "status"] {
        let sentence = Said::of(as_nobody(directory.path(), command)).refused();
        let expected =
            "turnbell.toml: cannot be read: Permission denied (os error 13); run as root";
        assert!(sentence.starts_with(expected), "{sentence}");
    }
}

#[test]
fn without_rights_to_the_state_every_command_says_who_has_them_and_the_socket_is_closed() {
    let daemon = Daemon::start(CONFIG);
    let directory = daemon.directory();
    let mode = |name: &str| {
        let metadata = fs::metadata(daemon.state().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("."), mode("control.sock"), mode("secret")), (0o700, 0o600, 0o600));
    set_mode(directory.path(), 0o755);
    // Once the directory keeps them out, once the socket alone. The owner, too, is kept out by modes.
    for mode in if is_root(directory.path()) { [0o700, 0o711] } else { [0o000, 0o100] } {
        set_mode(&daemon.state(), mode);
        if mode == 0o100 {
            set_mode(&daemon.state().join("control.sock"), 0o000);
        }
        for command in ["key list", "key add x", "sessions", "log", "credential", "status"] {
            let sentence = Said::of(as_nobody(directory.path(), command)).refused();
            let expected = "state/control.sock is out of reach for this user: run this as root, or";
            assert!(sentence.starts_with(expected), "{command}: {sentence}");
        }
    }
    set_mode(&daemon.state(), 0o000);
    let sentence = Said::of(as_nobody(directory.path(), "run")).refused();
    assert!(sentence.starts_with("state directory state cannot be used: "), "{sentence}");
    assert_eq!(sentence.matches("Permission denied").count(), 1, "{sentence}");
    set_mode(&daemon.state(), 0o700);
}

#[test]
fn where_nothing_was_ever_started_nothing_is_made_by_looking() {
    let directory = directory_with(CONFIG);
    for command in ["key list", "key revoke x", "sessions", "log"] {
        assert_eq!(
            run(directory.path(), command).refused(),
            "no turnbell runs on state, which turnbell.toml names, and there is no record in it yet"
        );
    }
    assert!(!directory.path().join("state").exists());
}

#[test]
fn what_root_makes_without_a_daemon_belongs_to_the_owner_of_the_state_directory() {
    let directory = directory_with(CONFIG);
    let state = directory.path().join("state");
    fs::create_dir(&state).unwrap();
    if is_root(directory.path()) {
        std::os::unix::fs::chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let owner = state.metadata().unwrap().uid();
    run(directory.path(), "key add web").done();
    let files: Vec<_> = fs::read_dir(&state).unwrap().map(Result::unwrap).collect();
    assert!(files.iter().any(|file| file.file_name() == "turnbell.db"), "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().uid(), owner, "{file:?}");
    }
}
