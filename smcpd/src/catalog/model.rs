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
    pub(crate) source: Source,
    /// Its parser was seen, and adds its facts each time.
    pub(crate) parser_seen: bool,
    pub(crate) title: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    /// Variables that the contract declares.
    pub(crate) environment: Vec<Variable>,
    pub(crate) timeout: Option<f64>,
    pub(crate) concurrency: Option<u32>,
    /// The most that may be kept ready for it.
    pub(crate) warm: Option<WarmMode>,
    pub(crate) preload: Vec<String>,
    pub(crate) commands: Vec<Command>,
    /// What it offers besides tools.
    pub(crate) offers: Offers,
    /// What the contract says at its top and of its plugin that is not known here; it survives being written.
    pub(crate) extra: Map<String, Value>,
    pub(crate) plugin_extra: Map<String, Value>,
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
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) required: bool,
    pub(crate) secret: bool,
}

/// One subcommand of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Command {
    /// The tool's half of the name: the path joined with `_`.
    pub(crate) name: String,
    /// The words on the command line.
    pub(crate) path: Vec<String>,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) annotations: Option<Value>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) exclusive: Vec<Exclusive>,
    /// Replaces the schema we would build.
    pub(crate) input_schema: Option<Value>,
    pub(crate) output_schema: Option<Value>,
    /// The exact name on the wire.
    pub(crate) tool_name: Option<String>,
    /// Arguments go to stdin as one JSON object, not on the command line.
    pub(crate) stdin: bool,
    /// Lines of JSON on stderr may tell its progress.
    pub(crate) progress: bool,
    pub(crate) timeout: Option<f64>,
    pub(crate) concurrency: Option<u32>,
    /// Whether a call may become a task.
    pub(crate) task: Option<TaskSupport>,
    /// Nothing is known of its parameters: any are taken.
    pub(crate) open: bool,
    /// What the contract says of it that is not known here.
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
    /// Returns whether calls of it may overlap with each other.
    pub(crate) fn is_read_only(&self) -> bool {
        self.annotations.as_ref().is_some_and(|all| all["readOnlyHint"] == Value::Bool(true))
    }
}

/// Parameters of which at most one may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Exclusive {
    pub(crate) required: bool,
    pub(crate) members: Vec<String>,
}

/// One parameter of a command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) kind: Type,
    /// Its type is not known, or is several: a value passes as it is.
    pub(crate) any: bool,
    /// Of an array's items, where known.
    pub(crate) items: Option<Type>,
    pub(crate) description: Option<String>,
    pub(crate) required: bool,
    /// Nobody should see its value.
    pub(crate) secret: bool,
    pub(crate) default: Option<Value>,
    pub(crate) choices: Option<Vec<Value>>,
    /// Bounds on the number of an array's items.
    pub(crate) least: Option<u32>,
    pub(crate) most: Option<u32>,
    /// JSON Schema keywords that the author wrote.
    pub(crate) keywords: Map<String, Value>,
    pub(crate) shape: Shape,
    /// The spelling on the command line; `None` for a positional.
    pub(crate) flag: Option<String>,
    /// How many words of the command's path stand before it.
    pub(crate) level: usize,
    /// What this plugin's parser makes of a word that stands alone.
    pub(crate) words: Words,
    /// What the contract says of it that is not known here.
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
