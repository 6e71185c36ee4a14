//! `smcpd` turns every command of every linked CLI plugin into a Model Context Protocol (MCP) tool.
//!
//! A call travels one way: a client reaches a door (`transport`), the door hands one JSON-RPC message to
//! `protocol`, which finds the tool in the `catalog`, which turns arguments into an argv and gives it to the
//! `executor`, which runs a program and has never heard of a tool. A module names only what stands below it:
//!
//! | rank | modules |
//! |---|---|
//! | 5 | `daemon`, `bench` |
//! | 4 | `transport`, `control` |
//! | 3 | `protocol` |
//! | 2 | `catalog` |
//! | 1 | `executor` |
//! | 0 | `activation`, `audit`, `auth`, `config`, `events`, `journal`, `letta`, `limits`, `logging`, `metrics`, `notify`, `oauth`, `paths`, `pulse`, `recent`, `redact`, `shutdown`, `throttle`, `tls` |
//!
//! A test reads the sources and holds that order.

mod activation;
mod audit;
mod auth;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod catalog;
mod config;
mod control;
mod daemon;
mod events;
mod executor;
mod heavy;
mod hexadecimal;
mod journal;
mod letta;
mod limits;
mod logging;
mod metrics;
mod notify;
mod oauth;
mod outbound;
mod paths;
mod protocol;
mod pulse;
mod recent;
mod redact;
mod shutdown;
mod stamp;
mod throttle;
mod tls;
mod transport;

pub use daemon::main;
