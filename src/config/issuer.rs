//! `[[identity.issuer]]`: whose tokens count, for whom, and what they are verified with.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use toml::Spanned;

use super::checker::Checker;
use super::identity::{
    AuthorityFile, IssuerKeys, IssuerTenancy, KeysUrl, TENANT, TenantTable, TokenIssuer,
};
use super::raw::{List, RawIssuer, Text};
use super::secrets;
use super::value::{Refusal, origin};
use crate::auth::identity::TenantId;
use crate::auth::own_token::OWN_ISSUER;
use crate::auth::secret::Secret;
use crate::auth::token_keys::check_jwk_set;
use crate::limits::identity::{AUDIENCES_MAX, JWKS_BYTES_MAX, TENANTS_MAX, TOKEN_SECRET_BYTES_MIN};

/// What stands in the file about keys.
struct WrittenKeys {
    secret: Text,
    secret_file: Text,
    jwks_file: Text,
    jwks_url: Text,
    jwks_ca_file: Text,
}

impl Checker<'_> {
    pub(super) fn issuer(
        &mut self,
        raw: Spanned<RawIssuer>,
        known: &TenantTable,
    ) -> Option<TokenIssuer> {
        let place = raw.span();
        let raw = raw.into_inner();
        let before = self.problems.len();
        let name = match raw.issuer {
            None => {
                let text = "needs `issuer`, the `iss` of its tokens, such as \
                            \"https://id.example.org\"";
                self.refuse(place.clone(), "identity.issuer", text);
                String::new()
            }
            named => self.text("identity.issuer.issuer", named, String::new(), issuer_name),
        };
        let audiences = self
            .list("identity.issuer.audience", raw.audience, 0..=AUDIENCES_MAX, not_empty)
            .unwrap_or_default();
        let tenancy = self.tenancy(place.clone(), raw.tenant, raw.tenant_claim, raw.tenants, known);
        let role_claim = self
            .text("identity.issuer.role_claim", raw.role_claim, None, |t| not_empty(t).map(Some));
        let written = WrittenKeys {
            secret: raw.secret,
            secret_file: raw.secret_file,
            jwks_file: raw.jwks_file,
            jwks_url: raw.jwks_url,
            jwks_ca_file: raw.jwks_ca_file,
        };
        let keys = self.issuer_keys(place, written);
        let (tenancy, keys) = (tenancy?, keys?);
        (self.problems.len() == before).then_some(TokenIssuer {
            name,
            audiences,
            tenancy,
            role_claim,
            keys,
        })
    }

    fn tenancy(
        &mut self,
        place: Range<usize>,
        tenant: Text,
        claim: Text,
        tenants: List,
        known: &TenantTable,
    ) -> Option<IssuerTenancy> {
        let known = |text: &str| {
            let id = TenantId::new(text).ok_or_else(|| Refusal(TENANT.to_owned()))?;
            if known.contains_key(&id) {
                return Ok(id);
            }
            Err(Refusal(format!("there is no such tenant; add a table [tenant.{id}]")))
        };
        match (tenant, claim, tenants) {
            (None, None, None) => Some(IssuerTenancy::One(TenantId::default_tenant())),
            (Some(tenant), None, None) => {
                let id = self
                    .text("identity.issuer.tenant", Some(tenant), None, |t| known(t).map(Some))?;
                Some(IssuerTenancy::One(id))
            }
            (None, Some(claim), Some(tenants)) => {
                let claim = self.text("identity.issuer.tenant_claim", Some(claim), None, |t| {
                    not_empty(t).map(Some)
                });
                let key = "identity.issuer.tenants";
                let tenants = self.list(key, Some(tenants), 1..=TENANTS_MAX, known);
                Some(IssuerTenancy::Claim { claim: claim?, tenants: tenants? })
            }
            (_, Some(_), _) | (_, _, Some(_)) => {
                let text = "needs either `tenant`, or `tenant_claim` and `tenants` together: the \
                            claim that names a tenant, and the tenants that it may name";
                self.refuse(place, "identity.issuer", text);
                None
            }
        }
    }

    fn issuer_keys(&mut self, place: Range<usize>, written: WrittenKeys) -> Option<IssuerKeys> {
        let (directory, handed) = (self.directory, self.handed);
        let WrittenKeys { secret, secret_file, jwks_file, jwks_url, jwks_ca_file } = written;
        if jwks_ca_file.is_some() && jwks_url.is_none() {
            let text = "jwks_ca_file says who vouches for the server of jwks_url, which is missing";
            self.refuse(place, "identity.issuer", text);
            return None;
        }
        match (secret, secret_file, jwks_file, jwks_url) {
            (Some(secret), None, None, None) => {
                self.text("identity.issuer.secret", Some(secret), None, |text| {
                    Ok(Some(IssuerKeys::Secret(long_enough(secrets::check(text)?)?)))
                })
            }
            (None, Some(file), None, None) => {
                let mut warning = None;
                let keys = self.text("identity.issuer.secret_file", Some(file), None, |file| {
                    let path = directory.join(file);
                    let read = match handed.get(file) {
                        Some(held) => secrets::parse_file(&path, held),
                        None => secrets::read_file(&path),
                    };
                    let read = read.map_err(Refusal)?;
                    warning = read.warning;
                    let secrets = read.secrets.into_iter().map(long_enough);
                    let secrets = secrets.collect::<Result<_, _>>()?;
                    Ok(Some(IssuerKeys::SecretFile { file: file.to_owned(), secrets }))
                });
                self.warnings.extend(warning);
                keys
            }
            (None, None, Some(file), None) => {
                self.text("identity.issuer.jwks_file", Some(file), None, |file| {
                    let json = match handed.get(file) {
                        Some(held) => held.clone(),
                        None => read_bounded(directory.join(file))?,
                    };
                    check_jwk_set(json.as_bytes()).map_err(|why| {
                        Refusal(format!("{why}; it must be the issuer's JWK set"))
                    })?;
                    Ok(Some(IssuerKeys::JwksFile { file: file.to_owned(), json }))
                })
            }
            (None, None, None, Some(url)) => {
                let url = self.text("identity.issuer.jwks_url", Some(url), None, |text| {
                    keys_url(text).map(Some)
                });
                let authority =
                    self.text("identity.issuer.jwks_ca_file", jwks_ca_file, None, |file| {
                        let pem = match handed.get(file) {
                            Some(held) => held.clone(),
                            None => read_bounded(directory.join(file))?,
                        };
                        check_authority(&pem)?;
                        Ok(Some(AuthorityFile { file: file.to_owned(), pem }))
                    });
                Some(IssuerKeys::JwksUrl(KeysUrl { url: url?, authority }))
            }
            (_, _, _, _) => {
                let text = "needs exactly one of `secret`, `secret_file`, `jwks_file` and \
                            `jwks_url`: what its tokens are verified with";
                self.refuse(place, "identity.issuer", text);
                None
            }
        }
    }
}

fn read_bounded(path: PathBuf) -> Result<String, Refusal> {
    use std::io::Read;
    let shown = path.display().to_string();
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(JWKS_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|why| Refusal(format!("{shown} cannot be read: {why}")))?;
    if read as u64 > JWKS_BYTES_MAX {
        return Err(Refusal(format!("{shown} is larger than {JWKS_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn issuer_name(text: &str) -> Result<String, Refusal> {
    if text == OWN_ISSUER {
        return Err(Refusal(format!(
            "is the name of this daemon's own tokens; have your backend write another `iss`, such \
             as \"https://id.example.org\", and name it here: {OWN_ISSUER:?} is reserved"
        )));
    }
    not_empty(text)
}

fn not_empty(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Refusal(format!(
            "must have 1 to {NAME_BYTES_MAX} bytes without control characters, exactly as in the \
             token"
        )));
    }
    Ok(text.to_owned())
}

const NAME_BYTES_MAX: usize = 256;

/// RFC 7518 §3.2: a key of HS256 is not shorter than its hash.
fn long_enough(secret: Secret<String>) -> Result<Secret<String>, Refusal> {
    let found = secret.expose().len();
    if found < TOKEN_SECRET_BYTES_MIN {
        return Err(Refusal(format!(
            "must be at least {TOKEN_SECRET_BYTES_MIN} bytes long to sign tokens with HS256, found \
             {found}; make a good one with: openssl rand -hex 32"
        )));
    }
    Ok(secret)
}

/// https, or http where nobody sits between; the rest is for the server to judge.
fn keys_url(text: &str) -> Result<String, Refusal> {
    let wrong = |why: &str| {
        let example = "https://id.example.org/.well-known/jwks.json";
        Refusal(format!(
            "{why}; it must be the address of the issuer's JWK set, such as {example:?}"
        ))
    };
    if text.len() > URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("has other characters than a URL, or is too long"));
    }
    if text.contains(['@', '#', '\\', '"', '<', '>']) {
        return Err(wrong("holds a name and password, or a part that no server sees"));
    }
    let after_scheme = text.find("://").map(|at| at + 3);
    let Some(host_at) = after_scheme else { return Err(wrong("has no scheme")) };
    let path_at = text[host_at..].find(['/', '?']).map_or(text.len(), |at| host_at + at);
    if text[path_at..].starts_with('?') {
        return Err(wrong("has no path"));
    }
    let base = text[..path_at].to_ascii_lowercase();
    // `:443` and `:80` are allowed here, and mean nothing.
    let usual = base.strip_prefix("https://").and_then(|b| b.strip_suffix(":443"));
    let usual = usual.map(|host| format!("https://{host}"));
    let plain = base.strip_prefix("http://").and_then(|b| b.strip_suffix(":80"));
    let plain = plain.map(|host| format!("http://{host}"));
    let base = usual.or(plain).unwrap_or(base);
    origin(&base).map_err(|_| wrong("names no server"))?;
    if let Some(host) = base.strip_prefix("http://")
        && !is_here(host)
    {
        return Err(wrong(
            "is http, on whose way anybody can put his own keys: only https, or http \
                          to this machine",
        ));
    }
    let path = if path_at == text.len() { "/" } else { &text[path_at..] };
    Ok(format!("{base}{path}"))
}

const URL_BYTES_MAX: usize = 2048;

/// `127.0.0.1:8080`, `[::1]`, `localhost`.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// PEM with one certificate or more. Whether they can be trusted is found out by who uses them.
fn check_authority(pem: &str) -> Result<(), Refusal> {
    let cure = "it must be the certificate of the authority that signed the server's, as PEM";
    let mut rest = pem;
    let mut found = 0;
    while let Some((_, after)) = rest.split_once("-----BEGIN CERTIFICATE-----") {
        let whole = after.split_once("-----END CERTIFICATE-----");
        let (text, behind) =
            whole.ok_or_else(|| Refusal(format!("ends within a certificate; {cure}")))?;
        let text: String = text.split_whitespace().collect();
        // DER of a certificate is a sequence.
        let is_one = STANDARD.decode(text).is_ok_and(|der| der.first() == Some(&0x30));
        if !is_one {
            return Err(Refusal(format!("holds something else than a certificate; {cure}")));
        }
        (found, rest) = (found + 1, behind);
    }
    if found == 0 {
        return Err(Refusal(format!("holds no certificate; {cure}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_one_certificate_or_more() {
        let one = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for good in [one.to_owned(), format!("# ours\n{one}{one}")] {
            assert!(check_authority(&good).is_ok(), "{good}");
        }
        let key = one.replace("CERTIFICATE", "PRIVATE KEY");
        for bad in ["", &key, &one[..30], &one.replace("MAA=", "AAA="), &one.replace("MAA=", "!")] {
            assert!(check_authority(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_fetched_over_https_or_from_this_machine() {
        for (text, read) in [
            ("https://id.example.org/jwks", "https://id.example.org/jwks"),
            ("https://id.example.org", "https://id.example.org/"),
            ("HTTPS://ID.example.org:443/Jwks?a=B", "https://id.example.org/Jwks?a=B"),
            ("https://10.0.0.5:8443/jwks", "https://10.0.0.5:8443/jwks"),
            ("http://127.0.0.1:8080/jwks", "http://127.0.0.1:8080/jwks"),
            ("http://localhost/jwks", "http://localhost/jwks"),
            ("http://[::1]:80/jwks", "http://[::1]/jwks"),
        ] {
            assert_eq!(keys_url(text).ok().as_deref(), Some(read), "{text}");
        }
        for text in [
            "",
            "id.example.org/jwks",
            "ftp://id.example.org/jwks",
            "http://id.example.org/jwks",
            "http://localhost.evil.example/jwks",
            "http://127.0.0.1.nip.io/jwks",
            "http://10.0.0.5/jwks",
            "https://",
            "https:///jwks",
            "https://user:pass@id.example.org/jwks",
            "https://id.example.org?x",
            "https://id.example.org/jwks#x",
            "https://id.example.org:99999/jwks",
            "https://id.example.org/j wks",
            "https://id.example.org/\u{e9}",
        ] {
            assert!(keys_url(text).is_err(), "{text}");
        }
    }
}
