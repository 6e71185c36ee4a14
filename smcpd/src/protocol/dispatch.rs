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
        let is_hello = matches!(&message, Message::Request(request) if request.method == "initialize");
        if let (Some(session), false, false) = (&peer.session, is_hello, peer.revision.is_stateless()) {
            session.open_up();
        }
        match message {
            Message::Request(request) => self.request(peer, request).await,
            Message::Notification(notification) => {
                notified(peer, &notification);
                None
            }
            Message::Response(response) => {
                if let Some(session) = &peer.session {
                    session.questions().answer(response);
                }
                None
            }
        }
    }

    /// Answers one request. A request that its client cancelled gets no answer (2025-11-25, cancellation).
    async fn request(self: &Arc<Self>, peer: &Peer, request: Request) -> Option<Bytes> {
        let in_flight = match &peer.session {
            None => None,
            Some(session) => match session.begin(request.id.clone()) {
                Ok(in_flight) => Some(in_flight),
                Err(error) => {
                    let error = RpcError::new(INVALID_REQUEST, error.to_string());
                    return Some(jsonrpc::failure(Some(&request.id), &error));
                }
            },
        };
        let cancel = in_flight.as_ref().map_or_else(CancellationToken::new, |one| one.token().clone());
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
            Ok(result) => jsonrpc::success(&request.id, &result),
            Err(error) => jsonrpc::failure(Some(&request.id), &error),
        })
    }

    async fn answer(
        self: &Arc<Self>,
        peer: &Peer,
        request: &Request,
        cancel: &CancellationToken,
    ) -> Result<Bytes, RpcError> {
        let params = request.params.as_deref();
        let Some(method) = Method::of(&request.method, peer.revision) else {
            let name: String = request.method.chars().take(128).collect();
            return Err(RpcError::new(METHOD_NOT_FOUND, format!("there is no method `{name}`")));
        };
        let result = match method {
            Method::Initialize => self.initialize(peer, params),
            Method::Ping => Ok(Bytes::from_static(b"{}")),
            Method::Discover => Ok(stateless::discovered(&self.capabilities(peer.revision))),
            Method::Listen => self.listen(peer, request, cancel).await,
            Method::ListTools => self.list(peer, params),
            Method::CallTool => self.call(peer, params, cancel).await,
            Method::SetLevel => set_level(peer, params),
            Method::ListResources => self.list_resources(peer, params).await,
            Method::ListTemplates => self.list_templates(peer, params).await,
            Method::ReadResource => self.read_resource(peer, params, cancel).await,
            Method::Subscribe => self.subscribe(peer, params),
            Method::Unsubscribe => self.unsubscribe(peer, params),
            Method::ListPrompts => self.list_prompts(peer, params).await,
            Method::GetPrompt => self.get_prompt(peer, params, cancel).await,
            Method::Complete => self.complete(peer, params, cancel).await,
            Method::GetTask => self.get_task(peer, params),
            Method::UpdateTask => self.update_task(peer, params),
            Method::CancelTask => self.cancel_task(peer, params),
        }?;
        match peer.revision.is_stateless() {
            true => Ok(stateless::complete(method, &result, !self.current.get().keys.is_empty())),
            false => Ok(result),
        }
    }

    /// Answers one request of a peer that was introduced by it.
    pub(crate) async fn alone(self: &Arc<Self>, peer: &Peer, request: &Request) -> Result<Bytes, RpcError> {
        self.answer(peer, request, &CancellationToken::new()).await
    }

    fn capabilities(&self, revision: Revision) -> Value {
        offers::capabilities(revision, &self.catalog.snapshot())
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
            "capabilities": self.capabilities(revision),
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
