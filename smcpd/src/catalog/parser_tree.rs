//! What a plugin's own argument parser says of itself: the tree that the probe writes and that the
//! reader of help text rebuilds as well as text allows. One shape for both, so that everything
//! behind it (parameters, schemas, argv) never asks where a fact came from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One parser or subparser: its actions in the order they were added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Parser {
    pub(crate) description: Option<String>,
    pub(crate) epilog: Option<String>,
    pub(crate) actions: Vec<Action>,
    /// `fromfile_prefix_chars`: a word that begins with one of them names a file of further words.
    pub(crate) file_prefixes: Option<String>,
    /// Groups of which at most one member may be given.
    pub(crate) exclusive: Vec<Exclusive>,
}

/// A mutually exclusive group, its members as indexes into [`Parser::actions`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Exclusive {
    pub(crate) required: bool,
    pub(crate) members: Vec<usize>,
}

/// One option or positional of a parser.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Action {
    pub(crate) dest: String,
    /// Every spelling, as declared; empty for a positional.
    pub(crate) flags: Vec<String>,
    pub(crate) kind: Kind,
    #[serde(rename = "type")]
    pub(crate) value_type: ValueType,
    pub(crate) nargs: Nargs,
    pub(crate) choices: Option<Vec<Value>>,
    pub(crate) default: Option<Value>,
    pub(crate) required: bool,
    /// With `%(default)s` and its like already filled in.
    pub(crate) help: Option<String>,
    /// `help=argparse.SUPPRESS`.
    pub(crate) hidden: bool,
    pub(crate) metavar: Option<String>,
    /// Only for [`Kind::Subcommands`].
    pub(crate) commands: Vec<Subcommand>,
}

/// One entry of an `add_subparsers()` action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Subcommand {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) help: Option<String>,
    pub(crate) parser: Parser,
}

/// What an action does with its values; `Custom` is an action class of the plugin's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[default]
    Store,
    StoreConst,
    StoreTrue,
    StoreFalse,
    Append,
    AppendConst,
    Extend,
    Count,
    BooleanOptional,
    Help,
    Version,
    Subcommands,
    Custom,
}

/// The type a value is converted to; `Unknown` is a callable of the plugin's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ValueType {
    #[default]
    String,
    Integer,
    Number,
    Unknown,
}

/// How many values an action takes: JSON `null`, a number, or argparse's own sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub(crate) enum Nargs {
    /// `nargs=None`: exactly one, not in a list. Also what a flag without values says.
    #[default]
    One,
    /// `nargs=N`: a list of exactly N (0 for the flag-like actions).
    Exactly(u32),
    /// `"?"`
    Optional,
    /// `"*"`
    Any,
    /// `"+"`
    AtLeastOne,
    /// `"..."` (`argparse.REMAINDER`)
    Remainder,
    /// `"A..."` (a subcommand and its arguments)
    Subcommand,
}

impl TryFrom<Value> for Nargs {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::Null => Ok(Self::One),
            Value::Number(number) => number
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .map(Self::Exactly)
                .ok_or_else(|| format!("`{number}` is no number of arguments")),
            Value::String(sign) => match sign.as_str() {
                "?" => Ok(Self::Optional),
                "*" => Ok(Self::Any),
                "+" => Ok(Self::AtLeastOne),
                "..." => Ok(Self::Remainder),
                "A..." => Ok(Self::Subcommand),
                _ => Err(format!("`{sign}` is no number of arguments")),
            },
            _ => Err(format!("`{value}` is no number of arguments")),
        }
    }
}

impl From<Nargs> for Value {
    fn from(nargs: Nargs) -> Self {
        match nargs {
            Nargs::One => Self::Null,
            Nargs::Exactly(n) => n.into(),
            Nargs::Optional => "?".into(),
            Nargs::Any => "*".into(),
            Nargs::AtLeastOne => "+".into(),
            Nargs::Remainder => "...".into(),
            Nargs::Subcommand => "A...".into(),
        }
    }
}
