//! `turnbell compare`, asked of a running coturn and of turnbell.

use std::sync::Arc;

use crate::coturn_import::{Coturn, REALM, free_port};
use crate::daemon::{CONFIG, Daemon, SECRET as CONFIG_SECRET};

#[test]
fn compare_says_where_coturn_and_turnbell_differ_and_what_it_means() {
    // coturn counts an allocation for 20 s after it was given back, so a small quota is soon full.
    let coturn = Coturn::start(
        "lt-cred-mech\nuser=alice:wonderland-17\nuser=bella:wonderland-18\nuser-quota=6\n\
         denied-peer-ip=8.8.8.8\n",
    );
    let home = Arc::new(tempfile::tempdir().unwrap());
    for file in ["cert.pem", "key.pem"] {
        std::fs::copy(coturn.home.path().join(file), home.path().join(file)).unwrap();
    }
    let base = CONFIG.replace("quota.per_user", "channel_numbers = \"rfc5766\"\nquota.per_user");
    let config = format!(
        "tls.cert = \"cert.pem\"\ntls.key = \"key.pem\"\nlisten_tls = [\"127.0.0.1:0\"]\n\
         realm = \"{REALM}\"\n{base}"
    )
    .replace("listen_tcp = [\"127.0.0.1:0\", \"[::1]:0\"]", "listen_tcp = [\"PLAIN\"]");
    // UDP and TCP at one port, as with coturn.
    let plain = free_port();
    let config = config
        .replace("listen = [\"127.0.0.1:0\", \"[::1]:0\"]", &format!("listen = [\"{plain}\"]"))
        .replace("PLAIN", &plain.to_string());
    std::fs::write(home.path().join("turnbell.toml"), config).unwrap();
    let daemon = Daemon::start_in(home, |_| {});
    let (old, old_tls) = (coturn.plain.to_string(), coturn.tls.to_string());
    let (new, new_tls) = (plain.to_string(), daemon.tls().to_string());
    let mut arguments = vec!["compare", "--old", &old, "--new", &new, "--old-tls", &old_tls];
    arguments.extend(["--new-tls", &new_tls, "--user", "alice:wonderland-17"]);
    arguments.extend(["--peer", "8.8.8.8", "--peer", "8.8.4.4"]);
    let (code, told, error) = daemon.command(&arguments);
    assert_eq!(code, Some(1), "{told}{error}");
    for said in [
        "MISSING HERE: Allocate that relays over TCP (RFC 6062)\n  old: allocated\n",
        "safer here: permission for 10.0.0.1\n  old: permitted\n  new: CreatePermission is \
         answered with 403\n",
        "safer here: permission for 169.254.169.254",
        "MISSING HERE: permission for 8.8.8.8\n  old: CreatePermission is answered with 403\n",
        " answers alike, ",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert_eq!(told.matches("MISSING HERE").count(), 2, "{told}");
    // The same server answers itself alike.
    let itself = ["compare", "--old", &old, "--new", &old, "--old-tls", &old_tls, "--new-tls"];
    let itself = [&itself[..], &[&old_tls, "--user", "bella:wonderland-18"]].concat();
    let (code, told, error) = daemon.command(&itself);
    assert_eq!(code, Some(0), "{told}{error}");
    assert!(told.contains("alike, 0 different"), "{told}");
    // One that is not there is named, and nothing is said of differences.
    let gone = free_port().to_string();
    let (code, told, error) = daemon.command(&["compare", "--old", &gone, "--new", &new]);
    assert_eq!((code, &*told), (Some(1), ""), "{error}");
    assert!(error.contains(&format!("nothing answers at {gone}")), "{error}");
    // A wrong secret for one of them is told, too.
    let (code, told, _) =
        daemon.command(&["compare", "--old", &new, "--new", &old, "--secret", CONFIG_SECRET]);
    assert_eq!(code, Some(1));
    assert!(told.contains("MISSING HERE: Allocate over UDP, credential of the shared"), "{told}");
}
