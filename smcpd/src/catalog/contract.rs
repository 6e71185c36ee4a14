//! Reads and checks what `cli.py --describe` printed: contract 1 and 1.1.
//!
//! Unknown fields are legal, wrong ones are not: a violation names its field, and the plugin is skipped. What is
//! unknown is kept, so that `contract_writer` loses nothing of an author's contract.

use serde_json::{Map, Value};

use super::model::{
    Command, Description, Exclusive, Parameter, Shape, Source, Type, Variable, Words, is_secret,
};

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

/// A field that breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("contract: {field}: {reason}")]
pub(crate) struct ContractError {
    pub(crate) field: String,
    pub(crate) reason: String,
}

/// Commands that the earlier systems kept to themselves.
const SKIPPED: [&str; 2] = ["connect", "disconnect"];

/// Commands of a plugin, and parameters of a command: the largest plugins in the field have a twentieth of it.
const MOST: usize = 1_000;

/// The fields that mean something here; the others are kept as they are.
const ROOT_FIELDS: [&str; 6] = ["contract_version", "plugin", "commands", "env", "timeout", "concurrency"];
const PLUGIN_FIELDS: [&str; 7] = ["name", "title", "version", "description", "env", "timeout", "concurrency"];
const COMMAND_FIELDS: [&str; 14] = [
    "name",
    "argv_path",
    "title",
    "description",
    "annotations",
    "parameters",
    "exclusive_groups",
    "any_arguments",
    "inputSchema",
    "outputSchema",
    "tool_name",
    "stdin",
    "timeout",
    "concurrency",
];
const PARAMETER_FIELDS: [&str; 17] = [
    "name",
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

/// Returns `None` for JSON that is no contract at all (it has no `commands`).
pub(crate) fn parse(contract: &Value) -> Option<Result<Description, ContractError>> {
    let object = contract.as_object()?;
    object.contains_key("commands").then(|| description(object))
}

fn fail<T>(field: impl Into<String>, reason: impl Into<String>) -> Result<T, ContractError> {
    Err(ContractError { field: field.into(), reason: reason.into() })
}

/// A JSON object with its address in the contract.
struct At<'a> {
    field: String,
    object: &'a Map<String, Value>,
}

impl<'a> At<'a> {
    fn new(field: String, value: &'a Value) -> Result<Self, ContractError> {
        match value.as_object() {
            Some(object) => Ok(Self { field, object }),
            None => fail(field, "must be an object"),
        }
    }

    fn path(&self, key: &str) -> String {
        if self.field.is_empty() { key.to_owned() } else { format!("{}.{key}", self.field) }
    }

    /// `null` means absent everywhere in a contract.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn extra(&self, known: &[&str]) -> Map<String, Value> {
        let is_other = |key: &&String| !known.contains(&key.as_str());
        self.object
            .iter()
            .filter(|(key, _)| is_other(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, ContractError> {
        let text = |(index, value): (usize, &Value)| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => fail(format!("{}[{index}]", self.path(key)), "must be a string"),
        };
        self.list(key)?.iter().enumerate().map(text).collect()
    }

    fn text(&self, key: &str) -> Result<Option<String>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => fail(self.path(key), "must be a string"),
        }
    }

    fn switch(&self, key: &str) -> Result<Option<bool>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => fail(self.path(key), "must be true or false"),
        }
    }

    fn list(&self, key: &str) -> Result<&'a [Value], ContractError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) if items.len() <= MOST => Ok(items),
            Some(Value::Array(items)) => {
                fail(self.path(key), format!("holds {} entries: at most {MOST} are taken", items.len()))
            }
            Some(_) => fail(self.path(key), "must be a list"),
        }
    }

    fn schema(&self, key: &str) -> Result<Option<Value>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(schema @ Value::Object(object)) => match object.get("type") {
                None => fail(self.path(key), "must say \"type\": \"object\""),
                Some(kind) if kind == "object" => Ok(Some(schema.clone())),
                Some(_) => fail(format!("{}.type", self.path(key)), "must be \"object\""),
            },
            Some(_) => fail(self.path(key), "must be an object"),
        }
    }

    fn seconds(&self, key: &str) -> Result<Option<f64>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|seconds| (0.0..=31_536_000.0).contains(seconds)) {
                Some(seconds) => Ok(Some(seconds)),
                None => fail(self.path(key), "must be a number of seconds"),
            },
        }
    }

    fn count(&self, key: &str) -> Result<Option<u32>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().and_then(|count| u32::try_from(count).ok()) {
                Some(count) if count > 0 => Ok(Some(count)),
                _ => fail(self.path(key), "must be a whole number above 0"),
            },
        }
    }
}

fn description(object: &Map<String, Value>) -> Result<Description, ContractError> {
    let root = At { field: String::new(), object };
    version(&root)?;
    let none = Map::new();
    let plugin = match root.get("plugin") {
        Some(value) => At::new("plugin".to_owned(), value)?,
        None => At { field: "plugin".to_owned(), object: &none },
    };
    let mut commands = Vec::new();
    for (index, value) in root.list("commands")?.iter().enumerate() {
        let command = command(&At::new(format!("commands[{index}]"), value)?)?;
        if SKIPPED.contains(&command.name.as_str()) {
            continue;
        }
        if commands.iter().any(|other: &Command| other.name == command.name) {
            return fail(format!("commands[{index}].name"), format!("`{}` stands there twice", command.name));
        }
        commands.push(command);
    }
    Ok(Description {
        source: Source::Contract,
        parser_seen: false,
        title: plugin.text("title")?,
        version: match plugin.get("version") {
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => plugin.text("version")?,
        },
        description: plugin.text("description")?,
        environment: environment(&root, &plugin)?,
        timeout: root.seconds("timeout")?.or(plugin.seconds("timeout")?),
        concurrency: root.count("concurrency")?.or(plugin.count("concurrency")?),
        commands,
        extra: root.extra(&ROOT_FIELDS),
        plugin_extra: plugin.extra(&PLUGIN_FIELDS),
    })
}

/// `1`, `1.x`, `1.x.y` and `2.x`; its absence is legal.
fn version(root: &At<'_>) -> Result<(), ContractError> {
    let said = match root.get("contract_version") {
        None => return Ok(()),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return fail("contract_version", "must be a string"),
    };
    let parts: Vec<&str> = said.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    match (parts[0], parts.len(), numbers) {
        ("1", 1..=3, true) | ("2", 1..=3, true) => Ok(()),
        (_, _, true) => fail("contract_version", format!("`{said}` is not known here: 1.x and 2.x are")),
        _ => fail("contract_version", format!("`{said}` is no version")),
    }
}

fn environment(root: &At<'_>, plugin: &At<'_>) -> Result<Vec<Variable>, ContractError> {
    let holder = if root.get("env").is_some() { root } else { plugin };
    let mut variables = Vec::new();
    for (index, value) in holder.list("env")?.iter().enumerate() {
        let at = At::new(format!("{}[{index}]", holder.path("env")), value)?;
        let name = at.text("name")?.unwrap_or_default();
        if name.is_empty() || name.contains(['=', '\0']) {
            return fail(at.path("name"), format!("`{}` is no name of a variable", name.escape_debug()));
        }
        variables.push(Variable {
            name,
            description: at.text("description")?,
            required: at.switch("required")?.unwrap_or(false),
            secret: at.switch("secret")?.unwrap_or(false),
        });
    }
    Ok(variables)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn command(at: &At<'_>) -> Result<Command, ContractError> {
    let Some(name) = at.text("name")? else { return fail(at.path("name"), "is missing") };
    if !is_name(&name) {
        let shown = name.escape_debug();
        return fail(at.path("name"), format!("`{shown}` must be letters, digits, `_` and `-`"));
    }
    let path = path(at, &name)?;
    let mut parameters: Vec<Parameter> = Vec::new();
    for (index, value) in at.list("parameters")?.iter().enumerate() {
        let at = At::new(format!("{}[{index}]", at.path("parameters")), value)?;
        let parameter = parameter(&at, path.len())?;
        if parameters.iter().any(|other| other.name == parameter.name) {
            return fail(at.path("name"), format!("`{}` stands there twice", parameter.name));
        }
        parameters.push(parameter);
    }
    if let Some(annotations) = at.get("annotations") {
        At::new(at.path("annotations"), annotations)?;
    }
    let tool_name = at.text("tool_name")?;
    if let Some(name) = tool_name.as_ref().filter(|name| !is_name(name)) {
        let shown = name.escape_debug();
        return fail(at.path("tool_name"), format!("`{shown}` must be letters, digits, `_` and `-`"));
    }
    let input_schema = at.schema("inputSchema")?;
    if let (Some(schema), true) = (&input_schema, parameters.is_empty()) {
        parameters = from_schema(schema);
    }
    let open = at.switch("any_arguments")?.unwrap_or(false)
        || input_schema.as_ref().is_some_and(|schema| {
            schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false))
        });
    Ok(Command {
        path,
        name,
        title: at.text("title")?,
        description: at.text("description")?,
        annotations: at.get("annotations").cloned(),
        exclusive: exclusive(at, &parameters)?,
        parameters,
        input_schema,
        output_schema: at.schema("outputSchema")?,
        tool_name,
        stdin: at.switch("stdin")?.unwrap_or(false),
        progress: at.switch("progress")?.unwrap_or(false),
        timeout: at.seconds("timeout")?,
        concurrency: at.count("concurrency")?,
        open,
        extra: at.extra(&COMMAND_FIELDS),
    })
}

/// The command's words on the command line, where they are not its name.
fn path(at: &At<'_>, name: &str) -> Result<Vec<String>, ContractError> {
    let words = at.texts("argv_path")?;
    if words.is_empty() {
        return Ok(vec![name.to_owned()]);
    }
    match words.iter().position(|word| word.is_empty() || word.starts_with('-') || word.contains('\0')) {
        Some(index) => fail(format!("{}[{index}]", at.path("argv_path")), "must be a word that is no flag"),
        None => Ok(words),
    }
}

fn exclusive(at: &At<'_>, parameters: &[Parameter]) -> Result<Vec<Exclusive>, ContractError> {
    let mut groups = Vec::new();
    for (index, value) in at.list("exclusive_groups")?.iter().enumerate() {
        let at = At::new(format!("{}[{index}]", at.path("exclusive_groups")), value)?;
        let members = at.texts("parameters")?;
        if let Some(stranger) =
            members.iter().find(|member| !parameters.iter().any(|parameter| parameter.name == **member))
        {
            let shown = stranger.escape_debug();
            return fail(at.path("parameters"), format!("`{shown}` is no parameter of the command"));
        }
        groups.push(Exclusive { required: at.switch("required")?.unwrap_or(false), members });
    }
    Ok(groups)
}

fn parameter(at: &At<'_>, depth: usize) -> Result<Parameter, ContractError> {
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
const SCHEMA_KEYWORDS: [&str; 18] = [
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

/// What an `inputSchema` says when no parameters stand beside it.
fn from_schema(schema: &Value) -> Vec<Parameter> {
    let required = schema["required"].as_array();
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let parameter = |(name, property): (&String, &Value)| {
        let kind = type_of(property);
        let items = type_of(&property["items"]);
        Parameter {
            name: name.clone(),
            kind: kind.unwrap_or_default(),
            any: kind.is_none() || kind == Some(Type::Array) && items.is_none(),
            items,
            required: required.is_some_and(|required| required.iter().any(|known| known == name)),
            choices: property["enum"].as_array().cloned(),
            shape: if kind == Some(Type::Array) { Shape::Repeat } else { Shape::Option },
            flag: Some(format!("--{name}")),
            level: 1,
            ..Parameter::default()
        }
    };
    properties.iter().map(parameter).collect()
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

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
