//! The bound: axum and serde_json, one `POST` one answer, and HTTP+SSE, with no check of anything. A call runs a program,
//! whatever the tool is named, and has what it prints.

use std::collections::HashMap;
use std::convert::Infallible;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures_util::stream;
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::programs::Program;
use crate::{Failure, say};

#[derive(Debug, Clone)]
struct Bare {
    list: Arc<str>,
    program: Option<Arc<Program>>,
    streams: Arc<Mutex<HashMap<u64, mpsc::Sender<Bytes>>>>,
    count: Arc<AtomicU64>,
}

/// Serves on a free port of loopback, which it says, until stdin ends.
pub(crate) fn main(list: &str, program: Option<&str>) -> Result<(), Failure> {
    let list = std::fs::read_to_string(list)?.into();
    let program = program.map(serde_json::from_str).transpose()?.map(Arc::new);
    let bare = Bare { list, program, streams: Arc::default(), count: Arc::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        say(&json!({"address": listener.local_addr()?.to_string()}))?;
        let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
        let router = Router::new()
            .route("/mcp", post(answer))
            .route("/sse", get(open))
            .route("/messages/", post(answer_on_stream))
            .with_state(bare);
        let ended = async {
            _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
        };
        tokio::select! {
            served = axum::serve(listener, router) => served?,
            () = ended => {}
        }
        Ok::<(), Failure>(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    arguments: HashMap<String, String>,
}

impl Bare {
    fn answered(&self, body: &[u8]) -> Option<Bytes> {
        let request: Request<'_> = serde_json::from_slice(body).ok()?;
        let id = request.id?.get();
        let result = match request.method {
            "tools/list" => &*self.list,
            "initialize" => {
                r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"bare","version":"0"}}"#
            }
            _ => "{}",
        };
        Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}").into())
    }

    /// Runs the program with the arguments of a call as its options.
    async fn called(&self, body: &[u8]) -> Option<Bytes> {
        let mut command = self.program.as_ref()?.command();
        let call: Call<'_> = serde_json::from_slice(body).ok()?;
        command.args(call.params.arguments.iter().map(|(name, value)| format!("--{name}={value}")));
        let run = move || command.stdout(Stdio::piped()).output();
        let output = tokio::task::spawn_blocking(run).await.ok()?.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let result =
            json!({"content": [{"type": "text", "text": text}], "isError": !output.status.success()});
        Some(json!({"jsonrpc": "2.0", "id": call.id, "result": result}).to_string().into())
    }
}

async fn answer(State(bare): State<Bare>, body: Bytes) -> Response {
    let called = bare.called(&body).await;
    match called.or_else(|| bare.answered(&body)) {
        Some(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// Forgets the stream when its connection ends.
struct Gone(Bare, u64);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

async fn open(State(bare): State<Bare>) -> Response {
    let id = bare.count.fetch_add(1, Ordering::Relaxed);
    let (sender, receiver) = mpsc::channel(8);
    let first = format!("event: endpoint\ndata: /messages/?session_id={id}\n\n");
    bare.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
    let events =
        stream::unfold((Some(first), receiver, Gone(bare, id)), |(first, mut receiver, gone)| async {
            let event: Bytes = match first {
                Some(first) => first.into(),
                None => receiver.recv().await?,
            };
            Some((Ok::<_, Infallible>(Frame::data(event)), (None, receiver, gone)))
        });
    let body = Body::new(http_body_util::StreamBody::new(events));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

#[derive(Deserialize)]
struct Session {
    session_id: u64,
}

async fn answer_on_stream(
    State(bare): State<Bare>,
    Query(session): Query<Session>,
    body: Bytes,
) -> StatusCode {
    let sender = {
        let streams = bare.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(&session.session_id).cloned()
    };
    let Some(sender) = sender else { return StatusCode::NOT_FOUND };
    if let Some(answer) = bare.answered(&body) {
        let event = [b"event: message\ndata: ", answer.as_ref(), b"\n\n"].concat();
        if sender.send(event.into()).await.is_err() {
            return StatusCode::GONE;
        }
    }
    StatusCode::ACCEPTED
}
