//! What a plugin offers besides tools, as its contract says it: resources, templates of resources, prompts, and a
//! command that completes arguments.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything of one plugin; all of it is empty where there is no contract.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Offers {
    pub(crate) resources: Vec<Resource>,
    pub(crate) templates: Vec<Template>,
    pub(crate) prompts: Vec<Prompt>,
    /// The words of the command that completes; empty where there is none.
    pub(crate) completion: Vec<String>,
}

impl Offers {
    pub(crate) fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.templates.is_empty() && self.prompts.is_empty()
    }

    /// Drops what the contract says that is not known here.
    pub(super) fn forget_extra(&mut self) {
        self.resources.iter_mut().for_each(|one| one.extra = Map::new());
        self.templates.iter_mut().for_each(|one| one.extra = Map::new());
        for prompt in &mut self.prompts {
            prompt.extra = Map::new();
            prompt.arguments.iter_mut().for_each(|one| one.extra = Map::new());
        }
    }
}

/// What is said of a resource or template for people and models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) mime_type: Option<String>,
    pub(crate) annotations: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resource {
    pub(crate) uri: String,
    pub(crate) about: About,
    pub(crate) size: Option<u64>,
    pub(crate) body: Body,
    /// What the contract says of it that is not known here; so in the others.
    pub(crate) extra: Map<String, Value>,
}

/// Where a resource's contents come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    Text(String),
    /// Base64.
    Blob(String),
    /// Below the plugin's directory.
    File(String),
    /// The words of a command.
    Command(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Template {
    pub(crate) uri: UriTemplate,
    pub(crate) about: About,
    pub(crate) command: Vec<String>,
    pub(crate) extra: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prompt {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) arguments: Vec<PromptArgument>,
    pub(crate) answer: Answer,
    pub(crate) extra: Map<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PromptArgument {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) required: bool,
    /// The only values it takes.
    pub(crate) choices: Option<Vec<String>>,
    pub(crate) extra: Map<String, Value>,
}

/// Where a prompt's messages come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// With `{{name}}` where an argument goes.
    Messages(Vec<Value>),
    Command(Vec<String>),
}

impl Answer {
    /// What is run for it, if anything.
    pub(crate) fn command(&self) -> Option<&[String]> {
        match self {
            Self::Messages(_) => None,
            Self::Command(words) => Some(words),
        }
    }
}

/// A URI with variables, `{name}` each: RFC 6570, level 1, where a variable is a part of one path segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct UriTemplate {
    text: String,
    /// What stands before each variable, with the variable.
    parts: Vec<(String, String)>,
    rest: String,
}

impl UriTemplate {
    /// The error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest): (Vec<(String, String)>, &str) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                return Err("has a `{` without a `}`".to_owned());
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(format!("`{{{name}}}` is no variable: letters, digits and `_` make its name"));
            }
            if parts.iter().any(|(_, other)| other == name) {
                return Err(format!("`{{{name}}}` stands there twice"));
            }
            if before.is_empty() && !parts.is_empty() {
                return Err(format!("nothing stands between `{{{name}}}` and the variable before it"));
            }
            parts.push((before.to_owned(), name.to_owned()));
            rest = after;
        }
        if parts.iter().any(|(before, _)| before.contains('}')) || rest.contains('}') {
            return Err("has a `}` without a `{`".to_owned());
        }
        Ok(Self { text: text.to_owned(), rest: rest.to_owned(), parts })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|(_, name)| name.as_str())
    }

    /// Returns the variables' values, decoded, where `uri` is of this template.
    ///
    /// The shortest value is taken for each variable but the last. That misses nothing: what one variable gives up
    /// another would have to take, slashes included.
    pub(crate) fn read(&self, uri: &str) -> Option<Vec<(&str, String)>> {
        let mut left = uri.strip_suffix(self.rest.as_str())?;
        let mut values = Vec::new();
        for (index, (before, name)) in self.parts.iter().enumerate() {
            left = left.strip_prefix(before.as_str())?;
            let end = match self.parts.get(index + 1) {
                None => left.len(),
                Some((next, _)) => {
                    let first = left.chars().next()?.len_utf8();
                    first + left[first..].find(next.as_str())?
                }
            };
            let (value, after) = left.split_at(end);
            if value.is_empty() || value.contains(['/', '?', '#']) {
                return None;
            }
            values.push((name.as_str(), decoded(value)?));
            left = after;
        }
        left.is_empty().then_some(values)
    }
}

impl TryFrom<String> for UriTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<UriTemplate> for String {
    fn from(template: UriTemplate) -> Self {
        template.text
    }
}

/// Undoes percent-encoding; `None` for what is no text, or no word of a command line.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gives_its_variables_or_nothing() {
        let cases = [
            ("t://{id}/data", "t://123/data", Some("id=123")),
            ("t://{id}/data", "t://1%2f2%20%c3%a4/data", Some("id=1/2 ä")),
            ("t://{id}/data", "t:///data", None),
            ("t://{id}/data", "t://1/2/data", None),
            ("t://{id}/data", "t://1/data/", None),
            ("t://{id}/data", "t://%/data", None),
            ("t://{id}/data", "t://%00/data", None),
            ("t://{id}/data", "t://%ff/data", None),
            ("t://{id}/data", "u://1/data", None),
            ("t://{a}/{b}", "t://x/y", Some("a=x b=y")),
            ("t://{a}/{b}", "t://x/y/z", None),
            ("t://{a}-{b}.txt", "t://x-y-z.txt", Some("a=x b=y-z")),
            ("t://{a}-{b}", "t://--y", Some("a=- b=y")),
            ("t://{a}-{b}", "t://äö", None),
            ("t://{a}x", "t://x", None),
            ("t://fixed", "t://fixed", Some("")),
            ("t://fixed", "t://fixed2", None),
            ("ab{c}b", "ab", None),
        ];
        for (template, uri, expected) in cases {
            let values = UriTemplate::parse(template).unwrap();
            let values = values.read(uri).map(|values| {
                values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(values.as_deref(), expected, "{template} {uri}");
        }
    }

    #[test]
    fn only_plain_variables_are_taken() {
        let cases = [
            ("t://{id", "has a `{` without a `}`"),
            ("t://id}", "has a `}` without a `{`"),
            ("t://{}", "`{}` is no variable: letters, digits and `_` make its name"),
            ("t://{+path}", "`{+path}` is no variable: letters, digits and `_` make its name"),
            ("t://{a}/{a}", "`{a}` stands there twice"),
            ("t://{a}{b}", "nothing stands between `{b}` and the variable before it"),
        ];
        for (template, reason) in cases {
            assert_eq!(UriTemplate::parse(template).unwrap_err(), reason, "{template}");
        }
    }
}
