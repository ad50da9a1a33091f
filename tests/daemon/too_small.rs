//! What is too small for the configured size is said at start and by check-config, in a sentence.

use std::process::Command;
use std::sync::Arc;

use crate::daemon::{CONFIG, Daemon};
use crate::network::in_own_network;

/// What check-config prints, on one line. `before`: a line of shell before it.
fn check_config(config: &str, before: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("{before}\nexec \"$0\" check-config")])
        .arg(env!("CARGO_BIN_EXE_turnbell"))
        .current_dir(directory.path())
        .env_remove("STATE_DIRECTORY")
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn relay_ports_that_programs_may_be_given_are_named_until_they_are_reserved() {
    in_own_network(|| {
        let shared = "11848 of the relay ports (between 49152 and 60999) are also given to any";
        let kernel = "/proc/sys/net/ipv4/ip_local_port_range";
        std::fs::write(kernel, "32768 60999").unwrap();
        assert!(check_config(CONFIG, "").contains(shared));
        let daemon = Daemon::start(CONFIG);
        daemon.wait_for_log(shared);
        std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "49152-65535").unwrap();
        assert!(!check_config(CONFIG, "").contains("of the relay ports"));
        // Who only tries it out is not bothered.
        std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "").unwrap();
        let embedded = Daemon::start_in(Arc::new(tempfile::tempdir().unwrap()), |_| {});
        assert!(!embedded.log().contains("of the relay ports"), "{}", embedded.log());
    });
}

#[test]
fn too_few_open_files_are_named_with_both_numbers_and_enough_are_not() {
    let config = format!("quota.total = 3000\n{CONFIG}");
    let told = "open files are allowed";
    let few = check_config(&config, "ulimit -n 4096");
    assert!(few.contains(&format!("4096 {told}")) && few.contains("for 3000 allocations"), "{few}");
    let needed = few.split(&format!("4096 {told}, ")).nth(1).unwrap().split(' ').next().unwrap();
    let needed: u64 = needed.parse().unwrap();
    assert!(!check_config(&config, &format!("ulimit -n {needed}")).contains(told));
    assert!(check_config(&config, &format!("ulimit -n {}", needed - 1)).contains(told));
}
