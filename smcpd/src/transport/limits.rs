//! How a limit that was met is said in HTTP: the status, when to come again, and the key that sets it.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::reply;
use crate::config;
use crate::limits::Limit;

/// What a request or a connection was refused for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) limit: Limit,
    message: String,
    /// Where waiting helps.
    again: Option<Duration>,
}

impl Over {
    pub(super) fn new(limit: Limit, message: impl Into<String>) -> Self {
        Self { limit, message: format!("{} (`{}`)", message.into(), limit.key()), again: None }
    }

    /// With a message that names the key itself.
    pub(super) fn told(limit: Limit, message: String) -> Self {
        Self { limit, message, again: None }
    }

    pub(super) fn again_after(self, time: Duration) -> Self {
        Self { again: Some(time), ..self }
    }

    pub(super) fn body_size(limit: usize) -> Self {
        Self::new(Limit::BodySize, format!("the body may have at most {limit} bytes"))
    }

    pub(super) fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// The status, and its word in the body.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self.limit {
            Limit::HeaderSize | Limit::HeaderCount => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header_too_large")
            }
            Limit::HeaderTime | Limit::BodyTime => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Limit::BodySize => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Limit::ConnectionsOfPeer | Limit::Rate | Limit::LoopbackRate | Limit::SessionsOfCaller => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_requests")
            }
            Limit::BodyMemory
            | Limit::Connections
            | Limit::Sessions
            | Limit::Outbox
            | Limit::Backlog
            | Limit::Queue
            | Limit::QueueOfCaller => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    /// The request was not read to its end, so nothing else can be read on its connection.
    fn ends_connection(&self) -> bool {
        matches!(
            self.limit,
            Limit::BodySize
                | Limit::BodyTime
                | Limit::BodyMemory
                | Limit::Connections
                | Limit::ConnectionsOfPeer
        )
    }

    /// In whole seconds, at least one.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.again.map(|time| time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero()))
    }

    pub(super) fn body(&self) -> Value {
        json!({"error": self.kind().1, "message": self.message, "limit": self.limit.key()})
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = reply::json(self.status(), &self.body());
        if let Some(seconds) = self.retry_after() {
            response = reply::with_header(response, header::RETRY_AFTER, &seconds.to_string());
        }
        match self.ends_connection() {
            true => reply::with_header(response, header::CONNECTION, "close"),
            false => response,
        }
    }
}

/// Decides over a request from its head alone.
pub(super) fn head(request: &Request, http: &config::Http) -> Result<(), Over> {
    let headers = request.headers();
    if headers.len() > http.header_count {
        let message = format!("the header may have at most {} fields", http.header_count);
        return Err(Over::new(Limit::HeaderCount, message));
    }
    if size(request) > http.header_limit {
        let message = format!("the header may have at most {} bytes", http.header_limit);
        return Err(Over::new(Limit::HeaderSize, message));
    }
    match declared(headers) {
        Some(length) if length > http.body_limit as u64 => Err(Over::body_size(http.body_limit)),
        _ => Ok(()),
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// As many bytes as the head had on the wire, but for blanks.
fn size(request: &Request) -> usize {
    let uri = request.uri();
    let target = uri.authority().map_or(0, |authority| authority.as_str().len())
        + uri.path_and_query().map_or(0, |target| target.as_str().len());
    // `: ` and the end of a line.
    request.headers().iter().fold(target, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::for_tests;

    #[test]
    fn a_head_is_judged_by_its_fields_its_bytes_and_what_it_declares() {
        let mut config = for_tests(&[]).unwrap();
        config.http.header_count = 3;
        config.http.header_limit = 100;
        config.http.body_limit = 100;
        let judged = |target: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri(target);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            head(&request, &config.http).map_err(|over| (over.limit, over.status().as_u16()))
        };
        let long = "y".repeat(99);
        assert_eq!(judged("/", &[("a", "1"), ("a", "2"), ("a", "3")]), Ok(()));
        let four = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4")];
        assert_eq!(judged("/", &four), Err((Limit::HeaderCount, 431)));
        assert_eq!(judged("/", &[("a", &long)]), Err((Limit::HeaderSize, 431)));
        assert_eq!(judged(&format!("/?{long}"), &[]), Err((Limit::HeaderSize, 431)));
        assert_eq!(judged("/", &[("content-length", "100")]), Ok(()));
        assert_eq!(judged("/", &[("content-length", "101")]), Err((Limit::BodySize, 413)));
        assert_eq!(judged("/", &[("content-length", "18446744073709551615")]), Err((Limit::BodySize, 413)));
    }

    #[test]
    fn an_answer_names_the_key_and_when_to_come_again() {
        let over = Over::new(Limit::Rate, "at most 5 requests a second");
        assert_eq!(over.retry_after(), None);
        let waits =
            |milliseconds| over.clone().again_after(Duration::from_millis(milliseconds)).retry_after();
        assert_eq!([waits(0), waits(1), waits(1_000), waits(1_001)], [Some(1), Some(1), Some(1), Some(2)]);
        let response = over.again_after(Duration::from_secs(2)).into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (429, &"2".parse().unwrap())
        );
    }
}
