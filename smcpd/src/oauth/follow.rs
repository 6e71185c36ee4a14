//! Keeps the issuer's keys fresh: at the start, on a reload, each ten minutes, when a file changes, and when a token names a
//! key that is not known.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::fetch;
use super::{OAuth, State};
use crate::config::{self, Current, KeySource};
use crate::events::{Event, Field, Kind};
use crate::shutdown::Shutdown;
use crate::stamp::Stamp;

/// A key that the issuer takes back is good for no longer.
const FRESH: Duration = Duration::from_secs(600);
/// Whoever sends tokens decides what keys they name, and not how often the issuer is asked.
const LEAST: Duration = Duration::from_secs(60);
/// After a failure it is asked again so soon, then each time after twice as long.
const SOON: Duration = Duration::from_secs(5);
/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Gets the keys whenever it is time.
#[derive(Debug)]
pub(crate) struct Following {
    current: Current,
    state: watch::Sender<State>,
    again: Arc<Notify>,
    wanted: Arc<Notify>,
}

impl Following {
    pub(crate) fn new(current: Current) -> (Self, OAuth) {
        let (state, receiver) = watch::channel(State::default());
        let (again, wanted) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let oauth = OAuth {
            current: current.clone(),
            state: receiver,
            again: Arc::clone(&again),
            wanted: Arc::clone(&wanted),
        };
        (Self { current, state, again, wanted }, oauth)
    }

    /// Gets them at once, then whenever it is time, until everything is to end.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut settings: Option<config::OAuth> = None;
        loop {
            let wanted = self.current.get().oauth.as_deref().cloned();
            // The keys of another issuer are none.
            let is_another = match (&settings, &wanted) {
                (Some(old), Some(new)) => old.issuer != new.issuer || old.jwks != new.jwks,
                _ => true,
            };
            if is_another {
                self.state.send_replace(State::default());
            }
            settings = wanted;
            tokio::select! {
                // What is being got may be out of date.
                () = self.again.notified() => {}
                () = self.follow(settings.as_ref()) => {}
                () = shutdown.ending() => return,
            }
        }
    }

    /// Never ends by itself.
    async fn follow(&self, settings: Option<&config::OAuth>) {
        let Some(settings) = settings else { return std::future::pending().await };
        let mut wait = SOON;
        loop {
            let (seen, asked) = (look(&settings.jwks), Instant::now());
            let next = match self.get(&settings.jwks).await {
                true => {
                    wait = SOON;
                    FRESH
                }
                false => {
                    let next = wait;
                    wait = FRESH.min(wait * 2);
                    next
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(asked + next) => {}
                () = async {
                    self.wanted.notified().await;
                    tokio::time::sleep_until(asked + LEAST).await;
                } => {}
                () = changed(&settings.jwks, seen) => {}
            }
        }
    }

    /// Returns whether it went well; the same failure is told of once.
    async fn get(&self, source: &KeySource) -> bool {
        match fetch::get(source).await {
            Ok(keys) => {
                let count = keys.count();
                let had = self.state.borrow().keys.as_ref().map(|keys| keys.count());
                let was_failing = self.state.borrow().failure.is_some();
                self.state.send_replace(State { keys: Some(Arc::new(keys)), failure: None });
                if was_failing || had != Some(count) {
                    Event::of(Kind::TokenKeysLoaded)
                        .write_as(&format!("the issuer's keys are here: {count}"));
                }
                true
            }
            Err(error) => {
                let reason = format!("`{source}`: {error}");
                let is_known = self.state.borrow().failure.as_ref() == Some(&reason);
                if !is_known {
                    Event::of(Kind::TokenKeysFailed).text(Field::Reason, reason.clone()).write();
                }
                self.state.send_modify(|state| state.failure = Some(reason));
                false
            }
        }
    }
}

fn look(source: &KeySource) -> Option<Stamp> {
    match source {
        KeySource::File(path) => Stamp::of(path),
        KeySource::Url(_) => None,
    }
}

/// Waits until the file is another one than `seen`, and the same twice; of an address it never ends.
async fn changed(source: &KeySource, seen: Option<Stamp>) {
    if matches!(source, KeySource::Url(_)) {
        return std::future::pending().await;
    }
    let mut before = seen;
    loop {
        tokio::time::sleep(LOOK).await;
        let reading = source.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || look(&reading)).await else { continue };
        if now != seen && now == before {
            return;
        }
        before = now;
    }
}
