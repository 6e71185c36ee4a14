//! Which tools exist, how arguments become an argv, and how output becomes a result.
//!
//! `discovery` keeps the published [`Catalog`] true to the plugins directory: `scan` finds programs, `describe`
//! asks them (`contract_file`, `contract`, `parser_tree` under the probe, `help_text`), `facts` turns what a parser says into
//! commands, `digest` and `store` remember, `describing` asks only whom they do not know, and many of them in one
//! `nursery`; `ownership` refuses what others may change, and `pins` what nobody approved, which `withholding` finds by name. A [`Tool`] is one command: `schema` tells a client what it takes, `arguments` checks what came, `argv` says
//! it on a command line, `output` reads what the program said, and `output_schema` holds it to what its plugin promised.
//! Running it is the executor's. [`Offered`] is what else plugins offer: `prompt` checks a prompt's arguments,
//! `plugin_file` reads a file of a plugin, and `printed` what the commands behind these said.
//!
//! `inspect` is for the plugin's author: `lint` judges its files and tools, `strict` its schemas, `round_trip` its
//! arguments, and `contract_writer` says what was found as a contract. `unseen` takes out of all words what nobody would
//! see.

mod arguments;
mod argv;
mod base64;
mod changes;
mod confinement;
mod content;
mod contract;
mod contract_file;
mod contract_writer;
mod describe;
mod describing;
mod digest;
mod discovery;
mod environment;
mod facts;
mod header_parameters;
mod help_text;
mod inspect;
mod interpreter;
mod lint;
mod model;
mod names;
mod needed;
mod nursery;
mod offers;
mod output;
mod output_schema;
mod ownership;
mod parser_tree;
mod pins;
mod plugin;
mod plugin_file;
mod printed;
mod progress;
mod prompt;
#[cfg(feature = "bench")]
pub(crate) mod pure;
mod python;
mod round_trip;
mod scan;
mod schema;
mod silent;
mod store;
mod strict;
mod subschemas;
mod tool;
mod transitions;
mod unseen;
mod warmth;
mod watch;
mod withholding;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

pub(crate) use changes::{Change, Changes};
pub(crate) use confinement::private_places;
pub(crate) use discovery::{CatalogHandle, Discovery, Made, RescanError, Rescans};
pub(crate) use header_parameters::HeaderParameter;
pub(crate) use inspect::inspect;
pub(crate) use model::TaskSupport;
pub(crate) use model::offers::Answer;
pub(crate) use needed::Asked as Question;
pub(crate) use needed::{Needed, needed_by};
pub(crate) use offers::{List, Offered, Origin};
pub(crate) use output::{ErrorCode, ToolOutput, from_error, from_outcome};
pub(crate) use ownership::{Fault as Opening, Risk};
pub(crate) use pins::{AcceptError, Drift, FileChange, PieceChange, Pinning, withheld};
pub(crate) use plugin::{CallContext, Plugin};
pub(crate) use plugin_file::Contents;
pub(crate) use printed::{
    completed, completion, here, prompt as printed_prompt, resource as printed_resource, stdout,
};
pub(crate) use progress::Progress;
pub(crate) use silent::{REASON as SILENT, Silent};
pub(crate) use tool::{Fields, Kind, Tool};

pub(crate) use arguments::nearest;
use names::{Fault, Index, NotFound};

use crate::config::Separator;

/// Where a plugin stands.
#[derive(Debug, Clone)]
pub(crate) enum PluginState {
    Pending,
    Described(Arc<Plugin>),
    Failed(String),
}

impl PluginState {
    /// Whether nothing happened between the two.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pending, Self::Pending) => true,
            (Self::Described(one), Self::Described(other)) => Arc::ptr_eq(one, other),
            (Self::Failed(one), Self::Failed(other)) => one == other,
            (Self::Pending | Self::Described(_) | Self::Failed(_), _) => false,
        }
    }
}

/// Something about a tool that its author or the operator should mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) tool: String,
    pub(crate) message: String,
    /// There is no such tool because of it.
    pub(crate) left_out: bool,
    /// Else it is a resource, a template or a prompt, under its address in the contract; or, where nothing is left out,
    /// words from which something was taken.
    pub(crate) is_tool: bool,
}

/// How many plugins are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct PluginCounts {
    pub(crate) described: usize,
    pub(crate) pending: usize,
    pub(crate) failed: usize,
}

/// An immutable snapshot of all tools.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) generation: u64,
    tools: Vec<Arc<Tool>>,
    index: Index,
    plugins: BTreeMap<String, PluginState>,
    offered: Offered,
    /// Tools that nobody approved as they are, which can be named and not called.
    held: (Vec<Arc<Tool>>, Index),
    pub(crate) problems: Vec<Problem>,
    /// Whether an interpreter was found for plugins that need one.
    pub(crate) has_python: bool,
    /// Some of the tools are left out for whoever sees it.
    is_narrowed: bool,
    /// The JSON list of all tools, made once for each set of fields.
    listed: [OnceLock<Bytes>; Fields::ALL.len()],
}

/// Why a name names no tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FindError {
    #[error("unknown tool: `{name}`{}", .near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown { name: String, near: Option<String> },
    /// It is not what was approved.
    #[error(
        "`{tool}` is not what was approved: an operator must look at it with `smcpctl pins diff {plugin}` and \
             accept it with `smcpctl pins accept {plugin}`"
    )]
    Held { tool: String, plugin: String },
    /// What of its plugin is a tool was not asked: none of it is.
    #[error(
        "`{plugin}` is not what was approved, and none of its tools is served: an operator must look at it with \
             `smcpctl pins diff {plugin}` and accept it with `smcpctl pins accept {plugin}`"
    )]
    Blocked { plugin: String },
    #[error("`{name}` may mean {}: use the exact name", .candidates.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "))]
    Ambiguous { name: String, candidates: Vec<String> },
}

impl Catalog {
    /// The catalog before anything was described: the built-in tools alone.
    pub(crate) fn empty() -> Self {
        Self::build(0, BTreeMap::new(), Separator::default())
    }

    /// Lays out the tools of `plugins`, in the order of their names.
    pub(crate) fn build(
        generation: u64,
        plugins: BTreeMap<String, PluginState>,
        separator: Separator,
    ) -> Self {
        let mut catalog = Self {
            generation,
            tools: Vec::new(),
            index: Index::default(),
            plugins: BTreeMap::new(),
            offered: Offered::default(),
            held: Default::default(),
            problems: Vec::new(),
            has_python: true,
            is_narrowed: false,
            listed: Default::default(),
        };
        catalog.add(Tool::health(), separator);
        let described: Vec<&Arc<Plugin>> = plugins
            .values()
            .filter_map(|state| match state {
                PluginState::Described(plugin) => Some(plugin),
                PluginState::Pending | PluginState::Failed(_) => None,
            })
            .collect();
        // Of two tools with one name the plugin that was linked earlier keeps it.
        let mut elders = described.clone();
        elders.sort_by_key(|plugin| plugin.linked());
        for plugin in elders {
            for tool in Tool::all_of(plugin, separator) {
                match plugin.standing().holds("tool", tool.command_name()) {
                    true => catalog.hold(tool),
                    false => catalog.add(tool, separator),
                }
            }
        }
        catalog.sort();
        let (offered, problems) = Offered::of(&described);
        catalog.offered = offered;
        catalog.problems.extend(problems);
        for plugin in &described {
            catalog.problems.extend(plugin.description().unseen.iter().map(|place| Problem {
                tool: format!("{}.{place}", plugin.name()),
                message: unseen::MESSAGE.to_owned(),
                left_out: false,
                is_tool: false,
            }));
        }
        catalog.plugins = plugins;
        catalog
    }

    fn hold(&mut self, tool: Tool) {
        let (held, index) = &mut self.held;
        index.add(held.len(), tool.wire_name(), tool.plugin_name(), tool.command_name());
        held.push(Arc::new(tool));
    }

    /// The same catalog with the tools alone that `is_reached`, and with what goes with these: a file or a text of a plugin
    /// goes with any of its tools, and what runs a command goes with the tool that this is.
    pub(crate) fn narrowed(&self, is_reached: impl Fn(&Tool) -> bool) -> Self {
        let tools = self.tools.iter().filter(|tool| is_reached(tool)).cloned().collect();
        let mut narrowed = Self {
            generation: self.generation,
            tools,
            index: Index::default(),
            plugins: self.plugins.clone(),
            offered: Offered::default(),
            // What is held back is not there for them.
            held: Default::default(),
            problems: Vec::new(),
            has_python: self.has_python,
            is_narrowed: true,
            listed: Default::default(),
        };
        narrowed.sort();
        narrowed.offered = self.offered.narrowed(|plugin, words| narrowed.may_run(plugin, words));
        narrowed
    }

    /// Whether these words of a plugin may be run for whoever sees this catalog; without words, whether it is there for them
    /// at all.
    pub(crate) fn may_run(&self, plugin: &Plugin, words: Option<&[String]>) -> bool {
        if !self.is_narrowed {
            return true;
        }
        let commands = &plugin.description().commands;
        let begins = |path: &[String]| words.is_some_and(|words| !path.is_empty() && words.starts_with(path));
        let named = commands.iter().enumerate().filter(|(_, command)| begins(&command.path));
        let named = named.max_by_key(|(_, command)| command.path.len()).map(|(index, _)| index);
        self.tools.iter().any(|tool| match tool.kind() {
            Kind::Command { plugin: of, index } => {
                of.name() == plugin.name() && named.is_none_or(|named| named == *index)
            }
            Kind::Health => false,
        })
    }

    /// Brings the tools into the order of their plugins' names, our own first.
    fn sort(&mut self) {
        self.tools.sort_by(|one, other| one.plugin_name().cmp(&other.plugin_name()));
        self.index = Index::default();
        for (at, tool) in self.tools.iter().enumerate() {
            self.index.add(at, tool.wire_name(), tool.plugin_name(), tool.command_name());
        }
    }

    /// What clients would choke on, or a name that is taken, keeps its tool out and says so.
    fn add(&mut self, tool: Tool, separator: Separator) {
        let wire = tool.wire_name();
        if let Err(reason) = tool.header_parameters() {
            let message = format!("left out: {reason}");
            self.problems.push(Problem {
                tool: tool.id().to_owned(),
                message,
                left_out: true,
                is_tool: true,
            });
            return;
        }
        let fault = names::fault(wire, separator);
        let error = match fault {
            Some(fault @ (Fault::Letters | Fault::TooLong)) => Some(fault.message(wire)),
            Some(Fault::Long) | None => self
                .index
                .is_taken(wire)
                .map(|other| format!("`{wire}` is also the name of `{}`", self.tools[other].id())),
        };
        if let Some(message) = error {
            let message = format!("left out: {message}; set `tool_name`");
            self.problems.push(Problem {
                tool: tool.id().to_owned(),
                message,
                left_out: true,
                is_tool: true,
            });
            return;
        }
        if let Some(fault) = fault {
            let message = fault.message(wire);
            self.problems.push(Problem {
                tool: tool.id().to_owned(),
                message,
                left_out: false,
                is_tool: true,
            });
        }
        if let Some(Err(reason)) = tool.output_schema() {
            let message = format!("its outputSchema is not listed: {reason}");
            self.problems.push(Problem {
                tool: tool.id().to_owned(),
                message,
                left_out: false,
                is_tool: true,
            });
        }
        self.index.claim(self.tools.len(), wire, tool.plugin_name(), tool.command_name());
        self.tools.push(Arc::new(tool));
    }

    pub(crate) fn tools(&self) -> &[Arc<Tool>] {
        &self.tools
    }

    /// Resources, templates and prompts.
    pub(crate) fn offered(&self) -> &Offered {
        &self.offered
    }

    /// Finds a tool by any of its spellings.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Tool>, FindError> {
        self.index.find(name).map(|tool| Arc::clone(&self.tools[tool])).map_err(|missing| {
            let short: String = name.chars().take(128).collect();
            if missing == NotFound::Unknown
                && let Some(error) = self.withholds(name)
            {
                return error;
            }
            match missing {
                NotFound::Unknown => {
                    let names = self.tools.iter().map(|tool| tool.wire_name().to_owned());
                    FindError::Unknown { near: nearest(name, names), name: short }
                }
                NotFound::Ambiguous(tools) => FindError::Ambiguous {
                    name: short,
                    candidates: tools.iter().map(|tool| self.tools[*tool].wire_name().to_owned()).collect(),
                },
            }
        })
    }

    /// Returns all tools as `{"tools": […]}`, with the fields that a revision has; made once.
    pub(crate) fn listed(&self, fields: Fields) -> Bytes {
        let make = || {
            let tools: Vec<_> = self.tools.iter().map(|tool| tool.shown(fields)).collect();
            serde_json::to_vec(&BTreeMap::from([("tools", tools)])).expect("a tool has string keys").into()
        };
        self.listed[fields as usize].get_or_init(make).clone()
    }

    /// Returns one page of the list, made anew: only catalogs of more than a page need it.
    pub(crate) fn tools_from(&self, start: usize, most: usize, fields: Fields) -> Vec<serde_json::Value> {
        self.tools.iter().skip(start).take(most).map(|tool| tool.to_json(fields)).collect()
    }

    pub(crate) fn plugins(&self) -> &BTreeMap<String, PluginState> {
        &self.plugins
    }

    pub(crate) fn plugin_counts(&self) -> PluginCounts {
        let mut counts = PluginCounts::default();
        for state in self.plugins.values() {
            match state {
                PluginState::Described(_) => counts.described += 1,
                PluginState::Pending => counts.pending += 1,
                PluginState::Failed(_) => counts.failed += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
mod schemas_tests;
#[cfg(test)]
mod tests;
