//! What a session has still to be told: a bounded queue with one reader.
//!
//! The stream of `GET /mcp` may be come back for: another reader takes the place of one whose connection broke, and is
//! told again what only that one was told, and what was said while nobody read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::backlog::Backlog;
use super::resumption::{EventId, Log};
use crate::limits::Limit;

/// Bytes that may wait, beside the number of messages; one message may always wait.
const MOST_BYTES: usize = 64 << 20;
/// What is kept to be told again.
const MOST_AGAIN: usize = 32;
const MOST_BYTES_AGAIN: usize = 64 << 10;

/// Messages on their way to one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    backlog: Arc<Backlog>,
    changed: Notify,
    most: usize,
}

#[derive(Debug)]
struct Queue {
    messages: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
    /// Who reads; 0 is the one reader that a session has from its start to its end.
    reader: Option<u64>,
    readers: u64,
    /// The stream that clients may come back to, the latest.
    stream: Option<u64>,
    log: Log,
    again: VecDeque<(u64, Bytes)>,
    /// Said while nobody read.
    missed: VecDeque<Bytes>,
}

/// The client reads too slowly, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// More waits for it than may.
    Own,
    /// More waits for all clients together, and much of it for this one.
    Backlog,
}

impl Full {
    pub(super) fn limit(self) -> Limit {
        match self {
            Self::Own => Limit::Outbox,
            Self::Backlog => Limit::Backlog,
        }
    }
}

impl Outbox {
    /// With `is_read` it has its reader from the start.
    pub(crate) fn new(most: usize, is_read: bool, backlog: Arc<Backlog>) -> Self {
        let queue = Queue {
            messages: VecDeque::new(),
            bytes: 0,
            closed: false,
            reader: is_read.then_some(0),
            readers: 0,
            stream: None,
            log: Log::new(MOST_AGAIN, MOST_BYTES_AGAIN),
            again: VecDeque::new(),
            missed: VecDeque::new(),
        };
        Self { queue: Mutex::new(queue), backlog, changed: Notify::new(), most }
    }

    /// Says something to the reader; where there is none, to one that comes back.
    pub(crate) fn push(&self, message: Bytes) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.closed {
            // Nobody will read it, and nobody misses it.
            return Ok(());
        }
        if queue.reader.is_none() {
            if queue.stream.is_some() && message.len() <= MOST_BYTES_AGAIN / MOST_AGAIN {
                queue.missed.push_back(message);
                if queue.missed.len() > MOST_AGAIN {
                    queue.missed.pop_front();
                }
            }
            return Ok(());
        }
        let full = queue.messages.len() >= self.most
            || (!queue.messages.is_empty() && queue.bytes + message.len() > MOST_BYTES);
        if full {
            return Err(Full::Own);
        }
        if !self.backlog.has_room(queue.bytes, message.len()) {
            return Err(Full::Backlog);
        }
        self.backlog.add(message.len());
        queue.bytes += message.len();
        queue.messages.push_back(message);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Becomes the reader, as a new stream; `None` while there is one.
    pub(super) fn read_as(&self, stream: u64) -> Option<u64> {
        let mut queue = self.lock();
        if queue.reader.is_some() {
            return None;
        }
        queue.stream = Some(stream);
        queue.log.clear();
        queue.again.clear();
        queue.missed.clear();
        Some(queue.next_reader())
    }

    /// Becomes the reader in place of the one that reads this stream, or did; `None` where it is not the latest.
    pub(super) fn take_over(&self, seen: EventId) -> Option<u64> {
        let mut queue = self.lock();
        if queue.stream != Some(seen.stream) || queue.closed {
            return None;
        }
        queue.again = queue.log.after(seen.number);
        let missed = std::mem::take(&mut queue.missed);
        let bytes = missed.iter().map(Bytes::len).sum::<usize>();
        self.backlog.add(bytes);
        queue.bytes += bytes;
        queue.messages.extend(missed);
        let reader = queue.next_reader();
        drop(queue);
        // Whoever waits is not the reader any more, and must not take a later call.
        self.changed.notify_waiters();
        Some(reader)
    }

    /// Ends the reading, unless another has taken its place.
    pub(super) fn leave(&self, reader: u64) {
        let mut queue = self.lock();
        if queue.reader == Some(reader) {
            queue.reader = None;
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.lock().reader.is_some()
    }

    /// Returns the next message with its number; `None` once the outbox was closed and everything in it was read, and
    /// for who does not read it any more.
    pub(super) async fn read(&self, reader: u64) -> Option<(u64, Bytes)> {
        loop {
            // From here on, so that no call is missed.
            let changed = self.changed.notified();
            {
                let mut queue = self.lock();
                if queue.reader != Some(reader) {
                    return None;
                }
                if let Some(again) = queue.again.pop_front() {
                    return Some(again);
                }
                if let Some(message) = queue.messages.pop_front() {
                    queue.bytes -= message.len();
                    self.backlog.take(message.len());
                    let number = if reader == 0 { 0 } else { queue.log.push(message.clone()) };
                    return Some((number, message));
                }
                if queue.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Returns the next message for the reader that was there from the start.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        self.read(0).await.map(|(_, message)| message)
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

impl Drop for Outbox {
    fn drop(&mut self) {
        self.backlog.take(self.lock().bytes);
    }
}

impl Queue {
    fn next_reader(&mut self) -> u64 {
        self.readers += 1;
        self.reader = Some(self.readers);
        self.readers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Current;

    fn outbox(most: usize, is_read: bool) -> Outbox {
        Outbox::new(most, is_read, Arc::new(Backlog::new(Current::of(&[]))))
    }

    #[tokio::test]
    async fn what_waits_for_all_is_bounded_and_whoever_has_least_is_served_longest() {
        let backlog = Arc::new(Backlog::new(Current::of(&[("sessions.backlog", (1 << 20).into())])));
        let greedy = Outbox::new(999, true, Arc::clone(&backlog));
        let mut taken = 0;
        while greedy.push(vec![b'x'; 1 << 14].into()).is_ok() {
            taken += 1;
        }
        // Half of it: as much as is left for the others.
        assert_eq!(taken, 32);
        assert_eq!(greedy.push(vec![b'x'; 1 << 14].into()), Err(Full::Backlog));
        let honest = Outbox::new(999, true, Arc::clone(&backlog));
        honest.push(vec![b'x'; 1 << 18].into()).unwrap();
        honest.next().await.unwrap();
        drop(greedy);
        assert_eq!(backlog.used(), 0);
    }

    #[tokio::test]
    async fn messages_come_in_order_and_the_closed_outbox_is_read_to_its_end() {
        let outbox = outbox(2, true);
        outbox.push("a".into()).unwrap();
        outbox.push("b".into()).unwrap();
        assert_eq!(outbox.push("c".into()), Err(Full::Own));
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
        let outbox = outbox(9, true);
        outbox.push(vec![b'x'; MOST_BYTES + 1].into()).unwrap();
        assert_eq!(outbox.push("y".into()), Err(Full::Own));
    }

    #[tokio::test]
    async fn whoever_comes_back_is_told_what_the_one_before_was_and_what_nobody_heard() {
        let outbox = outbox(9, false);
        outbox.push("before".into()).unwrap();
        let seen = |number| EventId { stream: 3, number };
        assert_eq!(outbox.take_over(seen(0)), None);
        let first = outbox.read_as(3).unwrap();
        assert_eq!(outbox.read_as(4), None);
        for text in ["one", "two", "three"] {
            outbox.push(text.into()).unwrap();
        }
        assert_eq!(outbox.read(first).await.unwrap(), (1, "one".into()));
        assert_eq!(outbox.read(first).await.unwrap(), (2, "two".into()));
        let second = outbox.take_over(seen(1)).unwrap();
        assert_eq!(outbox.read(first).await, None);
        outbox.leave(first);
        assert_eq!(outbox.read(second).await.unwrap(), (2, "two".into()));
        outbox.leave(second);
        outbox.push("nobody reads".into()).unwrap();
        let third = outbox.take_over(seen(2)).unwrap();
        assert_eq!(outbox.read(third).await.unwrap(), (3, "three".into()));
        assert_eq!(outbox.read(third).await.unwrap(), (4, "nobody reads".into()));
        outbox.leave(third);
        // A new stream is no other's.
        outbox.push("nobody reads".into()).unwrap();
        let new = outbox.read_as(9).unwrap();
        assert_eq!(outbox.take_over(seen(4)), None);
        outbox.push("new".into()).unwrap();
        assert_eq!(outbox.read(new).await.unwrap(), (5, "new".into()));
    }

    #[tokio::test]
    async fn who_still_waits_is_let_go_and_takes_nothing_from_its_successor() {
        let outbox = Arc::new(outbox(9, false));
        let first = outbox.read_as(1).unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        waiting.spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.read(first).await }
        });
        tokio::task::yield_now().await;
        let second = outbox.take_over(EventId { stream: 1, number: 0 }).unwrap();
        outbox.push("one".into()).unwrap();
        assert_eq!(outbox.read(second).await.unwrap(), (1, "one".into()));
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), None);
    }
}
