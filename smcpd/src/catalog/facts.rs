//! Turns a parser's tree into commands, and adds its facts to what a contract declares.
//!
//! The contract decides which commands and parameters exist. The parser only adds choices, item types, integer
//! or number, the shape on the command line and the place before the command, and wins where it says boolean or
//! array and the author said string.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::model::{
    Command, Description, Exclusive, Parameter, Shape, Type, Words, is_secret, same_spelling,
};
use super::parser_tree::{Action, Kind, Nargs, Parser, ValueType};

/// Deeper trees than this are no command lines.
const DEEPEST: usize = 6;

/// Returns the commands of a parser without a contract.
pub(crate) fn commands(root: &Parser) -> Vec<Command> {
    let mut found = Vec::new();
    walk(root, &mut Vec::new(), &[], &mut found);
    found
}

/// What stands before a subcommand: the parser, and how many words of the path come before its options.
type Above<'a> = (&'a Parser, usize);

fn walk(parser: &Parser, path: &mut Vec<String>, above: &[Above<'_>], found: &mut Vec<Command>) {
    let mut nested = above.to_vec();
    nested.push((parser, path.len()));
    let groups: Vec<&Action> =
        parser.actions.iter().filter(|action| action.kind == Kind::Subcommands).collect();
    if groups.iter().all(|group| group.commands.is_empty()) || path.len() >= DEEPEST {
        // A parser without subcommands is a command only below the root.
        if !path.is_empty() {
            found.push(command(path, &nested, None));
        }
        return;
    }
    for subcommand in groups.iter().flat_map(|group| &group.commands) {
        path.push(subcommand.name.clone());
        let before = found.len();
        walk(&subcommand.parser, path, &nested, found);
        for command in &mut found[before..] {
            if command.path.len() == path.len() && command.description.is_none() {
                command.description.clone_from(&subcommand.help);
            }
        }
        path.pop();
    }
}

fn command(path: &[String], parsers: &[Above<'_>], description: Option<String>) -> Command {
    let words = words(parsers);
    let mut command = Command {
        name: path.join("_"),
        path: path.to_vec(),
        description: description
            .or_else(|| parsers.last().and_then(|(parser, _)| parser.description.clone())),
        ..Command::default()
    };
    let mut taken = HashSet::new();
    // The command's own options come first; one that stands at both levels is the command's.
    for (parser, level) in parsers.iter().rev() {
        let mut names = vec![None; parser.actions.len()];
        for (index, action) in parser.actions.iter().enumerate() {
            if action.hidden || !is_parameter(action.kind) {
                continue;
            }
            let mut parameter = parameter(action, *level);
            parameter.words = words.clone();
            if parameter.shape == Shape::Remainder {
                parameter.words.long_flags = long_flags(parsers);
            }
            if taken.insert(same_spelling(&parameter.name)) {
                names[index] = Some(parameter.name.clone());
                command.parameters.push(parameter);
            }
        }
        for group in &parser.exclusive {
            let members: Vec<String> =
                group.members.iter().filter_map(|index| names.get(*index)?.clone()).collect();
            if members.len() > 1 || group.required && members.len() == 1 {
                command.exclusive.push(Exclusive { required: group.required, members });
            }
        }
    }
    command
}

fn words(parsers: &[Above<'_>]) -> Words {
    let is_number = |flag: &String| flag.strip_prefix('-').is_some_and(|rest| rest.parse::<f64>().is_ok());
    let mut actions = parsers.iter().flat_map(|(parser, _)| &parser.actions);
    Words {
        negative_numbers: !actions.any(|action| action.flags.iter().any(is_number)),
        long_flags: Vec::new(),
        file_prefixes: parsers.iter().filter_map(|(parser, _)| parser.file_prefixes.as_deref()).collect(),
    }
}

fn long_flags(parsers: &[Above<'_>]) -> Vec<Vec<String>> {
    let of = |parser: &Parser| {
        let flags = parser.actions.iter().flat_map(|action| &action.flags);
        flags.filter(|flag| flag.starts_with("--")).cloned().collect()
    };
    parsers.iter().map(|(parser, _)| of(parser)).collect()
}

fn is_parameter(kind: Kind) -> bool {
    !matches!(kind, Kind::Help | Kind::Version | Kind::Subcommands)
}

/// The spelling to use: the first long one, else the first.
fn spelling(action: &Action) -> Option<&String> {
    action.flags.iter().find(|flag| flag.starts_with("--")).or_else(|| action.flags.first())
}

fn parameter(action: &Action, level: usize) -> Parameter {
    let flag = spelling(action).cloned();
    let name = match &flag {
        Some(flag) => flag.trim_start_matches('-').to_owned(),
        None => action.dest.clone(),
    };
    let mut parameter = Parameter {
        name: name.replace('-', "_"),
        description: action.help.clone().filter(|help| !help.is_empty()),
        required: action.required,
        level,
        flag,
        secret: is_secret(&name),
        ..Parameter::default()
    };
    add_facts(&mut parameter, action);
    if parameter.secret {
        // Its default is often read from the environment.
        return parameter;
    }
    // `False` for a switch and `[]` for a list say no more than leaving them out.
    parameter.default = action.default.clone().filter(|default| match default {
        Value::Null => false,
        Value::Bool(_) => parameter.kind == Type::Boolean,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    if let (Some(default), true) = (&parameter.default, parameter.kind == Type::Boolean) {
        // Of a `--no-x` the parser knows the default of x, not of the switch.
        let inverted = action.kind == Kind::StoreFalse && parameter.shape == Shape::SwitchOn;
        parameter.default = default.as_bool().map(|value| Value::Bool(value != inverted));
    }
    parameter
}

fn item_type(action: &Action) -> Type {
    match action.value_type {
        ValueType::Integer => Type::Integer,
        ValueType::Number => Type::Number,
        ValueType::String | ValueType::Unknown => Type::String,
    }
}

/// Adds what the parser knows of an action: its type where it is no plain value, and its shape.
fn add_facts(parameter: &mut Parameter, action: &Action) {
    let positional = action.flags.is_empty();
    let one = item_type(action);
    let listed = matches!(action.nargs, Nargs::Any | Nargs::AtLeastOne | Nargs::Remainder)
        || matches!(action.nargs, Nargs::Exactly(n) if n > 0);
    let array = |parameter: &mut Parameter, shape| {
        parameter.kind = Type::Array;
        parameter.items = Some(one);
        parameter.shape = shape;
        (parameter.least, parameter.most) = match action.nargs {
            Nargs::Exactly(n) if !matches!(shape_of(parameter), Shape::RepeatList) => (Some(n), Some(n)),
            Nargs::AtLeastOne => (Some(1), None),
            _ => (None, None),
        };
    };
    match action.kind {
        Kind::StoreTrue | Kind::StoreConst | Kind::AppendConst => switch(parameter, Shape::SwitchOn),
        Kind::StoreFalse => {
            // Declared by the flag's name, true gives the flag; declared by its dest, false does.
            let flag_names_it =
                action.flags.iter().any(|flag| same_spelling(flag) == same_spelling(&parameter.name));
            switch(parameter, if flag_names_it { Shape::SwitchOn } else { Shape::SwitchOff });
        }
        Kind::BooleanOptional => {
            let off = action.flags.iter().find(|flag| flag.starts_with("--no-"));
            match off {
                // Declared by the name of the negative, true gives the negative.
                Some(off) if same_spelling(off) == same_spelling(&parameter.name) => {
                    let on = parameter.flag.replace(off.clone()).unwrap_or_default();
                    switch(parameter, Shape::OnOff { off: on });
                }
                Some(off) => switch(parameter, Shape::OnOff { off: off.clone() }),
                None => switch(parameter, Shape::SwitchOn),
            }
        }
        Kind::Count => {
            parameter.kind = Type::Integer;
            parameter.shape = Shape::Count;
        }
        Kind::Append if listed => {
            array(parameter, Shape::RepeatList);
            parameter.items = Some(Type::Array);
            parameter.keywords.insert(
                "items".to_owned(),
                serde_json::json!({"type": "array", "items": {"type": one.as_str()}}),
            );
            (parameter.least, parameter.most) = (None, None);
        }
        Kind::Append | Kind::Extend if !listed => array(parameter, Shape::Repeat),
        _ if action.nargs == Nargs::Remainder => array(parameter, Shape::Remainder),
        _ if listed => array(parameter, if positional { Shape::Positionals } else { Shape::List }),
        Kind::Custom if action.nargs == Nargs::Exactly(0) => switch(parameter, Shape::SwitchOn),
        _ => {
            parameter.shape = if positional { Shape::Positional } else { Shape::Option };
            let plain = matches!(parameter.kind, Type::String | Type::Integer | Type::Number);
            if plain && one != Type::String {
                parameter.kind = one;
            }
        }
    }
    if let (Some(choices), None) = (&action.choices, &parameter.choices) {
        let scalar = choices.iter().all(|choice| choice.is_string() || choice.is_number());
        if scalar && !choices.is_empty() {
            parameter.choices = Some(choices.clone());
        }
    }
}

fn shape_of(parameter: &Parameter) -> &Shape {
    &parameter.shape
}

fn switch(parameter: &mut Parameter, shape: Shape) {
    parameter.kind = Type::Boolean;
    parameter.choices = None;
    parameter.shape = shape;
}

/// Adds the parser's facts to every command that a contract declares.
pub(crate) fn enrich(description: &mut Description, root: &Parser) {
    for command in &mut description.commands {
        let Some(parsers) = parsers_of(root, &mut command.path) else { continue };
        let words = words(&parsers);
        let known: Vec<Known<'_>> = parsers.iter().rev().map(Known::of).collect();
        for parameter in &mut command.parameters {
            let name = same_spelling(&parameter.name);
            let Some((action, level)) = known.iter().find_map(|known| known.find(&name)) else { continue };
            let declared = parameter.clone();
            parameter.flag = spelling(action).cloned();
            parameter.level = level;
            parameter.words = words.clone();
            add_facts(parameter, action);
            if parameter.shape == Shape::Remainder {
                parameter.words.long_flags = long_flags(&parsers);
            }
            keep_declared(parameter, declared);
        }
        for (parser, _) in &parsers {
            add_groups(command, parser);
        }
    }
}

/// The author's type stays where the parser has nothing better: an object is an object however it is parsed.
fn keep_declared(parameter: &mut Parameter, declared: Parameter) {
    let structured = matches!(declared.kind, Type::Array | Type::Object | Type::Boolean);
    let plain = matches!(parameter.shape, Shape::Option | Shape::Positional);
    if structured && plain {
        parameter.kind = declared.kind;
    }
    if declared.items.is_some() && parameter.kind == Type::Array && parameter.shape != Shape::RepeatList {
        parameter.items = declared.items;
    }
    if declared.kind == Type::Number && parameter.kind == Type::Integer {
        parameter.kind = Type::Number;
    }
}

fn add_groups(command: &mut Command, parser: &Parser) {
    for group in &parser.exclusive {
        let mut members: Vec<String> = group
            .members
            .iter()
            .filter_map(|index| parser.actions.get(*index))
            .filter_map(|action| {
                let named = |parameter: &&Parameter| names_action(&parameter.name, action);
                command.parameters.iter().find(named).map(|parameter| parameter.name.clone())
            })
            .collect();
        // Two flags may stand for one parameter.
        members.dedup();
        let is_known = |known: &Exclusive| members.iter().all(|member| known.members.contains(member));
        if members.len() > 1 && !command.exclusive.iter().any(is_known) {
            command.exclusive.push(Exclusive { required: group.required, members });
        }
    }
}

/// Finds the parsers that a command goes through; `path` gets the parser's own words for it.
fn parsers_of<'a>(root: &'a Parser, path: &mut Vec<String>) -> Option<Vec<Above<'a>>> {
    let name = path.join("_");
    let mut words = Vec::new();
    let parsers = descend(root, &same_spelling(&name), &mut words, Vec::new())?;
    *path = words;
    Some(parsers)
}

/// A contract's command is a subcommand, an alias of one, or a nested one written `a_b` or `a-b`.
fn descend<'a>(
    parser: &'a Parser,
    name: &str,
    words: &mut Vec<String>,
    mut above: Vec<Above<'a>>,
) -> Option<Vec<Above<'a>>> {
    if words.len() >= DEEPEST {
        return None;
    }
    above.push((parser, words.len()));
    let subcommands = || parser.actions.iter().flat_map(|action| &action.commands);
    for subcommand in subcommands() {
        let mut names = std::iter::once(&subcommand.name).chain(&subcommand.aliases);
        if let Some(known) = names.find(|known| same_spelling(known) == name) {
            words.push(known.clone());
            above.push((&subcommand.parser, words.len()));
            return Some(above);
        }
    }
    for subcommand in subcommands() {
        let prefix = same_spelling(&subcommand.name) + "_";
        if let Some(rest) = name.strip_prefix(&prefix) {
            words.push(subcommand.name.clone());
            if let Some(found) = descend(&subcommand.parser, rest, words, above.clone()) {
                return Some(found);
            }
            words.pop();
        }
    }
    None
}

fn names_action(name: &str, action: &Action) -> bool {
    let name = same_spelling(name);
    action.flags.iter().any(|flag| same_spelling(flag) == name) || same_spelling(&action.dest) == name
}

/// The actions of one parser by the spellings of their names; a flag's name beats a dest.
struct Known<'a> {
    level: usize,
    by_flag: HashMap<String, &'a Action>,
    by_dest: HashMap<String, &'a Action>,
}

impl<'a> Known<'a> {
    fn of((parser, level): &Above<'a>) -> Self {
        let mut known = Self { level: *level, by_flag: HashMap::new(), by_dest: HashMap::new() };
        for action in parser.actions.iter().filter(|action| is_parameter(action.kind)) {
            for flag in &action.flags {
                known.by_flag.entry(same_spelling(flag)).or_insert(action);
            }
            known.by_dest.entry(same_spelling(&action.dest)).or_insert(action);
        }
        known
    }

    fn find(&self, name: &str) -> Option<(&'a Action, usize)> {
        self.by_flag.get(name).or_else(|| self.by_dest.get(name)).map(|action| (*action, self.level))
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
