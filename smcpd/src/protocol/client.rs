//! What a client said of itself: once when it opened its session, or with each request (2026-07-28).

use serde_json::{Map, Value};

use super::logging::Level;
use super::revision::Revision;

/// A client as far as it matters for its requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Client {
    /// `capabilities` of `initialize`, or `io.modelcontextprotocol/clientCapabilities`.
    pub(crate) capabilities: Map<String, Value>,
    /// The least severe messages that it asked for; without one it gets none.
    pub(crate) level: Option<Level>,
}

/// What a command may ask of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Elicitation,
    Sampling,
    Roots,
}

impl Question {
    pub(crate) fn of_method(method: &str) -> Option<Self> {
        match method {
            "elicitation/create" => Some(Self::Elicitation),
            "sampling/createMessage" => Some(Self::Sampling),
            "roots/list" => Some(Self::Roots),
            _ => None,
        }
    }

    /// The member of a client's capabilities that it needs.
    pub(crate) fn capability(self) -> &'static str {
        match self {
            Self::Elicitation => "elicitation",
            Self::Sampling => "sampling",
            Self::Roots => "roots",
        }
    }

    /// Returns whether a client's answer has the shape that this question wants (2025-11-25 and 2026-07-28, schema).
    pub(crate) fn is_answered_by(self, answer: &Value) -> bool {
        match self {
            Self::Elicitation => match answer["action"].as_str() {
                Some("accept") => answer.get("content").is_none_or(Value::is_object),
                Some("decline" | "cancel") => true,
                _ => false,
            },
            Self::Sampling => answer["role"].is_string() && answer.get("content").is_some(),
            Self::Roots => answer["roots"].is_array(),
        }
    }
}

impl Client {
    pub(crate) fn can(&self, question: Question) -> bool {
        self.capabilities.get(question.capability()).is_some_and(Value::is_object)
    }

    /// Returns whether a question can be asked as it is: one that leads to a page is another capability.
    pub(crate) fn can_take(&self, question: Question, params: &Value) -> bool {
        let is_page = question == Question::Elicitation && params["mode"] == "url";
        self.can(question) && (!is_page || self.capabilities["elicitation"]["url"].is_object())
    }

    /// Returns whether it declared an extension.
    pub(crate) fn has_extension(&self, name: &str) -> bool {
        self.capabilities.get("extensions").and_then(|all| all.get(name)).is_some_and(Value::is_object)
    }

    /// As plugins see it.
    pub(crate) fn capabilities_json(&self) -> String {
        serde_json::to_string(&self.capabilities).expect("an object has string keys")
    }
}

/// Leaves out what a revision cannot ask for, whatever is declared: forms came with 2025-06-18, pages with 2025-11-25.
pub(crate) fn known(mut capabilities: Map<String, Value>, revision: Revision) -> Map<String, Value> {
    if revision < Revision::V2025_06_18 {
        capabilities.remove("elicitation");
    } else if revision < Revision::V2025_11_25
        && let Some(Value::Object(elicitation)) = capabilities.get_mut("elicitation")
    {
        elicitation.remove("url");
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_client_can_what_it_declared() {
        let capabilities = json!({"sampling": {}, "elicitation": null, "extensions": {"a/b": {}, "c/d": 1}});
        let client = Client { capabilities: capabilities.as_object().unwrap().clone(), level: None };
        assert!(client.can(Question::Sampling));
        assert!(!client.can(Question::Elicitation) && !client.can(Question::Roots));
        assert!(client.has_extension("a/b") && !client.has_extension("c/d") && !client.has_extension("x"));
        assert!(!Client::default().has_extension("a/b"));
    }

    #[test]
    fn nothing_is_asked_that_the_revision_does_not_have() {
        let declared = json!({"elicitation": {"form": {}, "url": {}}, "roots": {}});
        let form = json!({"elicitation": {"form": {}}, "roots": {}});
        for (revision, expected) in [
            (Revision::V2024_11_05, json!({"roots": {}})),
            (Revision::V2025_03_26, json!({"roots": {}})),
            (Revision::V2025_06_18, form),
            (Revision::V2025_11_25, declared.clone()),
        ] {
            let found = known(declared.as_object().unwrap().clone(), revision);
            assert_eq!(Value::Object(found), expected, "{revision:?}");
        }
    }

    #[test]
    fn an_answer_has_the_shape_of_its_question() {
        for (method, answer, fits) in [
            ("elicitation/create", json!({"action": "accept", "content": {"a": 1}}), true),
            ("elicitation/create", json!({"action": "decline"}), true),
            ("elicitation/create", json!({"action": "accept", "content": 7}), false),
            ("elicitation/create", json!({"action": "perhaps"}), false),
            ("elicitation/create", json!(12345), false),
            (
                "sampling/createMessage",
                json!({"role": "assistant", "content": {"type": "text", "text": ""}}),
                true,
            ),
            ("sampling/createMessage", json!({"content": {}}), false),
            ("roots/list", json!({"roots": []}), true),
            ("roots/list", json!({}), false),
        ] {
            let question = Question::of_method(method).unwrap();
            assert_eq!(question.is_answered_by(&answer), fits, "{method} {answer}");
        }
        assert_eq!(Question::of_method("tools/call"), None);
    }
}
