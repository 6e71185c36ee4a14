//! What a command is, whoever described it: its parameters, and how each goes on the command line.

pub(crate) mod offers;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use offers::Offers;

use crate::config::WarmMode;

/// Everything known of one plugin once it has been described; this is what the cache on disk holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Description {
    /// How it was found out.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) source: Source,
    /// Its parser was seen, and adds its facts each time.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) parser_seen: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) description: Option<String>,
    /// Variables that the contract declares.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) environment: Vec<Variable>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) timeout: Option<f64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) concurrency: Option<u32>,
    /// The most that may be kept ready for it.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) warm: Option<WarmMode>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) preload: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) commands: Vec<Command>,
    /// What it offers besides tools.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) offers: Offers,
    /// Where in it stood what nobody would see, which is taken out.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) unseen: Vec<String>,
    /// What the contract says at its top and of its plugin that is not known here; it survives being written.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) extra: Map<String, Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) plugin_extra: Map<String, Value>,
}

/// What is as it would be if nothing was said need not be written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Description {
    /// Drops what only the contract's author asks for, examples among it, and what was allocated to grow into: a
    /// daemon keeps this as long as it runs.
    pub(crate) fn kept(mut self) -> Self {
        (self.extra, self.plugin_extra) = Default::default();
        for command in &mut self.commands {
            command.extra = Map::new();
            for parameter in &mut command.parameters {
                parameter.extra = Map::new();
            }
            command.parameters.shrink_to_fit();
            command.path.shrink_to_fit();
        }
        self.commands.shrink_to_fit();
        self.offers.forget_extra();
        self
    }
}

/// The step of discovery that succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    #[default]
    Contract,
    /// `contract.json` beside the entry point.
    ContractFile,
    Parser,
    HelpText,
    Epilog,
}

impl Source {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::ContractFile => "contract_file",
            Self::Parser => "parser",
            Self::HelpText => "help_text",
            Self::Epilog => "epilog",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Variable {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) required: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) secret: bool,
}

/// One subcommand of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Command {
    /// The tool's half of the name: the path joined with `_`.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) name: String,
    /// The words on the command line.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) path: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) annotations: Option<Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) exclusive: Vec<Exclusive>,
    /// Replaces the schema we would build.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) input_schema: Option<Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) output_schema: Option<Value>,
    /// The exact name on the wire.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) tool_name: Option<String>,
    /// Arguments go to stdin as one JSON object, not on the command line.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) stdin: bool,
    /// Lines of JSON on stderr may tell its progress.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) progress: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) timeout: Option<f64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) concurrency: Option<u32>,
    /// Whether a call may become a task.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) task: Option<TaskSupport>,
    /// Nothing is known of its parameters: any are taken.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) open: bool,
    /// What the contract says of it that is not known here.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) extra: Map<String, Value>,
}

/// Whether a call may outlive its request, where the client knows tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TaskSupport {
    Optional,
    /// A client that knows no tasks is refused.
    Required,
}

impl TaskSupport {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Optional, Self::Required].into_iter().find(|support| support.as_str() == text)
    }
}

impl Command {
    /// Returns whether it may destroy something: MCP takes it for granted where nothing else is said.
    pub(crate) fn may_destroy(&self) -> bool {
        let says = |hint: &str, value: bool| {
            self.annotations.as_ref().is_some_and(|all| all[hint] == Value::Bool(value))
        };
        !says("readOnlyHint", true) && !says("destructiveHint", false)
    }

    /// Returns whether calls of it may overlap with each other.
    pub(crate) fn is_read_only(&self) -> bool {
        self.annotations.as_ref().is_some_and(|all| all["readOnlyHint"] == Value::Bool(true))
    }
}

/// Parameters of which at most one may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Exclusive {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) required: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) members: Vec<String>,
}

/// One parameter of a command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Parameter {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) kind: Type,
    /// Its type is not known, or is several: a value passes as it is.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) any: bool,
    /// Of an array's items, where known.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) items: Option<Type>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) required: bool,
    /// Nobody should see its value.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) secret: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) default: Option<Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) choices: Option<Vec<Value>>,
    /// Bounds on the number of an array's items.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) least: Option<u32>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) most: Option<u32>,
    /// JSON Schema keywords that the author wrote.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) keywords: Map<String, Value>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) shape: Shape,
    /// The spelling on the command line; `None` for a positional.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) flag: Option<String>,
    /// How many words of the command's path stand before it.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) level: usize,
    /// What this plugin's parser makes of a word that stands alone.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) words: Words,
    /// What the contract says of it that is not known here.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) extra: Map<String, Value>,
}

/// What a parser makes of a word that is no flag of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Words {
    /// `-1` is a value: the parser is known, and has no flag that looks like a number.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) negative_numbers: bool,
    /// A word that begins with one of these names a file of further words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) file_prefixes: String,
    /// The long flags of each parser on the way, where the parameter is a remainder: even there, a word that
    /// abbreviates two of them is an error to argparse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) long_flags: Vec<Vec<String>>,
}

/// A JSON type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    #[default]
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

impl Type {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::String, Self::Integer, Self::Number, Self::Boolean, Self::Array, Self::Object]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// How a parameter goes on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// `--flag=value`; a boolean as `--flag=true`, an object as compact JSON.
    #[default]
    Option,
    /// The bare flag when true.
    SwitchOn,
    /// The bare flag when false.
    SwitchOff,
    /// The bare flag when true, the other one when false.
    OnOff { off: String },
    /// The bare flag that many times.
    Count,
    /// The flag once, then all values.
    List,
    /// The flag for each value.
    Repeat,
    /// The flag for each list of values.
    RepeatList,
    /// A value without a flag.
    Positional,
    /// Values without a flag.
    Positionals,
    /// All that follows, at the very end.
    Remainder,
}

/// Returns whether a parameter of that name holds what nobody should read in a log or a default.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = same_spelling(name).to_ascii_lowercase();
    ["password", "passwd", "secret", "token", "api_key", "apikey", "ssn", "credential", "private_key"]
        .iter()
        .any(|word| name.contains(word))
}

/// Brings hyphen and underscore spellings of a name together.
pub(crate) fn same_spelling(name: &str) -> String {
    name.trim_start_matches('-').replace('-', "_")
}
