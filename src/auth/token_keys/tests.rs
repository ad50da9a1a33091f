//! What is taken from a JWK set, and what is not.

use super::*;

/// P-256, from RFC 7517 appendix A.1.
const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}"#;
/// Ed25519, from RFC 8037 appendix A.2.
const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"PS256","kid":"r"}"#;

fn set(keys: &[&str]) -> Vec<u8> {
    format!("{{\"keys\":[{}]}}", keys.join(",")).into_bytes()
}

#[test]
fn each_kind_of_key_is_pinned_to_its_algorithm_or_to_the_one_it_names() {
    let keys = TokenKey::of_jwk_set(&set(&[P256, ED25519, RSA])).unwrap();
    let pinned: Vec<_> = keys.iter().map(|key| (key.id.as_deref(), key.algorithm)).collect();
    let expected =
        [(Some("1"), Algorithm::ES256), (None, Algorithm::EdDSA), (Some("r"), Algorithm::PS256)];
    assert_eq!(pinned, expected);
    let usual = RSA.replace(r#","alg":"PS256""#, "");
    assert_eq!(TokenKey::of_jwk_set(&set(&[&usual])).unwrap()[0].algorithm, Algorithm::RS256);
}

#[test]
fn what_cannot_verify_is_left_out_and_said_if_nothing_is_left() {
    let shared = r#"{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0","kid":"s"}"#;
    let encrypts = P256.replace("\"sig\"", "\"enc\"");
    let odd = r#"{"kty":"XYZ","kid":"odd"}"#;
    let confused = RSA.replace("PS256", "HS256");
    let bad = [shared, &encrypts, odd, &confused];
    assert_eq!(TokenKey::of_jwk_set(&set(&[&bad[..], &[P256]].concat())).unwrap().len(), 1);
    for key in bad {
        let error = TokenKey::of_jwk_set(&set(&[key])).unwrap_err();
        assert!(matches!(error, KeysError::NoneUsable(_)), "{error}");
    }
    assert_eq!(
        TokenKey::of_jwk_set(&set(&[])).unwrap_err(),
        KeysError::NoneUsable("it is empty".to_owned())
    );
    for text in ["", "[]", "{\"keys\":1}", "<html>"] {
        let error = TokenKey::of_jwk_set(text.as_bytes()).unwrap_err();
        assert!(matches!(error, KeysError::NotASet(_)), "{text}");
    }
}

#[test]
fn no_more_keys_are_taken_than_may_be() {
    let many = vec![P256; TOKEN_KEYS_MAX + 1];
    assert_eq!(TokenKey::of_jwk_set(&set(&many)).unwrap().len(), TOKEN_KEYS_MAX);
}
