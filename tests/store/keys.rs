//! API keys: durable, unique by name while active, revoked by id or name.

use turnbell::auth::api_key::{KeyGrant, KeyScope};
use turnbell::auth::identity::TenantId;
use turnbell::limits::TEXT_BYTES_MAX;
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
         ALTER TABLE api_keys DROP COLUMN origins;
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
fn after_the_end_no_key_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    assert!(matches!(store.add_key(key("one")), Err(StoreError::Closed)));
}
