//! What of a plugin reaches a model, in pieces that can be compared and withheld one by one.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::model::Description;
use crate::catalog::schema;
use crate::hexadecimal;

/// Each piece by its kind and name, such as `tool greet`.
pub(crate) type Pieces = BTreeMap<String, Value>;

pub(super) fn key(kind: &str, name: &str) -> String {
    format!("{kind} {name}")
}

/// Returns what a list says of each tool, prompt, resource and template.
pub(crate) fn pieces(plugin: &str, description: &Description) -> Pieces {
    let mut pieces = Pieces::new();
    for command in &description.commands {
        let mut said = Map::new();
        let mut say = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                said.insert(name.to_owned(), value);
            }
        };
        say("name", command.tool_name.clone().map(Value::from));
        say("title", command.title.clone().map(Value::from));
        say("description", command.description.clone().map(Value::from));
        say("inputSchema", Some(schema::of(command)));
        say("outputSchema", command.output_schema.clone());
        say("annotations", command.annotations.as_ref().and_then(|hints| serde_json::to_value(hints).ok()));
        pieces.insert(key("tool", &command.name), Value::Object(said));
    }
    let offers = &description.offers;
    let value = |value: serde_json::Result<Value>| value.unwrap_or_default();
    for prompt in &offers.prompts {
        pieces.insert(key("prompt", &prompt.name), value(serde_json::to_value(prompt)));
    }
    for resource in &offers.resources {
        pieces.insert(key("resource", &resource.uri), value(serde_json::to_value(resource)));
    }
    for template in &offers.templates {
        pieces.insert(key("template", template.uri.as_str()), value(serde_json::to_value(template)));
    }
    let about = json!({"title": description.title, "description": description.description});
    pieces.insert(key("plugin", plugin), about);
    pieces
}

/// Returns the digest of a contract, in hexadecimal.
pub(crate) fn digest_of(pieces: &Pieces) -> String {
    let text = serde_json::to_vec(pieces).expect("pieces have string keys");
    hexadecimal::write(&Sha256::digest(text))
}
