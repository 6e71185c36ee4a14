//! What changes while clients are there, and how they hear of it: `list_changed` and `resources/updated`.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::jsonrpc;
use super::views::Turn;
use crate::catalog::{Catalog, Fields, List};

/// Something that clients may want to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Tools,
    Prompts,
    Resources,
    /// The resource of this URI.
    Updated(String),
}

/// What clients without sessions are told, each of what it sees.
#[derive(Debug, Clone)]
pub(super) enum News {
    Lists(Arc<Turn>),
    /// The resource of this URI.
    Updated(String),
}

/// Changes that a slow listener may have before it; then it is told that every list has changed.
pub(super) const BEHIND: usize = 64;

/// The lists that are not what they were.
pub(super) fn between(before: &Catalog, now: &Catalog) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.listed(Fields::Titled) != now.listed(Fields::Titled) {
        changes.push(Change::Tools);
    }
    let differ =
        |list| before.offered().listed(list, Fields::Titled) != now.offered().listed(list, Fields::Titled);
    if differ(List::Prompts) {
        changes.push(Change::Prompts);
    }
    if differ(List::Resources) || differ(List::Templates) {
        changes.push(Change::Resources);
    }
    changes
}

impl Change {
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Updated(_) => "notifications/resources/updated",
        }
    }

    pub(super) fn params(&self) -> Value {
        match self {
            Self::Tools | Self::Prompts | Self::Resources => json!({}),
            Self::Updated(uri) => json!({"uri": uri}),
        }
    }

    /// As clients with sessions get it.
    pub(super) fn notification(&self) -> Bytes {
        let params = self.params();
        let is_empty = params.as_object().is_some_and(serde_json::Map::is_empty);
        jsonrpc::notification(self.method(), (!is_empty).then_some(&params))
    }
}
