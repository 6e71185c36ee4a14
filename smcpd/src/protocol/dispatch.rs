//! From a frame to its answers: each message goes to the method that its revision has.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::client;
use super::jsonrpc::{
    self, Frame, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, Notification, Request, RpcError,
};
use super::logging::Level;
use super::methods::Method;
use super::{Peer, Revision, Service, implementation, offers, read, stateless};
use crate::auth::Scope;
use crate::catalog::List;

/// What a method came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// Members that its dialect puts before the result's own.
    added: String,
    result: Bytes,
}

impl Done {
    /// The answer, in which the result is copied once.
    pub(crate) fn answer(&self, id: &jsonrpc::Id) -> Bytes {
        jsonrpc::success(id, &self.added, &self.result)
    }
}

/// A method that runs something, or says something before it is answered.
#[derive(Debug, Clone, Copy)]
enum Slow {
    Listen,
    CallTool,
    ReadResource,
    GetPrompt,
    Complete,
}

impl Service {
    /// Answers every message of a frame: `None` where nothing is to be sent back.
    pub(crate) async fn handle(self: &Arc<Self>, peer: &Peer, frame: Frame) -> Option<Bytes> {
        match frame {
            Frame::One(message) => self.message(peer, message).await,
            Frame::Batch(_) if !peer.revision.has_batches() => {
                let error = RpcError::new(
                    INVALID_REQUEST,
                    format!("batches are not part of revision {}", peer.revision.as_str()),
                );
                Some(jsonrpc::failure(None, &error))
            }
            Frame::Batch(messages) => {
                let answers = messages.into_iter().map(async |message| match message {
                    Ok(message) => self.message(peer, message).await,
                    Err(refusal) => Some(refusal.to_bytes()),
                });
                let answers: Vec<Bytes> =
                    futures_util::future::join_all(answers).await.into_iter().flatten().collect();
                (!answers.is_empty()).then(|| jsonrpc::batch(&answers))
            }
        }
    }

    async fn message(self: &Arc<Self>, peer: &Peer, message: Message) -> Option<Bytes> {
        match message {
            Message::Request(request) => match self.at_once(peer, &request) {
                Some(answer) => Some(answer),
                // Boxed: it is large, and would be moved with every message that is answered at once.
                None => Box::pin(self.request(peer, request)).await,
            },
            Message::Notification(notification) => {
                open_up(peer);
                notified(peer, &notification);
                None
            }
            Message::Response(response) => {
                open_up(peer);
                if let Some(session) = &peer.session {
                    session.questions().answer(response);
                }
                None
            }
        }
    }

    /// Answers a request that needs no waiting, and during which nothing is said to its client.
    pub(crate) fn at_once(&self, peer: &Peer, request: &Request) -> Option<Bytes> {
        if request.method != "initialize" {
            open_up(peer);
        }
        let failed = |error: &RpcError| Some(jsonrpc::failure(Some(&request.id), error));
        if let Some(Err(error)) = peer.session.as_ref().map(|session| session.pass(&request.id)) {
            return failed(&RpcError::new(INVALID_REQUEST, error.to_string()));
        }
        let introduced = match peer.revision.is_stateless().then(|| introduced(peer, request)).transpose() {
            Ok(introduced) => introduced,
            Err(error) => return failed(&error),
        };
        match self.done_at_once(introduced.as_ref().unwrap_or(peer), request)? {
            Ok(done) => Some(done.answer(&request.id)),
            Err(error) => failed(&error),
        }
    }

    /// The same for a peer that was introduced by the request.
    pub(crate) fn done_at_once(&self, peer: &Peer, request: &Request) -> Option<Result<Done, RpcError>> {
        let method = match method(peer, request) {
            Ok(method) => method,
            Err(error) => return Some(Err(error)),
        };
        let result = self.quick(peer, method, request.params.as_deref()).ok()?;
        Some(result.map(|result| self.done(peer, method, result)))
    }

    /// Answers one request. A request that its client cancelled gets no answer (2025-11-25, cancellation).
    async fn request(self: &Arc<Self>, peer: &Peer, request: Request) -> Option<Bytes> {
        let in_flight =
            match peer.session.as_ref().map(|session| session.begin(request.id.clone())).transpose() {
                Ok(in_flight) => in_flight,
                Err(error) => {
                    let error = RpcError::new(INVALID_REQUEST, error.to_string());
                    return Some(jsonrpc::failure(Some(&request.id), &error));
                }
            };
        let cancel =
            in_flight.as_ref().map_or_else(|| peer.grant.ended().child_token(), |one| one.token().clone());
        let result = match peer.revision.is_stateless() {
            false => self.answer(peer, &request, &cancel).await,
            true => match introduced(peer, &request) {
                Ok(peer) => self.answer(&peer, &request, &cancel).await,
                Err(error) => Err(error),
            },
        };
        if cancel.is_cancelled() {
            return None;
        }
        Some(match result {
            Ok(done) => done.answer(&request.id),
            Err(error) => jsonrpc::failure(Some(&request.id), &error),
        })
    }

    async fn answer(
        self: &Arc<Self>,
        peer: &Peer,
        request: &Request,
        cancel: &CancellationToken,
    ) -> Result<Done, RpcError> {
        let params = request.params.as_deref();
        let method = method(peer, request)?;
        let result = match self.quick(peer, method, params) {
            Ok(result) => result,
            Err(Slow::Listen) => self.listen(peer, request, cancel).await,
            Err(Slow::CallTool) => self.call(peer, params, cancel).await,
            Err(Slow::ReadResource) => self.read_resource(peer, params, cancel).await,
            Err(Slow::GetPrompt) => self.get_prompt(peer, params, cancel).await,
            Err(Slow::Complete) => self.complete(peer, params, cancel).await,
        }?;
        Ok(self.done(peer, method, result))
    }

    /// Carries out a method that needs no waiting; the error is one that does.
    fn quick(
        &self,
        peer: &Peer,
        method: Method,
        params: Option<&RawValue>,
    ) -> Result<Result<Bytes, RpcError>, Slow> {
        Ok(match method {
            Method::Initialize => self.initialize(peer, params),
            Method::Ping => Ok(Bytes::from_static(b"{}")),
            Method::Discover => Ok(stateless::discovered(&self.capabilities(peer, peer.revision))),
            Method::ListTools => self.list(peer, params),
            Method::SetLevel => set_level(peer, params),
            Method::ListResources => self.one_page(peer, params, List::Resources),
            Method::ListTemplates => self.one_page(peer, params, List::Templates),
            Method::ListPrompts => self.one_page(peer, params, List::Prompts),
            Method::Subscribe => self.subscribe(peer, params),
            Method::Unsubscribe => self.unsubscribe(peer, params),
            Method::GetTask => self.get_task(peer, params),
            Method::UpdateTask => self.update_task(peer, params),
            Method::CancelTask => self.cancel_task(peer, params),
            Method::Listen => return Err(Slow::Listen),
            Method::CallTool => return Err(Slow::CallTool),
            Method::ReadResource => return Err(Slow::ReadResource),
            Method::GetPrompt => return Err(Slow::GetPrompt),
            Method::Complete => return Err(Slow::Complete),
        })
    }

    fn done(&self, peer: &Peer, method: Method, result: Bytes) -> Done {
        let added = match peer.revision.is_stateless() {
            true => {
                // Lists differ by who asks.
                let is_limited = *peer.grant.scope() != Scope::Everything;
                stateless::added(method, &result, is_limited || self.current.get().is_guarded())
            }
            false => String::new(),
        };
        Done { added, result }
    }

    /// Answers one request of a peer that was introduced by it.
    pub(crate) async fn alone(self: &Arc<Self>, peer: &Peer, request: &Request) -> Result<Done, RpcError> {
        Box::pin(self.answer(peer, request, &peer.grant.ended().child_token())).await
    }

    fn capabilities(&self, peer: &Peer, revision: Revision) -> Value {
        offers::capabilities(revision, &self.seen(peer))
    }

    /// 2025-11-25, lifecycle, "initialization".
    fn initialize(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params {
            protocol_version: String,
            #[serde(default)]
            capabilities: Map<String, Value>,
        }
        let params: Params = read(params)?
            .ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `protocolVersion`"))?;
        let revision = Revision::negotiate(&params.protocol_version);
        if let Some(session) = &peer.session {
            session.introduce(client::known(params.capabilities, revision));
            session.agree_on(revision);
        }
        let result = json!({
            "protocolVersion": revision.as_str(),
            "capabilities": self.capabilities(peer, revision),
            "serverInfo": implementation(),
        });
        Ok(result.to_string().into())
    }
}

/// 2025-11-25, utilities, "logging": what a client without a session asks for is forgotten at once.
fn set_level(peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        level: Cow<'a, str>,
    }
    let params: Params<'_> =
        read(params)?.ok_or_else(|| RpcError::new(INVALID_PARAMS, "`params`: missing field `level`"))?;
    let level = Level::parse(&params.level)
        .ok_or_else(|| RpcError::new(INVALID_PARAMS, "`level` must be one of debug to emergency"))?;
    if let Some(session) = &peer.session {
        session.set_level(level);
    }
    Ok(Bytes::from_static(b"{}"))
}

/// The method that a request names.
fn method(peer: &Peer, request: &Request) -> Result<Method, RpcError> {
    Method::of(&request.method, peer.revision).ok_or_else(|| {
        let name: String = request.method.chars().take(128).collect();
        RpcError::new(METHOD_NOT_FOUND, format!("there is no method `{name}`"))
    })
}

/// Notes that a session's client goes on after `initialize`.
fn open_up(peer: &Peer) {
    if let (Some(session), false) = (&peer.session, peer.revision.is_stateless()) {
        session.open_up();
    }
}

/// The client that a request of the stateless dialect says it is.
fn introduced(peer: &Peer, request: &Request) -> Result<Peer, RpcError> {
    let said = stateless::said(request)?;
    stateless::admit(&said, request)?;
    Ok(Peer { client: said.client, ..peer.clone() })
}

/// Takes a notification; one that is not known, or not well made, is passed over: nothing may be answered.
fn notified(peer: &Peer, notification: &Notification) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancelled<'a> {
        #[serde(borrow)]
        request_id: &'a RawValue,
    }
    if notification.method != "notifications/cancelled" {
        return;
    }
    let params = notification.params.as_deref().map(RawValue::get).unwrap_or_default();
    let id = serde_json::from_str::<Cancelled<'_>>(params)
        .ok()
        .and_then(|cancelled| jsonrpc::Id::from_value(cancelled.request_id));
    if let (Some(session), Some(id)) = (&peer.session, id) {
        session.cancel(&id);
    }
}
