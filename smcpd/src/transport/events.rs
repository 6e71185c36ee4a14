//! Server-sent events: how a message becomes one, and the streams that carry them.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;

use crate::protocol::{EventId, Session};

/// A `message` event, without an id: every JSON message of ours is one line.
pub(super) fn message(data: &[u8]) -> Bytes {
    event(None, "message", data)
}

/// An event of any name, with an id where a client may come back to it.
pub(super) fn event(id: Option<EventId>, name: &str, data: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(data.len() + 48);
    if let Some(id) = id {
        event.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    event.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// The empty event that gives a client an id to come back to (2025-11-25, "sending messages to the server").
pub(super) fn priming(id: EventId) -> Bytes {
    format!("id: {id}\ndata: \n\n").into()
}

const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Something that yields events, one at a time.
pub(super) trait Source: Send + 'static {
    /// Waits for the next event; `None` ends the stream. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// A body that sends `first`, then what the source yields, with a comment in every silence of `keep_alive`.
///
/// The source is dropped with the body: that is how a stream learns that its client is gone.
pub(super) fn body(first: Option<Bytes>, source: impl Source, keep_alive: Duration) -> Body {
    let state = (first, source);
    Body::from_stream(stream::unfold(state, move |(mut first, mut source)| async move {
        let event = match first.take() {
            Some(event) => event,
            None => match tokio::time::timeout(keep_alive, source.next()).await {
                Ok(event) => event?,
                Err(_) => Bytes::from_static(KEEP_ALIVE),
            },
        };
        Some((Ok::<Bytes, std::convert::Infallible>(event), (first, source)))
    }))
}

/// The next message of a session's outbox, as an event.
pub(super) async fn next_of(session: &Session) -> Option<Bytes> {
    session.outbox().next().await.map(|data| message(&data))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const ID: EventId = EventId { stream: 7, number: 2 };

    struct Two(Vec<Bytes>, tokio::time::Instant);

    impl Source for Two {
        async fn next(&mut self) -> Option<Bytes> {
            if self.0.len() == 1 {
                tokio::time::sleep_until(self.1).await;
            }
            self.0.pop()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_is_filled_with_comments_and_the_stream_ends_with_its_source() {
        let later = tokio::time::Instant::now() + Duration::from_secs(25);
        let source = Two(vec![message(b"{}"), event(Some(ID), "endpoint", b"/x")], later);
        let body = body(Some(priming(EventId { stream: 1, number: 0 })), source, Duration::from_secs(15));
        let sent = body.collect().await.unwrap().to_bytes();
        let expected = "id: 1-0\ndata: \n\nid: 7-2\nevent: endpoint\ndata: /x\n\n: keep-alive\n\n\
                        event: message\ndata: {}\n\n";
        assert_eq!(sent, expected);
    }

    /// Reads a stream as a client does (WHATWG HTML, "parsing an event stream"): the id, name and data of each event.
    fn read(stream: &str) -> Vec<(Option<String>, String, String)> {
        let mut events = Vec::new();
        let (mut id, mut name, mut data) = (None, String::new(), None::<String>);
        for line in stream.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                _ if line.is_empty() => {
                    let name = std::mem::take(&mut name);
                    let name = if name.is_empty() { "message".to_owned() } else { name };
                    events.extend(data.take().map(|data| (id.take(), name, data)));
                }
                "id" => id = Some(value.to_owned()),
                "event" => name = value.to_owned(),
                "data" => {
                    data = Some(match data.take() {
                        None => value.to_owned(),
                        Some(before) => format!("{before}\n{value}"),
                    });
                }
                _ => {}
            }
        }
        assert_eq!(data, None, "the last event has its end");
        events
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_what_a_client_reads(
            messages in proptest::collection::vec(
                ("\\PC{0,40}|[\r\n:\u{2028}\\\\\" ]{0,10}", proptest::option::of(proptest::prelude::any::<(u64, u64)>()), proptest::bool::ANY),
                0..8,
            ),
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (text, id, is_quiet) in &messages {
                let json = serde_json::json!({"said": text, text: [text]}).to_string();
                let id = id.map(|(stream, number)| EventId { stream, number });
                stream.extend_from_slice(&event(id, "message", json.as_bytes()));
                expected.push((id.map(|id| id.to_string()), "message".to_owned(), json));
                if *is_quiet {
                    stream.extend_from_slice(KEEP_ALIVE);
                    stream.extend_from_slice(&priming(ID));
                    expected.push((Some(ID.to_string()), "message".to_owned(), String::new()));
                }
            }
            // A client ends a line at a carriage return too: none may be there.
            proptest::prop_assert!(!stream.contains(&b'\r'));
            proptest::prop_assert_eq!(read(std::str::from_utf8(&stream).unwrap()), expected);
        }
    }
}
