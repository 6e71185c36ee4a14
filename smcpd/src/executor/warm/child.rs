//! One child of a parent: from its first word to the call that it takes.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;

use super::super::spawner::{Kept, Spawner};
use super::wire::{self, LINE, Said};

/// A process that has not got its call yet. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Child {
    channel: Channel,
    process: Kept,
}

/// A process that has its call, and what it says until the plugin's code has it too.
#[derive(Debug)]
pub(in super::super) struct Taken {
    pub(in super::super) pid: Pid,
    said: Vec<u8>,
    /// Not watched any more: each of the child's steps on it would wake the daemon in the midst of the call.
    socket: Option<std::os::unix::net::UnixStream>,
}

/// The daemon's end of a socket to one child.
#[derive(Debug)]
pub(super) struct Channel(BufReader<UnixStream>);

impl Channel {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(BufReader::new(socket))
    }

    /// Reads the next line; an end and anything that is none of ours are errors.
    pub(super) async fn said(&mut self) -> io::Result<Said> {
        let mut line = Vec::new();
        (&mut self.0).take(LINE as u64).read_until(b'\n', &mut line).await?;
        match line.pop() {
            None => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(b'\n') => wire::said(&line).ok_or_else(|| io::ErrorKind::InvalidData.into()),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Child {
    /// Waits for the child's first word, its pid.
    pub(super) async fn meet(mut channel: Channel, spawner: &Arc<Spawner>) -> io::Result<Self> {
        let Said::Pid(pid) = channel.said().await? else { return Err(io::ErrorKind::InvalidData.into()) };
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
        let process = spawner.keep(pid).ok_or_else(|| io::Error::other("a child is not ours"))?;
        Ok(Self { channel, process })
    }

    /// The same for one that the daemon started itself.
    pub(super) async fn started(mut channel: Channel, process: Kept) -> io::Result<Self> {
        match channel.said().await? {
            Said::Pid(pid) if Pid::from_raw(pid) == Some(process.pid()) => Ok(Self { channel, process }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(super) async fn said(&mut self) -> io::Result<Said> {
        self.channel.said().await
    }

    /// Gives it a call. An error means that nothing of the plugin has seen the call.
    pub(super) async fn hand<'a>(
        mut self,
        argv: &[OsString],
        variables: impl Iterator<Item = (&'a OsStr, &'a OsStr)>,
        descriptors: [BorrowedFd<'_>; 3],
    ) -> io::Result<Taken> {
        let message = wire::call(argv, variables).ok_or(io::ErrorKind::InvalidInput)?;
        let socket = self.channel.0.get_mut();
        let sent = send(socket, &message, &descriptors).await?;
        // A child that is gone by now never had the whole of it.
        socket.write_all(&message[sent..]).await?;
        let said = self.channel.0.buffer().to_owned();
        let socket = self.channel.0.into_inner().into_std().ok();
        Ok(Taken { pid: self.process.promote(), said, socket })
    }
}

impl Taken {
    /// Returns whether the plugin's code got its call. Ask once the process has ended, or said so.
    pub(in super::super) fn ran(self) -> bool {
        let Self { mut said, socket: Some(mut socket), .. } = self else {
            return true; // in doubt: a call is not run twice
        };
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = socket.read(&mut piece)
            && said.len() < LINE
        {
            said.extend_from_slice(&piece[..length]);
        }
        let mut lines = said.split(|byte| *byte == b'\n').map(wire::said);
        let first = lines.find(|said| !matches!(said, Some(Said::Waiting(_))));
        first == Some(Some(Said::Running))
    }
}

/// Sends the first of `bytes`, with descriptors; returns how many went.
pub(super) async fn send(
    socket: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    socket
        .async_io(Interest::WRITABLE, || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
            Ok(sendmsg(socket.as_fd(), &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
        })
        .await
}
