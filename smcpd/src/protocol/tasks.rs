//! Tasks: calls that outlive their request (extension `io.modelcontextprotocol/tasks`, SEP-2663), for the stateless
//! dialect. What a task is and how it changes; [`super::long_calls`] runs them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::client::Question;
use super::jsonrpc::RpcError;
use crate::auth::Grant;
use crate::catalog::Needed;
use crate::hexadecimal;

/// The name of the extension in capabilities.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// How long a task can be asked for, counted from its beginning.
const LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How often it is worth asking.
const POLL_MS: u64 = 1_000;
/// Tasks of all callers, and of one; the oldest that have ended make room.
const MOST: usize = 1_000;
const MOST_OF_ONE: usize = 100;

/// The tasks of all callers.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    all: Mutex<HashMap<Box<str>, Arc<Task>>>,
}

/// One call that goes on by itself.
#[derive(Debug)]
pub(super) struct Task {
    id: Box<str>,
    grant: Arc<Grant>,
    created: SystemTime,
    state: Mutex<State>,
    /// Every question was answered, or there is no use in waiting.
    answered: Notify,
    cancel: CancellationToken,
}

#[derive(Debug)]
struct State {
    updated: SystemTime,
    phase: Phase,
}

/// Where a task stands; the last three are its end.
#[derive(Debug)]
enum Phase {
    Working,
    Asking { open: Vec<(String, Value)>, responses: Map<String, Value> },
    Completed(Value),
    Failed(RpcError),
    Cancelled,
}

impl Phase {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Asking { .. } => "input_required",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::Working | Self::Asking { .. } => false,
            Self::Completed(_) | Self::Failed(_) | Self::Cancelled => true,
        }
    }
}

impl Tasks {
    /// Begins a task; `None` where there are too many.
    pub(super) fn begin(
        &self,
        grant: &Arc<Grant>,
        cancel: CancellationToken,
        now: SystemTime,
    ) -> Option<Arc<Task>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, task| !task.is_stale(now));
        make_room(&mut all, MOST, |_| true);
        make_room(&mut all, MOST_OF_ONE, |task| task.grant.caller() == grant.caller());
        let of_one = all.values().filter(|task| task.grant.caller() == grant.caller()).count();
        if all.len() >= MOST || of_one >= MOST_OF_ONE {
            return None;
        }
        let id: Box<str> = hexadecimal::random_id().into();
        let task = Arc::new(Task {
            id: id.clone(),
            grant: Arc::clone(grant),
            created: now,
            state: Mutex::new(State { updated: now, phase: Phase::Working }),
            answered: Notify::new(),
            cancel,
        });
        all.insert(id, Arc::clone(&task));
        Some(task)
    }

    /// Finds a task of this caller, with the same reach; another one's is as unknown as none.
    pub(super) fn find(&self, id: &str, grant: &Grant, now: SystemTime) -> Option<Arc<Task>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id).filter(|task| task.grant.shares_with(grant) && !task.is_stale(now)).map(Arc::clone)
    }
}

/// Forgets the oldest that have ended until there is room for one more.
fn make_room(all: &mut HashMap<Box<str>, Arc<Task>>, most: usize, counts: impl Fn(&Task) -> bool) {
    while all.values().filter(|task| counts(task)).count() >= most {
        let ended = all.values().filter(|task| counts(task) && task.lock().phase.has_ended());
        let Some(oldest) = ended.min_by_key(|task| task.created).map(|task| task.id.clone()) else { return };
        all.remove(&oldest);
    }
}

impl Task {
    fn is_stale(&self, now: SystemTime) -> bool {
        let age = now.duration_since(self.created).unwrap_or_default();
        age > LIFE && self.lock().phase.has_ended()
    }

    /// As it is told to its client; with what it came to, or what it asks, for who asks for the whole.
    pub(super) fn to_json(&self, is_whole: bool) -> Value {
        let state = self.lock();
        let mut told = json!({
            "taskId": self.id,
            "status": state.phase.as_str(),
            "createdAt": written(self.created),
            "lastUpdatedAt": written(state.updated),
            "ttlMs": u64::try_from(LIFE.as_millis()).unwrap_or(u64::MAX),
            "pollIntervalMs": POLL_MS,
        });
        match &state.phase {
            _ if !is_whole => {}
            Phase::Working | Phase::Cancelled => {}
            Phase::Asking { open, .. } => {
                let open: Map<String, Value> = open.iter().cloned().collect();
                told["inputRequests"] = open.into();
            }
            Phase::Completed(result) => told["result"] = result.clone(),
            Phase::Failed(error) => {
                told["error"] = json!({"code": error.code, "message": error.message});
                if let Some(data) = &error.data {
                    told["error"]["data"] = data.clone();
                }
            }
        }
        told
    }

    pub(super) fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Ends it, unless it has ended already; what runs for it ends too.
    pub(super) fn cancel(&self) {
        self.end(Phase::Cancelled);
        self.cancel.cancel();
    }

    pub(super) fn complete(&self, result: Value) {
        self.end(Phase::Completed(result));
    }

    pub(super) fn fail(&self, error: RpcError) {
        self.end(Phase::Failed(error));
    }

    fn end(&self, phase: Phase) {
        let mut state = self.lock();
        if !state.phase.has_ended() {
            *state = State { updated: SystemTime::now(), phase };
        }
    }

    /// Shows questions to the client and waits until it has answered all of them; `None` where it is cancelled first.
    pub(super) async fn ask(&self, needed: &Needed) -> Option<Map<String, Value>> {
        let question = |method: &str, params: &Value| json!({"method": method, "params": params});
        let open =
            needed.questions.iter().map(|(key, asked)| (key.clone(), question(&asked.method, &asked.params)));
        {
            let mut state = self.lock();
            if state.phase.has_ended() {
                return None;
            }
            let phase = Phase::Asking { open: open.collect(), responses: Map::new() };
            *state = State { updated: SystemTime::now(), phase };
        }
        loop {
            let answered = self.answered.notified();
            if let Some(responses) = self.take_responses() {
                return Some(responses);
            }
            tokio::select! {
                () = answered => {}
                () = self.cancel.cancelled() => return None,
            }
        }
    }

    /// Takes answers of the client; one to nothing that is open is passed over. The error is the key of one that is no
    /// answer to its question: none is taken then.
    pub(super) fn answer(&self, answers: Map<String, Value>) -> Result<(), String> {
        let mut state = self.lock();
        let Phase::Asking { open, responses } = &mut state.phase else { return Ok(()) };
        let fits = |question: &Value, answer: &Value| {
            let method = question["method"].as_str().unwrap_or_default();
            Question::of_method(method).is_some_and(|question| question.is_answered_by(answer))
        };
        let unfit = open
            .iter()
            .find(|(key, question)| answers.get(key).is_some_and(|answer| !fits(question, answer)));
        if let Some((key, _)) = unfit {
            return Err(key.clone());
        }
        for (key, answer) in answers {
            let before = open.len();
            open.retain(|(asked, _)| *asked != key);
            if open.len() < before {
                responses.insert(key, answer);
            }
        }
        let is_done = open.is_empty();
        state.updated = SystemTime::now();
        drop(state);
        if is_done {
            self.answered.notify_one();
        }
        Ok(())
    }

    fn take_responses(&self) -> Option<Map<String, Value>> {
        let mut state = self.lock();
        match &mut state.phase {
            Phase::Asking { open, responses } if open.is_empty() => {
                let responses = std::mem::take(responses);
                *state = State { updated: SystemTime::now(), phase: Phase::Working };
                Some(responses)
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn written(time: SystemTime) -> String {
    // Every time that a clock has can be written.
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
#[path = "tasks_tests.rs"]
mod tests;
