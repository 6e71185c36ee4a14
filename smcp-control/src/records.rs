//! What changed, what was found, and what was noted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a rescan changed, or would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<Change>,
    /// Plugins that cannot be described, with the reason.
    pub failed: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub tool: String,
    /// `+added`, `-removed` and `~changed` parameters.
    pub parameters: Vec<String>,
}

/// What reading the configuration again changed, or would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    pub values: Vec<ValueChange>,
    pub changes: Changes,
}

/// One value that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueChange {
    pub key: String,
    pub from: String,
    pub to: String,
    pub origin: String,
    /// The daemon goes on with the old value until it is started again.
    pub needs_restart: bool,
}

/// One value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValue {
    pub key: String,
    /// As TOML has it.
    pub value: String,
    /// Where it was set: a file with its line, a variable, a flag, or `default`.
    pub origin: String,
    /// The value that a restart would bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
}

/// Something that is wrong or will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable: scripts may rely on it.
    pub code: String,
    pub severity: Severity,
    /// The plugin, tool, file or address it is about.
    pub subject: String,
    pub message: String,
    pub fix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One record of the daemon's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// RFC 3339, UTC.
    pub time: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    pub message: String,
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// One change made through a door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// RFC 3339, UTC.
    pub time: String,
    /// Who asked, as the kernel says.
    pub uid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    pub action: String,
    pub object: String,
    /// `ok`, or why not.
    pub outcome: String,
}
