//! The catalog as each scope sees it: made once for a catalog and the profiles of a moment, and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::changes::{self, Change};
use super::{Peer, Service};
use crate::auth::{Grant, Profiles, Scope};
use crate::catalog::Catalog;

/// Scopes that are kept: those of tokens are as many as whoever gives them out likes.
const MOST: usize = 1_000;

/// What was made so far.
#[derive(Debug, Default)]
pub(super) struct Views {
    made: RwLock<Option<Made>>,
}

#[derive(Debug)]
struct Made {
    of: Moment,
    narrowed: HashMap<Scope, Arc<Catalog>>,
}

/// What views are made of.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) catalog: Arc<Catalog>,
    pub(super) profiles: Arc<Profiles>,
}

impl Moment {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.catalog, &other.catalog) && Arc::ptr_eq(&self.profiles, &other.profiles)
    }

    /// Whether everyone sees the same in both.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.catalog, &other.catalog) && self.profiles == other.profiles
    }

    fn narrowed(&self, scope: &Scope) -> Arc<Catalog> {
        match scope {
            Scope::Everything => Arc::clone(&self.catalog),
            scope => Arc::new(self.catalog.narrowed(|tool| self.profiles.reach(scope, &tool.facts()))),
        }
    }
}

impl Views {
    /// Whoever reaches everything never comes to the lock.
    fn of(&self, moment: Moment, scope: &Scope) -> Arc<Catalog> {
        if *scope == Scope::Everything {
            return moment.catalog;
        }
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.as_ref().filter(|made| made.of.is(&moment))
            && let Some(view) = known.narrowed.get(scope)
        {
            return Arc::clone(view);
        }
        drop(made);
        let view = moment.narrowed(scope);
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        match made.as_mut().filter(|made| made.of.is(&moment) && made.narrowed.len() < MOST) {
            Some(known) => {
                known.narrowed.insert(scope.clone(), Arc::clone(&view));
            }
            None => {
                let narrowed = HashMap::from([(scope.clone(), Arc::clone(&view))]);
                *made = Some(Made { of: moment, narrowed });
            }
        }
        view
    }
}

impl Service {
    pub(super) fn moment(&self) -> Moment {
        Moment { catalog: self.catalog.snapshot(), profiles: Arc::clone(&self.current.get().profiles) }
    }

    /// The catalog as far as a grant reaches. What is not in it is not there.
    pub(crate) fn seen_by(&self, grant: &Grant) -> Arc<Catalog> {
        match grant.scope() {
            Scope::Everything => self.catalog.snapshot(),
            scope => self.views.of(self.moment(), scope),
        }
    }

    pub(super) fn seen(&self, peer: &Peer) -> Arc<Catalog> {
        self.seen_by(&peer.grant)
    }
}

/// One moment after another, and which lists are not what they were, for each scope.
#[derive(Debug)]
pub(super) struct Turn {
    before: Moment,
    now: Moment,
    known: Mutex<HashMap<Scope, Arc<[Change]>>>,
}

impl Turn {
    pub(super) fn new(before: Moment, now: Moment) -> Self {
        Self { before, now, known: Mutex::default() }
    }

    pub(super) fn changes(&self, scope: &Scope) -> Arc<[Change]> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(changes) = known.get(scope) {
            return Arc::clone(changes);
        }
        let found = changes::between(&self.before.narrowed(scope), &self.now.narrowed(scope));
        let found: Arc<[Change]> = found.into();
        known.insert(scope.clone(), Arc::clone(&found));
        found
    }
}
