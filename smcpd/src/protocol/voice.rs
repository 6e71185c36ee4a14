//! What a call says to its client while it runs: progress (utilities, "progress") and log messages (utilities,
//! "logging"), each only where the client asked for it, and never too many.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::jsonrpc;
use super::logging::{self, Level};
use super::related::Related;
use crate::catalog::Progress;
use crate::throttle::Throttle;

/// Messages of each kind in a second.
const MOST: u32 = 50;

/// The voice of one call.
#[derive(Debug)]
pub(super) struct Voice {
    related: Related,
    /// `progressToken` of the request, as the client wrote it.
    token: Option<Value>,
    level: Option<Level>,
    logger: String,
    /// Progress must increase.
    reached: Mutex<f64>,
    steps: Throttle,
    lines: Throttle,
    /// Nothing is said of a request that its client cancelled.
    cancel: CancellationToken,
}

impl Voice {
    /// Returns the voice of a call; `None` where nobody would hear it.
    pub(super) fn of(
        related: &Related,
        token: Option<&RawValue>,
        level: Option<Level>,
        logger: &str,
        cancel: &CancellationToken,
    ) -> Option<Self> {
        let token = token.and_then(|token| serde_json::from_str::<Value>(token.get()).ok());
        let token = token.filter(|token| token.is_string() || token.is_number());
        if !related.is_heard() || (token.is_none() && level.is_none()) {
            return None;
        }
        Some(Self {
            related: related.clone(),
            token,
            level,
            logger: logger.to_owned(),
            reached: Mutex::new(f64::NEG_INFINITY),
            steps: Throttle::new(MOST),
            lines: Throttle::new(MOST),
            cancel: cancel.clone(),
        })
    }

    /// Calls that come before are negative progress: it grows to 0 as they end, and then goes on.
    pub(super) fn wait(&self, ahead: usize) {
        let message = match ahead {
            0 => return,
            1 => "waiting: 1 call of this plugin comes before".to_owned(),
            _ => format!("waiting: {ahead} calls of this plugin come before"),
        };
        #[expect(clippy::cast_precision_loss, reason = "a queue is short")]
        let progress = -(ahead as f64);
        self.progress(&Progress { progress, total: None, message: Some(message) });
    }

    pub(super) fn progress(&self, step: &Progress) {
        let Some(token) = &self.token else { return };
        {
            let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
            let grows = step.progress > *reached;
            if !grows || self.steps.pass(Instant::now()).is_none() {
                return;
            }
            *reached = step.progress;
        }
        let mut params = json!({"progressToken": token, "progress": number(step.progress)});
        if let Some(total) = step.total {
            params["total"] = number(total);
        }
        if let Some(message) = &step.message {
            params["message"] = message.as_str().into();
        }
        self.offer(jsonrpc::notification("notifications/progress", Some(&params)));
    }

    pub(super) fn line(&self, line: &str) {
        let level = Level::of_line(line);
        if self.level.is_some_and(|least| level >= least) && self.lines.pass(Instant::now()).is_some() {
            self.offer(logging::message(level, &self.logger, line));
        }
    }

    fn offer(&self, message: Bytes) {
        if !self.cancel.is_cancelled() {
            self.related.offer(message);
        }
    }
}

/// A whole number is written as one.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    match value.fract() == 0.0 && value.abs() < 9e15 {
        true => Value::from(value as i64),
        false => Value::from(value),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn voice(token: &str, level: Option<Level>) -> (Option<Voice>, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(99);
        let token = RawValue::from_string(token.to_owned()).unwrap();
        let never = CancellationToken::new();
        (Voice::of(&Related::Stream(sender), Some(&token), level, "a.b", &never), receiver)
    }

    fn step(progress: f64, total: Option<f64>) -> Progress {
        Progress { progress, total, message: None }
    }

    #[test]
    fn progress_grows_and_carries_the_token_as_it_was_written() {
        let (voice, mut heard) = voice("\"t-1\"", None);
        let voice = voice.unwrap();
        voice.wait(2);
        voice.wait(0);
        for progress in [0.0, 0.5, 0.5, 0.25, f64::NAN, 3.0] {
            voice.progress(&step(progress, Some(10.0)));
        }
        voice.line("nobody asked for lines");
        drop(voice);
        let mut said = Vec::new();
        while let Ok(message) = heard.try_recv() {
            let message: Value = serde_json::from_slice(&message).unwrap();
            assert_eq!(message["params"]["progressToken"], "t-1");
            said.push(message["params"]["progress"].to_string());
        }
        assert_eq!(said, ["-2", "0", "0.5", "3"]);
    }

    #[test]
    fn lines_come_from_the_level_that_was_asked_for() {
        let (voice, mut heard) = voice("null", Some(Level::Warning));
        let voice = voice.unwrap();
        voice.line("INFO: no");
        voice.line("ERROR: yes");
        voice.progress(&step(1.0, None));
        let message: Value = serde_json::from_slice(&heard.try_recv().unwrap()).unwrap();
        assert_eq!(message["params"], json!({"level": "error", "logger": "a.b", "data": "ERROR: yes"}));
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn who_asked_for_nothing_or_hears_nothing_has_no_voice() {
        for token in ["null", "{}", "[1]", "true"] {
            assert!(voice(token, None).0.is_none(), "{token}");
        }
        assert!(voice("7", None).0.is_some());
        let token = RawValue::from_string("7".to_owned()).unwrap();
        let cancel = CancellationToken::new();
        assert!(Voice::of(&Related::Nowhere, Some(&token), Some(Level::Debug), "x", &cancel).is_none());
        let (sender, mut heard) = mpsc::channel(9);
        let voice =
            Voice::of(&Related::Stream(sender), Some(&token), Some(Level::Debug), "x", &cancel).unwrap();
        cancel.cancel();
        voice.line("too late");
        voice.progress(&step(1.0, None));
        assert!(heard.try_recv().is_err());
    }
}
