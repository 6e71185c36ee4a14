//! Tests that start the real `smcpd` and speak to it over real sockets.
#![expect(clippy::disallowed_methods, reason = "a test may block its own thread")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activation;
mod alone;
mod arguments;
mod calls;
mod chaos;
mod client;
mod confirming;
mod containers;
mod dialogue;
mod discovery;
mod doors;
mod errors;
mod groups;
mod hijacking;
mod hostile_clients;
mod hostile_plugins;
mod keys;
mod launchers;
mod layers;
mod letta;
mod limits;
mod listen;
mod oauth;
mod observed;
mod offers;
mod official_client;
mod ownership;
mod pins;
mod reload;
mod resuming;
mod revocation;
mod sandbox;
mod schema;
mod schema_said;
mod secrets;
mod service;
mod shared_key;
mod sse;
mod starting;
mod stateless;
mod stdio;
mod stopping;
mod streamable;
mod tasks;
mod tls;
mod warm;

use smcp_test_support::Setup;

/// A daemon of this build.
fn smcpd() -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_smcpd"))
}
