//! What one plugin has, and what it gets next; decided without a clock and without a process.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::Child;
use super::fresh::Stamps;
use super::parent::Parent;
use super::{Warm, WarmLimits, WarmState};

/// A plugin that is called so often keeps a spare when the last one grew old.
const RECENT: u32 = 2;
/// After so many children a parent is replaced, and where it grew to so many times its first size.
const CHILDREN: u32 = 5_000;
const GROWTH: u64 = 3;
/// What was tried in vain is tried again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// A child that waits for its call.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) child: Child,
    pub(super) stamps: Stamps,
    pub(super) since: Instant,
}

/// Whether spares are worth making.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spares {
    Wanted,
    /// Not before the plugin changes, or its parent.
    Unfit(String),
}

/// What to make next.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    Parent,
    Spare(Arc<Parent>),
}

#[derive(Debug)]
enum Stage {
    /// There was no call yet, or its parent has left.
    Cold,
    Starting,
    Up(Arc<Parent>),
    /// Why there is none, and since when.
    Failed(Option<String>, Instant),
}

/// One plugin's parent and spares.
#[derive(Debug)]
pub(super) struct Pool {
    warm: Arc<Warm>,
    stage: Stage,
    spares: VecDeque<Spare>,
    /// Spares that are being made.
    coming: usize,
    fitness: Spares,
    /// How many spares to have ready.
    target: usize,
    /// When a call last found none.
    missed: Option<Instant>,
    called: Instant,
}

impl Pool {
    pub(super) fn new(warm: Arc<Warm>) -> Self {
        Self {
            warm,
            stage: Stage::Cold,
            spares: VecDeque::new(),
            coming: 0,
            fitness: Spares::Wanted,
            target: 1,
            missed: None,
            called: Instant::now(),
        }
    }

    pub(super) fn is_of(&self, warm: &Arc<Warm>) -> bool {
        Arc::ptr_eq(&self.warm, warm) || self.warm == *warm
    }

    /// Begins anew where the plugin is not what this was made for.
    pub(super) fn fit(&mut self, warm: &Arc<Warm>) {
        if !self.is_of(warm) {
            *self = Self::new(Arc::clone(warm));
        }
    }

    pub(super) fn has(&self, parent: &Arc<Parent>) -> bool {
        matches!(&self.stage, Stage::Up(own) if Arc::ptr_eq(own, parent))
    }

    /// Notes a call, and returns who could take it.
    pub(super) fn take(&mut self, now: Instant, limits: WarmLimits) -> (Option<Arc<Parent>>, Option<Spare>) {
        self.called = now;
        let Stage::Up(parent) = &self.stage else { return (None, None) };
        let parent = Arc::clone(parent);
        self.drop_old(now, limits);
        let spare = self.spares.pop_front();
        if spare.is_none() && self.fitness == Spares::Wanted {
            self.missed = Some(now);
            self.target = (self.target + 1).min(limits.spares.get());
        }
        (Some(parent), spare)
    }

    pub(super) fn drop_spares(&mut self) {
        self.spares.clear();
    }

    fn drop_old(&mut self, now: Instant, limits: WarmLimits) {
        self.spares.retain(|spare| now.duration_since(spare.since) < limits.spare_age);
    }

    pub(super) fn next(&mut self, now: Instant, limits: WarmLimits) -> Next {
        match &self.stage {
            Stage::Starting => Next::Nothing,
            Stage::Failed(_, when) if now.duration_since(*when) < AGAIN => Next::Nothing,
            Stage::Cold | Stage::Failed(..) => {
                self.stage = Stage::Starting;
                Next::Parent
            }
            Stage::Up(parent) => {
                let enough = self.target.min(limits.spares.get());
                if !self.warm.spares
                    || self.fitness != Spares::Wanted
                    || self.spares.len() + self.coming >= enough
                {
                    return Next::Nothing;
                }
                self.coming += 1;
                Next::Spare(Arc::clone(parent))
            }
        }
    }

    pub(super) fn parent_is_up(&mut self, parent: Arc<Parent>) {
        self.stage = Stage::Up(parent);
        self.coming = 0;
    }

    pub(super) fn parent_failed(&mut self, reason: Option<String>) {
        self.stage = Stage::Failed(reason, Instant::now());
    }

    pub(super) fn spare_is_ready(&mut self, spare: Spare) {
        self.coming = self.coming.saturating_sub(1);
        self.spares.push_back(spare);
    }

    /// Without a reason it is tried again when the next call has its answer.
    pub(super) fn spare_failed(&mut self, reason: Option<String>) {
        self.coming = self.coming.saturating_sub(1);
        if let Some(reason) = reason {
            self.fitness = Spares::Unfit(reason);
            self.spares.clear();
        }
    }

    /// Lets go of a parent that no longer serves.
    pub(super) fn retire(&mut self, parent: &Arc<Parent>) {
        if self.has(parent) {
            *self = Self { called: self.called, ..Self::new(Arc::clone(&self.warm)) };
        }
    }

    pub(super) fn is_idle(&self, now: Instant, limits: WarmLimits) -> bool {
        !self.warm.stays && now.duration_since(self.called) >= limits.idle
    }

    /// Drops what is old; returns the plugin where it is called often enough to make that again.
    pub(super) fn sweep(&mut self, now: Instant, limits: WarmLimits) -> Option<Arc<Warm>> {
        if let Stage::Up(parent) = &self.stage {
            let outgrown = parent.resident().is_none_or(|kib| kib > parent.kib * GROWTH);
            if outgrown || parent.children() >= CHILDREN {
                let parent = Arc::clone(parent);
                self.retire(&parent);
                return Some(Arc::clone(&self.warm));
            }
        }
        self.drop_old(now, limits);
        if self.missed.is_none_or(|missed| now.duration_since(missed) > limits.spare_age) {
            self.target = 1;
            self.spares.truncate(1);
        }
        let recent = self.warm.stays || now.duration_since(self.called) < limits.spare_age * RECENT;
        recent.then(|| Arc::clone(&self.warm))
    }

    pub(super) fn state(&self) -> WarmState {
        let reason = match (&self.stage, &self.fitness) {
            (Stage::Failed(reason, _), _) => reason.clone(),
            (_, Spares::Unfit(reason)) => Some(reason.clone()),
            (Stage::Cold | Stage::Starting | Stage::Up(_), Spares::Wanted) => None,
        };
        WarmState { parent: matches!(self.stage, Stage::Up(_)), spares: self.spares.len(), reason }
    }
}
