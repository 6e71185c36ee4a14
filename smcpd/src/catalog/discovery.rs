//! Keeps the catalog true to the plugins directory: finds, describes, publishes.
//!
//! Plugins are described in parallel, each under its own deadline. The first catalog is published when all are
//! described or the start has waited long enough; each one that comes later makes a new catalog.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::describe::Describer;
use super::environment::Environment;
use super::model::Description;
use super::scan::{self, Interpreters, Located};
use super::store::Store;
use super::{Catalog, Plugin, PluginState, Settings, digest};
use crate::executor::{End, Executor, Invocation, OutputLimit};

/// Results that come this close together make one catalog.
const TOGETHER: Duration = Duration::from_millis(50);

/// The catalog as everyone else sees it: the latest snapshot, and word of the next.
#[derive(Debug, Clone)]
pub(crate) struct CatalogHandle {
    receiver: watch::Receiver<Arc<Catalog>>,
}

impl CatalogHandle {
    /// Returns the catalog of this moment; it never changes.
    pub(crate) fn snapshot(&self) -> Arc<Catalog> {
        Arc::clone(&self.receiver.borrow())
    }

    /// Waits for a catalog other than the last one seen through this handle; `false` when none will come.
    pub(crate) async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }
}

/// Describes plugins and publishes catalogs.
#[derive(Debug)]
pub(crate) struct Discovery {
    settings: Arc<Settings>,
    executor: Executor,
    describer: Arc<Describer>,
    store: Store,
    publisher: watch::Sender<Arc<Catalog>>,
    cancel: CancellationToken,
}

/// One plugin's result.
type Found = (String, PluginState);

impl Discovery {
    pub(crate) fn new(
        settings: Settings,
        executor: Executor,
        cancel: CancellationToken,
    ) -> std::io::Result<(Self, CatalogHandle)> {
        let describer = Describer::new(
            executor.clone(),
            &settings.paths.cache,
            settings.plugins.describe_timeout,
            cancel.clone(),
        )?;
        let (publisher, receiver) = watch::channel(Arc::new(Catalog::empty()));
        let discovery = Self {
            store: Store::new(&settings.paths.cache),
            settings: Arc::new(settings),
            executor,
            describer: Arc::new(describer),
            publisher,
            cancel,
        };
        Ok((discovery, CatalogHandle { receiver }))
    }

    /// Describes every plugin; `ready` fires once the first catalog is published. Ends when all are described.
    pub(crate) async fn run(self, ready: tokio::sync::oneshot::Sender<()>) {
        let started = Instant::now();
        let python = self.python().await;
        if python.is_none() {
            tracing::warn!("no python3 was found: plugins that need one are listed as failed");
        }
        let directory = &self.settings.plugins.directory;
        let names = scan::names(directory).unwrap_or_else(|error| {
            tracing::error!(directory = %directory.display(), %error, "cannot read the plugins directory");
            Vec::new()
        });
        let mut states: BTreeMap<String, PluginState> =
            names.iter().map(|name| (name.clone(), PluginState::Pending)).collect();
        let mut tasks = self.describe_all(names, python);
        let deadline =
            tokio::time::sleep(self.settings.plugins.startup_wait.saturating_sub(started.elapsed()));
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                found = tasks.join_next() => match found {
                    Some(found) => note(&mut states, found),
                    None => break,
                },
                () = &mut deadline => break,
            }
        }
        self.publish(&states);
        // The receiver is gone only when the daemon is stopping already.
        let _stopping = ready.send(());
        while let Some(found) = tasks.join_next().await {
            note(&mut states, found);
            let together = tokio::time::sleep(TOGETHER);
            tokio::pin!(together);
            loop {
                tokio::select! {
                    found = tasks.join_next() => match found {
                        Some(found) => note(&mut states, found),
                        None => break,
                    },
                    () = &mut together => break,
                }
            }
            self.publish(&states);
        }
    }

    fn describe_all(&self, names: Vec<String>, python: Option<PathBuf>) -> JoinSet<Found> {
        let slots = Arc::new(Semaphore::new(self.settings.plugins.describe_parallel.get()));
        let mut tasks = JoinSet::new();
        for name in names {
            let (slots, python) = (Arc::clone(&slots), python.clone());
            let (settings, describer, store) =
                (Arc::clone(&self.settings), Arc::clone(&self.describer), self.store.clone());
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await.expect("the semaphore is never closed");
                let state = match describe(&settings, &describer, &store, &name, python).await {
                    Ok(plugin) => PluginState::Described(Arc::new(plugin)),
                    Err(reason) => PluginState::Failed(reason),
                };
                (name, state)
            });
        }
        tasks
    }

    /// The configured interpreter, else `python3` of our PATH: where that is a shim, it is asked who it
    /// really is, because a shim would cost each call dear.
    async fn python(&self) -> Option<PathBuf> {
        if let Some(python) = &self.settings.plugins.python {
            return Some(python.clone());
        }
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin"));
        let found = std::env::split_paths(&path)
            .map(|directory| directory.join("python3"))
            .find(|program| rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok())?;
        if scan::is_binary(&found) {
            return Some(found);
        }
        let asked = Invocation {
            call: format!("python-{}", std::process::id()),
            program: found.clone(),
            argv: ["-S", "-E", "-c", "import sys; print(sys.executable)"].map(OsString::from).into(),
            environment: std::env::vars_os().collect(),
            directory: PathBuf::from("/"),
            stdin: None,
            timeout: Some(self.settings.plugins.describe_timeout),
            output: OutputLimit { keep: 8 << 10, ceiling: 8 << 10 },
        };
        let said = match self.executor.probe(asked, &self.cancel).await {
            Ok(outcome) if outcome.end == End::Exited(0) => outcome.stdout.into_text(),
            _ => return Some(found),
        };
        let real = PathBuf::from(said.trim());
        Some(if real.is_absolute() && real.is_file() { real } else { found })
    }

    fn publish(&self, states: &BTreeMap<String, PluginState>) {
        let generation = self.publisher.borrow().generation + 1;
        let catalog = Catalog::build(generation, states.clone(), self.settings.tools.separator);
        for problem in &catalog.problems {
            tracing::warn!(tool = %problem.tool, "{}", problem.message);
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

fn note(states: &mut BTreeMap<String, PluginState>, found: Result<Found, tokio::task::JoinError>) {
    match found {
        Ok((name, state)) => {
            if let PluginState::Failed(reason) = &state {
                tracing::warn!(plugin = %name, reason, "a plugin cannot be described");
            }
            states.insert(name, state);
        }
        Err(error) => tracing::error!(%error, "describing a plugin failed within the daemon"),
    }
}

async fn describe(
    settings: &Arc<Settings>,
    describer: &Describer,
    store: &Store,
    name: &str,
    python: Option<PathBuf>,
) -> Result<Plugin, String> {
    let granted = settings.plugin.get(name).cloned().unwrap_or_default();
    let (located, digest) = tokio::task::spawn_blocking({
        let (settings, name, own) = (Arc::clone(settings), name.to_owned(), granted.python.clone());
        move || {
            let environments = settings.paths.state.join("venv");
            let interpreters = Interpreters { python: python.as_deref(), environments: &environments };
            let located = scan::locate(&settings.plugins.directory, &name, own.as_deref(), interpreters)?;
            let digest = digest::of(&located);
            Ok::<(Located, String), String>((located, digest))
        }
    })
    .await
    .map_err(|error| error.to_string())??;
    let environment = |declared: &[&str]| {
        Environment::choose(std::env::vars_os(), settings.plugins.environment, declared, &granted.environment)
    };
    let description = match store.load(name, &digest) {
        Some(description) => description,
        None => {
            let description: Description = describer.describe(&located, &environment(&[])).await?;
            store.save(name, &digest, &description);
            description
        }
    };
    let declared: Vec<&str> = description.environment.iter().map(|variable| variable.name.as_str()).collect();
    let environment = environment(&declared);
    let state = match &granted.directory {
        Some(directory) => directory.clone(),
        None => settings.paths.plugin_state(name),
    };
    Ok(Plugin::new(located, description, environment, state, &granted, &settings.execution))
}
