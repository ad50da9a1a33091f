//! Accounts and shared secrets one by one: which are taken over, and as what.

use std::collections::HashSet;

use super::draft::Item;
use super::realm::Realm;
use super::report::Verdict;
use super::turndb::Login;
use crate::auth::key::{LongTermKey, PasswordAlgorithm};
use crate::auth::secret::hex;
use crate::config::secrets;
use crate::limits::{SECRETS_MAX, STATIC_USERS_MAX};

/// Accounts that were taken.
#[derive(Default)]
pub(super) struct Accounts {
    names: HashSet<String>,
    pub(super) passwords: Vec<Item>,
    pub(super) keys: Vec<Item>,
}

impl Accounts {
    pub(super) fn take(
        &mut self,
        name: &str,
        login: &Login,
        realm: &Realm,
        from: &str,
    ) -> (Verdict, String) {
        let not = |why: String| (Verdict::NotSupported, why);
        if self.names.contains(name) {
            return (Verdict::NotNeeded, "another mention of this name counts".to_owned());
        }
        if self.passwords.len() + self.keys.len() == STATIC_USERS_MAX {
            return not(format!("there can be {STATIC_USERS_MAX} accounts"));
        }
        let item = |text: String| Item { text, from: Some(from.to_owned()) };
        let (key, taken) = match login {
            Login::Password(password) => {
                let text = format!("{name}:{password}");
                match secrets::static_user(&text) {
                    Ok(_) => {
                        self.passwords.push(item(text));
                        self.names.insert(name.to_owned());
                        return (Verdict::TakenOver, "`auth.users`".to_owned());
                    }
                    // A turndb holds keys of such, too, and its clients have to go on.
                    Err(_) if realm.is_ours && secrets::is_only_short(name, password) => {
                        (key_of(name, &realm.there, password), (Verdict::Mapped, SHORT))
                    }
                    Err(_) if secrets::is_tried_first(name, password) => {
                        return not(TRIED_FIRST.to_owned());
                    }
                    Err(why) => return not(why.0),
                }
            }
            Login::Key(_) if !realm.is_ours => return not(other_realm(&realm.there)),
            Login::Key(key) => (key.to_ascii_lowercase(), (Verdict::TakenOver, "`auth.user_keys`")),
        };
        let text = format!("{name}:{key}");
        if let Err(why) = secrets::user_key(&text) {
            return not(why.0);
        }
        self.keys.push(item(text));
        self.names.insert(name.to_owned());
        (taken.0, taken.1.to_owned())
    }
}

const SHORT: &str = "`auth.user_keys`, by its key: the password is shorter than 8 bytes, so it can be \
                     guessed from one recorded request; give this client a longer one";

const TRIED_FIRST: &str = "its password is a well-known one, or its name, which whoever looks for open \
                           relays tries first: `turnbell user add NAME` makes a better one";

fn other_realm(there: &str) -> String {
    let made_for = match there {
        "" => "its key is made for coturn's realm, which is not named here".to_owned(),
        there => format!("its key is made for realm {there:?}, which this one cannot have"),
    };
    format!(
        "{made_for}, and no password can be found from a key: `turnbell user add NAME --password-file \
         -` with the password its client has, or a new one"
    )
}

fn key_of(name: &str, realm: &str, password: &str) -> String {
    let parts = [name, realm, password].map(str::as_bytes);
    hex(LongTermKey::derive(PasswordAlgorithm::Md5, parts[0], parts[1], parts[2]).as_bytes())
}

pub(super) fn take_secret(items: &mut Vec<Item>, text: String, from: String) -> (Verdict, String) {
    if items.iter().any(|item| item.text == text) {
        return (Verdict::NotNeeded, "it stands there twice".to_owned());
    }
    if items.len() == SECRETS_MAX {
        return (Verdict::NotSupported, format!("{SECRETS_MAX} secrets can be active at once"));
    }
    match secrets::check(&text) {
        Ok(_) => {
            items.push(Item { text, from: Some(from) });
            (Verdict::TakenOver, "`auth.secrets`: credentials that are out stay good".to_owned())
        }
        Err(why) => (Verdict::NotSupported, why.0),
    }
}
