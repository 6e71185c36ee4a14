//! The conversation itself: the greeting, what is asked, what is answered, and why something was refused.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::approvals::Approval;
use crate::filter::Filter;
use crate::keys::{KeyChanged, KeyInfo};
use crate::launch::Launch;
use crate::pins::{Pin, Withheld};
use crate::profiles::{ProfileInfo, Reason};
use crate::records::{AuditRecord, Changes, ConfigValue, Finding, LogRecord, Reloaded};
use crate::state::{Activity, CallInfo, PluginDetail, PluginInfo, SessionInfo, Status, ToolInfo};

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
    /// With `follow`, [`Reply::Event`]s come before the result.
    Call {
        tool: String,
        #[serde(default)]
        arguments: Map<String, Value>,
        #[serde(default, skip_serializing_if = "is_false")]
        follow: bool,
    },
    /// Makes the rest of the connection, after [`Reply::Done`], a conversation of the Model Context Protocol in
    /// its stdio transport.
    Stdio,
    Status,
    Plugins,
    Plugin {
        name: String,
    },
    /// Asks how a command of a plugin is started. It is for root and the daemon's own user, who get the plugin's secrets.
    Launch {
        plugin: String,
        /// The command with its arguments, as the plugin itself reads them.
        words: Vec<String>,
    },
    Rescan {
        /// Only say what would change.
        #[serde(default, skip_serializing_if = "is_false")]
        plan: bool,
        /// What the client did that makes it ask; audited instead of the rescan.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// Reads the configuration again, and rescans.
    Reload {
        /// Only check it, and say what would change.
        #[serde(default, skip_serializing_if = "is_false")]
        plan: bool,
    },
    Config,
    Doctor,
    Sessions,
    Calls,
    Cancel {
        call: String,
    },
    Activity,
    /// How every plugin stands to its pin, or one.
    Pins {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plugin: Option<String>,
    },
    /// The calls that wait for an operator.
    Approvals,
    /// Approves or denies one of them.
    Decide {
        id: String,
        approve: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Pins a plugin as it is, where it still is what [`Pin::token`] names.
    AcceptPin {
        plugin: String,
        token: String,
    },
    /// Answered by [`Reply::Log`]s, and by [`Reply::Done`] unless they are followed.
    Logs {
        lines: usize,
        #[serde(default, skip_serializing_if = "is_false")]
        follow: bool,
        #[serde(default, skip_serializing_if = "Filter::is_empty")]
        filter: Filter,
    },
    /// Answered by [`Reply::Audit`]s, and by [`Reply::Done`] unless they are followed.
    Audit {
        lines: usize,
        #[serde(default, skip_serializing_if = "is_false")]
        follow: bool,
        #[serde(default, skip_serializing_if = "Filter::is_empty")]
        filter: Filter,
    },
    Keys,
    KeyCreate {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// Empty: what a caller without a profile reaches.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        profiles: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_seconds: Option<u64>,
    },
    KeyRevoke {
        name: String,
    },
    KeyRotate {
        name: String,
        /// How long the old secret goes on.
        overlap_seconds: u64,
    },
    Profiles,
    /// Asks what allows or stops a call of a tool by the holder of a key, or by whoever has none.
    Why {
        tool: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A change that the client made itself, in the plugins directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `link`, `unlink` or `deps`.
    pub action: String,
    pub object: String,
}

impl Request {
    /// Returns the access that the request needs.
    pub fn access(&self) -> Access {
        match self {
            Self::Health | Self::Tools | Self::Call { .. } | Self::Stdio => Access::Call,
            Self::Status
            | Self::Plugins
            | Self::Plugin { .. }
            | Self::Launch { .. }
            | Self::Rescan { .. }
            | Self::Reload { .. }
            | Self::Config
            | Self::Doctor
            | Self::Sessions
            | Self::Calls
            | Self::Cancel { .. }
            | Self::Activity
            | Self::Pins { .. }
            | Self::AcceptPin { .. }
            | Self::Approvals
            | Self::Decide { .. }
            | Self::Logs { .. }
            | Self::Audit { .. }
            | Self::Keys
            | Self::KeyCreate { .. }
            | Self::KeyRevoke { .. }
            | Self::KeyRotate { .. }
            | Self::Profiles
            | Self::Why { .. } => Access::Control,
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
        /// What is not among them because it is not what was approved.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        withheld: Vec<Withheld>,
    },
    /// Something about the call that was asked for; its result is still to come.
    Event(CallEvent),
    /// A `CallToolResult` of the Model Context Protocol.
    Called {
        result: Value,
    },
    Status(Status),
    Plugins {
        plugins: Vec<PluginInfo>,
    },
    Plugin(PluginDetail),
    Launch(Launch),
    Changes(Changes),
    Reloaded(Reloaded),
    Config {
        values: Vec<ConfigValue>,
    },
    Findings {
        findings: Vec<Finding>,
    },
    Sessions {
        sessions: Vec<SessionInfo>,
    },
    Calls {
        calls: Vec<CallInfo>,
    },
    Activity(Activity),
    Pins {
        pins: Vec<Pin>,
    },
    Approvals {
        approvals: Vec<Approval>,
    },
    Log(LogRecord),
    Audit(AuditRecord),
    Keys {
        keys: Vec<KeyInfo>,
    },
    KeyChanged(KeyChanged),
    Profiles {
        profiles: Vec<ProfileInfo>,
    },
    /// In the order in which they are looked at.
    Why {
        reasons: Vec<Reason>,
    },
    /// So many records of a followed kind were lost because the client reads slowly.
    Missed {
        records: u64,
    },
    Done,
    Refused(Refusal),
}

impl Reply {
    /// Returns whether more replies to the same request follow this one.
    pub fn is_partial(&self) -> bool {
        match self {
            Self::Event(_) | Self::Log(_) | Self::Audit(_) | Self::Missed { .. } => true,
            Self::Health { .. }
            | Self::Tools { .. }
            | Self::Called { .. }
            | Self::Status(_)
            | Self::Plugins { .. }
            | Self::Plugin(_)
            | Self::Launch(_)
            | Self::Changes(_)
            | Self::Reloaded(_)
            | Self::Config { .. }
            | Self::Findings { .. }
            | Self::Sessions { .. }
            | Self::Calls { .. }
            | Self::Activity(_)
            | Self::Keys { .. }
            | Self::KeyChanged(_)
            | Self::Pins { .. }
            | Self::Profiles { .. }
            | Self::Why { .. }
            | Self::Approvals { .. }
            | Self::Done
            | Self::Refused(_) => false,
        }
    }
}

/// What a call says while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CallEvent {
    /// Its turn has come.
    Started,
    Progress {
        progress: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// A line of its stderr.
    Stderr { line: String },
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
    /// The configuration was refused; the old one stays.
    Invalid,
    Failed,
}
