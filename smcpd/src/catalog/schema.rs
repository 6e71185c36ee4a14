//! Builds the input schema of a tool: strict and typed, so that strict modes of clients accept it.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::model::{Command, Parameter, Shape, Type};

/// Returns the JSON Schema of a command's arguments.
pub(crate) fn of(command: &Command) -> Value {
    serde_json::to_value(Input(command)).expect("a schema has string keys")
}

/// The JSON Schema of a command's arguments, made as it is written.
#[derive(Debug)]
pub(crate) struct Input<'a>(pub(crate) &'a Command);

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let command = self.0;
        if let Some(schema) = &command.input_schema {
            return schema.serialize(serializer);
        }
        let mut schema = serializer.serialize_map(Some(4))?;
        schema.serialize_entry("type", "object")?;
        schema.serialize_entry("properties", &properties(command))?;
        schema.serialize_entry("required", &required(command))?;
        schema.serialize_entry("additionalProperties", &command.open)?;
        schema.end()
    }
}

fn properties(command: &Command) -> Map<String, Value> {
    let properties = command.parameters.iter();
    properties.map(|parameter| (parameter.name.clone(), property(command, parameter))).collect()
}

fn required(command: &Command) -> Vec<&str> {
    let required = command.parameters.iter().filter(|parameter| parameter.required);
    required.map(|parameter| parameter.name.as_str()).collect()
}

fn property(command: &Command, parameter: &Parameter) -> Value {
    let mut property = Map::new();
    property.insert("type".to_owned(), parameter.kind.as_str().into());
    if let Some(description) = description(command, parameter) {
        property.insert("description".to_owned(), description.into());
    }
    if let Some(choices) = &parameter.choices {
        let choices = Value::Array(choices.clone());
        match parameter.kind {
            Type::Array => {
                property.insert("items".to_owned(), json!({"type": item(parameter), "enum": choices}));
            }
            _ => {
                property.insert("enum".to_owned(), choices);
            }
        }
    }
    match parameter.kind {
        Type::Array => {
            property.entry("items").or_insert_with(|| json!({"type": item(parameter)}));
            for (keyword, bound) in [("minItems", parameter.least), ("maxItems", parameter.most)] {
                if let Some(bound) = bound {
                    property.insert(keyword.to_owned(), bound.into());
                }
            }
        }
        // A closed object without properties could only ever be `{}`.
        Type::Object if !parameter.keywords.contains_key("properties") => {
            property.insert("additionalProperties".to_owned(), true.into());
        }
        _ => {}
    }
    // That of a secret may be the secret itself.
    if let Some(default) = parameter.default.as_ref().filter(|_| !parameter.secret) {
        property.insert("default".to_owned(), default.clone());
    }
    property.extend(parameter.keywords.clone());
    Value::Object(property)
}

fn item(parameter: &Parameter) -> &'static str {
    match parameter.shape {
        Shape::RepeatList => Type::Array.as_str(),
        _ => parameter.items.unwrap_or_default().as_str(),
    }
}

/// Strict schemas cannot say "not together with": words can.
fn description(command: &Command, parameter: &Parameter) -> Option<String> {
    let mut text = parameter.description.clone().unwrap_or_default();
    for group in &command.exclusive {
        if !group.members.contains(&parameter.name) {
            continue;
        }
        let others: Vec<String> = group
            .members
            .iter()
            .filter(|member| **member != parameter.name)
            .map(|member| format!("`{member}`"))
            .collect();
        if others.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        let verb = if group.required { "Give either this or" } else { "Not together with" };
        text.push_str(&format!("({verb} {}.)", others.join(", ")));
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::model::Exclusive;

    fn parameter(name: &str, kind: Type) -> Parameter {
        Parameter { name: name.to_owned(), kind, ..Parameter::default() }
    }

    fn schema(parameters: Vec<Parameter>) -> Value {
        of(&Command { parameters, ..Command::default() })["properties"].take()
    }

    #[test]
    fn the_default_of_a_secret_is_not_told() {
        let default = Some(json!("hunter2"));
        let secret = Parameter { default: default.clone(), secret: true, ..parameter("pin", Type::String) };
        let plain = Parameter { default, ..parameter("name", Type::String) };
        let properties = schema(vec![secret, plain]);
        assert_eq!(
            (properties["pin"].get("default"), &properties["name"]["default"]),
            (None, &json!("hunter2"))
        );
    }

    #[test]
    fn a_schema_is_closed_and_lists_what_is_required() {
        let mut one = parameter("one", Type::String);
        one.required = true;
        let command = Command { parameters: vec![one, parameter("two", Type::Number)], ..Command::default() };
        assert_eq!(
            of(&command),
            json!({
                "type": "object",
                "properties": {"one": {"type": "string"}, "two": {"type": "number"}},
                "required": ["one"],
                "additionalProperties": false,
            })
        );
        assert_eq!(of(&Command { open: true, ..Command::default() })["additionalProperties"], json!(true));
    }

    #[test]
    fn arrays_have_items_and_only_a_bare_object_is_open() {
        let mut integers = parameter("a", Type::Array);
        integers.items = Some(Type::Integer);
        (integers.least, integers.most) = (Some(2), Some(2));
        let mut chosen = parameter("b", Type::Array);
        chosen.choices = Some(vec!["x".into()]);
        let mut closed = parameter("d", Type::Object);
        closed.keywords.insert("properties".to_owned(), json!({"k": {"type": "string"}}));
        closed.keywords.insert("additionalProperties".to_owned(), json!(false));
        assert_eq!(
            schema(vec![integers, chosen, parameter("c", Type::Object), closed]),
            json!({
                "a": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
                "b": {"type": "array", "items": {"type": "string", "enum": ["x"]}},
                "c": {"type": "object", "additionalProperties": true},
                "d": {"type": "object", "properties": {"k": {"type": "string"}}, "additionalProperties": false},
            })
        );
    }

    #[test]
    fn an_exclusive_group_is_said_in_words() {
        let members = vec!["a".to_owned(), "b".to_owned()];
        let command = Command {
            parameters: vec![parameter("a", Type::String), parameter("b", Type::String)],
            exclusive: vec![Exclusive { required: false, members }],
            ..Command::default()
        };
        assert_eq!(of(&command)["properties"]["a"]["description"], json!("(Not together with `b`.)"));
    }
}
