//! What goes in is what the plugin's own parser reads back: shown by a real `argparse`, the `shapes` fixture.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, json};

use super::*;
use crate::catalog::arguments;
use crate::catalog::facts;
use crate::catalog::model::{Type, same_spelling};
use crate::catalog::parser_tree::{Action, Kind, Parser, ValueType};

fn line(command: &Command, given: Value) -> Result<Vec<String>, String> {
    let given = given.as_object().unwrap().clone();
    arguments::check(command, &given)
        .and_then(|values| build(command, &values))
        .map(|words| words.into_iter().map(|word| word.into_string().unwrap()).collect())
        .map_err(|error| error.to_string())
}

fn parameter(name: &str, kind: Type, shape: Shape, flag: Option<&str>) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind,
        shape,
        flag: flag.map(str::to_owned),
        level: 1,
        ..Parameter::default()
    }
}

fn command(parameters: Vec<Parameter>) -> Command {
    Command { name: "go".to_owned(), path: vec!["go".to_owned()], parameters, ..Command::default() }
}

#[test]
fn each_shape_has_its_words() {
    let level = |level, parameter| Parameter { level, ..parameter };
    let off = Shape::OnOff { off: "--no-x".to_owned() };
    let cases = [
        (parameter("x", Type::String, Shape::Option, Some("--x")), json!("-5"), vec!["go", "--x=-5"]),
        (parameter("x", Type::String, Shape::Option, Some("--x")), json!(""), vec!["go", "--x="]),
        (parameter("x", Type::String, Shape::Option, Some("-x")), json!("v"), vec!["go", "-xv"]),
        (parameter("x", Type::String, Shape::Option, Some("-x")), json!("=v"), vec!["go", "-x==v"]),
        (parameter("x", Type::String, Shape::Option, Some("-x")), json!(""), vec!["go", "-x="]),
        (parameter("x", Type::String, Shape::Option, Some("-long")), json!("v"), vec!["go", "-long=v"]),
        (parameter("x", Type::Boolean, Shape::Option, Some("--x")), json!(false), vec!["go", "--x=false"]),
        (
            parameter("x", Type::Object, Shape::Option, Some("--x")),
            json!({"a": [1]}),
            vec!["go", "--x={\"a\":[1]}"],
        ),
        (parameter("x", Type::Boolean, Shape::SwitchOn, Some("--x")), json!(true), vec!["go", "--x"]),
        (parameter("x", Type::Boolean, Shape::SwitchOn, Some("--x")), json!(false), vec!["go"]),
        (parameter("x", Type::Boolean, Shape::SwitchOff, Some("--no-x")), json!(false), vec!["go", "--no-x"]),
        (parameter("x", Type::Boolean, off.clone(), Some("--x")), json!(true), vec!["go", "--x"]),
        (parameter("x", Type::Boolean, off, Some("--x")), json!(false), vec!["go", "--no-x"]),
        (parameter("x", Type::Integer, Shape::Count, Some("-v")), json!(3), vec!["go", "-v", "-v", "-v"]),
        (
            parameter("x", Type::Array, Shape::Repeat, Some("--x")),
            json!(["a", "-b"]),
            vec!["go", "--x=a", "--x=-b"],
        ),
        (
            parameter("x", Type::Array, Shape::List, Some("--x")),
            json!(["a", "b"]),
            vec!["go", "--x", "a", "b"],
        ),
        (parameter("x", Type::Array, Shape::List, Some("--x")), json!([]), vec!["go", "--x"]),
        (parameter("x", Type::String, Shape::Positional, None), json!("--help"), vec!["go", "--", "--help"]),
        (
            parameter("x", Type::Array, Shape::Positionals, None),
            json!(["a", "-b"]),
            vec!["go", "--", "a", "-b"],
        ),
        (
            parameter("x", Type::Array, Shape::Remainder, None),
            json!(["a", "--", "-b"]),
            vec!["go", "a", "--", "-b"],
        ),
        (level(0, parameter("x", Type::String, Shape::Option, Some("--x"))), json!("v"), vec!["--x=v", "go"]),
    ];
    for (parameter, value, expected) in cases {
        let command = command(vec![parameter.clone()]);
        assert_eq!(line(&command, json!({"x": value})).unwrap(), expected, "{:?} {value}", parameter.shape);
    }
}

#[test]
fn what_a_command_line_cannot_say_is_refused_by_name() {
    let list = || parameter("x", Type::Array, Shape::List, Some("--x"));
    let words = |prefixes: &str| crate::catalog::model::Words {
        negative_numbers: true,
        file_prefixes: prefixes.to_owned(),
        long_flags: Vec::new(),
    };
    let cases = [
        (list(), json!(["-a"]), "`x` begins with `-`, which the command line cannot say here"),
        (list(), json!(["-5"]), "`x` begins with `-`, which the command line cannot say here"),
        (list(), json!(["--"]), "`x` is `--`, which the command line cannot say"),
        (
            parameter("x", Type::String, Shape::Positional, None),
            json!("--"),
            "`x` is `--`, which the command line cannot say",
        ),
        (
            parameter("x", Type::String, Shape::Option, Some("--x")),
            json!("--"),
            "`x` is `--`, which the command line cannot say",
        ),
        (
            parameter("x", Type::String, Shape::Option, Some("--x")),
            json!("a\0b"),
            "`x` holds a NUL character",
        ),
        (
            parameter("x", Type::Array, Shape::Remainder, None),
            json!(["-a"]),
            "`x` begins with `-`, which the command line cannot say here",
        ),
        (
            Parameter { words: words("@"), ..parameter("x", Type::String, Shape::Positional, None) },
            json!("@/etc/shadow"),
            "`x` begins with a character that the plugin reads as the name of a file",
        ),
        (
            Parameter { level: 0, ..list() },
            json!(["a"]),
            "`x` takes any number of values and stands before the command: it cannot be told apart",
        ),
    ];
    for (parameter, value, expected) in cases {
        let command = command(vec![parameter]);
        assert_eq!(line(&command, json!({"x": value})).unwrap_err(), expected, "{value}");
    }
    let long = command(vec![parameter("x", Type::String, Shape::Option, Some("--x"))]);
    let refused = line(&long, json!({"x": "y".repeat(LONGEST - 4)})).unwrap_err();
    assert_eq!(refused, "`x` is 131072 bytes long: one argument may have at most 131071");
    assert!(line(&long, json!({"x": "y".repeat(LONGEST - 5)})).is_ok());
    let numbers = command(vec![Parameter { words: words(""), ..list() }]);
    assert_eq!(line(&numbers, json!({"x": ["-5", "-.5", "-"]})).unwrap(), ["go", "--x", "-5", "-.5", "-"]);
}

/// The fixture, as a process that parses one line after the other.
struct Shapes {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

impl Shapes {
    fn start() -> Self {
        let mut child = Process::new("python3")
            .arg(root().join("tests/fixtures/plugins/shapes/cli.py"))
            .env("SHAPES_BATCH", "1")
            .env("PYTHONUTF8", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn parse(&mut self, words: &[OsString]) -> Value {
        let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
        writeln!(self.child.stdin.as_mut().unwrap(), "{}", json!(words)).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Shapes {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

/// The fixture's parser, as our own probe reads it.
fn probed() -> Parser {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let probe = root().join("smcpd/src/catalog/probe");
    let mut child = Process::new("python3")
        .arg(root().join("tests/fixtures/plugins/shapes/cli.py"))
        .arg("--help")
        .env("PYTHONPATH", &probe)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SMCP_PROBE_DIR", &probe)
        .env("SMCP_PROBE_OUT", &report)
        .spawn()
        .expect("python3 starts");
    assert!(child.wait().unwrap().success());
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    serde_json::from_value(report["parser"].clone()).unwrap()
}

/// What one parameter may be given, whatever it takes of it.
#[derive(Debug, Clone)]
struct Draw {
    given: bool,
    on: bool,
    number: i16,
    choice: prop::sample::Index,
    texts: Vec<String>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 =,.:/_-]{0,8}",
        2 => "-{1,3}[a-z=]{0,6}",
        1 => "\\PC{0,6}",
        1 => prop::sample::select(vec!["", " ", "-5", "-.5", "-1e5", "@file", "--", "-", "-h", "--help", "--air", "=", "a\nb", "{}", "null"])
            .prop_map(str::to_owned),
    ]
}

fn draw() -> impl Strategy<Value = Draw> {
    (
        any::<bool>(),
        any::<bool>(),
        any::<i16>(),
        any::<prop::sample::Index>(),
        prop::collection::vec(text(), 2..4),
    )
        .prop_map(|(given, on, number, choice, texts)| Draw { given, on, number, choice, texts })
}

/// Chooses a value that the parameter's schema allows.
fn value(parameter: &Parameter, action: &Action, draw: &Draw) -> Value {
    let one = |kind: Type, text: &String| match kind {
        Type::Integer => json!(draw.number),
        Type::Number => json!(f64::from(draw.number) / 8.0),
        // The one option with a type of its own reads JSON.
        _ if action.value_type == ValueType::Unknown => json!(json!(text).to_string()),
        _ => json!(text),
    };
    if let Some(choices) = &parameter.choices {
        return choices[draw.choice.index(choices.len())].clone();
    }
    let item = parameter.items.unwrap_or_default();
    match (&parameter.shape, parameter.kind) {
        (Shape::Count, _) => json!(draw.number.unsigned_abs() % 4),
        (Shape::RepeatList, _) => {
            let pair: Vec<&String> = draw.texts.iter().take(2).collect();
            json!([pair.clone(), pair])
        }
        (_, Type::Boolean) => json!(draw.on),
        (_, Type::Array) => {
            let most = parameter.most.map_or(draw.texts.len(), |most| most as usize);
            Value::Array(draw.texts.iter().take(most).map(|text| one(item, text)).collect())
        }
        (_, kind) => one(kind, &draw.texts[0]),
    }
}

/// What the parser's namespace must hold for a value that was given.
fn expected(action: &Action, parameter: &Parameter, value: &Value) -> Option<Value> {
    match (action.kind, value) {
        (Kind::StoreTrue, Value::Bool(on)) => Some(json!(on)),
        (Kind::StoreFalse, Value::Bool(on)) => Some(json!(!on)),
        (Kind::StoreConst, Value::Bool(on)) => Some(json!(if *on { "red" } else { "none" })),
        (Kind::Count, count) if *count == json!(0) => None,
        (Kind::Append | Kind::Extend, Value::Array(items)) if items.is_empty() => None,
        (_, Value::String(text)) if action.value_type == ValueType::Unknown => {
            serde_json::from_str(text).ok()
        }
        (_, value) if parameter.kind == Type::Number => value.as_f64().map(Value::from),
        (_, value) => Some(value.clone()),
    }
}

/// Words that stand alone may begin with nothing that reads as a flag.
fn may_be_refused(parameter: &Parameter, value: &Value) -> bool {
    let awkward = |text: &str| text.starts_with('-');
    match value {
        Value::String(text) => text == "--" || parameter.flag.is_none() && awkward(text),
        Value::Array(items) => items.iter().any(|item| match item {
            Value::String(text) => awkward(text),
            Value::Array(inner) => inner.iter().any(|item| item.as_str().is_some_and(awkward)),
            _ => false,
        }),
        _ => false,
    }
}

fn leaf_actions<'a>(parser: &'a Parser, path: &[String]) -> Vec<&'a Action> {
    let mut actions: Vec<&Action> = parser.actions.iter().collect();
    if let Some((first, rest)) = path.split_first() {
        let below =
            parser.actions.iter().flat_map(|action| &action.commands).find(|known| known.name == *first);
        let mut leaf = leaf_actions(&below.unwrap().parser, rest);
        leaf.append(&mut actions);
        return leaf;
    }
    actions
}

fn action_of<'a>(actions: &[&'a Action], parameter: &Parameter) -> &'a Action {
    actions
        .iter()
        .find(|action| match &parameter.flag {
            Some(flag) => action.flags.contains(flag),
            None => action.flags.is_empty() && same_spelling(&action.dest) == parameter.name,
        })
        .unwrap()
}

#[test]
fn what_goes_in_is_what_the_plugins_own_parser_reads_back() {
    let parser = probed();
    let commands = facts::commands(&parser);
    assert_eq!(commands.len(), 7);
    let shapes = RefCell::new(Shapes::start());
    let (accepted, refused) = (Cell::new(0u32), Cell::new(0u32));
    let strategy = (any::<prop::sample::Index>(), prop::collection::vec(draw(), 24));
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |(which, draws)| {
            let command = &commands[which.index(commands.len())];
            let actions = leaf_actions(&parser, &command.path);
            let mut given = Map::new();
            for (parameter, draw) in command.parameters.iter().zip(&draws) {
                if parameter.required || draw.given {
                    given.insert(
                        parameter.name.clone(),
                        value(parameter, action_of(&actions, parameter), draw),
                    );
                }
            }
            let Ok(values) = arguments::check(command, &given) else {
                // Members of one group were drawn together, or none of a required one.
                prop_assert!(!command.exclusive.is_empty());
                return Ok(());
            };
            let words = match build(command, &values) {
                Ok(words) => words,
                Err(error) => {
                    refused.set(refused.get() + 1);
                    let explained = values.iter().any(|(parameter, value)| may_be_refused(parameter, value));
                    prop_assert!(explained, "{error} for {given:?}");
                    return Ok(());
                }
            };
            accepted.set(accepted.get() + 1);
            let answer = shapes.borrow_mut().parse(&words);
            prop_assert!(answer["error"].is_null(), "{words:?}: {answer}");
            for (parameter, value) in &values {
                let action = action_of(&actions, parameter);
                if let Some(expected) = expected(action, parameter, value) {
                    let read = &answer["ok"][&action.dest];
                    prop_assert_eq!(read, &expected, "{} of {:?}", &parameter.name, &words);
                }
            }
            Ok(())
        })
        .unwrap();
    let (accepted, refused) = (accepted.get(), refused.get());
    assert!(accepted > 300 && refused > 20, "{accepted} accepted, {refused} refused");
}

proptest! {
    /// Whatever the plugin's language: behind its flag, or where no flag is looked for, or no flag at all.
    #[test]
    fn no_value_stands_where_a_flag_would(value in prop_oneof![text(), "(?s).{0,6}", "-?\\x00?[-=]{0,3}[a-z]{0,3}"], which in 0usize..5) {
        let (shape, flag, kind) = [
            (Shape::Option, Some("--x"), Type::String),
            (Shape::Option, Some("-x"), Type::String),
            (Shape::Positional, None, Type::String),
            (Shape::List, Some("--x"), Type::Array),
            (Shape::Remainder, None, Type::Array),
        ][which].clone();
        let command = command(vec![parameter("x", kind, shape, flag)]);
        let given = if kind == Type::Array { json!({"x": [value, "y"]}) } else { json!({"x": value}) };
        let Ok(words) = line(&command, given) else { return Ok(()) };
        prop_assert!(!value.contains('\0'));
        prop_assert_eq!(&words[0], "go");
        let rest = &words[1..];
        let until = rest.iter().position(|word| word == "--").unwrap_or(rest.len());
        for word in &rest[..until] {
            let is_behind = flag.is_some_and(|flag| word.starts_with(flag));
            prop_assert!(is_behind || word == "-" || !word.starts_with('-'), "{:?} in {:?}", word, words);
        }
        prop_assert_eq!(rest.iter().filter(|word| word.ends_with(&value)).count() > 0, true, "{:?}", words);
    }
}
