use proptest::prelude::*;
use serde_json::json;

use super::super::model::Shape;
use super::*;

fn parsed(contract: Value) -> Result<Description, String> {
    parse(&contract).expect("it has commands").map_err(|error| error.to_string())
}

#[test]
fn json_without_commands_is_no_contract() {
    for value in [json!(null), json!([]), json!("x"), json!({}), json!({"plugin": {}})] {
        assert!(parse(&value).is_none(), "{value}");
    }
}

#[test]
fn a_violation_names_its_field() {
    let command = |more: Value| {
        let mut command = json!({"name": "x"});
        command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"commands": [command]})
    };
    let parameter = |more: Value| command(json!({"parameters": [{"name": "ok"}, more]}));
    let cases = [
        (json!({"commands": {}}), "contract: commands: must be a list"),
        (json!({"commands": [7]}), "contract: commands[0]: must be an object"),
        (json!({"commands": [{}]}), "contract: commands[0].name: is missing"),
        (
            json!({"commands": [{"name": "a b"}]}),
            "contract: commands[0].name: `a b` must be letters, digits, `_` and `-`",
        ),
        (json!({"commands": [{"name": 3}]}), "contract: commands[0].name: must be a string"),
        (
            json!({"commands": [{"name": "a"}, {"name": "a"}]}),
            "contract: commands[1].name: `a` stands there twice",
        ),
        (
            json!({"commands": [], "contract_version": "3.0"}),
            "contract: contract_version: `3.0` is not known here: 1.x and 2.x are",
        ),
        (
            json!({"commands": [], "contract_version": "1.x"}),
            "contract: contract_version: `1.x` is no version",
        ),
        (json!({"commands": [], "plugin": []}), "contract: plugin: must be an object"),
        (
            json!({"commands": [], "plugin": {"warm": "always"}}),
            "contract: plugin.warm: must be \"spare\", \"fork\" or \"off\"",
        ),
        (json!({"commands": [], "plugin": {"warm": true}}), "contract: plugin.warm: must be a string"),
        (json!({"commands": [], "plugin": {"preload": "os"}}), "contract: plugin.preload: must be a list"),
        (
            json!({"commands": [], "plugin": {"preload": ["a.b", "a;b"]}}),
            "contract: plugin.preload[1]: `a;b` is no module's name",
        ),
        (
            json!({"commands": [], "env": [{"name": "A=B"}]}),
            "contract: env[0].name: `A=B` is no name of a variable",
        ),
        (
            parameter(json!({"name": "a", "type": "strng"})),
            "contract: commands[0].parameters[1].type: `strng` is none of string, number, integer, boolean, array, object",
        ),
        (
            parameter(json!({"name": "ok"})),
            "contract: commands[0].parameters[1].name: `ok` stands there twice",
        ),
        (parameter(json!({"name": ""})), "contract: commands[0].parameters[1].name: `` is no name"),
        (
            parameter(json!({"name": "a", "required": "yes"})),
            "contract: commands[0].parameters[1].required: must be true or false",
        ),
        (
            parameter(json!({"name": "a", "enum": []})),
            "contract: commands[0].parameters[1].enum: must be a list with something in it",
        ),
        (
            parameter(json!({"name": "a", "items": "text"})),
            "contract: commands[0].parameters[1].items: `text` is no type",
        ),
        (
            json!({"commands": vec![json!({"name": "x"}); 1_001]}),
            "contract: commands: holds 1001 entries: at most 1000 are taken",
        ),
        (command(json!({"annotations": true})), "contract: commands[0].annotations: must be an object"),
        (command(json!({"timeout": -1})), "contract: commands[0].timeout: must be a number of seconds"),
        (
            command(json!({"concurrency": 0})),
            "contract: commands[0].concurrency: must be a whole number above 0",
        ),
        (
            command(json!({"inputSchema": {"type": "array"}})),
            "contract: commands[0].inputSchema.type: must be \"object\"",
        ),
        (
            command(json!({"tool_name": "a.b"})),
            "contract: commands[0].tool_name: `a.b` must be letters, digits, `_` and `-`",
        ),
        (command(json!({"stdin": 1})), "contract: commands[0].stdin: must be true or false"),
        (command(json!({"argv_path": "a b"})), "contract: commands[0].argv_path: must be a list"),
        (command(json!({"argv_path": ["a", 1]})), "contract: commands[0].argv_path[1]: must be a string"),
        (
            command(json!({"argv_path": ["a", "--force"]})),
            "contract: commands[0].argv_path[1]: must be a word that is no flag",
        ),
        (command(json!({"any_arguments": 1})), "contract: commands[0].any_arguments: must be true or false"),
        (
            command(json!({"exclusive_groups": [1]})),
            "contract: commands[0].exclusive_groups[0]: must be an object",
        ),
        (
            command(json!({"exclusive_groups": [{"parameters": ["ghost"]}]})),
            "contract: commands[0].exclusive_groups[0].parameters: `ghost` is no parameter of the command",
        ),
        (
            parameter(json!({"name": "a", "argv_level": 2})),
            "contract: commands[0].parameters[1].argv_level: must be a whole number up to 1",
        ),
        (
            parameter(json!({"name": "a", "argv_words": {"file_prefixes": 1}})),
            "contract: commands[0].parameters[1].argv_words: cannot be understood: invalid type: integer `1`, \
             expected a string",
        ),
    ];
    for (contract, expected) in cases {
        assert_eq!(parsed(contract).unwrap_err(), expected);
    }
}

#[test]
fn versions_unknown_fields_and_nulls_are_taken_as_the_field_writes_them() {
    for version in [
        json!("1"),
        json!("1.0"),
        json!("1.1"),
        json!("1.0.3"),
        json!("2.0"),
        json!(1),
        json!(1.1),
        json!(null),
    ] {
        assert!(parsed(json!({"commands": [], "contract_version": version})).is_ok(), "{version}");
    }
    let described = parsed(json!({
        "anything": 1,
        "plugin": {"name": "p", "version": 2, "extra": []},
        "commands": [
            {"name": "connect"},
            {"name": "go", "more": {}, "parameters": [{"name": "a", "default": null, "type": null, "unknown": 1}]},
        ],
    }))
    .unwrap();
    assert_eq!(described.version.as_deref(), Some("2"));
    assert_eq!(described.commands.len(), 1);
    assert_eq!(described.commands[0].parameters[0].default, None);
}

#[test]
fn argv_words_choose_the_shape() {
    let shape = |parameter: Value| {
        let mut described = parsed(json!({"commands": [{"name": "x", "parameters": [parameter]}]})).unwrap();
        let parameter = described.commands.remove(0).parameters.remove(0);
        (parameter.shape, parameter.flag.unwrap_or_default(), parameter.level)
    };
    let flag = |flag: &str| flag.to_owned();
    let cases = [
        (json!({"name": "a_b"}), (Shape::Option, flag("--a_b"), 1)),
        (json!({"name": "a", "type": "boolean"}), (Shape::Option, flag("--a"), 1)),
        (json!({"name": "a", "type": "boolean", "action": "store_true"}), (Shape::SwitchOn, flag("--a"), 1)),
        (json!({"name": "a", "type": "boolean", "arg_style": "flag"}), (Shape::SwitchOn, flag("--a"), 1)),
        (json!({"name": "a", "type": "boolean", "takes_value": false}), (Shape::SwitchOn, flag("--a"), 1)),
        (json!({"name": "a", "type": "boolean", "takes_value": true}), (Shape::Option, flag("--a"), 1)),
        (json!({"name": "a", "type": "array"}), (Shape::Repeat, flag("--a"), 1)),
        (json!({"name": "a", "type": "array", "nargs": "+"}), (Shape::List, flag("--a"), 1)),
        (json!({"name": "a", "flag": "-x"}), (Shape::Option, flag("-x"), 1)),
        (json!({"name": "a", "flag": null}), (Shape::Positional, flag(""), 1)),
        (json!({"name": "a", "flag": null, "type": "array"}), (Shape::Positionals, flag(""), 1)),
        (
            json!({"name": "a", "flag": null, "nargs": "...", "type": "array"}),
            (Shape::Remainder, flag(""), 1),
        ),
        (json!({"name": "a", "global": true}), (Shape::Option, flag("--a"), 0)),
        (json!({"name": "a", "action": "count", "type": "integer"}), (Shape::Count, flag("--a"), 1)),
        (
            json!({"name": "a", "action": "boolean_optional", "type": "boolean"}),
            (Shape::OnOff { off: flag("--no-a") }, flag("--a"), 1),
        ),
        (json!({"name": "a", "arg_style": "json", "type": "array"}), (Shape::Option, flag("--a"), 1)),
        (
            json!({"name": "a", "action": "append", "nargs": 2, "type": "array", "items": "array"}),
            (Shape::RepeatList, flag("--a"), 1),
        ),
        (json!({"name": "a", "argv_level": 0}), (Shape::Option, flag("--a"), 0)),
    ];
    for (parameter, expected) in cases {
        assert_eq!(shape(parameter.clone()), expected, "{parameter}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z_. -]{0,6}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "name",
        "commands",
        "parameters",
        "type",
        "plugin",
        "required",
        "default",
        "items",
        "enum",
        "flag",
        "nargs",
        "env",
        "timeout",
        "annotations",
        "inputSchema",
        "properties",
        "contract_version",
        "global",
        "x",
    ]);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// A parameter that breaks no rule.
fn any_parameter() -> impl Strategy<Value = Value> {
    let one_of = |words: Vec<Value>| prop::sample::select(words);
    let types = ["string", "integer", "number", "boolean", "array", "object"].map(Value::from);
    let actions = ["store_true", "store_false", "append", "count", "boolean_optional", "store", "other"];
    let nargs = vec![json!(null), json!("+"), json!("*"), json!("?"), json!("..."), json!(0), json!(2)];
    let items =
        vec![json!(null), json!("integer"), json!("array"), json!({"type": "string"}), json!({"enum": [1]})];
    let flags = vec![json!("unset"), json!(null), json!("-x"), json!("--other"), json!("bare")];
    (
        one_of(types.to_vec()),
        prop::option::of(one_of(actions.map(Value::from).to_vec())),
        one_of(nargs),
        one_of(items),
        one_of(flags),
        prop::option::of(one_of(vec![json!("json"), json!("list"), json!("value")])),
        (any::<bool>(), any::<bool>(), any::<bool>(), 0..3_u32),
    )
        .prop_map(|(kind, action, nargs, items, flag, style, (required, global, any, level))| {
            let mut parameter = json!({"name": "p", "type": kind, "nargs": nargs, "items": items,
                "required": required, "global": global, "any_type": any, "x-note": level, "argv_level": level});
            for (key, value) in [("action", action), ("arg_style", style)] {
                if let Some(value) = value {
                    parameter[key] = value;
                }
            }
            if flag != "unset" {
                parameter["flag"] = flag;
            }
            parameter
        })
}

proptest! {
    #[test]
    fn every_contract_is_written_as_it_was_understood(parameter in any_parameter()) {
        let contract = json!({"commands": [
            {"name": "a_b", "argv_path": ["a", "b"], "parameters": [parameter], "x-note": 1}]});
        let description = parsed(contract).unwrap();
        let written = crate::catalog::contract_writer::contract("p", &description);
        prop_assert_eq!(parsed(written).unwrap(), description);
    }

    #[test]
    fn no_json_panics(commands in any_json(), rest in any_json()) {
        let mut contract = rest.as_object().cloned().unwrap_or_default();
        contract.insert("commands".to_owned(), commands);
        let _either = parse(&Value::Object(contract));
    }
}

/// A contract with every field that means something.
fn full() -> Value {
    json!({
        "contract_version": "1.1",
        "plugin": {"name": "p", "title": "P", "version": "1", "description": "d", "timeout": 3, "concurrency": 2,
            "env": [{"name": "A", "description": "d", "required": true, "secret": false}]},
        "commands": [{
            "name": "a_b", "argv_path": ["a", "b"], "title": "A", "description": "d", "tool_name": "t",
            "annotations": {"readOnlyHint": true}, "stdin": false, "progress": true, "timeout": 1.5, "concurrency": 1,
            "parameters": [
                {"name": "x", "type": "array", "items": {"type": "integer"}, "nargs": "+", "flag": "-x",
                    "default": [1], "enum": [1, 2], "action": "append", "argv_words": {"negative_numbers": true}},
                {"name": "y", "type": "string", "x-mcp-header": "Y", "pattern": "^a", "minLength": 1},
            ],
            "exclusive_groups": [{"required": true, "parameters": ["x", "y"]}],
            "outputSchema": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"minimum": 1}}},
        }, {
            "name": "whole",
            "inputSchema": {"type": "object", "properties": {"a": {"$ref": "#a"}, "b": {"type": ["string", "null"]}},
                "allOf": [{"if": {"required": ["a"]}, "then": {"properties": {"c": {"enum": [1]}}}}],
                "$defs": {"a": {"$anchor": "a", "items": [{"type": "string"}]}}, "additionalProperties": false},
        }],
    })
}

/// Puts `with` in the place of one value of many.
fn mutated(value: &mut Value, mut at: usize, with: &Value) -> usize {
    if at == 0 {
        *value = with.clone();
        return usize::MAX;
    }
    at -= 1;
    let mut parts: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(object) => object.values_mut().collect(),
        _ => return at,
    };
    for part in &mut parts {
        at = mutated(part, at, with);
        if at == usize::MAX {
            return at;
        }
    }
    at
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn no_slip_in_a_contract_panics(slips in prop::collection::vec((1_usize..120, any_slip()), 1..4)) {
        let mut contract = full();
        for (at, with) in &slips {
            mutated(&mut contract, *at, with);
        }
        if let Some(Ok(description)) = parse(&contract) {
            let _written = crate::catalog::contract_writer::contract("p", &description);
            for command in &description.commands {
                let schema = crate::catalog::schema::of(command);
                let _headers = crate::catalog::header_parameters::header_parameters(&schema);
                let _compiled = command.output_schema.as_ref().map(crate::catalog::output_schema::OutputSchema::compile);
            }
        }
    }
}

fn any_slip() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "a",
        "object",
        "#",
        "#/",
        "#/$defs/n",
        "#/commands/0",
        "-",
        "--x",
        "\0",
        "é",
        "(",
        "https://x.invalid/",
    ];
    let numbers = [json!(-1), json!(0), json!(1e300), json!(u64::MAX), json!(0.5)];
    prop_oneof![
        any_json(),
        prop::sample::select(words.map(Value::from).to_vec()),
        prop::sample::select(numbers.to_vec()),
        prop::sample::select(vec![
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!([[]]),
            json!([{}])
        ]),
    ]
}
