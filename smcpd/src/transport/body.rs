//! Reads bodies: each within its limit and its time, and all of them within a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::json;

use super::limits::Over;
use super::{Doors, Ends, reply};
use crate::limits::{Limit, Who};

/// Bytes of the bodies that are held at one time.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    held: Arc<AtomicUsize>,
}

/// A part of it; given back when it is dropped.
#[derive(Debug)]
struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    fn add(&mut self, bytes: usize, most: usize) -> bool {
        self.bytes += bytes;
        self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body that was read. It counts as held until the request was answered.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    #[expect(dead_code, reason = "held for its drop")]
    share: Share,
}

enum Broken {
    Over(Over),
    Connection,
}

pub(super) async fn read(doors: &Doors, body: Body, ends: Option<Ends>) -> Result<Held, Response> {
    let config = doors.current.get();
    let http = &config.http;
    let reading = collect(&doors.bodies, body, http.body_limit, http.body_memory);
    let over = match tokio::time::timeout(http.body_timeout, reading).await {
        Ok(Ok(held)) => return Ok(held),
        Ok(Err(Broken::Over(over))) => over,
        Ok(Err(Broken::Connection)) => {
            let body = json!({"error": "bad_request", "message": "the body could not be read"});
            return Err(reply::json(StatusCode::BAD_REQUEST, &body));
        }
        Err(_) => Over::new(Limit::BodyTime, "the body did not come in time"),
    };
    let peer = ends.map(|ends| ends.peer.to_string());
    doors.service.exceeded().note(over.limit, || Who { peer, ..Who::default() });
    Err(over.into_response())
}

async fn collect(bodies: &Bodies, mut body: Body, limit: usize, memory: usize) -> Result<Held, Broken> {
    let mut share = Share { held: Arc::clone(&bodies.held), bytes: 0 };
    // Most bodies come in one piece.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing to us.
        let Ok(data) = frame.map_err(|_| Broken::Connection)?.into_data() else { continue };
        if share.bytes + data.len() > limit {
            return Err(Broken::Over(Over::body_size(limit)));
        }
        if !share.add(data.len(), memory) {
            let over = Over::new(Limit::BodyMemory, "too many bodies are being read");
            return Err(Broken::Over(over.again_after(std::time::Duration::from_secs(1))));
        }
        match (first.is_empty(), all.is_empty()) {
            (true, true) => first = data,
            (false, _) => {
                all.reserve(first.len() + data.len());
                all.extend_from_slice(&std::mem::take(&mut first));
                all.extend_from_slice(&data);
            }
            (true, false) => all.extend_from_slice(&data),
        }
    }
    let bytes = if all.is_empty() { first } else { all.into() };
    Ok(Held { bytes, share })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&'static str]) -> Body {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes())))
            .collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn pieces_are_put_together_within_the_limit_and_all_within_the_bound() {
        let bodies = Bodies::default();
        let read = async |pieces: &[&'static str]| match collect(&bodies, of(pieces), 10, 15).await {
            Ok(held) => Ok(held),
            Err(Broken::Over(over)) => Err(Some(over.limit)),
            Err(Broken::Connection) => Err(None),
        };
        let text = async |pieces: &[&'static str]| read(pieces).await.map(|held| held.bytes);
        assert_eq!(text(&[]).await.unwrap(), "");
        assert_eq!(text(&["one"]).await.unwrap(), "one");
        assert_eq!(text(&["", "on", "", "e", "two"]).await.unwrap(), "onetwo");
        assert_eq!(text(&["12345", "67890", "1"]).await, Err(Some(Limit::BodySize)));
        let held = read(&["1234567890"]).await.unwrap();
        assert_eq!(text(&["123456"]).await, Err(Some(Limit::BodyMemory)));
        assert_eq!(text(&["12345"]).await.unwrap(), "12345");
        drop(held);
        assert_eq!(text(&["123456"]).await.unwrap(), "123456");
        assert_eq!(bodies.held.load(Ordering::Relaxed), 0);
    }
}
