//! The daemon that is measured: its config, its certificate, its start and its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use turnbell::time::Now;

/// As shipped, but for addresses and raised quotas.
pub(crate) const CONFIG: &str = r#"
state_directory = "state"
listen = ["127.0.0.1:3478"]
listen_tcp = []
listen_tls = ["127.0.0.1:8443"]
relay_addresses = ["127.0.0.1"]
[tls]
cert = "cert.pem"
key = "key.pem"
[http]
listen = ["127.0.0.1:8080", "127.0.0.1:8443"]
[tenant.default]
sessions_max = 20000
calls_max = 1000
invites_per_minute = 120
"#;

/// In the folder of the daemon; it vouches for itself.
pub(crate) const CERTIFICATE: &str = "cert.pem";

/// No start may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The core of the daemon (0) or of the generator (1): the same one where there are not two.
pub(crate) fn core_of(which: usize) -> &'static str {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if which.min(cores - 1) == 0 { "0" } else { "1" }
}

/// A running daemon in a folder of its own; both are gone when it is dropped.
pub(crate) struct Daemon {
    program: PathBuf,
    child: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    pub(crate) fn start(program: Option<&Path>) -> Result<Self> {
        let ours = || Path::new(env!("CARGO_BIN_EXE_turnbell"));
        let program = program.unwrap_or_else(ours).to_owned();
        let folder = tempfile::tempdir()?;
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        fs::write(folder.path().join(CERTIFICATE), signed.cert.pem())?;
        fs::write(folder.path().join("key.pem"), signed.signing_key.serialize_pem())?;
        fs::write(folder.path().join("turnbell.toml"), CONFIG)?;
        let child = spawn(&program, folder.path())?;
        Ok(Self { program, child, folder })
    }

    /// Ends it by this signal and starts it again.
    pub(crate) fn restart(&mut self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        self.child.wait()?;
        self.child = spawn(&self.program, self.folder.path())?;
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, is_encrypted: bool) -> String {
        let address = if is_encrypted { "wss://127.0.0.1:8443" } else { "ws://127.0.0.1:8080" };
        format!("{address}/v1/ws")
    }

    /// The last lines it printed, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

fn spawn(program: &Path, folder: &Path) -> Result<Child> {
    let ready = folder.join("state/addresses.json");
    let _ = fs::remove_file(&ready);
    let log = fs::File::create(folder.join("log"))?;
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "taskset", "-c", core_of(0)])
        .arg(program)
        .arg("run")
        .current_dir(folder)
        .env_remove("STATE_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("`setpriv` and `taskset` (Debian: util-linux) are needed")?;
    let deadline = Now::read().mono + PATIENCE;
    while !ready.exists() {
        ensure!(Now::read().mono < deadline, "the daemon does not start");
        if let Some(status) = child.try_wait()? {
            let said = fs::read_to_string(folder.join("log")).unwrap_or_default();
            bail!("the daemon has ended ({status}):\n{said}");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    Ok(child)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
