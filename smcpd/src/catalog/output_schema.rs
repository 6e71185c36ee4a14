//! What a plugin promises of its output, and whether it kept the promise: `outputSchema`.
//!
//! A schema comes from a plugin and so do the values: neither may hold the daemon up. Nothing is fetched, patterns
//! take linear time, and the limits below bound how much there is to compile, to check and to recurse into.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::output::{ErrorCode, ToolOutput};
use super::subschemas::{Place, beside, parts, references, resolve};

/// Bytes of a schema, as JSON.
const MOST_BYTES: usize = 256 << 10;
/// Schemas within schemas.
const DEEPEST: usize = 64;
/// Patterns in one schema, and what each may take compiled.
const MOST_PATTERNS: usize = 256;
const PATTERN_BYTES: usize = 256 << 10;
/// References in one schema.
const MOST_REFERENCES: usize = 256;
/// Schemas that are asked about one and the same value, and how many of them lie inside each other.
const MOST_HERE: usize = 1_000;
const DEEPEST_HERE: usize = 12;
/// Nesting of a checked value.
const DEEPEST_VALUE: usize = 64;
/// Steps that may be spent on finding out where a value is wrong.
const MOST_STEPS: usize = 200_000;
/// Letters of a reason: it may quote the value.
const REASON: usize = 300;

/// An `outputSchema` that can be relied on.
#[derive(Debug)]
pub(super) struct OutputSchema {
    schema: Value,
    validator: Validator,
}

impl OutputSchema {
    /// Compiles a schema; the error says why it cannot be used.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        bounded(schema)?;
        let options = jsonschema::options().offline().with_pattern_options(
            PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES),
        );
        match options.build(schema) {
            Ok(validator) => Ok(Self { schema: schema.clone(), validator }),
            Err(error) => {
                let place = error.instance_path().to_string();
                Err(at(&place, &shortened(&error.to_string())))
            }
        }
    }

    /// Passes what keeps the promise, and turns what does not into an error that says so. An error promises nothing.
    pub(super) fn checked(&self, output: ToolOutput) -> ToolOutput {
        if output.error.is_some() {
            return output;
        }
        if output.is_cut() {
            let message = "the output is longer than is kept, so it cannot be the JSON that the plugin's outputSchema promises";
            return broken(ErrorCode::OutputTooLarge, message.to_owned(), output);
        }
        let reason = match &output.structured {
            None => Some("it printed no JSON object".to_owned()),
            Some(value) => self.wrong(value),
        };
        match reason {
            None => output,
            Some(reason) => {
                let message = format!("the plugin broke its own outputSchema: {reason}");
                broken(ErrorCode::PluginError, message, output)
            }
        }
    }

    /// Returns where and why a value does not fit.
    fn wrong(&self, value: &Value) -> Option<String> {
        if is_deeper_than(value, DEEPEST_VALUE) {
            return Some(format!("its JSON is nested deeper than {DEEPEST_VALUE}"));
        }
        if self.validator.is_valid(value) {
            return None;
        }
        let mut steps = Steps { root: &self.schema, known: HashMap::new() };
        if steps.count(&self.schema, value) > MOST_STEPS {
            return Some("its JSON does not fit, and is too large to say where".to_owned());
        }
        let error = self.validator.validate(value).err()?;
        let place = error.instance_path().to_string();
        Some(at(&place, &shortened(&error.to_string())))
    }
}

fn at(place: &str, reason: &str) -> String {
    if place.is_empty() { reason.to_owned() } else { format!("`{place}`: {reason}") }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(REASON).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What the plugin said stays there to read.
fn broken(code: ErrorCode, message: String, said: ToolOutput) -> ToolOutput {
    let mut output = ToolOutput::failed(code, message);
    output.content.extend(said.content);
    output
}

fn is_deeper_than(value: &Value, most: usize) -> bool {
    let mut parts: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(object) => Box::new(object.values()),
        _ => return false,
    };
    most == 0 || parts.any(|part| is_deeper_than(part, most - 1))
}

/// Looks at the size and the references of a schema before anything compiles it.
fn bounded(root: &Value) -> Result<(), String> {
    let bytes = root.to_string().len();
    if bytes > MOST_BYTES {
        return Err(format!("it has {bytes} bytes: at most {MOST_BYTES} are taken"));
    }
    if is_deeper_than(root, DEEPEST) {
        return Err(format!("it is nested deeper than {DEEPEST}"));
    }
    let (mut patterns, mut links) = (0, 0);
    let mut waiting = vec![root];
    let mut all = Vec::new();
    while let Some(schema) = waiting.pop() {
        patterns += usize::from(schema.get("pattern").is_some());
        patterns += schema["patternProperties"].as_object().map_or(0, serde_json::Map::len);
        if !std::ptr::eq(schema, root) && schema.get("$id").is_some() {
            return Err("it has an `$id` below its root: put what it names into `$defs`".to_owned());
        }
        for reference in references(schema) {
            links += 1;
            if !reference.starts_with('#') {
                let shown = shortened(reference);
                return Err(format!("it refers to `{shown}`, and nothing is fetched: put it into `$defs`"));
            }
            if resolve(root, reference).is_none() {
                return Err(format!("it refers to `{}`, and there is no such place", shortened(reference)));
            }
        }
        all.push(schema);
        waiting.extend(parts(schema).into_iter().map(|part| part.schema));
    }
    for (what, found, most) in [("patterns", patterns, MOST_PATTERNS), ("references", links, MOST_REFERENCES)]
    {
        if found > most {
            return Err(format!("it has {found} {what}: at most {most} are taken"));
        }
    }
    let mut here = Here { root, known: HashMap::new() };
    all.into_iter().try_for_each(|schema| here.weigh(schema, 0).map(drop))
}

/// How many schemas one value is asked about: references make that grow with every step.
struct Here<'a> {
    root: &'a Value,
    /// Their number and depth; `None` while they are counted.
    known: HashMap<*const Value, Option<(usize, usize)>>,
}

impl<'a> Here<'a> {
    fn weigh(&mut self, schema: &'a Value, level: usize) -> Result<(usize, usize), String> {
        let key = std::ptr::from_ref(schema);
        let found = match self.known.get(&key) {
            Some(None) => return Err("a reference in it leads back to itself".to_owned()),
            Some(Some(known)) => *known,
            None => {
                if level >= DEEPEST_HERE {
                    return Err(too_linked());
                }
                self.known.insert(key, None);
                let (mut number, mut depth) = (1, 1);
                for other in beside(self.root, schema) {
                    let (more, deeper) = self.weigh(other, level + 1)?;
                    number += more;
                    depth = depth.max(deeper + 1);
                    if number > MOST_HERE {
                        return Err(too_linked());
                    }
                }
                self.known.insert(key, Some((number, depth)));
                (number, depth)
            }
        };
        if level + found.1 > DEEPEST_HERE { Err(too_linked()) } else { Ok(found) }
    }
}

fn too_linked() -> String {
    format!(
        "it asks too much of one value: at most {MOST_HERE} schemas, {DEEPEST_HERE} deep, in `allOf`, `anyOf`, \
         `$ref` and their like"
    )
}

/// How long the search for an error takes at worst: the checker remembers nothing meanwhile.
struct Steps<'a> {
    root: &'a Value,
    known: HashMap<(*const Value, *const Value), usize>,
}

impl<'a> Steps<'a> {
    fn count(&mut self, schema: &'a Value, value: &Value) -> usize {
        let key = (std::ptr::from_ref(schema), std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        if self.known.len() > MOST_STEPS {
            return usize::MAX;
        }
        let mut steps: usize = 1;
        for other in beside(self.root, schema) {
            steps = steps.saturating_add(self.count(other, value));
        }
        for part in parts(schema) {
            match (part.place, part.name, value) {
                (Place::Property, Some(name), Value::Object(object)) => {
                    if let Some(value) = object.get(name) {
                        steps = steps.saturating_add(self.count(part.schema, value));
                    }
                }
                (Place::Within, _, Value::Object(object)) => {
                    for value in object.values() {
                        steps = steps.saturating_add(self.count(part.schema, value));
                    }
                }
                (Place::Within, _, Value::Array(items)) => {
                    for value in items {
                        steps = steps.saturating_add(self.count(part.schema, value));
                    }
                }
                _ => {}
            }
        }
        self.known.insert(key, steps);
        steps
    }
}

#[cfg(test)]
#[path = "output_schema_tests.rs"]
mod tests;
