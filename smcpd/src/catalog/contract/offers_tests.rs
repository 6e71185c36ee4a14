use serde_json::{Value, json};

use crate::catalog::contract::parse;

fn errors(cases: &[(Value, &str)]) {
    for (fields, expected) in cases {
        let mut contract = fields.clone();
        contract["commands"] = json!([]);
        let error = parse(&contract).unwrap().map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, format!("contract: {expected}"), "{fields}");
    }
}

#[test]
fn what_is_wrong_with_a_resource_is_said_with_its_field() {
    let one = |fields: Value| {
        let mut resource = json!({"uri": "a://1", "name": "A"});
        resource.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"resources": [resource]})
    };
    errors(&[
        (json!({"resources": {}}), "resources: must be a list"),
        (json!({"resources": ["a://1"]}), "resources[0]: must be an object"),
        (json!({"resources": [{"name": "A", "text": ""}]}), "resources[0].uri: is missing"),
        (one(json!({"uri": 1})), "resources[0].uri: must be a string"),
        (one(json!({"uri": "a"})), "resources[0].uri: must begin with a scheme, as `notes://today`"),
        (one(json!({"uri": "1:a"})), "resources[0].uri: must begin with a scheme, as `notes://today`"),
        (
            one(json!({"uri": "SMCP://a"})),
            "resources[0].uri: `smcp:` is the daemon's own: choose another scheme",
        ),
        (one(json!({"uri": "a://b c"})), "resources[0].uri: must be at most 2048 letters without a space"),
        (json!({"resources": [{"uri": "a://1", "text": ""}]}), "resources[0].name: is missing"),
        (one(json!({"name": " ", "text": ""})), "resources[0].name: must be one line of text"),
        (one(json!({})), "resources[0]: must have one of `text`, `blob`, `file`, `command`"),
        (one(json!({"text": "", "file": "a"})), "resources[0]: has `text`, `file`: must have one of them"),
        (one(json!({"text": 1})), "resources[0].text: must be a string"),
        (one(json!({"blob": "no base64"})), "resources[0].blob: must be base64"),
        (
            one(json!({"file": "/etc/passwd"})),
            "resources[0].file: must be a path below the plugin's directory, without `..`",
        ),
        (
            one(json!({"file": "a/../../b"})),
            "resources[0].file: must be a path below the plugin's directory, without `..`",
        ),
        (
            one(json!({"file": ""})),
            "resources[0].file: must be a path below the plugin's directory, without `..`",
        ),
        (one(json!({"command": []})), "resources[0].command: must hold a word"),
        (one(json!({"command": ["a", ""]})), "resources[0].command[1]: must be a word"),
        (one(json!({"command": [1]})), "resources[0].command[0]: must be a string"),
        (one(json!({"command": ""})), "resources[0].command: must be a word or a list of words"),
        (one(json!({"command": true})), "resources[0].command: must be a word or a list of words"),
        (one(json!({"text": "", "size": -1})), "resources[0].size: must be a whole number of bytes"),
        (one(json!({"text": "", "annotations": 1})), "resources[0].annotations: must be an object"),
        (
            one(json!({"text": "", "annotations": {"audience": ["me"]}})),
            "resources[0].annotations.audience[0]: must be `user` or `assistant`",
        ),
        (
            one(json!({"text": "", "annotations": {"priority": 2}})),
            "resources[0].annotations.priority: must be a number from 0 to 1",
        ),
        (one(json!({"text": "", "mimeType": 1})), "resources[0].mimeType: must be a string"),
        (
            json!({"resources": [{"uri": "a://1", "name": "A", "text": ""},
                {"uri": "a://1", "name": "B", "text": ""}]}),
            "resources[1].uri: `a://1` stands there twice",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_a_template_a_prompt_or_completion_is_said_with_its_field() {
    let template =
        |text: &str| json!({"resource_templates": [{"uriTemplate": text, "name": "A", "command": "a"}]});
    let prompt = |fields: Value| {
        let mut prompt = json!({"name": "p"});
        prompt.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"prompts": [prompt]})
    };
    let message = |message: Value| prompt(json!({"messages": [message]}));
    errors(&[
        (template("a://{b"), "resource_templates[0].uriTemplate: has a `{` without a `}`"),
        (
            template("a://b"),
            "resource_templates[0].uriTemplate: has no variable: make it one of the `resources`",
        ),
        (
            template("a://{uri}"),
            "resource_templates[0].uriTemplate: `{uri}` is taken: the whole URI is given as `--uri`",
        ),
        (
            template("{a}://b"),
            "resource_templates[0].uriTemplate: must begin with a scheme, as `notes://today`",
        ),
        (
            json!({"resource_templates": [{"uriTemplate": "a://{b}", "name": "A"}]}),
            "resource_templates[0].command: is missing",
        ),
        (json!({"prompts": [{"messages": []}]}), "prompts[0].name: is missing"),
        (prompt(json!({})), "prompts[0]: must have one of `messages`, `command`"),
        (prompt(json!({"messages": "hello"})), "prompts[0].messages: must be a list"),
        (message(json!("hello")), "prompts[0].messages[0]: must be an object"),
        (
            message(json!({"role": "system", "content": {"type": "text", "text": "a"}})),
            "prompts[0].messages[0].role: must be `user` or `assistant`",
        ),
        (
            message(json!({"role": "user", "content": "a"})),
            "prompts[0].messages[0].content: must be a content block of MCP: `text`, `image`, `audio`, \
             `resource` or `resource_link`",
        ),
        (
            prompt(json!({"command": "a", "arguments": [{"name": "--a"}]})),
            "prompts[0].arguments[0].name: `--a` must be letters, digits, `_` and `-`",
        ),
        (
            prompt(json!({"command": "a", "arguments": [{"name": "a"}, {"name": "a"}]})),
            "prompts[0].arguments[1].name: `a` stands there twice",
        ),
        (
            prompt(json!({"command": "a", "arguments": [{"name": "a", "enum": []}]})),
            "prompts[0].arguments[0].enum: must hold a value",
        ),
        (
            prompt(json!({"command": "a", "arguments": [{"name": "a", "enum": [1]}]})),
            "prompts[0].arguments[0].enum[0]: must be a string",
        ),
        (
            prompt(json!({"command": "a", "arguments": [{"name": "a", "required": 1}]})),
            "prompts[0].arguments[0].required: must be true or false",
        ),
        (json!({"completion": 1}), "completion: must be a word or a list of words"),
    ]);
}

#[test]
fn the_documents_examples_are_contracts() {
    let document = include_str!("../../../../docs/plugin-contract.md");
    let examples: Vec<Value> = document
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split_once("```").unwrap().0).unwrap())
        .collect();
    let offers: Vec<usize> = examples
        .iter()
        .map(|example| {
            let offers = parse(example).unwrap().unwrap().offers;
            offers.resources.len() + offers.templates.len() + offers.prompts.len()
        })
        .collect();
    assert_eq!(offers, [3, 2]);
}
