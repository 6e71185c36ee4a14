//! Answers in HTTP's language: JSON bodies, and JSON-RPC errors with the status that goes with them.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

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

pub(super) fn unavailable(message: &str) -> Response {
    let body = json!({"error": "unavailable", "message": message});
    with_header(json(StatusCode::SERVICE_UNAVAILABLE, &body), header::RETRY_AFTER, "5")
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
