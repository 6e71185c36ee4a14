//! Who changed what through a door: each change is logged, and the latest are kept to be shown.

use crate::events::{Event, Field, Kind};
use crate::recent::{self, Recent};

/// Changes that are kept; the journal has them all.
const KEEP: usize = 1_000;

/// The user that nobody is.
const NOBODY: u32 = 65_534;

/// One change, made or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) time: String,
    pub(crate) uid: u32,
    pub(crate) pid: Option<i32>,
    pub(crate) action: String,
    pub(crate) object: String,
    /// `ok`, or why not.
    pub(crate) outcome: String,
}

/// The changes of this daemon's life.
#[derive(Debug)]
pub(crate) struct Audit {
    records: Recent<Record>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { records: Recent::new(KEEP) }
    }
}

impl Audit {
    pub(crate) fn note(&self, uid: u32, pid: Option<i32>, action: &str, object: &str, outcome: &str) {
        let event = Event::of(Kind::Change).number(Field::Uid, uid.into());
        let event = match pid.and_then(|pid| u64::try_from(pid).ok()) {
            Some(pid) => event.number(Field::Pid, pid),
            None => event,
        };
        event.text(Field::Action, action).text(Field::Object, object).text(Field::Outcome, outcome).write();
        self.records.push(Record {
            time: recent::now(),
            uid,
            pid,
            action: action.to_owned(),
            object: object.to_owned(),
            outcome: outcome.to_owned(),
        });
    }

    /// The same of somebody who came over the network, and is no user of this host.
    pub(crate) fn note_peer(&self, action: &str, peer: &str, outcome: &str) {
        self.note(NOBODY, None, action, peer, outcome);
    }

    pub(crate) fn records(&self) -> &Recent<Record> {
        &self.records
    }
}
