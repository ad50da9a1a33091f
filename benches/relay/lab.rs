//! The laboratory: for each server a network namespace, two veth pairs and a core.
//!
//! ```text
//! generator, last core | 198.18.a.2 ==veth== 198.18.a.1 | server, first cores, its own namespace
//!                      | 198.18.b.2 ==veth== 198.18.b.1 | a: clients, b = a + 1: peers
//! ```
//! 198.18.0.0/15 is set aside for benchmarks (RFC 2544), and so is 2001:2::/48 (RFC 5180). The namespaces have no name and a server
//! dies with its parent, so nothing stays behind however the generator ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use turnbell::time::Now;

/// 40 bytes, as R29 has it.
pub(crate) const USERNAME: &str = "a-static-account-of-exactly-forty-bytes.";
pub(crate) const PASSWORD: &str = "no secret: it never leaves the namespace";
const READY_WITHIN: Duration = Duration::from_secs(10);
/// A server that used less than a hundredth of such a while has nothing left to do.
const QUIET: Duration = Duration::from_millis(200);
const QUIET_WITHIN: Duration = Duration::from_secs(10);
const _: () = assert!(USERNAME.len() == 40);

/// Who runs where.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    /// Relay threads of a server, each on a core of its own, from the first one on.
    pub(crate) server: usize,
    /// The generator's, the last one.
    pub(crate) generator: usize,
}

impl Cores {
    /// Of a machine that has so many.
    pub(crate) fn of(all: usize, threads: Option<u32>) -> Self {
        let server = threads.map_or(1, |threads| threads as usize).min(all);
        Self { server, generator: all - 1 }
    }

    /// Whether the generator takes time from a server.
    pub(crate) fn are_shared(self) -> bool {
        self.generator < self.server
    }
}

/// Becomes the same program in a network namespace of its own, on the generator's core.
pub(crate) fn enter() -> Result<()> {
    let all = std::thread::available_parallelism()?.get();
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
    let error = Command::new("unshare")
        .args(user)
        .args(["--net", "taskset", "-c", &(all - 1).to_string()])
        .arg(std::env::current_exe()?)
        .args(["--inside", &all.to_string()])
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
    fn shield_settings(&self) -> &'static str {
        const KEY: &[u8] = b"answers_per_source";
        let knows = match self {
            Self::OtherTurnbell(binary) => fs::read(binary)
                .is_ok_and(|bytes| bytes.windows(KEY.len()).any(|found| found == KEY)),
            Self::Turnbell | Self::Coturn(_) => true,
        };
        match knows {
            true => "shield.answers_per_source = 100000\nshield.answers_total = \"100Gbit\"\n",
            false => "",
        }
    }

    /// Config or options: as shipped but for addresses, the account and the raised limits.
    pub(crate) fn settings(&self, net: Net, tuning: Tuning) -> String {
        let Tuning { threads, batch_delay } = tuning;
        let [relay, relay6] = [net.ip(1, 1), net.ip6(1, 1)];
        match self {
            Self::Turnbell | Self::OtherTurnbell(_) => format!(
                "state_directory = \"state\"\nrelay_addresses = [\"{relay}\", \"{relay6}\"]\n\
                 allow_private_peers = [\"{}/32\", \"{}/128\"]\n{}\
                 auth.users = [\"{USERNAME}:{PASSWORD}\"]\n\
                 quota.per_user = 16000\nquota.per_source = 16000\n{}",
                net.peer(),
                net.peer6(),
                [
                    threads.map(|count| format!("threads = {count}\n")).unwrap_or_default(),
                    if batch_delay { "batch_delay = \"auto\"\n" } else { "" }.to_owned(),
                ]
                .concat(),
                self.shield_settings(),
            ),
            Self::Coturn(_) => format!(
                "-n\n--lt-cred-mech\n--user={USERNAME}:{PASSWORD}\n--realm=turnbell\n\
                 --relay-ip={relay}\n--relay-ip={relay6}\n--pidfile=turnserver.pid\n\
                 --log-file=turnserver.log\n{}",
                threads.map(|count| format!("--relay-threads={count}\n")).unwrap_or_default(),
            ),
        }
    }
}

/// What the options of the bench change in a server.
#[derive(Clone, Copy)]
pub(crate) struct Tuning {
    /// Threads that relay.
    pub(crate) threads: Option<u32>,
    /// Whether turnbell rests between turns; coturn has no such thing.
    pub(crate) batch_delay: bool,
}

/// The addresses of one lab.
#[derive(Clone, Copy)]
pub(crate) struct Net(pub(crate) u8);

impl Net {
    pub(crate) fn server(self) -> SocketAddr {
        SocketAddr::new(self.ip(0, 1), 3478)
    }

    pub(crate) fn server6(self) -> SocketAddr {
        SocketAddr::new(self.ip6(0, 1), 3478)
    }

    pub(crate) fn peer(self) -> IpAddr {
        self.ip(1, 2)
    }

    pub(crate) fn peer6(self) -> IpAddr {
        self.ip6(1, 2)
    }

    fn ip6(self, side: u8, host: u8) -> IpAddr {
        let net = u16::from(self.0) * 2 + u16::from(side) + 1;
        Ipv6Addr::new(0x2001, 2, 0, net, 0, 0, 0, host.into()).into()
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
    /// Starts it and waits until it answers; says how long that took.
    pub(crate) fn start(
        kind: &Kind,
        net: Net,
        cores: Cores,
        tuning: Tuning,
    ) -> Result<(Self, Duration)> {
        let folder = tempfile::tempdir()?;
        let settings = kind.settings(net, tuning);
        // Waits in its namespace for a line, which says that the interfaces are there.
        let script = "echo && read -r _ && exec taskset -c \"$0\" \"$@\" >log 2>&1 </dev/null";
        let mut command = Command::new("unshare");
        command.args(["--net", "setpriv", "--pdeathsig", "KILL", "sh", "-c", script]);
        command.arg(format!("0-{}", cores.server - 1));
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
        let begin = Now::read().mono;
        server.child.stdin.take().context("piped above")?.write_all(b"\n")?;
        server.wait_until_it_answers()?;
        Ok((server, Now::read().mono - begin))
    }

    /// Asks every millisecond.
    fn wait_until_it_answers(&self) -> Result<()> {
        // Not connected, so that it does not hear that the port is closed still.
        let socket = UdpSocket::bind((self.net.ip(0, 2), 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], b"bench  start"].concat();
        let end = Now::read().mono + READY_WITHIN;
        while Now::read().mono < end {
            socket.send_to(&request, self.net.server())?;
            if socket.recv(&mut [0; 1500]).is_ok() {
                return Ok(());
            }
        }
        bail!("no answer; it last said:\n{}", self.last_words())
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
                let host = if prefix.len() == 1 { 2 } else { 1 };
                let address = format!("{}/64", self.net.ip6(side, host));
                let add = ["-6", "address", "add", &address, "dev", name, "nodad"];
                run(&[prefix, &add].concat())?;
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

    /// Has it stand still while another one is measured: what a server still does after a row, such
    /// as ending a thousand allocations, would be done on the core of the one that is measured.
    pub(crate) fn freeze(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGSTOP).context("stopping a server for a while")
    }

    /// Has it go on, and waits until it has done what was left to do.
    pub(crate) fn thaw(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGCONT).context("having a server go on")?;
        let end = Now::read().mono + QUIET_WITHIN;
        let mut before = self.cpu()?;
        while Now::read().mono < end {
            #[expect(clippy::disallowed_methods, reason = "a rest is what is measured")]
            std::thread::sleep(QUIET);
            let now = self.cpu()?;
            if now - before < QUIET / 100 {
                return Ok(());
            }
            before = now;
        }
        bail!("it has no rest although nobody asks it anything:\n{}", self.last_words())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Memory that nobody else has, kB.
    pub(crate) fn private_dirty_kb(&self) -> Result<u64> {
        self.kilobytes("smaps_rollup", "Private_Dirty:")
    }

    /// Resident memory, kB.
    pub(crate) fn resident_kb(&self) -> Result<u64> {
        self.kilobytes("status", "VmRSS:")
    }

    fn kilobytes(&self, file: &str, name: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.with_context(|| name.to_owned())?.parse()?)
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

/// Busy time since boot in seconds of one core: of the whole machine, and of the first `cores`.
pub(crate) fn busy_s(cores: usize) -> Result<(f64, f64)> {
    const TICKS_PER_S: f64 = 100.0;
    let text = fs::read_to_string("/proc/stat")?;
    let busy = |line: &str| {
        let ticks: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
        // user nice system idle iowait irq softirq steal
        [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / TICKS_PER_S
    };
    let mut lines = text.lines();
    let whole = busy(lines.next().context("/proc/stat")?);
    Ok((whole, lines.take(cores).map(busy).sum()))
}

/// On-CPU time of this process.
pub(crate) fn own_cpu_s() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/schedstat")?;
    let nanos: u64 = text.split(' ').next().context("schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos).as_secs_f64())
}
