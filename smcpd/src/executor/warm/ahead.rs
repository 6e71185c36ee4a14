//! Launchers that have put their sandbox on before their call came.
//!
//! What a plugin is held to is the same in each of its calls, and takes longer to put on than a daemon takes for a whole
//! call. So a plugin whose calls start cold has one launcher that is held already and waits; with its call it becomes the
//! program. It is a [`Child`] like those of a parent, and is given its call as they are.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::UnixStream;

use super::super::Invocation;
use super::super::descendants::MARK;
use super::super::sandbox::Sandbox;
use super::super::spawner::{Program, Spawner};
use super::child::{Channel, Child, Taken};
use super::fresh::Stamps;

/// How long a launcher may take to put its sandbox on.
const READY: Duration = Duration::from_secs(5);
/// Plugins that have one.
const MOST: usize = 64;

/// What a launcher is made for: it takes no other call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Post {
    program: PathBuf,
    directory: PathBuf,
    sandbox: Arc<Sandbox>,
}

impl Post {
    /// Nothing where nothing is put on.
    pub(in super::super) fn of(invocation: &Invocation) -> Option<Self> {
        Some(Self {
            program: invocation.program.clone(),
            directory: invocation.directory.clone(),
            sandbox: Arc::clone(invocation.sandbox.as_ref()?),
        })
    }

    fn is_of(&self, invocation: &Invocation) -> bool {
        self.program == invocation.program
            && self.directory == invocation.directory
            && invocation.sandbox.as_ref() == Some(&self.sandbox)
    }
}

/// The launchers that wait, those longest unused first.
#[derive(Debug)]
pub(super) struct Launchers {
    spawner: Arc<Spawner>,
    places: Mutex<VecDeque<Place>>,
}

#[derive(Debug)]
struct Place {
    post: Post,
    /// Nobody while it is being made, or was not to be had.
    launcher: Option<Launcher>,
    coming: bool,
    called: Instant,
}

#[derive(Debug)]
struct Launcher {
    child: Child,
    stamps: Stamps,
}

impl Launchers {
    pub(super) fn new(spawner: Arc<Spawner>) -> Self {
        Self { spawner, places: Mutex::default() }
    }

    fn places(&self) -> MutexGuard<'_, VecDeque<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one waits for such a call.
    pub(super) fn have(&self, invocation: &Invocation) -> bool {
        self.places().iter().any(|place| place.launcher.is_some() && place.post.is_of(invocation))
    }

    /// Gives the call to a launcher that waits; nothing where there is none, or what it is held to is not what it would be
    /// held to now.
    pub(super) async fn take(&self, invocation: &Invocation, descriptors: [&OwnedFd; 3]) -> Option<Taken> {
        let waits = self.places().iter_mut().find(|place| place.post.is_of(invocation))?.launcher.take();
        let launcher = waits?;
        if let Some(path) = launcher.stamps.changed().await {
            tracing::debug!(path = %path.display(), "a launcher is stale");
            return None;
        }
        let given = invocation.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        let variables = given.chain([(OsStr::new(MARK), OsStr::new(&invocation.call))]);
        let handed = launcher.child.hand(&invocation.argv, variables, descriptors.map(AsFd::as_fd)).await;
        handed.inspect_err(|error| tracing::debug!(%error, "a launcher did not take its call")).ok()
    }

    /// Has the next one made, for a plugin that was just called.
    pub(super) async fn stock(&self, post: Post) {
        let gone = {
            let mut places = self.places();
            let now = Instant::now();
            let found = places.iter().position(|place| place.post == post).and_then(|at| places.remove(at));
            let empty = || Place { post: post.clone(), launcher: None, coming: false, called: now };
            let place = Place { called: now, ..found.unwrap_or_else(empty) };
            if place.coming || place.launcher.is_some() {
                return places.push_back(place);
            }
            places.push_back(Place { coming: true, ..place });
            if places.len() > MOST { places.pop_front() } else { None }
        };
        drop(gone);
        let made = tokio::time::timeout(READY, self.make(&post)).await;
        let mut places = self.places();
        let Some(place) = places.iter_mut().find(|place| place.post == post) else { return };
        place.coming = false;
        match made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(launcher) => place.launcher = launcher,
            Err(error) => tracing::debug!(%error, "no launcher came"),
        }
    }

    /// Starts one and waits until it is held; nothing where its files changed meanwhile.
    async fn make(&self, post: &Post) -> io::Result<Option<Launcher>> {
        let began = SystemTime::now();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let program = Program {
            program: &post.program,
            argv: &[],
            environment: std::iter::empty(),
            directory: &post.directory,
            stdin: Stdio::from(OwnedFd::from(theirs)),
            stdout: Stdio::null(),
            stderr: Stdio::null(),
            sandbox: Some(&post.sandbox),
            waits: true,
        };
        let (process, _) = self.spawner.start(program).await?;
        let child = Child::started(Channel::new(UnixStream::from_std(ours)?), process).await?;
        let stamps = Stamps::take(Vec::new(), Some(Arc::clone(&post.sandbox)), began).await;
        Ok(stamps.ok().map(|stamps| Launcher { child, stamps }))
    }

    pub(super) fn count(&self) -> usize {
        self.places().iter().filter(|place| place.launcher.is_some()).count()
    }

    /// Lets those go that nobody has called for so long.
    pub(super) fn sweep(&self, now: Instant, idle: Duration) {
        self.places().retain(|place| now.duration_since(place.called) < idle);
    }

    pub(super) fn clear(&self) {
        self.places().clear();
    }
}
