//! The laboratory: for each server a network namespace, two veth pairs and a core.
//!
//! ```text
//! generator, core 1 | 198.18.a.2 ==veth== 198.18.a.1 | server, core 0, its own namespace
//!                   | 198.18.b.2 ==veth== 198.18.b.1 | a: clients, b = a + 1: peers
//! ```
//! 198.18.0.0/15 is set aside for benchmarks (RFC 2544). The namespaces have no name and a server
//! dies with its parent, so nothing stays behind however the generator ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// 40 bytes, as R29 has it.
pub(crate) const USERNAME: &str = "a-static-account-of-exactly-forty-bytes.";
pub(crate) const PASSWORD: &str = "no secret: it never leaves the namespace";
const SERVER_CORE: &str = "0";
const GENERATOR_CORE: &str = "1";
const _: () = assert!(USERNAME.len() == 40);

/// Becomes the same program in a network namespace of its own, on the generator's core.
pub(crate) fn enter() -> Result<()> {
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
    let error = Command::new("unshare")
        .args(user)
        .args(["--net", "taskset", "-c", GENERATOR_CORE])
        .arg(std::env::current_exe()?)
        .arg("--inside")
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("`unshare` and `taskset` (Debian: util-linux) are needed")
}

/// A program to measure.
#[derive(Clone)]
pub(crate) enum Kind {
    Turnbell,
    /// Another build, to see what a change brings.
    OtherTurnbell(PathBuf),
    Coturn(PathBuf),
}

impl Kind {
    /// Told apart by the name of the file.
    pub(crate) fn of(program: &Path) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        match name.starts_with("turnbell") {
            true => Self::OtherTurnbell(program.to_owned()),
            false => Self::Coturn(program.to_owned()),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Turnbell => "turnbell",
            Self::OtherTurnbell(_) => "other",
            Self::Coturn(_) => "coturn",
        }
    }

    /// All clients of the laboratory are one source. A build from before the shield does not know
    /// the key.
    fn shield_setting(&self) -> &'static str {
        const KEY: &[u8] = b"answers_per_source";
        let knows = match self {
            Self::OtherTurnbell(binary) => fs::read(binary)
                .is_ok_and(|bytes| bytes.windows(KEY.len()).any(|found| found == KEY)),
            Self::Turnbell | Self::Coturn(_) => true,
        };
        if knows { "shield.answers_per_source = 100000\n" } else { "" }
    }

    /// Config or options: as shipped but for addresses, the account and the raised limits.
    pub(crate) fn settings(&self, net: Net) -> String {
        let relay = net.relay();
        match self {
            Self::Turnbell | Self::OtherTurnbell(_) => format!(
                "state_directory = \"state\"\nrelay_addresses = [\"{relay}\"]\n\
                 allow_private_peers = [\"{}/32\"]\nauth.users = [\"{USERNAME}:{PASSWORD}\"]\n\
                 quota.per_user = 16000\nquota.per_source = 16000\n{}",
                net.peer(),
                self.shield_setting(),
            ),
            Self::Coturn(_) => format!(
                "-n\n--lt-cred-mech\n--user={USERNAME}:{PASSWORD}\n--realm=turnbell\n\
                 --relay-ip={relay}\n--pidfile=turnserver.pid\n--log-file=turnserver.log\n"
            ),
        }
    }
}

/// The addresses of one lab.
#[derive(Clone, Copy)]
pub(crate) struct Net(pub(crate) u8);

impl Net {
    pub(crate) fn server(self) -> SocketAddr {
        SocketAddr::new(self.ip(0, 1), 3478)
    }

    pub(crate) fn client(self) -> IpAddr {
        self.ip(0, 2)
    }

    pub(crate) fn relay(self) -> IpAddr {
        self.ip(1, 1)
    }

    pub(crate) fn peer(self) -> IpAddr {
        self.ip(1, 2)
    }

    fn ip(self, side: u8, host: u8) -> IpAddr {
        Ipv4Addr::new(198, 18, self.0 * 2 + side, host).into()
    }

    fn interface(self, side: u8) -> String {
        format!("bench{}", self.0 * 2 + side)
    }
}

/// A running server in its own lab; it ends when dropped.
pub(crate) struct Server {
    pub(crate) net: Net,
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts it; [`crate::client::wait_until_it_answers`] says when it is there.
    pub(crate) fn start(kind: &Kind, net: Net) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = kind.settings(net);
        // Waits in its namespace for a line, which says that the interfaces are there.
        let script = "echo && read -r _ && exec taskset -c \"$0\" \"$@\" >log 2>&1 </dev/null";
        let mut command = Command::new("unshare");
        command.args(["--net", "setpriv", "--pdeathsig", "KILL", "sh", "-c", script, SERVER_CORE]);
        // turnbell finds it in the folder it is started in.
        fs::write(folder.path().join("turnbell.toml"), &settings)?;
        match kind {
            Kind::Turnbell => command.args([env!("CARGO_BIN_EXE_turnbell"), "run"]),
            Kind::OtherTurnbell(program) => command.arg(program).arg("run"),
            Kind::Coturn(program) => command.arg(program).args(settings.lines()),
        };
        let child = command
            .current_dir(folder.path())
            .env_remove("STATE_DIRECTORY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("`unshare` and `setpriv` (Debian: util-linux) are needed")?;
        let mut server = Self { net, child, folder };
        let mut line = String::new();
        let output = server.child.stdout.take().context("piped above")?;
        BufReader::new(output).read_line(&mut line)?;
        server.connect()?;
        server.child.stdin.take().context("piped above")?.write_all(b"\n")?;
        Ok(server)
    }

    fn connect(&self) -> Result<()> {
        let pid = self.child.id().to_string();
        let inside = format!("--net=/proc/{pid}/ns/net");
        let inside = ["nsenter", &inside, "ip"];
        run(&[&inside[..], &["link", "set", "lo", "up"]].concat())?;
        for side in [0, 1] {
            let ours = self.net.interface(side);
            let theirs = format!("eth{side}");
            let veth = ["ip", "link", "add", &ours, "type", "veth", "peer", "name", &theirs];
            run(&[&veth[..], &["netns", &pid]].concat())?;
            for (ip, prefix, name) in [
                (self.net.ip(side, 2), &["ip"][..], &ours),
                (self.net.ip(side, 1), &inside[..], &theirs),
            ] {
                let address = format!("{ip}/24");
                run(&[prefix, &["address", "add", &address, "dev", name]].concat())?;
                run(&[prefix, &["link", "set", name, "up"]].concat())?;
            }
        }
        Ok(())
    }

    /// On-CPU time of all its threads since they started.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread that ends in between has spent nothing that matters.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanos += text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Memory that nobody else has, kB.
    pub(crate) fn private_dirty_kb(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
        let number =
            line.and_then(|line| line.split_whitespace().next()).context("smaps_rollup")?;
        Ok(number.parse()?)
    }

    /// The last lines it printed, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whatever fails here, the namespaces end with the processes.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for side in [0, 1] {
            let _ = run(&["ip", "link", "delete", &self.net.interface(side)]);
        }
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let output = Command::new(words[0]).args(&words[1..]).output().context(words[0].to_owned())?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {error}", words.join(" "));
    Ok(())
}

/// Busy time of the whole machine since boot, in seconds of one core.
pub(crate) fn machine_busy_s() -> Result<f64> {
    const TICKS_PER_S: f64 = 100.0;
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal
    Ok([0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / TICKS_PER_S)
}

/// On-CPU time of this process.
pub(crate) fn own_cpu_s() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanos: u64 = text.split(' ').next().context("schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos).as_secs_f64())
}
