//! Reads and checks what `cli.py --describe` printed: contract 1, 1.1 and 1.2.
//!
//! Unknown fields are legal, wrong ones are not: a violation names its field, and the plugin is skipped. What is
//! unknown is kept, so that `contract_writer` loses nothing of an author's contract.

mod at;
pub(super) mod offers;
mod parameter;

use serde_json::{Map, Value};

use super::model::{Command, Description, Exclusive, Parameter, Source, TaskSupport, Variable};
use crate::config::{WarmMode, is_module};
use at::{At, ContractError, fail, is_name};
use parameter::{from_schema, parameter};

/// Commands that the earlier systems kept to themselves.
const SKIPPED: [&str; 2] = ["connect", "disconnect"];

/// The fields that mean something here; the others are kept as they are.
const ROOT_FIELDS: [&str; 6] = ["contract_version", "plugin", "commands", "env", "timeout", "concurrency"];
const PLUGIN_FIELDS: [&str; 9] =
    ["name", "title", "version", "description", "env", "timeout", "concurrency", "warm", "preload"];
const COMMAND_FIELDS: [&str; 16] = [
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
    "progress",
    "timeout",
    "concurrency",
    "task",
];
/// Returns `None` for JSON that is no contract at all (it has no `commands`).
pub(crate) fn parse(contract: &Value) -> Option<Result<Description, ContractError>> {
    let object = contract.as_object()?;
    object.contains_key("commands").then(|| description(object))
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
        unseen: Vec::new(),
        title: plugin.text("title")?,
        version: match plugin.get("version") {
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => plugin.text("version")?,
        },
        description: plugin.text("description")?,
        environment: environment(&root, &plugin)?,
        timeout: root.seconds("timeout")?.or(plugin.seconds("timeout")?),
        concurrency: root.count("concurrency")?.or(plugin.count("concurrency")?),
        warm: warm(&plugin)?,
        preload: preload(&plugin)?,
        commands,
        offers: offers::offers(&root)?,
        extra: root.extra(&[ROOT_FIELDS.as_slice(), &offers::FIELDS].concat()),
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

fn warm(plugin: &At<'_>) -> Result<Option<WarmMode>, ContractError> {
    match plugin.text("warm")?.as_deref() {
        None => Ok(None),
        Some("off") => Ok(Some(WarmMode::Off)),
        Some("fork") => Ok(Some(WarmMode::Fork)),
        Some("spare") => Ok(Some(WarmMode::Spare)),
        Some(_) => fail(plugin.path("warm"), "must be \"spare\", \"fork\" or \"off\""),
    }
}

fn preload(plugin: &At<'_>) -> Result<Vec<String>, ContractError> {
    let modules = plugin.texts("preload")?;
    match modules.iter().position(|module| !is_module(module)) {
        Some(index) => fail(
            format!("{}[{index}]", plugin.path("preload")),
            format!("`{}` is no module's name", modules[index].escape_debug()),
        ),
        None => Ok(modules),
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
    let open = at.switch("any_arguments")?.unwrap_or(false) || input_schema.as_ref().is_some_and(takes_any);
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
        task: task(at)?,
        open,
        extra: at.extra(&COMMAND_FIELDS),
    })
}

fn task(at: &At<'_>) -> Result<Option<TaskSupport>, ContractError> {
    match at.text("task")? {
        None => Ok(None),
        Some(text) => match TaskSupport::parse(&text) {
            Some(support) => Ok(Some(support)),
            None => fail(at.path("task"), "must be \"optional\" or \"required\""),
        },
    }
}

/// Whether a schema says that there may be more arguments than it names.
fn takes_any(schema: &Value) -> bool {
    let says = |keyword: &str| schema.get(keyword).is_some_and(|more| *more != Value::Bool(false));
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => schema.get("patternProperties").is_some(),
        _ => ["additionalProperties", "unevaluatedProperties", "patternProperties"].into_iter().any(says),
    }
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

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
