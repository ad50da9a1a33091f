//! A reader that goes away: no backtrace, no failure, and the relay goes on.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{CONFIG, ask, run, turnbell};
use crate::daemon::Daemon;

/// A pipe whose other end is closed.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let daemon = Daemon::start(CONFIG);
    ask(&daemon, "key add web");
    for command in ["--help", "key list", "log", "sessions", "status", "credential", "check-config"]
    {
        let mut command = turnbell(daemon.directory().path(), command);
        let output = command.stdout(closed()).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert_eq!(output.stderr, b"", "{command:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_down_is_a_failure() {
    let daemon = Daemon::start(CONFIG);
    let mut command = turnbell(daemon.directory().path(), "log");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "turnbell: No space left on device (os error 28)\n");
}

/// Ends with this value, if the test fails first.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads on until the banner is over.
fn read_banner(stdout: ChildStdout) -> String {
    let mut banner = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.unwrap();
        banner.push_str(&line);
        banner.push('\n');
        if line.contains("issues a credential by hand") {
            return banner;
        }
    }
    panic!("it ended before its banner did:\n{banner}");
}

#[test]
fn the_daemon_outlives_the_reader_of_its_banner_and_of_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let config = format!("{CONFIG}\nlog.level = \"trace\"\n");
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    for log in [closed(), File::options().write(true).open("/dev/full").unwrap().into()] {
        let mut command = turnbell(directory.path(), "run");
        let mut daemon = Running(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap());
        let banner = read_banner(daemon.0.stdout.take().expect("it is piped"));
        assert!(banner.contains(" is up\n"), "{banner}");
        assert_eq!(run(directory.path(), "status").code, Some(0));
        kill(Pid::from_raw(daemon.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(daemon.0.wait().unwrap().code(), Some(0), "it ends in order");
    }
}
