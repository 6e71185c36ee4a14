//! Reads the fields of a contract, each with its address.

use serde_json::{Map, Value};

/// A field that breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("contract: {field}: {reason}")]
pub(crate) struct ContractError {
    pub(crate) field: String,
    pub(crate) reason: String,
}

/// Commands of a plugin, and parameters of a command: the largest plugins in the field have a twentieth of it.
const MOST: usize = 1_000;

pub(super) fn fail<T>(field: impl Into<String>, reason: impl Into<String>) -> Result<T, ContractError> {
    Err(ContractError { field: field.into(), reason: reason.into() })
}

/// A JSON object with its address in the contract.
pub(super) struct At<'a> {
    pub(super) field: String,
    pub(super) object: &'a Map<String, Value>,
}

impl<'a> At<'a> {
    pub(super) fn new(field: String, value: &'a Value) -> Result<Self, ContractError> {
        match value.as_object() {
            Some(object) => Ok(Self { field, object }),
            None => fail(field, "must be an object"),
        }
    }

    pub(super) fn path(&self, key: &str) -> String {
        if self.field.is_empty() { key.to_owned() } else { format!("{}.{key}", self.field) }
    }

    /// `null` means absent everywhere in a contract.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn extra(&self, known: &[&str]) -> Map<String, Value> {
        let is_other = |key: &&String| !known.contains(&key.as_str());
        self.object
            .iter()
            .filter(|(key, _)| is_other(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, ContractError> {
        let text = |(index, value): (usize, &Value)| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => fail(format!("{}[{index}]", self.path(key)), "must be a string"),
        };
        self.list(key)?.iter().enumerate().map(text).collect()
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => fail(self.path(key), "must be a string"),
        }
    }

    pub(super) fn switch(&self, key: &str) -> Result<Option<bool>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => fail(self.path(key), "must be true or false"),
        }
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], ContractError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) if items.len() <= MOST => Ok(items),
            Some(Value::Array(items)) => {
                fail(self.path(key), format!("holds {} entries: at most {MOST} are taken", items.len()))
            }
            Some(_) => fail(self.path(key), "must be a list"),
        }
    }

    pub(super) fn schema(&self, key: &str) -> Result<Option<Value>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(schema @ Value::Object(object)) => match object.get("type") {
                None => fail(self.path(key), "must say \"type\": \"object\""),
                Some(kind) if kind == "object" => Ok(Some(schema.clone())),
                Some(_) => fail(format!("{}.type", self.path(key)), "must be \"object\""),
            },
            Some(_) => fail(self.path(key), "must be an object"),
        }
    }

    pub(super) fn seconds(&self, key: &str) -> Result<Option<f64>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|seconds| (0.0..=31_536_000.0).contains(seconds)) {
                Some(seconds) => Ok(Some(seconds)),
                None => fail(self.path(key), "must be a number of seconds"),
            },
        }
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, ContractError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().and_then(|count| u32::try_from(count).ok()) {
                Some(count) if count > 0 => Ok(Some(count)),
                _ => fail(self.path(key), "must be a whole number above 0"),
            },
        }
    }
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
