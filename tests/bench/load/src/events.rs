//! Streams of events.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;

use crate::Failure;
use crate::connection::{authority, connect};

/// Opens a stream of events, on a connection of its own, for it never ends.
pub(crate) async fn stream(url: &Uri, path: &str, headers: &HeaderMap) -> Result<Incoming, Failure> {
    let authority = authority(url)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(authority).await?)).await?;
    tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = path.parse()?;
    *request.headers_mut() = headers.clone();
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority)?);
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    Ok(sender.send_request(request).await?.into_body())
}

/// The `data` of each event, from what has come of a stream.
#[derive(Debug, Default)]
pub(crate) struct Events(BytesMut);

impl Events {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Returns the next whole event that has data.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let (end, gap) = end_of_event(&self.0)?;
            let event = self.0.split_to(end);
            self.0.advance(gap);
            let lines = event.as_ref().split(|byte: &u8| *byte == b'\n');
            let data: Vec<&[u8]> = lines.filter_map(|line| line.strip_prefix(b"data:")).collect();
            if !data.is_empty() {
                let trimmed: Vec<&[u8]> = data.iter().map(|line| line.trim_ascii()).collect();
                return Some(trimmed.join(&b'\n'));
            }
        }
    }
}

/// Where the first event ends, and how long the gap behind it is.
fn end_of_event(bytes: &[u8]) -> Option<(usize, usize)> {
    let find = |gap: &[u8]| bytes.windows(gap.len()).position(|window| window == gap);
    let lines = find(b"\n\n").map(|at| (at, 2));
    let wide = find(b"\r\n\r\n").map(|at| (at, 4));
    match (lines, wide) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_whatever_the_chunks_and_the_line_ends() {
        let stream =
            b": hello\n\nevent: endpoint\ndata: /m\n\nid: 1\r\nevent: message\r\ndata: {\r\ndata: }\r\n\r\n";
        for size in 1..stream.len() {
            let mut events = Events::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(size) {
                events.add(chunk);
                while let Some(event) = events.next() {
                    seen.push(String::from_utf8(event).expect("it is text"));
                }
            }
            assert_eq!(seen, ["/m", "{\n}"], "in chunks of {size}");
        }
    }
}
