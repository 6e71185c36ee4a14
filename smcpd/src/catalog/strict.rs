//! How the strict modes of clients grade a schema.
//!
//! Letta wants every property typed, arrays with `items`, `required` that names only known properties, and objects
//! closed; an optional property it makes nullable itself. OpenAI wants all of that, every property required, and no
//! keyword beyond its subset.

use serde_json::{Map, Value};

/// What keeps a schema from being strict, by who minds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Grade {
    pub(super) letta: Vec<String>,
    /// What OpenAI minds and Letta does not.
    pub(super) openai: Vec<String>,
}

/// Schemas nested deeper are OpenAI's limit, and no tool's arguments.
const DEEPEST: usize = 10;

/// What OpenAI's subset leaves out; `anyOf` and `$ref` are in it.
const REFUSED: [&str; 10] = [
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "unevaluatedProperties",
];

/// Grades the input schema of a tool.
pub(super) fn grade(schema: &Value) -> Grade {
    let mut grade = Grade::default();
    node(schema, "", 0, &mut grade);
    grade
}

impl Grade {
    pub(super) fn is_letta(&self) -> bool {
        self.letta.is_empty()
    }

    pub(super) fn is_openai(&self) -> bool {
        self.letta.is_empty() && self.openai.is_empty()
    }
}

fn node(schema: &Value, at: &str, depth: usize, grade: &mut Grade) {
    let shown = if at.is_empty() { "the tool".to_owned() } else { format!("`{at}`") };
    let Some(schema) = schema.as_object() else {
        return grade.letta.push(format!("{shown} has no schema"));
    };
    if depth > DEEPEST {
        return grade.openai.push(format!("{shown} is nested more than {DEEPEST} deep"));
    }
    for keyword in REFUSED.iter().filter(|keyword| schema.contains_key(**keyword)) {
        grade.openai.push(format!("{shown} uses `{keyword}`"));
    }
    let either = schema.get("anyOf").and_then(Value::as_array);
    for (index, one) in either.into_iter().flatten().enumerate() {
        node(one, &format!("{at}.anyOf[{index}]"), depth + 1, grade);
    }
    let types = types(schema);
    if types.is_empty() && either.is_none() && !schema.contains_key("$ref") {
        grade.letta.push(format!("{shown} has no type"));
    }
    if types.contains(&"array") {
        match schema.get("items") {
            Some(items) => node(items, &format!("{at}[]"), depth + 1, grade),
            None => grade.letta.push(format!("{shown} does not say what its items are")),
        }
    }
    if types.contains(&"object") {
        object(schema, at, &shown, depth, grade);
    }
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn object(schema: &Map<String, Value>, at: &str, shown: &str, depth: usize, grade: &mut Grade) {
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        grade.letta.push(match at.is_empty() {
            true => "the tool takes any arguments".to_owned(),
            false => format!("{shown} may have any keys"),
        });
    }
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for name in required.iter().filter(|name| !properties.contains_key(**name)) {
        grade.letta.push(format!("{shown} requires `{name}`, which it does not describe"));
    }
    let path = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let optional: Vec<String> = properties
        .keys()
        .filter(|name| !required.contains(&name.as_str()))
        .map(|name| format!("`{}`", path(name)))
        .collect();
    if !optional.is_empty() {
        grade.openai.push(format!("not required: {}", optional.join(", ")));
    }
    for (name, property) in properties {
        node(property, &path(name), depth + 1, grade);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_client_is_told_what_it_minds() {
        let closed = |properties: Value, required: Value| {
            json!({"type": "object", "properties": properties, "required": required,
                "additionalProperties": false})
        };
        let cases = [
            (closed(json!({}), json!([])), "[] []"),
            (closed(json!({"a": {"type": "string"}}), json!(["a"])), "[] []"),
            (closed(json!({"a": {"type": "string"}}), json!([])), r#"[] ["not required: `a`"]"#),
            (closed(json!({"a": {}}), json!(["a"])), r#"["`a` has no type"] []"#),
            (closed(json!({"a": {"enum": [1]}}), json!(["a"])), r#"["`a` has no type"] []"#),
            (closed(json!({"a": true}), json!(["a"])), r#"["`a` has no schema"] []"#),
            (
                closed(json!({"a": {"type": "array"}}), json!(["a"])),
                r#"["`a` does not say what its items are"] []"#,
            ),
            (
                closed(json!({"a": {"type": "array", "items": {"type": "object"}}}), json!(["a"])),
                r#"["`a[]` may have any keys"] []"#,
            ),
            (
                closed(
                    json!({"a": closed(json!({"b": {"type": ["string", "null"]}}), json!([]))}),
                    json!(["a"]),
                ),
                r#"[] ["not required: `a.b`"]"#,
            ),
            (closed(json!({}), json!(["b"])), r#"["the tool requires `b`, which it does not describe"] []"#),
            (
                closed(json!({"a": {"anyOf": [{"type": "string"}, {}]}}), json!(["a"])),
                r#"["`a.anyOf[1]` has no type"] []"#,
            ),
            (
                closed(json!({"a": {"type": "string", "oneOf": []}}), json!(["a"])),
                r#"[] ["`a` uses `oneOf`"]"#,
            ),
            (json!({"type": "object"}), r#"["the tool takes any arguments"] []"#),
            (json!(7), r#"["the tool has no schema"] []"#),
        ];
        for (schema, expected) in cases {
            let grade = grade(&schema);
            assert_eq!(format!("{:?} {:?}", grade.letta, grade.openai), expected, "{schema}");
            assert_eq!(grade.is_openai(), expected == "[] []");
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..100 {
            deep = json!({"type": "array", "items": deep});
        }
        assert_eq!(grade(&closed(json!({"a": deep}), json!(["a"]))).openai.len(), 1);
    }
}
