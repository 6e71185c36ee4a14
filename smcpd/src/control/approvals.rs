//! Calls that wait for an operator, and what one says to them.

use std::time::{Duration, Instant};

use smcp_control::{Approval, RefusalCode, Reply};

use super::requests::refused;
use super::{Control, Operator};
use crate::protocol::{Decision, Waiting};

/// A reason goes to the client and into records.
const REASON: usize = 500;

impl Control {
    pub(super) fn approvals(&self) -> Reply {
        let now = Instant::now();
        let waiting = self.service.approvals().all();
        Reply::Approvals { approvals: waiting.into_iter().map(|one| shown(one, now)).collect() }
    }

    pub(super) fn decide(
        &self,
        operator: Operator,
        id: &str,
        approve: bool,
        reason: Option<String>,
    ) -> Reply {
        let uid = operator.uid;
        let reason = reason.map(|reason| reason.chars().take(REASON).collect());
        let (action, decision) = match approve {
            true => ("approvals approve", Decision::Approved { uid }),
            false => ("approvals deny", Decision::Denied { uid, reason }),
        };
        let short: String = id.chars().take(80).collect();
        let (object, reply) = match self.service.approvals().decide(id, decision) {
            Some(wanted) => (format!("{short} {} of {}", wanted.tool, wanted.caller), Reply::Done),
            None => {
                let message = format!("no call `{short}` waits for approval");
                (short, refused(RefusalCode::NotFound, message, Some("see `smcpctl approvals list`")))
            }
        };
        self.audit(operator, action, &object, &reply);
        reply
    }
}

fn shown(waiting: Waiting, now: Instant) -> Approval {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Approval {
        id: waiting.id,
        tool: waiting.wanted.tool,
        caller: waiting.wanted.caller,
        agent: waiting.wanted.agent,
        arguments: serde_json::from_str(&waiting.wanted.arguments).unwrap_or_default(),
        waits_ms: milliseconds(now.saturating_duration_since(waiting.since)),
        left_ms: milliseconds(waiting.until.saturating_duration_since(now)),
    }
}
