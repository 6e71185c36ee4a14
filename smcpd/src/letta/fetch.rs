//! Fetches the variables at the start and on each reload, and tells what became of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::answer::{self, Answer};
use super::ask::ask;
use super::{Agent, Known, Last, Letta};
use crate::config::{self, Current};
use crate::events::{Event, Field, Kind};
use crate::redact::{self, Net, Redactor};
use crate::shutdown::Shutdown;

/// After a failure it is asked again without a word: first so soon, then each time after twice as long.
const SOON: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(300);

/// Asks Letta whenever it is time.
#[derive(Debug)]
pub(crate) struct Fetching {
    current: Current,
    known: watch::Sender<Known>,
    again: Arc<Notify>,
    net: Net,
}

impl Fetching {
    pub(crate) fn new(current: Current, net: Net) -> (Self, Letta) {
        let (known, receiver) = watch::channel(Known::default());
        let again = Arc::new(Notify::new());
        let letta = Letta { current: current.clone(), known: receiver, again: Arc::clone(&again) };
        (Self { current, known, again, net }, letta)
    }

    /// Fetches at once, then on each [`Letta::refresh`], until everything is to end.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        loop {
            let config = self.current.get();
            self.forget_others(config.letta.as_ref());
            tokio::select! {
                // What is being asked may be out of date.
                () = self.again.notified() => {}
                () = self.follow(config.letta.as_ref()) => {}
                () = shutdown.ending() => return,
            }
        }
    }

    fn forget_others(&self, settings: Option<&config::Letta>) {
        let wanted = settings.map(Agent::of);
        self.known.send_modify(|known| {
            known.agents.retain(|agent, _| Some(agent) == wanted.as_ref());
            known.last = Last::Open;
        });
    }

    /// Fetches until it goes well once; only the first failure is told. Never ends by itself.
    async fn follow(&self, settings: Option<&config::Letta>) {
        if let Some(settings) = settings {
            let mut wait = SOON;
            let mut quietly = false;
            while !self.fetch(settings, quietly).await {
                tokio::time::sleep(wait).await;
                (wait, quietly) = (LATE.min(wait * 2), true);
            }
        }
        std::future::pending::<()>().await;
    }

    /// Returns whether it went well; `quietly` says nothing where it did not.
    async fn fetch(&self, settings: &config::Letta, quietly: bool) -> bool {
        let agent = &settings.agent;
        match ask(settings).await {
            Ok(Answer { variables, refused }) => {
                let count = variables.iter().count();
                // Before a plugin has them.
                let telling = variables.iter().filter(|(name, _)| redact::is_telling(name));
                self.net.hand_over(Redactor::new(telling.map(|(_, value)| value)));
                self.known.send_modify(|known| {
                    known.agents.insert(Agent::of(settings), variables);
                    known.last = Last::Answered;
                });
                Event::of(Kind::LettaFetched)
                    .text(Field::Agent, agent)
                    .write_as(&format!("Letta's variables are here: {count}"));
                if !refused.is_empty() {
                    Event::of(Kind::LettaRefused)
                        .text(Field::Agent, agent)
                        .text(Field::Reason, answer::said(&refused))
                        .write();
                }
                true
            }
            Err(error) => {
                let reason = format!("Letta at `{}`: {error}", settings.url);
                self.known.send_modify(|known| known.last = Last::Failed(reason.clone()));
                if !quietly {
                    Event::of(Kind::LettaFailed)
                        .text(Field::Agent, agent)
                        .text(Field::Reason, reason)
                        .write();
                }
                false
            }
        }
    }
}
