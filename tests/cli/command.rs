//! One command of the real binary and what it said.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::daemon::Daemon;

/// Loopback, free ports, the generated secret, no door without a key.
pub(crate) const CONFIG: &str = r#"
state_directory = "state"
listen = ["127.0.0.1:0"]
listen_tcp = []
relay_addresses = ["127.0.0.1"]
http.listen = ["127.0.0.1:0"]
"#;

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `turnbell ARGUMENTS`, ready to be run in a directory.
pub(crate) fn turnbell(directory: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnbell"));
    command.args(arguments.split(' ')).current_dir(directory).stdin(Stdio::null());
    for variable in ["NOTIFY_SOCKET", "STATE_DIRECTORY", "JOURNAL_STREAM"] {
        command.env_remove(variable);
    }
    command
}

/// Runs `turnbell ARGUMENTS` in a directory.
pub(crate) fn run(directory: &Path, arguments: &str) -> Said {
    Said::of(turnbell(directory, arguments))
}

impl Said {
    /// Runs a command to its end.
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it printed; it must have succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// Its one sentence; it must have failed with code 1 and printed nothing else.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, &*self.out), (Some(1), ""), "{self:#?}");
        let sentence = self.err.strip_prefix("turnbell: ").unwrap().trim_end().to_owned();
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        sentence
    }
}

/// Runs `turnbell ARGUMENTS` beside a daemon; it must be the daemon that answers.
#[track_caller]
pub(crate) fn ask(daemon: &Daemon, arguments: &str) -> String {
    let said = run(daemon.directory().path(), arguments);
    assert!(!said.err.contains("no turnbell runs"), "{said:#?}");
    said.done()
}

/// Ends a daemon, then runs `turnbell ARGUMENTS` where it was; the command must work by itself.
#[track_caller]
pub(crate) fn ask_after(daemon: &mut Daemon, arguments: &str) -> String {
    assert_eq!(daemon.terminate().code(), Some(0));
    ask_stopped(daemon.directory().path(), arguments)
}

/// Runs `turnbell ARGUMENTS` where no daemon runs, and says that it noticed.
#[track_caller]
pub(crate) fn ask_stopped(directory: &Path, arguments: &str) -> String {
    let said = run(directory, arguments);
    assert!(said.err.contains("no turnbell runs on "), "{said:#?}");
    said.done()
}

/// Where a daemon serves HTTP.
pub(crate) fn http(daemon: &Daemon) -> SocketAddr {
    let addresses = std::fs::read_to_string(daemon.state().join("addresses.json")).unwrap();
    let addresses: Value = serde_json::from_str(&addresses).unwrap();
    addresses["http"][0].as_str().unwrap().parse().unwrap()
}
