//! State of a command that travels through its client (2026-07-28, multi round-trip requests, "requestState"): nobody
//! else can read it, change it, keep it for long, or bring it back with another call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde_json::Value;

use crate::config::Current;

/// How long a client may take to come back: a person may have to be asked.
const LIFE: Duration = Duration::from_secs(3_600);
const KEY: usize = 32;
const NONCE: usize = 24;
/// Of the moment of expiry that stands before the state.
const STAMP: usize = 8;
/// A longer text was never sealed here.
const MOST: usize = 1 << 20;

/// Seals and opens states, with the keys of `auth.state_key_file` and one that lives as long as the daemon.
pub(super) struct Seal {
    current: Current,
    /// Seals where no other key is configured, and opens what it sealed before one was.
    own: [u8; KEY],
}

/// A state that is not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    #[error("`requestState` is not one of ours, or belongs to another call: begin again without it")]
    Foreign,
    #[error("`requestState` has expired: begin again without it")]
    Expired,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seal")
    }
}

impl Seal {
    pub(super) fn new(current: Current) -> Self {
        let mut own = [0; KEY];
        // Without randomness the daemon could not open a session either.
        getrandom::fill(&mut own).expect("the operating system gives randomness");
        Self { current, own }
    }

    /// Seals a state for whoever comes back with the same `binding`.
    pub(super) fn seal(&self, state: &Value, binding: &[u8], now: SystemTime) -> String {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the operating system gives randomness");
        let mut text = (seconds(now) + LIFE.as_secs()).to_be_bytes().to_vec();
        text.extend_from_slice(state.to_string().as_bytes());
        let payload = Payload { msg: &text, aad: binding };
        let config = self.current.get();
        let cipher = cipher(config.state_keys.all().first().unwrap_or(&self.own));
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).expect("memory is not bounded here");
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
    }

    pub(super) fn open(&self, text: &str, binding: &[u8], now: SystemTime) -> Result<Value, SealError> {
        if text.len() > MOST {
            return Err(SealError::Foreign);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Foreign)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(SealError::Foreign)?;
        let config = self.current.get();
        let mut keys = config.state_keys.all().iter().chain([&self.own]);
        let opened = keys
            .find_map(|key| {
                let payload = Payload { msg: sealed, aad: binding };
                cipher(key).decrypt(&XNonce::from(*nonce), payload).ok()
            })
            .ok_or(SealError::Foreign)?;
        let (stamp, state) = opened.split_first_chunk::<STAMP>().ok_or(SealError::Foreign)?;
        if u64::from_be_bytes(*stamp) < seconds(now) {
            return Err(SealError::Expired);
        }
        serde_json::from_slice(state).map_err(|_| SealError::Foreign)
    }
}

fn cipher(key: &[u8; KEY]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sealing() -> Seal {
        Seal::new(Current::of(&[]))
    }

    #[test]
    fn a_state_comes_back_to_its_call_in_time_and_to_no_other() {
        let seal = sealing();
        let (now, state) = (SystemTime::now(), json!({"step": 2, "name": "Alice"}));
        let sealed = seal.seal(&state, b"caller tool", now);
        assert!(!sealed.contains("Alice"));
        assert_ne!(sealed, seal.seal(&state, b"caller tool", now));
        assert_eq!(seal.open(&sealed, b"caller tool", now), Ok(state));
        assert_eq!(seal.open(&sealed, b"another", now), Err(SealError::Foreign));
        assert_eq!(sealing().open(&sealed, b"caller tool", now), Err(SealError::Foreign));
        let late = now + LIFE + Duration::from_secs(2);
        assert_eq!(seal.open(&sealed, b"caller tool", late), Err(SealError::Expired));
    }

    #[test]
    fn whatever_was_changed_is_foreign() {
        let seal = sealing();
        let now = SystemTime::now();
        let sealed = seal.seal(&json!("x"), b"", now);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(seal.open(&changed, b"", now), Err(SealError::Foreign), "{at}");
        }
        for text in ["", "x", "\u{e4}", &format!("{sealed}-TAMPERED"), &sealed[1..], &"A".repeat(2 << 20)] {
            assert_eq!(seal.open(text, b"", now), Err(SealError::Foreign));
        }
    }
}
