//! Threads that do nothing but start processes.
//!
//! Who starts a process waits until it runs its program, and may be put off behind it for milliseconds, next to a processor
//! that has nothing to do. A worker thread of the runtime would look at no socket meanwhile. And a process that is tied to
//! the daemon's life is tied to the thread that started it (`PR_SET_PDEATHSIG`): these live as long as the [`Starters`].

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// More threads than that would wait for each other in the kernel.
const MOST: usize = 4;
/// How many may wait to be started before who wants one more waits too.
const ROOM: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(super) struct Starters {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
}

/// What the threads share. One is woken for a job: each wake-up costs who does it more than the job's way through here.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    has_more: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Job, OwnedSemaphorePermit)>,
    is_over: bool,
}

impl Starters {
    /// As many threads as there are processors, up to [`MOST`].
    pub(super) fn new() -> io::Result<Self> {
        let starters = Self { queue: Arc::default(), room: Arc::new(Semaphore::new(ROOM)) };
        for _ in 0..thread::available_parallelism()?.get().min(MOST) {
            let queue = Arc::clone(&starters.queue);
            thread::Builder::new()
                .name("starter".to_owned())
                .spawn(move || std::iter::from_fn(|| queue.next()).for_each(|job| job()))?;
        }
        Ok(starters)
    }

    /// Has it done by one of the threads. What comes of it is dropped, maybe there, where nobody waits for it any more.
    pub(super) async fn have_done<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let gone = || io::Error::other("no thread is there to start it");
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            let _unless_abandoned = sender.send(job());
        });
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| gone())?;
        self.queue.lock().jobs.push_back((job, room));
        self.queue.has_more.notify_one();
        receiver.await.map_err(|_| gone())?
    }
}

impl Drop for Starters {
    fn drop(&mut self) {
        self.queue.lock().is_over = true;
        self.queue.has_more.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job; there is none any more once it is over.
    fn next(&self) -> Option<Job> {
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.is_over;
        let waiting = self.has_more.wait_while(self.lock(), idle);
        let (job, _room) = waiting.unwrap_or_else(PoisonError::into_inner).jobs.pop_front()?;
        Some(job)
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Queue").field("waiting", &self.lock().jobs.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_runtime_goes_on_while_something_is_started_and_hears_what_came_of_it() {
        let starters = Starters::new().unwrap();
        let (release, released) = std::sync::mpsc::channel();
        let held = starters.have_done(move || Ok(released.recv_timeout(Duration::from_secs(10)).is_ok()));
        let (held, ()) = tokio::join!(held, async move {
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        });
        assert!(held.unwrap());
        let failed = starters.have_done(|| Err::<(), _>(io::ErrorKind::NotFound.into())).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_is_done_too_and_the_threads_end_with_it() {
        let starters = Starters::new().unwrap();
        let queue = Arc::downgrade(&starters.queue);
        let jobs = (0..5 * ROOM).map(|number| starters.have_done(move || Ok(number)));
        let done = futures_util::future::try_join_all(jobs).await.unwrap();
        assert!(done.into_iter().eq(0..5 * ROOM));
        assert_eq!(starters.room.available_permits(), ROOM);
        drop(starters);
        let began = std::time::Instant::now();
        while queue.strong_count() > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "a thread is still there");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_done_and_dropped() {
        let starters = Starters::new().unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (dropped, was_dropped) = std::sync::mpsc::channel::<()>();
        let job = starters.have_done(move || {
            let _released = released.recv();
            Ok(dropped)
        });
        // Polled once, so that a thread has it, and dropped.
        assert!(tokio::time::timeout(Duration::ZERO, job).await.is_err());
        release.send(()).unwrap();
        let gone = tokio::task::spawn_blocking(move || was_dropped.recv_timeout(Duration::from_secs(10)))
            .await
            .unwrap();
        assert_eq!(gone, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }
}
