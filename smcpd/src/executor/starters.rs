//! Threads that do nothing but start processes.
//!
//! Who starts a process waits until it runs its program, and may be put off behind it for milliseconds, next to a processor
//! that has nothing to do. A worker thread of the runtime would look at no socket meanwhile. And a process that is tied to
//! the daemon's life is tied to the thread that started it (`PR_SET_PDEATHSIG`): these live as long as the [`Starters`].

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// More threads than that would wait for each other in the kernel.
const MOST: usize = 4;
/// How many may wait to be started before who wants one more waits too.
const ROOM: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(super) struct Starters {
    jobs: mpsc::Sender<Job>,
}

impl Starters {
    /// As many threads as there are processors, up to [`MOST`].
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>(ROOM);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..thread::available_parallelism()?.get().min(MOST) {
            let queue = Arc::clone(&queue);
            // Whoever waits for a job keeps the others from it; nobody has it while a job is done.
            let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            thread::Builder::new()
                .name("starter".to_owned())
                .spawn(move || std::iter::from_fn(next).for_each(|job| job()))?;
        }
        Ok(Self { jobs })
    }

    /// Has it done by one of the threads. What comes of it is dropped, maybe there, where nobody waits for it any more.
    pub(super) async fn have_done<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let gone = || io::Error::other("no thread is there to start it");
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            let _unless_abandoned = sender.send(job());
        };
        self.jobs.send(Box::new(job)).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
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
