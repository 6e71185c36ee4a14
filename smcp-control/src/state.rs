//! What the daemon is and does at one moment, as it tells its clients.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// The port's certificate; absent: it speaks plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Where containers reach it beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ContainerAddress>,
    pub plugins_directory: String,
    /// Plugins may be linked from below these alone; empty: from anywhere.
    #[serde(default)]
    pub plugins_roots: Vec<String>,
    /// Further users, by number, who may own a plugin's files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins_owners: Vec<u32>,
    /// Where plugins keep their state, and virtual environments that do not fit beside them.
    #[serde(default)]
    pub state_directory: String,
    /// Whom the daemon runs as.
    #[serde(default)]
    pub uid: u32,
    /// The daemon's own places, which no plugin sees, nor whoever installs packages for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_places: Vec<String>,
    /// `require`, `best-effort` or `off`.
    #[serde(default)]
    pub sandbox_mode: String,
    pub plugins: PluginCounts,
    pub tools: usize,
    pub sessions: usize,
    pub calls_running: usize,
    pub calls_waiting: usize,
    pub calls_ok: u64,
    pub calls_failed: u64,
    /// Calls that wait for an operator.
    #[serde(default)]
    pub approvals_waiting: usize,
}

/// What the port speaks TLS with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The names and addresses that the certificate is for.
    pub names: Vec<String>,
    /// Until when it is good (RFC 3339).
    pub not_after: String,
    /// Whether clients show one too: `none`, `optional` or `required`.
    pub client_certificates: String,
}

/// An address on a container bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerAddress {
    pub address: String,
    /// The bridge's name on the host.
    pub bridge: String,
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
    /// Parameters whose values nobody should see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
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

impl PluginState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Described => "described",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// Everything about one plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginDetail {
    #[serde(flatten)]
    pub info: PluginInfo,
    /// The rest is empty until it is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described: Option<Described>,
    /// What its author or the operator should mend.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// What a plugin's description says beyond its tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// The step of discovery that succeeded: `contract`, `parser`, `help_text` or `epilog`.
    pub source: String,
    pub title: Option<String>,
    pub version: Option<String>,
    pub description: Option<String>,
    /// What is run.
    pub program: String,
    /// A digest over its files.
    pub digest: String,
    /// The identities of its tools.
    pub tools: Vec<String>,
    /// How long a call of it may take, in seconds; absent: as long as it likes.
    pub timeout_seconds: Option<f64>,
    /// Calls of it that may run at once.
    pub slots: usize,
    /// What is kept ready for its calls.
    #[serde(default)]
    pub warm: Warm,
    /// What its processes are held to.
    #[serde(default)]
    pub sandbox: Box<Sandbox>,
    /// What all its processes take together; absent where it has no control group, or nothing of it ran yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupInfo>,
    pub environment: Vec<Variable>,
}

/// What the processes of a plugin take together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Processes that live, those that wait for calls among them.
    pub processes: usize,
    /// Absent where nobody counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Since its first process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
}

/// What the processes of a plugin are held to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// `require`, `best-effort` or `off`; the rest is empty then.
    pub mode: String,
    /// Paths of the system that it cannot open, each with all that is below.
    #[serde(default)]
    pub hidden: Vec<String>,
    /// Paths that it reads all the same.
    #[serde(default)]
    pub read: Vec<String>,
    /// Paths that it reads and changes.
    #[serde(default)]
    pub write: Vec<String>,
    /// What it may run besides its own program; absent: whatever it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Vec<String>>,
    /// Ports that it connects to; absent: any. Empty: it has no network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Vec<u16>>,
    /// Bounds of each process, by the name of their key.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
    /// What this kernel lacks of it.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// What is kept ready for the calls of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warm {
    /// `spare`, `fork`, `always` or `off`.
    pub mode: String,
    /// Whether its parent is up.
    pub parent: bool,
    /// Spares that wait.
    pub spares: usize,
    /// Why there is less than the mode asks for.
    pub reason: Option<String>,
}

/// A variable that a plugin's contract declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub description: Option<String>,
    pub required: bool,
    /// Whether a call of it would have it.
    pub set: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub tool: String,
    pub message: String,
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
    /// Whether it still waits for its turn.
    #[serde(default)]
    pub waiting: bool,
    /// Since it was asked for.
    pub milliseconds: u64,
}

/// What goes on, and what went on lately.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    pub uptime_seconds: u64,
    pub sessions: usize,
    pub calls_ok: u64,
    pub calls_failed: u64,
    /// Lanes in which anything runs or waits.
    pub lanes: Vec<LaneInfo>,
    pub calls: Vec<CallInfo>,
    /// Calls that wait for an operator.
    #[serde(default)]
    pub approvals: usize,
    /// Plugins that have a control group in which something ran, by name.
    #[serde(default)]
    pub groups: Vec<GroupActivity>,
    /// Tools that were called lately, the busiest first.
    pub tools: Vec<ToolActivity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneInfo {
    pub lane: String,
    pub running: usize,
    pub waiting: usize,
}

/// What a plugin takes at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupActivity {
    pub plugin: String,
    #[serde(flatten)]
    pub group: GroupInfo,
}

/// The latest calls of one tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolActivity {
    pub tool: String,
    pub calls: u64,
    pub failed: u64,
    /// Calls that ended within the last minute.
    pub last_minute: usize,
    /// Of the latest calls, waiting included.
    pub p50_us: u64,
    pub p95_us: u64,
}
