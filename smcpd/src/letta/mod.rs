//! The tool variables of a Letta agent, for the plugins that the operator names.
//!
//! `ask` asks Letta, `answer` reads what it says, `names` refuses what no agent may set, and `fetch` does it at the start
//! and on each reload. What was fetched is kept in memory alone, by the agent that it belongs to; whoever runs a call
//! asks [`Letta`] what this plugin gets.

mod answer;
mod ask;
mod fetch;
mod names;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

pub(crate) use fetch::Fetching;
#[cfg(test)]
pub(crate) use names::is_reserved;

use crate::config::{self, Current};

/// The variables of one agent. They may be secrets: nothing shows their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(Arc<BTreeMap<String, String>>);

impl Variables {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(Arc::new(pairs.into_iter().collect()))
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Variables({} of them)", self.0.len())
    }
}

/// An agent of one server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Agent {
    url: String,
    id: String,
}

impl Agent {
    fn of(settings: &config::Letta) -> Self {
        Self { url: settings.url.clone(), id: settings.agent.clone() }
    }
}

/// How the last request ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Last {
    /// None has ended yet.
    #[default]
    Open,
    Answered,
    Failed(String),
}

#[derive(Debug, Default)]
struct Known {
    agents: BTreeMap<Agent, Variables>,
    last: Last,
}

/// What is known of Letta's agents.
#[derive(Debug, Clone)]
pub(crate) struct Letta {
    current: Current,
    known: watch::Receiver<Known>,
    again: Arc<Notify>,
}

impl Letta {
    /// Returns the variables that a call of this plugin gets: those of the configured agent, where the plugin is named.
    pub(crate) fn of(&self, plugin: &str) -> Option<Variables> {
        let config = self.current.get();
        let settings = config.letta.as_ref().filter(|settings| settings.plugins.contains(plugin))?;
        self.known.borrow().agents.get(&Agent::of(settings)).cloned()
    }

    /// Has the variables fetched again, under the configuration of this moment; what is known stays until they are there.
    pub(crate) fn refresh(&self) {
        self.again.notify_one();
    }

    /// Waits until the first request has ended, where one is made.
    pub(crate) async fn asked(&self) {
        if self.current.get().letta.is_some() {
            let mut known = self.known.clone();
            // The sender is gone only when the daemon ends.
            let _ended = known.wait_for(|known| known.last != Last::Open).await;
        }
    }

    /// Returns why the last request failed, and whether the variables of an earlier one are still there.
    pub(crate) fn failure(&self) -> Option<(String, bool)> {
        let known = self.known.borrow();
        match &known.last {
            Last::Failed(reason) => Some((reason.clone(), !known.agents.is_empty())),
            Last::Open | Last::Answered => None,
        }
    }
}
