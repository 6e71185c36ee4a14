//! Keeps what a program says within a limit: the head and the tail of it, and how much there was.

use crate::redact::{Cut, Redactor};

/// What was kept of one pipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    limit: usize,
    total: u64,
}

impl Captured {
    /// Keeps at most `limit` bytes: the first half as they come, the rest always the latest.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let head_limit = self.limit / 2;
        let (head, rest) = bytes.split_at(bytes.len().min(head_limit - self.head.len().min(head_limit)));
        self.head.extend_from_slice(head);
        let tail_limit = self.limit - head_limit;
        let rest = &rest[rest.len().saturating_sub(tail_limit)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(tail_limit);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// Returns whether so many more bytes would all be kept.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        self.total + more as u64 <= self.limit as u64
    }

    /// What was kept, in its order.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let (one, other) = self.tail.as_slices();
        [&self.head, one, other]
    }

    /// Bytes that were kept.
    pub(super) fn kept(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Bytes that came, kept or not.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that came and were not kept; 0 where all of them were.
    pub(crate) fn cut(&self) -> u64 {
        self.total - self.kept() as u64
    }

    /// Returns what was kept without the values of secrets, and without the parts of them beside what was cut.
    pub(crate) fn without(self, redactor: &Redactor) -> Self {
        let cut = self.cut();
        let tail = Vec::from(self.tail);
        let (head, tail) = match cut {
            0 => (redactor.bytes([self.head, tail].concat(), Cut::default()), Vec::new()),
            _ => (
                redactor.bytes(self.head, Cut { before: false, after: true }),
                redactor.bytes(tail, Cut { before: true, after: false }),
            ),
        };
        let total = cut + (head.len() + tail.len()) as u64;
        Self { head, tail: tail.into(), limit: self.limit, total }
    }

    /// Returns what was kept as text: what is no UTF-8 replaced, what was cut said in one line.
    pub(crate) fn into_text(self) -> String {
        let cut = self.cut();
        let mut bytes = self.head;
        if cut > 0 {
            bytes.extend_from_slice(format!("\n[… {cut} bytes cut …]\n").as_bytes());
        }
        let (one, other) = self.tail.as_slices();
        bytes.extend_from_slice(one);
        bytes.extend_from_slice(other);
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn captured(limit: usize, chunks: &[&str]) -> Captured {
        let mut captured = Captured::new(limit);
        for chunk in chunks {
            captured.push(chunk.as_bytes());
        }
        captured
    }

    #[test]
    fn what_fits_is_kept_whole_and_what_does_not_keeps_its_head_and_tail() {
        assert_eq!(captured(10, &["abc", "", "defghij"]).into_text(), "abcdefghij");
        let long = captured(4, &["abcdefg", "h", "ij"]);
        assert_eq!((long.total(), long.cut()), (10, 6));
        assert_eq!(long.into_text(), "ab\n[… 6 bytes cut …]\nij");
        assert_eq!(captured(0, &["abc"]).into_text(), "\n[… 3 bytes cut …]\n");
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(limit in 0usize..40, chunks in prop::collection::vec("[a-z]{0,12}", 0..12)) {
            let whole = chunks.concat();
            let pieces: Vec<&str> = chunks.iter().map(String::as_str).collect();
            let one = captured(limit, &[&whole]);
            let many = captured(limit, &pieces);
            prop_assert!(many.head.len() + many.tail.len() <= limit);
            prop_assert_eq!(one.into_text(), many.into_text());
        }
    }
}
