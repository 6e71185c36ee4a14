//! The messages themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the daemon says before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub version: String,
    /// What this socket offers.
    pub access: Access,
}

/// What a request needs, and a socket offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// To see tools and call them.
    Call,
    /// To see and change everything.
    Control,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    Health,
    Tools,
    Call {
        tool: String,
        #[serde(default)]
        arguments: Map<String, Value>,
    },
    Status,
    Plugins,
    Rescan,
    Sessions,
    Calls,
    Cancel {
        call: String,
    },
}

impl Request {
    /// Returns the access that the request needs.
    pub fn access(&self) -> Access {
        match self {
            Self::Health | Self::Tools | Self::Call { .. } => Access::Call,
            Self::Status
            | Self::Plugins
            | Self::Rescan
            | Self::Sessions
            | Self::Calls
            | Self::Cancel { .. } => Access::Control,
        }
    }
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The body of `/health`.
    Health {
        health: Value,
    },
    Tools {
        tools: Vec<ToolInfo>,
    },
    /// A `CallToolResult` of the Model Context Protocol.
    Called {
        result: Value,
    },
    Status(Status),
    Plugins {
        plugins: Vec<PluginInfo>,
    },
    Changes(Changes),
    Sessions {
        sessions: Vec<SessionInfo>,
    },
    Calls {
        calls: Vec<CallInfo>,
    },
    Done,
    Refused(Refusal),
}

/// The daemon in one screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `starting`, `ok` or `draining`.
    pub status: String,
    pub version: String,
    pub pid: u32,
    pub uptime_seconds: u64,
    /// Where HTTP is served.
    pub address: Option<String>,
    pub plugins_directory: String,
    pub plugins: PluginCounts,
    pub tools: usize,
    pub sessions: usize,
    pub calls_running: usize,
    pub calls_waiting: usize,
    pub calls_ok: u64,
    pub calls_failed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginCounts {
    pub described: usize,
    pub pending: usize,
    pub failed: usize,
}

/// A tool as `tools/list` has it, with its identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolInfo {
    /// `plugin.command`
    pub id: String,
    /// The name on the MCP wire.
    pub name: String,
    /// Absent for the daemon's own tools.
    pub plugin: Option<String>,
    pub description: String,
    pub input_schema: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    pub name: String,
    pub state: PluginState,
    /// Where it really is, once it is described.
    pub directory: Option<String>,
    pub tools: usize,
    /// Why it failed.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Described,
    Pending,
    Failed,
}

/// What a rescan changed.
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its first letters: the whole id would open the session.
    pub id: String,
    pub transport: String,
    pub revision: String,
    pub caller: String,
    pub in_flight: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallInfo {
    pub id: String,
    pub tool: String,
    pub caller: String,
    pub milliseconds: u64,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The daemon does not know the request, or cannot read it.
    Unknown,
    NotFound,
    NotPermitted,
    Busy,
    Failed,
}
