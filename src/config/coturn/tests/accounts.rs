//! Tests of who comes over, and as what.

use md5::Digest;

use super::*;
use crate::config::RestUsernames;

#[test]
fn accounts_come_over_with_password_or_key() {
    let imported = imported(&format!(
        "lt-cred-mech\nrealm=north.gov\nuser=alice:correct:horse\nuser=ninefingers:0x{KEY}\n\
         user=alice:battery-staple\nuser=short:1234\nuser=odd/name:correct-horse\nuser=nothing\n"
    ));
    let auth = &imported.config.auth;
    assert_eq!(auth.users.len(), 1);
    // The last one counts.
    assert_eq!(auth.users[0].password.expose(), "battery-staple");
    assert_eq!(auth.user_keys.len(), 2);
    assert_eq!(auth.user_keys[0].name, "ninefingers");
    assert_eq!(auth.user_keys[0].key.expose()[..2], [0xbc, 0x80]);
    assert_eq!(imported.report.count(Verdict::NotSupported), 1, "{}", imported.report);
    assert_eq!(imported.report.count(Verdict::Broken), 1, "{}", imported.report);
}

#[test]
fn keys_of_a_realm_that_is_too_long_are_refused_by_name_and_all_else_comes_over() {
    let realm = format!("realm={}\n", "r".repeat(25));
    let with_keys = format!(
        "{realm}user=alice:correct-horse\nuser=bob:0x{KEY}\nuser=eve:0x{KEY}\nlt-cred-mech\n"
    );
    let with_keys = check(&with_keys, "realm", Verdict::NotSupported, "2 accounts known by key");
    assert_eq!(with_keys.config.auth.users.len(), 1);
    assert_eq!(with_keys.config.auth.user_keys.len(), 0);
    for (option, name) in [("user", "bob"), ("user", "eve")] {
        let of_name = |line: &&Line| line.text.starts_with(&format!("{option} {name:?}: its key"));
        let line = with_keys.report.lines.iter().find(of_name).expect(name);
        assert!(line.text.contains("`turnbell user add NAME --password-file -`"), "{line}");
    }
    // Clients are told another realm, and that is all.
    for harmless in [
        format!("{realm}use-auth-secret\nstatic-auth-secret={SECRET}\nuser=bob:0x{KEY}\n"),
        format!("{realm}lt-cred-mech\nuser=alice:correct-horse\n"),
    ] {
        let imported = check(&harmless, "realm", Verdict::Mapped, "nothing is lost by that");
        assert_eq!(imported.config.realm, "turnbell");
        assert_eq!(imported.config.auth.secrets.len() + imported.config.auth.users.len(), 1);
    }
}

#[test]
fn keys_without_a_realm_are_refused_until_it_is_named() {
    let text = format!("lt-cred-mech\nuser=bob:0x{KEY}\n");
    let refused = check(&text, "user", Verdict::NotSupported, "which is not named here");
    assert!(refused.report.to_string().contains("--args '--realm NAME'"), "{}", refused.report);
    let named = with_arguments(&text, Some("--realm north.gov"));
    assert_eq!(named.config.auth.user_keys.len(), 1, "{}", named.report);
}

#[test]
fn short_passwords_come_over_as_keys_unless_everybody_knows_them() {
    let imported = imported(
        "lt-cred-mech\nrealm=north.gov\nuser=phone7:7h2k\nuser=test:test\nuser=guest:admin\n\
         user=eighth:8charact\nuser=x:\n",
    );
    let auth = &imported.config.auth;
    assert_eq!((auth.users.len(), auth.user_keys.len()), (1, 1), "{}", imported.report);
    let key = md5::Md5::digest(b"phone7:north.gov:7h2k");
    assert_eq!(auth.user_keys[0].key.expose()[..], key[..]);
    let report = imported.report.to_string();
    assert!(
        report.contains("user \"phone7\": `auth.user_keys`, by its key: the password is short")
    );
    assert!(report.contains("user \"guest\": its password is a well-known one"), "{report}");
    assert!(!report.contains("7h2k") && !imported.text.contains("7h2k"), "{report}");
    // Without a realm of coturn's there is nothing to make a key of.
    let report = super::imported("lt-cred-mech\nuser=phone7:7h2k\n").report;
    assert_eq!(report.count(Verdict::NotSupported), 1, "{report}");
}

#[test]
fn where_coturn_has_shared_secrets_usernames_are_taken_as_it_takes_them() {
    let text = format!("use-auth-secret\nstatic-auth-secret={SECRET}\n");
    let says = "`auth.rest_usernames = \"coturn\"`: a lone <expiry> (Prosody, Jitsi)";
    let imported = check(&text, "use-auth-secret", Verdict::Mapped, says);
    assert_eq!(imported.config.auth.rest_usernames, RestUsernames::Coturn);
    assert!(imported.report.to_string().contains("set it to \"strict\" if your backend writes"));
    // It is no secret.
    let shown = "rest_usernames = \"coturn\"\n";
    assert!(imported.text_without_secrets.contains(shown), "{}", imported.text_without_secrets);
    // Either option switches them on, and the secrets may be in a database that cannot be read.
    for text in [format!("static-auth-secret={SECRET}\n"), "use-auth-secret\n".to_owned()] {
        let imported = super::imported(&text);
        assert_eq!(imported.config.auth.rest_usernames, RestUsernames::Coturn, "{text}");
        assert!(imported.report.to_string().contains(says), "{}", imported.report);
    }
    for text in ["lt-cred-mech\nuser=alice:correct-horse\n", "fingerprint\n"] {
        let imported = super::imported(text);
        assert_eq!(imported.config.auth.rest_usernames, RestUsernames::Strict, "{text}");
        assert!(!imported.report.to_string().contains("rest_usernames"), "{}", imported.report);
    }
}

#[test]
#[cfg(feature = "coturn-databases")]
fn secrets_of_the_database_count_only_where_coturn_takes_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turndb");
    let database = rusqlite::Connection::open(&file).unwrap();
    let rows = format!(
        "CREATE TABLE turn_secret (realm, value); \
         INSERT INTO turn_secret VALUES ('r.org', '{SECRET}')"
    );
    database.execute_batch(&rows).unwrap();
    for (mechanism, count, expected) in [
        ("--use-auth-secret", 1, RestUsernames::Coturn),
        ("--lt-cred-mech", 0, RestUsernames::Strict),
    ] {
        let wanted = Wanted {
            file: None,
            arguments: Some(format!("-n {mechanism} --realm r.org")),
            database: DatabaseChoice::Named(file.display().to_string()),
        };
        let Imported { config, report, .. } = import(&wanted, Path::new("turnbell.toml")).unwrap();
        assert_eq!(config.auth.secrets.len(), count, "{report}");
        assert_eq!(config.auth.rest_usernames, expected, "{report}");
    }
}

#[test]
fn accounts_that_coturn_ignores_beside_a_secret_stay_outside() {
    let text = format!("static-auth-secret={SECRET}\nuser=alice:correct-horse\n");
    let imported =
        check(&text, "user", Verdict::NotNeeded, "no account in where there is a shared");
    assert_eq!(imported.config.auth.users.len(), 0);
}

#[test]
#[cfg(feature = "coturn-databases")]
fn as_many_accounts_as_there_may_be_fit_into_a_config_that_is_read() {
    let imported = with_accounts(10_000, 36).unwrap();
    assert_eq!(imported.config.auth.user_keys.len(), 10_000);
    assert!(imported.text.len() <= 1024 * 1024, "{}", imported.text.len());
    // Where all of them came from is said once.
    assert_eq!(imported.text.matches("# database, turnusers_lt").count(), 1);
    let error = with_accounts(10_000, 100).unwrap_err().to_string();
    assert!(error.contains("so many accounts do not fit") && error.contains("--turndb none"));
}

/// A turndb with one realm.
#[cfg(feature = "coturn-databases")]
fn with_accounts(count: usize, name_bytes: usize) -> Result<Imported, ImportError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turndb");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute_batch("CREATE TABLE turnusers_lt (realm, name, hmackey); BEGIN").unwrap();
    let mut insert = database.prepare("INSERT INTO turnusers_lt VALUES ('r.org', ?1, ?2)").unwrap();
    for n in 0..count {
        insert.execute((format!("{n:0name_bytes$}"), KEY)).unwrap();
    }
    database.execute_batch("COMMIT").unwrap();
    let wanted = Wanted {
        file: None,
        arguments: Some("-n --lt-cred-mech --realm r.org".to_owned()),
        database: DatabaseChoice::Named(file.display().to_string()),
    };
    import(&wanted, Path::new("turnbell.toml"))
}
