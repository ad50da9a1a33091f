//! `turnbell import-coturn`: where its config goes, and what stays of one that is there.

use std::os::unix::fs::PermissionsExt;

use crate::command::run;

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let file = "listening-port=3479\nuse-auth-secret\nstatic-auth-secret=0f1e2d3c4b5a69788796\n";
    std::fs::write(home.path().join("turnserver.conf"), file).unwrap();
    home
}

const IMPORT: &str = "import-coturn turnserver.conf --turndb none";

#[test]
fn a_config_that_is_there_is_replaced_only_if_asked_for_and_then_kept() {
    let home = home();
    let file = |name: &str| std::fs::read_to_string(home.path().join(name));
    run(home.path(), IMPORT).done();
    let made = file("turnbell.toml").unwrap();
    assert!(made.contains("\"0.0.0.0:3479\""), "{made}");
    assert!(made.contains("rest_usernames = \"coturn\""), "{made}");
    let mode = home.path().join("turnbell.toml").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    std::fs::write(home.path().join("turnbell.toml"), "realm = \"mine\"\n").unwrap();
    let refused = run(home.path(), IMPORT).refused();
    assert!(refused.contains("--replace keeps it as turnbell.toml.old"), "{refused}");
    assert_eq!(file("turnbell.toml").unwrap(), "realm = \"mine\"\n");

    let said = run(home.path(), &format!("{IMPORT} --replace")).done();
    assert!(said.contains("What was there is kept in turnbell.toml.old."), "{said}");
    assert_eq!(file("turnbell.toml").unwrap(), made);
    assert_eq!(file("turnbell.toml.old").unwrap(), "realm = \"mine\"\n");

    // What was kept is not lost to another one, and a broken file takes nothing away.
    let refused = run(home.path(), &format!("{IMPORT} --replace")).refused();
    assert!(refused.contains("turnbell.toml.old exists already"), "{refused}");
    std::fs::remove_file(home.path().join("turnbell.toml.old")).unwrap();
    std::fs::write(home.path().join("turnserver.conf"), [0; 9]).unwrap();
    let refused = run(home.path(), &format!("{IMPORT} --replace")).refused();
    assert!(refused.contains("is no text file"), "{refused}");
    assert_eq!(file("turnbell.toml").unwrap(), made);
}

#[test]
fn the_folder_of_the_config_is_made_if_it_alone_is_missing() {
    let home = home();
    run(home.path(), &format!("{IMPORT} --out etc/turnbell.toml")).done();
    assert!(home.path().join("etc/turnbell.toml").is_file());
    let refused = run(home.path(), &format!("{IMPORT} --out no/such/turnbell.toml"));
    assert!(refused.err.contains("no/such/turnbell.toml cannot be written"), "{refused:#?}");
    assert!(!home.path().join("no").exists());
}
