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

/// A parser with one command `go` of these actions and groups.
fn go(actions: Value, exclusive: Value) -> Parser {
    let leaf = json!({"actions": actions, "exclusive": exclusive});
    parser(json!({"actions": [
        {"dest": "quiet", "flags": ["-q", "--quiet"], "kind": "store_true", "nargs": 0, "required": true},
        {"dest": "c", "kind": "subcommands", "nargs": "A...", "commands": [{"name": "go", "parser": leaf}]},
    ]}))
}

#[test]
fn every_kind_of_action_has_its_type_and_shape() {
    let off = Shape::OnOff { off: "--no-x".to_owned() };
    let (string, integer, lists) = (Some(Type::String), Some(Type::Integer), Some(Type::Array));
    let cases = [
        (json!({"flags": ["--x"]}), Type::String, None, Shape::Option),
        (json!({"flags": ["--x"], "type": "number"}), Type::Number, None, Shape::Option),
        (json!({"flags": ["--x"], "nargs": "*"}), Type::Array, string, Shape::List),
        (json!({"flags": ["--x"], "nargs": "..."}), Type::Array, string, Shape::Remainder),
        (json!({"flags": ["--x"], "kind": "store_const", "nargs": 0}), Type::Boolean, None, Shape::SwitchOn),
        (json!({"flags": ["--x"], "kind": "store_false", "nargs": 0}), Type::Boolean, None, Shape::SwitchOn),
        (json!({"flags": ["--x"], "kind": "custom", "nargs": 0}), Type::Boolean, None, Shape::SwitchOn),
        (json!({"flags": ["--x", "--no-x"], "kind": "boolean_optional"}), Type::Boolean, None, off),
        (json!({"flags": ["-x"], "kind": "count", "nargs": 0}), Type::Integer, None, Shape::Count),
        (json!({"flags": ["--x"], "kind": "append", "type": "integer"}), Type::Array, integer, Shape::Repeat),
        (json!({"flags": ["--x"], "kind": "append", "nargs": 2}), Type::Array, lists, Shape::RepeatList),
        (json!({"flags": ["--x"], "kind": "extend", "nargs": "+"}), Type::Array, string, Shape::List),
        (json!({"nargs": "?"}), Type::String, None, Shape::Positional),
        (json!({"nargs": "*", "type": "integer"}), Type::Array, integer, Shape::Positionals),
    ];
    for (action, kind, items, shape) in cases {
        let found = parameter(&serde_json::from_value(action.clone()).unwrap(), 1);
        assert_eq!((found.kind, found.items, found.shape), (kind, items, shape), "{action}");
    }
}

#[test]
fn a_parameter_is_named_by_its_flag_and_told_what_a_caller_can_use() {
    let actions = json!([
        {"dest": "target", "flags": ["-t", "--send-to", "--to"], "help": "", "default": []},
        {"dest": "short", "flags": ["-s", "-short"], "choices": [true], "default": "x"},
        {"dest": "on", "flags": ["--on"], "kind": "store_true", "nargs": 0, "default": false},
        {"dest": "v", "flags": ["--version"], "required": true},
        {"dest": "version", "flags": ["-V"], "kind": "version", "nargs": 0},
        {"dest": "pairs", "flags": ["--pairs"], "kind": "append", "nargs": 2, "type": "integer"},
    ]);
    let command = &commands(&go(actions, json!([])))[0];
    let names: Vec<&str> = command.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["send_to", "s", "on", "version", "pairs", "quiet"]);
    let to = find(command, "send_to");
    assert_eq!((to.flag.as_deref(), &to.description, &to.default), (Some("--send-to"), &None, &None));
    assert_eq!((find(command, "s").flag.as_deref(), &find(command, "s").choices), (Some("-s"), &None));
    assert!(find(command, "version").required && find(command, "on").default == Some(json!(false)));
    assert_eq!(find(command, "pairs").keywords["items"]["items"], json!({"type": "integer"}));
}

fn declared(tree: &Parser, parameters: Value) -> Command {
    let contract = json!({"commands": [{"name": "go", "parameters": parameters}]});
    let mut description = contract::parse(&contract).unwrap().unwrap();
    enrich(&mut description, tree);
    description.commands.remove(0)
}

#[test]
fn the_parser_wins_only_over_a_plain_string() {
    let tree = go(
        json!([
            {"dest": "x", "flags": ["--x"], "choices": ["a"], "required": true, "help": "theirs", "default": "d"},
            {"dest": "n", "flags": ["--n"], "type": "integer"},
            {"dest": "many", "flags": ["--many"], "nargs": "+", "type": "integer"},
            {"dest": "secret_door", "flags": ["--secret-door"], "hidden": true},
        ]),
        json!([]),
    );
    let cases = [
        (json!({"name": "x"}), Type::String, Shape::Option),
        (json!({"name": "x", "type": "object"}), Type::Object, Shape::Option),
        (json!({"name": "x", "type": "array"}), Type::Array, Shape::Option),
        (json!({"name": "x", "type": "boolean"}), Type::Boolean, Shape::Option),
        (json!({"name": "n", "type": "string"}), Type::Integer, Shape::Option),
        (json!({"name": "n", "type": "number"}), Type::Number, Shape::Option),
        (json!({"name": "many", "type": "string"}), Type::Array, Shape::List),
        (json!({"name": "secret_door", "type": "string"}), Type::String, Shape::Option),
        (json!({"name": "quiet", "type": "string"}), Type::Boolean, Shape::SwitchOn),
    ];
    for (said, kind, shape) in cases {
        let command = declared(&tree, json!([said]));
        let [parameter] = &command.parameters[..] else { panic!("{said}") };
        assert_eq!((parameter.kind, &parameter.shape), (kind, &shape), "{said}");
        // What the author left unsaid of these stays unsaid.
        assert_eq!((parameter.required, &parameter.description, &parameter.default), (false, &None, &None));
        assert_eq!(parameter.level, usize::from(parameter.name != "quiet"));
    }
    let command = declared(&tree, json!([{"name": "x", "enum": ["b"]}, {"name": "many", "items": "string"}]));
    let (x, many) = (find(&command, "x"), find(&command, "many"));
    assert_eq!((x.choices.as_deref(), many.items), (Some(&[json!("b")][..]), Some(Type::String)));
}

#[test]
fn a_negative_that_the_author_declared_is_said_as_the_negative() {
    let action = json!({"dest": "x", "flags": ["--x", "--no-x"], "kind": "boolean_optional", "nargs": 0});
    let command = declared(&go(json!([action]), json!([])), json!([{"name": "no_x", "type": "boolean"}]));
    let (flag, shape) = (Some("--no-x"), Shape::OnOff { off: "--x".to_owned() });
    assert_eq!((find(&command, "no_x").flag.as_deref(), &find(&command, "no_x").shape), (flag, &shape));
}

#[test]
fn a_parameter_is_never_exclusive_with_itself() {
    let both = json!([
        {"dest": "power", "flags": ["--on"], "kind": "store_true", "nargs": 0},
        {"dest": "power", "flags": ["--off"], "kind": "store_false", "nargs": 0, "hidden": true},
    ]);
    let group = |required: bool| json!([{"required": required, "members": [0, 1]}]);
    let power = declared(&go(both.clone(), group(false)), json!([{"name": "power", "type": "boolean"}]));
    let on = commands(&go(both, group(true))).remove(0);
    for (command, name) in [(power, "power"), (on, "on")] {
        let schema = crate::catalog::schema::of(&command);
        assert_eq!(schema["properties"][name].get("description"), None, "{name}");
    }
}
