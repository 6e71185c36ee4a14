//! The stateless dialect on `/mcp` (2026-07-28, transports): one POST a request, whose headers say what its body says.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::answer::{Accepts, Answer, answer};
use super::{Doors, headers, reply};
use crate::auth::Grant;
use crate::protocol::jsonrpc::{
    self, Frame, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_CAPABILITY, Message, Request, RpcError,
};
use crate::protocol::{Claim, Done, Peer, Related, Revision, stateless};

/// Returns whether a POST is of this dialect: its header says so, or its body.
pub(super) fn is_meant(claim: Option<Claim>, frame: &Frame) -> bool {
    match (claim, frame) {
        (Some(Claim::Stateless), _) => true,
        (_, Frame::One(Message::Request(request))) => stateless::is_claimed_by(request),
        _ => false,
    }
}

pub(super) async fn post(
    doors: &Doors,
    grant: Arc<Grant>,
    agent: Option<String>,
    headers: &HeaderMap,
    accepts: Accepts,
    frame: Frame,
) -> Response {
    let request = match frame {
        Frame::One(Message::Request(request)) => request,
        // A request is cancelled by closing its stream, and nothing else is to be told.
        Frame::One(Message::Notification(_)) => return reply::accepted(),
        Frame::One(Message::Response(_)) | Frame::Batch(_) => {
            let message = "one request or notification a POST (2026-07-28)";
            let error = RpcError::new(INVALID_REQUEST, message);
            return reply::bytes(StatusCode::BAD_REQUEST, jsonrpc::failure_or_nameless(None, &error));
        }
    };
    let peer = match introduced(doors, grant, agent, headers, &request) {
        Ok(peer) => peer,
        Err(error) => {
            let status =
                if error.code == METHOD_NOT_FOUND { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
            return reply::bytes(status, jsonrpc::failure(Some(&request.id), &error));
        }
    };
    if accepts.json
        && let Some(result) = doors.service.done_at_once(&peer, &request)
    {
        let Answer { status, body } = answered(&request, result);
        return reply::bytes(status, body);
    }
    let service = Arc::clone(&doors.service);
    let work = move |related: Related| async move {
        let peer = Peer { related, ..peer };
        Some(answered(&request, service.alone(&peer, &request).await))
    };
    answer(doors, accepts, None, work).await
}

fn answered(request: &Request, result: Result<Done, RpcError>) -> Answer {
    match result {
        Ok(done) => Answer { status: StatusCode::OK, body: done.answer(&request.id) },
        Err(error) => Answer { status: status(&error), body: jsonrpc::failure(Some(&request.id), &error) },
    }
}

/// In this order: what the request must say, what its headers must repeat, its version, its method.
fn introduced(
    doors: &Doors,
    grant: Arc<Grant>,
    agent: Option<String>,
    headers: &HeaderMap,
    request: &Request,
) -> Result<Peer, RpcError> {
    let said = stateless::said(request)?;
    headers::agree(headers, &said.version, request)?;
    stateless::admit(&said, request)?;
    for repeated in doors.service.repeated(&grant, request).iter().flatten() {
        headers::agree_on(headers, repeated)?;
    }
    let peer = Peer::outside(Revision::V2026_07_28, grant, agent);
    Ok(Peer { client: said.client, ..peer })
}

/// The status of an error that a method ended with ("error handling").
fn status(error: &RpcError) -> StatusCode {
    match error.code {
        METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        MISSING_CAPABILITY => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
