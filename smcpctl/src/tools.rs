//! Tools as people read them: `tools` and `tools show`.

use serde_json::{Map, Value};
use smcp_control::{ToolInfo, Withheld};

use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};

pub(crate) async fn list(daemon: &mut Daemon, plugin: Option<&str>) -> Result<Exit, Failure> {
    let mut tools = daemon.fetch_tools().await?;
    tools.retain(|tool| plugin.is_none_or(|plugin| tool.plugin.as_deref() == Some(plugin)));
    if let (Some(plugin), true) = (plugin, tools.is_empty()) {
        let failure =
            Failure::new(Exit::NotFound, format!("no tool belongs to a plugin called `{}`", escape(plugin)));
        return Err(failure.hint("see `smcpctl plugin list`"));
    }
    if daemon.json {
        print_json("tools", &tools)?;
    } else {
        table(&tools)?;
    }
    Ok(Exit::Ok)
}

/// Shows tools by their signatures.
pub(crate) fn table(tools: &[ToolInfo]) -> Result<(), Failure> {
    let row = |tool: &ToolInfo| vec![signature(tool), first_line(&tool.description)];
    print_rows(&["TOOL", "DESCRIPTION"], &tools.iter().map(row).collect::<Vec<_>>())
}

/// Finds a tool by its identity or its name on the wire, hyphens and underscores alike.
pub(crate) async fn find(daemon: &mut Daemon, name: &str) -> Result<ToolInfo, Failure> {
    let alike = |name: &str| name.replace('-', "_").replacen("__", ".", 1);
    let (tools, withheld) = daemon.fetch_tools_and_withheld().await?;
    let found = tools.iter().find(|tool| tool.id == name || tool.name == name);
    found.or_else(|| tools.iter().find(|tool| alike(&tool.id) == alike(name))).cloned().ok_or_else(|| {
        if let Some(found) = withheld.iter().find(|one| is_withheld(one, name)) {
            return not_approved(found);
        }
        let failure = Failure::new(Exit::NotFound, format!("no tool is called `{}`", escape(name)));
        match nearest(name, &tools) {
            Some(near) => failure.hint(format!("did you mean `{near}`? see `smcpctl tools`")),
            None => failure.hint("see `smcpctl tools`"),
        }
    })
}

/// Whether a name is that of a tool that is withheld, or one of a plugin of which all is.
fn is_withheld(withheld: &Withheld, name: &str) -> bool {
    let alike = |name: &str| name.replace('-', "_").replacen("__", ".", 1);
    match &withheld.tool {
        Some(tool) => tool.name == name || alike(&tool.id) == alike(name),
        None => alike(name).split_once('.').is_some_and(|(plugin, _)| plugin == alike(&withheld.plugin)),
    }
}

fn not_approved(withheld: &Withheld) -> Failure {
    let plugin = escape(&withheld.plugin);
    let message = match &withheld.tool {
        Some(tool) => format!("`{}` is withheld: it is not what was approved", escape(&tool.id)),
        None => format!("every tool of `{plugin}` is withheld: the plugin is not what was approved"),
    };
    Failure::new(Exit::Refused, message).hint(format!(
        "look at it with `smcpctl pins diff {plugin}`, then accept it with `smcpctl pins accept {plugin}`"
    ))
}

/// The tool whose name is most like what was typed, if any is.
fn nearest<'a>(name: &str, tools: &'a [ToolInfo]) -> Option<&'a str> {
    let alike = |tool: &ToolInfo| strsim::jaro_winkler(name, &tool.id);
    let best = tools.iter().max_by(|one, other| alike(one).total_cmp(&alike(other)))?;
    (alike(best) > 0.85).then_some(best.id.as_str())
}

pub(crate) async fn show(daemon: &mut Daemon, name: &str) -> Result<Exit, Failure> {
    let tool = find(daemon, name).await?;
    if daemon.json {
        print_json("tool", &tool)?;
        return Ok(Exit::Ok);
    }
    let description: Vec<String> = tool.description.lines().map(escape).collect();
    print(&format!(
        "{}\n{}\nname on the wire: {}\n\n",
        escape(&signature(&tool)),
        description.join("\n"),
        tool.name
    ))?;
    let row = |(name, schema): (&String, &Value)| {
        let need = if is_required(&tool, name) { "required" } else { "optional" };
        let detail = schema["description"].as_str().unwrap_or_default();
        let default = schema.get("default").map(|default| format!("  (default: {default})"));
        let detail = format!("{}{}", first_line(detail), default.unwrap_or_default());
        vec![name.clone(), kind(schema), need.to_owned(), detail]
    };
    print_rows(&["PARAMETER", "TYPE", "", "DESCRIPTION"], &properties(&tool).map(row).collect::<Vec<_>>())?;
    Ok(Exit::Ok)
}

pub(crate) fn properties(tool: &ToolInfo) -> impl Iterator<Item = (&String, &Value)> {
    tool.input_schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

pub(crate) fn is_required(tool: &ToolInfo, name: &str) -> bool {
    tool.input_schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
}

pub(crate) fn signature(tool: &ToolInfo) -> String {
    signature_of(&tool.id, &tool.input_schema)
}

/// `demo_math.calculate(operation, a: number, b: number)`
pub(crate) fn signature_of(id: &str, schema: &Value) -> String {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let parameter = |(name, schema): (&String, &Value)| {
        let optional = if required(name) { "" } else { "?" };
        match schema["type"].as_str() {
            Some("string") | None => format!("{name}{optional}"),
            Some(kind) => format!("{name}{optional}: {kind}"),
        }
    };
    let parameters = schema["properties"].as_object().into_iter().flatten().map(parameter);
    format!("{id}({})", parameters.collect::<Vec<_>>().join(", "))
}

/// A schema in a few words: `integer 1..10`, `a|b`, `list of string`.
fn kind(schema: &Value) -> String {
    if let Some(choices) = schema["enum"].as_array() {
        let choice = |one: &Value| one.as_str().map_or_else(|| one.to_string(), str::to_owned);
        return choices.iter().map(choice).collect::<Vec<_>>().join("|");
    }
    let name = schema["type"].as_str().unwrap_or("any");
    let bound = |key: &str| schema.get(key).filter(|bound| bound.is_number()).map(Value::to_string);
    match (name, bound("minimum"), bound("maximum")) {
        ("array", _, _) => format!("list of {}", kind(&schema["items"])),
        (_, None, None) => name.to_owned(),
        (_, least, most) => format!("{name} {}..{}", least.unwrap_or_default(), most.unwrap_or_default()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_said_in_a_few_words() {
        for (schema, said) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": "integer", "minimum": 1, "maximum": 10}), "integer 1..10"),
            (json!({"type": "number", "minimum": 0.5}), "number 0.5.."),
            (json!({"enum": ["a", 1]}), "a|1"),
            (json!({"type": "array", "items": {"type": "integer"}}), "list of integer"),
            (json!({"type": "array"}), "list of any"),
            (json!({}), "any"),
        ] {
            assert_eq!(kind(&schema), said);
        }
    }
}
