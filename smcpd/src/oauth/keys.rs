//! The issuer's public keys (RFC 7517), and which of them may have signed a token.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// An issuer has a few; each one is tried by no more than one token at a time.
const MOST: usize = 64;

/// One key and the algorithms that it is good for: never those of another kind of key (RFC 8725, section 3.1).
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The keys that an issuer signs with.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads `{"keys": […]}`. What cannot sign for us is passed over: an issuer has keys for other ends too.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(text).map_err(|_| "it is no JSON".to_owned())?;
        let Some(listed) = document["keys"].as_array() else {
            return Err("it is no set of keys: it has no list `keys`".to_owned());
        };
        if listed.len() > MOST {
            return Err(format!("it has {} keys, and {MOST} are the most", listed.len()));
        }
        let keys: Vec<Key> = listed.iter().filter_map(key).collect();
        match keys.is_empty() {
            true => Err("it has no key that signs by RSA, P-256, P-384 or Ed25519".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The one key that a token may be signed by. Without an id there must be but one that fits: no token is tried by many.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        let first = fitting.next()?;
        fitting.next().is_none().then_some(&first.key)
    }
}

fn key(listed: &Value) -> Option<Key> {
    let found: Jwk = serde_json::from_value(listed.clone()).ok()?;
    let common = &found.common;
    let is_for_others =
        common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
            || common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify));
    if is_for_others {
        return None;
    }
    let mut algorithms = match &found.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(given) => match given.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(given) if given.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        // A secret has no place among public keys.
        _ => return None,
    };
    if let Some(alone) = common.key_algorithm {
        algorithms.retain(|algorithm| format!("{algorithm:?}") == alone.to_string());
    }
    let key = DecodingKey::from_jwk(&found).ok()?;
    (!algorithms.is_empty()).then(|| Key { id: common.key_id.clone(), algorithms, key })
}
