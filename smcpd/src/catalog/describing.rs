//! Describes many plugins at once: who is known by a digest is looked up, and only the others are asked.
//!
//! Looking is done for many plugins in one go, in a few threads: a start that finds everything on disk is made of little
//! else. Asking runs programs, as many at once as the operator allows, and begins while others are still looked at.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::confinement::Confinement;
use super::describe::Describer;
use super::environment::Environment;
use super::model::Description;
use super::ownership::{self, Owners, Review};
use super::pins::{self, Now, Pins};
use super::plugin::{Approved, Defaults};
use super::scan::{self, Interpreters, Located};
use super::silent::{self, Silent};
use super::store::{Found, Store};
use super::{Plugin, PluginState, digest};
use crate::config::{self, Config, PinPolicy, WarmMode};
use crate::events::{Event, Field, Kind};

/// Threads that look at plugins, and how many plugins are worth one.
const LOOKERS: usize = 4;
const WORTH: usize = 8;
/// How many have to be asked for them to be asked together.
const MANY: usize = 4;
/// How often a plugin is asked again that changed while it was asked.
const AGAIN: usize = 5;

/// Where plugins live: what decides how each is run.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) settings: Arc<Config>,
    pub(super) python: Option<PathBuf>,
    pub(super) pins: Pins,
    pub(super) silent: Arc<Silent>,
}

/// A plugin by its name, as it was known before.
pub(super) type Name = (String, Option<Arc<Plugin>>);

/// What a look at a plugin's files came to.
#[derive(Debug)]
enum Looked {
    Known(Arc<Plugin>),
    /// Only the plugin itself can tell.
    Unknown(Box<Located>, String),
}

/// What a task ends with.
#[derive(Debug)]
enum Done {
    Looked(Vec<(String, Result<Looked, String>)>),
    Asked(String, PluginState),
}

/// Plugins that are being described. Dropping it gives up.
#[derive(Debug)]
pub(super) struct Describing {
    tasks: JoinSet<Done>,
    place: Place,
    describer: Arc<Describer>,
    store: Store,
    slots: Arc<Semaphore>,
    /// Whom only the plugin itself could tell about so far.
    unknown: usize,
}

impl Describing {
    pub(super) fn start(place: Place, describer: Arc<Describer>, store: Store, names: Vec<Name>) -> Self {
        let slots = Arc::new(Semaphore::new(place.settings.plugins.describe_parallel.get()));
        let mut describing = Self { tasks: JoinSet::new(), place, describer, store, slots, unknown: 0 };
        let each = names.len().div_ceil(LOOKERS).max(WORTH);
        let mut names = names.into_iter().peekable();
        while names.peek().is_some() {
            let some: Vec<Name> = names.by_ref().take(each).collect();
            let (place, store) = (describing.place.clone(), describing.store.clone());
            describing.tasks.spawn(async move { Done::Looked(place.look_at(some, store).await) });
        }
        describing
    }

    /// Waits for more results, and returns them; nothing where all are there. A result is not lost where this is given
    /// up.
    pub(super) async fn next(&mut self) -> Option<Vec<(String, PluginState)>> {
        Some(match self.tasks.join_next().await? {
            Ok(Done::Asked(name, state)) => vec![(name, state)],
            Ok(Done::Looked(looked)) => self.note(looked),
            Err(error) => {
                tracing::error!(%error, "describing a plugin failed within the daemon");
                Vec::new()
            }
        })
    }

    /// Returns whom nobody need ask, and asks the others.
    fn note(&mut self, looked: Vec<(String, Result<Looked, String>)>) -> Vec<(String, PluginState)> {
        self.unknown += looked.iter().filter(|(_, looked)| matches!(looked, Ok(Looked::Unknown(..)))).count();
        let (settings, python) = (&self.place.settings, &self.place.python);
        // A fork is what the operator does not want where no calls are kept warm.
        if let Some(python) =
            python.as_deref().filter(|_| self.unknown >= MANY && settings.warm.mode != WarmMode::Off)
        {
            let environment = self.place.environment(&config::Plugin::default(), &[]);
            self.describer.gather(python, environment, &Confinement::of_many(settings));
        }
        let mut known = Vec::new();
        for (name, looked) in looked {
            match looked {
                Ok(Looked::Known(plugin)) => known.push((name, PluginState::Described(plugin))),
                Err(reason) => known.push((name, PluginState::Failed(reason))),
                Ok(Looked::Unknown(located, digest)) => self.ask(name, *located, digest),
            }
        }
        known
    }

    fn ask(&mut self, name: String, located: Located, digest: String) {
        let (slots, place) = (Arc::clone(&self.slots), self.place.clone());
        let (describer, store) = (Arc::clone(&self.describer), self.store.clone());
        self.tasks.spawn(async move {
            let _slot = slots.acquire_owned().await.expect("the semaphore is never closed");
            let entry = place.settings.plugins.directory.join(&name);
            let asked = ask(&place, &describer, Some(&store), &name, &entry, (located, digest)).await;
            Done::Asked(name, asked.map_or_else(PluginState::Failed, PluginState::Described))
        });
    }
}

impl Drop for Describing {
    fn drop(&mut self) {
        self.describer.disperse();
    }
}

/// Describes the plugin at `entry`, of which nothing is known, and keeps nothing of it on disk; the error is the reason
/// to show.
pub(super) async fn describe(
    place: &Place,
    describer: &Describer,
    name: &str,
    entry: &Path,
) -> Result<Arc<Plugin>, String> {
    let found = place.clone().find_soon(name, entry).await?;
    ask(place, describer, None, name, entry, found).await
}

/// Asks the plugin itself.
async fn ask(
    place: &Place,
    describer: &Describer,
    store: Option<&Store>,
    name: &str,
    entry: &Path,
    (mut located, mut digest): (Located, String),
) -> Result<Arc<Plugin>, String> {
    let environment = place.environment(&place.granted(name), &[]);
    let mut tries = 0;
    let (description, approved) = loop {
        let described = describer.describe(&located, &environment).await;
        // A plugin that changed while it was asked may have been read half.
        let found = place.clone().find_soon(name, entry).await?;
        let (now, later) = found;
        if store.is_some() {
            place.admit(&now, &later)?;
        }
        if later == digest || tries == AGAIN {
            let description: Description = described?;
            let Some(store) = store else { break (description, Approved::default()) };
            let description = description.kept();
            let contract = pins::digest_of(&pins::pieces(name, &description));
            store.save(name, &digest, &contract, &description);
            let approved = place.approve(entry, &Now::of(&located, &digest), &description, contract)?;
            break (description, approved);
        }
        tries += 1;
        (located, digest) = (now, later);
        if let Some(Found::Same(description, contract)) = store.map(|store| store.find(name, &digest)) {
            let approved = place.approve(entry, &Now::of(&located, &digest), &description, contract)?;
            break (*description, approved);
        }
    };
    Ok(place.plugin(name, located, (digest, approved), description))
}

impl Place {
    fn granted(&self, name: &str) -> config::Plugin {
        self.settings.plugin.get(name).cloned().unwrap_or_default()
    }

    /// Where its calls run.
    fn state(&self, name: &str) -> PathBuf {
        let granted = self.settings.plugin.get(name).and_then(|granted| granted.directory.clone());
        granted.unwrap_or_else(|| self.settings.paths.plugin_state(name))
    }

    fn find(&self, name: &str, entry: &Path, within: Option<&Path>) -> Result<(Located, String), String> {
        let environments = self.settings.paths.state.join("venv");
        let interpreters = Interpreters { python: self.python.as_deref(), environments: &environments };
        let own = self.settings.plugin.get(name).and_then(|granted| granted.python.as_deref());
        let mut located = scan::locate(entry, name, within, own, interpreters)?;
        located.confinement =
            Confinement::choose(&self.settings, name, &located.directory, &self.state(name));
        let mut review = Review::new(Owners {
            daemon: rustix::process::geteuid().as_raw(),
            linker: ownership::linker(entry),
            others: self.settings.plugins.owners.clone(),
        });
        let digest = digest::of(&located, &mut review);
        review.above(&located.directory);
        // The operator's own choice of an interpreter is the operator's to guard.
        let is_interpreter = own.is_none() && !located.prefix.is_empty();
        let lies_here = |place: &PathBuf| located.program.starts_with(place);
        if is_interpreter && [&located.directory, &environments].into_iter().any(lies_here) {
            review.interpreter(&located.program);
        }
        located.risks = review.risks();
        Ok((located, digest))
    }

    /// Refuses a plugin whose files others may change, or are not those that were approved where pins block.
    fn admit(&self, located: &Located, digest: &str) -> Result<Now, String> {
        let policy = self.settings.pin_policy(&located.name);
        if let Some(reason) = ownership::refusal(&located.risks, policy == PinPolicy::Block) {
            return Err(reason);
        }
        let now = Now::of(located, digest);
        self.pins.admit(&now, policy).map(|()| now)
    }

    /// Holds what a plugin says of itself to its pin.
    fn approve(
        &self,
        entry: &Path,
        now: &Now,
        description: &Description,
        contract: String,
    ) -> Result<Approved, String> {
        let policy = self.settings.pin_policy(now.name());
        let linker = || ownership::linker(entry);
        let standing = self.pins.judge(now, description, &contract, policy, linker)?;
        Ok(Approved { contract, standing })
    }

    /// Takes over the interpreter that the plugin has now.
    pub(super) fn adopt_interpreter(&self, name: &str) {
        if let Ok((located, digest)) = self.find(name, &self.settings.plugins.directory.join(name), None) {
            self.pins.adopt_interpreter(&Now::of(&located, &digest));
        }
    }

    /// Returns a plugin's files as they are, and what it says of itself where that is known of these very files.
    pub(super) fn as_it_is(
        &self,
        name: &str,
        store: &Store,
        state: &PluginState,
    ) -> Result<(Now, Option<Description>), String> {
        let entry = self.settings.plugins.directory.join(name);
        let (located, digest) = self.find(name, &entry, None)?;
        let description = match state {
            PluginState::Described(plugin) if plugin.digest() == digest => Some(plugin.description().clone()),
            PluginState::Described(_) | PluginState::Pending | PluginState::Failed(_) => {
                match store.find(name, &digest) {
                    Found::Same(description, _) => Some(description.kept()),
                    Found::SameFiles | Found::OtherFiles | Found::Nothing => None,
                }
            }
        };
        Ok((Now::of(&located, &digest), description))
    }

    async fn find_soon(self, name: &str, entry: &Path) -> Result<(Located, String), String> {
        let (silent, entry) = (Arc::clone(&self.silent), entry.to_owned());
        let found = silent.look_at(name, move |name| self.find(name, &entry, None)).await;
        found.unwrap_or_else(|| Err(silent::REASON.to_owned()))
    }

    /// Looks at each; who was known and does not answer stays as it was.
    async fn look_at(self, names: Vec<Name>, store: Store) -> Vec<(String, Result<Looked, String>)> {
        let before: Vec<_> = names.iter().map(|(_, before)| before.clone()).collect();
        let (silent, directory) = (Arc::clone(&self.silent), self.settings.plugins.directory.clone());
        let within = OnceLock::new();
        let look = move |name: &str, before: &Option<Arc<Plugin>>| {
            let within = within.get_or_init(|| directory.canonicalize().ok());
            self.look(name, &directory.join(name), within.as_deref(), &store, before.clone())
        };
        let found = silent.look(names, look).await.into_iter().zip(before);
        let known = |before: Option<Arc<Plugin>>| before.map(Looked::Known).ok_or(silent::REASON.to_owned());
        found.map(|((name, looked), before)| (name, looked.unwrap_or_else(|| known(before)))).collect()
    }

    /// Looks for what is known of the plugin at `entry` and still holds; reads files, and runs nothing.
    fn look(
        &self,
        name: &str,
        entry: &Path,
        within: Option<&Path>,
        store: &Store,
        before: Option<Arc<Plugin>>,
    ) -> Result<Looked, String> {
        let (located, digest) = self.find(name, entry, within)?;
        let now = self.admit(&located, &digest)?;
        let is_watched = before.is_some();
        if let Some(before) = before.filter(|before| before.is_of(&located, &digest)) {
            let (description, contract) = (before.description(), before.contract().to_owned());
            let approved = self.approve(entry, &now, description, contract)?;
            if approved.standing == *before.standing() {
                return Ok(Looked::Known(before));
            }
            let plugin = self.plugin(name, located, (digest, approved), description.clone());
            return Ok(Looked::Known(plugin));
        }
        match store.find(name, &digest) {
            Found::Same(description, contract) => {
                let description = description.kept();
                let approved = self.approve(entry, &now, &description, contract)?;
                let plugin = self.plugin(name, located, (digest, approved), description);
                return Ok(Looked::Known(plugin));
            }
            Found::OtherFiles if !is_watched => {
                Event::of(Kind::PluginDrifted).text(Field::Plugin, name).write();
            }
            Found::OtherFiles | Found::SameFiles | Found::Nothing => {}
        }
        Ok(Looked::Unknown(Box::new(located), digest))
    }

    fn environment(&self, granted: &config::Plugin, declared: &[&str]) -> Environment {
        let policy = self.settings.plugins.environment;
        Environment::choose(std::env::vars_os(), policy, declared, &granted.environment)
    }

    fn plugin(
        &self,
        name: &str,
        located: Located,
        made_of: (String, Approved),
        description: Description,
    ) -> Arc<Plugin> {
        let declared: Vec<&str> =
            description.environment.iter().map(|variable| variable.name.as_str()).collect();
        let granted = self.granted(name);
        let environment = self.environment(&granted, &declared);
        let state = self.state(name);
        let defaults = Defaults { execution: &self.settings.execution, warm: self.settings.warm.mode };
        Arc::new(Plugin::new(located, made_of, description, environment, state, &granted, defaults))
    }
}
