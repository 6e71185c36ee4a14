//! How a command of a plugin is started, for whoever starts one by hand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys::SecretText;

/// What a call of a plugin is started with, and what holds it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    pub program: String,
    /// What follows the program's own name.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub directory: String,
    /// The whole environment, secrets of the plugin among it. What is not UTF-8 is left out.
    pub environment: BTreeMap<String, SecretText>,
    /// What `smcpd launch` is told to put on; absent: the operator wants no sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// System calls that the sandbox refuses whoever makes them.
    #[serde(default)]
    pub refused_calls: Vec<String>,
    /// Devices that every plugin may read and write.
    #[serde(default)]
    pub devices: Vec<String>,
    /// How long it may run; absent: as long as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
}
