//! What a new catalog changes, in words for people.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Catalog, Fields, PluginState};

/// The difference between two catalogs, each list in the order of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Changes {
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) changed: Vec<Change>,
    /// Plugins that cannot be described, each with its reason.
    pub(crate) failed: BTreeMap<String, String>,
}

/// A tool that is in both catalogs and not the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Change {
    pub(crate) tool: String,
    /// `+name`, `-name` and `~name` of parameters; empty where only words about the tool changed.
    pub(crate) parameters: Vec<String>,
}

impl Changes {
    pub(crate) fn between(old: &Catalog, new: &Catalog) -> Self {
        let (before, after) = (described(old), described(new));
        let mut changes = Self::default();
        for (tool, description) in &after {
            match before.get(tool) {
                None => changes.added.push(tool.clone()),
                Some(known) if known == description => {}
                Some(known) => changes
                    .changed
                    .push(Change { tool: tool.clone(), parameters: parameters(known, description) }),
            }
        }
        changes.removed = before.keys().filter(|tool| !after.contains_key(*tool)).cloned().collect();
        for (plugin, state) in &new.plugins {
            if let PluginState::Failed(reason) = state {
                changes.failed.insert(plugin.clone(), reason.clone());
            }
        }
        changes
    }
}

fn described(catalog: &Catalog) -> BTreeMap<String, Value> {
    catalog.tools().iter().map(|tool| (tool.id().to_owned(), tool.to_json(Fields::Titled))).collect()
}

fn parameters(old: &Value, new: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let of =
        |tool: &'_ Value| tool["inputSchema"]["properties"].as_object().cloned().unwrap_or(empty.clone());
    let (old, new) = (of(old), of(new));
    let added = new.keys().filter(|name| !old.contains_key(*name)).map(|name| format!("+{name}"));
    let removed = old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("-{name}"));
    let changed = new
        .iter()
        .filter(|(name, schema)| old.get(*name).is_some_and(|known| known != *schema))
        .map(|(name, _)| format!("~{name}"));
    added.chain(removed).chain(changed).collect()
}
