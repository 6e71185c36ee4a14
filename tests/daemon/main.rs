//! Tests that start the real `smcpd` and speak to it over real sockets.
#![expect(clippy::disallowed_methods, reason = "a test may block its own thread")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activation;
mod calls;
mod chaos;
mod discovery;
mod doors;
mod layers;
mod observed;
mod offers;
mod official_client;
mod reload;
mod schema;
mod service;
mod sse;
mod starting;
mod stdio;
mod stopping;
mod streamable;

use smcp_test_support::Setup;

/// A daemon of this build.
fn smcpd() -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_smcpd"))
}
