//! What others see of a call while it runs: that its turn came, and what it says on stderr.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::mpsc;

use super::warm::Start;
use crate::redact::Redactor;

/// A longer line is handed on in pieces.
const LINE: usize = 8 << 10;
/// Signs that may wait for whoever watches; what comes on top is not shown, and is still in the outcome.
const WAITING: usize = 256;

/// Something that a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It waits behind so many calls.
    Waiting(usize),
    Started,
    /// A line on stderr, what is no UTF-8 replaced.
    Line(String),
}

/// One call, to be looked at from outside.
#[derive(Debug, Default)]
pub(crate) struct Live {
    started: OnceLock<Instant>,
    how: OnceLock<Start>,
    watcher: Option<mpsc::Sender<Sign>>,
    redactor: OnceLock<Arc<Redactor>>,
}

impl Live {
    /// Returns a call whose signs arrive at the receiver.
    pub(crate) fn watched() -> (Self, mpsc::Receiver<Sign>) {
        let (watcher, signs) = mpsc::channel(WAITING);
        (Self { watcher: Some(watcher), ..Self::default() }, signs)
    }

    /// Returns whether its turn has come.
    pub(crate) fn has_started(&self) -> bool {
        self.started.get().is_some()
    }

    /// When its turn came, if it has come.
    pub(crate) fn started(&self) -> Option<Instant> {
        self.started.get().copied()
    }

    /// How its process came to be, if it has one.
    pub(crate) fn how(&self) -> Option<Start> {
        self.how.get().copied()
    }

    pub(super) fn came(&self, how: Start) {
        let _once = self.how.set(how);
    }

    pub(super) fn start(&self) {
        if self.started.set(Instant::now()).is_ok() {
            self.sign(Sign::Started);
        }
    }

    /// Says how many calls come before it.
    pub(super) fn wait(&self, ahead: usize) {
        self.sign(Sign::Waiting(ahead));
    }

    /// Lines are handed on without these values.
    pub(super) fn take_out(&self, redactor: Arc<Redactor>) {
        let _once = self.redactor.set(redactor);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watcher.is_some()
    }

    fn sign(&self, sign: Sign) {
        if let Some(watcher) = &self.watcher {
            // Full, or nobody watches any more: the call does not wait for its watchers.
            let _unseen = watcher.try_send(sign);
        }
    }
}

/// Cuts what a call says into lines, where anyone watches.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    live: &'a Live,
    rest: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(live: &'a Live) -> Self {
        Self { live, rest: Vec::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.live.watcher.is_none() {
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            while self.rest.len() > LINE {
                let redactor = self.live.redactor.get();
                let place = redactor.map_or(LINE, |redactor| redactor.place_to_cut(&self.rest[..LINE]));
                let later = self.rest.split_off(if place == 0 { LINE } else { place });
                self.hand_on();
                self.rest = later;
            }
            if self.rest.ends_with(b"\n") {
                self.hand_on();
            }
        }
    }

    /// Hands on what no line feed ended.
    pub(super) fn finish(mut self) {
        if !self.rest.is_empty() {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        let line = String::from_utf8_lossy(&self.rest);
        let line = line.trim_end_matches(['\n', '\r']);
        let line = match self.live.redactor.get() {
            Some(redactor) => redactor.text(line).into_owned(),
            None => line.to_owned(),
        };
        self.live.sign(Sign::Line(line));
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (live, mut signs) = Live::watched();
        let mut lines = Lines::of(&live);
        chunks.iter().for_each(|chunk| lines.push(chunk));
        lines.finish();
        let mut found = Vec::new();
        while let Ok(Sign::Line(line)) = signs.try_recv() {
            found.push(line);
        }
        found
    }

    #[test]
    fn chunks_become_lines_wherever_they_were_cut() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n\nlast"]), ["one", "two", "", "last"]);
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
        assert!(lines(&[]).is_empty());
        let long = lines(&[&[b'x'; LINE + 2], b"y\n"]);
        assert_eq!((long[0].len(), long[1].as_str(), long.len()), (LINE, "xxy", 2));
        assert_eq!(lines(&[&b"a\n".repeat(WAITING + 9)]).len(), WAITING, "a slow watcher costs nothing");
    }

    proptest::proptest! {
        #[test]
        fn no_line_has_a_secret_wherever_it_was_cut(before in LINE - 20..LINE + 20, chunk in 1_usize..64) {
            let said = format!("{}s3cret-value{}s3cret-value\n", "x".repeat(before), "y".repeat(9));
            let (live, mut signs) = Live::watched();
            live.take_out(Arc::new(Redactor::new(["s3cret-value"])));
            let mut lines = Lines::of(&live);
            said.as_bytes().chunks(chunk).for_each(|chunk| lines.push(chunk));
            lines.finish();
            let mut found = String::new();
            while let Ok(Sign::Line(line)) = signs.try_recv() {
                found.push_str(&line);
            }
            proptest::prop_assert!(!found.contains("s3cret") && !found.contains("value"), "{found}");
        }
    }

    #[test]
    fn a_call_starts_once() {
        let (live, mut signs) = Live::watched();
        assert!(!live.has_started());
        live.start();
        live.start();
        assert!(live.has_started());
        assert_eq!(signs.try_recv(), Ok(Sign::Started));
        assert!(signs.try_recv().is_err());
    }
}
