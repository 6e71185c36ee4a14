//! Plugins whose files do not answer: on a network file system whose server is gone, whoever looks at a file waits for as long
//! as that lasts, and cannot be called back.
//!
//! So files are looked at by threads that nobody but the asker waits for, and the asker only for so long. The thread that is
//! stuck is left alone, and the plugin not looked at again until it is back: one thread for each plugin, however often it is
//! asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long a look at one plugin may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a plugin is not described.
pub(crate) const REASON: &str = "its files do not answer: is the file system there that its link leads to? It is looked \
    at again once they do";

#[derive(Debug)]
pub(crate) struct Silent {
    names: Mutex<BTreeSet<String>>,
    back: Notify,
    patience: Duration,
}

impl Default for Silent {
    fn default() -> Self {
        Self { names: Mutex::default(), back: Notify::new(), patience: PATIENCE }
    }
}

/// How far a thread has come.
#[derive(Debug)]
struct Progress {
    /// Which one it looks at, and since when.
    at: usize,
    since: Instant,
    /// Nobody waits for more.
    is_left: bool,
    /// It has ended, by a panic maybe.
    is_over: bool,
}

/// One who waits for a thread. Dropping it leaves the thread alone, and so with the plugin that it looks at.
struct Asker<'a> {
    silent: &'a Silent,
    names: &'a [String],
    places: Vec<usize>,
    progress: Arc<Mutex<Progress>>,
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let mut progress = lock(&self.progress);
        if let Some(place) = self.places.get(progress.at).filter(|_| !progress.is_over) {
            progress.is_left = true;
            self.silent.names().insert(self.names[*place].clone());
        }
    }
}

/// Looks at the one at a place, and keeps what it finds.
type Look = Arc<dyn Fn(usize) + Send + Sync>;

impl Silent {
    /// Looks at one plugin after the other; nothing comes of those that do not answer.
    pub(crate) async fn look<N, T>(
        self: &Arc<Self>,
        plugins: Vec<(String, N)>,
        look: impl Fn(&str, &N) -> T + Send + Sync + 'static,
    ) -> Vec<(String, Option<T>)>
    where
        N: Send + Sync + 'static,
        T: Send + 'static,
    {
        let names: Arc<[String]> = plugins.iter().map(|(name, _)| name.clone()).collect();
        let found = Arc::<Mutex<BTreeMap<usize, T>>>::default();
        let kept = Arc::clone(&found);
        let look = Arc::new(move |at: usize| {
            let (name, known) = &plugins[at];
            let one = look(name, known);
            lock(&kept).insert(at, one);
        });
        self.each(&names, look).await;
        let mut found = std::mem::take(&mut *lock(&found));
        names.iter().enumerate().map(|(at, name)| (name.clone(), found.remove(&at))).collect()
    }

    /// Looks at one plugin.
    pub(crate) async fn look_at<T: Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        look: impl Fn(&str) -> T + Send + Sync + 'static,
    ) -> Option<T> {
        self.look(vec![(name.to_owned(), ())], move |name, ()| look(name)).await.pop()?.1
    }

    /// Waits until one of them answers again.
    pub(super) async fn is_back(&self) {
        self.back.notified().await;
    }

    /// Looks at each. What it finds is of no matter here: so this is compiled once, and not for each kind of look.
    async fn each(self: &Arc<Self>, names: &Arc<[String]>, look: Look) {
        let answers = |at: &usize| !self.names().contains(&names[*at]);
        let wanted: Vec<usize> = (0..names.len()).filter(answers).collect();
        let done = self.some(names, wanted.clone(), &look).await;
        if let Some(rest) = wanted.get(done + 1..) {
            // Whoever comes behind one that does not answer may be where that is: side by side they take no longer than one.
            let rest = rest.iter().filter(|at| answers(at)).map(|at| self.some(names, vec![*at], &look));
            join_all(rest).await;
        }
    }

    /// Looks at those at these places, up to one that does not answer; returns how many did.
    async fn some(self: &Arc<Self>, names: &Arc<[String]>, places: Vec<usize>, look: &Look) -> usize {
        if places.is_empty() {
            return 0;
        }
        let progress = Progress { at: 0, since: Instant::now(), is_left: false, is_over: false };
        let progress = Arc::new(Mutex::new(progress));
        let (silent, shared) = (Arc::clone(self), Arc::clone(&progress));
        let (all, look, wanted) = (Arc::clone(names), Arc::clone(look), places.clone());
        let mut thread = spawn_blocking(move || {
            lock(&shared).since = Instant::now();
            for at in wanted {
                look(at);
                let mut progress = lock(&shared);
                if progress.is_left {
                    silent.names().remove(&all[at]);
                    if progress.since.elapsed() >= silent.patience {
                        silent.back.notify_one();
                    }
                    return;
                }
                (progress.at, progress.since) = (progress.at + 1, Instant::now());
            }
        });
        let asker = Asker { silent: self, names, places, progress };
        let mut patience = self.patience;
        loop {
            let is_over = timeout(patience, &mut thread).await.is_ok();
            let mut progress = lock(&asker.progress);
            patience = self.patience.saturating_sub(progress.since.elapsed());
            progress.is_over = is_over;
            if !is_over && !patience.is_zero() {
                continue;
            }
            if let Some(place) = asker.places.get(progress.at).filter(|_| !is_over) {
                tracing::warn!(plugin = names[*place], "its files do not answer");
            }
            return progress.at;
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.names)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn of(names: &str) -> Vec<(String, ())> {
        names.chars().map(|name| (name.to_string(), ())).collect()
    }

    /// What came of each: `-` of those that did not answer.
    fn shown(found: &[(String, Option<String>)]) -> String {
        found.iter().map(|(_, found)| found.as_deref().unwrap_or("-")).collect()
    }

    #[tokio::test]
    async fn one_that_does_not_answer_holds_up_no_other_and_is_not_asked_twice() {
        let silent = Arc::new(Silent { patience: Duration::from_millis(500), ..Silent::default() });
        let (gate, asked) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
        let look = {
            let (gate, asked) = (Arc::clone(&gate), Arc::clone(&asked));
            move |name: &str, (): &()| {
                if name == "c" {
                    asked.fetch_add(1, Ordering::Relaxed);
                    gate.wait();
                }
                name.to_uppercase()
            }
        };
        assert_eq!(shown(&silent.look(of("abcde"), look.clone()).await), "AB-DE");
        assert_eq!(shown(&silent.look(of("cf"), look.clone()).await), "-F");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "another thread is stuck");
        gate.wait();
        silent.is_back().await;
        let again = silent.look_at("c", |name| name.to_uppercase()).await;
        assert_eq!(again.as_deref(), Some("C"));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_one_thread_with_it_and_not_another_each_time() {
        let silent = Arc::<Silent>::default();
        let gate = Arc::new(Barrier::new(2));
        let wait = Arc::clone(&gate);
        let asked = silent.look_at("a", move |_| _ = wait.wait());
        assert!(timeout(Duration::from_millis(50), asked).await.is_err());
        assert_eq!(silent.look_at("a", |_| ()).await, None);
        gate.wait();
        let again = async {
            while silent.look_at("a", |_| ()).await.is_none() {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(Duration::from_secs(10), again).await.is_ok());
    }

    #[tokio::test]
    async fn a_look_that_panics_is_no_answer() {
        let silent = Arc::<Silent>::default();
        let look = |name: &str, (): &()| match name {
            "b" => panic!("within"),
            name => name.to_owned(),
        };
        assert_eq!(shown(&silent.look(of("abc"), look).await), "a-c");
        assert!(silent.names().is_empty());
    }
}
