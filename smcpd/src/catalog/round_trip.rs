//! Whether arguments survive the way through a command line: examples go in, the plugin's own parser reads them,
//! and what it read is compared with what went in.
//!
//! Plain values in and out: `Describer::rehearse` runs the parser.

use serde_json::{Map, Value, json};

use super::describe::Rehearsed;
use super::model::{Command, Exclusive, Parameter, Shape, Type, same_spelling};
use super::{arguments, argv};

/// What is known of a command's way to its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoundTrip {
    Ok {
        lines: usize,
    },
    Failed(String),
    /// An argument that no command line can say.
    Unsayable(String),
    Unknown(String),
}

/// One command line, and the arguments it was made of.
#[derive(Debug)]
pub(super) struct Example {
    arguments: Map<String, Value>,
    pub(super) line: Vec<String>,
}

/// What is hard to say on a command line.
const TRICKY: [&str; 5] = ["-5", "--help", "", "two words=\"ä\"", "=x"];

/// Returns command lines for `command`: what is required alone, everything plain, then everything tricky.
///
/// The error names an argument that no command line can say.
pub(super) fn examples(command: &Command) -> Result<Vec<Example>, String> {
    let mut examples = vec![example(command, &|parameter| is_needed(command, parameter), None)?];
    examples.push(example(command, &|parameter| !is_shut_out(command, parameter, 0), None)?);
    for round in 0..TRICKY.len() {
        let is_wanted = |parameter: &Parameter| !is_shut_out(command, parameter, round);
        examples.push(example(command, &is_wanted, Some(round))?);
    }
    examples.dedup_by(|one, other| one.line == other.line);
    Ok(examples)
}

fn example(
    command: &Command,
    is_wanted: &dyn Fn(&Parameter) -> bool,
    round: Option<usize>,
) -> Result<Example, String> {
    let wanted: Vec<&Parameter> = command.parameters.iter().filter(|one| is_wanted(one)).collect();
    let mut arguments: Map<String, Value> = wanted
        .iter()
        .map(|parameter| (parameter.name.clone(), plain(parameter, round.unwrap_or(0))))
        .collect();
    let mut line = build(command, &arguments)?;
    // A tricky value that cannot be said here is refused by name at a call: that is well, and not our question.
    for parameter in round.map(|_| wanted).unwrap_or_default() {
        let Some(value) = tricky(parameter, round.unwrap_or(0)) else { continue };
        let mut bolder = arguments.clone();
        bolder.insert(parameter.name.clone(), value);
        if let Ok(said) = build(command, &bolder) {
            (arguments, line) = (bolder, said);
        }
    }
    Ok(Example { arguments, line })
}

fn build(command: &Command, arguments: &Map<String, Value>) -> Result<Vec<String>, String> {
    let values = arguments::check(command, arguments).map_err(|error| error.to_string())?;
    let words = argv::build(command, &values).map_err(|error| error.to_string())?;
    Ok(words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

fn is_needed(command: &Command, parameter: &Parameter) -> bool {
    let is_chosen = |group: &Exclusive| group.required && group.members.first() == Some(&parameter.name);
    parameter.required || command.exclusive.iter().any(is_chosen) && !is_shut_out(command, parameter, 0)
}

/// Of each exclusive group one member speaks, another one each round; one that is required always does.
fn is_shut_out(command: &Command, parameter: &Parameter, round: usize) -> bool {
    let is_required =
        |name: &String| command.parameters.iter().any(|other| other.name == *name && other.required);
    command.exclusive.iter().filter(|group| group.members.contains(&parameter.name)).any(|group| {
        let chosen = group.members.iter().find(|name| is_required(name));
        chosen.unwrap_or(&group.members[round % group.members.len()]) != &parameter.name
    })
}

/// A value that the schema allows and that is hard for nobody.
fn plain(parameter: &Parameter, round: usize) -> Value {
    match &parameter.default {
        Some(default) if parameter.shape != Shape::Count && fits(parameter, default) => default.clone(),
        _ if parameter.kind == Type::Array => {
            let least = usize::try_from(parameter.least.unwrap_or(0)).unwrap_or(0);
            let most = parameter.most.and_then(|most| usize::try_from(most).ok()).unwrap_or(least.max(2));
            Value::Array((0..most.min(100)).map(|index| item(parameter, index)).collect())
        }
        _ => scalar(parameter, parameter.kind, round),
    }
}

/// A default may be anything; only one of the parameter's own type and range is an example.
fn fits(parameter: &Parameter, default: &Value) -> bool {
    let is_choice = parameter.choices.as_ref().is_none_or(|choices| choices.contains(default));
    let is_typed = match parameter.kind {
        Type::String => default.as_str().is_some_and(|text| !text.is_empty()),
        Type::Integer | Type::Number => default.is_number(),
        Type::Object => default.is_object(),
        Type::Boolean | Type::Array => false,
    };
    is_choice && is_typed
}

fn item(parameter: &Parameter, index: usize) -> Value {
    match parameter.items.unwrap_or_default() {
        Type::Array => {
            let inner = parameter.keywords.get("items").and_then(|items| items["items"]["type"].as_str());
            let kind = inner.and_then(Type::parse).unwrap_or_default();
            json!([scalar(parameter, kind, index), scalar(parameter, kind, index + 1)])
        }
        kind => scalar(parameter, kind, index),
    }
}

fn scalar(parameter: &Parameter, kind: Type, round: usize) -> Value {
    if let Some(choices) = parameter.choices.as_ref().filter(|choices| !choices.is_empty()) {
        return choices[round % choices.len()].clone();
    }
    let keyword = |name: &str| parameter.keywords.get(name);
    match kind {
        Type::String => format!("value{}", round + 1).into(),
        Type::Integer | Type::Number => {
            keyword("minimum").or_else(|| keyword("maximum")).cloned().unwrap_or_else(|| (round + 1).into())
        }
        // Given, whichever way that is.
        Type::Boolean => (parameter.shape != Shape::SwitchOff).into(),
        Type::Array => json!([]),
        Type::Object => json!({"key": "value", "number": round}),
    }
}

/// A value that is hard to say; `None` where the schema allows none.
fn tricky(parameter: &Parameter, round: usize) -> Option<Value> {
    if parameter.choices.is_some() || parameter.any {
        return None;
    }
    let text = TRICKY[round];
    let number = |kind| match kind {
        Type::Integer if round == 0 => Some(json!(-7)),
        Type::Number if round == 0 => Some(json!(-0.5)),
        Type::Number if round == 1 => Some(json!(1e-7)),
        _ => None,
    };
    let is_list = parameter.kind == Type::Array;
    let value = match if is_list { parameter.items.unwrap_or_default() } else { parameter.kind } {
        Type::String => Value::String(text.to_owned()),
        Type::Object => json!({text: text}),
        Type::Boolean if !is_list => json!(false),
        kind => number(kind)?,
    };
    if !is_list {
        return Some(value);
    }
    let mut items = plain(parameter, round).as_array()?.clone();
    *items.last_mut()? = value;
    Some(items.into())
}

/// Judges what the parser made of a command's examples.
pub(super) fn judge(command: &Command, examples: &[Example], read: &[Rehearsed]) -> RoundTrip {
    let mut refused = None;
    let mut arrived = 0;
    for (example, read) in examples.iter().zip(read) {
        match &read.error {
            None => match difference(command, example, read) {
                None => arrived += 1,
                Some(what) => return RoundTrip::Failed(what),
            },
            Some(error) if is_of_the_line(error) => {
                return RoundTrip::Failed(format!("`{}`: {error}", example.line.join(" ")));
            }
            // A type or action of the plugin's own wants something that no schema tells.
            Some(error) => refused = refused.or(Some(error.clone())),
        }
    }
    match (arrived, refused) {
        (0, Some(error)) => RoundTrip::Unknown(format!("its parser takes none of the examples: {error}")),
        (0, None) => RoundTrip::Unknown("its parser was not asked".to_owned()),
        (lines, _) => RoundTrip::Ok { lines },
    }
}

/// Whether argparse complains of the line itself, not of what a value means to the plugin.
fn is_of_the_line(error: &str) -> bool {
    [
        "unrecognized arguments",
        "the following arguments are required",
        "expected one argument",
        "expected at least one argument",
        "expected at most one argument",
        "ignored explicit argument",
        "ambiguous option",
        "invalid choice",
        "not allowed with argument",
        "one of the arguments",
    ]
    .iter()
    .any(|known| error.contains(known))
        || error.contains("expected ") && error.contains(" argument")
}

fn difference(command: &Command, example: &Example, read: &Rehearsed) -> Option<String> {
    if !read.extras.is_empty() {
        return Some(format!("nothing takes `{}`", read.extras.join(" ")));
    }
    command.parameters.iter().find_map(|parameter| {
        let sent = example.arguments.get(&parameter.name)?;
        let what = wrong(parameter, sent, read)?;
        Some(format!("`{}` {what}", parameter.name))
    })
}

fn wrong(parameter: &Parameter, sent: &Value, read: &Rehearsed) -> Option<String> {
    let is_its_own = |taken: &&super::describe::Taken| match &parameter.flag {
        Some(flag) => taken.flags.contains(flag),
        None => taken.flags.is_empty() && same_spelling(&taken.dest) == same_spelling(&parameter.name),
    };
    let uses: Vec<_> = read.calls.iter().filter(is_its_own).collect();
    let mut words: Vec<Vec<&str>> =
        uses.iter().map(|taken| taken.words.iter().map(String::as_str).collect()).collect();
    if parameter.flag.is_none() {
        // Before 3.13 the dashes are still there when a positional takes its words.
        words.iter_mut().for_each(|words| words.retain(|word| *word != "--"));
        words.retain(|words| !words.is_empty());
    }
    let expected = expected(parameter, sent);
    let said: Vec<Vec<&str>> =
        expected.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    if words != said {
        return Some(format!("was to be read as {said:?}, and was read as {words:?}"));
    }
    let Value::Array(items) = sent else { return None };
    let dest = &uses.first()?.dest;
    let value = read.values.get(dest)?;
    let kept = value.as_array().map_or(usize::from(!value.is_null()), Vec::len);
    // An `append` adds to its default, so there may be more.
    (kept < items.len() && matches!(parameter.shape, Shape::Repeat | Shape::RepeatList | Shape::List))
        .then(|| format!("keeps {kept} of {} values", items.len()))
}

/// The words that each use of the parameter takes.
fn expected(parameter: &Parameter, sent: &Value) -> Vec<Vec<String>> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all = |items: &[Value]| items.iter().map(word).collect::<Vec<_>>();
    match (&parameter.shape, sent) {
        (Shape::SwitchOn, Value::Bool(on)) => vec![Vec::new(); usize::from(*on)],
        (Shape::SwitchOff, Value::Bool(on)) => vec![Vec::new(); usize::from(!*on)],
        // The other flag is another spelling of the same action.
        (Shape::OnOff { .. }, _) => vec![Vec::new()],
        (Shape::Count, times) => {
            vec![Vec::new(); times.as_u64().and_then(|times| usize::try_from(times).ok()).unwrap_or(0)]
        }
        (Shape::List, Value::Array(items)) => vec![all(items)],
        (Shape::Positionals | Shape::Remainder, Value::Array(items)) if items.is_empty() => Vec::new(),
        (Shape::Positionals | Shape::Remainder, Value::Array(items)) => vec![all(items)],
        (Shape::Repeat, Value::Array(items)) => items.iter().map(|item| vec![word(item)]).collect(),
        (Shape::RepeatList, Value::Array(lists)) => lists
            .iter()
            .map(|list| list.as_array().map_or_else(|| vec![word(list)], |items| all(items)))
            .collect(),
        (_, value) => vec![vec![word(value)]],
    }
}

#[cfg(test)]
#[path = "round_trip_tests.rs"]
mod tests;
