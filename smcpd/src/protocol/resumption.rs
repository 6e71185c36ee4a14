//! What a client may come back for after its connection broke (2025-11-25, transports, "resumability and redelivery"):
//! the ids of events, and the latest messages of a stream.

use std::collections::VecDeque;

use bytes::Bytes;

/// The last event that a client has seen: the stream's number in its session, and the event's in the stream. 0 is the
/// event that opens a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) stream: u64,
    pub(crate) number: u64,
}

impl EventId {
    /// Reads `Last-Event-ID`; `None` where we never wrote it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (stream, number) = text.trim().split_once('-')?;
        Some(Self { stream: stream.parse().ok()?, number: number.parse().ok()? })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.stream, self.number)
    }
}

/// The latest messages of a stream, by their numbers; the very last is always there.
#[derive(Debug)]
pub(super) struct Log {
    last: u64,
    kept: VecDeque<Bytes>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl Log {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self { last: 0, kept: VecDeque::new(), bytes: 0, most, most_bytes }
    }

    /// Notes a message as said, and returns its number.
    pub(super) fn push(&mut self, message: Bytes) -> u64 {
        self.bytes += message.len();
        self.kept.push_back(message);
        while self.kept.len() > 1 && (self.kept.len() > self.most || self.bytes > self.most_bytes) {
            self.bytes -= self.kept.pop_front().map_or(0, |message| message.len());
        }
        self.last += 1;
        self.last
    }

    /// Returns what came after the event with this number, as far as it is still there.
    pub(super) fn after(&self, seen: u64) -> VecDeque<(u64, Bytes)> {
        let first = self.last + 1 - self.kept.len() as u64;
        (first..).zip(self.kept.iter().cloned()).filter(|(number, _)| *number > seen).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the messages; the numbers go on.
    pub(super) fn clear(&mut self) {
        self.kept = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_id_is_read_as_it_was_written_and_no_other_is() {
        let id = EventId { stream: 12, number: 3 };
        assert_eq!((id.to_string(), EventId::read("12-3")), ("12-3".to_owned(), Some(id)));
        for text in ["", "12", "-", "12-", "-3", "a-b", "1-2-3", "1--2", "99999999999999999999-1"] {
            assert_eq!(EventId::read(text), None, "{text}");
        }
    }

    #[test]
    fn the_latest_are_kept_by_count_and_bytes_and_the_last_whatever_its_size() {
        let mut log = Log::new(3, 10);
        assert!(log.after(0).is_empty());
        let numbers =
            |log: &Log, seen| log.after(seen).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
        for number in 1..=5 {
            assert_eq!(log.push("ab".into()), number);
        }
        assert_eq!((numbers(&log, 0), numbers(&log, 4), numbers(&log, 9)), (vec![3, 4, 5], vec![5], vec![]));
        log.push("x".repeat(99).into());
        assert_eq!((numbers(&log, 0), log.bytes()), (vec![6], 99));
        log.clear();
        assert_eq!((log.push("a".into()), numbers(&log, 0)), (7, vec![7]));
    }
}
