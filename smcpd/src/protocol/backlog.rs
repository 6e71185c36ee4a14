//! What waits for all clients together, so that those who do not read cannot take the memory.
//!
//! One client may have as much waiting as is left for all others (dynamic thresholds: Choudhury and Hahne, 1998). Whoever
//! reads has next to nothing waiting and is always served; those who do not share half of the bound, then two thirds,
//! and so on, however many they are.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Current;

/// Bytes that wait in all outboxes.
#[derive(Debug)]
pub(crate) struct Backlog {
    used: AtomicUsize,
    current: Current,
}

impl Backlog {
    pub(super) fn new(current: Current) -> Self {
        Self { used: AtomicUsize::new(0), current }
    }

    /// Returns whether one for whom `waiting` bytes wait may have `more`.
    pub(super) fn has_room(&self, waiting: usize, more: usize) -> bool {
        waiting + more <= self.current.get().sessions.backlog.saturating_sub(self.used())
    }

    pub(super) fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}
