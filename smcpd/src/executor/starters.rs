//! Threads that do nothing but start processes.
//!
//! Who starts a process waits until it runs its program, and may be put off behind it for milliseconds, next to a processor
//! that has nothing to do. A worker thread of the runtime would look at no socket meanwhile. And a process that is tied to
//! the daemon's life is tied to the thread that started it (`PR_SET_PDEATHSIG`): these live as long as the [`Starters`].

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::gettid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// More threads than that would wait for each other in the kernel.
const MOST: usize = 4;
/// How many may wait to be started before who wants one more waits too.
const ROOM: usize = 16;
/// How long a start takes at most where its program's file system answers. Another thread takes the place of one that is
/// stuck in it.
pub(super) const LONG: Duration = Duration::from_secs(1);
/// How often [`LONG`] passes before who wants it started gives up.
pub(super) const PATIENCE: u32 = 5;

type Job = Box<dyn FnOnce() + Send>;

/// What is started: a program, and the directory that it starts in.
pub(super) type What = (PathBuf, PathBuf);

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
    jobs: VecDeque<(What, Job, OwnedSemaphorePermit)>,
    starting: Vec<Starting>,
    is_over: bool,
}

/// What a thread is doing.
struct Starting {
    thread: Pid,
    what: What,
    since: Instant,
    /// It takes long, and another thread has its place.
    hangs: bool,
}

impl Starters {
    /// As many threads as there are processors, up to [`MOST`].
    pub(super) fn new() -> io::Result<Self> {
        let starters = Self { queue: Arc::default(), room: Arc::new(Semaphore::new(ROOM)) };
        for _ in 0..thread::available_parallelism()?.get().min(MOST) {
            starters.queue.staff()?;
        }
        Ok(starters)
    }

    /// Has it done by one of the threads. What comes of it is dropped, maybe there, where nobody waits for it any more.
    pub(super) async fn have_done<T: Send + 'static>(
        &self,
        what: What,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let gone = || io::Error::other("no thread is there to start it");
        let silent =
            || io::Error::new(io::ErrorKind::TimedOut, "its start hangs: does its file system answer?");
        let (sender, mut receiver) = oneshot::channel();
        let job = Box::new(move || {
            let _unless_abandoned = sender.send(job());
        });
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| gone())?;
        {
            let mut waiting = self.queue.lock();
            // Another thread would be stuck in it.
            if waiting.starting.iter().any(|starting| starting.hangs && starting.what == what) {
                return Err(silent());
            }
            waiting.jobs.push_back((what, job, room));
        }
        self.queue.has_more.notify_one();
        for _ in 0..PATIENCE {
            match timeout(LONG, &mut receiver).await {
                Ok(done) => return done.map_err(|_| gone())?,
                Err(_) => self.queue.relieve()?,
            }
        }
        Err(silent())
    }

    /// The threads that have been at one start for so long.
    pub(super) fn stuck(&self, time: Duration) -> Vec<Pid> {
        let waiting = self.queue.lock();
        let stuck = waiting.starting.iter().filter(|starting| starting.since.elapsed() >= time);
        stuck.map(|starting| starting.thread).collect()
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

    /// Starts one more thread.
    fn staff(self: &Arc<Self>) -> io::Result<()> {
        let queue = Arc::clone(self);
        let work = move || {
            while let Some(job) = queue.next() {
                job();
                if queue.is_relieved() {
                    return;
                }
            }
        };
        thread::Builder::new().name("starter".to_owned()).spawn(work).map(drop)
    }

    /// Gives the places of those that are stuck to others.
    fn relieve(self: &Arc<Self>) -> io::Result<()> {
        let mut waiting = self.lock();
        for starting in &mut waiting.starting {
            if !starting.hangs && starting.since.elapsed() >= LONG {
                tracing::warn!(program = %starting.what.0.display(), "its start hangs");
                starting.hangs = true;
                self.staff()?;
            }
        }
        Ok(())
    }

    /// Waits for a job; there is none any more once it is over.
    fn next(&self) -> Option<Job> {
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty() && !waiting.is_over;
        let waiting = self.has_more.wait_while(self.lock(), idle);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let (what, job, _room) = waiting.jobs.pop_front()?;
        let thread = gettid();
        waiting.starting.push(Starting { thread, what, since: Instant::now(), hangs: false });
        Some(job)
    }

    /// Whether another thread has the place of this one, which has done its job.
    fn is_relieved(&self) -> bool {
        let mut waiting = self.lock();
        let this = gettid();
        let done = waiting.starting.iter().position(|starting| starting.thread == this);
        done.is_some_and(|done| waiting.starting.swap_remove(done).hangs)
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

    fn what(program: &str) -> What {
        (program.into(), "/".into())
    }

    #[tokio::test]
    async fn a_start_that_hangs_takes_no_thread_from_the_others_and_is_not_tried_twice() {
        let starters = Starters::new().unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let hang = |name: String| {
            let released = Arc::clone(&released);
            starters.have_done(what(&name), move || {
                let _released = released.lock().map(|released| released.recv());
                Ok(())
            })
        };
        // Given up by who asked for them, more than there are threads.
        for number in 0..MOST {
            assert!(timeout(Duration::ZERO, hang(number.to_string())).await.is_err());
        }
        let begun = Instant::now();
        assert_eq!(starters.have_done(what("sound"), || Ok(7)).await.unwrap(), 7);
        assert!(begun.elapsed() < LONG * PATIENCE);
        assert_eq!(hang("0".to_owned()).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(release);
        let begun = Instant::now();
        while !starters.queue.lock().starting.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "a thread is still stuck");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(hang("0".to_owned()).await.is_ok());
    }

    #[tokio::test]
    async fn the_runtime_goes_on_while_something_is_started_and_hears_what_came_of_it() {
        let starters = Starters::new().unwrap();
        let (release, released) = std::sync::mpsc::channel();
        let held =
            starters.have_done(what("x"), move || Ok(released.recv_timeout(Duration::from_secs(10)).is_ok()));
        let (held, ()) = tokio::join!(held, async move {
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        });
        assert!(held.unwrap());
        let failed = starters.have_done(what("x"), || Err::<(), _>(io::ErrorKind::NotFound.into())).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_is_done_too_and_the_threads_end_with_it() {
        let starters = Starters::new().unwrap();
        let queue = Arc::downgrade(&starters.queue);
        let jobs = (0..5 * ROOM).map(|number| starters.have_done(what("x"), move || Ok(number)));
        let done = futures_util::future::try_join_all(jobs).await.unwrap();
        assert!(done.into_iter().eq(0..5 * ROOM));
        assert_eq!(starters.room.available_permits(), ROOM);
        drop(starters);
        let began = Instant::now();
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
        let job = starters.have_done(what("x"), move || {
            let _released = released.recv();
            Ok(dropped)
        });
        // Polled once, so that a thread has it, and dropped.
        assert!(timeout(Duration::ZERO, job).await.is_err());
        release.send(()).unwrap();
        let gone = tokio::task::spawn_blocking(move || was_dropped.recv_timeout(Duration::from_secs(10)))
            .await
            .unwrap();
        assert_eq!(gone, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }
}
