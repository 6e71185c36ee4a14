//! A conversation of one message a line, in and out: the stdio transport (2025-11-25, transports, "stdio"), on
//! whatever pair of streams a door has.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio_util::task::TaskTracker;

use super::jsonrpc::{self, Frame, Message, Refusal};
use super::{Peer, Related, Revision, Service, Session, Transport, stateless};
use crate::auth::Grant;

/// Serves until `input` ends or the daemon is told to stop; requests in flight are then given the drain time to
/// finish.
pub(crate) async fn serve(
    service: Arc<Service>,
    grant: Arc<Grant>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<()> {
    service.until_ready().await;
    let config = service.current.get();
    let (limit, drain) = (config.http.body_limit, config.execution.drain);
    let session = service
        .sessions()
        .open(Transport::Stdio, Arc::clone(&grant))
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let tasks = TaskTracker::new();
    let writing = tasks.spawn(write(Arc::clone(&session), output));
    let mut input = BufReader::new(input);
    let requests = TaskTracker::new();
    loop {
        let line = tokio::select! {
            // A stream that fails has ended.
            line = line(&mut input, limit) => line.unwrap_or(Line::End),
            () = service.shutdown.draining() => break,
            () = session.closed().cancelled() => break,
        };
        let frame = match line {
            Line::End => break,
            Line::TooLong => Err(too_long(limit)),
            Line::Text(text) if text.trim_ascii().is_empty() => continue,
            Line::Text(text) => jsonrpc::parse(&text),
        };
        match frame {
            Ok(frame) => {
                let (service, session) = (Arc::clone(&service), Arc::clone(&session));
                let peer = peer(&session, &grant, &frame);
                let answering = async move {
                    if let Some(answer) = service.handle(&peer, frame).await {
                        session.send(answer);
                        session.open_up();
                    }
                };
                requests.spawn(answering);
            }
            Err(refusal) => session.send(refusal.to_bytes()),
        }
        // A client that writes `initialize` and goes on at once means its next line in the new revision.
        tokio::task::yield_now().await;
    }
    requests.close();
    let in_time = tokio::time::timeout(drain, requests.wait()).await;
    service.sessions().close(&session);
    if in_time.is_err() {
        requests.wait().await;
    }
    tasks.close();
    writing.await.map_err(std::io::Error::other)?
}

/// On this transport both dialects share the line: a request that says its version stands alone.
fn peer(session: &Arc<Session>, grant: &Arc<Grant>, frame: &Frame) -> Peer {
    let peer = Peer::of(Arc::clone(session), Arc::clone(grant), None, Related::Session(Arc::clone(session)));
    match frame {
        Frame::One(Message::Request(request)) if stateless::is_claimed_by(request) => {
            Peer { revision: Revision::V2026_07_28, ..peer }
        }
        _ => peer,
    }
}

fn too_long(limit: usize) -> Refusal {
    let message = format!("a line may have at most {limit} bytes (`http.body_limit`)");
    Refusal { id: None, error: jsonrpc::RpcError::new(jsonrpc::INVALID_REQUEST, message) }
}

async fn write(session: Arc<Session>, mut output: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    while let Some(message) = session.outbox().next().await {
        let written = async {
            output.write_all(&message).await?;
            output.write_all(b"\n").await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            // Nobody reads any more: what runs for them ends too.
            session.close();
            return if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

/// Reads one line of at most `limit` bytes; a longer one is read to its end and dropped.
async fn line(input: &mut (impl tokio::io::AsyncBufRead + Unpin), limit: usize) -> std::io::Result<Line> {
    let mut text = Vec::new();
    let mut limited = (&mut *input).take(limit as u64 + 1);
    limited.read_until(b'\n', &mut text).await?;
    if text.ends_with(b"\n") {
        text.pop();
        return Ok(Line::Text(text));
    }
    if text.len() <= limit {
        return Ok(if text.is_empty() { Line::End } else { Line::Text(text) });
    }
    drop(text);
    loop {
        let buffer = input.fill_buf().await?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(Line::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_the_one_after_a_long_one_is_read() {
        let mut input: &[u8] = b"one\n\ntoo long\nxxxxx\nlast";
        let mut lines = Vec::new();
        loop {
            match line(&mut input, 5).await.unwrap() {
                Line::End => break,
                line => lines.push(line),
            }
        }
        let text = |text: &str| Line::Text(text.as_bytes().to_vec());
        assert_eq!(lines, [text("one"), text(""), Line::TooLong, text("xxxxx"), text("last")]);
    }
}
