use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::catalog::model::Exclusive;

fn parameter(name: &str, kind: Type) -> Parameter {
    Parameter { name: name.to_owned(), kind, ..Parameter::default() }
}

fn items(name: &str, kind: Type) -> Parameter {
    Parameter { items: Some(kind), ..parameter(name, Type::Array) }
}

fn command(parameters: Vec<Parameter>) -> Command {
    Command { parameters, ..Command::default() }
}

fn checked(command: &Command, given: &Value) -> Result<Value, String> {
    let values = check(command, given.as_object().unwrap()).map_err(|error| error.to_string())?;
    Ok(values
        .into_iter()
        .map(|(parameter, value)| (parameter.name.clone(), value))
        .collect::<Map<_, _>>()
        .into())
}

#[test]
fn what_clients_bend_is_put_straight() {
    let cases = [
        (parameter("a", Type::Integer), json!("7"), json!(7)),
        (parameter("a", Type::Integer), json!(7.0), json!(7)),
        (parameter("a", Type::Number), json!("2.5"), json!(2.5)),
        (parameter("a", Type::Boolean), json!("True"), json!(true)),
        (parameter("a", Type::Boolean), json!(0), json!(false)),
        (parameter("a", Type::String), json!(7), json!("7")),
        (parameter("a", Type::String), json!({"b": [1]}), json!("{\"b\":[1]}")),
        (parameter("a", Type::Object), json!("{\"b\": 1}"), json!({"b": 1})),
        (items("a", Type::String), json!({"item": "x"}), json!(["x"])),
        (items("a", Type::String), json!({"item": ["x", "y"]}), json!(["x", "y"])),
        (items("a", Type::Integer), json!("[1, \"2\"]"), json!([1, 2])),
        (items("a", Type::Integer), json!(5), json!([5])),
        (items("a", Type::Object), json!({"b": 1}), json!([{"b": 1}])),
    ];
    for (parameter, given, expected) in cases {
        let command = command(vec![parameter]);
        assert_eq!(checked(&command, &json!({"a": given})), Ok(json!({"a": expected})), "{given}");
    }
}

#[test]
fn spellings_are_one_and_the_first_value_that_is_not_null_wins() {
    let command = command(vec![parameter("app-name", Type::String)]);
    for given in
        [json!({"app-name": "x"}), json!({"app_name": "x"}), json!({"app-name": null, "app_name": "x"})]
    {
        assert_eq!(checked(&command, &given), Ok(json!({"app-name": "x"})), "{given}");
    }
    assert_eq!(checked(&command, &json!({"app_name": null, "stranger": null})), Ok(json!({})));
}

#[test]
fn what_is_wrong_is_named() {
    let mut needed = parameter("mood", Type::String);
    needed.required = true;
    needed.choices = Some(vec!["glad".into(), "sad".into()]);
    let mut bounded = parameter("count", Type::Integer);
    bounded.keywords.insert("minimum".to_owned(), json!(1));
    bounded.keywords.insert("maximum".to_owned(), json!(9));
    let mut pair = items("pair", Type::Integer);
    (pair.least, pair.most) = (Some(2), Some(2));
    let command = command(vec![needed, bounded, pair]);
    let cases = [
        (json!({}), "`mood` is missing: a string is expected"),
        (json!({"mood": null}), "`mood` is missing: a string is expected"),
        (json!({"mood": "bad"}), "`mood` must be one of `glad`, `sad`, not `bad`"),
        (json!({"mood": "sad", "moood": 1}), "there is no argument `moood`; did you mean `mood`?"),
        (
            json!({"mood": "sad", "zzz": 1}),
            "there is no argument `zzz`; the arguments are `mood`, `count`, `pair`",
        ),
        (json!({"mood": "sad", "count": 1.5}), "`count` must be a whole number, not a number"),
        (json!({"mood": "sad", "count": "many"}), "`count` must be a whole number, not a string"),
        (json!({"mood": "sad", "count": 0}), "`count` must be at least 1"),
        (json!({"mood": "sad", "count": 10}), "`count` must be at most 9"),
        (json!({"mood": "sad", "pair": [1]}), "`pair` takes exactly 2 values, not 1"),
        (json!({"mood": "sad", "pair": [1, "x"]}), "`pair[1]` must be of type integer, not a string"),
        (json!({"mood": "sad", "pair": {"a": 1}}), "`pair` must be a list of integers, not an object"),
    ];
    for (given, expected) in cases {
        assert_eq!(checked(&command, &given).unwrap_err(), expected, "{given}");
    }
}

#[test]
fn exclusive_arguments_count_only_where_they_say_something() {
    let mut switch = parameter("air", Type::Boolean);
    switch.shape = Shape::SwitchOn;
    let members = vec!["air".to_owned(), "road".to_owned()];
    let mut command = command(vec![switch, parameter("road", Type::String)]);
    command.exclusive = vec![Exclusive { required: true, members }];
    assert!(checked(&command, &json!({"air": false, "road": "x"})).is_ok());
    assert_eq!(
        checked(&command, &json!({"air": true, "road": "x"})).unwrap_err(),
        "`air` and `road` cannot be given together"
    );
    assert_eq!(checked(&command, &json!({"air": false})).unwrap_err(), "one of `air`, `road` is needed");
}

#[test]
fn an_open_command_takes_any_argument_and_a_flood_of_keys_is_one_error() {
    let open = Command { open: true, ..Command::default() };
    assert_eq!(checked(&open, &json!({"x": 1})), Ok(json!({"x": 1})));
    assert!(checked(&open, &json!({"--x": 1})).is_err());
    let many: Map<String, Value> = (0..10_000).map(|key| (format!("k{key}"), json!(1))).collect();
    let command = command(vec![parameter("a", Type::String)]);
    assert!(check(&command, &many).is_err());
    let long = "x".repeat(1 << 20);
    let refused = checked(&command, &json!({ long.as_str(): 1 })).unwrap_err();
    assert!(refused.len() < 200, "{}", refused.len());
    assert_eq!(checked(&command, &json!({"a": long})), Ok(json!({"a": long})));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("item|[a-c]", inner), 0..4).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_given_is_taken_in_its_type_or_refused(a in any_json(), b in any_json(), c in any_json(), d in any_json()) {
        let command = command(vec![
            parameter("a", Type::Integer),
            items("b", Type::Number),
            parameter("c", Type::Object),
            Parameter { choices: Some(vec![json!(1), json!("x")]), ..parameter("d", Type::String) },
        ]);
        if let Ok(values) = checked(&command, &json!({"a": a, "b": b, "c": c, "d": d})) {
            prop_assert!(values.get("a").is_none_or(|value| value.is_i64() || value.is_u64()));
            prop_assert!(values.get("b").is_none_or(|value| value.as_array().unwrap().iter().all(Value::is_number)));
            prop_assert!(values.get("c").is_none_or(Value::is_object));
        }
    }
}

#[test]
fn every_type_takes_what_loses_nothing_and_refuses_the_rest_by_kind() {
    let cases = [
        (Type::Integer, json!([" -7 ", "7.0", u64::MAX]), json!([1e300, "0x7", "", "1e999", true, [7]])),
        (Type::Number, json!([7, " 7e2 ", -0.5]), json!(["NaN", "1,5", "inf", {}, false])),
        (Type::Boolean, json!([" FALSE ", 1, true]), json!(["yes", 2, 0.5, []])),
        (Type::Object, json!([{"item": 1}, "{}"]), json!(["[]", "{", [{}], 1])),
        (Type::String, json!(["--help", "", "a\0b", false, []]), json!([])),
    ];
    for (kind, good, bad) in cases {
        let command = command(vec![parameter("a", kind)]);
        for value in good.as_array().unwrap() {
            assert!(checked(&command, &json!({"a": value})).is_ok(), "{kind:?} {value}");
        }
        for value in bad.as_array().unwrap() {
            let refused = format!("`a` must be {}, not {}", expected(&command.parameters[0]), kind_of(value));
            assert_eq!(checked(&command, &json!({"a": value})), Err(refused), "{kind:?} {value}");
        }
    }
}

#[test]
fn a_list_is_repaired_item_by_item_and_counted_afterwards() {
    let chosen = Parameter { choices: Some(vec![json!(5), json!("x")]), ..items("a", Type::String) };
    let some = Parameter { least: Some(1), most: Some(2), ..items("a", Type::String) };
    let lists = Parameter { shape: Shape::RepeatList, ..items("a", Type::Array) };
    let words = || items("a", Type::String);
    let cases = [
        (words(), json!([]), Ok(json!([]))),
        (words(), json!({"item": []}), Ok(json!([]))),
        (words(), json!({"item": 7}), Ok(json!(["7"]))),
        (words(), json!("[not json"), Ok(json!(["[not json"]))),
        (words(), json!([{"b": 1}, true]), Ok(json!(["{\"b\":1}", "true"]))),
        (words(), json!(["x", null]), Err("`a[1]` must be of type string, not null")),
        (words(), json!({"item": null}), Err("`a[0]` must be of type string, not null")),
        (words(), json!({"item": 1, "b": 2}), Err("`a` must be a list of strings, not an object")),
        (items("a", Type::Object), json!({"item": {"b": 1}}), Ok(json!([{"b": 1}]))),
        (items("a", Type::Object), json!("x"), Err("`a[0]` must be of type object, not a string")),
        (chosen.clone(), json!(["5", "x"]), Ok(json!([5, "x"]))),
        (chosen, json!(["x", "y"]), Err("`a` must be one of `5`, `x`, not `y`")),
        (some.clone(), json!("x"), Ok(json!(["x"]))),
        (some.clone(), json!([]), Err("`a` takes at least 1 values, not 0")),
        (some, json!(["x", "y", "z"]), Err("`a` takes at most 2 values, not 3")),
        (lists, json!([["x", 1], "y"]), Ok(json!([["x", 1], ["y"]]))),
    ];
    for (parameter, given, expected) in cases {
        let expected = expected.map(|value| json!({"a": value})).map_err(str::to_owned);
        assert_eq!(checked(&command(vec![parameter]), &json!({"a": given})), expected, "{given}");
    }
}

#[test]
fn the_exact_spelling_wins_and_the_order_decides_among_the_others() {
    let command = command(vec![parameter("a_b-c", Type::String)]);
    let cases = [
        (json!({"a-b-c": "1", "a_b-c": "2"}), "2"),
        (json!({"a-b-c": "1", "a_b_c": "2"}), "1"),
        (json!({"a-b-c": null, "a_b_c": "2"}), "2"),
        (json!({"--a-b-c": "1"}), "1"),
    ];
    for (given, expected) in cases {
        assert_eq!(checked(&command, &given), Ok(json!({"a_b-c": expected})), "{given}");
    }
}

#[test]
fn a_near_name_is_named_and_a_far_one_gets_the_list() {
    let names = ["recipient", "subject", "größe", "x"];
    let cases = [
        ("recepient", Some("recipient")),
        ("sujbect", Some("subject")),
        ("grösse", None),
        ("gröse", Some("größe")),
        ("y", Some("x")),
        ("", Some("x")),
        ("nothing-like-it", None),
    ];
    for (name, expected) in cases {
        let found = nearest(name, names.iter().map(|name| (*name).to_owned()));
        assert_eq!(found.as_deref(), expected, "{name}");
    }
    assert_eq!(nearest(&"x".repeat(65), std::iter::once("x".repeat(65))), None);
    let none = command(Vec::new());
    assert_eq!(checked(&none, &json!({"a": 1})).unwrap_err(), "there is no argument `a`");
    let many = command((0..20).map(|index| parameter(&format!("name{index}"), Type::String)).collect());
    let told = checked(&many, &json!({"q": 1})).unwrap_err();
    assert!(told.contains("`name11`") && !told.contains("`name12`"), "{told}");
}

#[test]
fn switches_and_counts_that_say_nothing_are_not_given() {
    let of = |name: &str, kind, shape| Parameter { shape, ..parameter(name, kind) };
    let mut command = command(vec![
        of("off", Type::Boolean, Shape::SwitchOff),
        of("times", Type::Integer, Shape::Count),
        of("on_off", Type::Boolean, Shape::OnOff { off: "--no-x".to_owned() }),
        of("text", Type::String, Shape::Option),
    ]);
    let members = command.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    command.exclusive = vec![Exclusive { required: false, members }];
    let cases = [
        (json!({"off": true, "times": 0, "text": "x"}), true),
        (json!({"off": true, "times": "3"}), true),
        (json!({"off": false, "times": 1}), false),
        (json!({"on_off": false, "text": ""}), false),
        (json!({}), true),
    ];
    for (given, taken) in cases {
        assert_eq!(checked(&command, &given).is_ok(), taken, "{given}");
    }
    for times in [-1, 101] {
        let refused = checked(&command, &json!({"times": times})).unwrap_err();
        assert_eq!(refused, "`times` must be between 0 and 100");
    }
}

proptest! {
    #[test]
    fn what_was_accepted_is_accepted_again_unchanged(given in prop::collection::hash_map("[a-f][-_]?[xX]?", any_json(), 0..8)) {
        let lists = Parameter { shape: Shape::RepeatList, ..items("e_x", Type::Array) };
        let chosen = Parameter { choices: Some(vec![json!(1), json!("x")]), ..items("f", Type::String) };
        let parameters = vec![
            parameter("a", Type::Integer), parameter("b_x", Type::String), parameter("c-x", Type::Boolean),
            items("d", Type::Object), lists, chosen,
        ];
        for open in [true, false] {
            let command = Command { open, ..command(parameters.clone()) };
            if let Ok(values) = checked(&command, &json!(given)) {
                prop_assert_eq!(checked(&command, &values), Ok(values));
            }
        }
    }
}

#[test]
fn an_empty_list_that_says_nothing_excludes_nothing() {
    let tags = Parameter { shape: Shape::Repeat, ..items("tags", Type::String) };
    let mut command = command(vec![tags, parameter("all", Type::String)]);
    let members = vec!["tags".to_owned(), "all".to_owned()];
    command.exclusive = vec![Exclusive { required: true, members }];
    assert!(checked(&command, &json!({"tags": [], "all": "x"})).is_ok());
    assert_eq!(checked(&command, &json!({"tags": []})).unwrap_err(), "one of `tags`, `all` is needed");
}
