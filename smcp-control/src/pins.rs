//! How plugins stand to what was approved of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One plugin beside its pin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    pub plugin: String,
    /// `warn`, `hold` or `block`.
    pub policy: String,
    /// `same`, `drifted` (it is served), `held` (some of its tools are withheld), `blocked` (all of it is), `unpinned`,
    /// or `unreadable` (there is nothing to compare with).
    pub state: String,
    /// Names just this state: accepting it takes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// What differs in a line, or why there is nothing to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Whether it is known what the plugin offers now: one that is withheld was not asked.
    #[serde(default)]
    pub described: bool,
    /// The plugin's directory, from where to where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<(String, String)>,
    #[serde(default)]
    pub files: Vec<FileDrift>,
    #[serde(default)]
    pub contract: Vec<ContractDrift>,
}

/// When a plugin was pinned, and who saw to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// RFC 3339, UTC.
    pub time: String,
    /// `first sight` or `accepted`.
    pub how: String,
    /// Who made the link, or accepted.
    pub uid: Option<u32>,
    /// The release of smcpd that described it.
    pub release: String,
}

/// A file that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDrift {
    /// Below the plugin's directory; of a link with an `@` behind it.
    pub path: String,
    /// `added`, `removed`, `changed` or `mode`.
    pub change: String,
    /// Octal, from what to what where that is what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<(String, String)>,
    /// Where a link led and leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<(String, String)>,
}

/// A tool, prompt, resource or template, or the plugin's own words, not as they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContractDrift {
    /// `tool`, `prompt`, `resource`, `template` or `plugin`.
    pub kind: String,
    pub name: String,
    /// Absent: it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Absent: it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// A tool that is not served because it is not what was approved, or all of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    pub plugin: String,
    /// Absent: all of the plugin, and nobody asked what that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<WithheldTool>,
}

/// The names of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithheldTool {
    /// `plugin.command`
    pub id: String,
    /// The name on the MCP wire.
    pub name: String,
}
