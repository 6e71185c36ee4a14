//! Reads an agent as Letta's API has it: its id and its variables.
//!
//! `GET /v1/agents/ID` has them as a list `secrets` of `{key, value}`; older servers have only the same list under its
//! older name, `tool_exec_environment_variables`. No reason that is given here repeats a part of the answer but names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::{Variables, names};

/// A program that gets more than this does not start: Linux takes 128 KiB for one variable, and 2 MiB for all with the
/// command line.
const LONGEST: usize = 64 << 10;
const LONGEST_ALL: usize = 512 << 10;
const MOST: usize = 256;
/// Names in one warning.
const NAMED: usize = 20;

/// What an agent has, and what of it is not passed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) variables: Variables,
    pub(super) refused: Vec<Refused>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    key: String,
    why: Why,
}

/// Why a variable is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Reserved,
    NoName,
    NoText,
    Nul,
    TooLong,
    TooMany,
    Twice,
    OfAnother,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reserved => "reserved",
            Self::NoName => "no name of a variable",
            Self::NoText => "not a text",
            Self::Nul => "holds a NUL character",
            Self::TooLong => "too long",
            Self::TooMany => "too many",
            Self::Twice => "there twice",
            Self::OfAnother => "of another agent",
        })
    }
}

/// Names what is refused, in one line.
pub(super) fn said(refused: &[Refused]) -> String {
    let one = |refused: &Refused| {
        let key: String = refused.key.chars().take(64).flat_map(char::escape_default).collect();
        format!("`{key}` ({})", refused.why)
    };
    let mut named: Vec<String> = refused.iter().take(NAMED).map(one).collect();
    if refused.len() > NAMED {
        named.push(format!("and {} more", refused.len() - NAMED));
    }
    named.join(", ")
}

#[derive(Deserialize)]
struct Agent {
    id: String,
    secrets: Option<Vec<Entry>>,
    tool_exec_environment_variables: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    key: String,
    #[serde(default)]
    value: Value,
    agent_id: Option<String>,
}

/// Reads the answer of a server that was asked for `agent`; the error is the reason to show.
pub(super) fn read(body: &[u8], agent: &str) -> Result<Answer, String> {
    // The parser's own words may repeat what it could not take.
    let found: Agent = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => {
            format!("it answered with something else than an agent (at column {})", error.column())
        }
        Category::Syntax | Category::Eof | Category::Io => {
            "it answered with something that is no JSON".to_owned()
        }
    })?;
    if found.id != agent {
        return Err("it answered with another agent".to_owned());
    }
    let entries = match (found.secrets, found.tool_exec_environment_variables) {
        (None, None) => return Err("it answered with an agent without a list of variables".to_owned()),
        (Some(secrets), older) if secrets.is_empty() => older.unwrap_or_default(),
        (Some(secrets), _) => secrets,
        (None, Some(older)) => older,
    };
    Ok(sift(entries, agent))
}

fn sift(entries: Vec<Entry>, agent: &str) -> Answer {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<String> = entries
        .iter()
        .filter(|entry| !seen.insert(entry.key.as_str()))
        .map(|entry| entry.key.clone())
        .collect();
    let (mut taken, mut refused, mut length) = (BTreeMap::new(), Vec::new(), 0);
    for Entry { key, value, agent_id } in entries {
        let size = key.len() + value.as_str().map_or(0, str::len);
        let why = match &value {
            _ if twice.contains(&key) => Some(Why::Twice),
            _ if !names::is_name(&key) => Some(Why::NoName),
            _ if names::is_reserved(&key) => Some(Why::Reserved),
            _ if agent_id.is_some_and(|owner| owner != agent) => Some(Why::OfAnother),
            Value::String(text) if text.contains('\0') => Some(Why::Nul),
            Value::String(_) if size > LONGEST => Some(Why::TooLong),
            Value::String(_) if taken.len() >= MOST || length + size > LONGEST_ALL => Some(Why::TooMany),
            Value::String(_) => None,
            _ => Some(Why::NoText),
        };
        match (why, value) {
            (None, Value::String(text)) => {
                length += size;
                taken.insert(key, text);
            }
            (why, _) => {
                let known = refused.iter().any(|known: &Refused| known.key == key);
                if !known {
                    refused.push(Refused { key, why: why.unwrap_or(Why::NoText) });
                }
            }
        }
    }
    Answer { variables: taken.into_iter().collect(), refused }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(body: &Value) -> Result<Answer, String> {
        read(body.to_string().as_bytes(), "agent-1")
    }

    fn pairs(answer: &Answer) -> Vec<String> {
        answer.variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn servers_old_and_new_are_read() {
        let list = json!([{"key": "B", "value": "2", "agent_id": "agent-1", "value_enc": "gAAA"}, {"key": "A", "value": ""}]);
        let other = json!([{"key": "C", "value": "3"}]);
        for (fields, expected) in [
            (json!({"secrets": list}), vec!["A=", "B=2"]),
            (json!({"tool_exec_environment_variables": list}), vec!["A=", "B=2"]),
            (json!({"secrets": list, "tool_exec_environment_variables": other}), vec!["A=", "B=2"]),
            (json!({"secrets": [], "tool_exec_environment_variables": other}), vec!["C=3"]),
            (json!({"secrets": null, "tool_exec_environment_variables": other}), vec!["C=3"]),
            (json!({"secrets": []}), vec![]),
            (json!({"secrets": [], "tool_exec_environment_variables": null}), vec![]),
        ] {
            let mut agent = json!({"id": "agent-1", "name": "x", "tools": [], "blocks": []});
            agent.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let answer = of(&agent).unwrap();
            assert_eq!(
                (pairs(&answer), answer.refused.len()),
                (expected.into_iter().map(str::to_owned).collect(), 0),
                "{fields}"
            );
        }
    }

    #[test]
    fn what_is_no_agent_is_refused_without_a_word_of_it() {
        for (body, reason) in [
            ("", "no JSON"),
            ("hush", "no JSON"),
            ("{\"id\": \"agent-1\", \"secrets\": [{\"key\": \"hush", "no JSON"),
            ("\"hush\"", "something else than an agent"),
            ("[]", "something else than an agent"),
            ("{}", "something else than an agent"),
            ("{\"detail\": \"hush\"}", "something else than an agent"),
            ("{\"id\": 7, \"secrets\": []}", "something else than an agent"),
            ("{\"id\": \"agent-1\"}", "without a list"),
            ("{\"id\": \"agent-1\", \"secrets\": null}", "without a list"),
            ("{\"id\": \"agent-1\", \"secrets\": \"hush\"}", "something else than an agent"),
            ("{\"id\": \"agent-1\", \"secrets\": {\"A\": \"hush\"}}", "something else than an agent"),
            ("{\"id\": \"agent-1\", \"secrets\": [\"hush\"]}", "something else than an agent"),
            ("{\"id\": \"agent-1\", \"secrets\": [{\"value\": \"hush\"}]}", "something else than an agent"),
            (
                "{\"id\": \"agent-1\", \"secrets\": [{\"key\": 7, \"value\": \"hush\"}]}",
                "something else than an agent",
            ),
            ("{\"id\": \"agent-1\", \"secrets\": [], \"secrets\": []}", "something else than an agent"),
            ("{\"id\": \"agent-2\", \"secrets\": []}", "another agent"),
        ] {
            let refused = read(body.as_bytes(), "agent-1").unwrap_err();
            assert!(refused.contains(reason) && !refused.contains("hush"), "{body}: {refused}");
        }
        assert!(read(b"\xff\xfe", "agent-1").is_err());
    }

    #[test]
    fn what_no_plugin_may_get_is_named_and_the_rest_is_passed_on() {
        let answer = of(&json!({"id": "agent-1", "secrets": [
            {"key": "OK", "value": "hush"},
            {"key": "LD_PRELOAD", "value": "hush"},
            {"key": "PATH", "value": "hush"},
            {"key": "not a name", "value": "hush"},
            {"key": "", "value": "hush"},
            {"key": "NUMBER", "value": 7},
            {"key": "NULL", "value": null},
            {"key": "MISSING"},
            {"key": "NUL", "value": "hu\u{0}sh"},
            {"key": "LONG", "value": "h".repeat(LONGEST)},
            {"key": "TWICE", "value": "hush"},
            {"key": "TWICE", "value": "hush"},
            {"key": "THEIRS", "value": "hush", "agent_id": "agent-2"},
        ]}))
        .unwrap();
        assert_eq!(pairs(&answer), ["OK=hush"]);
        assert_eq!(
            said(&answer.refused),
            "`LD_PRELOAD` (reserved), `PATH` (reserved), `not a name` (no name of a variable), \
             `` (no name of a variable), `NUMBER` (not a text), `NULL` (not a text), `MISSING` (not a text), \
             `NUL` (holds a NUL character), `LONG` (too long), `TWICE` (there twice), `THEIRS` (of another agent)"
        );
        assert!(!format!("{answer:?}").contains("hush"));
    }

    #[test]
    fn no_more_is_taken_than_a_program_can_be_started_with() {
        let many: Vec<Value> = (0..300).map(|at| json!({"key": format!("K{at:03}"), "value": "v"})).collect();
        let answer = of(&json!({"id": "agent-1", "secrets": many})).unwrap();
        assert_eq!((answer.variables.iter().count(), answer.refused.len()), (MOST, 300 - MOST));
        assert!(said(&answer.refused).ends_with(", and 24 more"));
        let long = "v".repeat(60 << 10);
        let large: Vec<Value> =
            (0..20).map(|at| json!({"key": format!("K{at:03}"), "value": long})).collect();
        let answer = of(&json!({"id": "agent-1", "secrets": large})).unwrap();
        assert_eq!((answer.variables.iter().count(), answer.refused.len()), (8, 12));
        let odd =
            of(&json!({"id": "agent-1", "secrets": [{"key": "\u{1b}[2J\nx".repeat(99), "value": "v"}]}))
                .unwrap();
        let said = said(&odd.refused);
        assert!(said.len() < 700 && said.chars().all(|letter| !letter.is_control()), "{said}");
    }
}
