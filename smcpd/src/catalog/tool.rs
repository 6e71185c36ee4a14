//! One command as a tool: its names, and what a list says of it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::header_parameters::HeaderParameter;
use super::model::{Command, TaskSupport};
use super::output_schema::OutputSchema;
use super::plugin::Plugin;
use super::schema;
use crate::auth::Facts;
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

/// What clients read of our own tool.
const HEALTH: &str = "Says how the tool server is: its status, version and uptime, and how many plugins, tools and \
                      calls it counts.";

struct Shown<'a> {
    tool: &'a Tool,
    fields: Fields,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = serializer.serialize_map(None)?;
        shown.serialize_entry("name", &self.tool.wire_name)?;
        let Some(command) = self.tool.command() else {
            shown.serialize_entry("description", HEALTH)?;
            shown.serialize_entry("inputSchema", &schema::Input(&Command::default()))?;
            if self.fields == Fields::Titled {
                shown.serialize_entry("title", "Health")?;
            }
            if self.fields != Fields::Plain {
                let hints = json!({"readOnlyHint": true, "idempotentHint": true, "openWorldHint": false});
                shown.serialize_entry("annotations", &hints)?;
            }
            return shown.end();
        };
        shown.serialize_entry("description", &self.tool.description(command))?;
        shown.serialize_entry("inputSchema", &schema::Input(command))?;
        if let (Fields::Titled, Some(Ok(_))) = (self.fields, self.tool.output_schema()) {
            shown.serialize_entry("outputSchema", &command.output_schema)?;
        }
        if let (Fields::Titled, Some(title)) = (self.fields, &command.title) {
            shown.serialize_entry("title", title)?;
        }
        if let (Fields::Annotated | Fields::Titled, Some(annotations)) = (self.fields, &command.annotations) {
            shown.serialize_entry("annotations", annotations)?;
        }
        shown.end()
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

    /// Returns what `tools/list` says of it, made as it is written: a list of all tools is never there as values.
    pub(super) fn shown(&self, fields: Fields) -> impl Serialize {
        Shown { tool: self, fields }
    }

    /// Returns the same as a value.
    pub(crate) fn to_json(&self, fields: Fields) -> Value {
        serde_json::to_value(self.shown(fields)).expect("a tool has string keys")
    }

    /// What a profile looks at; what a command does not say of itself is taken for the worst.
    pub(crate) fn facts(&self) -> Facts<'_> {
        let hint = |name: &str| self.command()?.annotations.as_ref()?.get(name)?.as_bool();
        let (read_only, destructive) = match &self.kind {
            Kind::Health => (true, false),
            Kind::Command { .. } => {
                let read_only = hint("readOnlyHint") == Some(true);
                (read_only, !read_only && hint("destructiveHint") != Some(false))
            }
        };
        Facts { id: &self.id, wire_name: &self.wire_name, read_only, destructive }
    }

    /// Whether a call may become a task.
    pub(crate) fn task(&self) -> Option<TaskSupport> {
        match &self.kind {
            Kind::Health => None,
            Kind::Command { plugin, index } => plugin.description().commands[*index].task,
        }
    }

    /// A model chooses by description, so none is ever empty.
    fn description<'a>(&self, command: &'a Command) -> Cow<'a, str> {
        let said = command.description.as_deref().map(str::trim).filter(|text| !text.is_empty());
        said.map(Cow::Borrowed).unwrap_or_else(|| {
            let (path, plugin) = (command.path.join(" "), self.plugin_name().unwrap_or_default());
            Cow::Owned(format!("Runs the command `{path}` of the plugin `{plugin}`."))
        })
    }
}
