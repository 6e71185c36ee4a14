//! Writes what is known of a plugin as a contract: read back, it makes the same tools.
//!
//! Only what differs from the contract's defaults is written, so that a person can read it and mend it.

mod offers;

use serde_json::{Map, Value, json};

use super::model::{Command, Description, Parameter, Shape, TaskSupport, Type, Variable, Words};
use crate::config::WarmMode;

/// Returns contract 1.1, or 1.2 where the plugin offers what came with it.
pub(crate) fn contract(name: &str, description: &Description) -> Value {
    let mut plugin = Object::default();
    plugin.put("name", Some(name));
    plugin.put("title", description.title.as_deref());
    plugin.put("version", description.version.as_deref());
    plugin.put("description", description.description.as_deref());
    let variables: Vec<Value> = description.environment.iter().map(variable).collect();
    plugin.put("env", (!variables.is_empty()).then_some(variables));
    plugin.put("timeout", description.timeout);
    plugin.put("concurrency", description.concurrency);
    plugin.put("warm", description.warm.map(WarmMode::as_str));
    let preload = &description.preload;
    plugin.put("preload", (!preload.is_empty()).then(|| preload.clone()));
    plugin.0.extend(description.plugin_extra.clone());
    // A parser that was seen will be asked again, and says these better.
    let with_words = !description.parser_seen;
    let commands: Vec<Value> = description.commands.iter().map(|one| command(one, with_words)).collect();
    let mut contract = Object::default();
    let has_offers = !description.offers.is_empty() || !description.offers.completion.is_empty();
    let is_newer = has_offers || description.warm.is_some() || !description.preload.is_empty();
    contract.put("contract_version", Some(if is_newer { "1.2" } else { "1.1" }));
    contract.put("plugin", Some(plugin.0));
    contract.put("commands", Some(commands));
    offers::put(&mut contract, &description.offers);
    contract.0.extend(description.extra.clone());
    Value::Object(contract.0)
}

#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into());
        }
    }

    /// Writes a switch that is on; off is every switch's default.
    fn mark(&mut self, key: &str, on: bool) {
        self.put(key, on.then_some(true));
    }
}

fn variable(variable: &Variable) -> Value {
    let mut object = Object::default();
    object.put("name", Some(variable.name.as_str()));
    object.put("description", variable.description.as_deref());
    object.mark("required", variable.required);
    object.mark("secret", variable.secret);
    Value::Object(object.0)
}

fn command(command: &Command, with_words: bool) -> Value {
    let mut object = Object::default();
    object.put("name", Some(command.name.as_str()));
    let is_plain = command.path.len() == 1 && command.path[0] == command.name;
    object.put("argv_path", (!is_plain).then(|| command.path.clone()));
    object.put("title", command.title.as_deref());
    object.put("description", command.description.as_deref());
    object.put("tool_name", command.tool_name.as_deref());
    object.put("annotations", command.annotations.clone());
    let depth = command.path.len();
    let parameters: Vec<Value> =
        command.parameters.iter().map(|one| parameter(one, depth, with_words)).collect();
    object.put("parameters", (!parameters.is_empty()).then_some(parameters));
    let groups: Vec<Value> = command
        .exclusive
        .iter()
        .map(|group| json!({"required": group.required, "parameters": group.members}))
        .collect();
    object.put("exclusive_groups", (!groups.is_empty()).then_some(groups));
    object.mark("any_arguments", command.open);
    object.put("inputSchema", command.input_schema.clone());
    object.put("outputSchema", command.output_schema.clone());
    object.mark("stdin", command.stdin);
    object.mark("progress", command.progress);
    object.put("task", command.task.map(TaskSupport::as_str));
    object.put("timeout", command.timeout);
    object.put("concurrency", command.concurrency);
    object.0.extend(command.extra.clone());
    Value::Object(object.0)
}

fn parameter(parameter: &Parameter, depth: usize, with_words: bool) -> Value {
    let mut object = Object::default();
    object.put("name", Some(parameter.name.as_str()));
    object.put("type", Some(parameter.kind.as_str()));
    object.mark("any_type", parameter.any);
    let items = parameter.items.filter(|_| !parameter.keywords.contains_key("items"));
    object.put("items", items.map(Type::as_str));
    object.put("description", parameter.description.as_deref());
    object.mark("required", parameter.required);
    object.mark("secret", parameter.secret);
    object.put("default", parameter.default.clone());
    object.put("enum", parameter.choices.clone());
    object.0.extend(parameter.keywords.clone());
    shape(&mut object, parameter);
    match &parameter.flag {
        None => object.put("flag", Some(Value::Null)),
        Some(flag) if *flag != format!("--{}", parameter.name) => object.put("flag", Some(flag.as_str())),
        Some(_) => {}
    }
    match parameter.level {
        0 => object.mark("global", true),
        level if level < depth => object.put("argv_level", Some(level)),
        _ => {}
    }
    // They are about words that stand alone; a value that shares its word with its flag is safe from them.
    let stands_alone = parameter.flag.is_none() || matches!(parameter.shape, Shape::List | Shape::RepeatList);
    if with_words && stands_alone && parameter.words != Words::default() {
        let words = serde_json::to_value(&parameter.words).expect("words have string keys");
        object.put("argv_words", Some(words));
    }
    object.0.extend(parameter.extra.clone());
    Value::Object(object.0)
}

/// The words for how it goes on the command line.
fn shape(object: &mut Object, parameter: &Parameter) {
    let many = parameter.kind == Type::Array;
    match &parameter.shape {
        Shape::Option | Shape::Positional if many => object.put("arg_style", Some("json")),
        Shape::Option | Shape::Positional => {}
        Shape::SwitchOn => object.put("action", Some("store_true")),
        Shape::SwitchOff => object.put("action", Some("store_false")),
        Shape::OnOff { off } => {
            object.put("action", Some("boolean_optional"));
            object.put("off_flag", Some(off.as_str()));
        }
        Shape::Count => object.put("action", Some("count")),
        Shape::List | Shape::Positionals => object.put("nargs", Some(nargs(parameter))),
        Shape::Repeat => object.put("action", Some("append")),
        Shape::RepeatList => {
            object.put("action", Some("append"));
            object.put("nargs", Some("*"));
        }
        Shape::Remainder => object.put("nargs", Some("...")),
    }
}

fn nargs(parameter: &Parameter) -> Value {
    match (parameter.least, parameter.most) {
        (Some(_), Some(count)) => count.into(),
        (Some(_), None) => "+".into(),
        (None, _) => "*".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{contract, facts, parser_tree::Parser};

    fn read(value: &Value) -> Description {
        contract::parse(value).unwrap().unwrap()
    }

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let cases = [
            json!({"commands": []}),
            json!({"contract_version": "1", "generated": "by hand", "commands": [{"name": "a", "examples": [1],
                "progress": true, "parameters": [{"name": "key", "secret": true, "x-note": "kept"}]}],
                "plugin": {"title": "T", "version": 3, "homepage": "h", "timeout": 1.5, "concurrency": 2,
                    "warm": "fork", "preload": ["a.b"], "env": [{"name": "V", "secret": true}]}}),
            json!({"commands": [{"name": "a", "parameters": [
                {"name": "on", "type": "boolean", "action": "store_true"},
                {"name": "off", "type": "boolean", "action": "store_false", "global": true},
                {"name": "both", "type": "boolean", "action": "boolean_optional", "off_flag": "--not-both"},
                {"name": "value", "type": "boolean", "takes_value": true},
                {"name": "verbose", "type": "integer", "action": "count", "flag": "-v"},
                {"name": "list", "type": "array", "items": "integer", "nargs": "+"},
                {"name": "pair", "type": "array", "nargs": 2},
                {"name": "any", "type": "array", "items": {"type": "object", "required": ["a"]}, "nargs": "*"},
                {"name": "repeat", "type": "array", "action": "append", "enum": ["a"]},
                {"name": "lists", "type": "array", "action": "append", "nargs": "*",
                    "items": {"type": "array", "items": {"type": "number"}}},
                {"name": "json", "type": "array", "arg_style": "json"},
                {"name": "object", "type": "object", "properties": {"a": {"type": "string"}}},
                {"name": "number", "type": "number", "minimum": 1, "default": 2, "required": true},
                {"name": "first", "flag": null}, {"name": "more", "type": "array", "flag": null},
                {"name": "whole", "type": "array", "flag": null, "arg_style": "json"},
                {"name": "rest", "type": "array", "flag": null, "nargs": "..."}],
                "exclusive_groups": [{"required": true, "parameters": ["on", "off"]}]}]}),
            json!({"commands": [{"name": "a_b", "argv_path": ["a", "b"], "any_arguments": true, "parameters": [
                {"name": "x", "any_type": true, "argv_level": 1},
                {"name": "y", "flag": null, "argv_words": {"negative_numbers": true}}]},
                {"name": "s", "stdin": true, "tool_name": "t", "annotations": {"readOnlyHint": true},
                    "timeout": 0.5, "concurrency": 3, "outputSchema": {"type": "object"},
                    "inputSchema": {"type": "object", "additionalProperties": true,
                        "properties": {"k": {}, "l": {"type": "array"}}}}]}),
        ];
        let cases = cases.into_iter().chain([json!({
            "contract_version": "1.2", "commands": [], "completion": ["complete", "it"],
            "resources": [
                {"uri": "a://1", "name": "A", "title": "T", "description": "D", "mimeType": "text/plain",
                    "size": 2, "annotations": {"audience": ["user"], "priority": 0.5}, "text": "", "x": 1},
                {"uri": "a://2", "name": "B", "blob": "Zg=="},
                {"uri": "a://3", "name": "C", "file": "data/c.txt"},
                {"uri": "a://4", "name": "D", "command": "read"}],
            "resource_templates": [{"uriTemplate": "a://{id}/x", "name": "E", "command": ["read", "one"], "y": {}}],
            "prompts": [
                {"name": "P", "title": "T", "description": "D", "z": [], "arguments": [
                    {"name": "a", "title": "T", "description": "D", "required": true, "enum": ["x"], "x": 1},
                    {"name": "b"}],
                    "messages": [{"role": "user", "content": {"type": "text", "text": "{{a}}"}}]},
                {"name": "Q", "command": "ask"}]})]);
        for case in cases {
            let first = read(&case);
            assert_eq!(first, read(&contract("p", &first)), "{case}");
        }
    }

    #[test]
    fn what_a_parser_said_is_written_and_said_again() {
        let parser: Parser = serde_json::from_value(json!({"actions": [
            {"dest": "quiet", "flags": ["-q", "--quiet"], "kind": "store_true"},
            {"dest": "command", "kind": "subcommands", "nargs": "A...", "commands": [
                {"name": "db", "parser": {"actions": [
                    {"dest": "dsn", "flags": ["--dsn"]},
                    {"dest": "sub", "kind": "subcommands", "nargs": "A...", "commands": [
                        {"name": "mi-grate", "help": "Moves", "parser": {
                            "exclusive": [{"required": false, "members": [0, 1]}],
                            "actions": [
                                {"dest": "up", "flags": ["--up"], "kind": "store_true"},
                                {"dest": "cache", "flags": ["--no-cache"], "kind": "store_false"},
                                {"dest": "pair", "flags": ["--pair"], "kind": "append", "nargs": 2, "type": "integer"},
                                {"dest": "many", "flags": ["--many"], "nargs": "+", "choices": ["x", "y"]},
                                {"dest": "color", "flags": ["--color", "--no-color"], "kind": "boolean_optional"},
                                {"dest": "rest", "nargs": "..."}]}}]}]}}]}]}))
        .unwrap();
        let first =
            Description { parser_seen: true, commands: facts::commands(&parser), ..Description::default() };
        let mut second = read(&contract("p", &first));
        facts::enrich(&mut second, &parser);
        second.parser_seen = true;
        assert_eq!(first, second);
    }
}
