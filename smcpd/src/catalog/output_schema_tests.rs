use serde_json::json;

use super::*;

fn said(structured: Option<Value>) -> ToolOutput {
    ToolOutput {
        content: vec![json!({"type": "text", "text": "said"})],
        structured,
        error: None,
        needed: None,
    }
}

fn text(output: &ToolOutput) -> &str {
    output.content[0]["text"].as_str().unwrap()
}

/// `n` definitions of which each refers to the next as `link` makes it.
fn linked(n: usize, link: impl Fn(Value) -> Value) -> Value {
    let mut definitions = serde_json::Map::new();
    for index in 0..n {
        let next = json!({"$ref": format!("#/$defs/d{}", index + 1)});
        definitions.insert(format!("d{index}"), link(next));
    }
    definitions.insert(format!("d{n}"), json!({"type": "object"}));
    json!({"type": "object", "$ref": "#/$defs/d0", "$defs": definitions})
}

#[test]
fn a_broken_promise_names_the_place_and_the_reason() {
    let schema = json!({
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"$ref": "#item"}}, "count": {"type": "integer"}},
        "required": ["count"],
        "$defs": {"item": {"$anchor": "item", "properties": {"price": {"type": "number"}}}},
    });
    let schema = OutputSchema::compile(&schema).unwrap();
    let kept = said(Some(json!({"count": 1, "items": [{"price": 2.5}]})));
    assert_eq!(schema.checked(kept.clone()), kept);
    let cases = [
        (
            Some(json!({"count": 1, "items": [{"price": "2"}]})),
            "`/items/0/price`: \"2\" is not of type \"number\"",
        ),
        (Some(json!({})), "\"count\" is a required property"),
        (None, "it printed no JSON object"),
    ];
    for (structured, reason) in cases {
        let output = schema.checked(said(structured));
        assert_eq!(text(&output), format!("the plugin broke its own outputSchema: {reason}"));
        assert_eq!((output.error, output.content.len()), (Some(ErrorCode::PluginError), 2));
        assert_eq!(output.structured.unwrap()["error"]["code"], "plugin_error");
    }
    let long = schema.checked(said(Some(json!({"count": "x".repeat(10_000)}))));
    assert!(text(&long).len() < 400, "{}", text(&long));
}

#[test]
fn errors_promise_nothing_and_what_was_cut_keeps_nothing() {
    let schema = OutputSchema::compile(&json!({"type": "object", "required": ["a"]})).unwrap();
    let failed = ToolOutput::failed(ErrorCode::Timeout, "timed out");
    assert_eq!(schema.checked(failed.clone()), failed);
    let cut = said(Some(
        json!({"truncated": {"bytes": 7, "message": "7 bytes of the output were cut out of its middle"}}),
    ));
    assert_eq!(schema.checked(cut).error, Some(ErrorCode::OutputTooLarge));
    let own = said(Some(json!({"a": 1, "truncated": {"bytes": 7, "message": "x"}})));
    assert_eq!(schema.checked(own).error, None);
}

#[test]
fn schemas_that_cannot_be_relied_on_are_refused_with_the_reason() {
    let object = |more: Value| {
        let mut schema = json!({"type": "object"});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    let mut deep = json!({});
    for _ in 0..DEEPEST {
        deep = json!({"not": deep});
    }
    let many: serde_json::Map<String, Value> =
        (0..=MOST_PATTERNS).map(|n| (format!("p{n}"), json!({"pattern": "a"}))).collect();
    let cases = [
        (
            object(json!({"properties": {"a": {"$ref": "https://example.invalid/a.json"}}})),
            "nothing is fetched",
        ),
        (object(json!({"allOf": [{"$ref": "other.json#/x"}]})), "nothing is fetched"),
        (object(json!({"$dynamicRef": "file:///etc/passwd"})), "nothing is fetched"),
        (object(json!({"$ref": "#/$defs/none"})), "there is no such place"),
        (object(json!({"$schema": "https://example.invalid/schema"})), "https://example.invalid/schema"),
        (object(json!({"$defs": {"a": {"$id": "a.json"}}})), "below its root"),
        (object(json!({"properties": 7})), "`/properties`"),
        (object(json!({"required": "a"})), "`/required`"),
        (object(json!({"properties": {"a": {"type": "text"}}})), "`/properties/a/type`"),
        (object(json!({"pattern": "("})), "`/pattern`"),
        // These would need a matcher that goes back.
        (object(json!({"pattern": "(?=a)b"})), "`/pattern`"),
        (object(json!({"pattern": "(\\w{500}){500}"})), "`/pattern`"),
        (object(json!({"$ref": "#"})), "leads back to itself"),
        (
            object(json!({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}})),
            "itself",
        ),
        (linked(40, |next| json!({"allOf": [next, next]})), "too much of one value"),
        (linked(11, |next| json!({"allOf": [next, next]})), "too much of one value"),
        (linked(200, |next| next), "too much of one value"),
        (linked(300, |next| json!({"properties": {"a": next}})), "references: at most"),
        (object(json!({"properties": many})), "patterns: at most"),
        (object(json!({"description": "x".repeat(MOST_BYTES)})), "bytes: at most"),
        (deep, "nested deeper"),
    ];
    for (schema, expected) in cases {
        let reason = OutputSchema::compile(&schema).unwrap_err();
        assert!(reason.contains(expected), "{reason}: {}", shortened(&schema.to_string()));
    }
    for schema in [
        object(
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.invalid/me"}),
        ),
        object(
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"}),
        ),
        object(json!({"properties": {"children": {"items": {"$ref": "#"}}}})),
        object(
            json!({"const": {"$ref": "https://example.invalid/value"}, "properties": {"$ref": {"type": "string"}}}),
        ),
        linked(200, |next| json!({"properties": {"a": next}})),
    ] {
        assert!(OutputSchema::compile(&schema).is_ok(), "{}", shortened(&schema.to_string()));
    }
}

/// On a thread as small as the runtime's: neither the stack nor the clock may run out.
#[test]
fn values_that_would_take_for_ever_are_judged_all_the_same() {
    let judge = || {
        let tree = |leaf: Value, depth| (0..depth).fold(leaf, |value, _| json!({"next": value}));
        let twice = json!({
            "type": "object",
            "properties": {"next": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, "bad": false},
        });
        let twice = OutputSchema::compile(&twice).unwrap();
        let started = std::time::Instant::now();
        assert_eq!(twice.checked(said(Some(tree(json!({}), 60)))).error, None);
        let wrong = twice.checked(said(Some(tree(json!({"bad": 1}), 60))));
        assert!(text(&wrong).contains("too large to say where"), "{}", text(&wrong));
        let near = twice.checked(said(Some(tree(json!({"bad": 1}), 3))));
        assert!(text(&near).contains("`/next/next/next/bad`"), "{}", text(&near));
        let deep = twice.checked(said(Some(tree(json!({}), 70))));
        assert!(text(&deep).contains("nested deeper"), "{}", text(&deep));
        let links =
            (0..8).fold(json!({"properties": {"next": {"$ref": "#"}}}), |inner, _| json!({"allOf": [inner]}));
        let mut links = links;
        links["type"] = "object".into();
        links["unevaluatedProperties"] = false.into();
        let links = OutputSchema::compile(&links).unwrap();
        assert_eq!(links.checked(said(Some(tree(json!({}), 60)))).error, None);
        let pattern = json!({"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}});
        let pattern = OutputSchema::compile(&pattern).unwrap();
        let long = pattern.checked(said(Some(json!({"a": format!("{}b", "a".repeat(100_000))}))));
        assert!(text(&long).contains("`/a`"));
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(judge).unwrap().join().unwrap();
}
