use super::*;

fn parameter(name: &str, kind: Type, shape: Shape) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind,
        shape,
        flag: Some(format!("--{name}")),
        level: 1,
        ..Parameter::default()
    }
}

fn command(parameters: Vec<Parameter>) -> Command {
    Command { name: "go".to_owned(), path: vec!["go".to_owned()], parameters, ..Command::default() }
}

fn read(value: Value) -> Rehearsed {
    serde_json::from_value(value).unwrap()
}

#[test]
fn examples_are_required_alone_then_plain_then_tricky() {
    let mut needed = parameter("needed", Type::String, Shape::Option);
    needed.required = true;
    let mut chosen = parameter("chosen", Type::String, Shape::Option);
    chosen.choices = Some(vec!["a".into(), "b".into()]);
    let mut list = parameter("list", Type::Array, Shape::List);
    (list.items, list.least) = (Some(Type::Integer), Some(1));
    let on = parameter("on", Type::Boolean, Shape::SwitchOn);
    let lines: Vec<String> = examples(&command(vec![needed, chosen, list, on]))
        .unwrap()
        .into_iter()
        .map(|example| example.line.join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "go --needed=value1",
            "go --list 1 2 --needed=value1 --chosen=a --on",
            "go --list 1 2 --needed=-5 --chosen=a",
            "go --list 1 2 --needed=--help --chosen=b",
            "go --list 1 2 --needed= --chosen=a",
            "go --list 1 2 --needed=two words=\"ä\" --chosen=b",
            "go --list 1 2 --needed==x --chosen=a",
        ]
    );
}

#[test]
fn one_member_of_an_exclusive_group_speaks_at_a_time() {
    let members = vec!["a".to_owned(), "b".to_owned()];
    let mut command = command(vec![
        parameter("a", Type::String, Shape::Option),
        parameter("b", Type::Boolean, Shape::SwitchOn),
    ]);
    command.exclusive = vec![Exclusive { required: true, members }];
    for example in examples(&command).unwrap() {
        assert_eq!(example.arguments.len(), 1, "{:?}", example.line);
    }
}

#[test]
fn what_no_line_can_say_is_named() {
    let mut list = parameter("hosts", Type::Array, Shape::List);
    list.level = 0;
    let reason = examples(&command(vec![list])).unwrap_err();
    assert!(reason.starts_with("`hosts` takes any number of values"), "{reason}");
}

#[test]
fn every_difference_is_named_with_its_argument() {
    let list = parameter("tags", Type::Array, Shape::Repeat);
    let arguments = json!({"tags": ["x", "y"]}).as_object().unwrap().clone();
    let repeated = json!([{"flags": ["--tags"], "dest": "tags", "words": ["x"]},
                          {"flags": ["--tags"], "dest": "tags", "words": ["y"]}]);
    let cases = [
        (json!({"calls": repeated, "values": {"tags": ["x", "y"]}}), RoundTrip::Ok { lines: 1 }),
        (json!({"calls": repeated, "values": {"tags": ["default", "x", "y"]}}), RoundTrip::Ok { lines: 1 }),
        (
            json!({"calls": repeated, "values": {"tags": "y"}}),
            RoundTrip::Failed("`tags` keeps 1 of 2 values".to_owned()),
        ),
        (
            json!({"calls": [], "values": {}}),
            RoundTrip::Failed(r#"`tags` was to be read as [["x"], ["y"]], and was read as []"#.to_owned()),
        ),
        (
            json!({"calls": repeated, "extras": ["z"], "values": {"tags": ["x", "y"]}}),
            RoundTrip::Failed("nothing takes `z`".to_owned()),
        ),
        (
            json!({"error": "p: error: unrecognized arguments: --tags=x"}),
            RoundTrip::Failed(
                "`go --tags=x --tags=y`: p: error: unrecognized arguments: --tags=x".to_owned(),
            ),
        ),
        (
            json!({"error": "p: error: argument --tags: no such tag"}),
            RoundTrip::Unknown(
                "its parser takes none of the examples: p: error: argument --tags: no such tag".to_owned(),
            ),
        ),
    ];
    let command = command(vec![list]);
    for (said, expected) in cases {
        let line = build(&command, &arguments).unwrap();
        let examples = [Example { arguments: arguments.clone(), line }];
        assert_eq!(judge(&command, &examples, &[read(said.clone())]), expected, "{said}");
    }
    assert!(matches!(judge(&command, &[], &[]), RoundTrip::Unknown(_)));
}

#[test]
fn words_are_expected_by_shape() {
    let cases = [
        (Shape::SwitchOn, json!(true), json!([[]])),
        (Shape::SwitchOn, json!(false), json!([])),
        (Shape::SwitchOff, json!(false), json!([[]])),
        (Shape::OnOff { off: "--no-x".to_owned() }, json!(false), json!([[]])),
        (Shape::Count, json!(2), json!([[], []])),
        (Shape::List, json!([1, "-"]), json!([["1", "-"]])),
        (Shape::RepeatList, json!([[1, 2], [3, 4]]), json!([["1", "2"], ["3", "4"]])),
        (Shape::Positionals, json!([]), json!([])),
        (Shape::Option, json!({"a": 1}), json!([["{\"a\":1}"]])),
        (Shape::Option, json!(""), json!([[""]])),
    ];
    for (shape, sent, words) in cases {
        let expected = expected(&parameter("x", Type::String, shape.clone()), &sent);
        assert_eq!(serde_json::to_value(expected).unwrap(), words, "{shape:?}");
    }
}
