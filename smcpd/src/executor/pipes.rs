//! The daemon's ends of a program's pipes: what is fed to it, and what is read of it within the limit.
//!
//! A pipe whose lines nobody watches is not read at each write, but once the program is gone or says that it will be, or has
//! run for a while. A writer pulls the thread that it wakes to its own processor, where that gets in its way, and the
//! next program finds the caches of another one: half a millisecond of a call that starts an interpreter.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ioctl_fionbio};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::pipe;

use super::live::{Lines, Live};
use super::spill::{Spill, Spilled};
use super::{Captured, Invocation, OutputLimit};

/// How long a pipe that a background child holds open is read after the program itself has exited normally.
const DRAIN: Duration = Duration::from_millis(200);

/// For how long a pipe is left alone.
pub(super) const ALONE: Duration = Duration::from_millis(50);
/// What a pipe that is left alone takes before its writer has to wait.
const ROOM: usize = 512 << 10;
/// What is read at once, and how much has to have come before it is more.
const PIECE: usize = 8 << 10;
const MUCH: u64 = 16 << 10;

pub(super) struct Pipes {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

impl Pipes {
    /// Returns what a process that was not spawned for the call gets as its stdin, stdout and stderr, and the other
    /// ends; nothing where descriptors ran out.
    pub(super) fn pair(with_stdin: bool) -> Option<((OwnedFd, OwnedFd, OwnedFd), Self)> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).ok();
        let (theirs, stdin) = match with_stdin {
            true => pipe().map(|(read, write)| (read, Some(write)))?,
            false => (OwnedFd::from(File::open("/dev/null").ok()?), None),
        };
        let ((stdout, their_stdout), (stderr, their_stderr)) = (pipe()?, pipe()?);
        let ours = Self { stdin, stdout: Some(stdout), stderr: Some(stderr) };
        Some(((theirs, their_stdout, their_stderr), ours))
    }
}

#[expect(
    deprecated,
    reason = "an `OwnedFd` stays open as long as it is registered; the successor is `unsafe`"
)]
pub(super) fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, interest)
}

pub(super) async fn feed(stdin: Option<OwnedFd>, bytes: Option<&[u8]>) {
    let (Some(stdin), Some(bytes)) = (stdin, bytes) else { return };
    if let Ok(mut sender) = pipe::Sender::from_owned_fd(stdin) {
        // A program need not read what it is given.
        let _unread = sender.write_all(bytes).await;
    }
}

/// Reads what is still in the pipes; a background child that holds them open is not waited for.
pub(super) async fn drain(reader: &mut Reader<'_>) {
    reader.stdout.catch_up();
    reader.stderr.catch_up();
    let rest = async { while reader.open() && !reader.read().await {} };
    let _held_open = tokio::time::timeout(DRAIN, rest).await;
}

/// Reads both pipes at once, within the limit.
pub(super) struct Reader<'a> {
    stdout: Pipe<'a>,
    stderr: Pipe<'a>,
    ceiling: u64,
}

struct Pipe<'a> {
    source: Source,
    captured: Captured,
    spill: Spill,
    buffer: Vec<u8>,
    /// What is said here is shown while the program runs.
    lines: Option<Lines<'a>>,
}

enum Source {
    /// Left alone until the program is gone: a process on its way out is not to be stopped for its pipes.
    Alone(OwnedFd),
    /// Left alone until it is closed.
    Later(AsyncFd<OwnedFd>),
    Now(pipe::Receiver),
    Closed,
}

impl Source {
    fn of(descriptor: Option<OwnedFd>, watched: bool, tells: bool) -> io::Result<Self> {
        let Some(descriptor) = descriptor else { return Ok(Self::Closed) };
        // A user's pipes have so much room in all.
        let may_wait = !watched && fcntl_setpipe_size(&descriptor, ROOM).is_ok();
        Ok(match (may_wait, tells) {
            (false, _) => Self::Now(pipe::Receiver::from_owned_fd(descriptor)?),
            // Nobody sends what has priority on a pipe: only its end is heard of.
            (true, true) => Self::Later(watch(descriptor, Interest::PRIORITY)?),
            (true, false) => Self::Alone(descriptor),
        })
    }

    fn now(descriptor: OwnedFd) -> Self {
        pipe::Receiver::from_owned_fd(descriptor).map_or(Self::Closed, Self::Now)
    }

    /// Reads it at each write from now on.
    fn listen(&mut self) {
        *self = match std::mem::replace(self, Self::Closed) {
            Self::Alone(descriptor) => Self::now(descriptor),
            Self::Later(descriptor) => Self::now(descriptor.into_inner()),
            source @ (Self::Now(_) | Self::Closed) => source,
        };
    }
}

impl<'a> Pipe<'a> {
    fn new(source: Source, keep: usize, spill: Option<PathBuf>, lines: Option<Lines<'a>>) -> Self {
        Self { source, captured: Captured::new(keep), spill: Spill::to(spill), buffer: Vec::new(), lines }
    }

    fn is_open(&self) -> bool {
        !matches!(self.source, Source::Closed)
    }

    /// Reads once; returns when there was something to read, or the end.
    async fn read(&mut self) {
        if let Source::Later(descriptor) = &self.source {
            match descriptor.ready(Interest::PRIORITY).await.map(drop) {
                Ok(()) => return self.catch_up(),
                Err(_) => self.source.listen(),
            }
        }
        let Source::Now(receiver) = &mut self.source else { return std::future::pending().await };
        make_room(&mut self.buffer, &self.captured);
        match receiver.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => {
                self.source = Source::Closed;
                self.buffer = Vec::new();
            }
            Ok(_) => {
                let came = std::mem::take(&mut self.buffer);
                self.take(&came);
                let is_full = came.len() == came.capacity();
                self.buffer = came;
                if is_full {
                    // There is more. A flood would be read megabytes at a time, and no socket meanwhile.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Reads all that is in a pipe that was left alone. Where somebody holds it open, it is listened to from then on.
    fn catch_up(&mut self) {
        let descriptor = match std::mem::replace(&mut self.source, Source::Closed) {
            Source::Alone(descriptor) => descriptor,
            Source::Later(descriptor) => descriptor.into_inner(),
            source @ (Source::Now(_) | Source::Closed) => return self.source = source,
        };
        let mut room = if ioctl_fionbio(&descriptor, true).is_ok() { ROOM } else { 0 };
        // Most programs say little, and a piece of the heap would be asked for twice a call.
        let (mut little, mut more) = ([MaybeUninit::uninit(); PIECE], Vec::new());
        self.source = loop {
            if room == 0 {
                break Source::now(descriptor);
            }
            let came = match self.captured.total() > MUCH {
                false => rustix::io::read(&descriptor, &mut little).map(|(came, _)| &*came),
                true => {
                    make_room(&mut more, &self.captured);
                    rustix::io::read(&descriptor, spare_capacity(&mut more)).map(|_| &more[..])
                }
            };
            match came {
                Ok(came @ [_, ..]) => {
                    self.take(came);
                    room = room.saturating_sub(came.len());
                }
                Err(Errno::AGAIN) => break Source::now(descriptor),
                Ok([]) | Err(_) => break Source::Closed,
            }
        };
    }

    /// Keeps what was read.
    fn take(&mut self, came: &[u8]) {
        self.spill.push(&self.captured, came);
        self.captured.push(came);
        if let Some(lines) = &mut self.lines {
            lines.push(came);
        }
    }

    fn finish(self) -> (Captured, Option<Spilled>) {
        if let Some(lines) = self.lines {
            lines.finish();
        }
        (self.captured, self.spill.finish())
    }
}

/// Empties a buffer for the next piece, which is larger where much came before it.
fn make_room(buffer: &mut Vec<u8>, captured: &Captured) {
    buffer.clear();
    buffer.reserve(if captured.total() > MUCH { 64 << 10 } else { PIECE });
}

impl<'a> Reader<'a> {
    /// Reads the pipes of a program, which closes them a while before its end where it `tells` of that.
    pub(super) fn new(
        [stdout, stderr]: [Option<OwnedFd>; 2],
        invocation: &Invocation,
        live: &'a Live,
        tells: bool,
    ) -> io::Result<Self> {
        let (OutputLimit { keep, ceiling }, watched) = (invocation.output, live.is_watched());
        let (stdout, stderr) = (Source::of(stdout, false, tells)?, Source::of(stderr, watched, tells)?);
        Ok(Self {
            stdout: Pipe::new(stdout, keep, invocation.spill.clone(), None),
            stderr: Pipe::new(stderr, keep, None, Some(Lines::of(live))),
            ceiling,
        })
    }

    pub(super) fn open(&self) -> bool {
        self.stdout.is_open() || self.stderr.is_open()
    }

    /// Whether it leaves a pipe alone.
    pub(super) fn leaves_alone(&self) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .any(|pipe| matches!(pipe.source, Source::Alone(_) | Source::Later(_)))
    }

    /// Leaves no pipe alone any more.
    pub(super) fn listen(&mut self) {
        self.stdout.source.listen();
        self.stderr.source.listen();
    }

    /// Reads once from whichever pipe is ready; returns whether the ceiling was passed.
    pub(super) async fn read(&mut self) -> bool {
        tokio::select! {
            () = self.stdout.read() => {}
            () = self.stderr.read() => {}
        }
        self.flooded()
    }

    /// Whether the ceiling was passed.
    pub(super) fn flooded(&self) -> bool {
        self.stdout.captured.total() > self.ceiling || self.stderr.captured.total() > self.ceiling
    }

    /// What came on stderr so far.
    pub(super) fn stderr(&self) -> &Captured {
        &self.stderr.captured
    }

    pub(super) fn finish(self) -> (Captured, Captured, Option<Spilled>) {
        let ((stdout, spilled), (stderr, _)) = (self.stdout.finish(), self.stderr.finish());
        (stdout, stderr, spilled)
    }
}
