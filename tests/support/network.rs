//! Networks of their own for tests: user, network and mount namespaces, which need no root.
//!
//! A test's body runs in a process of its own, as root of a new user namespace. Threads of it visit
//! further network namespaces; a socket or a process made there stays there.

use std::any::type_name;
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};

/// Set in the process that runs the body.
const INSIDE: &str = "TURNBELL_TEST_INSIDE_NETWORK";
/// Every wait in a test is bounded, so this is never reached; seconds.
const BODY_S_MAX: u64 = 120;

/// Runs `body` alone in a network that has nothing but `lo`; what it mounts is its own. Call it first and with a closure of
/// the test function itself: the closure's path is the test's name.
#[track_caller]
pub(crate) fn in_own_network<F: FnOnce()>(body: F) {
    if std::env::var_os(INSIDE).is_some() {
        Network::here().ip("link set lo up");
        return body();
    }
    let path = type_name::<F>().trim_end_matches("::{{closure}}");
    let (_, test) = path.split_once("::").expect("crate::module::test");
    let faults = std::env::var("TURNBELL_FAULT_SECONDS").ok();
    let longer = faults.map_or(0, |text| text.parse::<u64>().expect("whole seconds") * 4);
    let output = Command::new("timeout")
        .args([
            "--foreground",
            &(BODY_S_MAX + longer).to_string(),
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("timeout is part of coreutils");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(
        !text.contains("unshare: "),
        "this machine lets no network namespace be made: {text}\
         allow it (sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 or \
         kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0) or run as root",
    );
    assert!(output.status.success() && text.contains("1 passed"), "inside the network:\n{text}");
}

/// A network namespace; it is gone when nothing uses it.
#[derive(Debug)]
pub(crate) struct Network(File);

impl Network {
    /// The one this thread is in.
    pub(crate) fn here() -> Self {
        Self(File::open("/proc/thread-self/ns/net").unwrap())
    }

    /// A new one with nothing but `lo`.
    pub(crate) fn new() -> Self {
        let network = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            Self::here()
        });
        let network = network.join().unwrap();
        network.ip("link set lo up");
        network
    }

    /// Runs `visit` on a thread that is in it.
    pub(crate) fn visit<T: Send>(&self, visit: impl FnOnce() -> T + Send) -> T {
        let visitor = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            visit()
        };
        std::thread::scope(|scope| scope.spawn(visitor).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs one command of iproute2 in it.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &str) {
        let output = self.visit(|| {
            let script = format!("PATH=$PATH:/usr/sbin:/sbin; exec ip {arguments}");
            Command::new("sh").args(["-c", &script]).output().unwrap()
        });
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {error}(`ip` is in Debian's iproute2)");
    }

    /// A socket in it.
    #[track_caller]
    pub(crate) fn udp(&self, address: &str) -> UdpSocket {
        let address: SocketAddr = address.parse().unwrap();
        self.visit(|| UdpSocket::bind(address)).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Lays a cable to `other`. Both ends are called `name` and get the addresses with their
    /// prefixes.
    pub(crate) fn cable(&self, name: &str, ours: &[&str], other: &Self, theirs: &[&str]) {
        let far = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!("link add name {name} type veth peer name {name} netns {far}"));
        for (end, addresses) in [(self, ours), (other, theirs)] {
            for address in addresses {
                // Without detection of duplicates a v6 address can be used at once.
                let nodad = if address.contains(':') { " nodad" } else { "" };
                end.ip(&format!("address add {address} dev {name}{nodad}"));
            }
            end.ip(&format!("link set {name} up"));
        }
    }
}
