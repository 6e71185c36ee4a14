use serde_json::json;

use super::*;
use crate::catalog::contract;

/// A parser in the words of the probe.
fn parser(tree: Value) -> Parser {
    serde_json::from_value(tree).unwrap()
}

fn tree() -> Parser {
    let leaf = |actions: Value| json!({"actions": actions, "description": null});
    parser(json!({
        "actions": [
            {"dest": "help", "flags": ["-h", "--help"], "kind": "help", "nargs": 0},
            {"dest": "profile", "flags": ["--profile"], "help": "root"},
            {"dest": "verbose", "flags": ["-v", "--verbose"], "kind": "count", "nargs": 0},
            {"dest": "command", "kind": "subcommands", "nargs": "A...", "commands": [
                {"name": "send", "aliases": ["s"], "help": "Send it", "parser": leaf(json!([
                    {"dest": "profile", "flags": ["--profile"], "help": "leaf"},
                    {"dest": "cache", "flags": ["--no-cache"], "kind": "store_false", "nargs": 0, "default": true},
                    {"dest": "count", "flags": ["-n", "--count"], "type": "integer", "choices": [1, 2], "default": 1},
                    {"dest": "tags", "flags": ["--tag"], "kind": "append"},
                    {"dest": "words", "flags": ["--words"], "nargs": "+"},
                    {"dest": "pair", "flags": ["--pair"], "nargs": 2, "type": "number"},
                    {"dest": "fragile", "flags": ["--fragile", "--no-fragile"], "kind": "boolean_optional", "nargs": 0},
                    {"dest": "api_token", "flags": ["--api-token"], "default": "from the environment"},
                    {"dest": "ghost", "flags": ["--ghost"], "hidden": true},
                    {"dest": "who", "required": true},
                    {"dest": "rest", "nargs": "..."},
                ]))},
                {"name": "remote", "parser": {"actions": [
                    {"dest": "force", "flags": ["--force"], "kind": "store_true", "nargs": 0},
                    {"dest": "sub", "kind": "subcommands", "nargs": "A...", "commands": [
                        {"name": "add", "help": "Add one", "parser": leaf(json!([{"dest": "url", "required": true}]))},
                    ]},
                ]}},
            ]},
        ],
    }))
}

fn find<'a>(command: &'a Command, name: &str) -> &'a Parameter {
    command.parameters.iter().find(|parameter| parameter.name == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn a_tree_becomes_commands_with_shapes_types_and_levels() {
    let commands = commands(&tree());
    let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
    assert_eq!(names, ["send", "remote_add"]);
    let send = &commands[0];
    assert_eq!(send.description.as_deref(), Some("Send it"));
    let shape = |name: &str| {
        let parameter = find(send, name);
        (parameter.kind, parameter.items, parameter.shape.clone(), parameter.level)
    };
    let off = Shape::OnOff { off: "--no-fragile".to_owned() };
    let (one, string, number) = (Type::Boolean, Some(Type::String), Some(Type::Number));
    assert_eq!(shape("no_cache"), (one, None, Shape::SwitchOn, 1));
    assert_eq!(shape("count"), (Type::Integer, None, Shape::Option, 1));
    assert_eq!(shape("tag"), (Type::Array, string, Shape::Repeat, 1));
    assert_eq!(shape("words"), (Type::Array, string, Shape::List, 1));
    assert_eq!(shape("pair"), (Type::Array, number, Shape::List, 1));
    assert_eq!(shape("fragile"), (one, None, off, 1));
    assert_eq!(shape("who"), (Type::String, None, Shape::Positional, 1));
    assert_eq!(shape("rest"), (Type::Array, string, Shape::Remainder, 1));
    assert_eq!(shape("verbose"), (Type::Integer, None, Shape::Count, 0));
    // One that stands at both levels is the command's own.
    assert_eq!(
        (find(send, "profile").level, find(send, "profile").description.as_deref()),
        (1, Some("leaf"))
    );
    assert_eq!(find(send, "count").choices, Some(vec![json!(1), json!(2)]));
    assert_eq!(
        (find(send, "pair").least, find(send, "pair").most, find(send, "words").least),
        (Some(2), Some(2), Some(1))
    );
    // The parser's default is of the cache, not of the switch that turns it off.
    assert_eq!(find(send, "no_cache").default, Some(json!(false)));
    assert!(find(send, "who").required && !send.parameters.iter().any(|parameter| parameter.name == "ghost"));
    // A default that may be a secret is not told.
    assert_eq!(find(send, "api_token").default, None);
    let add = &commands[1];
    assert_eq!(add.path, ["remote", "add"]);
    assert_eq!((find(add, "force").level, find(add, "url").level, find(add, "profile").level), (1, 2, 0));
}

fn enriched(commands: Value) -> Description {
    let mut description = contract::parse(&json!({"commands": commands})).unwrap().unwrap();
    enrich(&mut description, &tree());
    description
}

#[test]
fn a_contract_decides_what_exists_and_the_parser_how_it_is_said() {
    let description = enriched(json!([{"name": "send", "parameters": [
        {"name": "count"},
        {"name": "cache", "type": "boolean"},
        {"name": "no-cache", "type": "boolean"},
        {"name": "fragile", "type": "string"},
        {"name": "words", "type": "array", "items": "string"},
        {"name": "tag", "type": "string"},
        {"name": "verbose", "type": "integer"},
        {"name": "unknown", "type": "boolean"},
    ]}]));
    let send = &description.commands[0];
    assert_eq!(send.parameters.len(), 8);
    let told = |name: &str| {
        let parameter = find(send, name);
        (parameter.kind, parameter.shape.clone(), parameter.flag.clone().unwrap(), parameter.level)
    };
    let flag = |flag: &str| flag.to_owned();
    assert_eq!(told("count"), (Type::Integer, Shape::Option, flag("--count"), 1));
    assert_eq!(told("cache"), (Type::Boolean, Shape::SwitchOff, flag("--no-cache"), 1));
    assert_eq!(told("no-cache"), (Type::Boolean, Shape::SwitchOn, flag("--no-cache"), 1));
    assert_eq!(told("fragile").0, Type::Boolean);
    assert_eq!(told("words"), (Type::Array, Shape::List, flag("--words"), 1));
    assert_eq!(told("tag"), (Type::Array, Shape::Repeat, flag("--tag"), 1));
    assert_eq!(told("verbose"), (Type::Integer, Shape::Count, flag("--verbose"), 0));
    assert_eq!(told("unknown"), (Type::Boolean, Shape::Option, flag("--unknown"), 1));
    assert_eq!(find(send, "count").choices, Some(vec![json!(1), json!(2)]));
}

#[test]
fn a_contracts_command_is_found_by_alias_and_by_its_nested_words() {
    let description = enriched(json!([
        {"name": "s", "parameters": [{"name": "count"}]},
        {"name": "remote-add", "parameters": [{"name": "url"}]},
        {"name": "elsewhere", "parameters": [{"name": "x"}]},
    ]));
    let paths: Vec<Vec<String>> = description.commands.iter().map(|command| command.path.clone()).collect();
    assert_eq!(paths, [vec!["s"], vec!["remote", "add"], vec!["elsewhere"]]);
    assert_eq!(description.commands[1].parameters[0].shape, Shape::Positional);
    assert_eq!(description.commands[1].parameters[0].level, 2);
}

#[test]
fn exclusive_groups_name_the_parameters_that_exist() {
    let tree = parser(json!({"actions": [{"dest": "c", "kind": "subcommands", "nargs": "A...", "commands": [
        {"name": "go", "parser": {
            "actions": [{"dest": "a", "flags": ["--a"]}, {"dest": "b", "flags": ["--b"]}, {"dest": "c", "flags": ["--c"]}],
            "exclusive": [{"required": true, "members": [0, 1]}, {"required": false, "members": [2]}, {"members": [9]}],
        }},
    ]}]}));
    let members = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(commands(&tree)[0].exclusive, [Exclusive { required: true, members }]);
    let mut described =
        contract::parse(&json!({"commands": [{"name": "go", "parameters": [{"name": "a"}]}]}))
            .unwrap()
            .unwrap();
    enrich(&mut described, &tree);
    assert!(described.commands[0].exclusive.is_empty());
}

#[test]
fn a_parser_without_subcommands_has_no_commands_and_depth_is_bounded() {
    assert!(commands(&parser(json!({"actions": [{"dest": "x", "flags": ["--x"]}]}))).is_empty());
    let mut deep = json!({"actions": []});
    for _ in 0..20 {
        deep = json!({"actions": [{"dest": "c", "kind": "subcommands", "commands": [{"name": "d", "parser": deep}]}]});
    }
    assert_eq!(commands(&parser(deep))[0].path.len(), DEEPEST);
}

#[test]
fn numbers_as_flags_and_file_prefixes_are_remembered() {
    let tree = |flag: &str, prefixes: Value| {
        parser(json!({"file_prefixes": prefixes, "actions": [
            {"dest": "x", "flags": [flag], "kind": "store_true", "nargs": 0},
            {"dest": "c", "kind": "subcommands", "commands": [{"name": "go", "parser": {"actions": [{"dest": "n"}]}}]},
        ]}))
    };
    let of = |parser: &Parser| commands(parser)[0].parameters[0].words.clone();
    assert!(of(&tree("-x", Value::Null)).negative_numbers);
    assert!(!of(&tree("-1", Value::Null)).negative_numbers);
    assert_eq!(of(&tree("-x", json!("@"))).file_prefixes, "@");
}
