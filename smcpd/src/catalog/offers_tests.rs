use std::time::{Duration, SystemTime};

use serde_json::json;

use super::*;
use crate::catalog::tests::linked_plugin;

fn prompt(name: &str) -> Value {
    json!({"name": name, "command": "ask"})
}

fn resource(uri: &str, text: &str) -> Value {
    json!({"uri": uri, "name": "R", "text": text})
}

fn offered(plugins: &[(&str, u64, Value)]) -> (Offered, Vec<Problem>) {
    let plugins: Vec<Arc<Plugin>> = plugins
        .iter()
        .map(|(name, linked, contract)| {
            let linked = SystemTime::UNIX_EPOCH + Duration::from_secs(*linked);
            let mut contract = contract.clone();
            contract["commands"] = json!([]);
            linked_plugin(name, linked, contract)
        })
        .collect();
    Offered::of(&plugins.iter().collect::<Vec<_>>())
}

fn listed(offered: &Offered, list: List, fields: Fields) -> Value {
    let listed: Value = serde_json::from_slice(&offered.listed(list, fields)).unwrap();
    listed[list.key()].clone()
}

#[test]
fn who_was_linked_earlier_keeps_a_name_and_the_list_keeps_its_order() {
    let template = json!({"uriTemplate": "t://{a}", "name": "T", "command": "t"});
    let (offered, problems) = offered(&[
        ("a", 2, json!({"prompts": [prompt("same"), prompt("x")], "resource_templates": [&template]})),
        ("b", 1, json!({"prompts": [prompt("y"), prompt("same")], "resources": [resource("r://1", "b")]})),
        (
            "c",
            1,
            json!({"resources": [resource("r://2", "c"), resource("r://1", "c")],
            "resource_templates": [&template]}),
        ),
    ]);
    let names: Vec<String> = listed(&offered, List::Prompts, Fields::Titled)
        .as_array()
        .unwrap()
        .iter()
        .map(|prompt| prompt["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["x", "y", "same"]);
    assert_eq!(offered.prompt("same").unwrap().0.name(), "b");
    assert_eq!(offered.resource("r://1").unwrap().from, Origin::Text("b"));
    let found = offered.resource("t://1").unwrap();
    assert_eq!(
        (found.plugin.name(), found.from),
        ("c", Origin::Command(&["t".to_owned()], vec![("a", "1".to_owned())]))
    );
    let problems: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.tool, problem.message)).collect();
    assert_eq!(
        problems,
        [
            "a.resource_templates[0]: left out: `t://{a}` is also offered by `c`, which was linked earlier",
            "a.prompts[0]: left out: `same` is also offered by `b`, which was linked earlier",
            "c.resources[1]: left out: `r://1` is also offered by `b`, which was linked earlier",
        ]
    );
}

#[test]
fn a_list_has_the_fields_of_its_revision() {
    let (offered, _) = offered(&[(
        "a",
        1,
        json!({
            "resources": [{"uri": "r://1", "name": "R", "title": "T", "description": "D", "mimeType": "t/p",
                "size": 3, "annotations": {"priority": 1}, "text": "abc"}],
            "prompts": [{"name": "p", "title": "T", "command": "p", "arguments": [
                {"name": "a", "title": "T", "required": true, "enum": ["x"]}, {"name": "b"}]}]}),
    )]);
    assert_eq!(
        listed(&offered, List::Resources, Fields::Titled),
        json!([{"uri": "r://1", "name": "R", "title": "T", "description": "D", "mimeType": "t/p",
            "annotations": {"priority": 1}, "size": 3}])
    );
    assert!(listed(&offered, List::Resources, Fields::Plain)[0].get("title").is_none());
    assert_eq!(
        listed(&offered, List::Prompts, Fields::Titled),
        json!([{"name": "p", "title": "T", "arguments": [{"name": "a", "title": "T", "required": true},
            {"name": "b"}]}])
    );
    assert_eq!(
        listed(&offered, List::Prompts, Fields::Annotated),
        json!([{"name": "p", "arguments": [{"name": "a", "required": true}, {"name": "b"}]}])
    );
    assert_eq!(listed(&offered, List::Templates, Fields::Titled), json!([]));
}

#[test]
fn what_there_is_not_is_not_found_and_a_near_prompt_is_named() {
    let (offered, _) = offered(&[("a", 1, json!({"prompts": [prompt("review")]}))]);
    assert_eq!(offered.prompt("reviwe").unwrap_err(), "unknown prompt: `reviwe`; did you mean `review`?");
    assert_eq!(offered.prompt("other").unwrap_err(), "unknown prompt: `other`");
    assert!(offered.resource("r://1").is_none() && !offered.has_resources() && !offered.has_completion());
}
