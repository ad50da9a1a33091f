//! API keys: durable, unique by name while active, revoked by id or name.

use turnbell::auth::api_key::{KeyGrant, KeyScope};
use turnbell::auth::identity::TenantId;
use turnbell::limits::TEXT_BYTES_MAX;
use turnbell::limits::probe::VERIFY_LINKS_MAX;
use turnbell::store::{FILE_NAME, StoreError};
use turnbell::time::Now;

use crate::support::{close, key, look_into, open};

#[test]
fn a_key_is_there_for_whoever_opens_the_record_next_until_it_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.add_key(key("one")).unwrap();
    store.add_key(key("two")).unwrap();
    assert_eq!(store.keys().unwrap(), [key("one"), key("two")]);
    close(&store, writer);

    let (store, writer) = look_into(directory.path());
    assert_eq!(store.keys().unwrap(), [key("one"), key("two")]);
    let now = Now::read();
    assert!(store.revoke_key("one", now).unwrap());
    assert!(store.revoke_key("id-two", now).unwrap());
    assert!(!store.revoke_key("one", now).unwrap(), "it is revoked");
    assert!(!store.revoke_key("three", now).unwrap(), "there is none");
    let revoked: Vec<_> =
        store.keys().unwrap().into_iter().map(|key| key.revoked_at_unix_ms).collect();
    assert_eq!(revoked, [Some(now.unix_ms), Some(now.unix_ms)]);
    close(&store, writer);
}

#[test]
fn what_a_key_opens_is_kept_and_one_of_an_older_record_opens_ice() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let mut wide = key("wide");
    wide.grant = KeyGrant {
        scopes: vec![KeyScope::Calls, KeyScope::Log],
        tenant: TenantId::new("acme"),
        origins: vec!["https://a.example".into(), "https://b.example:8443".into()],
        ends_at_unix_ms: Some(i64::MAX),
    };
    store.add_key(wide.clone()).unwrap();
    assert_eq!(store.keys().unwrap(), [wide]);
    close(&store, writer);
    // As the sixth migration left it.
    let file = rusqlite::Connection::open(directory.path().join(FILE_NAME)).unwrap();
    file.execute_batch(
        "DROP TABLE verifications; DROP INDEX calls_external; DROP INDEX call_feedback_user;
         ALTER TABLE calls DROP COLUMN recording_url;
         DELETE FROM api_keys; DROP TABLE user_blocks;
         ALTER TABLE api_keys DROP COLUMN scopes; ALTER TABLE api_keys DROP COLUMN tenant;
         ALTER TABLE api_keys DROP COLUMN origins; ALTER TABLE api_keys DROP COLUMN ends_at_ms;
         INSERT INTO api_keys VALUES ('id-old', 'old', zeroblob(32), 1, NULL);
         PRAGMA user_version = 6;",
    )
    .unwrap();
    drop(file);
    let (store, writer) = open(directory.path());
    let kept = store.keys().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].grant, KeyGrant::of(KeyScope::Ice));
    close(&store, writer);
}

#[test]
fn an_id_is_meant_before_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.add_key(key("one")).unwrap();
    store.add_key(key("id-one")).unwrap();
    assert!(store.revoke_key("id-one", Now::read()).unwrap());
    let open: Vec<_> = store
        .keys()
        .unwrap()
        .into_iter()
        .filter(|key| key.revoked_at_unix_ms.is_none())
        .map(|key| key.name)
        .collect();
    assert_eq!(open, ["id-one"]);
    close(&store, writer);
}

#[test]
fn a_name_is_taken_while_its_key_is_active_and_free_again_after() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.add_key(key("one")).unwrap();
    let mut again = key("one");
    again.id = "another".into();
    again.hash = turnbell::auth::api_key::ApiKeyHash::of("another");
    let refused = store.add_key(again.clone()).unwrap_err();
    assert!(matches!(&refused, StoreError::KeyExists(name) if name == "one"), "{refused}");
    store.revoke_key("one", Now::read()).unwrap();
    store.add_key(again).unwrap();
    assert_eq!(store.keys().unwrap().len(), 2);
    close(&store, writer);
}

#[test]
fn a_name_has_a_byte_at_least_and_its_bound_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.add_key(key(&"n".repeat(TEXT_BYTES_MAX))).unwrap();
    for name in [String::new(), "n".repeat(TEXT_BYTES_MAX + 1)] {
        assert!(matches!(store.add_key(key(&name)), Err(StoreError::KeyName)));
    }
    close(&store, writer);
}

#[test]
fn links_are_few_and_those_that_ended_or_were_revoked_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let link = |name: &str, made_at, ends_at| {
        let mut link = key(name);
        link.created_at_unix_ms = made_at;
        link.grant.ends_at_unix_ms = Some(ends_at);
        link
    };
    store.add_key(key("lasting")).unwrap();
    for n in 1..VERIFY_LINKS_MAX {
        store.add_key(link(&n.to_string(), 0, 2000)).unwrap();
    }
    store.add_key(link("short", 0, 1000)).unwrap();
    let refused = store.add_key(link("more", 999, 3000)).unwrap_err();
    assert!(matches!(refused, StoreError::LinksFull), "{refused}");
    // Lasting keys are not counted among them.
    store.add_key(key("lasting, too")).unwrap();
    store.add_key(link("in its place", 1000, 3000)).unwrap();
    assert!(store.add_key(link("more", 1000, 3000)).is_err());
    assert!(store.revoke_key("7", Now::read()).unwrap());
    store.add_key(link("more", 1000, 3000)).unwrap();
    let names: Vec<_> = store.keys().unwrap().into_iter().map(|key| key.name).collect();
    assert_eq!(names.len(), VERIFY_LINKS_MAX + 2);
    assert!(!names.contains(&"short".to_owned()) && !names.contains(&"7".to_owned()));
    // Any key that is made makes room.
    let late = turnbell::store::KeyRow { created_at_unix_ms: 2000, ..key("late") };
    store.add_key(late).unwrap();
    let names: Vec<_> = store.keys().unwrap().into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["lasting", "lasting, too", "in its place", "more", "late"]);
    close(&store, writer);
}

#[test]
fn after_the_end_no_key_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    assert!(matches!(store.add_key(key("one")), Err(StoreError::Closed)));
}
