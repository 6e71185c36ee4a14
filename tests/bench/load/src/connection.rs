//! One kept-alive connection for messages.
//!
//! What a client costs is in the time of what it asks, and a program that is run directly has no client. So a message is
//! made before its time begins, and is one write; a client of a library took 0.1 ms more where it had paused.

use std::fmt::Write as _;
use std::io;
use std::time::Instant;

use hyper::Uri;
use hyper::header::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;
use crate::answer::Answer;

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub(crate) struct Connection {
    authority: String,
    stream: Option<TcpStream>,
    came: Vec<u8>,
}

/// When a message was sent, and when the answer had come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) began: Instant,
    pub(crate) came: Instant,
}

impl Connection {
    pub(crate) fn to(url: &Uri) -> Result<Self, Failure> {
        let authority = url.authority().ok_or("a URL needs a host and a port")?.as_str().to_owned();
        Ok(Self { authority, stream: None, came: Vec::with_capacity(64 << 10) })
    }

    /// The bytes of a message.
    fn message(&self, path: &str, headers: &HeaderMap, body: &str) -> Result<Vec<u8>, Failure> {
        let mut message = format!("POST {path} HTTP/1.1\r\nhost: {}\r\n", self.authority);
        for (name, value) in headers {
            write!(message, "{name}: {}\r\n", value.to_str()?)?;
        }
        write!(message, "content-length: {}\r\n\r\n{body}", body.len())?;
        Ok(message.into_bytes())
    }

    /// A stream that can be written to: the one there is, or a new one where the server has closed it.
    async fn ready(&mut self) -> Result<&mut TcpStream, Failure> {
        let is_open = |stream: &TcpStream| matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let stream = match self.stream.take().filter(is_open) {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.authority).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        Ok(self.stream.insert(stream))
    }

    /// Sends a message and returns the answer.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &HeaderMap,
        body: &str,
    ) -> Result<(Answer, Times), Failure> {
        let message = self.message(path, headers, body)?;
        self.ready().await?;
        // Dropped before its end, it leaves a connection on which somebody else's answer comes.
        let Self { stream: kept, came: bytes, .. } = self;
        let mut stream = kept.take().ok_or("no connection")?;
        bytes.clear();
        let began = Instant::now();
        stream.write_all(&message).await?;
        let answer = loop {
            let is_closed = stream.read_buf(bytes).await? == 0;
            if let Some(answer) = Answer::read(bytes, is_closed)? {
                break answer;
            }
        };
        let times = Times { began, came: Instant::now() };
        *kept = (!answer.is_last).then_some(stream);
        Ok((answer, times))
    }
}
