//! Calls that wait for an operator: who asks for what, until one approves or denies it, or its time is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// What an operator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Approved {
        uid: u32,
    },
    Denied {
        uid: u32,
        reason: Option<String>,
    },
    /// As a call that runs would be.
    Cancelled {
        uid: u32,
    },
}

/// A call as whoever decides sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) tool: String,
    pub(crate) caller: String,
    /// What the client says of itself.
    pub(crate) agent: Option<String>,
    /// JSON without the values of secrets; bounded.
    pub(crate) arguments: String,
}

/// A call that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) wanted: Wanted,
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    since: Instant,
    until: Instant,
    decide: oneshot::Sender<Decision>,
}

/// All that wait, in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Approvals {
    waiting: Mutex<BTreeMap<u64, Entry>>,
}

impl Approvals {
    /// Takes a call in, by a number that no other call has; `None` where `most` wait already.
    pub(super) fn park(
        self: &Arc<Self>,
        number: u64,
        wanted: Wanted,
        within: Duration,
        most: usize,
        now: Instant,
    ) -> Option<(Parked, oneshot::Receiver<Decision>)> {
        let mut waiting = self.lock();
        if waiting.len() >= most {
            return None;
        }
        let (decide, decided) = oneshot::channel();
        waiting.insert(number, Entry { wanted, since: now, until: now + within, decide });
        drop(waiting);
        Some((Parked { approvals: Arc::clone(self), number }, decided))
    }

    /// Every call that waits, the oldest first.
    pub(crate) fn all(&self) -> Vec<Waiting> {
        let waiting = |(number, entry): (&u64, &Entry)| Waiting {
            id: id(*number),
            wanted: entry.wanted.clone(),
            since: entry.since,
            until: entry.until,
        };
        self.lock().iter().map(waiting).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Hands on a decision; returns what it was about, or nothing where no such call waits any more.
    pub(crate) fn decide(&self, id_of: &str, decision: Decision) -> Option<Wanted> {
        let mut waiting = self.lock();
        let number = *waiting.keys().find(|number| id(**number) == id_of)?;
        let entry = waiting.remove(&number)?;
        // Whoever waited may be going away at this moment: then nothing is run.
        entry.decide.send(decision).ok().map(|()| entry.wanted)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of a call, whether it waits for an operator or runs.
pub(super) fn id(number: u64) -> String {
    format!("{:x}-{number:x}", std::process::id())
}

/// A call's place among those that wait. Dropping it takes the call out: nobody can approve what nobody waits for.
#[derive(Debug)]
pub(super) struct Parked {
    approvals: Arc<Approvals>,
    number: u64,
}

impl Parked {
    pub(super) fn id(&self) -> String {
        id(self.number)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.approvals.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(tool: &str) -> Wanted {
        Wanted { tool: tool.to_owned(), caller: "key-1".to_owned(), agent: None, arguments: "{}".to_owned() }
    }

    #[tokio::test]
    async fn a_decision_finds_its_call_once_and_their_number_is_bounded() {
        let (approvals, now) = (Arc::new(Approvals::default()), Instant::now());
        let park = |number, tool: &str| approvals.park(number, wanted(tool), Duration::from_secs(9), 2, now);
        let (first, decided) = park(3, "a.b").unwrap();
        let (second, given_up) = park(5, "c.d").unwrap();
        assert!(park(6, "e.f").is_none());
        let all = approvals.all();
        assert_eq!(all.iter().map(|one| one.wanted.tool.as_str()).collect::<Vec<_>>(), ["a.b", "c.d"]);
        assert_eq!((all[0].id.clone(), all[0].until), (first.id(), now + Duration::from_secs(9)));
        let denied = Decision::Denied { uid: 7, reason: None };
        assert_eq!(approvals.decide("nobody", denied.clone()), None);
        assert_eq!(approvals.decide(&first.id(), denied.clone()), Some(wanted("a.b")));
        assert_eq!(approvals.decide(&first.id(), Decision::Approved { uid: 7 }), None);
        assert_eq!(decided.await, Ok(denied));
        // Who no longer waits cannot be approved.
        drop(given_up);
        assert_eq!(approvals.decide(&second.id(), Decision::Approved { uid: 7 }), None);
        drop(second);
        assert_eq!(approvals.count(), 0);
        assert!(park(7, "e.f").is_some());
    }
}
