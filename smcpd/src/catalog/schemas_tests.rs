//! What a contract's own schemas do, from the contract to the list and the call.

use std::sync::Arc;

use serde_json::{Value, json};

use super::tests::{argv, catalog, plugin};
use super::*;

/// `json_schema_2020_12_tool` of the official conformance suite.
fn everything_2020_12_has() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
            "region": {"type": "string", "x-mcp-header": "Region"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

/// What follows the command on its command line.
fn said(plugin: &Plugin, arguments: Value) -> Result<Vec<String>, String> {
    argv(plugin, arguments).map(|words| words[2..].to_vec())
}

#[test]
fn an_input_schema_is_listed_word_for_word_and_what_it_allows_is_taken() {
    let schema = everything_2020_12_has();
    let one = plugin("a", json!([{"name": "x", "inputSchema": schema}]));
    let catalog = catalog(&[Arc::clone(&one)], Separator::default());
    assert_eq!(catalog.tools().len(), 2, "{:?}", catalog.problems);
    for fields in Fields::ALL {
        let listed =
            serde_json::from_slice::<Value>(&catalog.listed(fields)).unwrap()["tools"][1]["inputSchema"]
                .take();
        assert_eq!(listed.to_string(), schema.to_string(), "even the order is the author's");
    }
    let headers: Vec<_> =
        catalog.tools()[1].header_parameters().unwrap().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(headers, ["Region"]);
    let arguments = json!({"name": "n", "address": {"city": "c"}, "contactMethod": "phone", "phone": "1"});
    let expected = ["--name=n", "--address={\"city\":\"c\"}", "--contactMethod=phone", "--phone=1"];
    assert_eq!(said(&one, arguments).unwrap(), expected);
    assert_eq!(said(&one, json!({"email": "e"})).unwrap(), ["--email=e"]);
    assert!(said(&one, json!({"stranger": 1})).unwrap_err().contains("no argument `stranger`"));
}

#[test]
fn arguments_that_a_schema_allows_in_any_of_its_ways_are_taken() {
    let cases = [
        (json!({"allOf": [{"properties": {"a": {"type": "integer"}}}]}), json!({"a": 7}), "--a=7"),
        (json!({"$ref": "#/$defs/d", "$defs": {"d": {"properties": {"a": {}}}}}), json!({"a": 7}), "--a=7"),
        (
            json!({"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "integer"}}}]}),
            json!({"a": 7}),
            "--a=7",
        ),
        (
            json!({"properties": {"a": {"type": "string"}}, "then": {"properties": {"b": {"type": "string"}}}}),
            json!({"b": "x"}),
            "--b=x",
        ),
        (
            json!({"properties": {"a": {"type": "array", "items": {"type": "integer"}, "enum": [[1, 2]]}}}),
            json!({"a": [1]}),
            "--a=1",
        ),
        (
            json!({"properties": {"a": {"type": ["integer", "null"]}}, "required": ["a"]}),
            json!({"a": null}),
            "",
        ),
        (
            json!({"properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/d"}}}, "$defs": {"d": {"type": "object"}}}),
            json!({"a": [{"b": 1}]}),
            "--a={\"b\":1}",
        ),
        (json!({"patternProperties": {"^x": {}}}), json!({"xy": 1}), "--xy=1"),
        (json!({"$ref": "#"}), json!({}), ""),
    ];
    for (schema, arguments, expected) in cases {
        let mut schema = schema;
        schema["type"] = "object".into();
        let one = plugin("a", json!([{"name": "x", "inputSchema": schema}]));
        let words = said(&one, arguments).unwrap_or_else(|error| panic!("{error}: {schema}"));
        assert_eq!(words.join(" "), expected, "{schema}");
    }
}

#[test]
fn a_promise_is_listed_where_it_can_be_kept_and_kept_to_where_it_is_listed() {
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let elsewhere = json!({"type": "object", "$ref": "https://example.invalid/schema.json"});
    let commands = json!([
        {"name": "good", "outputSchema": schema},
        {"name": "bad", "outputSchema": elsewhere},
        {"name": "none"},
        {"name": "header", "parameters": [{"name": "p", "type": "object", "x-mcp-header": "P"}]},
    ]);
    let plugin = plugin("a", commands);
    let catalog = catalog(&[Arc::clone(&plugin)], Separator::default());
    let listed = |fields| {
        let tools = serde_json::from_slice::<Value>(&catalog.listed(fields)).unwrap();
        let all = tools["tools"].as_array().unwrap().iter().map(|tool| tool.get("outputSchema").cloned());
        all.collect::<Vec<_>>()
    };
    assert_eq!(listed(Fields::Titled), [None, Some(schema), None, None]);
    for fields in [Fields::Plain, Fields::Annotated] {
        assert_eq!(listed(fields), [None, None, None, None]);
    }
    let problems: Vec<(&str, bool)> =
        catalog.problems.iter().map(|problem| (problem.tool.as_str(), problem.left_out)).collect();
    assert_eq!(problems, [("a.bad", false), ("a.header", true)]);
    assert!(catalog.problems[0].message.contains("nothing is fetched"), "{:?}", catalog.problems);
    assert!(
        catalog.problems[1].message.contains("`p`: `x-mcp-header` needs the type"),
        "{:?}",
        catalog.problems
    );
    let output = || ToolOutput {
        content: vec![json!({})],
        structured: Some(json!({"n": "x"})),
        error: None,
        needed: None,
    };
    let errors = [0, 1, 2].map(|command| plugin.checked(command, output()).error);
    assert_eq!(errors, [Some(ErrorCode::PluginError), None, None]);
}
