//! What a session has still to be told: a bounded queue with one reader.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes that may wait, beside the number of messages; one message may always wait.
const MOST_BYTES: usize = 64 << 20;

/// Messages on their way to one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
    most: usize,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

/// The client reads too slowly, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    pub(crate) fn new(most: usize) -> Self {
        Self { queue: Mutex::default(), changed: Notify::new(), most }
    }

    pub(crate) fn push(&self, message: Bytes) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.closed {
            // Nobody will read it, and nobody misses it.
            return Ok(());
        }
        let full = queue.messages.len() >= self.most
            || (!queue.messages.is_empty() && queue.bytes + message.len() > MOST_BYTES);
        if full {
            return Err(Full);
        }
        queue.bytes += message.len();
        queue.messages.push_back(message);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Returns the next message, or `None` once the outbox was closed and everything in it was read.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(message) = queue.messages.pop_front() {
                    queue.bytes -= message.len();
                    return Some(message);
                }
                if queue.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Takes nothing more; what is in it can still be read.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_in_order_and_the_closed_outbox_is_read_to_its_end() {
        let outbox = Outbox::new(2);
        outbox.push("a".into()).unwrap();
        outbox.push("b".into()).unwrap();
        assert_eq!(outbox.push("c".into()), Err(Full));
        assert_eq!(outbox.next().await.unwrap(), "a");
        outbox.push("c".into()).unwrap();
        outbox.close();
        assert_eq!(outbox.push("d".into()), Ok(()));
        assert_eq!(outbox.next().await.unwrap(), "b");
        assert_eq!(outbox.next().await.unwrap(), "c");
        assert_eq!(outbox.next().await, None);
    }

    #[test]
    fn bytes_are_bounded_too_but_one_message_always_fits() {
        let outbox = Outbox::new(9);
        outbox.push(vec![b'x'; MOST_BYTES + 1].into()).unwrap();
        assert_eq!(outbox.push("y".into()), Err(Full));
    }
}
