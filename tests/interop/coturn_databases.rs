//! coturn's user databases on real servers, filled by the files that coturn ships and by turnadmin.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::coturn::missing;
use crate::coturn_import::run_import;
use crate::daemon::eventually;

const SCHEMA: &str = "/usr/share/coturn/schema.sql";
const ROWS: &str = "/usr/share/coturn/testsqldbsetup.sql";
const ROWS_OF_REDIS: &str = "/usr/share/coturn/testredisdbsetup.sh";

/// A server that ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What coturn's sample rows and one account by turnadmin come to in realm north.gov.
#[track_caller]
fn check(home: &Path, database: &str, file: &str) {
    let arguments = ["--args", "-n --lt-cred-mech --realm north.gov", "--turndb", database];
    let report = run_import(home, &[&arguments[..], &["--out", file]].concat());
    for said in [
        "5 users, 4 shared secrets, 7 peer ranges, 6 realm options, 2 origins, 3 OAuth keys, 2 admin",
        "3 users: `auth.user_keys`",
        "2 users of realm \"crinna.org\": their keys are made for that realm",
        "500000 bytes a second",
        "broken: 0",
    ] {
        assert!(report.contains(said), "{said}: {report}");
    }
    for secret in ["bc807ee29df3c9ffa736523fb2c4e8ee", "bloody9", "looking-glass-17"] {
        assert!(!report.contains(secret), "{report}");
    }
    let text = std::fs::read_to_string(home.join(file)).unwrap();
    for written in [
        // printf %s ninefingers:north.gov:youhavetoberealistic | md5sum
        "\"ninefingers:bc807ee29df3c9ffa736523fb2c4e8ee\"",
        "\"gorst:7da2270ccfa49786e0115366d3a3d14d\"",
        "\"zoe:92959ac4bc7a4107efcecfdc152e2762\"",
        "per_user = 10000",
        "total = 12000",
        "\"4Mbit\"",
        "\"172.17.13.201/32\"",
        "\"172.17.18.0/24\"",
        "\"123::45/128\"",
    ] {
        assert!(text.contains(written), "{written}: {text}");
    }
    for other in ["whirrun", "123::77", "172.17.13.202\""] {
        assert!(!text.contains(other), "{other}: {text}");
    }
}

fn turnadmin(home: &Path, database: &[&str]) {
    let zoe = ["-a", "-u", "zoe", "-p", "looking-glass-17", "-r", "north.gov"];
    done(
        "turnadmin",
        Command::new("turnadmin").args(zoe).args(database).current_dir(home).output(),
    );
}

#[track_caller]
fn done(tool: &str, output: std::io::Result<Output>) {
    let output = output.unwrap_or_else(|error| panic!("{tool} cannot be started: {error}"));
    assert!(output.status.success(), "{tool}: {output:?}");
}

/// A program fed with the text of files.
fn fed(mut command: Command, text: &str) -> std::io::Result<Output> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    command.stdin(std::fs::File::open(file.path())?).output()
}

fn sql() -> String {
    let read =
        |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| missing(path, &error));
    format!("{}\n{}", read(SCHEMA), read(ROWS))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server until it has a port; some take no port 0, and a free one may be taken meanwhile.
fn started(
    mut start: impl FnMut(u16) -> Command,
    mut is_up: impl FnMut(u16) -> bool,
) -> (Server, u16) {
    for _ in 0..5 {
        let port = free_port();
        let child = start(port).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Server(child);
        if eventually(|| is_up(port).then_some(())).is_some() {
            return (server, port);
        }
    }
    panic!("the server does not come up");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// PostgreSQL runs as anybody but root, and its directory must be that user's.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    command.arg(program);
    command
}

fn home_of_nobody() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    if is_root() {
        done("chown", Command::new("chown").arg("nobody:nogroup").arg(home.path()).output());
    }
    home
}

fn postgres_programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .unwrap_or_else(|error| panic!("{error}; install Debian's package postgresql"));
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    found.sort();
    found.pop().expect("a version")
}

#[test]
fn accounts_secrets_peers_and_realm_options_come_from_sqlite() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("turndb");
    rusqlite::Connection::open(&file).unwrap().execute_batch(&sql()).unwrap();
    let path = file.to_str().unwrap();
    turnadmin(home.path(), &["-b", path]);
    check(home.path(), path, "turnbell.toml");
}

#[test]
fn the_same_comes_from_postgresql() {
    let home = home_of_nobody();
    let programs = postgres_programs();
    let (data, at) = (home.path().join("data"), home.path().to_str().unwrap().to_owned());
    let data = data.to_str().unwrap();
    let made = as_nobody(&programs.join("initdb"))
        .args(["-D", data, "-U", "turn", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"])
        .current_dir(home.path())
        .output();
    done("initdb", made);
    let psql = |command: &str| {
        let mut psql = Command::new(programs.join("psql"));
        psql.args(["-h", &at, "-U", "turn", "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1"]);
        if !command.is_empty() {
            psql.args(["-c", command]);
        }
        psql
    };
    // Its socket alone: nobody's port is taken.
    let (_server, _) = started(
        |_| {
            let mut command = as_nobody(&programs.join("postgres"));
            command.args(["-D", data, "-k", &at, "-c", "listen_addresses=", "-c", "fsync=off"]);
            command.current_dir(home.path());
            command
        },
        |_| psql("SELECT 1").output().is_ok_and(|output| output.status.success()),
    );
    done("psql", fed(psql(""), &sql()));
    let words = format!("host={at} dbname=postgres user=turn connect_timeout=30");
    turnadmin(Path::new("/tmp"), &["-e", &words]);
    let own = tempfile::tempdir().unwrap();
    check(own.path(), &format!("psql:{words}"), "turnbell.toml");
    // As coturn's own file has it.
    let file = own.path().join("turnserver.conf");
    let text = format!("realm=north.gov\nlt-cred-mech\npsql-userdb=\"{words} sslmode=disable\"\n");
    std::fs::write(&file, text).unwrap();
    let report = run_import(own.path(), &[file.to_str().unwrap(), "--dry-run"]);
    assert!(report.contains("was read once: 5 users"), "{report}");
}

#[test]
fn the_same_comes_from_mariadb() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let me = Command::new("id").arg("-un").output().unwrap().stdout;
    let me = String::from_utf8(me).unwrap().trim().to_owned();
    let made = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .args([format!("--datadir={}", path("data")), format!("--user={me}")])
        .output();
    done("mariadb-install-db", made);
    let client = |more: &[&str]| {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-u", "root", "-S", &path("socket")]).args(more);
        client
    };
    let (_server, port) = started(
        |port| {
            let mut command = Command::new("mariadbd");
            command.args(["--no-defaults", "--bind-address=127.0.0.1"]);
            command.args([format!("--port={port}"), format!("--user={me}")]);
            command.args([format!("--datadir={}", path("data"))]);
            command.args([format!("--socket={}", path("socket"))]);
            command
        },
        |_| client(&["-e", "SELECT 1"]).output().is_ok_and(|output| output.status.success()),
    );
    let account = "CREATE DATABASE coturn; CREATE USER turn@'127.0.0.1' IDENTIFIED BY 'turn'; \
                   GRANT ALL ON coturn.* TO turn@'127.0.0.1'";
    done("mariadb", client(&["-e", account]).output());
    done("mariadb", fed(client(&["coturn"]), &sql()));
    let words = format!("host=127.0.0.1 dbname=coturn user=turn password=turn port={port}");
    turnadmin(home.path(), &["-M", &words]);
    check(home.path(), &format!("mysql:{words}"), "words.toml");
    let url = format!("mysql://turn:turn@127.0.0.1:{port}/coturn");
    check(home.path(), &url, "url.toml");
    let wrong = ["--turndb", &url.replace(":turn@", ":hunter22@"), "--dry-run", "--args", "-n"];
    let report = run_import(home.path(), &wrong);
    assert!(report.contains("was not read") && !report.contains("hunter22"), "{report}");
    // One that takes nobody in plain text refuses a right one in the same words.
    assert!(report.contains("without TLS: "), "{report}");
    assert!(report.contains("`ssh -N -L 3306:127.0.0.1:3306 HOST`"), "{report}");
}

#[test]
fn the_same_comes_from_redis() {
    let home = tempfile::tempdir().unwrap();
    let client = |port: u16| {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &port.to_string(), "-a", "turn", "--no-auth-warning", "-n", "2"]);
        client
    };
    let (_server, port) = started(
        |port| {
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
            command.args(["--requirepass", "turn"]).current_dir(home.path());
            command
        },
        |port| client(port).arg("PING").output().is_ok_and(|output| output.stdout == b"PONG\n"),
    );
    let script = std::fs::read_to_string(ROWS_OF_REDIS)
        .unwrap_or_else(|error| missing(ROWS_OF_REDIS, &error));
    let commands: Vec<&str> = script
        .lines()
        .filter(|line| ["set ", "sadd ", "hmset "].iter().any(|word| line.starts_with(word)))
        .collect();
    done("redis-cli", fed(client(port), &commands.join("\n")));
    let words = format!("ip=127.0.0.1 dbname=2 password=turn port={port} connect_timeout=30");
    turnadmin(home.path(), &["-N", &words]);
    check(home.path(), &format!("redis:{words}"), "words.toml");
    check(home.path(), &format!("redis://:turn@127.0.0.1:{port}/2"), "url.toml");
}

#[test]
fn a_database_that_is_none_or_silent_is_named_and_the_rest_is_imported() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("turndb");
    std::fs::write(&file, "no database ".repeat(100)).unwrap();
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let gone = free_port();
    let databases = [
        file.to_str().unwrap().to_owned(),
        home.path().to_str().unwrap().to_owned(),
        "/dev/zero".to_owned(),
        format!("psql:host=127.0.0.1 port={port} user=a dbname=a password=hunter22"),
        format!("mysql:host=127.0.0.1 port={port} user=a dbname=a password=hunter22"),
        format!("redis:ip=127.0.0.1 port={port} password=hunter22"),
        format!("psql:host=127.0.0.1 port={gone} user=a dbname=a password=hunter22"),
        format!("mysql:host=127.0.0.1 port={gone} user=a dbname=a password=hunter22"),
        format!("redis:ip=127.0.0.1 port={gone} password=hunter22"),
        "mongodb://localhost/coturn".to_owned(),
    ];
    const LINE: &str = "-n --realm north.gov -a --user alice:wonderland-17";
    let home = home.path();
    std::thread::scope(|scope| {
        for database in &databases {
            scope.spawn(move || {
                let report = run_import(home, &["--dry-run", "--turndb", database, "--args", LINE]);
                assert!(report.contains("was not read: "), "{database}: {report}");
                assert!(!report.contains("hunter22"), "{report}");
                assert!(report.contains("realm = \"north.gov\""), "{report}");
            });
        }
    });
}
