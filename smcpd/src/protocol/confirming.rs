//! Calls that somebody has to confirm before they run: the client's user, asked by elicitation, or an operator.
//!
//! In the revisions with sessions the request waits meanwhile. A stateless client gets the question as the result and
//! comes back with the answer; what it brings back is sealed, bound to this very call, and good for one run.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::approvals::{Decision, Parked, Wanted};
use super::asking::{self, Input};
use super::calls::{Asked, Event};
use super::client::Question;
use super::voice::Voice;
use super::{Peer, Service};
use crate::catalog::{self, ErrorCode, Kind, Needed, Progress, ToolOutput};
use crate::config::ConfirmMode;
use crate::events::{self, Field};
use crate::hexadecimal;
use crate::metrics::Approval;

/// The key of our question, and of what a stateless client brings back.
const KEY: &str = "smcp.confirm";
const CONFIRMED: &str = "smcp.confirmed";
/// Arguments as whoever confirms sees them: bytes in all, and letters of one.
const SHOWN: usize = 16 << 10;
const SHOWN_OF_ONE: usize = 2_000;
/// How often a client hears that its call still waits.
const NOTICE: Duration = Duration::from_secs(10);
/// Runs that clients may come back for; of more, the oldest have to be confirmed anew.
const TICKETS: usize = 10_000;

/// Whether a call may run.
#[derive(Debug)]
pub(super) enum Confirmed {
    /// Nobody has to confirm it.
    Free(Option<Input>),
    /// Somebody did.
    Yes(Option<Input>),
    /// A stateless client has to ask its user.
    Ask(Needed),
    No(ToolOutput),
}

/// Runs that were asked for or confirmed, and are still to be made: each counts once.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    open: Mutex<HashMap<String, Instant>>,
}

impl Tickets {
    fn issue(&self, until: Instant, now: Instant) -> String {
        let ticket = hexadecimal::random_id();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= TICKETS {
            open.retain(|_, until| *until > now);
        }
        if open.len() >= TICKETS
            && let Some(oldest) = open.iter().min_by_key(|(_, until)| **until).map(|(key, _)| key.clone())
        {
            open.remove(&oldest);
        }
        open.insert(ticket.clone(), until);
        ticket
    }

    fn redeem(&self, ticket: &Value, now: Instant) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        ticket.as_str().and_then(|ticket| open.remove(ticket)).is_some_and(|until| until > now)
    }
}

impl Service {
    /// Finds out whether a call may run; waits for an operator where one has to say so.
    pub(super) async fn confirm(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        input: Option<Input>,
        events: Option<&mpsc::Sender<Event>>,
        cancel: &CancellationToken,
    ) -> Confirmed {
        let Kind::Command { plugin, index } = asked.tool.kind() else { return Confirmed::Free(input) };
        let command = &plugin.description().commands[*index];
        let config = self.current.get();
        let mode = config.confirmation(plugin.name(), &command.name, command.may_destroy());
        if mode == ConfirmMode::Off {
            return Confirmed::Free(input);
        }
        // Nobody is asked about what would be refused anyway.
        if plugin.check_arguments(*index, asked.arguments).is_err() {
            return Confirmed::Free(input);
        }
        let now = Instant::now();
        let state = input.as_ref().and_then(|input| input.state.as_ref());
        if let Some(ticket) = state.and_then(|state| state.get(CONFIRMED))
            && self.tickets.redeem(ticket, now)
        {
            return Confirmed::Yes(input.map(unwrapped));
        }
        let can_ask = mode == ConfirmMode::Elicit && peer.client.can(Question::Elicitation);
        let wanted = wanted(peer, asked);
        if !can_ask {
            return self.park(peer, asked, wanted, events, cancel).await;
        }
        let within = config.confirm.timeout;
        if peer.revision.is_stateless() {
            let is_answer =
                state.and_then(|state| state.get(KEY)).is_some_and(|ticket| self.tickets.redeem(ticket, now));
            return match input.filter(|_| is_answer) {
                Some(input) => self.heard(peer, asked, input.responses.get(KEY)),
                None => {
                    let ticket = self.tickets.issue(now + within, now);
                    Confirmed::Ask(Needed { state: Some(json!({ KEY: ticket })), ..question(&wanted) })
                }
            };
        }
        let Some(session) = &peer.session else {
            return self.park(peer, asked, wanted, events, cancel).await;
        };
        let asking = tokio::time::timeout(within, asking::ask(peer, session, question(&wanted), cancel));
        let answered = tokio::select! {
            answered = asking => answered,
            () = self.shutdown.draining() => return Confirmed::No(stopping()),
        };
        match answered {
            Ok(Ok(answers)) => self.heard(peer, asked, answers.responses.get(KEY)),
            Ok(Err(error)) => self.refused_by_user(peer, asked, &error.to_string()),
            Err(_) => self.refused_by_user(peer, asked, "nobody answered in time"),
        }
    }

    /// Only a clear yes is one.
    fn heard(&self, peer: &Peer, asked: Asked<'_>, answer: Option<&Value>) -> Confirmed {
        let is_yes =
            answer.is_some_and(|answer| answer["action"] == "accept" && answer["content"]["confirm"] == true);
        if !is_yes {
            return self.refused_by_user(peer, asked, "the answer was no");
        }
        self.ended(peer, asked, "", Approval::Confirmed, None);
        Confirmed::Yes(None)
    }

    fn refused_by_user(&self, peer: &Peer, asked: Asked<'_>, reason: &str) -> Confirmed {
        self.ended(peer, asked, "", Approval::Declined, Some(reason));
        let message = format!(
            "`{}` was not run: the client's user has to confirm it, and did not ({reason})",
            asked.tool.id()
        );
        Confirmed::No(ToolOutput::failed(ErrorCode::NotPermitted, message))
    }

    /// Waits for an operator.
    async fn park(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        wanted: Wanted,
        events: Option<&mpsc::Sender<Event>>,
        cancel: &CancellationToken,
    ) -> Confirmed {
        let config = self.current.get();
        let (within, most) = (config.confirm.timeout, config.confirm.most.get());
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let Some((parked, decided)) = self.approvals.park(number, wanted, within, most, Instant::now())
        else {
            self.ended(peer, asked, "", Approval::Refused, Some("too many calls wait already"));
            let message = format!(
                "{most} calls wait for an operator already (`confirm.max`): one has to decide on them with \
                 `smcpctl approvals list`"
            );
            return Confirmed::No(ToolOutput::failed(ErrorCode::QueueFull, message));
        };
        let id = parked.id();
        let tool = asked.tool.id();
        self.event(events::Kind::ApprovalWanted, peer)
            .text(Field::Tool, tool)
            .maybe(Field::Plugin, asked.tool.plugin_name())
            .text(Field::Call, &id)
            .write();
        // Where its client goes away while it waits, nobody else would say so.
        let mut gone = Gone { service: self, peer, asked, id: &id, is_told: false };
        let told = async {
            let voice = Voice::of(&peer.related, asked.progress, peer.client.level, tool, cancel);
            let mut tick = tokio::time::interval(NOTICE);
            for step in 0_u32.. {
                tick.tick().await;
                let message = format!("waiting for an operator: `smcpctl approvals approve {id}`");
                // Below all that a queue says.
                let progress = f64::from(step) - 1e9;
                let step = Progress { progress, total: None, message: Some(message) };
                if let Some(voice) = &voice {
                    voice.progress(&step);
                }
                if let Some(events) = events {
                    // Whoever does not read hears of the next one.
                    let _full = events.try_send(Event::Progress(step));
                }
            }
            std::future::pending::<()>().await;
        };
        let came = tokio::select! {
            // A decision that is there counts, whatever else happens.
            biased;
            decision = decided => decision.ok(),
            () = cancel.cancelled() => None,
            () = self.shutdown.draining() => None,
            () = tokio::time::sleep(within) => None,
            () = told => None,
        };
        gone.is_told = true;
        drop(gone);
        self.decided(peer, asked, (parked, came), within, cancel)
    }

    fn decided(
        &self,
        peer: &Peer,
        asked: Asked<'_>,
        (parked, came): (Parked, Option<Decision>),
        within: Duration,
        cancel: &CancellationToken,
    ) -> Confirmed {
        let (id, tool) = (parked.id(), asked.tool.id());
        let (outcome, output) = match came {
            Some(Decision::Approved { uid }) => {
                self.ended(peer, asked, &id, Approval::Approved, Some(&format!("uid {uid}")));
                return Confirmed::Yes(None);
            }
            Some(Decision::Denied { uid, reason }) => {
                let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                let message = format!("`{tool}` was not run: an operator (uid {uid}) denied it{why}");
                self.ended(peer, asked, &id, Approval::Denied, Some(&format!("uid {uid}{why}")));
                return Confirmed::No(ToolOutput::failed(ErrorCode::NotPermitted, message));
            }
            Some(Decision::Cancelled { uid }) => {
                self.ended(peer, asked, &id, Approval::Cancelled, Some(&format!("uid {uid}")));
                let message = format!("`{tool}` was cancelled by an operator (uid {uid})");
                return Confirmed::No(ToolOutput::failed(ErrorCode::Cancelled, message));
            }
            None if cancel.is_cancelled() => (
                Approval::Cancelled,
                ToolOutput::failed(ErrorCode::Cancelled, format!("`{tool}` was cancelled")),
            ),
            None if self.shutdown.is_draining() => (Approval::Cancelled, stopping()),
            None => {
                let message = format!(
                    "`{tool}` was not run: an operator has to approve it with `smcpctl approvals approve {id}`, and \
                     none did within {} s; call it again",
                    within.as_secs_f64()
                );
                (Approval::Expired, ToolOutput::failed(ErrorCode::NotPermitted, message))
            }
        };
        self.ended(peer, asked, &id, outcome, None);
        Confirmed::No(output)
    }

    fn ended(&self, peer: &Peer, asked: Asked<'_>, id: &str, outcome: Approval, reason: Option<&str>) {
        self.metrics.approval_ended(outcome);
        self.event(events::Kind::ApprovalEnded, peer)
            .text(Field::Tool, asked.tool.id())
            .maybe(Field::Plugin, asked.tool.plugin_name())
            .maybe(Field::Call, Some(id).filter(|id| !id.is_empty()))
            .text(Field::Outcome, outcome.as_str())
            .maybe(Field::Reason, reason)
            .write();
    }

    /// Has a stateless client that comes back for a call that was confirmed bring that along.
    pub(super) fn keep_confirmed(&self, output: &mut ToolOutput) {
        if let Some(needed) = &mut output.needed {
            let now = Instant::now();
            let ticket = self.tickets.issue(now + self.current.get().confirm.timeout, now);
            needed.state = Some(json!({ CONFIRMED: ticket, "state": needed.state.take() }));
        }
    }

    /// Calls that wait for an operator.
    pub(crate) fn approvals(&self) -> &super::Approvals {
        &self.approvals
    }
}

/// Says that a call was given up while it waited.
struct Gone<'a> {
    service: &'a Service,
    peer: &'a Peer,
    asked: Asked<'a>,
    id: &'a str,
    is_told: bool,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.service.ended(self.peer, self.asked, self.id, Approval::Cancelled, None);
        }
    }
}

fn stopping() -> ToolOutput {
    ToolOutput::failed(ErrorCode::Cancelled, "the daemon is stopping")
}

/// What the command itself left with the client.
fn unwrapped(input: Input) -> Input {
    let state = input.state.and_then(|mut state| Some(state.get_mut("state")?.take()));
    Input { state: state.filter(|state| !state.is_null()), ..input }
}

fn wanted(peer: &Peer, asked: Asked<'_>) -> Wanted {
    Wanted {
        tool: asked.tool.id().to_owned(),
        caller: peer.caller().to_string(),
        agent: peer.agent.as_ref().map(|agent| agent.chars().take(200).collect()),
        arguments: shown(asked.arguments, &asked.tool.secrets()),
    }
}

/// Arguments without the values of secrets, each cut where it is long.
fn shown(arguments: &Map<String, Value>, secrets: &[String]) -> String {
    let mut shown = Map::new();
    let mut bytes = 0;
    for (name, value) in arguments {
        let value = match value {
            _ if secrets.contains(name) => Value::from("***"),
            Value::String(text) if text.chars().count() > SHOWN_OF_ONE => cut(text),
            Value::Array(_) | Value::Object(_) if value.to_string().chars().count() > SHOWN_OF_ONE => {
                cut(&value.to_string())
            }
            value => value.clone(),
        };
        let name: String = name.chars().take(200).collect();
        bytes += name.len() + value.to_string().len();
        if bytes > SHOWN {
            shown.insert("...".to_owned(), format!("{} more", arguments.len() - shown.len()).into());
            break;
        }
        shown.insert(name, value);
    }
    Value::Object(shown).to_string()
}

fn cut(text: &str) -> Value {
    let start: String = text.chars().take(SHOWN_OF_ONE).collect();
    format!("{start}... ({} bytes in all)", text.len()).into()
}

/// The question to the client's user.
fn question(wanted: &Wanted) -> Needed {
    let plain = |text: &str| text.chars().flat_map(char::escape_debug).collect::<String>();
    let arguments = wanted.arguments.chars().take(4_000).collect::<String>();
    let message = format!("Run the tool {} with these arguments? {arguments}", plain(&wanted.tool));
    let params = json!({
        "message": message,
        "requestedSchema": {
            "type": "object",
            "properties": {"confirm": {"type": "boolean", "title": "Run it", "description": "Whether the tool may run now"}},
            "required": ["confirm"],
        },
    });
    let asked = catalog::Question { method: "elicitation/create".to_owned(), params };
    Needed { questions: vec![(KEY.to_owned(), asked)], state: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_for_its_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let later = now + Duration::from_secs(9);
        let ticket = Value::from(tickets.issue(later, now));
        assert!(tickets.redeem(&ticket, now) && !tickets.redeem(&ticket, now));
        let late = Value::from(tickets.issue(later, now));
        assert!(!tickets.redeem(&late, later));
        assert!(!tickets.redeem(&Value::Null, now) && !tickets.redeem(&"".into(), now));
    }

    #[test]
    fn whoever_confirms_sees_what_is_asked_and_no_secret() {
        let long = "x".repeat(SHOWN_OF_ONE + 1);
        let arguments = json!({"path": "/", "token": "hush", "text": long, "deep": {"a": [1]}});
        let shown = shown(arguments.as_object().unwrap(), &["token".to_owned()]);
        assert!(shown.contains("\"path\":\"/\"") && shown.contains("\"token\":\"***\""), "{shown}");
        assert!(shown.contains("(2001 bytes in all)") && shown.contains("\"deep\":{\"a\":[1]}"), "{shown}");
        let many: Map<String, Value> = (0..100).map(|n| (n.to_string(), Value::from(long.clone()))).collect();
        let shown = super::shown(&many, &[]);
        assert!(
            shown.len() < 2 * SHOWN && shown.contains("\"...\":\"92 more\""),
            "{}",
            &shown[shown.len() - 99..]
        );
    }
}
