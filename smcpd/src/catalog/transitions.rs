//! What became of each plugin between two catalogs, in kinds of events.

use std::collections::BTreeMap;

use super::PluginState;
use crate::events::Kind;

/// Returns the plugins whose state an operator should hear of, in the order of their names, those that are gone last.
pub(super) fn transitions<'a>(
    old: &'a BTreeMap<String, PluginState>,
    new: &'a BTreeMap<String, PluginState>,
) -> Vec<(&'a str, Kind)> {
    let became = |(name, state): (&'a String, &PluginState)| {
        let before = old.get(name);
        let kind = match (before, state) {
            (Some(before), now) if before.is_same(now) => return None,
            (_, PluginState::Pending) => return None,
            (_, PluginState::Failed(_)) => Kind::PluginFailed,
            (Some(PluginState::Described(_)), PluginState::Described(_)) => Kind::PluginChanged,
            (_, PluginState::Described(_)) => Kind::PluginLinked,
        };
        Some((name.as_str(), kind))
    };
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let gone = gone.map(|name| (name.as_str(), Kind::PluginUnlinked));
    new.iter().filter_map(became).chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_is_told_of_once_for_what_it_became() {
        let states = |list: &[(&str, Option<&str>)]| -> BTreeMap<String, PluginState> {
            let state = |reason: &Option<&str>| match reason {
                None => PluginState::Pending,
                Some(reason) => PluginState::Failed((*reason).to_owned()),
            };
            list.iter().map(|(name, reason)| ((*name).to_owned(), state(reason))).collect()
        };
        let old = states(&[("gone", None), ("other", Some("x")), ("same", Some("x")), ("slow", None)]);
        let new = states(&[("fresh", None), ("other", Some("y")), ("same", Some("x")), ("slow", Some("z"))]);
        assert_eq!(
            transitions(&old, &new),
            [("other", Kind::PluginFailed), ("slow", Kind::PluginFailed), ("gone", Kind::PluginUnlinked)]
        );
        assert!(transitions(&new, &new).is_empty());
    }
}
