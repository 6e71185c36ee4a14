//! How the daemon stops: first asked, then told.
//!
//! One [`Shutdown`] is shared by every part. `draining` says: take no new work; `now` says: end what is left.

use tokio_util::sync::CancellationToken;

/// The two steps of a stop, as signals that every part may await.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    draining: CancellationToken,
    now: CancellationToken,
}

impl Shutdown {
    /// Begins the drain: new work is refused from here on.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Ends what still runs.
    pub(crate) fn end_now(&self) {
        self.draining.cancel();
        self.now.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until the drain has begun.
    pub(crate) async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Waits until everything is to end.
    pub(crate) async fn ending(&self) {
        self.now.cancelled().await;
    }
}
