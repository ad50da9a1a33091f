//! `turnbell.v1.schema.json`, held against every frame that a test sends or gets.
//!
//! Here it is closed: what it does not name is refused, so that no field stays unwritten. As it is
//! published it is open, as both sides ignore what they do not know.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

const TEXT: &str = include_str!("../../src/web/client/turnbell.v1.schema.json");

/// As it is published.
pub(crate) static OPEN: LazyLock<Schema> =
    LazyLock::new(|| Schema::new(serde_json::from_str(TEXT).unwrap()));

/// Without room for what it does not name.
pub(crate) static CLOSED: LazyLock<Schema> = LazyLock::new(|| {
    let mut root = serde_json::from_str(TEXT).unwrap();
    close(&mut root);
    Schema::new(root)
});

/// Its definitions, each to be held against a value.
pub(crate) struct Schema {
    pub(crate) root: Value,
    validator_by_name: HashMap<String, OnceLock<Validator>>,
}

impl Schema {
    fn new(root: Value) -> Self {
        let names = root["$defs"].as_object().unwrap().keys();
        // Frames and replies; the rest stands in them.
        let whole =
            names.filter(|name| name.contains('.') || ["client", "server"].contains(&&***name));
        let validator_by_name = whole.map(|name| (name.clone(), OnceLock::new())).collect();
        Self { root, validator_by_name }
    }

    /// Made when it is asked for: that takes a while.
    fn validator(&self, name: &str) -> Option<&Validator> {
        let place = self.validator_by_name.get(name)?;
        Some(place.get_or_init(|| {
            let part = json!({"$schema": self.root["$schema"], "$ref": format!("#/$defs/{name}"),
                "$defs": self.root["$defs"]});
            jsonschema::draft202012::new(&part).unwrap()
        }))
    }

    /// Names of definitions that begin so, without that beginning.
    pub(crate) fn names(&self, start: &str) -> Vec<&str> {
        let all = self.root["$defs"].as_object().unwrap().keys();
        all.filter_map(|name| name.strip_prefix(start)).collect()
    }

    /// Whether `value` is a `name`.
    pub(crate) fn holds(&self, name: &str, value: &Value) -> bool {
        self.validator(name).unwrap().is_valid(value)
    }

    /// What is wrong with a frame of a `side`; empty if nothing is.
    pub(crate) fn faults(&self, side: &str, frame: &Value) -> Vec<String> {
        if self.holds(side, frame) {
            return Vec::new();
        }
        // "None of 20" helps nobody: the one of its type says what it misses.
        let of_its_type = format!("{side}.{}", frame["t"].as_str().unwrap_or_default());
        let validator = self.validator(&of_its_type);
        let said = |validator: &Validator| {
            validator
                .iter_errors(frame)
                .map(|why| format!("{}: {why}", why.instance_path()))
                .collect()
        };
        validator.map_or_else(|| vec![format!("no frame of the {side}")], said)
    }
}

/// Makes what every connection needs. To be called before one is opened: a hello must come within 5 s.
pub(crate) fn prepare() {
    for side in ["client", "server"] {
        CLOSED.validator(side);
    }
}

/// What was asked on one connection, so that answers can be held against it.
#[derive(Default)]
pub(crate) struct Conversation {
    type_by_id: HashMap<String, String>,
}

impl Conversation {
    /// A frame goes out.
    #[track_caller]
    pub(crate) fn says(&mut self, frame: &Value) {
        let faults = CLOSED.faults("client", frame);
        assert!(faults.is_empty(), "against the schema: {frame}\n{faults:#?}");
        if let (Some(id), Some(t)) = (frame["id"].as_str(), frame["t"].as_str()) {
            self.type_by_id.insert(id.to_owned(), t.to_owned());
        }
    }

    /// A frame has come.
    #[track_caller]
    pub(crate) fn hears(&self, frame: &Value) {
        let faults = CLOSED.faults("server", frame);
        assert!(faults.is_empty(), "against the schema: {frame}\n{faults:#?}");
        // One that was sent as raw text is unknown here.
        if frame["t"] == "ok"
            && let Some(t) = frame["re"].as_str().and_then(|id| self.type_by_id.get(id))
        {
            let reply = format!("reply.{t}");
            assert!(CLOSED.holds(&reply, &frame["d"]), "no {reply}: {frame}");
        }
    }
}

/// Forbids what is not named, in every object with a type. (Those without one are conditions.)
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if is_object(fields) {
                fields.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_object(schema: &Map<String, Value>) -> bool {
    let has_type = schema.get("type").is_some_and(|of| {
        *of == "object" || of.as_array().is_some_and(|all| all.contains(&"object".into()))
    });
    has_type && schema.get("properties").is_some_and(Value::is_object)
}
