//! What a catalog withholds because it is not what was approved: found by name, so that nobody is told that there is no
//! such tool.

use std::sync::Arc;

use super::{Catalog, FindError, PluginState, Tool, names, withheld};

impl Catalog {
    /// Finds a tool that is withheld while others of its plugin are not.
    pub(crate) fn find_held(&self, name: &str) -> Option<&Arc<Tool>> {
        let (held, index) = &self.held;
        held.get(index.find(name).ok()?)
    }

    /// The tools that are withheld one by one.
    pub(crate) fn held(&self) -> &[Arc<Tool>] {
        &self.held.0
    }

    /// The plugins of which nothing is served. Whoever sees a part of the tools hears of none.
    pub(crate) fn blocked(&self) -> impl Iterator<Item = &str> {
        let is_blocked = |state: &PluginState| match state {
            PluginState::Failed(reason) => withheld(reason).is_some(),
            PluginState::Pending | PluginState::Described(_) => false,
        };
        let blocked = self.plugins.iter().filter(move |(_, state)| !self.is_narrowed && is_blocked(state));
        blocked.map(|(name, _)| name.as_str())
    }

    /// The one of these plugins whose tool this name may have been.
    pub(crate) fn blocked_of(&self, name: &str) -> Option<&str> {
        self.blocked().filter(|plugin| names::is_of(name, plugin)).max_by_key(|plugin| plugin.len())
    }

    /// Why a name that names no tool may have named one until lately.
    pub(super) fn withholds(&self, name: &str) -> Option<FindError> {
        if let Some(tool) = self.find_held(name) {
            let plugin = tool.plugin_name().unwrap_or_default().to_owned();
            return Some(FindError::Held { tool: tool.id().to_owned(), plugin });
        }
        Some(FindError::Blocked { plugin: self.blocked_of(name)?.to_owned() })
    }
}
