//! How the daemon stops: first asked, then told.
//!
//! One [`Shutdown`] is shared by every part. `closed` says: nobody else comes in; `draining`: take no new work;
//! `now`: end what is left. Where the door is the service manager's, it is closed first and who comes waits for the
//! next daemon; a door of our own stays open through the drain, so that who comes is told.

use tokio_util::sync::CancellationToken;

/// The steps of a stop, as signals that every part may await.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    asked: CancellationToken,
    closed: CancellationToken,
    draining: CancellationToken,
    now: CancellationToken,
}

impl Shutdown {
    /// Asks for a stop; how it goes is for whoever waits for [`Self::asked`].
    pub(crate) fn ask(&self) {
        self.asked.cancel();
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Waits until somebody asks for a stop.
    pub(crate) async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Nobody else comes in; who is inside may say one thing more.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Begins the drain: new work is refused from here on.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Ends what still runs.
    pub(crate) fn end_now(&self) {
        for step in [&self.asked, &self.closed, &self.draining, &self.now] {
            step.cancel();
        }
    }

    /// Waits until nobody else is let in.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
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
