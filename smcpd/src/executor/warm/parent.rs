//! The resident parent of one plugin: started once, asked for children until it leaves.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::super::descendants::MARK;
use super::super::spawner::{Kept, Program, Spawner};
use super::child::{Channel, Child, send};
use super::fresh::{Stale, Stamps};
use super::wire::{Answer, Kind, LINE, Ready, Settings, with_length};
use super::{CALL_VARIABLES, Warm};

const BOOTSTRAP: &str = include_str!("bootstrap.py");
/// The order is theirs.
const PROGRAM: &str = concat!(
    include_str!("waiting.py"),
    include_str!("effects.py"),
    include_str!("child.py"),
    include_str!("model.py"),
    include_str!("pages.py"),
    include_str!("running.py"),
    include_str!("preparing.py"),
    include_str!("parent.py"),
);
/// How long a parent may take to import what its plugin needs, and a child to come.
const START: Duration = Duration::from_secs(60);
const BIRTH: Duration = Duration::from_secs(2);
/// What is kept of the last words of a parent.
const WORDS: u64 = 4 << 10;
/// Children write the id of their call over this, where `/proc` shows the environment.
const PLACEHOLDER: &str = "................................................................";

/// A parent that answers. Dropping it ends it; its children live on.
#[derive(Debug)]
pub(super) struct Parent {
    socket: UnixStream,
    process: Kept,
    spawner: Arc<Spawner>,
    pub(super) stamps: Stamps,
    pub(super) began: Instant,
    pub(super) version: String,
    pub(super) kib: u64,
    children: AtomicU32,
}

/// Why there is no parent.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoParent {
    /// Another attempt would end the same, until the plugin changes.
    #[error("{0}")]
    Unfit(String),
    #[error("its parent did not start: {0}")]
    Failed(String),
    #[error(transparent)]
    Stale(Stale),
}

impl Parent {
    pub(super) async fn start(
        spawner: &Arc<Spawner>,
        warm: &Warm,
        spare_age: Duration,
    ) -> Result<Self, NoParent> {
        let failed = |error: io::Error| NoParent::Failed(error.to_string());
        let (began, wall) = (Instant::now(), SystemTime::now());
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let (words, stderr) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| failed(error.into()))?;
        let mark = (OsString::from(MARK), OsString::from(PLACEHOLDER));
        let program = Program {
            program: &warm.interpreter,
            argv: &["-c".into(), BOOTSTRAP.trim_end().into()],
            environment: warm.environment.iter().chain([&mark]),
            directory: &warm.directory,
            stdin: Stdio::from(OwnedFd::from(theirs)),
            stdout: Stdio::null(),
            stderr: Stdio::from(stderr),
            sandbox: warm.sandbox.as_deref(),
            waits: false,
        };
        let (process, _) = spawner.start(program).await.map_err(failed)?;
        let mut parent = Self {
            socket: UnixStream::from_std(ours).map_err(failed)?,
            process,
            spawner: Arc::clone(spawner),
            stamps: Stamps::default(),
            began,
            version: String::new(),
            kib: 0,
            children: AtomicU32::new(0),
        };
        let answer = tokio::time::timeout(START, parent.settle(warm, spare_age)).await;
        let ready = match answer {
            Ok(Ok(Answer::Ready(ready))) => ready,
            Ok(Ok(Answer::Unfit(reason))) => return Err(NoParent::Unfit(reason)),
            Ok(Err(error)) => {
                return Err(NoParent::Failed(last_words(words).await.unwrap_or_else(|| error.to_string())));
            }
            Err(_) => return Err(NoParent::Unfit(format!("it was not ready within {} s", START.as_secs()))),
        };
        let Ready { version, kib, said, files } = ready;
        for line in said {
            tracing::info!(plugin = &*warm.name, "warm: {line}");
        }
        parent.stamps =
            Stamps::take(files, warm.sandbox.clone(), wall).await.map_err(|stale| match stale {
                Stale::TooMany(_) => NoParent::Unfit(stale.to_string()),
                Stale::Changed(_) => NoParent::Stale(stale),
                Stale::Silent => NoParent::Failed(stale.to_string()),
            })?;
        (parent.version, parent.kib) = (version, kib);
        Ok(parent)
    }

    async fn settle(&mut self, warm: &Warm, spare_age: Duration) -> io::Result<Answer> {
        let text = |path: &Path| {
            path.to_str().map(str::to_owned).ok_or_else(|| io::Error::other("its path is not UTF-8"))
        };
        let settings = Settings {
            script: &text(&warm.script)?,
            orig_argv: &warm.orig_argv,
            root: &text(&warm.root)?,
            preload: &warm.preload,
            names: &CALL_VARIABLES,
            spare_age: spare_age.as_secs_f64(),
        };
        let settings = serde_json::to_vec(&settings).expect("settings are plain");
        let socket = &mut self.socket;
        socket.write_all(&with_length(PROGRAM.as_bytes())).await?;
        socket.write_all(&with_length(&settings)).await?;
        let mut line = Vec::new();
        BufReader::new(socket).take(LINE as u64).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_slice(&line).map_err(io::Error::other)
    }

    /// Asks for a child and waits until it has said who it is.
    pub(super) async fn child(&self, kind: Kind) -> io::Result<Child> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let channel = Channel::new(UnixStream::from_std(ours)?);
        let asked = async {
            // One byte is sent whole or not at all, so that askers need not wait for each other.
            send(&self.socket, &kind.request(), &[theirs.as_fd()]).await?;
            drop(theirs);
            Child::meet(channel, &self.spawner).await
        };
        self.children.fetch_add(1, Ordering::Relaxed);
        tokio::time::timeout(BIRTH, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    pub(super) fn children(&self) -> u32 {
        self.children.load(Ordering::Relaxed)
    }

    /// Returns what it holds in memory now, in KiB; nothing where it is gone.
    pub(super) fn resident(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.process.pid())).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64 / 1024).filter(|kib| *kib > 0)
    }
}

/// Returns the last line that a parent wrote on stderr before it went.
async fn last_words(pipe: OwnedFd) -> Option<String> {
    let mut text = Vec::new();
    let mut pipe = pipe::Receiver::from_owned_fd(pipe).ok()?.take(WORDS);
    let _rest = tokio::time::timeout(Duration::from_millis(200), pipe.read_to_end(&mut text)).await;
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}
