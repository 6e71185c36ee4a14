//! A prompt with a client's arguments: checks them, and fills them in.

use serde_json::{Map, Value};

use super::model::offers::Prompt;
use super::nearest;

/// The arguments that were given, in the order of the prompt's own.
pub(crate) type Given<'a> = Vec<(&'a str, String)>;

impl Prompt {
    /// Checks what a client gave; the error names the argument.
    pub(crate) fn check(&self, given: &Map<String, Value>) -> Result<Given<'_>, String> {
        let names = || self.arguments.iter().map(|argument| argument.name.clone());
        if let Some(stranger) = given.keys().find(|key| !names().any(|name| name == **key)) {
            let near = nearest(stranger, names()).map(|near| format!("; did you mean `{near}`?"));
            let short: String = stranger.chars().take(80).collect();
            return Err(format!("there is no argument `{short}`{}", near.unwrap_or_default()));
        }
        let mut checked = Vec::new();
        for argument in &self.arguments {
            let name = argument.name.as_str();
            match (given.get(name), &argument.choices) {
                (None | Some(Value::Null), _) if argument.required => {
                    return Err(format!("`{name}` is required"));
                }
                (None | Some(Value::Null), _) => {}
                (Some(Value::String(value)), Some(choices)) if !choices.contains(value) => {
                    return Err(format!("`{name}` must be one of {}", choices.join(", ")));
                }
                (Some(Value::String(value)), _) => checked.push((name, value.clone())),
                (Some(_), _) => return Err(format!("`{name}` must be a string")),
            }
        }
        Ok(checked)
    }

    /// Puts the arguments in place of `{{name}}`; one that was not given leaves nothing there.
    pub(crate) fn fill(&self, messages: &[Value], given: &Given<'_>) -> Vec<Value> {
        messages.iter().map(|message| self.filled(message, given)).collect()
    }

    fn filled(&self, value: &Value, given: &Given<'_>) -> Value {
        match value {
            Value::String(text) => Value::String(self.filled_text(text, given)),
            Value::Array(items) => items.iter().map(|item| self.filled(item, given)).collect(),
            Value::Object(object) => {
                let filled = object.iter().map(|(key, value)| (key.clone(), self.filled(value, given)));
                Value::Object(filled.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// In one pass: what an argument says is never read for further names.
    fn filled_text(&self, text: &str, given: &Given<'_>) -> String {
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, after)) = rest.split_once("{{") {
            filled.push_str(before);
            let name = after
                .split_once("}}")
                .filter(|(name, _)| self.arguments.iter().any(|argument| argument.name == *name));
            rest = match name {
                Some((name, after)) => {
                    let value = given.iter().find(|(other, _)| *other == name);
                    filled.push_str(value.map_or("", |(_, value)| value));
                    after
                }
                None => {
                    filled.push('{');
                    &rest[before.len() + 1..]
                }
            };
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::contract;

    fn prompt() -> Prompt {
        let contract = json!({"commands": [], "prompts": [{"name": "p", "command": "p", "arguments": [
            {"name": "topic", "required": true}, {"name": "tone", "enum": ["dry", "warm"]}]}]});
        contract::parse(&contract).unwrap().unwrap().offers.prompts.remove(0)
    }

    #[test]
    fn arguments_are_checked_and_the_error_names_one() {
        let cases = [
            (json!({"topic": "a"}), Ok(vec![("topic", "a".to_owned())])),
            (
                json!({"tone": "dry", "topic": "a"}),
                Ok(vec![("topic", "a".to_owned()), ("tone", "dry".to_owned())]),
            ),
            (json!({"topic": "", "tone": null}), Ok(vec![("topic", String::new())])),
            (json!({}), Err("`topic` is required")),
            (json!({"topic": null}), Err("`topic` is required")),
            (json!({"topic": 1}), Err("`topic` must be a string")),
            (json!({"topic": "a", "tone": "loud"}), Err("`tone` must be one of dry, warm")),
            (json!({"topics": "a"}), Err("there is no argument `topics`; did you mean `topic`?")),
            (json!({"other": "a"}), Err("there is no argument `other`")),
        ];
        for (given, expected) in cases {
            let checked = prompt();
            let checked = checked.check(given.as_object().unwrap());
            assert_eq!(checked, expected.map_err(str::to_owned), "{given}");
        }
    }

    #[test]
    fn arguments_are_filled_in_once_and_only_where_they_are_named() {
        let given = vec![("topic", "{{tone}} {{topic}}".to_owned())];
        let cases = [
            ("about {{topic}}.", "about {{tone}} {{topic}}."),
            ("{{tone}}{{topic}}", "{{tone}} {{topic}}"),
            ("{{other}} {{topic", "{{other}} {{topic"),
            ("{{{topic}}}", "{{{tone}} {{topic}}}"),
            ("{ {{ }}", "{ {{ }}"),
        ];
        for (text, expected) in cases {
            let filled = prompt().fill(&[json!({"a": [text, 1]})], &given);
            assert_eq!(filled, [json!({"a": [expected, 1]})], "{text}");
        }
    }
}
