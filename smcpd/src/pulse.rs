//! Proof of life: whoever watches asks a loop, and only the loop itself can answer.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// Asks one loop whether it still turns.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    name: &'static str,
    asks: mpsc::Sender<oneshot::Sender<()>>,
}

/// The loop's side: to be awaited beside everything else that the loop waits for.
#[derive(Debug)]
pub(crate) struct Heart {
    #[cfg(debug_assertions)]
    wedge: Wedge,
    asks: mpsc::Receiver<oneshot::Sender<()>>,
}

/// Makes both sides for a loop of that name.
pub(crate) fn pulse(name: &'static str) -> (Pulse, Heart) {
    // A loop that has not answered the last one need not be asked twice.
    let (asks, answers) = mpsc::channel(1);
    let heart = Heart {
        #[cfg(debug_assertions)]
        wedge: Wedge { name, asked: 0 },
        asks: answers,
    };
    (Pulse { name, asks }, heart)
}

impl Pulse {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether the loop answers within `patience`.
    pub(crate) async fn is_felt(&self, patience: Duration) -> bool {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.asks.send(answer).await.ok()?;
            answered.await.ok()
        };
        matches!(tokio::time::timeout(patience, asked).await, Ok(Some(())))
    }
}

impl Heart {
    /// Waits to be asked, and answers. Losing the race against another event loses nothing.
    pub(crate) async fn beat(&mut self) {
        match self.asks.recv().await {
            Some(answer) => {
                #[cfg(debug_assertions)]
                self.wedge.ask();
                // Whoever asked may have stopped waiting.
                let _late = answer.send(());
            }
            None => std::future::pending().await,
        }
    }
}

/// For the tests of the watchdog alone, in debug builds: stops the loop that `WEDGE` names for good: once it has
/// answered twice and the file `WEDGE_WHEN`, if one is named, is there.
#[cfg(debug_assertions)]
#[derive(Debug)]
struct Wedge {
    name: &'static str,
    asked: usize,
}

#[cfg(debug_assertions)]
impl Wedge {
    fn ask(&mut self) {
        self.asked += 1;
        let is_time =
            || std::env::var_os("WEDGE_WHEN").is_none_or(|file| std::path::Path::new(&file).exists());
        while self.asked > 2 && std::env::var("WEDGE").is_ok_and(|name| name == self.name) && is_time() {
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_loop_that_turns_is_felt() {
        let (pulse, mut heart) = pulse("test");
        let patience = Duration::from_millis(50);
        let (felt, ()) = tokio::join!(pulse.is_felt(Duration::from_secs(5)), heart.beat());
        assert!(felt);
        // It hangs: this question and the next one stay open.
        assert!(!pulse.is_felt(patience).await);
        assert!(!pulse.is_felt(patience).await);
        drop(heart);
        assert!(!pulse.is_felt(patience).await);
    }
}
