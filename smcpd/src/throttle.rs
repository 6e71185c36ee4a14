//! Lets a few of many pass, and counts the rest: what others cause must not fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many of a kind in each second, or in another time.
#[derive(Debug)]
pub(crate) struct Throttle {
    most: u32,
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    passed: u32,
    dropped: u64,
}

impl Throttle {
    pub(crate) fn new(most: u32) -> Self {
        Self::every(Duration::from_secs(1), most)
    }

    pub(crate) fn every(every: Duration, most: u32) -> Self {
        Self { most, every, state: Mutex::default() }
    }

    /// Returns how many were dropped since the last one that passed, or `None` where this one is dropped too.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = state.since.is_none_or(|since| now.saturating_duration_since(since) >= self.every);
        if over {
            (state.since, state.passed) = (Some(now), 0);
        }
        if state.passed >= self.most {
            state.dropped += 1;
            return None;
        }
        state.passed += 1;
        Some(std::mem::take(&mut state.dropped))
    }

    /// Takes the count of those dropped since the last one that passed.
    pub(crate) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lets_a_few_pass_and_the_next_one_says_what_was_dropped() {
        let throttle = Throttle::new(2);
        let start = Instant::now();
        let at = |milliseconds| throttle.pass(start + Duration::from_millis(milliseconds));
        assert_eq!([at(0), at(1), at(2), at(999)], [Some(0), Some(0), None, None]);
        assert_eq!([at(1_000), at(1_001), at(1_002)], [Some(2), Some(0), None]);
        assert_eq!((throttle.take_dropped(), throttle.take_dropped()), (1, 0));
        let minute = Throttle::every(Duration::from_secs(60), 1);
        let at = |seconds| minute.pass(start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(59), at(60)], [Some(0), None, Some(1)]);
    }
}
