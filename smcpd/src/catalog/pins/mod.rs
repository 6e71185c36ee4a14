//! What was approved of each plugin, and what became of it since: pins, kept in the state directory for the daemon alone.
//!
//! A plugin is pinned when it is first seen, and again when an operator accepts it. What differs later is a [`Drift`]:
//! by policy it is told of (`warn`), what changed of the contract is withheld (`hold`), or the plugin is (`block`), and
//! then its changed files are not run, not even to ask what they offer. `pin` is the record on disk, `contract` what of
//! a plugin reaches a model, `drift` the difference, and `questions` what operators ask and decide.

mod contract;
mod drift;
mod pin;
mod questions;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub(crate) use contract::Pieces;
pub(super) use contract::{digest_of, pieces};
pub(crate) use drift::{Drift, FileChange, PieceChange};
use pin::{Body, Head};
pub(crate) use questions::{AcceptError, PinQuestion, Pinning};

use super::digest;
use super::model::Description;
use super::scan::Located;
use crate::config::PinPolicy;
use crate::hexadecimal;

/// How every reason begins for which a plugin is withheld as a whole.
const WITHHELD: &str = "it is not what was approved (`pins.policy` is \"block\")";

/// The pins of one daemon.
#[derive(Debug, Clone)]
pub(super) struct Pins {
    directory: PathBuf,
}

/// A plugin's files as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Now {
    name: String,
    directory: PathBuf,
    files: String,
    interpreter: String,
}

impl Now {
    pub(super) fn of(located: &Located, digest: &str) -> Self {
        Self {
            name: located.name.clone(),
            directory: located.directory.clone(),
            files: digest::files_part(digest).to_owned(),
            interpreter: interpreter(located),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The real path of what runs the plugin. One that lies beside the plugin also counts by its size and time, since it is
/// the plugin's to replace; the system's is the packager's.
fn interpreter(located: &Located) -> String {
    use std::os::unix::fs::MetadataExt;
    if located.prefix.is_empty() {
        // The plugin is its own program, which counts among its files.
        return String::new();
    }
    let real = located.program.canonicalize().unwrap_or_else(|_| located.program.clone());
    let shown = real.display().to_string();
    match real.starts_with(&located.directory).then(|| std::fs::metadata(&real)) {
        Some(Ok(found)) => format!("{shown} ({} bytes of {})", found.size(), found.mtime()),
        Some(Err(_)) | None => shown,
    }
}

/// How a plugin stands to its pin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What differs, in a line.
    drift: Option<String>,
    /// Keys of the pieces that are withheld.
    held: BTreeSet<String>,
}

impl Standing {
    pub(crate) fn drift(&self) -> Option<&str> {
        self.drift.as_deref()
    }

    pub(super) fn holds(&self, kind: &str, name: &str) -> bool {
        !self.held.is_empty() && self.held.contains(&contract::key(kind, name))
    }
}

/// Returns what differs where a plugin failed because it does.
pub(crate) fn withheld(reason: &str) -> Option<&str> {
    reason.strip_prefix(WITHHELD)?.strip_prefix(": ")
}

/// One plugin beside its pin, for whoever has to decide.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) pinned: Option<Pinned>,
    pub(crate) drift: Drift,
    /// Names just this: it is asked for again when it is accepted.
    pub(crate) token: String,
    /// Whether it is known what the plugin offers now.
    pub(crate) is_described: bool,
}

/// When a plugin was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pinned {
    pub(crate) time: String,
    /// `first sight`, or `accepted`.
    pub(crate) how: String,
    /// Who made the link, or accepted.
    pub(crate) uid: Option<u32>,
    /// The release that described it.
    pub(crate) release: String,
}

impl Pins {
    pub(super) fn new(state: &Path) -> Self {
        Self { directory: state.join("pins") }
    }

    /// Returns why the files are not even to be asked, before anything of them is run.
    pub(super) fn admit(&self, now: &Now, policy: PinPolicy) -> Result<(), String> {
        if policy != PinPolicy::Block {
            return Ok(());
        }
        let drift = match pin::read(&self.directory, &now.name) {
            Ok(None) => return Ok(()),
            Ok(Some((head, _))) if head.is_of(now) => return Ok(()),
            Ok(Some((head, body))) => self.compare(&head, &body.read()?, now, None),
            Err(reason) => return Err(withholding(&now.name, &reason)),
        };
        match drift.summary() {
            Some(summary) => Err(withholding(&now.name, &summary)),
            None => Ok(()),
        }
    }

    /// Holds a described plugin to its pin; makes the pin where there is none.
    pub(super) fn judge(
        &self,
        now: &Now,
        description: &Description,
        contract: &str,
        policy: PinPolicy,
        linker: impl FnOnce() -> Option<u32>,
    ) -> Result<Standing, String> {
        let drift = match pin::read(&self.directory, &now.name) {
            Ok(None) => {
                let pieces = pieces(&now.name, description);
                let made = self.write(now, (contract, pieces), "first sight", linker());
                return match (made, policy) {
                    (Ok(()), _) => Ok(Standing::default()),
                    (Err(reason), PinPolicy::Block) => Err(withholding(&now.name, &reason)),
                    (Err(reason), PinPolicy::Warn | PinPolicy::Hold) => {
                        tracing::warn!(plugin = %now.name, reason, "cannot pin a plugin");
                        Ok(Standing::default())
                    }
                };
            }
            Ok(Some((head, _))) if head.is_of(now) && head.contract == contract => {
                return Ok(Standing::default());
            }
            Ok(Some((head, body))) => match body.read() {
                Ok(body) => self.compare(&head, &body, now, Some(&pieces(&now.name, description))),
                Err(reason) => Drift::unreadable(reason, &pieces(&now.name, description)),
            },
            Err(reason) => Drift::unreadable(reason, &pieces(&now.name, description)),
        };
        let Some(summary) = drift.summary() else { return Ok(Standing::default()) };
        match policy {
            PinPolicy::Warn => Ok(Standing { drift: Some(summary), held: BTreeSet::new() }),
            PinPolicy::Hold => Ok(Standing { drift: Some(summary), held: drift.changed_keys() }),
            PinPolicy::Block => Err(withholding(&now.name, &summary)),
        }
    }

    /// Says what differs now, down to each file and piece.
    pub(super) fn comparison(&self, now: &Now, description: Option<&Description>) -> Comparison {
        let pieces = description.map(|description| pieces(&now.name, description));
        let contract = pieces.as_ref().map_or_else(|| "unknown".to_owned(), digest_of);
        let (pinned, drift) = match pin::read(&self.directory, &now.name) {
            Ok(None) => (None, Drift::default()),
            Ok(Some((head, body))) => {
                let drift = match body.read() {
                    Ok(body) => self.compare(&head, &body, now, pieces.as_ref()),
                    Err(reason) => Drift::unreadable(reason, &pieces.clone().unwrap_or_default()),
                };
                (Some(head.into_pinned()), drift)
            }
            Err(reason) => (None, Drift::unreadable(reason, &pieces.clone().unwrap_or_default())),
        };
        let mut hash = Sha256::new();
        for part in [&now.files, &now.interpreter, &contract, &now.directory.display().to_string()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let token = hexadecimal::write(&hash.finalize())[..16].to_owned();
        Comparison { pinned, drift, token, is_described: pieces.is_some() }
    }

    /// Pins what is there now; of a plugin that was not asked, the contract stays as it was approved.
    pub(super) fn accept(
        &self,
        now: &Now,
        description: Option<&Description>,
        uid: u32,
    ) -> Result<(), String> {
        let contract = match description {
            Some(description) => {
                let pieces = pieces(&now.name, description);
                (digest_of(&pieces), pieces)
            }
            None => match pin::read(&self.directory, &now.name)? {
                Some((head, body)) => (head.contract, body.read()?.contract),
                None => return Err("it was never described, so there is nothing to accept".to_owned()),
            },
        };
        self.write(now, (&contract.0, contract.1), "accepted", Some(uid))
    }

    /// Takes over another interpreter and nothing else, as after an operator made a virtual environment.
    pub(super) fn adopt_interpreter(&self, now: &Now) {
        let Ok(Some((head, body))) = pin::read(&self.directory, &now.name) else { return };
        let Ok(body) = body.read() else { return };
        let head = Head { interpreter: now.interpreter.clone(), ..head };
        if let Err(error) = pin::write(&self.directory, &now.name, &head, &body) {
            tracing::warn!(plugin = %now.name, %error, "cannot pin a plugin's interpreter");
        }
    }

    /// Forgets a plugin whose link an operator made or removed: it is pinned when it is seen next.
    pub(super) fn forget(&self, plugin: &str) {
        pin::remove(&self.directory, plugin);
    }

    fn compare(&self, head: &Head, body: &Body, now: &Now, contract: Option<&Pieces>) -> Drift {
        let mut drift = Drift::default();
        if head.directory != now.directory {
            drift.directory = Some((head.directory.clone(), now.directory.clone()));
        }
        if head.interpreter != now.interpreter {
            drift.interpreter = Some((head.interpreter.clone(), now.interpreter.clone()));
        }
        if head.files != now.files {
            drift.files = drift::files(&body.files, &digest::each(&now.directory));
        }
        if let Some(contract) = contract {
            drift.pieces = drift::pieces(&body.contract, contract);
        }
        drift
    }

    fn write(
        &self,
        now: &Now,
        (contract, pieces): (&str, Pieces),
        how: &str,
        uid: Option<u32>,
    ) -> Result<(), String> {
        let head = Head {
            version: pin::VERSION,
            directory: now.directory.clone(),
            files: now.files.clone(),
            interpreter: now.interpreter.clone(),
            contract: contract.to_owned(),
            time: crate::recent::now(),
            how: how.to_owned(),
            uid,
            release: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let body = Body { files: digest::each(&now.directory), contract: pieces };
        pin::write(&self.directory, &now.name, &head, &body)
            .map_err(|error| format!("cannot write its pin below `{}`: {error}", self.directory.display()))
    }
}

fn withholding(plugin: &str, what: &str) -> String {
    format!("{WITHHELD}: {what}; see `smcpctl pins diff {plugin}`, then `smcpctl pins accept {plugin}`")
}

#[cfg(test)]
mod tests;
