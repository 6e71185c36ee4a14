//! Profiles, and what allows or stops a call.

use serde::{Deserialize, Serialize};

/// A named selection of tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileInfo {
    pub name: String,
    /// Where it is defined.
    pub origin: String,
    /// Whether it is that of whoever has none.
    pub is_default: bool,
    /// What it says, one line each.
    pub rules: Vec<String>,
    /// The identities of the tools that it selects now.
    pub tools: Vec<String>,
    /// Rules that no tool fits now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<String>,
    /// The keys that have it, of those that operators made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// One thing that allows a call or stops it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `key`, `expiry`, `profile`, `tool`, `plugin`, `pin`, `confirm`, `sandbox` or `limits`.
    pub what: String,
    pub allows: bool,
    pub message: String,
}
