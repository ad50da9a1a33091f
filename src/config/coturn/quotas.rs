//! Quotas, rates and timers.

use super::draft::{Item, Value};
use super::reading::{At, Import, number};
use super::report::Verdict;
use crate::limits::RELAY_ADDRESSES_MAX;

/// What the database says about our realm wins over what was typed.
const OF_REALM: [&str; 3] = ["user-quota", "total-quota", "max-bps"];

impl Import {
    pub(super) fn quotas(&mut self) {
        for (name, key) in [("user-quota", "quota.per_user"), ("total-quota", "quota.total")] {
            self.quota(name, key);
        }
        self.rate("max-bps", "rate.per_allocation");
        self.rate("bps-capacity", "rate.total");
        self.timers();
    }

    /// An option, or the realm's own value of it.
    fn of_realm(&mut self, name: &str) -> Option<(Option<At>, i64)> {
        let typed = self.number(name);
        let realm = OF_REALM.contains(&name).then(|| {
            self.realm_options.iter().rev().find(|(opt, _)| opt == name).map(|(_, v)| number(v))
        });
        let Some(Some(of_realm)) = realm else {
            return typed.map(|(at, number)| (Some(at), number));
        };
        if let Some((at, _)) = typed {
            self.tell(at, Verdict::NotNeeded, "the realm's own value in the database counts");
        }
        Some((None, of_realm))
    }

    fn tell_of_realm(&mut self, at: Option<At>, name: &str, verdict: Verdict, text: String) {
        match at {
            Some(at) => self.tell(at, verdict, text),
            None => self.tell_database(&format!("{name} of the realm"), verdict, text),
        }
    }

    fn origin_of(&self, at: Option<At>, name: &str) -> String {
        at.map_or_else(|| format!("database, {name} of the realm"), |at| self.from(at))
    }

    fn quota(&mut self, name: &'static str, key: &'static str) {
        let Some((at, value)) = self.of_realm(name) else { return };
        if value <= 0 {
            let text = format!("0 is no limit in coturn; here `{key}` keeps its default, see it");
            return self.tell_of_realm(at, name, Verdict::Mapped, text);
        }
        let most = self.relay_port_count() * i64::try_from(RELAY_ADDRESSES_MAX).unwrap_or(1);
        let from = self.origin_of(at, name);
        self.draft.set(key, Value::Number(value.min(most)), from);
        let (verdict, text) = if value > most {
            (Verdict::Mapped, format!("`{key} = {most}`: so many ports there are"))
        } else {
            let told = if key == "quota.total" { "; beyond it is 508, not 486" } else { "" };
            (Verdict::TakenOver, format!("`{key}`{told}"))
        };
        self.tell_of_realm(at, name, verdict, text);
    }

    fn relay_port_count(&self) -> i64 {
        let Some(Value::Text(range)) = self.draft.key("relay_ports").map(|key| &key.value) else {
            return 65_535 - 49_152 + 1;
        };
        let port = |text: &str| text.parse::<i64>().ok();
        match range.split_once('-').and_then(|(low, high)| Some((port(low)?, port(high)?))) {
            Some((low, high)) => high - low + 1,
            None => 1,
        }
    }

    /// Bytes a second there, bits a second here.
    fn rate(&mut self, name: &'static str, key: &'static str) {
        let Some((at, bytes)) = self.of_realm(name) else { return };
        if bytes <= 0 {
            let text = "0 is no limit, as here".to_owned();
            return self.tell_of_realm(at, name, Verdict::TakenOver, text);
        }
        // 64 kbit to 100 Gbit; a rate below would let no call through.
        let kbits = bytes.saturating_mul(8).div_euclid(1000).clamp(64, 100_000_000);
        let rate = match kbits {
            kbits if kbits % 1000 == 0 => format!("{}Mbit", kbits / 1000),
            kbits => format!("{kbits}kbit"),
        };
        let from = format!("{}: {bytes} bytes a second", self.origin_of(at, name));
        let value = Value::List(vec![Item { text: rate.clone(), from: None }]);
        self.draft.set(key, value, from);
        let text = format!("`{key} = [\"{rate}\"]`: {bytes} bytes a second, each direction apart");
        self.tell_of_realm(at, name, Verdict::Mapped, text);
    }

    fn timers(&mut self) {
        for (name, fixed) in [
            ("max-allocate-lifetime", 3600),
            ("channel-lifetime", 600),
            ("permission-lifetime", 300),
        ] {
            let Some((at, mut value)) = self.number(name) else { continue };
            if self.value(at).is_empty() {
                value = fixed;
            }
            if value == fixed {
                let why = format!("it is {fixed} s here, as in RFC 8656");
                self.tell(at, Verdict::NotNeeded, why);
            } else {
                let why = format!("it is {fixed} s here, as in RFC 8656; clients refresh in time");
                self.tell(at, Verdict::NotSupported, why);
            }
        }
        if let Some(at) = self.last(&["stale-nonce"]) {
            let why = "a nonce lives for an hour here; clients are told a new one (438) and go on";
            self.tell(at, Verdict::Mapped, why);
        }
        if let Some(at) = self.last(&["unauthorized-ratelimit-rps"]) {
            let why = "`shield.answers_per_source` keeps its default, which lets 300 people behind \
                       one NAT connect";
            self.tell(at, Verdict::Mapped, why);
        }
    }
}
