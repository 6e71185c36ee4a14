//! Warm workers: processes that are up before a call comes, so that a call of a Python plugin costs what its own work
//! costs.
//!
//! A plugin's *parent* has the interpreter up, the library imported and the script compiled (`parent.py`). For each
//! call it forks: a *spare*, which has run the plugin's own code up to its first look at the call and waits there, or,
//! where none is ready, a child that takes its call at once. The call is handed over with its descriptors (`wire`,
//! `child`); from then on the process is like any other that was started for a call. Whatever stands in the way, the
//! call starts cold instead.
//!
//! A call that starts cold, of a plugin in whatever language, has at least its sandbox on already (`ahead`).
//!
//! `pool` decides what a plugin has and gets, `parent` and `child` are the processes, `fresh` sees that none of them
//! has read a file that changed since.

mod ahead;
mod child;
mod fresh;
mod parent;
mod pool;
pub(super) mod wire;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::Invocation;
use super::descendants::MARK;
use super::sandbox::Sandbox;
use super::spawner::Spawner;
use ahead::Launchers;
pub(super) use ahead::Post;
use child::Child;
pub(super) use child::Taken;
use fresh::Stamps;
use parent::{NoParent, Parent};
use pool::{Next, Pool, Spare};
use wire::{Kind, Said};

/// Variables that a call brings, and that its plugin does not otherwise have.
pub(crate) const CALL_VARIABLES: [&str; 6] =
    [MARK, "SMCP_CALLER", "SMCP_AGENT_ID", "SMCP_CLIENT_CAPABILITIES", "SMCP_INPUT", "TRACEPARENT"];

/// How long a spare may take to come to its wait.
const AHEAD: Duration = Duration::from_secs(10);
/// A spare that holds more is not kept, in KiB.
const HEAVY: u64 = 512 << 10;

/// A plugin that may be kept warm, and all that a cold start of it would be given.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Warm {
    pub(crate) name: Arc<str>,
    /// Whether it has spares, beside its parent.
    pub(crate) spares: bool,
    /// Whether it is kept however long nobody calls.
    pub(crate) stays: bool,
    pub(crate) interpreter: PathBuf,
    pub(crate) script: PathBuf,
    /// The plugin's directory.
    pub(crate) root: PathBuf,
    /// Where its calls run.
    pub(crate) directory: PathBuf,
    /// What `sys.orig_argv` begins with.
    pub(crate) orig_argv: Vec<String>,
    /// Modules to import ahead, beside those of the standard library.
    pub(crate) preload: Vec<String>,
    /// Without what a call adds.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Words of [`Invocation::argv`] before the plugin's own.
    pub(crate) prefix: usize,
    /// What its parent is held to, and so every child.
    pub(crate) sandbox: Option<Arc<Sandbox>>,
}

/// The environment may hold secrets.
impl std::fmt::Debug for Warm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Warm").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a call's process came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Cold,
    Fork,
    Spare,
}

impl Start {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Fork => "fork",
            Self::Spare => "spare",
        }
    }
}

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WarmLimits {
    pub(crate) spares: NonZeroUsize,
    /// A spare is as fresh as its start.
    pub(crate) spare_age: Duration,
    /// A plugin that was not called for so long loses its parent.
    pub(crate) idle: Duration,
}

/// What is kept of one plugin, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WarmState {
    pub(crate) parent: bool,
    pub(crate) spares: usize,
    /// Why there is less than its mode asks for.
    pub(crate) reason: Option<String>,
}

/// Every plugin's parent and spares.
#[derive(Debug)]
pub(super) struct Workers {
    pub(super) spawner: Arc<Spawner>,
    launchers: Launchers,
    pools: Mutex<HashMap<Arc<str>, Pool>>,
    limits: Mutex<WarmLimits>,
}

impl Workers {
    pub(super) fn new(spawner: Arc<Spawner>, limits: WarmLimits) -> Self {
        let launchers = Launchers::new(Arc::clone(&spawner));
        Self { spawner, launchers, pools: Mutex::default(), limits: Mutex::new(limits) }
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<Arc<str>, Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_limits(&self, limits: WarmLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits(&self) -> WarmLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a process may be up for the call.
    pub(super) fn may_take(&self, invocation: &Invocation) -> bool {
        invocation.warm.is_some() || self.launchers.have(invocation)
    }

    /// Gives the call to a process that is up; nothing where there is none.
    pub(super) async fn take(
        &self,
        invocation: &Invocation,
        descriptors: [&OwnedFd; 3],
    ) -> Option<(Taken, Start)> {
        if let Some(warm) = &invocation.warm
            && let Some(taken) = self.take_warm(warm, invocation, descriptors).await
        {
            return Some(taken);
        }
        Some((self.launchers.take(invocation, descriptors).await?, Start::Cold))
    }

    async fn take_warm(
        &self,
        warm: &Arc<Warm>,
        invocation: &Invocation,
        descriptors: [&OwnedFd; 3],
    ) -> Option<(Taken, Start)> {
        let limits = self.limits();
        let (parent, spare) = self.of(warm, |pool| pool.take(Instant::now(), limits));
        let parent = parent?;
        // A spare runs the script as its parent compiled it.
        if let Some(path) = parent.stamps.changed().await {
            self.changed(warm, &path);
            return None;
        }
        let argv = &invocation.argv[warm.prefix..];
        let hand = |child: Child| child.hand(argv, variables(invocation), descriptors.map(AsFd::as_fd));
        if let Some(spare) = spare {
            match spare.stamps.changed().await {
                Some(path) => {
                    tracing::debug!(plugin = &*warm.name, path = %path.display(), "a spare is stale");
                    // And so are the others, which are no younger.
                    self.of(warm, Pool::drop_spares);
                }
                None => match hand(spare.child).await {
                    Ok(taken) => return Some((taken, Start::Spare)),
                    Err(error) => {
                        tracing::debug!(plugin = &*warm.name, %error, "a spare did not take its call");
                    }
                },
            }
        }
        let forked = match parent.child(Kind::Fork).await {
            Ok(child) => hand(child).await,
            Err(error) => Err(error),
        };
        match forked {
            Ok(taken) => Some((taken, Start::Fork)),
            Err(error) => {
                tracing::warn!(plugin = &*warm.name, %error, "a warm parent does not answer; it is replaced");
                self.retire(warm, &parent);
                None
            }
        }
    }

    /// Forgets all that was made of other files.
    fn changed(&self, warm: &Arc<Warm>, path: &Path) {
        tracing::debug!(plugin = &*warm.name, path = %path.display(), "its parent is stale");
        self.pools().insert(Arc::clone(&warm.name), Pool::new(Arc::clone(warm)));
    }

    fn retire(&self, warm: &Warm, parent: &Arc<Parent>) {
        if let Some(pool) = self.pools().get_mut(&warm.name) {
            pool.retire(parent);
        }
    }

    /// Expects calls of a plugin that had none yet.
    pub(super) fn expect(&self, warm: &Arc<Warm>) {
        self.of(warm, |_| ());
    }

    /// What `ask` says of the plugin's pool, which is made where there is none for it as it is now.
    fn of<T>(&self, warm: &Arc<Warm>, ask: impl FnOnce(&mut Pool) -> T) -> T {
        let mut pools = self.pools();
        let pool = pools.entry(Arc::clone(&warm.name)).or_insert_with(|| Pool::new(Arc::clone(warm)));
        pool.fit(warm);
        ask(pool)
    }

    /// Has the next launcher made where a call started cold, and the next one will.
    pub(super) async fn replace_launcher(&self, post: Post, warm: Option<&Warm>, ending: &CancellationToken) {
        let is_cold = |warm: &Warm| self.state(&warm.name).is_some_and(|state| state.reason.is_some());
        if warm.is_none_or(is_cold) {
            tokio::select! {
                biased;
                () = ending.cancelled() => {}
                () = self.launchers.stock(post) => {}
            }
        }
    }

    /// Makes what the plugin should have and does not, one thing after the other. Call it when a call has its answer.
    pub(super) async fn stock(&self, warm: &Arc<Warm>, ending: &CancellationToken) {
        loop {
            let next = {
                let mut pools = self.pools();
                match pools.get_mut(&warm.name) {
                    Some(pool) => pool.next(Instant::now(), self.limits()),
                    None => Next::Nothing,
                }
            };
            let made = async {
                match next {
                    Next::Nothing => false,
                    Next::Parent => self.add_parent(warm).await,
                    Next::Spare(parent) => self.add_spare(warm, &parent).await,
                }
            };
            tokio::select! {
                biased;
                () = ending.cancelled() => return,
                made = made => if !made { return },
            }
        }
    }

    /// Returns whether there is more to do.
    async fn add_parent(&self, warm: &Arc<Warm>) -> bool {
        let made = Parent::start(&self.spawner, warm, self.limits().spare_age).await;
        let mut pools = self.pools();
        let Some(pool) = pools.get_mut(&warm.name).filter(|pool| pool.is_of(warm)) else { return false };
        match made {
            Ok(parent) => {
                tracing::debug!(
                    plugin = &*warm.name,
                    python = parent.version,
                    kib = parent.kib,
                    milliseconds = parent.began.elapsed().as_millis(),
                    "a warm parent is up"
                );
                pool.parent_is_up(Arc::new(parent));
                true
            }
            Err(NoParent::Stale(stale)) => {
                tracing::debug!(plugin = &*warm.name, %stale, "a warm parent is not used");
                pool.parent_failed(None);
                false
            }
            Err(reason @ (NoParent::Unfit(_) | NoParent::Failed(_))) => {
                tracing::info!(plugin = &*warm.name, %reason, "its calls start cold");
                pool.parent_failed(Some(reason.to_string()));
                false
            }
        }
    }

    async fn add_spare(&self, warm: &Arc<Warm>, parent: &Arc<Parent>) -> bool {
        let mut made = spare(parent, Kind::Spare).await;
        if matches!(made, Err(NoSpare::Outdated)) {
            made = spare(parent, Kind::Own).await;
        }
        let mut pools = self.pools();
        let Some(pool) = pools.get_mut(&warm.name).filter(|pool| pool.has(parent)) else { return false };
        match made {
            Ok(spare) => {
                pool.spare_is_ready(spare);
                true
            }
            Err(NoSpare::Unfit(reason)) => {
                tracing::info!(plugin = &*warm.name, reason, "it is served without spares");
                pool.spare_failed(Some(reason));
                false
            }
            Err(reason @ (NoSpare::Outdated | NoSpare::Failed(_))) => {
                tracing::debug!(plugin = &*warm.name, %reason, "no spare came");
                pool.spare_failed(None);
                false
            }
        }
    }

    /// Lets go what is old or has not been used; returns whose spares want to be made again.
    pub(super) fn sweep(&self) -> Vec<Arc<Warm>> {
        let (now, limits) = (Instant::now(), self.limits());
        self.launchers.sweep(now, limits.idle);
        let mut pools = self.pools();
        pools.retain(|_, pool| !pool.is_idle(now, limits));
        pools.values_mut().filter_map(|pool| pool.sweep(now, limits)).collect()
    }

    /// What is kept of a plugin; nothing where it was not called lately.
    pub(super) fn state(&self, plugin: &str) -> Option<WarmState> {
        self.pools().get(plugin).map(Pool::state)
    }

    /// Parents, spares and launchers in all.
    pub(super) fn counts(&self) -> [usize; 3] {
        let launchers = self.launchers.count();
        self.pools().values().fold([0, 0, launchers], |[parents, spares, launchers], pool| {
            let state = pool.state();
            [parents + usize::from(state.parent), spares + state.spares, launchers]
        })
    }

    /// Ends whoever waits for calls of this one.
    pub(super) fn let_go(&self, name: &str) {
        self.pools().remove(name);
    }

    /// Ends everyone who waits.
    pub(super) fn clear(&self) {
        self.launchers.clear();
        self.pools().clear();
    }
}

/// Why there is no spare.
#[derive(Debug, thiserror::Error)]
enum NoSpare {
    /// Another attempt would end the same, until the plugin changes.
    #[error("{0}")]
    Unfit(String),
    #[error("what it was made of has changed")]
    Outdated,
    #[error(transparent)]
    Failed(io::Error),
}

/// Has a spare made and waits until it waits.
async fn spare(parent: &Parent, kind: Kind) -> Result<Spare, NoSpare> {
    let began = SystemTime::now();
    let mut child = parent.child(kind).await.map_err(NoSpare::Failed)?;
    let said = match tokio::time::timeout(AHEAD, child.said()).await {
        Ok(said) => said,
        Err(_) => {
            let reason = format!("it does not come to look at its arguments within {} s", AHEAD.as_secs());
            return Err(NoSpare::Unfit(reason));
        }
    };
    let waiting = match said {
        Ok(Said::Waiting(waiting)) => waiting,
        Ok(Said::Ended(ended)) => {
            let said = ended.said.lines().last().unwrap_or_default().trim().to_owned();
            return Err(NoSpare::Unfit(format!(
                "it ends before it looks at its arguments, with {}{}{said}",
                ended.status,
                if said.is_empty() { "" } else { ": " },
            )));
        }
        Ok(Said::Refused(reason)) => return Err(NoSpare::Unfit(reason)),
        Ok(Said::Pid(_) | Said::Running) => {
            return Err(NoSpare::Unfit("it said what it should not".to_owned()));
        }
        Err(error) => {
            return Err(NoSpare::Unfit(format!("it ended before it looked at its arguments: {error}")));
        }
    };
    if waiting.kib > HEAVY {
        let reason = format!("before it looks at its arguments it holds {} MiB", waiting.kib >> 10);
        return Err(NoSpare::Unfit(reason));
    }
    // A spare is as old as what has run in it.
    let age = Duration::from_millis(waiting.age);
    let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
    match Stamps::take(waiting.files, None, began.checked_sub(age).unwrap_or(began)).await {
        Ok(stamps) => Ok(Spare { child, stamps, since }),
        Err(stale @ fresh::Stale::TooMany(_)) => Err(NoSpare::Unfit(stale.to_string())),
        Err(fresh::Stale::Changed(_) | fresh::Stale::Silent) => Err(NoSpare::Outdated),
    }
}

/// What the call adds to its plugin's environment.
fn variables(invocation: &Invocation) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    let given = invocation.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
    let call = (OsStr::new(MARK), OsStr::new(&invocation.call));
    given
        .filter(|(name, _)| *name != MARK && CALL_VARIABLES.iter().any(|known| *name == *known))
        .chain([call])
}
