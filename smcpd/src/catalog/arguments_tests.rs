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
    assert_eq!(checked(&open, &json!({"x": 1})), Ok(json!({})));
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
