//! The latest records of one kind, and word of each new one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::broadcast;

/// New records that may wait for one follower; whoever is slower misses some, and is told so.
const WAITING: usize = 256;

/// Keeps the latest records, the oldest making room.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    records: Mutex<VecDeque<Arc<T>>>,
    keep: usize,
    sender: broadcast::Sender<Arc<T>>,
}

impl<T> Recent<T> {
    pub(crate) fn new(keep: usize) -> Self {
        let (sender, _) = broadcast::channel(WAITING);
        Self { records: Mutex::default(), keep, sender }
    }

    pub(crate) fn push(&self, record: T) {
        let record = Arc::new(record);
        let mut records = self.lock();
        if records.len() == self.keep {
            records.pop_front();
        }
        records.push_back(Arc::clone(&record));
        // Sent under the lock, so that a new follower sees each record once; nobody may follow.
        let _followers = self.sender.send(record);
    }

    /// Returns the latest `count`, the oldest first, and whatever comes from then on.
    pub(crate) fn follow(&self, count: usize) -> (Vec<Arc<T>>, broadcast::Receiver<Arc<T>>) {
        let records = self.lock();
        let skip = records.len().saturating_sub(count);
        (records.iter().skip(skip).cloned().collect(), self.sender.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<T>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time as records have it: RFC 3339, UTC, to the microsecond.
pub(crate) fn written(time: OffsetDateTime) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
    );
    time.format(&format).unwrap_or_default()
}

pub(crate) fn now() -> String {
    written(OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_a_follower_sees_each_new_one_once() {
        let recent = Recent::new(3);
        (1..=5).for_each(|number| recent.push(number));
        assert_eq!(recent.follow(9).0, [3, 4, 5].map(Arc::new));
        let (latest, mut new) = recent.follow(1);
        assert_eq!(latest, [Arc::new(5)]);
        recent.push(6);
        assert_eq!(new.try_recv(), Ok(Arc::new(6)));
        assert!(new.try_recv().is_err());
        (0..=WAITING).for_each(|number| recent.push(number));
        assert!(matches!(new.try_recv(), Err(broadcast::error::TryRecvError::Lagged(1))));
    }

    #[test]
    fn a_time_is_one_that_everyone_reads() {
        let now = now();
        assert_eq!((now.len(), &now[4..5], &now[10..11], &now[26..]), (27, "-", "T", "Z"), "{now}");
    }
}
