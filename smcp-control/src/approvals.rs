//! Calls that wait for an operator.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call that somebody has to approve or deny.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub id: String,
    /// `plugin.command`
    pub tool: String,
    pub caller: String,
    /// What the client says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Without the values of secrets; what is long is cut.
    pub arguments: Value,
    /// Since it was asked for, and until it is refused.
    pub waits_ms: u64,
    pub left_ms: u64,
}
