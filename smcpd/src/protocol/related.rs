//! Where messages go that belong to a request while it is answered: progress, log messages, questions to the client.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::session::Session;

/// Messages of one request that may wait for its client to read them.
pub(crate) const WAITING: usize = 64;

/// The way back to the client beside the answer itself.
#[derive(Debug, Clone, Default)]
pub(crate) enum Related {
    /// There is none: direct mode, the control socket, a client that reads no streams.
    #[default]
    Nowhere,
    /// The one stream of a session: HTTP+SSE and stdio.
    Session(Arc<Session>),
    /// The stream that the answer comes on (2025-03-26 and later, "sending messages to the server").
    Stream(mpsc::Sender<Bytes>),
}

impl Related {
    /// Returns whether anybody could hear a message.
    pub(crate) fn is_heard(&self) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Session(session) => !session.closed().is_cancelled(),
            Self::Stream(stream) => !stream.is_closed(),
        }
    }

    /// Sends what may be lost where the client reads too slowly; says whether it was sent.
    pub(crate) fn offer(&self, message: Bytes) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Session(session) => {
                session.send(message);
                true
            }
            Self::Stream(stream) => stream.try_send(message).is_ok(),
        }
    }

    /// Sends what must arrive; says whether it can.
    pub(crate) async fn send(&self, message: Bytes) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Session(session) => {
                session.send(message);
                !session.closed().is_cancelled()
            }
            Self::Stream(stream) => stream.send(message).await.is_ok(),
        }
    }
}
