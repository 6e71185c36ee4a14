//! Writes what a plugin offers besides commands, as the contract has it.

use serde_json::{Value, json};

use super::Object;
use crate::catalog::contract::offers::written;
use crate::catalog::model::offers::{
    About, Answer, Body, Offers, Prompt, PromptArgument, Resource, Template,
};

pub(super) fn put(contract: &mut Object, offers: &Offers) {
    let lists: [(&str, Vec<Value>); 3] = [
        ("resources", offers.resources.iter().map(resource).collect()),
        ("resource_templates", offers.templates.iter().map(template).collect()),
        ("prompts", offers.prompts.iter().map(prompt).collect()),
    ];
    for (key, list) in lists {
        contract.put(key, (!list.is_empty()).then_some(list));
    }
    contract.put("completion", (!offers.completion.is_empty()).then(|| written(&offers.completion)));
}

fn resource(resource: &Resource) -> Value {
    let mut object = Object::default();
    object.put("uri", Some(resource.uri.as_str()));
    about(&mut object, &resource.about);
    object.put("size", resource.size);
    match &resource.body {
        Body::Text(text) => object.put("text", Some(text.as_str())),
        Body::Blob(blob) => object.put("blob", Some(blob.as_str())),
        Body::File(file) => object.put("file", Some(file.as_str())),
        Body::Command(words) => object.put("command", Some(written(words))),
    }
    object.0.extend(resource.extra.clone());
    Value::Object(object.0)
}

fn template(template: &Template) -> Value {
    let mut object = Object::default();
    object.put("uriTemplate", Some(template.uri.as_str()));
    about(&mut object, &template.about);
    object.put("command", Some(written(&template.command)));
    object.0.extend(template.extra.clone());
    Value::Object(object.0)
}

fn about(object: &mut Object, about: &About) {
    object.put("name", Some(about.name.as_str()));
    object.put("title", about.title.as_deref());
    object.put("description", about.description.as_deref());
    object.put("mimeType", about.mime_type.as_deref());
    object.put("annotations", about.annotations.clone());
}

fn prompt(prompt: &Prompt) -> Value {
    let mut object = Object::default();
    object.put("name", Some(prompt.name.as_str()));
    object.put("title", prompt.title.as_deref());
    object.put("description", prompt.description.as_deref());
    let arguments: Vec<Value> = prompt.arguments.iter().map(argument).collect();
    object.put("arguments", (!arguments.is_empty()).then_some(arguments));
    match &prompt.answer {
        Answer::Messages(messages) => object.put("messages", Some(json!(messages))),
        Answer::Command(words) => object.put("command", Some(written(words))),
    }
    object.0.extend(prompt.extra.clone());
    Value::Object(object.0)
}

fn argument(argument: &PromptArgument) -> Value {
    let mut object = Object::default();
    object.put("name", Some(argument.name.as_str()));
    object.put("title", argument.title.as_deref());
    object.put("description", argument.description.as_deref());
    object.mark("required", argument.required);
    object.put("enum", argument.choices.clone());
    object.0.extend(argument.extra.clone());
    Value::Object(object.0)
}
