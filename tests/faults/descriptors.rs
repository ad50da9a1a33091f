//! K6: no more than 256 open files. New work is refused, what lives goes on, nobody spins.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::daemon::{Daemon, PASSWORD, PATIENCE, USER, eventually};
use crate::flow::{Flow, config, lasting, pass};
use crate::stream_client::StreamClient;
use crate::turn_client::TurnClient;

const FILES: usize = 256;
/// CPU that the fault may cost beyond the flow alone, of one core. A loop that spins takes all of it,
/// or its share of a busy machine.
const CPU_MAX: f64 = 0.2;
/// What Linux calls USER_HZ.
const TICKS_PER_S: f64 = 100.0;

/// CPU time of all its threads, seconds.
fn cpu_s(daemon: &Daemon) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
    fields.skip(14 - 3).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>()
        / TICKS_PER_S
}

/// Its share of a core for so long.
fn cpu_share(daemon: &Daemon, time: Duration) -> f64 {
    let (before, began) = (cpu_s(daemon), turnbell::time::Now::read().mono);
    pass(time);
    (cpu_s(daemon) - before) / began.elapsed().as_secs_f64()
}

#[test] // K6
fn at_the_limit_of_open_files_new_work_is_refused_and_what_lives_goes_on() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), config("")).unwrap();
    let home = directory.path().to_owned();
    let daemon = Daemon::start_in(directory, |command| {
        let turnbell = command.get_program().to_owned();
        *command = Command::new("sh");
        let limited = format!("ulimit -n {FILES}; exec \"$0\"");
        command.args(["-c", &limited]).arg(turnbell).current_dir(home);
        command.env_remove("NOTIFY_SOCKET").env_remove("STATE_DIRECTORY");
    });
    let flow = Flow::start(&daemon);
    let time = lasting(Duration::from_secs(2));
    let mut alone = 0.0;
    flow.measure(|| alone = cpu_share(&daemon, time));
    flow.check_unharmed("no more files", || {
        let mut holders = Vec::new();
        let refusal = loop {
            match TurnClient::allocate(daemon.udp(), USER, PASSWORD) {
                Ok(holder) => holders.push(holder),
                Err(code) => break code,
            }
        };
        assert_eq!(refusal, 508);
        assert!((FILES / 2..FILES).contains(&holders.len()), "{} allocations", holders.len());
        // The kernel lets them in, nobody can take them.
        let doors = [daemon.tcp(), daemon.http()];
        let waiting = doors.map(|door| [(); 8].map(|()| TcpStream::connect(door).unwrap()));
        let share = cpu_share(&daemon, time);
        println!("CPU: {alone:.2} of a core alone, {share:.2} at the limit");
        assert!(share < alone + CPU_MAX, "it spins: {share:.2}, and {alone:.2} without");
        assert_eq!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap_err(), 508);
        let said = daemon.log().matches("cannot accept").count();
        assert!(said <= 10 + 4 * time.as_secs() as usize, "{said} lines about it");
        for holder in &holders {
            holder.release().unwrap();
        }
        drop(waiting);
        // All of it works again.
        TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap().release().unwrap();
        let mut stream = StreamClient::connect(daemon.tcp());
        stream.allocate(USER, PASSWORD).unwrap();
        assert_eq!(daemon.get("/healthz").0, 200);
        drop(stream);
        let live = || daemon.get("/healthz").1["relay"]["allocations"].as_u64();
        let ended = eventually(|| (live() == Some(flow.relayed.len() as u64)).then_some(()));
        assert!(ended.is_some(), "{:?} allocations after {PATIENCE:?}", live());
    });
}
