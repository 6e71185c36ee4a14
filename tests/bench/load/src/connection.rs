//! One kept-alive connection for messages.
//!
//! What a client costs is in the time of what it asks, and a program that is run directly has no client. So a message is
//! made before its time begins, and is one write; a library's client took 0.1 to 0.2 ms of a cold call.

use std::fmt::Write as _;
use std::io;
use std::time::Instant;

use hyper::Uri;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
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

/// What every message of MCP is sent with.
pub(crate) fn headers(more: &[(&'static str, &str)]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    for (name, value) in more {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    Ok(headers)
}

/// Where a URL leads.
pub(crate) fn authority(url: &Uri) -> Result<&str, Failure> {
    Ok(url.authority().ok_or("a URL needs a host and a port")?.as_str())
}

pub(crate) async fn connect(authority: &str) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    pub(crate) fn to(url: &Uri) -> Result<Self, Failure> {
        Ok(Self { authority: authority(url)?.to_owned(), stream: None, came: Vec::with_capacity(64 << 10) })
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

    /// Takes the stream there is, or a new one where the server has closed it.
    async fn take(&mut self) -> Result<TcpStream, Failure> {
        let is_open = |stream: &TcpStream| matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        match self.stream.take().filter(is_open) {
            Some(stream) => Ok(stream),
            None => connect(&self.authority).await,
        }
    }

    /// Sends a message and returns the answer.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        headers: &HeaderMap,
        body: &str,
    ) -> Result<(Answer, Times), Failure> {
        let message = self.message(path, headers, body)?;
        // Given back at its end: dropped before, it would leave a stream on which an answer comes to somebody else.
        let mut stream = self.take().await?;
        self.came.clear();
        let began = Instant::now();
        stream.write_all(&message).await?;
        let answer = loop {
            let is_closed = stream.read_buf(&mut self.came).await? == 0;
            if let Some(answer) = Answer::read(&self.came, is_closed)? {
                break answer;
            }
        };
        let times = Times { began, came: Instant::now() };
        self.stream = (!answer.is_last).then_some(stream);
        Ok((answer, times))
    }
}
