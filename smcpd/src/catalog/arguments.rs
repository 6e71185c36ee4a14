//! From what a client sent to values that a command takes: repairs first, then checks, each by name.
//!
//! Clients bend arguments in known ways (`null` for an optional one, `{"item": …}` for a list, `"7"` for a
//! number, hyphens for underscores); these are put straight before anything is judged.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Number, Value};

use super::model::{Command, Parameter, Shape, Type, same_spelling};

/// Why arguments were refused; every message names the argument.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("`{name}` is missing: {expected} is expected")]
    Missing { name: String, expected: String },
    #[error("there is no argument `{name}`{}", hint(.near))]
    Unknown { name: String, near: Vec<String> },
    #[error("`{name}` must be {expected}, not {found}")]
    Type { name: String, expected: String, found: String },
    #[error("`{name}` must be one of {choices}, not {found}")]
    Choice { name: String, choices: String, found: String },
    #[error("`{name}` {reason}")]
    Value { name: String, reason: String },
    #[error("`{}` cannot be given together", .0.join("` and `"))]
    Together(Vec<String>),
    #[error("one of `{}` is needed", .0.join("`, `"))]
    OneOf(Vec<String>),
}

fn hint(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        all => format!("; the arguments are `{}`", all.join("`, `")),
    }
}

/// The checked values, beside the parameters they belong to.
pub(crate) type Values<'a> = Vec<(Cow<'a, Parameter>, Value)>;

/// Repairs and checks `given`; a parameter that is absent has no entry.
pub(crate) fn check<'a>(
    command: &'a Command,
    given: &Map<String, Value>,
) -> Result<Values<'a>, ArgumentError> {
    let by_spelling = by_spelling(given);
    unknown(command, &by_spelling)?;
    let mut values = Vec::with_capacity(given.len().min(command.parameters.len()));
    for parameter in &command.parameters {
        let exact = given.get(&parameter.name).filter(|value| !value.is_null());
        let alike = || by_spelling.get(&same_spelling(&parameter.name)).map(|(_, value)| *value);
        match exact.or_else(alike) {
            Some(value) => values.push((Cow::Borrowed(parameter), repair(parameter, value)?)),
            None if parameter.required => {
                return Err(ArgumentError::Missing {
                    name: parameter.name.clone(),
                    expected: expected(parameter),
                });
            }
            None => {}
        }
    }
    if command.open {
        undeclared(command, given, &mut values)?;
    }
    exclusive(command, &values)?;
    Ok(values)
}

/// Adds what an open command was given beyond its parameters, each under its own name as a flag.
fn undeclared(
    command: &Command,
    given: &Map<String, Value>,
    values: &mut Values<'_>,
) -> Result<(), ArgumentError> {
    let known: HashSet<String> =
        command.parameters.iter().map(|parameter| same_spelling(&parameter.name)).collect();
    for (name, value) in given {
        if value.is_null() || known.contains(&same_spelling(name)) {
            continue;
        }
        let plain = name.starts_with(char::is_alphanumeric)
            && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'));
        if !plain {
            let reason = "is no name of an argument".to_owned();
            return Err(ArgumentError::Value { name: shorten(name), reason });
        }
        let parameter = Parameter {
            name: name.clone(),
            any: true,
            shape: if value.is_array() { Shape::Repeat } else { Shape::Option },
            flag: Some(format!("--{name}")),
            level: command.path.len(),
            ..Parameter::default()
        };
        values.push((Cow::Owned(parameter), value.clone()));
    }
    Ok(())
}

/// What was given under each spelling, as it was written; of several that are alike the first, and never a null.
fn by_spelling(given: &Map<String, Value>) -> HashMap<String, (&str, &Value)> {
    let mut found = HashMap::with_capacity(given.len());
    for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        found.entry(same_spelling(key)).or_insert((key.as_str(), value));
    }
    found
}

fn unknown(command: &Command, given: &HashMap<String, (&str, &Value)>) -> Result<(), ArgumentError> {
    if command.open {
        return Ok(());
    }
    let known: HashSet<String> =
        command.parameters.iter().map(|parameter| same_spelling(&parameter.name)).collect();
    // The first in the alphabet, so that the message is the same each time.
    let stranger = given.iter().filter(|(key, _)| !known.contains(*key)).map(|(_, (key, _))| *key).min();
    let Some(key) = stranger else { return Ok(()) };
    let names = || command.parameters.iter().map(|parameter| parameter.name.clone());
    let near: Vec<String> = nearest(key, names()).into_iter().collect();
    Err(ArgumentError::Unknown {
        name: shorten(key),
        near: if near.is_empty() { names().take(12).collect() } else { near },
    })
}

/// Returns the candidate that is at most a third of its letters away from `name`.
pub(crate) fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    if name.len() > 64 {
        return None;
    }
    candidates
        .map(|candidate| (strsim::levenshtein(name, &candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count().max(3))
        .min()
        .map(|(_, candidate)| candidate)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn expected(parameter: &Parameter) -> String {
    match parameter.kind {
        Type::String => "a string".to_owned(),
        Type::Integer => "a whole number".to_owned(),
        Type::Number => "a number".to_owned(),
        Type::Boolean => "true or false".to_owned(),
        Type::Array => format!("a list of {}s", item_kind(parameter).as_str()),
        Type::Object => "an object".to_owned(),
    }
}

fn item_kind(parameter: &Parameter) -> Type {
    parameter.items.unwrap_or_default()
}

/// Names the kind of a value: what a client sent may be long, or secret.
fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
    .to_owned()
}

fn repair(parameter: &Parameter, value: &Value) -> Result<Value, ArgumentError> {
    if parameter.any {
        return Ok(value.clone());
    }
    let value = match parameter.kind {
        Type::Array => array(parameter, value)?,
        kind => {
            let value =
                scalar(kind, value).ok_or_else(|| mistyped(parameter, &expected(parameter), value))?;
            choose(parameter, value)?
        }
    };
    bounds(parameter, &value)?;
    Ok(value)
}

fn mistyped(parameter: &Parameter, expected: &str, value: &Value) -> ArgumentError {
    ArgumentError::Type { name: parameter.name.clone(), expected: expected.to_owned(), found: kind_of(value) }
}

/// Brings a value to a type where that loses nothing.
fn scalar(kind: Type, value: &Value) -> Option<Value> {
    match (kind, value) {
        (Type::String, Value::String(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::Object, Value::Object(_)) => Some(value.clone()),
        (Type::String, Value::Null) => None,
        (Type::String, other) => Some(Value::String(other.to_string())),
        (Type::Integer, Value::Number(number)) => integer(number).map(Value::Number),
        (Type::Integer, Value::String(text)) => integer(&text.trim().parse().ok()?).map(Value::Number),
        (Type::Number, Value::Number(_)) => Some(value.clone()),
        (Type::Number, Value::String(text)) => text.trim().parse::<Number>().ok().map(Value::Number),
        (Type::Boolean, Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        (Type::Boolean, Value::Number(number)) => match number.as_i64() {
            Some(1) => Some(Value::Bool(true)),
            Some(0) => Some(Value::Bool(false)),
            _ => None,
        },
        (Type::Object, Value::String(text)) => serde_json::from_str(text).ok().filter(Value::is_object),
        (Type::Array, Value::Array(_)) => Some(value.clone()),
        _ => None,
    }
}

/// `7`, `7.0` and nothing in between.
fn integer(number: &Number) -> Option<Number> {
    if number.is_i64() || number.is_u64() {
        return Some(number.clone());
    }
    let value = number.as_f64()?;
    // Beyond 2^53 a float no longer says which whole number was meant.
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within 2^53")]
    (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then(|| Number::from(value as i64))
}

fn array(parameter: &Parameter, value: &Value) -> Result<Value, ArgumentError> {
    let parsed;
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        // Letta sends `{"item": X}` for `[X]`.
        Value::Object(object) if object.len() == 1 && object.contains_key("item") => match &object["item"] {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        },
        Value::String(text) if text.trim_start().starts_with('[') => {
            parsed = serde_json::from_str::<Vec<Value>>(text).ok();
            match &parsed {
                Some(items) => items.iter().collect(),
                None => vec![value],
            }
        }
        Value::Object(_) if item_kind(parameter) != Type::Object => {
            return Err(mistyped(parameter, &expected(parameter), value));
        }
        one => vec![one],
    };
    let kind = item_kind(parameter);
    let mut repaired = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let wrapped;
        let item = match (kind, item) {
            (Type::Array, Value::Array(_)) => item,
            (Type::Array, one) => {
                wrapped = Value::Array(vec![one.clone()]);
                &wrapped
            }
            _ => item,
        };
        let value = scalar(kind, item).ok_or_else(|| ArgumentError::Type {
            name: format!("{}[{index}]", parameter.name),
            expected: format!("of type {}", kind.as_str()),
            found: kind_of(item),
        })?;
        repaired.push(choose(parameter, value)?);
    }
    count(parameter, repaired.len())?;
    Ok(Value::Array(repaired))
}

fn count(parameter: &Parameter, found: usize) -> Result<(), ArgumentError> {
    let wrong = |reason: String| Err(ArgumentError::Value { name: parameter.name.clone(), reason });
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    match (parameter.least, parameter.most) {
        (Some(least), Some(most)) if least == most && found != least => {
            wrong(format!("takes exactly {least} values, not {found}"))
        }
        (Some(least), _) if found < least => wrong(format!("takes at least {least} values, not {found}")),
        (_, Some(most)) if found > most => wrong(format!("takes at most {most} values, not {found}")),
        _ => Ok(()),
    }
}

/// Returns the choice that the value means: `"5"` is 5 where 5 is the choice.
fn choose(parameter: &Parameter, value: Value) -> Result<Value, ArgumentError> {
    let Some(choices) = &parameter.choices else { return Ok(value) };
    let spelled = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let said = spelled(&value);
    let chosen = choices.iter().find(|choice| **choice == value || spelled(choice) == said);
    chosen.cloned().ok_or_else(|| ArgumentError::Choice {
        name: parameter.name.clone(),
        choices: choices
            .iter()
            .take(30)
            .map(|choice| format!("`{}`", spelled(choice)))
            .collect::<Vec<_>>()
            .join(", "),
        found: format!("`{}`", shorten(&said)),
    })
}

fn bounds(parameter: &Parameter, value: &Value) -> Result<(), ArgumentError> {
    let Some(number) = value.as_f64() else { return Ok(()) };
    let wrong = |reason: String| Err(ArgumentError::Value { name: parameter.name.clone(), reason });
    if let Some(least) =
        parameter.keywords.get("minimum").and_then(Value::as_f64).filter(|least| number < *least)
    {
        return wrong(format!("must be at least {least}"));
    }
    if let Some(most) =
        parameter.keywords.get("maximum").and_then(Value::as_f64).filter(|most| number > *most)
    {
        return wrong(format!("must be at most {most}"));
    }
    if parameter.shape == Shape::Count && !(0.0..=100.0).contains(&number) {
        return wrong("must be between 0 and 100".to_owned());
    }
    Ok(())
}

/// A switch that is off was not given.
fn is_given(parameter: &Parameter, value: &Value) -> bool {
    match (&parameter.shape, value) {
        (Shape::SwitchOn, Value::Bool(on)) => *on,
        (Shape::SwitchOff, Value::Bool(on)) => !*on,
        (Shape::Count, Value::Number(times)) => times.as_i64() != Some(0),
        (Shape::Repeat | Shape::RepeatList | Shape::Positionals, Value::Array(items)) => !items.is_empty(),
        _ => true,
    }
}

fn exclusive(command: &Command, values: &Values<'_>) -> Result<(), ArgumentError> {
    for group in &command.exclusive {
        let given: Vec<String> = values
            .iter()
            .filter(|(parameter, value)| {
                group.members.contains(&parameter.name) && is_given(parameter, value)
            })
            .map(|(parameter, _)| parameter.name.clone())
            .collect();
        match given.len() {
            0 if group.required => return Err(ArgumentError::OneOf(group.members.clone())),
            0 | 1 => {}
            _ => return Err(ArgumentError::Together(given)),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
