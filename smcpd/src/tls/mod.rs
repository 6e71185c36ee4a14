//! TLS of our own port: what it is made of, how that is renewed, and who a client's certificate says it is.
//!
//! `load` makes a server of the files, `follow` does it again when they change, `client` names the caller. Connections
//! are accepted by the transport.

mod client;
mod follow;
mod load;

use std::sync::Arc;

use tokio::sync::{Notify, watch};

pub(crate) use client::Client;
pub(crate) use follow::Following;
pub(crate) use load::{LoadError, Loaded, load};

/// What is used at this moment, and why what the files have is not.
#[derive(Debug, Default)]
struct State {
    loaded: Option<Arc<Loaded>>,
    failure: Option<String>,
}

/// The port's TLS of this moment.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    state: watch::Receiver<State>,
    again: Arc<Notify>,
}

impl Tls {
    /// Returns what new connections are accepted with; `None` where the port speaks plain HTTP.
    pub(crate) fn get(&self) -> Option<Arc<Loaded>> {
        self.state.borrow().loaded.clone()
    }

    /// Of a port that speaks plain HTTP.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { state: watch::channel(State::default()).1, again: Arc::default() }
    }

    /// Returns why the files that are there now are not used.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state.borrow().failure.clone()
    }

    /// Has the files read again, under the configuration of this moment.
    pub(crate) fn refresh(&self) {
        self.again.notify_one();
    }
}
