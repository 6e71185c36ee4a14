//! MCP's content blocks: which ones a plugin may print itself, and what of them a revision knows.

use serde_json::{Map, Value, json};

use super::Fields;

/// Whether a block is one that MCP knows, well made throughout.
pub(super) fn is_block(block: &Value) -> bool {
    let Some(object) = block.as_object() else { return false };
    let text = |key: &str| block[key].is_string();
    let known = match block["type"].as_str() {
        Some("text") => text("text"),
        Some("image" | "audio") => is_base64(&block["data"]) && text("mimeType"),
        Some("resource_link") => {
            let is_size = object.get("size").is_none_or(Value::is_u64);
            text("uri")
                && text("name")
                && is_size
                && may_be_texts(object, &["title", "description", "mimeType"])
        }
        Some("resource") => block["resource"].as_object().is_some_and(is_resource),
        _ => false,
    };
    known && may_be(object, "_meta", Value::is_object) && may_be(object, "annotations", are_annotations)
}

fn is_resource(resource: &Map<String, Value>) -> bool {
    let is_text = |key: &str| resource.get(key).is_some_and(Value::is_string);
    let has_one = match (resource.get("text"), resource.get("blob")) {
        (Some(text), None) => text.is_string(),
        (None, Some(blob)) => is_base64(blob),
        _ => false,
    };
    is_text("uri")
        && has_one
        && may_be_texts(resource, &["mimeType"])
        && may_be(resource, "_meta", Value::is_object)
}

fn may_be(object: &Map<String, Value>, key: &str, is_right: impl Fn(&Value) -> bool) -> bool {
    object.get(key).is_none_or(is_right)
}

fn may_be_texts(object: &Map<String, Value>, keys: &[&str]) -> bool {
    keys.iter().all(|key| may_be(object, key, Value::is_string))
}

fn are_annotations(annotations: &Value) -> bool {
    let Some(object) = annotations.as_object() else { return false };
    let is_role = |role: &Value| role == "user" || role == "assistant";
    may_be(object, "audience", |all| all.as_array().is_some_and(|roles| roles.iter().all(is_role)))
        && may_be(object, "priority", |it| it.as_f64().is_some_and(|it| (0.0..=1.0).contains(&it)))
        && may_be(object, "lastModified", Value::is_string)
}

/// Base64 of RFC 4648, section 4, with its padding and nothing else.
fn is_base64(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let letters = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - letters.len() <= 2
        && letters.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Returns a block as a revision knows it: one that it does not know becomes text that says what it was.
pub(super) fn for_revision(block: Value, fields: Fields) -> Value {
    let knows = match block["type"].as_str() {
        Some("audio") => fields.has_audio(),
        Some("resource_link") => fields.has_resource_links(),
        _ => true,
    };
    if knows { block } else { json!({"type": "text", "text": in_words(&block)}) }
}

fn in_words(block: &Value) -> String {
    let text = |key: &str| block[key].as_str().unwrap_or_default();
    match block["type"].as_str() {
        Some("resource_link") => {
            let described = match text("description") {
                "" => String::new(),
                description => format!(": {description}"),
            };
            format!("[link to the resource `{}` at {}{described}]", text("name"), text("uri"))
        }
        kind => format!(
            "[{} of type {}, {} bytes, which this revision of the protocol cannot carry]",
            kind.unwrap_or("content"),
            text("mimeType"),
            text("data").trim_end_matches('=').len() * 3 / 4,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_well_made_throughout_or_none() {
        let link = json!({"type": "resource_link", "uri": "file:///x", "name": "x", "title": "X", "description": "d",
            "mimeType": "text/plain", "size": 7, "annotations": {"audience": ["user", "assistant"], "priority": 0.5,
            "lastModified": "2025-01-12T15:00:58Z"}, "_meta": {"a": 1}});
        let text = json!({"type": "text", "text": "x"});
        let image = json!({"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"});
        let resource =
            json!({"type": "resource", "resource": {"uri": "file:///x", "text": "x", "mimeType": "text/x"}});
        let blob = json!({"type": "resource", "resource": {"uri": "file:///x", "blob": "AAA="}});
        for good in [&link, &text, &image, &resource, &blob] {
            assert!(is_block(good), "{good}");
        }
        let with = |block: &Value, pointer: &str, value: Value| {
            let mut block = block.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            block.pointer_mut(parent).unwrap()[key] = value;
            block
        };
        let bad = [
            with(&text, "/annotations", json!([])),
            with(&text, "/annotations", json!({"audience": "user"})),
            with(&text, "/annotations", json!({"audience": ["robot"]})),
            with(&text, "/annotations", json!({"priority": 2})),
            with(&text, "/annotations", json!({"lastModified": 7})),
            with(&text, "/_meta", json!("x")),
            with(&image, "/data", json!("not base64!")),
            with(&image, "/data", json!("iVBORw0KGgo")),
            with(&image, "/data", json!("AA==AA==")),
            with(&image, "/data", json!("A===")),
            with(&image, "/data", json!("AA-_")),
            with(&image, "/mimeType", json!(null)),
            with(&link, "/size", json!("7")),
            with(&link, "/size", json!(-7)),
            with(&link, "/title", json!(7)),
            with(&blob, "/resource/blob", json!("%")),
            with(&blob, "/resource/text", json!("both")),
            with(&resource, "/resource/mimeType", json!(7)),
        ];
        for bad in bad {
            assert!(!is_block(&bad), "{bad}");
        }
    }

    #[test]
    fn a_revision_gets_the_blocks_that_it_knows_and_the_others_in_words() {
        let text = json!({"type": "text", "text": "x", "annotations": {"priority": 1}});
        let audio = json!({"type": "audio", "data": "AAAAAAA=", "mimeType": "audio/wav"});
        let link =
            json!({"type": "resource_link", "uri": "file:///x", "name": "x", "description": "of note"});
        let audio_text = json!({"type": "text", "text": "[audio of type audio/wav, 5 bytes, which this revision of the protocol cannot carry]"});
        let link_text = json!({"type": "text", "text": "[link to the resource `x` at file:///x: of note]"});
        let cases = [
            (Fields::Plain, [&text, &audio_text, &link_text]),
            (Fields::Annotated, [&text, &audio, &link_text]),
            (Fields::Titled, [&text, &audio, &link]),
        ];
        for (fields, expected) in cases {
            let shown = [&text, &audio, &link].map(|block| for_revision(block.clone(), fields));
            assert_eq!(shown.each_ref(), expected, "{fields:?}");
        }
    }
}
