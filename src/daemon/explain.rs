//! What is in effect and what the rules say, for people; the same with a daemon and without one.

use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;

use ipnet::IpNet;

use super::live::Live;
use crate::config::{Config, External, Setting, Value, changes};
use crate::edge::operator_json::{ConfigWord, ExplainedPeer, Rule, SettingWord, Verdict};
use crate::ops::relay_choice::{RelayAddress, ToldBy};
use crate::ops::state_directory::SECRET_FILE;
use crate::policy::peers::{AllowedAddress, Denied, PeerPolicy, Route};

/// What the rules say about a peer.
pub(crate) fn explain_peer(
    config: &Config,
    policy: &PeerPolicy,
    ip: IpAddr,
    port: Option<u16>,
) -> ExplainedPeer {
    let folded = ip.to_canonical();
    let judged = port.map(|port| SocketAddr::new(folded, port));
    let permission = policy.permit_address(ip).map(|address| (address, address.route()));
    let data = judged.map(|peer| policy.permit_peer(peer).map(|p| (p.address(), p.route())));
    ExplainedPeer {
        peer: judged.map_or_else(|| folded.to_string(), |peer| peer.to_string()),
        permission: verdict(config, folded, permission),
        data: data.map(|judged| verdict(config, folded, judged)),
    }
}

fn verdict(
    config: &Config,
    ip: IpAddr,
    judged: Result<(AllowedAddress, Route), Denied>,
) -> Verdict {
    let opened = || rule(config, "allow_private_peers", &config.allow_private_peers, ip);
    match judged {
        Err(Denied::OperatorDeny) => {
            let rule = rule(config, "deny_peers", &config.deny_peers, ip);
            Verdict { allowed: false, why: Denied::OperatorDeny.sentence(ip), rule }
        }
        Err(denied) => Verdict { allowed: false, why: denied.sentence(ip), rule: None },
        Ok((address, Route::Kernel)) => match opened() {
            None => Verdict { allowed: true, why: Route::Kernel.sentence().into(), rule: None },
            rule => {
                let why = if address.is_closed_by_default() {
                    "the config opens it, although it lies in a range that is closed by default"
                } else {
                    "the config opens it"
                };
                Verdict { allowed: true, why: why.into(), rule }
            }
        },
        Ok((_, route @ Route::InProcess)) => {
            Verdict { allowed: true, why: route.sentence().into(), rule: None }
        }
        Ok((_, route @ Route::InProcessElseKernel)) => {
            Verdict { allowed: true, why: route.sentence().into(), rule: opened() }
        }
    }
}

/// The first entry of a list that holds `ip`.
fn rule(config: &Config, key: &str, entries: &[IpNet], ip: IpAddr) -> Option<Rule> {
    let at = entries.iter().position(|net| net.contains(&ip))?;
    let line = config.places.of_key(key).and_then(|place| place.items.get(at)).copied();
    let (key, value) = (key.to_owned(), entries[at].to_string());
    Some(Rule { key, value, file: file(config), line })
}

/// Everything that is in effect. `relay`: the addresses that were found or named; `written`: what
/// the file says, where that waits for a restart.
pub(crate) fn in_effect(config: &Config, relay: &[RelayAddress], written: &Config) -> ConfigWord {
    let waiting = changes(config, written);
    let word = |setting: Setting| {
        let mut word = origin(config, &setting);
        if setting.key == "relay_addresses" && config.relay_addresses.is_empty() {
            word.value = relay.iter().map(|a| a.bind.to_string()).collect();
            word.from = "found".to_owned();
            let why: Vec<String> = relay.iter().map(ToString::to_string).collect();
            word.note = Some(why.join("; "));
        }
        let found = relay.iter().filter(|relay| matches!(relay.told_by, ToldBy::Stun(_)));
        if setting.key == "external" && found.clone().next().is_some() {
            let operators = config.external.iter().map(external);
            let pairs = found.clone().map(|a| format!("{}/{}", a.advertised, a.bind));
            word.value = operators.chain(pairs).collect();
            word.from = "found".to_owned();
            let origin = |a: &RelayAddress| Some(format!("{}: {}", a.advertised, a.origin()?));
            word.note = Some(found.filter_map(origin).collect::<Vec<_>>().join("; "));
        }
        let change = waiting.iter().find(|change| change.key == setting.key);
        word.after_restart = change.map(|change| change.new.clone());
        word
    };
    ConfigWord { file: file(config), settings: config.settings().into_iter().map(word).collect() }
}

fn external(external: &External) -> String {
    match external.private {
        Some(private) => format!("{}/{private}", external.public),
        None => external.public.to_string(),
    }
}

fn origin(config: &Config, setting: &Setting) -> SettingWord {
    let line = config.places.of_key(setting.key).map(|place| place.line);
    let (from, note) = match (line, setting.key) {
        (Some(_), _) => ("file", None),
        (None, "state_directory") if std::env::var_os("STATE_DIRECTORY").is_some() => {
            ("environment", Some("STATE_DIRECTORY".to_owned()))
        }
        (None, "auth.secrets") if config.auth.secrets.is_empty() => {
            ("generated", Some(config.state_directory.join(SECRET_FILE).display().to_string()))
        }
        (None, _) => ("default", None),
    };
    let value = match &setting.value {
        Value::Text(text) => text.clone().into(),
        Value::Number(number) => (*number).into(),
        Value::Switch(on) => (*on).into(),
        Value::List(items) => items.clone().into(),
        Value::Hidden { shown, held: _ } if from == "generated" => {
            debug_assert_eq!(shown, "0 secrets");
            "1 secret".into()
        }
        Value::Hidden { shown, held: _ } => shown.clone().into(),
    };
    let (key, from) = (setting.key.to_owned(), from.to_owned());
    SettingWord { key, value, from, line, note, after_restart: None }
}

fn file(config: &Config) -> Option<String> {
    config.source.file().map(|path| path.display().to_string())
}

impl Live {
    pub(super) fn explain_peer(&self, ip: IpAddr, port: Option<u16>) -> ExplainedPeer {
        let in_effect = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        explain_peer(&in_effect.config, &in_effect.policy, ip, port)
    }

    pub(super) fn config_word(&self) -> ConfigWord {
        let held = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        in_effect(&held.config, &held.opened.relay_addresses, &held.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse("turnbell.toml".as_ref(), text).unwrap()
    }

    fn word(written: &ConfigWord, key: &str) -> SettingWord {
        written.settings.iter().find(|setting| setting.key == key).unwrap().clone()
    }

    #[test]
    fn each_value_comes_with_its_source() {
        let config = config("realm = \"x\"\n\n[quota]\nper_user = 7\n");
        let told = in_effect(&config, &[], &config);
        let of = |key: &str| {
            let word = word(&told, key);
            (word.value.to_string(), word.from, word.line)
        };
        assert_eq!(of("realm"), ("\"x\"".into(), "file".into(), Some(1)));
        assert_eq!(of("quota.per_user"), ("7".into(), "file".into(), Some(4)));
        assert_eq!(of("quota.total"), ("14745".into(), "default".into(), None));
        assert_eq!(of("auth.secrets"), ("\"1 secret\"".into(), "generated".into(), None));
        assert_eq!(of("relay_addresses"), ("[]".into(), "found".into(), None));
        assert_eq!(told.file.as_deref(), Some("turnbell.toml"));
    }

    #[test]
    fn what_waits_for_a_restart_is_told_beside_what_counts() {
        let old = config("");
        let new = config("realm = \"x\"\nquota.per_user = 7");
        let effective = new.reloaded_into(&old);
        let told = in_effect(&effective, &[], &new);
        let realm = word(&told, "realm");
        assert_eq!((realm.value, &*realm.from, realm.line), ("turnbell".into(), "default", None));
        assert_eq!(realm.after_restart.as_deref(), Some("\"x\""));
        assert_eq!(word(&told, "quota.per_user").after_restart, None);
        assert_eq!(word(&told, "quota.per_user").line, Some(2));
    }

    #[test]
    fn the_entry_that_opens_or_closes_a_peer_is_named_with_its_line() {
        let text = "allow_private_peers = [\n\"10.0.0.0/8\",\n\"192.168.0.0/16\"]\n\
                    deny_peers = [\"10.1.0.0/16\"]";
        let config = config(text);
        let options = crate::policy::peers::PeerPolicyOptions {
            deny: config.deny_peers.clone(),
            allow_private: config.allow_private_peers.clone(),
            ..Default::default()
        };
        let policy = PeerPolicy::new(options);
        let told = |ip: &str| explain_peer(&config, &policy, ip.parse().unwrap(), None).permission;
        let rule = |ip: &str| told(ip).rule.map(|rule| (rule.key, rule.value, rule.line));
        let entry = |key: &str, value: &str, line| Some((key.into(), value.into(), Some(line)));
        assert_eq!(rule("192.168.0.3"), entry("allow_private_peers", "192.168.0.0/16", 3));
        assert_eq!(rule("10.1.0.3"), entry("deny_peers", "10.1.0.0/16", 4));
        assert_eq!(rule("::ffff:10.1.0.3"), entry("deny_peers", "10.1.0.0/16", 4));
        assert_eq!((rule("172.17.0.3"), rule("1.1.1.1")), (None, None));
        assert_eq!((told("192.168.0.3").allowed, told("10.1.0.3").allowed), (true, false));
        assert_eq!((told("172.17.0.3").allowed, told("1.1.1.1").allowed), (false, true));
    }
}
