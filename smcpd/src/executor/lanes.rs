//! Which call may run now, and which waits: lanes, slots, and fair turns.
//!
//! A call enters one lane. A lane of one slot is a readers-and-writers lock: readers overlap, a writer runs
//! alone. A lane of more slots runs that many calls of any kind. Above the lanes stands one limit for all. Those
//! who wait are served caller by caller in turn, and nobody passes a writer who waits before them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{Notify, oneshot};

/// How a call wants to be let in.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// Calls of different lanes never wait for each other.
    pub(crate) lane: Arc<str>,
    /// Only reads: may overlap with other readers of a lane of one slot.
    pub(crate) shared: bool,
    pub(crate) slots: NonZeroUsize,
    /// Whose turn this would be.
    pub(crate) caller: Arc<str>,
}

/// Calls that run and wait, of all lanes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
}

/// Calls that run and wait in one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LaneCounts {
    pub(crate) lane: Arc<str>,
    pub(crate) counts: Counts,
}

/// Calls that may wait in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) most: usize,
    /// Of one caller, so that there is room for another.
    pub(crate) per_caller: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full {
        waiting: usize,
    },
    /// This caller has as many waiting as one may.
    CallerFull {
        waiting: usize,
    },
    Closed,
}

/// The lanes of one executor.
#[derive(Debug)]
pub(super) struct Lanes {
    table: Mutex<Table>,
    idle: Notify,
}

impl Lanes {
    pub(super) fn new(max_concurrent: NonZeroUsize, queue: Queue) -> Self {
        Self { table: Mutex::new(Table::new(max_concurrent.get(), queue)), idle: Notify::new() }
    }

    /// Takes a place; the ticket resolves to the turn itself. Dropping the ticket gives the place up.
    pub(super) fn enter(self: &Arc<Self>, admission: Admission) -> Result<Ticket, Refused> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.lock();
        let id = table.enter(admission)?;
        table.wake.insert(id, sender);
        table.admit();
        drop(table);
        Ok(Ticket { place: Some(Turn { id, lanes: Arc::clone(self) }), receiver })
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    pub(super) fn each(&self) -> Vec<LaneCounts> {
        let table = self.lock();
        let each = table.lanes.iter().map(|(name, lane)| LaneCounts {
            lane: Arc::clone(name),
            counts: Counts { running: lane.readers + lane.writers, waiting: lane.waiting },
        });
        each.collect()
    }

    /// Lets in whoever has room under the new limits.
    pub(super) fn set_limits(&self, max_concurrent: NonZeroUsize, queue: Queue) {
        let mut table = self.lock();
        (table.max_concurrent, table.queue) = (max_concurrent.get(), queue);
        table.admit();
    }

    /// Refuses everyone who comes from now on; whoever waits already has a turn yet.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.idle.notify_waiters();
    }

    /// Waits until nothing runs or waits.
    pub(super) async fn idle(&self) {
        loop {
            let changed = self.idle.notified();
            if self.counts() == Counts::default() {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a lane: first of one who waits, then of one who runs. Dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Turn {
    id: u64,
    lanes: Arc<Lanes>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut table = self.lanes.lock();
        table.leave(self.id);
        table.admit();
        let idle = table.counts() == Counts::default();
        drop(table);
        if idle {
            self.lanes.idle.notify_waiters();
        }
    }
}

/// Waits for a turn.
#[derive(Debug)]
pub(super) struct Ticket {
    place: Option<Turn>,
    receiver: oneshot::Receiver<()>,
}

impl Ticket {
    /// How many calls of its lane run or come before it; 0 once it is its turn.
    pub(super) fn ahead(&self) -> usize {
        self.place.as_ref().map_or(0, |turn| turn.lanes.lock().ahead(turn.id))
    }
}

impl Future for Ticket {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        // The sender lives in the table as long as our place does, so an error cannot come before a turn.
        match Pin::new(&mut self.receiver).poll(context) {
            Poll::Ready(_) => Poll::Ready(self.place.take().expect("a ticket is not polled after its turn")),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The decisions, free of time and tasks.
#[derive(Debug)]
struct Table {
    lanes: BTreeMap<Arc<str>, Lane>,
    /// Where every id is; `None` for one who waits.
    places: HashMap<u64, (Arc<str>, Place)>,
    wake: HashMap<u64, oneshot::Sender<()>>,
    running: usize,
    max_concurrent: usize,
    queue: Queue,
    next: u64,
    /// The lane that was served last: the next one comes first.
    served: Option<Arc<str>>,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    Running { shared: bool },
}

#[derive(Debug, Default)]
struct Lane {
    readers: usize,
    writers: usize,
    waiting: usize,
    /// One queue a caller, in the order of their turns.
    turns: VecDeque<(Arc<str>, VecDeque<Waiting>)>,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    shared: bool,
    slots: usize,
}

impl Table {
    fn new(max_concurrent: usize, queue: Queue) -> Self {
        Self {
            lanes: BTreeMap::new(),
            places: HashMap::new(),
            wake: HashMap::new(),
            running: 0,
            max_concurrent,
            queue,
            next: 0,
            served: None,
            closed: false,
        }
    }

    fn counts(&self) -> Counts {
        Counts { running: self.running, waiting: self.places.len() - self.running }
    }

    fn enter(&mut self, admission: Admission) -> Result<u64, Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let free = self.running < self.max_concurrent;
        let lane = self.lanes.entry(Arc::clone(&admission.lane)).or_default();
        let waiting = Waiting { id: self.next, shared: admission.shared, slots: admission.slots.get() };
        let at_once = free && lane.waiting == 0 && lane.has_room(&waiting);
        if !at_once && lane.waiting >= self.queue.most {
            return Err(Refused::Full { waiting: lane.waiting });
        }
        let of_caller = lane.turns.iter().find(|(caller, _)| *caller == admission.caller);
        let of_caller = of_caller.map_or(0, |(_, queue)| queue.len());
        if !at_once && of_caller >= self.queue.per_caller {
            return Err(Refused::CallerFull { waiting: of_caller });
        }
        self.next += 1;
        lane.waiting += 1;
        let id = waiting.id;
        match lane.turns.iter_mut().find(|(caller, _)| *caller == admission.caller) {
            Some((_, queue)) => queue.push_back(waiting),
            None => lane.turns.push_back((admission.caller, VecDeque::from([waiting]))),
        }
        self.places.insert(id, (admission.lane, Place::Waiting));
        Ok(id)
    }

    /// Lets in everyone who may run now, lane by lane in turn.
    fn admit(&mut self) {
        while self.running < self.max_concurrent {
            let after = self.served.clone();
            let later =
                self.lanes.iter().filter(|(name, _)| after.as_ref().is_some_and(|after| *name > after));
            let from_start = self.lanes.iter();
            let Some(name) = later
                .chain(from_start)
                .find(|(_, lane)| lane.next().is_some_and(|next| lane.has_room(next)))
                .map(|(name, _)| Arc::clone(name))
            else {
                return;
            };
            let lane = self.lanes.get_mut(&name).expect("the lane was found above");
            let next = lane.take_next().expect("someone waits there");
            *(if next.shared { &mut lane.readers } else { &mut lane.writers }) += 1;
            self.running += 1;
            self.places.insert(next.id, (Arc::clone(&name), Place::Running { shared: next.shared }));
            self.served = Some(name);
            if let Some(wake) = self.wake.remove(&next.id) {
                // A ticket that is gone leaves by its own drop.
                let _gone = wake.send(());
            }
        }
    }

    fn ahead(&self, id: u64) -> usize {
        match self.places.get(&id) {
            Some((name, Place::Waiting)) => self.lanes.get(name).map_or(0, |lane| lane.ahead(id)),
            Some((_, Place::Running { .. })) | None => 0,
        }
    }

    fn leave(&mut self, id: u64) {
        self.wake.remove(&id);
        let Some((name, place)) = self.places.remove(&id) else { return };
        let Some(lane) = self.lanes.get_mut(&name) else { return };
        match place {
            Place::Waiting => lane.forget(id),
            Place::Running { shared } => {
                *(if shared { &mut lane.readers } else { &mut lane.writers }) -= 1;
                self.running -= 1;
            }
        }
        if lane.is_empty() {
            self.lanes.remove(&name);
        }
    }
}

impl Lane {
    fn next(&self) -> Option<&Waiting> {
        self.turns.front().and_then(|(_, queue)| queue.front())
    }

    fn has_room(&self, call: &Waiting) -> bool {
        match (call.slots, call.shared) {
            (1, true) => self.writers == 0,
            (1, false) => self.writers == 0 && self.readers == 0,
            (slots, _) => self.readers + self.writers < slots,
        }
    }

    /// Takes the next one and moves its caller to the end of the line.
    fn take_next(&mut self) -> Option<Waiting> {
        let (caller, mut queue) = self.turns.pop_front()?;
        let next = queue.pop_front();
        if !queue.is_empty() {
            self.turns.push_back((caller, queue));
        }
        self.waiting -= usize::from(next.is_some());
        next
    }

    /// Callers take turns: before the n-th of one caller come at most n of each other, and one more of those whose
    /// turn is earlier.
    fn ahead(&self, id: u64) -> usize {
        let place = self.turns.iter().enumerate().find_map(|(turn, (_, queue))| {
            queue.iter().position(|waiting| waiting.id == id).map(|at| (turn, at))
        });
        let Some((own, at)) = place else { return 0 };
        let before = |(turn, (_, queue)): (usize, &(Arc<str>, VecDeque<Waiting>))| match turn == own {
            true => at,
            false => queue.len().min(at + usize::from(turn < own)),
        };
        self.readers + self.writers + self.turns.iter().enumerate().map(before).sum::<usize>()
    }

    fn forget(&mut self, id: u64) {
        for (_, queue) in &mut self.turns {
            let before = queue.len();
            queue.retain(|waiting| waiting.id != id);
            self.waiting -= before - queue.len();
        }
        self.turns.retain(|(_, queue)| !queue.is_empty());
    }

    fn is_empty(&self) -> bool {
        self.readers + self.writers + self.waiting == 0
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
