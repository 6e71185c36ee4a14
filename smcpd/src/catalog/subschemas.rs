//! Walks a JSON Schema: which of its parts are schemas themselves, and what of a value each is asked about.

use serde_json::{Map, Value};

/// What of the value a part of a schema is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The same value.
    Here,
    /// A property of it, by the name that stands in `properties`.
    Property,
    /// Some other part of it.
    Within,
    /// Nothing yet: somebody has to refer to it.
    Shelf,
}

/// A keyword whose value is one schema, a list of schemas, or an object of them.
const KEYWORDS: [(&str, Place, Holds); 30] = [
    ("allOf", Place::Here, Holds::List),
    ("anyOf", Place::Here, Holds::List),
    ("oneOf", Place::Here, Holds::List),
    ("not", Place::Here, Holds::One),
    ("if", Place::Here, Holds::One),
    ("then", Place::Here, Holds::One),
    ("else", Place::Here, Holds::One),
    ("dependentSchemas", Place::Here, Holds::Named),
    ("dependencies", Place::Here, Holds::Named),
    ("extends", Place::Here, Holds::Either),
    ("disallow", Place::Here, Holds::Either),
    ("type", Place::Here, Holds::List),
    ("properties", Place::Property, Holds::Named),
    ("patternProperties", Place::Within, Holds::Named),
    ("additionalProperties", Place::Within, Holds::One),
    ("unevaluatedProperties", Place::Within, Holds::One),
    ("propertyNames", Place::Within, Holds::One),
    ("items", Place::Within, Holds::Either),
    ("prefixItems", Place::Within, Holds::List),
    ("additionalItems", Place::Within, Holds::One),
    ("unevaluatedItems", Place::Within, Holds::One),
    ("contains", Place::Within, Holds::One),
    ("contentSchema", Place::Within, Holds::One),
    ("$defs", Place::Shelf, Holds::Named),
    ("definitions", Place::Shelf, Holds::Named),
    ("$ref", Place::Shelf, Holds::Nothing),
    ("const", Place::Shelf, Holds::Nothing),
    ("enum", Place::Shelf, Holds::Nothing),
    ("default", Place::Shelf, Holds::Nothing),
    ("examples", Place::Shelf, Holds::Nothing),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nothing,
    One,
    List,
    /// One, or a list of them.
    Either,
    Named,
}

/// A schema within a schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) place: Place,
    /// The name it stands under, where its keyword holds an object.
    pub(super) name: Option<&'a str>,
    pub(super) schema: &'a Value,
}

/// Returns the schemas that stand directly in `schema`.
pub(super) fn parts(schema: &Value) -> Vec<Part<'_>> {
    let Some(object) = schema.as_object() else { return Vec::new() };
    object.iter().flat_map(|(keyword, value)| held(keyword, value)).collect()
}

fn held<'a>(keyword: &str, value: &'a Value) -> Vec<Part<'a>> {
    let Some((_, place, holds)) = KEYWORDS.iter().find(|(known, _, _)| *known == keyword) else {
        return Vec::new();
    };
    let part = |name, schema: &'a Value| Part { place: *place, name, schema };
    let is_schema = |value: &Value| value.is_object() || value.is_boolean();
    let of_list = |items: &'a [Value]| {
        items.iter().filter(|item| is_schema(item)).map(|item| part(None, item)).collect()
    };
    let of_object = |named: &'a Map<String, Value>| {
        let named = named.iter().filter(|(_, schema)| is_schema(schema));
        named.map(|(name, schema)| part(Some(name.as_str()), schema)).collect()
    };
    match (holds, value) {
        (Holds::One | Holds::Either, schema) if is_schema(schema) => vec![part(None, schema)],
        (Holds::List | Holds::Either, Value::Array(items)) => of_list(items),
        (Holds::Named, Value::Object(named)) => of_object(named),
        _ => Vec::new(),
    }
}

/// Returns the schemas that are asked about the very value that `root` is asked about, it first; each once, and no
/// more than a schema can sensibly have.
pub(super) fn asked_of_one_value(root: &Value) -> Vec<&Value> {
    const MOST: usize = 1_000;
    let mut found: Vec<&Value> = vec![root];
    let mut next = 0;
    while let Some(schema) = found.get(next).copied().filter(|_| next < MOST) {
        next += 1;
        let beside: Vec<&Value> = beside(root, schema).collect();
        for other in beside {
            if !found.iter().any(|known| std::ptr::eq(*known, other)) {
                found.push(other);
            }
        }
    }
    found
}

/// The schemas that are asked about the same value as `schema` is, one step away.
pub(super) fn beside<'a>(root: &'a Value, schema: &'a Value) -> impl Iterator<Item = &'a Value> {
    let parts = parts(schema).into_iter().filter(|part| part.place == Place::Here).map(|part| part.schema);
    parts.chain(references(schema).filter_map(|reference| resolve(root, reference)))
}

/// What a schema refers to.
pub(super) fn references(schema: &Value) -> impl Iterator<Item = &str> {
    ["$ref", "$dynamicRef", "$recursiveRef"].into_iter().filter_map(|keyword| schema.get(keyword)?.as_str())
}

/// Returns the schema that a reference within the document names: `#`, `#/pointer` or `#anchor`.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.is_empty() {
        return Some(root);
    }
    if fragment.starts_with('/') {
        return root.pointer(&decoded(fragment)?);
    }
    let mut waiting = vec![root];
    while let Some(schema) = waiting.pop() {
        let is_it = |key: &str| schema.get(key).is_some_and(|anchor| anchor == fragment);
        if is_it("$anchor") || is_it("$dynamicAnchor") {
            return Some(schema);
        }
        waiting.extend(parts(schema).into_iter().map(|part| part.schema));
    }
    None
}

/// `%25` and its like, as a fragment of a URI may have them.
fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (code, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_schemas_and_never_values_or_names() {
        let schema = json!({
            "type": "object",
            "properties": {"$ref": {"type": "string"}, "const": true, "odd": 7},
            "items": [{"minimum": 1}],
            "allOf": [{"required": ["a"]}, 7],
            "if": {"const": {"$ref": "#/x"}},
            "default": {"properties": {"no": {}}},
            "enum": [{"allOf": []}],
            "$defs": {"x": {}},
            "unknown": {"properties": {}},
        });
        let found: Vec<(Place, Option<&str>)> =
            parts(&schema).iter().map(|part| (part.place, part.name)).collect();
        let expected = [
            (Place::Property, Some("$ref")),
            (Place::Property, Some("const")),
            (Place::Within, None),
            (Place::Here, None),
            (Place::Here, None),
            (Place::Shelf, Some("x")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn references_are_pointers_and_anchors_of_the_document() {
        let schema = json!({"$defs": {"a b": {"$anchor": "one", "type": "null"}, "c/d": {"type": "string"}}});
        let kind = |reference: &str| resolve(&schema, reference).map(|found| found["type"].clone());
        assert_eq!(kind("#/$defs/a%20b"), Some(json!("null")));
        assert_eq!(kind("#one"), Some(json!("null")));
        assert_eq!(kind("#/$defs/c~1d"), Some(json!("string")));
        assert_eq!(kind("#"), Some(Value::Null));
        for nothing in ["#two", "#/$defs/x", "#/%", "#/%zz", "other.json", ""] {
            assert_eq!(kind(nothing), None, "{nothing}");
        }
    }
}
