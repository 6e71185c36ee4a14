//! Profiles as operators see them.

use smcp_control::{ProfileInfo, Reply};

use super::Control;
use crate::auth::{Facts, Profile, Rule};

impl Control {
    pub(super) fn profiles(&self) -> Reply {
        let (config, catalog) = (self.current.get(), self.service.catalog());
        let tools: Vec<Facts<'_>> = catalog.tools().iter().map(|tool| tool.facts()).collect();
        let shown = |(name, profile): (&String, &Profile)| ProfileInfo {
            name: name.clone(),
            origin: profile.origin.clone(),
            is_default: config.profiles.default.as_ref() == Some(name),
            rules: rules(profile),
            tools: tools.iter().filter(|tool| profile.selects(tool)).map(|tool| tool.id.to_owned()).collect(),
            unused: unused(profile, &tools).map(ToString::to_string).collect(),
            keys: config
                .keys
                .created()
                .keys
                .iter()
                .filter(|key| key.profiles.contains(name))
                .map(|key| key.name.clone())
                .collect(),
        };
        Reply::Profiles { profiles: config.profiles.named.iter().map(shown).collect() }
    }
}

/// The rules that no tool fits.
pub(super) fn unused<'a>(profile: &'a Profile, tools: &[Facts<'_>]) -> impl Iterator<Item = &'a Rule> {
    profile.rules.iter().filter(|rule| !tools.iter().any(|tool| rule.fits(tool)))
}

fn rules(profile: &Profile) -> Vec<String> {
    let mut rules: Vec<String> = profile.rules.iter().map(ToString::to_string).collect();
    rules.extend(profile.except.iter().map(|rule| format!("except {rule}")));
    if profile.read_only {
        rules.push("read-only".to_owned());
    }
    if profile.harmless {
        rules.push("not destructive".to_owned());
    }
    rules
}
