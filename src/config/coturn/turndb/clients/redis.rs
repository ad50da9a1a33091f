//! Redis (`redis-userdb`): keys with slashes where the others have tables.

use std::collections::HashSet;

use redis::{Client, Commands, Connection, ConnectionAddr, IntoConnectionInfo};

use super::words;
use crate::config::coturn::turndb::{Login, Rows, User};
use crate::limits::coturn::{COTURN_DATABASE_PATIENCE, COTURN_ROWS_MAX};

pub(super) fn read(connection: &str) -> Result<Rows, String> {
    let client = client(connection).map_err(|error| error.to_string())?;
    let patience = COTURN_DATABASE_PATIENCE;
    let mut server =
        client.get_connection_with_timeout(patience).map_err(|error| error.to_string())?;
    let limit = |server: &Connection| {
        server.set_read_timeout(Some(patience))?;
        server.set_write_timeout(Some(patience))
    };
    limit(&server).map_err(|error| error.to_string())?;
    all(&mut server).map_err(|error| error.to_string())
}

fn client(connection: &str) -> redis::RedisResult<Client> {
    if connection.contains("://") {
        return Client::open(connection);
    }
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 6379);
    let mut settings = redis::RedisConnectionInfo::default();
    for (name, value) in words(connection) {
        match name {
            "ip" | "host" => host = value.to_owned(),
            "port" => port = value.parse().unwrap_or(port),
            "dbname" | "db" => settings = settings.set_db(value.parse().unwrap_or(0)),
            "user" => settings = settings.set_username(value),
            "password" => settings = settings.set_password(value),
            // Timeouts and TLS files.
            _ => {}
        }
    }
    let address = ConnectionAddr::Tcp(host, port);
    Client::open(address.into_connection_info()?.set_redis_settings(settings))
}

fn all(server: &mut Connection) -> redis::RedisResult<Rows> {
    let mut rows = Rows::default();
    let mut keys: HashSet<String> = HashSet::new();
    for key in server.scan_match::<_, String>("turn/*")? {
        if keys.len() > 8 * COTURN_ROWS_MAX {
            rows.broken.push("more keys below turn/ than are taken".to_owned());
            break;
        }
        keys.insert(key?);
    }
    let mut keys: Vec<String> = keys.into_iter().collect();
    keys.sort_unstable();
    for key in &keys {
        let parts: Vec<&str> = key.split('/').collect();
        match &parts[..] {
            ["turn", "realm", realm, "user", name @ .., "key"] => {
                let stored: String = server.get(key)?;
                let is_key = stored.len() == 32 && stored.bytes().all(|c| c.is_ascii_hexdigit());
                // Unlike the others this one may hold passwords.
                let login = if is_key { Login::Key(stored) } else { Login::Password(stored) };
                rows.users.push(User { realm: (*realm).to_owned(), name: name.join("/"), login });
            }
            ["turn", "realm", realm, list @ ("secret" | "allowed-peer-ip" | "denied-peer-ip")] => {
                let members: Vec<String> = server.smembers(key)?;
                let into = match *list {
                    "secret" => &mut rows.secrets,
                    "allowed-peer-ip" => &mut rows.allowed,
                    _ => &mut rows.denied,
                };
                into.extend(members.into_iter().map(|value| ((*realm).to_owned(), value)));
            }
            ["turn", "realm", realm, opt @ ("max-bps" | "total-quota" | "user-quota")] => {
                let value: String = server.get(key)?;
                rows.options.push(((*realm).to_owned(), (*opt).to_owned(), value));
            }
            ["turn", "origin", ..] => rows.origins += 1,
            ["turn", "oauth", "kid", ..] => rows.oauth_keys += 1,
            ["turn", "admin_user", ..] => rows.admins += 1,
            // Statistics of allocations live below the same prefix.
            _ => {}
        }
    }
    let lists = [
        (&mut rows.secrets, "shared secrets"),
        (&mut rows.allowed, "allowed-peer-ip"),
        (&mut rows.denied, "denied-peer-ip"),
    ];
    for (list, what) in lists {
        if list.len() > COTURN_ROWS_MAX {
            list.truncate(COTURN_ROWS_MAX);
            rows.broken.push(format!("{what} beyond the first {COTURN_ROWS_MAX}"));
        }
    }
    Ok(rows)
}
