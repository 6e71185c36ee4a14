//! Answers in HTTP's language: JSON bodies, and JSON-RPC errors with the status that goes with them.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};

use crate::config;
use crate::protocol::jsonrpc::{self, RpcError};

pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    bytes(status, body.to_string().into())
}

pub(super) fn bytes(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A JSON-RPC error without an id: the message could not be told apart.
pub(super) fn rpc_error(status: StatusCode, error: &RpcError) -> Response {
    bytes(status, jsonrpc::failure(None, error))
}

pub(super) fn accepted() -> Response {
    StatusCode::ACCEPTED.into_response()
}

pub(super) fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

pub(super) fn not_allowed(allow: &str) -> Response {
    let body = json!({"error": "method_not_allowed", "message": format!("this route takes {allow}")});
    with_header(json(StatusCode::METHOD_NOT_ALLOWED, &body), header::ALLOW, allow)
}

pub(super) fn wrong_content_type() -> Response {
    let body = json!({
        "error": "unsupported_media_type",
        "message": "the body must be JSON: send `Content-Type: application/json`",
    });
    json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &body)
}

pub(super) fn too_large(limit: usize) -> Response {
    let body = json!({
        "error": "body_too_large",
        "message": format!("the body may have at most {limit} bytes (`http.body_limit`)"),
    });
    with_header(json(StatusCode::PAYLOAD_TOO_LARGE, &body), header::CONNECTION, "close")
}

pub(super) fn unavailable(message: &str) -> Response {
    let body = json!({"error": "unavailable", "message": message});
    with_header(json(StatusCode::SERVICE_UNAVAILABLE, &body), header::RETRY_AFTER, "5")
}

/// Reads a body within its limit and its time.
pub(super) async fn body(body: Body, http: &config::Http) -> Result<Bytes, Response> {
    let limit = http.body_limit;
    let collected = Limited::new(body, limit).collect();
    match tokio::time::timeout(http.body_timeout, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(_)) => {
            let body = json!({"error": "bad_request", "message": "the body could not be read"});
            Err(json(StatusCode::BAD_REQUEST, &body))
        }
        Err(_) => {
            let body = json!({"error": "request_timeout", "message": "the body did not come in time"});
            let response = json(StatusCode::REQUEST_TIMEOUT, &body);
            Err(with_header(response, header::CONNECTION, "close"))
        }
    }
}

/// A stream of server-sent events, as proxies should pass it on.
pub(super) fn events(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}
