//! One command as a tool: its names, and what a list says of it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::header_parameters::HeaderParameter;
use super::model::{Command, TaskSupport};
use super::output_schema::OutputSchema;
use super::plugin::Plugin;
use super::schema;
use crate::config::Separator;

/// The fields of a tool that a revision of the protocol knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fields {
    /// 2024-11-05: name, description, inputSchema.
    Plain,
    /// 2025-03-26: annotations too.
    Annotated,
    /// 2025-06-18 and later: title and outputSchema too.
    Titled,
}

impl Fields {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Annotated, Self::Titled];

    /// Audio came with 2025-03-26.
    pub(super) fn has_audio(self) -> bool {
        self != Self::Plain
    }

    /// Links to resources came with 2025-06-18.
    pub(super) fn has_resource_links(self) -> bool {
        self == Self::Titled
    }
}

/// What runs when a tool is called.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The daemon's own: what `/health` says.
    Health,
    Command {
        plugin: Arc<Plugin>,
        index: usize,
    },
}

/// One command as MCP sees it.
#[derive(Debug)]
pub(crate) struct Tool {
    id: String,
    wire_name: String,
    kind: Kind,
}

struct Shown<'a> {
    tool: &'a Tool,
    fields: Fields,
}

impl serde::Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tool.to_json(self.fields).serialize(serializer)
    }
}

impl Tool {
    pub(super) fn health() -> Self {
        Self { id: "health".to_owned(), wire_name: "health".to_owned(), kind: Kind::Health }
    }

    pub(super) fn all_of(plugin: &Arc<Plugin>, separator: Separator) -> impl Iterator<Item = Self> {
        plugin.description().commands.iter().enumerate().map(move |(index, command)| Self {
            id: format!("{}.{}", plugin.name(), command.name),
            wire_name: command
                .tool_name
                .clone()
                .unwrap_or_else(|| format!("{}{}{}", plugin.name(), separator.as_str(), command.name)),
            kind: Kind::Command { plugin: Arc::clone(plugin), index },
        })
    }

    /// The parameters whose values nobody should see.
    pub(crate) fn secrets(&self) -> Vec<String> {
        match &self.kind {
            Kind::Health => Vec::new(),
            Kind::Command { plugin, index } => {
                let parameters = plugin.description().commands[*index].parameters.iter();
                parameters.filter(|one| one.secret).map(|one| one.name.clone()).collect()
            }
        }
    }

    /// `plugin.command`
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn wire_name(&self) -> &str {
        &self.wire_name
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(crate) fn plugin_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Health => None,
            Kind::Command { plugin, .. } => Some(plugin.name()),
        }
    }

    pub(super) fn command_name(&self) -> &str {
        self.command().map_or(&self.wire_name, |command| &command.name)
    }

    fn command(&self) -> Option<&Command> {
        match &self.kind {
            Kind::Health => None,
            Kind::Command { plugin, index } => Some(&plugin.description().commands[*index]),
        }
    }

    /// The arguments that come in headers too; the error says why nobody can tell.
    pub(crate) fn header_parameters(&self) -> Result<&[HeaderParameter], &str> {
        match &self.kind {
            Kind::Health => Ok(&[]),
            Kind::Command { plugin, index } => plugin.header_parameters(*index),
        }
    }

    /// What it promises of its output; the error says why the promise is worth nothing.
    pub(super) fn output_schema(&self) -> Option<Result<&OutputSchema, &str>> {
        match &self.kind {
            Kind::Health => None,
            Kind::Command { plugin, index } => plugin.output_schema(*index),
        }
    }

    /// Returns the same as `to_json`, made when it is written: a list of all tools is never there as values.
    pub(super) fn shown(&self, fields: Fields) -> impl serde::Serialize {
        Shown { tool: self, fields }
    }

    /// Returns what `tools/list` says of it.
    pub(crate) fn to_json(&self, fields: Fields) -> Value {
        let (title, annotations);
        let mut tool = Map::new();
        tool.insert("name".to_owned(), self.wire_name.as_str().into());
        match self.command() {
            None => {
                title = Some("Health".to_owned());
                annotations =
                    Some(json!({"readOnlyHint": true, "idempotentHint": true, "openWorldHint": false}));
                let description = "Says how the tool server is: its status, version and uptime, and how many \
                                   plugins, tools and calls it counts.";
                tool.insert("description".to_owned(), description.into());
                tool.insert("inputSchema".to_owned(), schema::of(&Command::default()));
            }
            Some(command) => {
                title = command.title.clone();
                annotations = command.annotations.clone();
                tool.insert("description".to_owned(), self.description(command).into());
                tool.insert("inputSchema".to_owned(), schema::of(command));
            }
        }
        if let (Fields::Titled, Some(Ok(_)), Some(command)) = (fields, self.output_schema(), self.command()) {
            tool.insert("outputSchema".to_owned(), command.output_schema.clone().into());
        }
        if let (Fields::Titled, Some(title)) = (fields, title) {
            tool.insert("title".to_owned(), title.into());
        }
        if let (Fields::Annotated | Fields::Titled, Some(annotations)) = (fields, annotations) {
            tool.insert("annotations".to_owned(), annotations);
        }
        Value::Object(tool)
    }

    /// Whether a call may become a task.
    pub(crate) fn task(&self) -> Option<TaskSupport> {
        match &self.kind {
            Kind::Health => None,
            Kind::Command { plugin, index } => plugin.description().commands[*index].task,
        }
    }

    /// A model chooses by description, so none is ever empty.
    fn description(&self, command: &Command) -> String {
        let said = command.description.as_deref().map(str::trim).filter(|text| !text.is_empty());
        match said {
            Some(text) => text.to_owned(),
            None => format!(
                "Runs the command `{}` of the plugin `{}`.",
                command.path.join(" "),
                self.plugin_name().unwrap_or_default()
            ),
        }
    }
}
