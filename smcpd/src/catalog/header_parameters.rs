//! `x-mcp-header`: which arguments a client repeats in a header (2026-07-28, "custom headers from tool parameters").

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::subschemas::{Place, parts};

/// The keyword in the schema of a property.
const KEYWORD: &str = "x-mcp-header";

/// An argument whose value also comes in a header, `Mcp-Param-` and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderParameter {
    /// The names of the properties that lead to it.
    pub(crate) path: Vec<String>,
    /// What stands behind `Mcp-Param-`.
    pub(crate) name: String,
}

impl HeaderParameter {
    /// Returns its value in the arguments of a call; `null` means absent.
    pub(crate) fn value_in<'a>(&self, arguments: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.path.split_first()?;
        let value = rest.iter().try_fold(arguments.get(first)?, |value, name| value.get(name))?;
        (!value.is_null()).then_some(value)
    }
}

/// Returns the arguments of `schema` that come in headers too; the error says which is wrong and why.
pub(crate) fn header_parameters(schema: &Value) -> Result<Vec<HeaderParameter>, String> {
    let mut found = Vec::new();
    if schema.get(KEYWORD).is_some() {
        return Err(format!("`{KEYWORD}` stands at the root of the schema: it belongs to a property"));
    }
    collect(schema, &mut Vec::new(), true, &mut found)?;
    let mut taken = HashSet::new();
    let twice = found.iter().find(|one| !taken.insert(one.name.to_ascii_lowercase()));
    match twice {
        Some(one) => Err(format!(
            "`{}`: `{KEYWORD}` names `{}`, as another parameter does",
            one.path.join("."),
            one.name
        )),
        None => Ok(found),
    }
}

/// `reached` is whether properties alone lead here: only then does a call say where the value is.
fn collect(
    schema: &Value,
    path: &mut Vec<String>,
    reached: bool,
    found: &mut Vec<HeaderParameter>,
) -> Result<(), String> {
    for part in parts(schema) {
        let reached = reached && part.place == Place::Property;
        path.extend(part.name.map(str::to_owned));
        if let Some(name) = part.schema.get(KEYWORD) {
            let name = checked(part.schema, name, reached)
                .map_err(|reason| format!("`{}`: `{KEYWORD}` {reason}", path.join(".")))?;
            found.push(HeaderParameter { path: path.clone(), name: name.to_owned() });
        }
        collect(part.schema, path, reached, found)?;
        if part.name.is_some() {
            path.pop();
        }
    }
    Ok(())
}

fn checked<'a>(property: &Value, name: &'a Value, reached: bool) -> Result<&'a str, String> {
    let Some(name) = name.as_str() else { return Err("must be a string".to_owned()) };
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if !name.bytes().all(is_token) {
        return Err(format!("is `{}`: a header's name has no such letter", name.escape_debug()));
    }
    if !reached {
        return Err(
            "must stand where `properties` alone lead, not in a list, a choice or a definition".to_owned()
        );
    }
    // The specification leaves `number` out; its conformance suite and the SDKs have it.
    match property["type"].as_str() {
        Some("string" | "number" | "integer" | "boolean") => Ok(name),
        _ => Err("needs the type string, number, integer or boolean".to_owned()),
    }
}

/// A `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_header_is_named_once_by_a_token_on_a_plain_property() {
        let one = |property: Value| json!({"type": "object", "properties": {"p": property}});
        let cases = [
            (one(json!({"type": "string", "x-mcp-header": "Region"})), Ok(vec!["p=Region"])),
            (
                one(json!({"type": "integer", "x-mcp-header": "a!#$%&'*+-.^_`|~9"})),
                Ok(vec!["p=a!#$%&'*+-.^_`|~9"]),
            ),
            (one(json!({"type": "boolean", "x-mcp-header": "B"})), Ok(vec!["p=B"])),
            (one(json!({"type": "number", "x-mcp-header": "N"})), Ok(vec!["p=N"])),
            (one(json!({"type": "string"})), Ok(vec![])),
            (one(json!({"properties": {"x-mcp-header": {"type": "array"}}})), Ok(vec![])),
            (
                one(json!({"type": "object", "properties": {"q": {"type": "string", "x-mcp-header": "Q"}}})),
                Ok(vec!["p.q=Q"]),
            ),
            (one(json!({"type": "string", "x-mcp-header": ""})), Err("must not be empty")),
            (one(json!({"type": "string", "x-mcp-header": 7})), Err("must be a string")),
            (one(json!({"type": "string", "x-mcp-header": null})), Err("must be a string")),
            (one(json!({"type": "string", "x-mcp-header": "My Region"})), Err("no such letter")),
            (one(json!({"type": "string", "x-mcp-header": "A:B"})), Err("no such letter")),
            (one(json!({"type": "string", "x-mcp-header": "A\r\nB"})), Err("no such letter")),
            (one(json!({"type": "string", "x-mcp-header": "Größe"})), Err("no such letter")),
            (one(json!({"type": "array", "x-mcp-header": "A"})), Err("needs the type")),
            (one(json!({"type": "object", "x-mcp-header": "A"})), Err("needs the type")),
            (one(json!({"type": ["string", "null"], "x-mcp-header": "A"})), Err("needs the type")),
            (one(json!({"x-mcp-header": "A"})), Err("needs the type")),
            (
                one(json!({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}})),
                Err("where `properties` alone lead"),
            ),
            (
                json!({"$defs": {"d": {"type": "string", "x-mcp-header": "A"}}}),
                Err("where `properties` alone lead"),
            ),
            (
                json!({"allOf": [{"properties": {"p": {"type": "string", "x-mcp-header": "A"}}}]}),
                Err("where `properties` alone lead"),
            ),
            (json!({"x-mcp-header": "A"}), Err("at the root")),
            (
                json!({"properties": {"p": {"type": "string", "x-mcp-header": "Zone"}, "q": {"type": "string", "x-mcp-header": "zONE"}}}),
                Err("as another parameter does"),
            ),
        ];
        for (schema, expected) in cases {
            let found = header_parameters(&schema).map(|found| {
                found.iter().map(|one| format!("{}={}", one.path.join("."), one.name)).collect::<Vec<_>>()
            });
            match expected {
                Ok(expected) => {
                    assert_eq!(found, Ok(expected.into_iter().map(str::to_owned).collect()), "{schema}");
                }
                Err(expected) => assert!(
                    found.clone().is_err_and(|reason| reason.contains(expected)),
                    "{found:?} {schema}"
                ),
            }
        }
    }

    #[test]
    fn its_value_is_found_in_the_arguments() {
        let parameter = HeaderParameter { path: vec!["a".to_owned(), "b".to_owned()], name: "B".to_owned() };
        let value = |arguments: Value| parameter.value_in(arguments.as_object().unwrap()).cloned();
        assert_eq!(value(json!({"a": {"b": 7}})), Some(json!(7)));
        for nothing in [json!({}), json!({"a": 1}), json!({"a": {}}), json!({"a": {"b": null}})] {
            assert_eq!(value(nothing), None);
        }
    }
}
