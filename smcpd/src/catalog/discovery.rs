//! Keeps the catalog true to the plugins directory: finds, describes, publishes.
//!
//! Plugins are described in parallel, each under its own deadline. The first catalog is published when all are
//! described or the start has waited long enough; each one that comes later makes a new catalog. From then on a
//! change in the directory, or a request, makes a rescan: whoever did not change is kept as it is, and one new
//! catalog is swapped in when all the rest are described.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::describe::Describer;
use super::describing::{Describing, Place};
use super::pins::{AcceptError, PinQuestion, Pinning, Pins, withheld};
use super::scan;
use super::silent::{self, Silent};
use super::store::Store;
use super::transitions::transitions;
use super::watch::Watch;
use super::{Catalog, PluginState, python};
use crate::config::{Config, Current};
use crate::events::{Event, Field, Kind};
use crate::executor::Executor;
use crate::metrics::{Metrics, Rescan};

/// Results that come this close together make one catalog.
const TOGETHER: Duration = Duration::from_millis(50);

/// The catalog as everyone else sees it: the latest snapshot, and word of the next.
#[derive(Debug, Clone)]
pub(crate) struct CatalogHandle {
    receiver: watch::Receiver<Arc<Catalog>>,
    silent: Arc<Silent>,
}

impl CatalogHandle {
    /// Returns the catalog of this moment; it never changes.
    pub(crate) fn snapshot(&self) -> Arc<Catalog> {
        Arc::clone(&self.receiver.borrow())
    }

    /// Looks at the files of its plugins.
    pub(crate) fn silent(&self) -> &Arc<Silent> {
        &self.silent
    }

    /// Waits for a catalog other than the last one seen through this handle; `false` when none will come.
    pub(crate) async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }
}

/// Describes plugins and publishes catalogs.
#[derive(Debug)]
pub(crate) struct Discovery {
    current: Current,
    /// The configuration that the catalog was made under.
    settings: Arc<Config>,
    /// The configuration is newer than what the catalog holds.
    stale: bool,
    python: Option<PathBuf>,
    executor: Executor,
    describer: Arc<Describer>,
    store: Store,
    publisher: watch::Sender<Arc<Catalog>>,
    requests: mpsc::Receiver<Request>,
    questions: mpsc::Receiver<PinQuestion>,
    pins: Pins,
    silent: Arc<Silent>,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
}

type States = BTreeMap<String, PluginState>;

/// What a rescan changed, or why there was none.
pub(crate) type Answer = Result<Changes, RescanError>;

#[derive(Debug)]
struct Request {
    /// Only say what would change.
    plan: bool,
    /// What an operator did before.
    made: Option<Made>,
    reply: oneshot::Sender<Answer>,
}

/// What an operator did to a plugin, and so approves of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    /// It was linked or unlinked.
    Link(String),
    /// Its virtual environment was made.
    Environment(String),
}

/// Rescans that may wait to be asked for.
const WAITING: usize = 64;

/// Why a rescan did not happen; the catalog stays as it is.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum RescanError {
    #[error("cannot read the plugins directory `{}`: {reason}", directory.display())]
    Unreadable { directory: PathBuf, reason: String },
    #[error("too many rescans are waiting")]
    Busy,
    #[error("the daemon is stopping")]
    Stopping,
}

/// Asks for rescans.
#[derive(Debug, Clone)]
pub(crate) struct Rescans {
    requests: mpsc::Sender<Request>,
    questions: mpsc::Sender<PinQuestion>,
}

impl Rescans {
    /// Asks for a rescan; requests that wait together are answered by one. Dropping the answer does not stop it.
    pub(crate) fn request(&self) -> Result<oneshot::Receiver<Answer>, RescanError> {
        self.send(false, None)
    }

    /// The same after something that an operator did.
    pub(crate) fn after(&self, made: Option<Made>) -> Result<oneshot::Receiver<Answer>, RescanError> {
        self.send(false, made)
    }

    /// Asks what a rescan would change.
    pub(crate) fn plan(&self) -> Result<oneshot::Receiver<Answer>, RescanError> {
        self.send(true, None)
    }

    /// Asks how plugins stand to their pins: all, or the one of this name.
    pub(crate) async fn pins(&self, plugin: Option<String>) -> Result<Vec<Pinning>, RescanError> {
        let (reply, answer) = oneshot::channel();
        self.ask(PinQuestion::Compare { plugin, reply })?;
        answer.await.map_err(|_| RescanError::Stopping)
    }

    /// Pins a plugin as it is, where it is what the token names, and rescans.
    pub(crate) async fn accept_pin(
        &self,
        plugin: &str,
        token: &str,
        uid: u32,
    ) -> Result<Result<(), AcceptError>, RescanError> {
        let (reply, answer) = oneshot::channel();
        let (plugin, token) = (plugin.to_owned(), token.to_owned());
        self.ask(PinQuestion::Accept { plugin, token, uid, reply })?;
        answer.await.map_err(|_| RescanError::Stopping)
    }

    fn ask(&self, question: PinQuestion) -> Result<(), RescanError> {
        self.questions.try_send(question).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RescanError::Busy,
            mpsc::error::TrySendError::Closed(_) => RescanError::Stopping,
        })
    }

    fn send(&self, plan: bool, made: Option<Made>) -> Result<oneshot::Receiver<Answer>, RescanError> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Request { plan, made, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RescanError::Busy,
            mpsc::error::TrySendError::Closed(_) => RescanError::Stopping,
        })?;
        Ok(answer)
    }
}

impl Discovery {
    pub(crate) fn new(
        current: Current,
        executor: Executor,
        metrics: Arc<Metrics>,
        cancel: CancellationToken,
    ) -> std::io::Result<(Self, CatalogHandle, Rescans)> {
        let settings = current.get();
        let describer = Describer::new(
            executor.clone(),
            &settings.paths.cache,
            settings.plugins.describe_timeout,
            cancel.clone(),
        )?;
        let (publisher, receiver) = watch::channel(Arc::new(Catalog::empty()));
        let (sender, requests) = mpsc::channel(WAITING);
        let (asking, questions) = mpsc::channel(WAITING);
        let silent = Arc::<Silent>::default();
        let discovery = Self {
            store: Store::new(&settings.paths.cache),
            pins: Pins::new(&settings.paths.state),
            silent: Arc::clone(&silent),
            questions,
            current,
            settings,
            stale: false,
            python: None,
            executor,
            describer: Arc::new(describer),
            publisher,
            requests,
            metrics,
            cancel,
        };
        Ok((discovery, CatalogHandle { receiver, silent }, Rescans { requests: sender, questions: asking }))
    }

    /// Describes every plugin, then follows the directory until the daemon stops. `ready` fires once the first
    /// catalog is published.
    pub(crate) async fn run(mut self, ready: oneshot::Sender<()>) {
        let started = Instant::now();
        let mut watch = Watch::start();
        watch.follow(&self.silent, &BTreeSet::from([self.settings.plugins.directory.clone()])).await;
        self.find_python().await;
        let mut states = States::new();
        match self.describe_all(&states) {
            Ok((describing, pending)) => {
                states = pending;
                self.start(&mut states, describing, started, ready).await;
            }
            Err(error) => {
                tracing::error!("{error}");
                self.publish(&states).await;
                // The receiver is gone only when the daemon is stopping already.
                let _stopping = ready.send(());
            }
        }
        loop {
            watch.follow(&self.silent, &self.directories(&states).await).await;
            let request = tokio::select! {
                request = self.requests.recv() => request,
                Some(question) = self.questions.recv() => {
                    self.answer(question, &mut states).await;
                    continue;
                }
                () = watch.settled() => None,
                () = self.silent.is_back() => None,
                () = self.cancel.cancelled() => return,
            };
            let mut requests = Vec::from_iter(request);
            while let Ok(more) = self.requests.try_recv() {
                requests.push(more);
            }
            let plan = !requests.is_empty() && requests.iter().all(|request| request.plan);
            if !plan {
                self.note_made(requests.iter().filter_map(|request| request.made.as_ref())).await;
            }
            let changes = self.rescan(&mut states, plan).await;
            if let Err(error) = &changes {
                tracing::error!("{error}");
            }
            if !plan {
                self.metrics.rescanned(match &changes {
                    Ok(changes) if *changes == Changes::default() => Rescan::Same,
                    Ok(_) => Rescan::Changed,
                    Err(_) => Rescan::Failed,
                });
            }
            for request in requests {
                // Whoever asked may have gone away.
                let _gone = request.reply.send(changes.clone());
            }
        }
    }

    /// Has those ready at once that the operator wants ready from the start.
    async fn warm_up(&self, states: &States) {
        for state in states.values() {
            if let PluginState::Described(plugin) = state
                && let Some(warm) = plugin.warmth().kept_from_the_start()
            {
                // A call makes its directory anew; where that fails, it says so.
                let _later = plugin.create_state(&self.silent).await;
                self.executor.warm_up(Arc::clone(warm));
            }
        }
    }

    /// Publishes what is there once the start has waited long enough, then each latecomer.
    async fn start(
        &self,
        states: &mut States,
        mut describing: Describing,
        started: Instant,
        ready: oneshot::Sender<()>,
    ) {
        let deadline =
            tokio::time::sleep(self.settings.plugins.startup_wait.saturating_sub(started.elapsed()));
        collect(states, &mut describing, deadline).await;
        self.publish(states).await;
        let _stopping = ready.send(());
        while let Some(found) = describing.next().await {
            states.extend(found);
            collect(states, &mut describing, tokio::time::sleep(TOGETHER)).await;
            self.publish(states).await;
        }
    }

    /// Looks at every plugin again, and publishes one new catalog if anything is not as it was; a plan only says
    /// what that would change.
    async fn rescan(&mut self, states: &mut States, plan: bool) -> Result<Changes, RescanError> {
        tracing::debug!(plan, "looking at the plugins again");
        let latest = self.current.get();
        if !Arc::ptr_eq(&latest, &self.settings) {
            (self.settings, self.stale) = (latest, true);
            self.describer.set_timeout(self.settings.plugins.describe_timeout);
            self.find_python().await;
        }
        // What the operator grants may be other than it was, so nobody stays as they are.
        let nobody = States::new();
        let (mut describing, mut new) = self.describe_all(if self.stale { &nobody } else { states })?;
        while let Some(found) = describing.next().await {
            new.extend(found);
        }
        let old = Arc::clone(&self.publisher.borrow());
        let same = states.len() == new.len()
            && states.iter().zip(&new).all(|((one, state), (other, now))| one == other && state.is_same(now));
        if same {
            return Ok(Changes::default());
        }
        if plan {
            let planned = Catalog::build(old.generation, new, self.settings.tools.separator);
            return Ok(Changes::between(&old, &planned));
        }
        *states = new;
        self.stale = false;
        self.publish(states).await;
        let changes = Changes::between(&old, &self.publisher.borrow());
        tracing::info!(
            added = changes.added.len(),
            removed = changes.removed.len(),
            changed = changes.changed.len(),
            failed = changes.failed.len(),
            "rescanned"
        );
        Ok(changes)
    }

    /// The plugins directory, and where each plugin really is.
    async fn directories(&self, states: &States) -> BTreeSet<PathBuf> {
        let mut directories = BTreeSet::from([self.settings.plugins.directory.clone()]);
        let mut elsewhere = Vec::new();
        for (name, state) in states {
            match state {
                PluginState::Described(plugin) => _ = directories.insert(plugin.directory().to_owned()),
                PluginState::Pending | PluginState::Failed(_) => elsewhere.push((name.clone(), ())),
            }
        }
        let plugins = self.settings.plugins.directory.clone();
        let found = self.silent.look(elsewhere, move |name, ()| plugins.join(name).canonicalize().ok());
        directories.extend(found.await.into_iter().filter_map(|(_, real)| real?));
        directories
    }

    /// Begins to describe every plugin that is in the directory now; `known` ones that did not change stay.
    fn describe_all(&self, known: &States) -> Result<(Describing, States), RescanError> {
        let directory = &self.settings.plugins.directory;
        let names = scan::names(directory).map_err(|error| RescanError::Unreadable {
            directory: directory.clone(),
            reason: error.to_string(),
        })?;
        let states = names.iter().map(|name| (name.clone(), PluginState::Pending)).collect();
        let names = names.into_iter().map(|name| {
            let before = match known.get(&name) {
                Some(PluginState::Described(plugin)) => Some(Arc::clone(plugin)),
                Some(PluginState::Pending | PluginState::Failed(_)) | None => None,
            };
            (name, before)
        });
        Ok((
            Describing::start(self.place(), Arc::clone(&self.describer), self.store.clone(), names.collect()),
            states,
        ))
    }

    fn place(&self) -> Place {
        let (settings, python) = (Arc::clone(&self.settings), self.python.clone());
        Place { settings, python, pins: self.pins.clone(), silent: Arc::clone(&self.silent) }
    }

    /// What an operator does by hand need not be accepted as well.
    async fn note_made<'a>(&self, made: impl Iterator<Item = &'a Made>) {
        for made in made {
            match made {
                Made::Link(plugin) => self.pins.forget(plugin),
                Made::Environment(plugin) => {
                    let place = self.place();
                    let _unless_silent =
                        self.silent.look_at(plugin, move |plugin| place.adopt_interpreter(plugin)).await;
                }
            }
        }
    }

    /// Answers a question about pins, or carries out a decision and what follows from it.
    async fn answer(&mut self, question: PinQuestion, states: &mut States) {
        let (pins, place, store, known) =
            (self.pins.clone(), self.place(), self.store.clone(), states.clone());
        match question {
            PinQuestion::Compare { plugin, reply } => {
                let asked = |name: &String| plugin.as_ref().is_none_or(|plugin| plugin == name);
                let known = known.into_iter().filter(|(name, _)| asked(name)).collect();
                let look = move |name: &str, state: &PluginState| pins.look(&place, &store, name, state);
                let found = self.silent.look(known, look).await.into_iter();
                let silent = |plugin: String| {
                    let policy = self.settings.pin_policy(&plugin);
                    Pinning { plugin, policy, found: Err(silent::REASON.to_owned()) }
                };
                // Whoever asked may have gone away; so below.
                let _gone = reply
                    .send(found.map(|(plugin, found)| found.unwrap_or_else(|| silent(plugin))).collect());
            }
            PinQuestion::Accept { plugin, token, uid, reply } => {
                let decide = move |plugin: &str| match known.get(plugin) {
                    Some(state) => pins.decide(&place, &store, plugin, state, (&token, uid)),
                    None => Err(AcceptError::Unknown(plugin.to_owned())),
                };
                let decided = self.silent.look_at(&plugin, decide).await;
                let decided = decided.unwrap_or_else(|| {
                    Err(AcceptError::Failed { plugin, reason: silent::REASON.to_owned() })
                });
                if decided.is_ok()
                    && let Err(error) = self.rescan(states, false).await
                {
                    tracing::error!("{error}");
                }
                let _gone = reply.send(decided);
            }
        }
    }

    async fn find_python(&mut self) {
        self.python = python::find(&self.settings.plugins, &self.executor, &self.cancel).await;
        if self.python.is_none() {
            tracing::warn!("no python3 was found: plugins that need one are listed as failed");
        }
    }

    async fn publish(&self, states: &States) {
        let generation = self.publisher.borrow().generation + 1;
        self.warm_up(states).await;
        let mut catalog = Catalog::build(generation, states.clone(), self.settings.tools.separator);
        catalog.has_python = self.python.is_some();
        for problem in &catalog.problems {
            tracing::warn!(tool = %problem.tool, "{}", problem.message);
        }
        let mut tools_of = BTreeMap::<&str, u64>::new();
        for plugin in catalog.tools().iter().filter_map(|tool| tool.plugin_name()) {
            *tools_of.entry(plugin).or_default() += 1;
        }
        for (name, kind) in transitions(self.publisher.borrow().plugins(), states) {
            let event = Event::of(kind).text(Field::Plugin, name);
            match states.get(name) {
                Some(PluginState::Described(_)) => {
                    event.number(Field::Tools, tools_of.get(name).copied().unwrap_or(0))
                }
                Some(PluginState::Failed(reason)) => event.text(Field::Reason, reason),
                Some(PluginState::Pending) | None => event,
            }
            .write();
        }
        for (name, state) in states {
            let before = self.publisher.borrow().plugins().get(name).and_then(drift).map(str::to_owned);
            let now = drift(state);
            if let Some(reason) = now.filter(|_| now != before.as_deref()) {
                Event::of(Kind::PinDrift)
                    .text(Field::Plugin, name)
                    .text(Field::Action, self.settings.pin_policy(name).as_str())
                    .text(Field::Reason, reason)
                    .write();
            }
        }
        tracing::info!(
            generation,
            tools = catalog.tools().len(),
            plugins = states.len(),
            "the catalog is new"
        );
        self.publisher.send_replace(Arc::new(catalog));
    }
}

/// What of a plugin is not what was approved.
fn drift(state: &PluginState) -> Option<&str> {
    match state {
        PluginState::Described(plugin) => plugin.standing().drift(),
        PluginState::Failed(reason) => withheld(reason),
        PluginState::Pending => None,
    }
}

/// Notes results until `deadline`, or until there are no more.
async fn collect(states: &mut States, describing: &mut Describing, deadline: tokio::time::Sleep) {
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            found = describing.next() => match found {
                Some(found) => states.extend(found),
                None => return,
            },
            () = &mut deadline => return,
        }
    }
}
