//! Reads what a contract offers besides commands (1.2): resources, templates, prompts, completion.

use std::path::{Component, Path};

use serde_json::{Value, json};

use super::at::{At, ContractError, fail, is_name};
use crate::catalog::base64::is_base64;
use crate::catalog::content::is_block;
use crate::catalog::model::offers::{
    About, Answer, Body, Offers, Prompt, PromptArgument, Resource, Template, UriTemplate,
};

pub(super) const FIELDS: [&str; 4] = ["resources", "resource_templates", "prompts", "completion"];
const RESOURCE_FIELDS: [&str; 11] = [
    "uri",
    "name",
    "title",
    "description",
    "mimeType",
    "size",
    "annotations",
    "text",
    "blob",
    "file",
    "command",
];
const TEMPLATE_FIELDS: [&str; 7] =
    ["uriTemplate", "name", "title", "description", "mimeType", "annotations", "command"];
const PROMPT_FIELDS: [&str; 6] = ["name", "title", "description", "arguments", "messages", "command"];
const ARGUMENT_FIELDS: [&str; 5] = ["name", "title", "description", "required", "enum"];

/// Letters of a URI or of a prompt's name.
const LONGEST: usize = 2_048;

pub(super) fn offers(root: &At<'_>) -> Result<Offers, ContractError> {
    let completion = match root.get("completion") {
        None => Vec::new(),
        Some(_) => words(root, "completion")?,
    };
    Ok(Offers {
        resources: each(root, "resources", resource, |one| &one.uri, "uri")?,
        templates: each(root, "resource_templates", template, |one| one.uri.as_str(), "uriTemplate")?,
        prompts: each(root, "prompts", prompt, |one| &one.name, "name")?,
        completion,
    })
}

/// Reads a list of objects, each with a key of its own.
fn each<T>(
    at: &At<'_>,
    list: &str,
    read: impl Fn(&At<'_>) -> Result<T, ContractError>,
    key: impl Fn(&T) -> &str,
    key_field: &str,
) -> Result<Vec<T>, ContractError> {
    let mut found: Vec<T> = Vec::new();
    for (index, value) in at.list(list)?.iter().enumerate() {
        let at = At::new(format!("{}[{index}]", at.path(list)), value)?;
        let one = read(&at)?;
        if found.iter().any(|other| key(other) == key(&one)) {
            return fail(at.path(key_field), format!("`{}` stands there twice", key(&one).escape_debug()));
        }
        found.push(one);
    }
    Ok(found)
}

fn resource(at: &At<'_>) -> Result<Resource, ContractError> {
    let uri = uri(at, "uri")?;
    let size = match at.get("size") {
        None => None,
        Some(size) => match size.as_u64() {
            None => return fail(at.path("size"), "must be a whole number of bytes"),
            size => size,
        },
    };
    let body = match one_of(at, &["text", "blob", "file", "command"])? {
        "text" => Body::Text(required(at, "text")?),
        "blob" => {
            let blob = required(at, "blob")?;
            if !is_base64(&blob) {
                return fail(at.path("blob"), "must be base64");
            }
            Body::Blob(blob)
        }
        "file" => Body::File(file(at)?),
        _ => Body::Command(words(at, "command")?),
    };
    Ok(Resource { uri, about: about(at)?, size, body, extra: at.extra(&RESOURCE_FIELDS) })
}

fn template(at: &At<'_>) -> Result<Template, ContractError> {
    let text = uri(at, "uriTemplate")?;
    let uri = match UriTemplate::parse(&text) {
        Ok(template) if template.variables().next().is_none() => {
            return fail(at.path("uriTemplate"), "has no variable: make it one of the `resources`");
        }
        Ok(template) => template,
        Err(reason) => return fail(at.path("uriTemplate"), reason),
    };
    if uri.variables().any(|name| name == "uri") {
        return fail(at.path("uriTemplate"), "`{uri}` is taken: the whole URI is given as `--uri`");
    }
    Ok(Template { uri, about: about(at)?, command: words(at, "command")?, extra: at.extra(&TEMPLATE_FIELDS) })
}

fn prompt(at: &At<'_>) -> Result<Prompt, ContractError> {
    let name = named(at, "name")?;
    let answer = match one_of(at, &["messages", "command"])? {
        "messages" => Answer::Messages(messages(at)?),
        _ => Answer::Command(words(at, "command")?),
    };
    Ok(Prompt {
        name,
        title: at.text("title")?,
        description: at.text("description")?,
        arguments: each(at, "arguments", argument, |one| &one.name, "name")?,
        answer,
        extra: at.extra(&PROMPT_FIELDS),
    })
}

fn argument(at: &At<'_>) -> Result<PromptArgument, ContractError> {
    let name = required(at, "name")?;
    if !is_name(&name) || name.starts_with('-') {
        let shown = name.escape_debug();
        return fail(at.path("name"), format!("`{shown}` must be letters, digits, `_` and `-`"));
    }
    let choices = match at.get("enum") {
        None => None,
        Some(_) => Some(at.texts("enum")?),
    };
    if choices.as_ref().is_some_and(Vec::is_empty) {
        return fail(at.path("enum"), "must hold a value");
    }
    Ok(PromptArgument {
        name,
        title: at.text("title")?,
        description: at.text("description")?,
        required: at.switch("required")?.unwrap_or(false),
        choices,
        extra: at.extra(&ARGUMENT_FIELDS),
    })
}

fn messages(at: &At<'_>) -> Result<Vec<Value>, ContractError> {
    let messages = at.list("messages")?;
    for (index, message) in messages.iter().enumerate() {
        if let Err((field, reason)) = is_message(message) {
            return fail(format!("{}[{index}]{field}", at.path("messages")), reason);
        }
    }
    Ok(messages.to_vec())
}

/// Judges one message of a prompt; the error is the field, with a dot before it, and the reason.
pub(in crate::catalog) fn is_message(message: &Value) -> Result<(), (&'static str, &'static str)> {
    match message {
        Value::Object(_) if !matches!(message["role"].as_str(), Some("user" | "assistant")) => {
            Err((".role", "must be `user` or `assistant`"))
        }
        Value::Object(_) if !is_block(&message["content"]) => Err((
            ".content",
            "must be a content block of MCP: `text`, `image`, `audio`, `resource` or `resource_link`",
        )),
        Value::Object(_) => Ok(()),
        _ => Err(("", "must be an object")),
    }
}

fn about(at: &At<'_>) -> Result<About, ContractError> {
    let annotations = match at.get("annotations") {
        None => None,
        Some(value) => {
            annotations(&At::new(at.path("annotations"), value)?)?;
            Some(value.clone())
        }
    };
    Ok(About {
        name: named(at, "name")?,
        title: at.text("title")?,
        description: at.text("description")?,
        mime_type: at.text("mimeType")?,
        annotations,
    })
}

/// A client that checks what it reads would drop the whole list for one wrong hint.
fn annotations(at: &At<'_>) -> Result<(), ContractError> {
    for (index, who) in at.texts("audience")?.iter().enumerate() {
        if !matches!(who.as_str(), "user" | "assistant") {
            return fail(format!("{}[{index}]", at.path("audience")), "must be `user` or `assistant`");
        }
    }
    let is_right = |value: &Value| value.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number));
    match at.get("priority") {
        Some(priority) if !is_right(priority) => fail(at.path("priority"), "must be a number from 0 to 1"),
        _ => at.text("lastModified").map(|_| ()),
    }
}

fn required(at: &At<'_>, key: &str) -> Result<String, ContractError> {
    match at.text(key)? {
        Some(text) => Ok(text),
        None => fail(at.path(key), "is missing"),
    }
}

fn named(at: &At<'_>, key: &str) -> Result<String, ContractError> {
    let name = required(at, key)?;
    match name.trim().is_empty() || name.len() > LONGEST || name.contains(char::is_control) {
        true => fail(at.path(key), "must be one line of text"),
        false => Ok(name),
    }
}

fn uri(at: &At<'_>, key: &str) -> Result<String, ContractError> {
    let uri = required(at, key)?;
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| is_scheme(scheme));
    let Some(scheme) = scheme else {
        return fail(at.path(key), "must begin with a scheme, as `notes://today`");
    };
    if scheme.eq_ignore_ascii_case("smcp") {
        return fail(at.path(key), "`smcp:` is the daemon's own: choose another scheme");
    }
    if uri.len() > LONGEST || uri.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
        return fail(at.path(key), format!("must be at most {LONGEST} letters without a space"));
    }
    Ok(uri)
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// A path that cannot lead out of the plugin's directory.
fn file(at: &At<'_>) -> Result<String, ContractError> {
    let file = required(at, "file")?;
    let mut components = Path::new(&file).components().peekable();
    let is_plain = components.peek().is_some()
        && components.all(|component| matches!(component, Component::Normal(_)))
        && !file.contains('\0');
    match is_plain {
        true => Ok(file),
        false => fail(at.path("file"), "must be a path below the plugin's directory, without `..`"),
    }
}

/// A command: one word, or a list of words.
fn words(at: &At<'_>, key: &str) -> Result<Vec<String>, ContractError> {
    let (words, is_list) = match at.get(key) {
        None => return fail(at.path(key), "is missing"),
        Some(Value::String(word)) => (vec![word.clone()], false),
        Some(Value::Array(_)) => (at.texts(key)?, true),
        Some(_) => return fail(at.path(key), "must be a word or a list of words"),
    };
    if words.is_empty() {
        return fail(at.path(key), "must hold a word");
    }
    match words.iter().position(|word| word.is_empty() || word.contains('\0')) {
        Some(index) if is_list => fail(format!("{}[{index}]", at.path(key)), "must be a word"),
        Some(_) => fail(at.path(key), "must be a word or a list of words"),
        None => Ok(words),
    }
}

/// Returns the one of `keys` that is there.
fn one_of<'k>(at: &At<'_>, keys: &[&'k str]) -> Result<&'k str, ContractError> {
    let given: Vec<&str> = keys.iter().copied().filter(|key| at.get(key).is_some()).collect();
    let listed = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    match given.as_slice() {
        [one] => Ok(one),
        [] => fail(at.field.clone(), format!("must have one of {}", listed(keys))),
        several => fail(at.field.clone(), format!("has {}: must have one of them", listed(several))),
    }
}

/// Says a command as the contract does.
pub(in crate::catalog) fn written(words: &[String]) -> Value {
    match words {
        [word] => json!(word),
        words => json!(words),
    }
}

#[cfg(test)]
#[path = "offers_tests.rs"]
mod tests;
