//! What operators ask about pins and decide, answered by whoever keeps the catalog: nothing moves meanwhile.

use tokio::sync::oneshot;

use super::{Comparison, Pins};
use crate::catalog::PluginState;
use crate::catalog::describing::Place;
use crate::catalog::store::Store;
use crate::config::PinPolicy;

/// One question or decision.
#[derive(Debug)]
pub(crate) enum PinQuestion {
    /// How every plugin stands to its pin, or one.
    Compare { plugin: Option<String>, reply: oneshot::Sender<Vec<Pinning>> },
    /// Pins a plugin as it is, where it still is what the token names.
    Accept { plugin: String, token: String, uid: u32, reply: oneshot::Sender<Result<(), AcceptError>> },
}

/// How one plugin stands to its pin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pinning {
    pub(crate) plugin: String,
    pub(crate) policy: PinPolicy,
    /// Why there is nothing to compare with, such as a link to nothing.
    pub(crate) found: Result<Comparison, String>,
}

/// Why a plugin was not pinned anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error("no plugin is called `{0}`")]
    Unknown(String),
    #[error("`{0}` is not what was shown any more")]
    Moved(String),
    #[error("`{plugin}` cannot be accepted: {reason}")]
    Failed { plugin: String, reason: String },
}

impl Pins {
    /// Compares one plugin of the catalog; reads its files.
    pub(in crate::catalog) fn look(
        &self,
        place: &Place,
        store: &Store,
        plugin: &str,
        state: &PluginState,
    ) -> Pinning {
        let policy = place.settings.pin_policy(plugin);
        let found = place.as_it_is(plugin, store, state);
        let found = found.map(|(now, description)| self.comparison(&now, description.as_ref()));
        Pinning { plugin: plugin.to_owned(), policy, found }
    }

    /// Accepts one plugin of the catalog.
    pub(in crate::catalog) fn decide(
        &self,
        place: &Place,
        store: &Store,
        plugin: &str,
        state: &PluginState,
        (token, uid): (&str, u32),
    ) -> Result<(), AcceptError> {
        let failed = |reason| AcceptError::Failed { plugin: plugin.to_owned(), reason };
        let (now, description) = place.as_it_is(plugin, store, state).map_err(failed)?;
        if self.comparison(&now, description.as_ref()).token != token {
            return Err(AcceptError::Moved(plugin.to_owned()));
        }
        self.accept(&now, description.as_ref(), uid).map_err(failed)
    }
}
