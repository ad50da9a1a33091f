//! JSON with one spelling: an object is an object, and a word is a text.
//!
//! Derived readers also take a list for an object (`["bob"]` for `{"user":"bob"}`) and an object for a
//! word (`{"busy":null}` for `"busy"`). Nobody writes that but who looks for two readers that disagree.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A struct that was written as an object.
#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// An enum without content that was written as a text.
#[derive(Clone, Copy, Default)]
pub(super) struct Word<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Text<T> {
            type Value = Word<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(Word)
            }
        }

        deserializer.deserialize_str(Text(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct To {
        user: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Status {
        Busy,
    }

    fn object(json: &str) -> Result<To, String> {
        serde_json::from_str::<Object<To>>(json).map(|to| to.0).map_err(|why| why.to_string())
    }

    fn word(json: &str) -> Result<Status, String> {
        serde_json::from_str::<Word<Status>>(json).map(|word| word.0).map_err(|why| why.to_string())
    }

    #[test]
    fn a_list_is_no_object() {
        assert_eq!(object(r#"{"user":"bob","else":[1]}"#), Ok(To { user: "bob".into() }));
        for bad in [r#"["bob"]"#, "null", r#""bob""#, r#"{"user":"bob","user":"eve"}"#, "{}"] {
            assert!(object(bad).is_err(), "{bad}");
        }
        assert!(object("{}").is_err_and(|why| why.starts_with("missing field `user`")));
    }

    #[test]
    fn an_object_is_no_word() {
        assert_eq!(word(r#""busy""#), Ok(Status::Busy));
        assert_eq!(word(r#""b\u0075sy""#), Ok(Status::Busy));
        for bad in [r#"{"busy":null}"#, r#"["busy"]"#, "0", "null"] {
            assert!(word(bad).is_err(), "{bad}");
        }
        assert!(word(r#""gone""#).is_err_and(|why| why.contains("`gone`, expected `busy`")));
    }
}
