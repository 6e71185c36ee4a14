//! The calls of this moment: who runs what, and the way to stop it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::auth::Caller;
use crate::executor::Live;

/// Every call that runs or waits for its turn.
#[derive(Debug, Default)]
pub(crate) struct Running {
    calls: Mutex<BTreeMap<String, Call>>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) caller: Caller,
    pub(crate) since: Instant,
    pub(crate) live: Arc<Live>,
    cancel: CancellationToken,
}

impl Running {
    /// Notes a call until the guard is dropped.
    pub(super) fn enter(
        &self,
        id: &str,
        tool: &str,
        caller: &Caller,
        live: &Arc<Live>,
        cancel: CancellationToken,
    ) -> Entered<'_> {
        let call = Call {
            tool: tool.to_owned(),
            caller: caller.clone(),
            since: Instant::now(),
            live: Arc::clone(live),
            cancel,
        };
        self.lock().insert(id.to_owned(), call);
        Entered { running: self, id: id.to_owned() }
    }

    /// Every call with its id.
    pub(crate) fn all(&self) -> Vec<(String, Call)> {
        self.lock().iter().map(|(id, call)| (id.clone(), call.clone())).collect()
    }

    /// Cancels a call; `false` where none has that id.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        let calls = self.lock();
        let found = calls.get(id);
        if let Some(call) = found {
            call.cancel.cancel();
        }
        found.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds a call's place in the list.
#[derive(Debug)]
pub(super) struct Entered<'a> {
    running: &'a Running,
    id: String,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
    }
}
