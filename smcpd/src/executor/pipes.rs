//! The daemon's ends of a program's pipes: what is fed to it, and what is read of it within the limit.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::live::{Lines, Live};
use super::spill::{Spill, Spilled};
use super::{Captured, Invocation};

/// How long a pipe that a background child holds open is read after the program itself has exited normally.
const DRAIN: Duration = Duration::from_millis(200);

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

pub(super) async fn feed(stdin: Option<OwnedFd>, bytes: Option<&[u8]>) {
    let (Some(stdin), Some(bytes)) = (stdin, bytes) else { return };
    if let Ok(mut sender) = pipe::Sender::from_owned_fd(stdin) {
        // A program need not read what it is given.
        let _unread = sender.write_all(bytes).await;
    }
}

/// Reads what is still in the pipes; a background child that holds them open is not waited for.
pub(super) async fn drain(reader: &mut Reader<'_>) {
    let rest = async {
        while reader.open() {
            if reader.read().await {
                return;
            }
        }
    };
    let _held_open = tokio::time::timeout(DRAIN, rest).await;
}

/// Reads both pipes at once, within the limit.
pub(super) struct Reader<'a> {
    stdout: Pipe<'a>,
    stderr: Pipe<'a>,
    ceiling: u64,
}

struct Pipe<'a> {
    receiver: Option<pipe::Receiver>,
    captured: Captured,
    spill: Spill,
    buffer: Vec<u8>,
    /// What is said here is shown while the program runs.
    lines: Option<Lines<'a>>,
}

impl<'a> Pipe<'a> {
    fn new(
        descriptor: &Option<OwnedFd>,
        keep: usize,
        spill: Option<PathBuf>,
        lines: Option<Lines<'a>>,
    ) -> io::Result<Self> {
        let receiver = match descriptor {
            Some(descriptor) => Some(pipe::Receiver::from_owned_fd(descriptor.try_clone()?)?),
            None => None,
        };
        let (captured, spill) = (Captured::new(keep), Spill::to(spill));
        Ok(Self { receiver, captured, spill, buffer: Vec::new(), lines })
    }

    async fn read(&mut self) {
        let Some(receiver) = &mut self.receiver else { return std::future::pending().await };
        self.buffer.clear();
        self.buffer.reserve(if self.captured.total() > 16 << 10 { 64 << 10 } else { 8 << 10 });
        match receiver.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => {
                self.receiver = None;
                self.buffer = Vec::new();
            }
            Ok(_) => {
                self.spill.push(&self.captured, &self.buffer);
                self.captured.push(&self.buffer);
                if let Some(lines) = &mut self.lines {
                    lines.push(&self.buffer);
                }
            }
        }
    }

    fn finish(self) -> (Captured, Option<Spilled>) {
        if let Some(lines) = self.lines {
            lines.finish();
        }
        (self.captured, self.spill.finish())
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(pipes: &Pipes, invocation: &Invocation, live: &'a Live) -> io::Result<Self> {
        let limit = invocation.output;
        Ok(Self {
            stdout: Pipe::new(&pipes.stdout, limit.keep, invocation.spill.clone(), None)?,
            stderr: Pipe::new(&pipes.stderr, limit.keep, None, Some(Lines::of(live)))?,
            ceiling: limit.ceiling,
        })
    }

    pub(super) fn open(&self) -> bool {
        self.stdout.receiver.is_some() || self.stderr.receiver.is_some()
    }

    /// Reads once from whichever pipe is ready; returns whether the ceiling was passed.
    pub(super) async fn read(&mut self) -> bool {
        tokio::select! {
            () = self.stdout.read() => {}
            () = self.stderr.read() => {}
        }
        self.stdout.captured.total() > self.ceiling || self.stderr.captured.total() > self.ceiling
    }

    pub(super) fn finish(self) -> (Captured, Captured, Option<Spilled>) {
        let ((stdout, spilled), (stderr, _)) = (self.stdout.finish(), self.stderr.finish());
        (stdout, stderr, spilled)
    }
}
