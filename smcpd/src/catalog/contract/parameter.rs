//! Reads one parameter of a command.

use serde_json::{Map, Value};

use super::super::model::{Parameter, Shape, Type, Words, is_secret};
use super::super::subschemas;
use super::at::{At, ContractError, fail};

/// What the contract says of how a parameter goes on the command line; the parser's facts win over it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Style {
    #[default]
    Unsaid,
    Switch,
    SwitchOff,
    Value,
    Repeat,
    List,
    Count,
    /// `--x` and the flag that `off_flag` names.
    OnOff,
    /// One word of compact JSON, lists too.
    Json,
}

/// The fields that mean something here; the others are kept as they are.
const PARAMETER_FIELDS: [&str; 18] = [
    "name",
    "secret",
    "type",
    "any_type",
    "items",
    "description",
    "required",
    "default",
    "enum",
    "action",
    "arg_style",
    "takes_value",
    "nargs",
    "flag",
    "off_flag",
    "global",
    "argv_level",
    "argv_words",
];

pub(super) fn parameter(at: &At<'_>, depth: usize) -> Result<Parameter, ContractError> {
    let Some(name) = at.text("name")? else { return fail(at.path("name"), "is missing") };
    if name.is_empty() || name.len() > 128 || name.chars().any(|c| c.is_control() || c == '=' || c == ' ') {
        return fail(at.path("name"), format!("`{}` is no name", name.escape_debug()));
    }
    let kind = match at.text("type")? {
        None => Type::String,
        Some(kind) => match Type::parse(&kind) {
            Some(kind) => kind,
            None => {
                let reason = format!("`{kind}` is none of string, number, integer, boolean, array, object");
                return fail(at.path("type"), reason);
            }
        },
    };
    let style = style(at)?;
    let (items, item_keywords) = items(at)?;
    let mut keywords = keywords(at.object);
    if let Some(schema) = item_keywords {
        keywords.insert("items".to_owned(), schema);
    }
    let positional = at.object.get("flag").is_some_and(Value::is_null);
    let flag = match at.text("flag")? {
        Some(flag) if !flag.starts_with('-') => format!("--{flag}"),
        Some(flag) => flag,
        None => format!("--{name}"),
    };
    let many = kind == Type::Array;
    let shape = match (positional, style) {
        (true, _) if at.get("nargs").is_some_and(|nargs| nargs == "...") => Shape::Remainder,
        (true, Style::Json) => Shape::Positional,
        (true, _) if many => Shape::Positionals,
        (true, _) => Shape::Positional,
        (false, Style::Switch) => Shape::SwitchOn,
        (false, Style::SwitchOff) => Shape::SwitchOff,
        (false, Style::Count) => Shape::Count,
        (false, Style::List) if many => Shape::List,
        (false, Style::OnOff) => {
            Shape::OnOff { off: at.text("off_flag")?.unwrap_or_else(|| format!("--no-{name}")) }
        }
        (false, Style::Json) => Shape::Option,
        // Each use of the flag brings a list of its own.
        (false, Style::Repeat) if many && items == Some(Type::Array) && at.get("nargs").is_some() => {
            Shape::RepeatList
        }
        (false, Style::Repeat | Style::Unsaid | Style::Value) if many => Shape::Repeat,
        (false, _) => Shape::Option,
    };
    let secret = at.switch("secret")?.unwrap_or(false) || is_secret(&name);
    let (least, most) = bounds(at, &shape);
    Ok(Parameter {
        kind,
        any: at.switch("any_type")?.unwrap_or(false),
        least,
        most,
        items,
        description: at.text("description")?,
        required: at.switch("required")?.unwrap_or(false),
        secret,
        default: at.get("default").cloned(),
        choices: match at.get("enum") {
            None => None,
            Some(Value::Array(choices)) if !choices.is_empty() => Some(choices.clone()),
            Some(_) => return fail(at.path("enum"), "must be a list with something in it"),
        },
        keywords,
        shape,
        flag: (!positional).then_some(flag),
        level: level(at, depth)?,
        words: words(at)?,
        extra: at.extra(&[&PARAMETER_FIELDS[..], &SCHEMA_KEYWORDS].concat()),
        name,
    })
}

/// How many words of the command's path stand before the parameter: all, unless the contract says otherwise.
fn level(at: &At<'_>, depth: usize) -> Result<usize, ContractError> {
    if at.switch("global")?.unwrap_or(false) {
        return Ok(0);
    }
    match at.get("argv_level") {
        None => Ok(depth),
        Some(level) => match level.as_u64().and_then(|level| usize::try_from(level).ok()) {
            Some(level) if level <= depth => Ok(level),
            _ => fail(at.path("argv_level"), format!("must be a whole number up to {depth}")),
        },
    }
}

fn words(at: &At<'_>) -> Result<Words, ContractError> {
    match at.get("argv_words") {
        None => Ok(Words::default()),
        Some(value) => serde_json::from_value(value.clone())
            .or_else(|error| fail(at.path("argv_words"), format!("cannot be understood: {error}"))),
    }
}

/// How many values a list takes, as `nargs` says it.
fn bounds(at: &At<'_>, shape: &Shape) -> (Option<u32>, Option<u32>) {
    match (shape, at.get("nargs")) {
        (Shape::List | Shape::Positionals, Some(Value::Number(count))) => {
            let count = count.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
            (count, count)
        }
        (Shape::List | Shape::Positionals, Some(nargs)) if nargs == "+" => (Some(1), None),
        _ => (None, None),
    }
}

fn style(at: &At<'_>) -> Result<Style, ContractError> {
    let words = [at.text("action")?, at.text("arg_style")?];
    let said = words.into_iter().flatten().find_map(|word| match word.as_str() {
        "store_true" | "flag" | "switch" | "boolean" | "bool" | "presence" => Some(Style::Switch),
        "store_false" => Some(Style::SwitchOff),
        "store" | "value" | "equals" | "option" => Some(Style::Value),
        "append" | "repeat" | "repeated" | "multiple" => Some(Style::Repeat),
        "extend" | "nargs" | "list" | "space" | "variadic" => Some(Style::List),
        "count" => Some(Style::Count),
        "boolean_optional" => Some(Style::OnOff),
        "json" => Some(Style::Json),
        _ => None,
    });
    if let Some(style) = said {
        return Ok(style);
    }
    if at.get("nargs").is_some() {
        return Ok(Style::List);
    }
    Ok(match at.switch("takes_value")? {
        Some(false) => Style::Switch,
        Some(true) => Style::Value,
        None => Style::Unsaid,
    })
}

/// `items` is a type's name, a schema, or absent.
fn items(at: &At<'_>) -> Result<(Option<Type>, Option<Value>), ContractError> {
    match at.get("items") {
        None => Ok((None, None)),
        Some(Value::String(name)) => match Type::parse(name) {
            Some(kind) => Ok((Some(kind), None)),
            None => fail(at.path("items"), format!("`{name}` is no type")),
        },
        Some(schema @ Value::Object(object)) => {
            let kind = object.get("type").and_then(Value::as_str).and_then(Type::parse);
            Ok((kind, (object.len() > 1 || kind.is_none()).then(|| schema.clone())))
        }
        Some(_) => fail(at.path("items"), "must be a type or a schema"),
    }
}

/// The words of a parameter that are the contract's own; everything else that JSON Schema knows passes through.
const SCHEMA_KEYWORDS: [&str; 19] = [
    "title",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "additionalProperties",
    "examples",
    "anyOf",
    "oneOf",
    "x-mcp-header",
];

fn keywords(object: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    for key in SCHEMA_KEYWORDS {
        if let Some(value) = object.get(key).filter(|value| !value.is_null()) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    // On a parameter `required` is a boolean; as a list it is the schema's own word.
    if let Some(required @ Value::Array(_)) = object.get("required") {
        kept.insert("required".to_owned(), required.clone());
    }
    kept
}

/// What an `inputSchema` says when no parameters stand beside it. What it only says under a condition (`anyOf`, `then`,
/// a definition that it refers to) may be given too; whether it has to be is the plugin's to judge.
pub(super) fn from_schema(schema: &Value) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for one in subschemas::asked_of_one_value(schema) {
        let is_root = std::ptr::eq(one, schema);
        for (name, property) in one["properties"].as_object().into_iter().flatten() {
            match parameters.iter_mut().find(|known| known.name == *name) {
                None => parameters.push(from_property(schema, name, property, is_root)),
                // Two say something of it, and either may allow what the other does not.
                Some(known) if !known.any => {
                    known.any = *known != from_property(schema, name, property, true);
                }
                Some(_) => {}
            }
        }
    }
    parameters
}

fn from_property(schema: &Value, name: &str, property: &Value, is_sure: bool) -> Parameter {
    let is_needed =
        schema["required"].as_array().is_some_and(|required| required.iter().any(|known| known == name));
    let (kind, items) = (type_of(property), type_of(&property["items"]));
    // `null` is read as absent, so where it is allowed, so is leaving it out.
    let may_be_null =
        property["type"].as_array().is_some_and(|names| names.iter().any(|kind| kind == "null"));
    Parameter {
        name: name.to_owned(),
        kind: kind.unwrap_or_default(),
        any: !is_sure || kind.is_none() || kind == Some(Type::Array) && items.is_none(),
        items,
        required: is_needed && !may_be_null,
        // Those of a list are whole lists.
        choices: property["enum"].as_array().filter(|_| kind != Some(Type::Array)).cloned(),
        shape: if kind == Some(Type::Array) { Shape::Repeat } else { Shape::Option },
        flag: Some(format!("--{name}")),
        secret: is_secret(name),
        level: 1,
        ..Parameter::default()
    }
}

/// The one type of a schema, `null` aside.
fn type_of(schema: &Value) -> Option<Type> {
    match &schema["type"] {
        Value::String(name) => Type::parse(name),
        Value::Array(names) => {
            let mut known = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            match (known.next(), known.next()) {
                (Some(name), None) => Type::parse(name),
                _ => None,
            }
        }
        _ => None,
    }
}
