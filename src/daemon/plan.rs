//! What a config means on this machine, before anything is opened. The daemon starts from a plan,
//! and `check-config` shows one.

use crate::config::{Config, DefaultRelayFamily};
use crate::ops::external::Found;
use crate::ops::interfaces::InterfaceAddress;
use crate::ops::relay_choice::{External, RelayAddress, Wishes, choose};

/// The relay addresses, and everything a person should hear about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Never empty.
    pub relay: Vec<RelayAddress>,
    /// Sentences, those of the config first.
    pub warnings: Vec<String>,
}

/// Sentences, one for each thing that this machine cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Impossible(pub Vec<String>);

impl Plan {
    /// Makes the plan. Pure: the machine is `here`.
    ///
    /// # Errors
    /// Everything the config wants and the machine does not have.
    pub fn of(config: &Config, here: &[InterfaceAddress]) -> Result<Self, Impossible> {
        Self::with(config, here, &[])
    }

    /// The same, where public addresses were found outside.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn with(
        config: &Config,
        here: &[InterfaceAddress],
        found: &[Found],
    ) -> Result<Self, Impossible> {
        let external: Vec<External> = config
            .external
            .iter()
            .map(|external| External { public: external.public, private: external.private })
            .collect();
        let wishes =
            Wishes { relay_addresses: &config.relay_addresses, external: &external, found };
        let choice = choose(here, wishes).map_err(Impossible)?;
        let mut warnings = config.warnings.clone();
        warnings.extend(choice.warnings);
        warnings.extend(missing_family(config.default_relay_family, &choice.addresses));
        Ok(Self { relay: choice.addresses, warnings })
    }
}

/// A default family that nothing is relayed on is replaced by the other one (R20).
fn missing_family(default: DefaultRelayFamily, relay: &[RelayAddress]) -> Option<String> {
    let (wanted, present) = match default {
        DefaultRelayFamily::Ipv4 => ("IPv4", relay.iter().any(|a| a.bind.is_ipv4())),
        DefaultRelayFamily::Ipv6 => ("IPv6", relay.iter().any(|a| a.bind.is_ipv6())),
        DefaultRelayFamily::Client => return None,
    };
    (!present).then(|| {
        format!(
            "default_relay_family is {wanted}, but no relay address is: clients that name no \
             family get the other one"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(addresses: &[&str]) -> Vec<InterfaceAddress> {
        addresses.iter().map(|a| InterfaceAddress::plain("eth0", a.parse().unwrap(), 24)).collect()
    }

    fn config(text: &str) -> Config {
        Config::parse("turnbell.toml".as_ref(), text).unwrap()
    }

    #[test]
    fn warnings_of_the_file_and_of_the_machine_come_together() {
        let config = config("deny_peers = [\"10.1.2.3/8\"]");
        let plan = Plan::of(&config, &here(&["10.0.0.5"])).unwrap();
        assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
        assert!(plan.warnings[0].contains("means 10.0.0.0/8"));
        assert!(plan.warnings[1].contains("calls from outside will not work"));
    }

    #[test]
    fn a_default_family_without_relay_address_is_warned_about() {
        let plan = |text, addresses: &[&str]| Plan::of(&config(text), &here(addresses)).unwrap();
        assert!(plan("", &["2600::7"]).warnings[0].contains("default_relay_family is IPv4"));
        let v6 = "default_relay_family = \"ipv6\"";
        assert!(plan(v6, &["1.2.3.7"]).warnings[0].contains("default_relay_family is IPv6"));
        assert_eq!(plan(v6, &["2600::7"]).warnings, Vec::<String>::new());
        let client = "default_relay_family = \"client\"";
        assert_eq!(plan(client, &["1.2.3.7"]).warnings, Vec::<String>::new());
    }

    #[test]
    fn everything_impossible_is_named() {
        let config = config("relay_addresses = [\"10.0.0.1\", \"10.0.0.2\"]");
        let error = Plan::of(&config, &here(&["1.2.3.7"])).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 2, "{error}");
    }
}
