//! The realm: which of coturn's it is, whether ours can be the same, and what that means for accounts
//! that are known by keys.

use super::draft::Value;
use super::reading::Import;
use super::report::{Verdict, counted};
use super::turndb::{Login, Rows};
use crate::config::value as ours;

/// coturn's realm, and whether it is ours, too.
pub(super) struct Realm {
    pub(super) there: String,
    pub(super) is_ours: bool,
}

impl Import {
    pub(super) fn realm(&mut self, rows: Option<&Rows>) -> Realm {
        let Some(at) = self.last(&["realm"]) else {
            self.report.note(
                "coturn's file names no realm: it takes the machine's domain name, or none, and says \
                 `Default realm` when it starts. turnbell's is \"turnbell\", and clients take what they \
                 are told; only keys of accounts need the same one: --args '--realm NAME'",
            );
            return Realm { there: String::new(), is_ours: false };
        };
        let there = self.value(at).to_owned();
        let why = match ours::realm(&there) {
            Ok(_) => {
                let from = self.from(at);
                self.draft.set("realm", Value::Text(there.clone()), from);
                self.taken(at, "realm");
                return Realm { there, is_ours: true };
            }
            Err(why) => why.0,
        };
        let by_key = self.accounts_by_key(rows, &there);
        let (verdict, end) = if by_key == 0 {
            (Verdict::Mapped, "nothing is lost by that".to_owned())
        } else {
            let named = counted(by_key, "account");
            let end =
                format!("but {named} known by key, each with its cure below, cannot come over");
            (Verdict::NotSupported, end)
        };
        let text = format!(
            "it {why}. `realm` keeps \"turnbell\": clients take the realm they are told, and shared \
             secrets and passwords are good in any; {end}"
        );
        self.tell(at, verdict, text);
        Realm { there, is_ours: false }
    }

    /// Accounts that coturn lets in by a key that is made for this realm.
    fn accounts_by_key(&self, rows: Option<&Rows>, realm: &str) -> usize {
        if !self.all(&["static-auth-secret", "use-auth-secret"]).is_empty() {
            // Accounts count for nothing beside secrets.
            return 0;
        }
        let is_key = |value: &str| value.split_once(':').is_some_and(|(_, k)| k.starts_with("0x"));
        let typed = self.all(&["user"]).into_iter().filter(|at| is_key(self.value(*at))).count();
        let stored = rows.map_or(0, |rows| {
            let is_key = |login: &Login| matches!(login, Login::Key(_));
            rows.users.iter().filter(|user| user.realm == realm && is_key(&user.login)).count()
        });
        typed + stored
    }
}
