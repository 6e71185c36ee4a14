//! What the command of a resource, of a prompt or of completion printed, as MCP's result: decided on text alone.

use serde_json::{Map, Value, json};

use super::base64::is_base64;
use super::contract::offers::is_message;
use super::output::from_outcome;
use crate::executor::{End, Outcome};

/// Values of one completion (2025-11-25, completion).
const MOST_VALUES: usize = 100;

/// Returns stdout; the error is what to say of a program that failed, as for a tool.
pub(crate) fn stdout(outcome: Outcome) -> Result<String, String> {
    match (outcome.end, outcome.stdout.cut()) {
        (End::Exited(0), 0) => Ok(outcome.stdout.into_text()),
        (End::Exited(0), _) => {
            Err(format!("it printed {} bytes: `output_limit` is less", outcome.stdout.total()))
        }
        _ => Err(from_outcome(outcome).first_text().to_owned()),
    }
}

/// Reads what the command of a resource printed, as the result of `resources/read`.
pub(crate) fn resource(stdout: &str, uri: &str, mime_type: Option<&str>) -> Result<Value, String> {
    let printed = serde_json::from_str::<Map<String, Value>>(stdout).ok();
    let object = match &printed {
        Some(object) if object.contains_key("contents") => {
            let contents = object["contents"].as_array().ok_or("expected `contents` to be a list")?;
            let each = contents.iter().enumerate().map(|(index, one)| {
                let one = one.as_object().ok_or_else(|| "expected an object".to_owned());
                one.and_then(|one| content(one, uri, None))
                    .map_err(|reason| format!("contents[{index}]: {reason}"))
            });
            return Ok(json!({"contents": each.collect::<Result<Vec<Value>, String>>()?}));
        }
        // Any other object is a text that happens to be JSON.
        Some(object) if object.contains_key("text") || object.contains_key("blob") => {
            let known = ["uri", "text", "blob", "mimeType", "_meta"];
            Some(object).filter(|object| object.keys().all(|key| known.contains(&key.as_str())))
        }
        Some(_) | None => None,
    };
    let content = match object {
        Some(object) => content(object, uri, mime_type)?,
        None => here(uri, mime_type, "text", stdout.trim_end()),
    };
    Ok(json!({"contents": [content]}))
}

/// The contents of one resource, as `resources/read` has them.
pub(crate) fn here(uri: &str, mime_type: Option<&str>, key: &str, value: &str) -> Value {
    let mut contents = json!({"uri": uri});
    if let Some(mime_type) = mime_type {
        contents["mimeType"] = mime_type.into();
    }
    contents[key] = value.into();
    contents
}

fn content(object: &Map<String, Value>, uri: &str, mime_type: Option<&str>) -> Result<Value, String> {
    for key in ["uri", "mimeType"] {
        if object.get(key).is_some_and(|value| !value.is_string()) {
            return Err(format!("expected `{key}` to be a string"));
        }
    }
    match (object.get("text"), object.get("blob")) {
        (Some(Value::String(_)), None) => {}
        (None, Some(Value::String(blob))) if is_base64(blob) => {}
        (Some(_), None) => return Err("expected `text` to be a string".to_owned()),
        (None, Some(_)) => return Err("expected `blob` to be base64".to_owned()),
        (Some(_), Some(_)) | (None, None) => return Err("expected `text` or `blob`".to_owned()),
    }
    let mut content = here(uri, mime_type, "uri", uri);
    content.as_object_mut().expect("it is an object").extend(object.clone());
    Ok(content)
}

/// Reads what the command of a prompt printed, as the result of `prompts/get`.
pub(crate) fn prompt(stdout: &str) -> Result<Value, String> {
    let object = match serde_json::from_str::<Value>(stdout) {
        Ok(Value::Object(object)) => object,
        Ok(Value::Array(_)) => return Err("expected `{\"messages\": […]}` or text, not a list".to_owned()),
        Ok(Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null) | Err(_) => {
            let content = json!({"type": "text", "text": stdout.trim()});
            return Ok(json!({"messages": [{"role": "user", "content": content}]}));
        }
    };
    let Some(Value::Array(messages)) = object.get("messages") else {
        return Err("expected `messages`, a list".to_owned());
    };
    for (index, message) in messages.iter().enumerate() {
        is_message(message).map_err(|(field, reason)| format!("messages[{index}]{field}: {reason}"))?;
    }
    match object.get("description") {
        None | Some(Value::Null) => Ok(json!({"messages": messages})),
        Some(Value::String(description)) => Ok(json!({"description": description, "messages": messages})),
        Some(_) => Err("expected `description` to be a string".to_owned()),
    }
}

/// Reads what a completion command printed, as the `completion` of `completion/complete`.
pub(crate) fn completion(stdout: &str) -> Result<Value, String> {
    const EXPECTED: &str = "expected a JSON list of strings, or `{\"values\": […]}`";
    let printed: Value = serde_json::from_str(stdout).map_err(|_| EXPECTED)?;
    let (values, total, more) = match &printed {
        Value::Array(values) => (values, None, None),
        Value::Object(object) => {
            let values = object.get("values").and_then(Value::as_array).ok_or(EXPECTED)?;
            (
                values,
                object.get("total").and_then(Value::as_u64),
                object.get("hasMore").and_then(Value::as_bool),
            )
        }
        _ => return Err(EXPECTED.to_owned()),
    };
    let values: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    Ok(completed(&values.ok_or(EXPECTED)?, total, more))
}

/// The first of `values`, and how many there are.
pub(crate) fn completed(values: &[&str], total: Option<u64>, more: Option<bool>) -> Value {
    let shown = &values[..values.len().min(MOST_VALUES)];
    let known = total.unwrap_or(0).max(values.len() as u64);
    let more = more.unwrap_or(false) || known > shown.len() as u64;
    let mut completion = json!({"values": shown});
    // Who only says that there are more does not know how many.
    if !more || known > shown.len() as u64 {
        completion["total"] = known.into();
    }
    completion["hasMore"] = more.into();
    completion
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resources_command_may_print_contents_or_one_of_them_or_text() {
        let one = |content: Value| Ok(json!({"contents": [content]}));
        let cases = [
            ("plain\n", one(json!({"uri": "a://1", "mimeType": "t/p", "text": "plain"}))),
            ("", one(json!({"uri": "a://1", "mimeType": "t/p", "text": ""}))),
            ("{\"id\": 1}\n", one(json!({"uri": "a://1", "mimeType": "t/p", "text": "{\"id\": 1}"}))),
            (r#"{"text": "x"}"#, one(json!({"uri": "a://1", "mimeType": "t/p", "text": "x"}))),
            (
                r#"{"blob": "Zg==", "mimeType": "i/p"}"#,
                one(json!({"uri": "a://1", "mimeType": "i/p", "blob": "Zg=="})),
            ),
            (
                r#"{"text": "x", "more": 1}"#,
                one(json!({"uri": "a://1", "mimeType": "t/p", "text": "{\"text\": \"x\", \"more\": 1}"})),
            ),
            (
                r#"{"contents": [{"uri": "a://2", "text": "x"}, {"text": "y"}]}"#,
                Ok(json!({"contents": [{"uri": "a://2", "text": "x"}, {"uri": "a://1", "text": "y"}]})),
            ),
            (r#"{"contents": 1}"#, Err("expected `contents` to be a list")),
            (r#"{"contents": [1]}"#, Err("contents[0]: expected an object")),
            (r#"{"contents": [{"uri": 1, "text": ""}]}"#, Err("contents[0]: expected `uri` to be a string")),
            (r#"{"contents": [{"uri": "a://1"}]}"#, Err("contents[0]: expected `text` or `blob`")),
            (r#"{"text": 1}"#, Err("expected `text` to be a string")),
            (r#"{"blob": "?"}"#, Err("expected `blob` to be base64")),
        ];
        for (stdout, expected) in cases {
            assert_eq!(resource(stdout, "a://1", Some("t/p")), expected.map_err(str::to_owned), "{stdout}");
        }
    }

    #[test]
    fn a_prompts_command_may_print_messages_or_text() {
        let message = |text: &str| json!({"role": "user", "content": {"type": "text", "text": text}});
        let cases = [
            ("do it\n".to_owned(), Ok(json!({"messages": [message("do it")]}))),
            ("7".to_owned(), Ok(json!({"messages": [message("7")]}))),
            (json!({"messages": [message("a")]}).to_string(), Ok(json!({"messages": [message("a")]}))),
            (
                json!({"messages": [], "description": "d", "other": 1}).to_string(),
                Ok(json!({"description": "d", "messages": []})),
            ),
            ("{}".to_owned(), Err("expected `messages`, a list")),
            ("[]".to_owned(), Err("expected `{\"messages\": […]}` or text, not a list")),
            (
                json!({"messages": [], "description": 1}).to_string(),
                Err("expected `description` to be a string"),
            ),
            (
                json!({"messages": [{"role": "tool"}]}).to_string(),
                Err("messages[0].role: must be `user` or `assistant`"),
            ),
        ];
        for (stdout, expected) in cases {
            assert_eq!(prompt(&stdout), expected.map_err(str::to_owned), "{stdout}");
        }
    }

    #[test]
    fn a_completion_is_a_list_of_at_most_a_hundred_strings() {
        let cases = [
            (r#"["a", "b"]"#, Some(json!({"values": ["a", "b"], "total": 2, "hasMore": false}))),
            ("[]", Some(json!({"values": [], "total": 0, "hasMore": false}))),
            (
                r#"{"values": ["a"], "total": 7, "hasMore": true}"#,
                Some(json!({"values": ["a"], "total": 7, "hasMore": true})),
            ),
            (r#"{"values": ["a"], "total": 7}"#, Some(json!({"values": ["a"], "total": 7, "hasMore": true}))),
            (r#"{"values": ["a"], "hasMore": true}"#, Some(json!({"values": ["a"], "hasMore": true}))),
            ("a b", None),
            ("{}", None),
            ("[1]", None),
        ];
        for (stdout, expected) in cases {
            assert_eq!(completion(stdout).ok(), expected, "{stdout}");
        }
        let many = serde_json::to_string(&vec!["x"; 150]).unwrap();
        let many = completion(&many).unwrap();
        assert_eq!(many["values"].as_array().unwrap().len(), 100);
        assert_eq!((&many["total"], &many["hasMore"]), (&json!(150), &json!(true)));
    }
}
