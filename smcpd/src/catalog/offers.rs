//! Every resource, template and prompt of a catalog by its exact name, and the lists that clients get.
//!
//! The lists hold what plugins declare, in the order of plugins and of their contracts, and last the READMEs. A name
//! that two plugins declare is the one's that was linked earlier; the other's is a [`Problem`].

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::model::offers::{About, Body, Prompt, Resource, Template};
use super::{Fields, Plugin, Problem, nearest};

pub(super) const README: &str = "README.md";

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Resources,
    Templates,
    Prompts,
}

impl List {
    /// The member of a result that has it.
    fn key(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }
}

/// What all plugins offer besides tools.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    resources: Vec<(Arc<Plugin>, Readable)>,
    templates: Vec<(Arc<Plugin>, usize)>,
    prompts: Vec<(Arc<Plugin>, usize)>,
    by_uri: HashMap<String, usize>,
    /// The JSON of each list, made once for each set of fields.
    listed: [[OnceLock<Bytes>; Fields::ALL.len()]; 3],
}

/// A resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readable {
    Declared(usize),
    Readme,
}

/// A resource that a client may read now.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) plugin: &'a Arc<Plugin>,
    pub(crate) mime_type: Option<&'a str>,
    pub(crate) from: Origin<'a>,
}

/// Where its contents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin<'a> {
    Text(&'a str),
    Blob(&'a str),
    File(&'a Path),
    /// A command, and the values of a template's variables.
    Command(&'a [String], Vec<(&'a str, String)>),
}

impl Offered {
    /// Lays out what `plugins`, in the order of their names, offer.
    pub(super) fn of(plugins: &[&Arc<Plugin>]) -> (Self, Vec<Problem>) {
        let mut elders: Vec<&Arc<Plugin>> = plugins.to_vec();
        elders.sort_by_key(|plugin| plugin.linked());
        let owners = |names: fn(&Plugin) -> Vec<&str>| {
            let mut owners: HashMap<&str, &str> = HashMap::new();
            for plugin in &elders {
                for name in names(plugin) {
                    owners.entry(name).or_insert(plugin.name());
                }
            }
            owners
        };
        let resources = owners(|plugin| {
            plugin.description().offers.resources.iter().map(|one| one.uri.as_str()).collect()
        });
        let templates = owners(|plugin| {
            plugin.description().offers.templates.iter().map(|one| one.uri.as_str()).collect()
        });
        let prompts = owners(|plugin| {
            plugin.description().offers.prompts.iter().map(|one| one.name.as_str()).collect()
        });
        let (mut offered, mut problems) = (Self::default(), Vec::new());
        for plugin in plugins {
            let offers = &plugin.description().offers;
            let mut mine = |what: &str, index: usize, name: &str, owners: &HashMap<&str, &str>| {
                let kind = what.strip_prefix("resource_").unwrap_or(what).trim_end_matches('s');
                if plugin.standing().holds(kind, name) {
                    return false;
                }
                let owner = owners[name];
                if owner != plugin.name() {
                    problems.push(clash(plugin.name(), what, index, name, owner));
                }
                owner == plugin.name()
            };
            for (index, one) in offers.resources.iter().enumerate() {
                if mine("resources", index, &one.uri, &resources) {
                    offered.add(&one.uri, plugin, Readable::Declared(index));
                }
            }
            for (index, one) in offers.templates.iter().enumerate() {
                if mine("resource_templates", index, one.uri.as_str(), &templates) {
                    offered.templates.push((Arc::clone(plugin), index));
                }
            }
            for (index, one) in offers.prompts.iter().enumerate() {
                if mine("prompts", index, &one.name, &prompts) {
                    offered.prompts.push((Arc::clone(plugin), index));
                }
            }
        }
        for plugin in plugins.iter().filter(|plugin| plugin.has_readme()) {
            offered.add(&readme_uri(plugin.name()), plugin, Readable::Readme);
        }
        (offered, problems)
    }

    /// What is left where `may_run` says of which plugins and of which of their words.
    pub(super) fn narrowed(&self, may_run: impl Fn(&Plugin, Option<&[String]>) -> bool) -> Self {
        let mut narrowed = Self::default();
        for (plugin, readable) in &self.resources {
            let (uri, words) = match readable {
                Readable::Readme => (readme_uri(plugin.name()), None),
                Readable::Declared(index) => {
                    let resource = &plugin.description().offers.resources[*index];
                    let words = match &resource.body {
                        Body::Command(words) => Some(words.as_slice()),
                        Body::Text(_) | Body::Blob(_) | Body::File(_) => None,
                    };
                    (resource.uri.clone(), words)
                }
            };
            if may_run(plugin, words) {
                narrowed.add(&uri, plugin, *readable);
            }
        }
        let is_left = |(plugin, index): &&(Arc<Plugin>, usize)| {
            may_run(plugin, Some(&plugin.description().offers.templates[*index].command))
        };
        narrowed.templates = self.templates.iter().filter(is_left).cloned().collect();
        let is_left = |(plugin, index): &&(Arc<Plugin>, usize)| {
            may_run(plugin, plugin.description().offers.prompts[*index].answer.command())
        };
        narrowed.prompts = self.prompts.iter().filter(is_left).cloned().collect();
        narrowed
    }

    fn add(&mut self, uri: &str, plugin: &Arc<Plugin>, readable: Readable) {
        self.by_uri.insert(uri.to_owned(), self.resources.len());
        self.resources.push((Arc::clone(plugin), readable));
    }

    pub(crate) fn has_resources(&self) -> bool {
        !self.resources.is_empty() || !self.templates.is_empty()
    }

    pub(crate) fn has_prompts(&self) -> bool {
        !self.prompts.is_empty()
    }

    /// Whether the value of any argument can be completed.
    pub(crate) fn has_completion(&self) -> bool {
        let asks = |plugin: &Plugin| !plugin.description().offers.completion.is_empty();
        self.templates.iter().any(|(plugin, _)| asks(plugin))
            || self.prompts().any(|(plugin, prompt)| {
                let is_told = prompt.arguments.iter().any(|argument| argument.choices.is_some());
                is_told || (asks(plugin) && !prompt.arguments.is_empty())
            })
    }

    /// Finds the resource of exactly this URI, else the first template that it is of.
    pub(crate) fn resource(&self, uri: &str) -> Option<Found<'_>> {
        if let Some(index) = self.by_uri.get(uri) {
            let (plugin, readable) = &self.resources[*index];
            return Some(match readable {
                Readable::Readme => {
                    let from = Origin::File(Path::new(README));
                    Found { plugin, mime_type: Some("text/markdown"), from }
                }
                Readable::Declared(index) => {
                    let resource = &plugin.description().offers.resources[*index];
                    let from = match &resource.body {
                        Body::Text(text) => Origin::Text(text),
                        Body::Blob(blob) => Origin::Blob(blob),
                        Body::File(file) => Origin::File(Path::new(file)),
                        Body::Command(words) => Origin::Command(words, Vec::new()),
                    };
                    Found { plugin, mime_type: resource.about.mime_type.as_deref(), from }
                }
            });
        }
        self.templates().find_map(|(plugin, template)| {
            let from = Origin::Command(&template.command, template.uri.read(uri)?);
            Some(Found { plugin, mime_type: template.about.mime_type.as_deref(), from })
        })
    }

    /// Finds a template as it is written, not one that a URI is of.
    pub(crate) fn template(&self, text: &str) -> Option<(&Arc<Plugin>, &Template)> {
        self.templates().find(|(_, template)| template.uri.as_str() == text)
    }

    /// Whether a resource has exactly this URI.
    pub(crate) fn is_resource(&self, uri: &str) -> bool {
        self.by_uri.contains_key(uri)
    }

    /// Finds a prompt by its exact name; the error says which one may have been meant.
    pub(crate) fn prompt(&self, name: &str) -> Result<(&Arc<Plugin>, &Prompt), String> {
        self.prompts().find(|(_, prompt)| prompt.name == name).ok_or_else(|| {
            let names = self.prompts().map(|(_, prompt)| prompt.name.clone());
            let near = nearest(name, names).map(|near| format!("; did you mean `{near}`?"));
            let short: String = name.chars().take(128).collect();
            format!("unknown prompt: `{short}`{}", near.unwrap_or_default())
        })
    }

    fn templates(&self) -> impl Iterator<Item = (&Arc<Plugin>, &Template)> {
        self.templates.iter().map(|(plugin, index)| (plugin, &plugin.description().offers.templates[*index]))
    }

    fn prompts(&self) -> impl Iterator<Item = (&Arc<Plugin>, &Prompt)> {
        self.prompts.iter().map(|(plugin, index)| (plugin, &plugin.description().offers.prompts[*index]))
    }

    /// Returns a list as an object with one member, with the fields that a revision has; made once.
    pub(crate) fn listed(&self, list: List, fields: Fields) -> Bytes {
        let make = || {
            let items: Vec<Value> = match list {
                List::Resources => self.resources.iter().map(|one| resource_json(one, fields)).collect(),
                List::Templates => self.templates().map(|(_, one)| template_json(one, fields)).collect(),
                List::Prompts => self.prompts().map(|(_, one)| prompt_json(one, fields)).collect(),
            };
            serde_json::to_vec(&HashMap::from([(list.key(), items)])).expect("its keys are strings").into()
        };
        self.listed[list as usize][fields as usize].get_or_init(make).clone()
    }
}

fn clash(plugin: &str, what: &str, index: usize, name: &str, owner: &str) -> Problem {
    Problem {
        tool: format!("{plugin}.{what}[{index}]"),
        message: format!("left out: `{name}` is also offered by `{owner}`, which was linked earlier"),
        left_out: true,
        is_tool: false,
    }
}

fn readme_uri(plugin: &str) -> String {
    format!("smcp://plugins/{plugin}/readme")
}

fn resource_json((plugin, readable): &(Arc<Plugin>, Readable), fields: Fields) -> Value {
    match readable {
        Readable::Readme => json!({
            "uri": readme_uri(plugin.name()),
            "name": format!("{} README", plugin.name()),
            "mimeType": "text/markdown",
        }),
        Readable::Declared(index) => {
            let Resource { uri, about, size, .. } = &plugin.description().offers.resources[*index];
            let mut object = about_json("uri", uri, about, fields);
            if let Some(size) = size {
                object["size"] = (*size).into();
            }
            object
        }
    }
}

fn template_json(template: &Template, fields: Fields) -> Value {
    about_json("uriTemplate", template.uri.as_str(), &template.about, fields)
}

fn about_json(key: &str, uri: &str, about: &About, fields: Fields) -> Value {
    let mut object = Map::from_iter([(key.to_owned(), uri.into())]);
    named(&mut object, &about.name, about.title.as_deref(), about.description.as_deref(), fields);
    if let Some(mime_type) = &about.mime_type {
        object.insert("mimeType".to_owned(), mime_type.as_str().into());
    }
    if let Some(annotations) = &about.annotations {
        object.insert("annotations".to_owned(), annotations.clone());
    }
    Value::Object(object)
}

fn prompt_json(prompt: &Prompt, fields: Fields) -> Value {
    let mut object = Map::new();
    named(&mut object, &prompt.name, prompt.title.as_deref(), prompt.description.as_deref(), fields);
    let arguments = prompt.arguments.iter().map(|argument| {
        let mut object = Map::new();
        named(
            &mut object,
            &argument.name,
            argument.title.as_deref(),
            argument.description.as_deref(),
            fields,
        );
        if argument.required {
            object.insert("required".to_owned(), true.into());
        }
        Value::Object(object)
    });
    if !prompt.arguments.is_empty() {
        object.insert("arguments".to_owned(), arguments.collect());
    }
    Value::Object(object)
}

/// Titles came with 2025-06-18.
fn named(
    object: &mut Map<String, Value>,
    name: &str,
    title: Option<&str>,
    description: Option<&str>,
    fields: Fields,
) {
    let title = title.filter(|_| fields == Fields::Titled);
    for (key, text) in [("name", Some(name)), ("title", title), ("description", description)] {
        if let Some(text) = text {
            object.insert(key.to_owned(), text.into());
        }
    }
}

#[cfg(test)]
#[path = "offers_tests.rs"]
mod tests;
