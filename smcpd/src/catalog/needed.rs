//! What a command still needs to know before it can answer: questions for the client, and where it stands.

use serde_json::{Map, Value};

/// Questions of one round.
const MOST: usize = 20;
/// Of a state, which travels through the client and comes back in a variable.
const LONGEST: usize = 64 << 10;

/// A command ended without an answer and wants to be run again with answers of the client's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Needed {
    /// By the command's own keys, in its order.
    pub(crate) questions: Vec<(String, Asked)>,
    /// The command's own; it gets it back as it is.
    pub(crate) state: Option<Value>,
}

/// One question: a request of MCP's to a client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// The methods that a client knows (2025-11-25, "client features"; 2026-07-28, multi round-trip requests).
pub(crate) const METHODS: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];

/// Reads a command's output that says `input_required`; `None` where it says something else, and an error where it
/// says so badly.
pub(crate) fn read(output: &Map<String, Value>) -> Option<Result<Needed, String>> {
    let questions = output.get("input_required")?;
    Some(needed(questions, output.get("state").filter(|state| !state.is_null()).cloned()))
}

/// What the command of a prompt still needs, by what it printed.
pub(crate) fn needed_by(stdout: &str) -> Result<Option<Needed>, String> {
    let printed = serde_json::from_str::<Map<String, Value>>(stdout).ok();
    printed.as_ref().and_then(read).transpose()
}

fn needed(questions: &Value, state: Option<Value>) -> Result<Needed, String> {
    let Some(questions) = questions.as_object() else {
        return Err("`input_required` must be an object: key to `{method, params}`".to_owned());
    };
    if questions.is_empty() || questions.len() > MOST {
        return Err(format!("`input_required` must hold 1 to {MOST} questions"));
    }
    if state.as_ref().is_some_and(|state| state.to_string().len() > LONGEST) {
        return Err(format!("`state` may have {LONGEST} bytes: keep the rest in the state directory"));
    }
    let mut read = Vec::new();
    for (key, question) in questions {
        let method = question["method"].as_str().unwrap_or_default();
        if !METHODS.contains(&method) {
            return Err(format!("`input_required.{key}.method` must be one of {}", METHODS.join(", ")));
        }
        let params = match &question["params"] {
            Value::Null => Value::Object(Map::new()),
            params @ Value::Object(_) => params.clone(),
            _ => return Err(format!("`input_required.{key}.params` must be an object")),
        };
        read.push((key.clone(), Asked { method: method.to_owned(), params }));
    }
    Ok(Needed { questions: read, state })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(output: &Value) -> Option<Result<Needed, String>> {
        read(output.as_object().unwrap())
    }

    #[test]
    fn questions_are_read_in_their_order() {
        let output = json!({
            "input_required": {"name": {"method": "elicitation/create", "params": {"message": "Who?"}},
                "a": {"method": "roots/list"}},
            "state": {"step": 1},
        });
        let needed = of(&output).unwrap().unwrap();
        assert_eq!(needed.state, Some(json!({"step": 1})));
        assert_eq!(needed.questions[0].0, "name");
        assert_eq!(needed.questions[1].1, Asked { method: "roots/list".to_owned(), params: json!({}) });
        assert_eq!(of(&json!({"other": 1})), None);
    }

    #[test]
    fn what_is_no_question_is_named() {
        for (output, reason) in [
            (json!({"input_required": true}), "must be an object"),
            (json!({"input_required": {}}), "1 to 20 questions"),
            (
                json!({"input_required": {"k": {}}}),
                "`input_required.k.method` must be one of elicitation/create",
            ),
            (json!({"input_required": {"k": {"method": "tools/call"}}}), "must be one of"),
            (
                json!({"input_required": {"k": {"method": "roots/list", "params": 7}}}),
                "`input_required.k.params`",
            ),
            (
                json!({"input_required": {"k": {"method": "roots/list"}}, "state": "x".repeat(70_000)}),
                "`state` may have 65536 bytes",
            ),
        ] {
            let error = of(&output).unwrap().unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
