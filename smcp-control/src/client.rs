//! The side that asks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::{Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, ToFsName};
use tokio::io::BufReader;

use crate::{Hello, PROTOCOL, Refusal, Reply, Request, WireError, read, write};

/// A daemon that does not greet within this is taken for dead.
const GREETING: Duration = Duration::from_secs(5);

/// A conversation with the daemon.
#[derive(Debug)]
pub struct Client {
    hello: Hello,
    path: PathBuf,
    stream: BufReader<Stream>,
}

/// Why the daemon could not be asked, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach smcpd at `{}`", path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("smcpd speaks protocol {theirs}, this is {PROTOCOL}")]
    Protocol { theirs: u32 },
    #[error("smcpd does not answer")]
    Silent,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("smcpd closed the connection")]
    Closed,
    #[error(transparent)]
    Refused(Refusal),
}

impl Client {
    /// Connects to the first of `paths` that answers; the error is that of the first one, or of the first that
    /// exists and did not let us in.
    pub async fn connect(paths: &[PathBuf]) -> Result<Self, ClientError> {
        let mut worst: Option<ClientError> = None;
        for path in paths {
            match Self::open(path).await {
                Ok(client) => return Ok(client),
                Err(error) => {
                    let is_shut = matches!(&error, ClientError::Unreachable { source, .. } if source.kind() != io::ErrorKind::NotFound);
                    if worst.is_none() || is_shut {
                        worst = Some(error);
                    }
                }
            }
        }
        Err(worst.unwrap_or(ClientError::Closed))
    }

    async fn open(path: &Path) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable { path: path.to_owned(), source };
        let name = path.to_fs_name::<GenericFilePath>().map_err(unreachable)?;
        let stream = Stream::connect(name).await.map_err(unreachable)?;
        let mut stream = BufReader::new(stream);
        let greeting = tokio::time::timeout(GREETING, read::<Hello>(&mut stream));
        let hello = greeting.await.map_err(|_| ClientError::Silent)??.ok_or(ClientError::Closed)?;
        if hello.protocol != PROTOCOL {
            return Err(ClientError::Protocol { theirs: hello.protocol });
        }
        Ok(Self { hello, path: path.to_owned(), stream })
    }

    /// The socket that answered.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Asks and waits for the answer, as long as it takes. Dropping the client ends what was asked for.
    pub async fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.follow(request, drop).await
    }

    /// Asks, hands each partial answer to `partial`, and returns the last one.
    pub async fn follow(
        &mut self,
        request: &Request,
        mut partial: impl FnMut(Reply),
    ) -> Result<Reply, ClientError> {
        self.send(request).await?;
        loop {
            match self.next().await? {
                reply if reply.is_partial() => partial(reply),
                reply => return Ok(reply),
            }
        }
    }

    /// Asks without waiting; [`Client::next`] returns the answers.
    pub async fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        Ok(write(&mut self.stream, request).await?)
    }

    /// Waits for the next answer, partial or not.
    pub async fn next(&mut self) -> Result<Reply, ClientError> {
        match read(&mut self.stream).await? {
            None => Err(ClientError::Closed),
            Some(Reply::Refused(refusal)) => Err(ClientError::Refused(refusal)),
            Some(reply) => Ok(reply),
        }
    }

    /// Returns the bare connection: what follows [`Request::Stdio`] is no frame of ours.
    pub fn into_stream(self) -> BufReader<Stream> {
        self.stream
    }
}
