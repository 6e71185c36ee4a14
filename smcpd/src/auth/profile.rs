//! Profiles: named selections of tools, and whether one selects a tool.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grant::Scope;

/// A named selection of tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    /// A tool must fit one of these.
    pub(crate) rules: Vec<Rule>,
    /// And none of these.
    pub(crate) except: Vec<Rule>,
    /// And say of itself that it changes nothing.
    pub(crate) read_only: bool,
    /// And not be one that may destroy something: a tool may, unless it says otherwise.
    pub(crate) harmless: bool,
    /// Where it is defined, as people are told.
    pub(crate) origin: String,
}

/// Which names are meant; `-` and `_` are alike in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    All,
    Tool(String),
    Prefix(String),
    /// `*` is any text, `?` any letter.
    Glob(String),
}

/// What a profile looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// `plugin.command`
    pub(crate) id: &'a str,
    pub(crate) wire_name: &'a str,
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
}

impl Rule {
    /// A tool as people write it: a name, or a pattern of names.
    pub(crate) fn of_text(text: &str) -> Self {
        match text {
            "*" => Self::All,
            text if text.contains(['*', '?']) => Self::Glob(alike(text)),
            text => Self::Tool(alike(text)),
        }
    }

    pub(crate) fn of_prefix(text: &str) -> Self {
        Self::Prefix(alike(text))
    }

    /// Fits any of the spellings by which a tool can be called.
    pub(crate) fn fits(&self, tool: &Facts<'_>) -> bool {
        let fits = |name: &str| match self {
            Self::All => true,
            Self::Tool(text) => text == name,
            Self::Prefix(text) => name.starts_with(text.as_str()),
            Self::Glob(text) => glob(text.as_bytes(), name.as_bytes()),
        };
        let id = alike(tool.id);
        fits(&id)
            || fits(&id.replacen('.', "__", 1))
            || fits(&id.replacen('.', "_", 1))
            || fits(&alike(tool.wire_name))
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => formatter.write_str("*"),
            Self::Tool(text) | Self::Glob(text) => formatter.write_str(text),
            Self::Prefix(text) => write!(formatter, "{text}…"),
        }
    }
}

fn alike(name: &str) -> String {
    name.replace('-', "_")
}

/// Goes on from the last `*` where a letter does not fit: that is enough, since a `*` takes any text.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut next, mut star) = (0, 0, None);
    while next < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[next] => (at, next) = (at + 1, next + 1),
            _ => match star {
                Some((from, taken)) => {
                    star = Some((from, taken + 1));
                    (at, next) = (from + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

impl Profile {
    pub(crate) fn selects(&self, tool: &Facts<'_>) -> bool {
        self.rules.iter().any(|rule| rule.fits(tool))
            && !self.except.iter().any(|rule| rule.fits(tool))
            && (!self.read_only || tool.read_only)
            && (!self.harmless || !tool.destructive)
    }
}

/// Every profile of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Profiles {
    pub(crate) named: BTreeMap<String, Profile>,
    /// That of whoever has none of its own.
    pub(crate) default: Option<String>,
}

/// Why a profile cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("this profile is not among those of your key")]
    NotAllowed,
    #[error("no such profile: {}", .known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))]
    Unknown {
        /// Those that there are.
        known: Vec<String>,
    },
}

impl Profiles {
    /// What is left of `scope` where one profile is chosen. Whoever has some alone does not hear whether there are others.
    pub(crate) fn choose(&self, scope: &Scope, name: &str) -> Result<Scope, ProfileError> {
        match scope {
            Scope::Profiles(names) if !names.iter().any(|one| **one == *name) => {
                Err(ProfileError::NotAllowed)
            }
            Scope::Profiles(_) | Scope::Everything => match self.named.contains_key(name) {
                true => Ok(Scope::of([name])),
                false => Err(ProfileError::Unknown { known: self.named.keys().cloned().collect() }),
            },
        }
    }

    /// What is reached without a profile of one's own.
    pub(crate) fn usual(&self) -> Scope {
        self.default.as_deref().map_or(Scope::Everything, |name| Scope::of([name]))
    }

    /// Whether a tool is reached. A profile that is no more has nothing.
    pub(crate) fn reach(&self, scope: &Scope, tool: &Facts<'_>) -> bool {
        match scope {
            Scope::Everything => true,
            Scope::Profiles(names) => self.first(names, tool).is_some(),
        }
    }

    /// The first of some profiles that selects a tool.
    pub(crate) fn first<'a>(&self, names: &'a [Arc<str>], tool: &Facts<'_>) -> Option<&'a str> {
        let selects = |name: &&Arc<str>| self.named.get(&***name).is_some_and(|one| one.selects(tool));
        names.iter().find(selects).map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(id: &'a str, wire_name: &'a str) -> Facts<'a> {
        Facts { id, wire_name, read_only: false, destructive: true }
    }

    #[test]
    fn a_rule_fits_every_spelling_of_a_name() {
        let tool = facts("dev-ops.click-button", "dev-ops__click-button");
        for (text, fits) in [
            ("*", true),
            ("dev-ops.click-button", true),
            ("dev_ops.click_button", true),
            ("dev-ops__click-button", true),
            ("dev_ops_click_button", true),
            ("dev-ops.*", true),
            ("*.click-*", true),
            ("dev-ops.click-butto?", true),
            ("dev-ops.click", false),
            ("dev-ops", false),
            ("Dev-ops.*", false),
            ("dev-ops.?", false),
            ("", false),
            ("*x", false),
        ] {
            assert_eq!(Rule::of_text(text).fits(&tool), fits, "{text}");
        }
        assert!(Rule::of_prefix("dev-ops.").fits(&tool) && Rule::of_prefix("dev_ops__").fits(&tool));
        assert!(!Rule::of_prefix("ops").fits(&tool));
        assert!(Rule::of_text("mine").fits(&facts("a.b", "mine")));
    }

    proptest::proptest! {
        #[test]
        fn a_glob_fits_what_it_was_made_of(parts in proptest::collection::vec("[a-c]{0,3}", 1..5), between in "[a-c]{0,4}") {
            let (pattern, name) = (parts.join("*"), parts.join(&between));
            proptest::prop_assert!(glob(pattern.as_bytes(), name.as_bytes()), "{} {}", pattern, name);
            let longer = [name.as_str(), "z"].concat();
            proptest::prop_assert_eq!(glob(pattern.as_bytes(), longer.as_bytes()), pattern.ends_with('*'));
        }
    }

    #[test]
    fn what_a_tool_says_of_itself_narrows_a_profile_and_silence_is_the_worst() {
        let every = Profile { rules: vec![Rule::All], ..Profile::default() };
        let tool = facts("a.b", "a__b");
        assert!(every.selects(&tool));
        let read_only = Profile { read_only: true, ..every.clone() };
        assert!(!read_only.selects(&tool) && read_only.selects(&Facts { read_only: true, ..tool }));
        let harmless = Profile { harmless: true, ..every.clone() };
        assert!(!harmless.selects(&tool) && harmless.selects(&Facts { destructive: false, ..tool }));
        let but = Profile { except: vec![Rule::of_text("a.*")], ..every.clone() };
        assert!(!but.selects(&tool));
        assert!(!Profile::default().selects(&tool));
        let named = |names: &[&str]| {
            let named = names.iter().map(|name| ((*name).to_owned(), every.clone()));
            Profiles { named: named.collect(), default: None }
        };
        let (some, mine) = (named(&["a", "b"]), Scope::of(["a", "gone"]));
        assert_eq!(some.choose(&Scope::Everything, "a"), Ok(Scope::of(["a"])));
        assert_eq!(some.choose(&mine, "a"), Ok(Scope::of(["a"])));
        assert_eq!(some.choose(&mine, "b"), Err(ProfileError::NotAllowed));
        assert_eq!(some.choose(&mine, "no"), Err(ProfileError::NotAllowed));
        let known = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(some.choose(&Scope::Everything, "no"), Err(ProfileError::Unknown { known }));
        let profiles = Profiles {
            named: BTreeMap::from([("every".to_owned(), every), ("but".to_owned(), but)]),
            default: None,
        };
        assert!(
            profiles.reach(&Scope::of(["but", "every"]), &tool) && profiles.reach(&profiles.usual(), &tool)
        );
        for none in [Scope::of(["but"]), Scope::of(["gone"]), Scope::of([])] {
            assert!(!profiles.reach(&none, &tool), "{none:?}");
        }
    }
}
