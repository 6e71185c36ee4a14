//! Pins, as operators see and accept them.

use smcp_control::{ContractDrift, FileDrift, Pin, Pinned, RefusalCode, Reply};

use super::requests::refused;
use super::{Control, Operator};
use crate::catalog::{AcceptError, Drift, FileChange, PieceChange, Pinning, RescanError};
use crate::config::PinPolicy;

impl Control {
    pub(super) async fn pins(&self, plugin: Option<String>) -> Reply {
        let asked = plugin.clone();
        match self.rescans.pins(plugin).await {
            Ok(found) if found.is_empty() && asked.is_some() => {
                let name: String = asked.unwrap_or_default().chars().take(80).collect();
                let message = format!("no plugin is called `{name}`");
                refused(RefusalCode::NotFound, message, Some("see `smcpctl pins list`"))
            }
            Ok(found) => Reply::Pins { pins: found.iter().map(shown).collect() },
            Err(error) => rescan_failed(&error),
        }
    }

    /// Whoever accepts stands behind it: that is what the record is for.
    pub(super) async fn accept_pin(&self, operator: Operator, plugin: &str, token: &str) -> Reply {
        let reply = match self.rescans.accept_pin(plugin, token, operator.uid).await {
            Ok(Ok(())) => Reply::Done,
            Ok(Err(error)) => {
                let (code, hint) = match &error {
                    AcceptError::Unknown(_) => (RefusalCode::NotFound, "see `smcpctl pins list`".to_owned()),
                    AcceptError::Moved(plugin) => {
                        (RefusalCode::Busy, format!("look again: `smcpctl pins diff {plugin}`"))
                    }
                    AcceptError::Failed { .. } => {
                        (RefusalCode::Failed, format!("see `smcpctl plugin show {plugin}`"))
                    }
                };
                refused(code, error.to_string(), Some(&hint))
            }
            Err(error) => rescan_failed(&error),
        };
        self.audit(operator, "pins accept", &format!("{plugin} {token}"), &reply);
        reply
    }
}

fn rescan_failed(error: &RescanError) -> Reply {
    let code = match error {
        RescanError::Busy => RefusalCode::Busy,
        RescanError::Unreadable { .. } | RescanError::Stopping => RefusalCode::Failed,
    };
    refused(code, error.to_string(), None)
}

fn shown(pinning: &Pinning) -> Pin {
    let mut pin = Pin {
        plugin: pinning.plugin.clone(),
        policy: pinning.policy.as_str().to_owned(),
        state: "unreadable".to_owned(),
        token: None,
        pinned: None,
        summary: None,
        described: false,
        directory: None,
        interpreter: None,
        files: Vec::new(),
        contract: Vec::new(),
    };
    let found = match &pinning.found {
        Ok(found) => found,
        Err(reason) => {
            pin.summary = Some(reason.clone());
            return pin;
        }
    };
    let Drift { unreadable: _, directory, interpreter, files, pieces } = &found.drift;
    pin.summary = found.drift.summary();
    pin.token = Some(found.token.clone());
    pin.described = found.is_described;
    pin.directory =
        directory.as_ref().map(|(from, to)| (from.display().to_string(), to.display().to_string()));
    pin.interpreter = interpreter.clone();
    pin.files = files.iter().map(file).collect();
    pin.contract = pieces.iter().map(piece).collect();
    pin.pinned = found.pinned.as_ref().map(|pinned| Pinned {
        time: pinned.time.clone(),
        how: pinned.how.clone(),
        uid: pinned.uid,
        release: pinned.release.clone(),
    });
    let holds = pin.contract.iter().any(|piece| piece.after.is_some());
    pin.state = match (&pin.summary, pinning.policy) {
        (None, _) if pin.pinned.is_none() => "unpinned",
        (None, _) => "same",
        (Some(_), PinPolicy::Block) => "blocked",
        (Some(_), PinPolicy::Hold) if holds => "held",
        (Some(_), PinPolicy::Hold | PinPolicy::Warn) => "drifted",
    }
    .to_owned();
    pin
}

fn file(change: &FileChange) -> FileDrift {
    let is_link = change.path.ends_with('@');
    let (what, mode, target) = match (&change.before, &change.after) {
        (None, _) => ("added", None, None),
        (_, None) => ("removed", None, None),
        (Some(before), Some(after)) if before.digest == after.digest => {
            ("mode", Some((format!("{:04o}", before.mode), format!("{:04o}", after.mode))), None)
        }
        (Some(before), Some(after)) => {
            ("changed", None, is_link.then(|| (before.digest.clone(), after.digest.clone())))
        }
    };
    FileDrift { path: change.path.clone(), change: what.to_owned(), mode, target }
}

fn piece(change: &PieceChange) -> ContractDrift {
    ContractDrift {
        kind: change.kind.clone(),
        name: change.name.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
    }
}
