//! What differs between a plugin and its pin, in words. Every text of the plugin's is escaped, line by line.

use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};
use smcp_control::{ContractDrift, FileDrift, Pin};

use crate::table::escape;

/// Lines that stay around those that changed.
const CONTEXT: usize = 1;

/// Returns some lines about one plugin.
pub(super) fn of(pin: &Pin) -> String {
    let mut lines = vec![format!("{}: {}", escape(&pin.plugin), standing(pin))];
    if let Some(pinned) = &pin.pinned {
        let by = pinned.uid.map_or_else(String::new, |uid| format!(" by uid {uid}"));
        let how = match pinned.how.as_str() {
            "accepted" => "accepted",
            _ => "pinned at first sight",
        };
        lines.push(format!("{how} {}{by}, smcpd {}", escape(&pinned.time), escape(&pinned.release)));
    }
    let Some(summary) = &pin.summary else { return lines.join("\n") + "\n" };
    if pin.token.is_none() || pin.pinned.is_none() {
        lines.push(escape(summary));
    }
    for (what, moved) in [("directory", &pin.directory), ("interpreter", &pin.interpreter)] {
        if let Some((from, to)) = moved {
            lines.push(format!("{what}: {} -> {}", escape(from), escape(to)));
        }
    }
    lines.extend(pin.files.iter().map(file));
    pin.contract.iter().for_each(|piece| lines.extend(piece_of(piece)));
    if !pin.described {
        lines.push(
            "what its tools are now is not known: its files are not run before they are accepted".to_owned(),
        );
    }
    if let Some(token) = &pin.token {
        let plugin = escape(&pin.plugin);
        lines.push(format!("approve this with `smcpctl pins accept {plugin} --token {}`", escape(token)));
    }
    lines.join("\n") + "\n"
}

fn standing(pin: &Pin) -> &'static str {
    match pin.state.as_str() {
        "same" => "it is what was approved",
        "drifted" => "it is not what was approved, and is served",
        "held" => "it is not what was approved, and what is new or changed is withheld",
        "blocked" => "it is not what was approved, and is withheld",
        "unpinned" => "it has no pin yet",
        _ => "there is nothing to compare",
    }
}

fn file(file: &FileDrift) -> String {
    let path = escape(&file.path);
    match (&file.mode, &file.target) {
        (Some((from, to)), _) => format!("file {path}: rights {} -> {}", escape(from), escape(to)),
        (_, Some((from, to))) => format!("link {path}: {} -> {}", escape(from), escape(to)),
        (None, None) => format!("file {path}: {}", escape(&file.change)),
    }
}

fn piece_of(piece: &ContractDrift) -> Vec<String> {
    let (kind, name) = (escape(&piece.kind), escape(&piece.name));
    let empty = Value::Object(Map::new());
    let before = piece.before.as_ref().unwrap_or(&empty);
    let after = piece.after.as_ref().unwrap_or(&empty);
    let what = match (&piece.before, &piece.after) {
        (None, _) => "is new",
        (_, None) => "is gone",
        (Some(_), Some(_)) => "changed",
    };
    let mut lines = vec![format!("{kind} {name} {what}")];
    if piece.after.is_none() {
        return lines;
    }
    for key in keys(before, after) {
        let (old, new) = (before.get(&key), after.get(&key));
        if old == new {
            continue;
        }
        match (key.as_str(), old, new) {
            ("inputSchema", _, Some(new)) if piece.kind == "tool" => {
                lines.extend(parameters(old.unwrap_or(&Value::Null), new));
            }
            ("annotations", _, _) => {
                let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
                lines.extend(keys(old, new).into_iter().filter(|hint| old.get(hint) != new.get(hint)).map(
                    |hint| {
                        format!("  {}: {} -> {}", escape(&hint), said(old.get(&hint)), said(new.get(&hint)))
                    },
                ));
            }
            (_, old, new) => {
                lines.push(format!("  {}:", escape(&key)));
                lines.extend(compared(&text(old), &text(new), "    "));
            }
        }
    }
    lines
}

/// The members of both, in the order of the new one.
fn keys(before: &Value, after: &Value) -> Vec<String> {
    let names = |value: &Value| -> Vec<String> {
        value.as_object().map(|members| members.keys().cloned().collect()).unwrap_or_default()
    };
    let mut keys = names(after);
    keys.extend(names(before).into_iter().filter(|name| after.get(name).is_none()));
    keys
}

/// Each parameter that is added, removed or changed, and what else of the schema is.
fn parameters(before: &Value, after: &Value) -> Vec<String> {
    let (old, new) = (&before["properties"], &after["properties"]);
    let is_required = |schema: &Value, name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name))
    };
    let mut lines = Vec::new();
    for name in keys(old, new) {
        let shown = escape(&name);
        match (old.get(&name), new.get(&name)) {
            (None, Some(schema)) => {
                let required = if is_required(after, &name) { ", required" } else { "" };
                lines.push(format!("  parameter {shown} is new{required}:"));
                lines.extend(compared("", &pretty(schema), "    "));
            }
            (Some(_), None) => lines.push(format!("  parameter {shown} is gone")),
            (Some(one), Some(other)) => {
                if is_required(before, &name) != is_required(after, &name) {
                    let now = if is_required(after, &name) { "required" } else { "optional" };
                    lines.push(format!("  parameter {shown} is now {now}"));
                }
                if one != other {
                    lines.push(format!("  parameter {shown} changed:"));
                    lines.extend(compared(&pretty(one), &pretty(other), "    "));
                }
            }
            (None, None) => {}
        }
    }
    let rest = |schema: &Value| {
        let mut schema = schema.clone();
        if let Some(members) = schema.as_object_mut() {
            members.retain(|name, _| !["properties", "required"].contains(&name.as_str()));
        }
        schema
    };
    let (old, new) = (rest(before), rest(after));
    if old != new && !before.is_null() {
        lines.push("  the schema beside its parameters changed:".to_owned());
        lines.extend(compared(&pretty(&old), &pretty(&new), "    "));
    }
    lines
}

fn said(value: Option<&Value>) -> String {
    value.map_or_else(|| "not said".to_owned(), |value| escape(&value.to_string()))
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => pretty(value),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// The lines that differ with a sign before them, and a line or two around.
fn compared(before: &str, after: &str, indent: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push(format!("{indent}..."));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let line = escape(change.value().trim_end_matches('\n'));
            lines.push(format!("{indent}{sign}{line}").trim_end().to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pin(contract: Vec<ContractDrift>) -> Pin {
        serde_json::from_value(json!({
            "plugin": "p", "policy": "hold", "state": "held", "token": "t", "summary": "s", "described": true,
            "pinned": {"time": "2026-11-22T00:00:00Z", "how": "first sight", "uid": 7, "release": "0.1.0"},
            "interpreter": ["/usr/bin/python3.11", "/usr/bin/python3.12"],
            "files": [{"path": "cli.py", "change": "changed"}, {"path": "x", "change": "mode", "mode": ["0644", "0755"]},
                {"path": "lib@", "change": "changed", "target": ["/a", "/b"]}],
            "contract": contract,
        }))
        .unwrap()
    }

    #[test]
    fn what_changed_is_said_in_words_and_no_text_of_the_plugins_is_obeyed() {
        let tool = |description: &str, schema: Value, hint: bool| json!({"description": description, "inputSchema": schema, "annotations": {"readOnlyHint": hint}});
        let before = tool(
            "Greets\nkindly",
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}),
            true,
        );
        let after = tool(
            "Greets\nand \u{1b}[2Jsends \u{e0041}keys",
            json!({"type": "object", "required": [], "properties": {"a": {"type": "number"}, "k": {"type": "string"}}}),
            false,
        );
        let contract = |kind: &str, name: &str, before: Option<Value>, after: Option<Value>| ContractDrift {
            kind: kind.to_owned(),
            name: name.to_owned(),
            before,
            after,
        };
        let shown = of(&pin(vec![
            contract("tool", "greet", Some(before.clone()), Some(after)),
            contract("tool", "gone", Some(before), None),
            contract("prompt", "new\u{1b}", None, Some(json!({"description": "Says"}))),
        ]));
        assert_eq!(
            shown,
            "p: it is not what was approved, and what is new or changed is withheld\n\
             pinned at first sight 2026-11-22T00:00:00Z by uid 7, smcpd 0.1.0\n\
             interpreter: /usr/bin/python3.11 -> /usr/bin/python3.12\n\
             file cli.py: changed\n\
             file x: rights 0644 -> 0755\n\
             link lib@: /a -> /b\n\
             tool greet changed\n  \
               description:\n     Greets\n    -kindly\n    +and \\u{1b}[2Jsends \\u{e0041}keys\n  \
               parameter a is now optional\n  \
               parameter a changed:\n     {\n    -  \"type\": \"string\"\n    +  \"type\": \"number\"\n     }\n  \
               parameter k is new:\n    +{\n    +  \"type\": \"string\"\n    +}\n  \
               parameter b is gone\n  \
               readOnlyHint: true -> false\n\
             tool gone is gone\n\
             prompt new\\u{1b} is new\n  \
               description:\n    +Says\n\
             approve this with `smcpctl pins accept p --token t`\n"
        );
    }

    #[test]
    fn what_was_not_run_is_said_not_to_be_known() {
        let mut blocked = pin(Vec::new());
        (blocked.state, blocked.described) = ("blocked".to_owned(), false);
        assert!(of(&blocked).contains("not known: its files are not run before they are accepted\n"));
        let broken = Pin { token: None, pinned: None, state: "unreadable".to_owned(), ..blocked };
        assert!(of(&broken).starts_with("p: there is nothing to compare\ns\n"), "{}", of(&broken));
    }
}
