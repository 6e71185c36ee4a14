//! What `smcpd` and `smcpctl` say to each other over the control socket: both sides agree on this byte for byte.
//!
//! A conversation is lines of JSON over a Unix socket, one value a line, each at most [`FRAME`] bytes. The daemon
//! speaks first ([`Hello`]); then the client sends one [`Request`] after the other. Each gets one [`Reply`]; those
//! that follow something get any number of partial ones first ([`Reply::is_partial`]). Closing the connection ends
//! whatever the client still waits for: a call ends like one that was cancelled.
//!
//! # How the wire may change
//!
//! Within one protocol number a field may be added where its absence has a meaning, and a request or a reply may be
//! added. Unknown fields are passed over, an unknown request is refused with [`RefusalCode::Unknown`]. Nothing is
//! renamed, removed, or given another meaning: that needs a new [`PROTOCOL`]. `tests/frames/1.jsonl` holds a frame of
//! each kind as the first version wrote it; every later version still reads them.

mod approvals;
mod client;
mod filter;
mod frames;
mod keys;
mod launch;
mod location;
mod pins;
mod profiles;
mod records;
mod state;
mod wire;

pub use approvals::Approval;
pub use client::{Client, ClientError};
pub use filter::Filter;
pub use frames::{Access, CallEvent, Cause, Hello, Refusal, RefusalCode, Reply, Request};
pub use keys::{KeyChanged, KeyInfo, KeySource, KeyState, SecretText};
pub use launch::Launch;
pub use location::{CALL_SOCKET, CONTROL_SOCKET, candidates};
pub use pins::{ContractDrift, FileDrift, Pin, Pinned, Withheld, WithheldTool};
pub use profiles::{ProfileInfo, Reason};
pub use records::{
    AuditRecord, Change, Changes, ConfigValue, Finding, LogRecord, Reloaded, Severity, ValueChange,
};
pub use state::{
    Activity, CallInfo, ContainerAddress, Described, GroupActivity, GroupInfo, LaneInfo, PluginCounts,
    PluginDetail, PluginInfo, PluginState, Problem, Sandbox, SessionInfo, Status, Tls, ToolActivity,
    ToolInfo, Variable, Warm,
};
pub use wire::{FRAME, WireError, read, write};

/// The number of the protocol; a client that speaks another one says so and leaves.
pub const PROTOCOL: u32 = 1;
