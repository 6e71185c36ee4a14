//! Every recorded text against one table, and texts of other programs written by hand.
//!
//! The texts come from `tests/fixtures/help/record.py`; what each must say is in `expected.txt` beside it, in the short
//! notation of [`sketch`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/help")
}

/// The faces and texts of one folder of recordings.
pub(super) fn recorded(folder: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(fixtures().join(folder)).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn expected() -> BTreeMap<String, String> {
    let text = fs::read_to_string(fixtures().join("expected.txt")).unwrap();
    let faces = text.split("== ").skip(1);
    faces
        .map(|face| face.split_once('\n').unwrap())
        .map(|(name, tree)| (name.to_owned(), tree.to_owned()))
        .collect()
}

/// Writes down what was read, an action a line: `-n,--name NAME ! = "3" (help)`.
fn sketch(help: &Help) -> String {
    let mut text = String::new();
    let Parser { description, epilog, actions, exclusive, .. } = &help.parser;
    for (name, said) in [("description", description), ("epilog", epilog)] {
        if let Some(said) = said {
            writeln!(text, "{name}: {said:?}").unwrap();
        }
    }
    for action in actions {
        let name = if action.flags.is_empty() { action.dest.clone() } else { action.flags.join(",") };
        let kind = match action.kind {
            Kind::Store => String::new(),
            kind => format!(" [{kind:?}]"),
        };
        let nargs = match action.nargs {
            Nargs::One | Nargs::Subcommand | Nargs::Exactly(0) => String::new(),
            nargs => format!(" {nargs:?}"),
        };
        let metavar = action.metavar.as_ref().map(|name| format!(" <{name}>")).unwrap_or_default();
        let choices = action
            .choices
            .as_ref()
            .map(|all| format!(" of {}", Value::from(all.clone())))
            .unwrap_or_default();
        let required = if action.required { " !" } else { "" };
        let default = action.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        let says =
            action.help.as_ref().map(|help| format!(" ({help})").replace('\n', "\\n")).unwrap_or_default();
        writeln!(text, "{name}{kind}{nargs}{metavar}{choices}{required}{default}{says}").unwrap();
        for command in &action.commands {
            let aliases =
                if command.aliases.is_empty() { String::new() } else { format!(" {:?}", command.aliases) };
            let says = command
                .help
                .as_ref()
                .map(|help| format!(" ({help})").replace('\n', "\\n"))
                .unwrap_or_default();
            writeln!(text, "  {}{aliases}{says}", command.name).unwrap();
        }
    }
    for group in exclusive {
        let must = if group.required { "one of" } else { "at most one of" };
        let names: Vec<&str> = group.members.iter().map(|at| actions[*at].dest.as_str()).collect();
        writeln!(text, "{must} {}", names.join(" ")).unwrap();
    }
    for (name, says) in &help.epilog_commands {
        writeln!(text, "typed {name}{}", says.as_ref().map(|says| format!(" ({says})")).unwrap_or_default())
            .unwrap();
    }
    text
}

const VERSIONS: [&str; 9] =
    ["py3.6", "py3.7", "py3.8", "py3.9", "py3.10", "py3.11", "py3.12", "py3.13", "py3.14"];

#[test]
fn every_python_tells_the_same_tree() {
    let expected = expected();
    for version in VERSIONS {
        let texts = recorded(version);
        assert!(texts.len() > 25, "{version} was not recorded");
        for (face, text) in texts {
            // What a version really tells otherwise has an entry of its own.
            let tree = expected.get(&format!("{face} {version}")).or(expected.get(&face));
            let help = parse(&text);
            assert!(help.usage_seen, "{version}/{face}");
            let tree =
                tree.unwrap_or_else(|| panic!("`{face}` is missing from expected.txt:\n{}", sketch(&help)));
            assert_eq!(&sketch(&help), tree, "{version}/{face}");
        }
    }
}

#[test]
fn every_expectation_belongs_to_a_recorded_text() {
    let folders = VERSIONS.iter().chain(&["foreign"]).map(|folder| (*folder, recorded(folder)));
    let known: BTreeSet<String> = folders
        .flat_map(|(folder, texts)| {
            texts.into_keys().flat_map(move |face| [format!("{face} {folder}"), face]).collect::<Vec<_>>()
        })
        .collect();
    for face in expected().keys() {
        assert!(known.contains(face), "nothing was recorded as `{face}`");
    }
}

#[test]
fn colours_change_nothing() {
    let plain = recorded("py3.14");
    for (face, text) in recorded("py3.14-color") {
        assert!(text.contains('\u{1b}'), "{face} has no colours");
        assert_eq!(parse(&text), parse(&plain[&face]), "{face}");
    }
}

#[test]
fn wrapped_text_keeps_its_tree() {
    for version in ["py3.8", "py3.13"] {
        let wide = recorded(version);
        for (face, text) in recorded(&format!("{version}-w60")) {
            let (narrow, wide) = (parse(&text), parse(&wide[&face]));
            let one_line = |help: &Option<String>| help.as_ref().map(|help| help.replace('\n', " "));
            let actions = |help: &Help| -> Vec<Action> {
                let mut actions = help.parser.actions.clone();
                for action in &mut actions {
                    action.help = one_line(&action.help);
                    for command in &mut action.commands {
                        command.help = one_line(&command.help);
                    }
                }
                actions
            };
            assert_eq!(actions(&narrow), actions(&wide), "{version}/{face}");
            // argparse forgets that a positional is of a group when it breaks the usage before it.
            if face != "exclusive" {
                assert_eq!(narrow.parser.exclusive, wide.parser.exclusive, "{version}/{face}");
            }
        }
    }
}

#[test]
fn other_libraries_are_read_as_well_as_they_tell() {
    let expected = expected();
    for (face, text) in recorded("foreign") {
        let tree = expected.get(&format!("{face} foreign")).cloned().unwrap_or_default();
        assert_eq!(sketch(&parse(&text)), tree, "foreign/{face}");
    }
}

#[test]
fn programs_of_other_languages_are_read_as_well_as_they_tell() {
    let cases = [
        (
            "clap",
            "Keeps notes\n\nUsage: tool [OPTIONS] --name <NAME> <FILE> [MORE]... [COMMAND]\n\nCommands:\n  add   Add one \
             [aliases: a, new]\n  help  Print this message or the help of the given subcommand(s)\n\nArguments:\n  \
             <FILE>     What to read\n  [MORE]...  What else\n\nOptions:\n  -n, --name <NAME>  The name\n      --mode \
             <MODE>  How [default: fast] [possible values: fast, slow]\n  -v, --verbose...   More\n      --at \
             <KEY=VALUE|PATH>\n          Where\n\n          In more words\n  -h, --help         Print help\n  -V, \
             --version      Print version\n",
            "description: \"Keeps notes\"\n-n,--name ! (The name)\n--mode of [\"fast\",\"slow\"] = \"fast\" (How [default: \
             fast] [possible values: fast, slow])\n-v,--verbose [StoreTrue] (More)\n--at <KEY=VALUE|PATH> (Where\\n\\nIn \
             more words)\n-h,--help [Help] (Print help)\n-V,--version [Version] (Print version)\nfile <FILE> ! (What to \
             read)\nmore Any <MORE> (What else)\ncommand [Subcommands]\n  add [\"a\", \"new\"] (Add one [aliases: a, \
             new])\ntyped add (Add one [aliases: a, new])\n",
        ),
        (
            "cobra",
            "Keeps notes.\n\nUsage:\n  tool [flags]\n  tool [command]\n\nAvailable Commands:\n  add         Add one\n  \
             completion  Generate the autocompletion script\n  help        Help about any command\n\nFlags:\n      --dir \
             string   where (default \"/tmp\")\n  -n, --count int    how many (default 3)\n      --tags strings   some \
             (default [])\n  -h, --help         help for tool\n\nUse \"tool [command] --help\" for more.\n",
            "description: \"Keeps notes.\"\nepilog: \"Use \\\"tool [command] --help\\\" for more.\"\n--dir <string> = \
             \"/tmp\" (where (default \"/tmp\"))\n-n,--count <int> = \"3\" (how many (default 3))\n--tags <strings> (some \
             (default []))\n-h,--help [Help] (help for tool)\ncommand [Subcommands]\n  add (Add one)\n  completion \
             (Generate the autocompletion script)\ntyped add (Add one)\ntyped completion (Generate the autocompletion \
             script)\n",
        ),
        (
            "go",
            "Usage of tool:\n  -dir string\n    \twhere (default \"/tmp\")\n  -v\tsay more\n",
            "-dir <string> = \"/tmp\" (where (default \"/tmp\"))\n-v [StoreTrue] (say more)\n",
        ),
        (
            "bash",
            "Usage: tool.sh <command> [options]\n\nCommands:\n  start       Start it\n  stop NAME   Stop one\n  list, \
             ls    List all\n\nOptions:\n  -f FILE     Where\n  -h          Show help\n",
            "-f <FILE> (Where)\n-h [Help] (Show help)\ncommand [Subcommands] !\n  start (Start it)\n  stop (Stop one)\n  \
             list [\"ls\"] (List all)\ntyped start (Start it)\ntyped stop (Stop one)\ntyped list (List all)\n",
        ),
        (
            "an init script",
            "Usage: service {start|stop|restart}\n",
            "command [Subcommands] !\n  start\n  stop\n  restart\ntyped start\ntyped stop\ntyped restart\n",
        ),
        (
            "docopt",
            "Usage:\n  tool add <name> [--force]\n  tool drop <name>...\n\nOptions:\n  --force  At once.\n",
            "--force [StoreTrue] (At once.)\nname\n",
        ),
        (
            "kubectl",
            "Controls it.\n\nBasic Commands (Beginner):\n  get     Show one\n\nOther Commands:\n  put     Send \
             one\n\nUsage:\n  ctl [flags] [options]\n\nUse it well.\n",
            "description: \"Use it well.\"\ncommand [Subcommands] !\n  get (Show one)\n  put (Send one)\ntyped get (Show \
             one)\ntyped put (Send one)\n",
        ),
        (
            "ls",
            "Usage: ls [OPTION]... [FILE]...\nList them.\n\n  -a, --all          all of them\n      --color[=WHEN]  \
             paint them\n  -w, --width=COLS   how wide\n",
            "description: \"List them.\"\n-a,--all [StoreTrue] (all of them)\n--color Optional <WHEN> (paint \
             them)\n-w,--width <COLS> (how wide)\nfile Any <FILE>\n",
        ),
    ];
    for (name, text, tree) in cases {
        assert_eq!(sketch(&parse(text)), tree, "{name}");
    }
}

#[test]
fn words_for_values_tell_how_many_there_are() {
    let cases = [
        ("X", Nargs::One),
        ("[X]", Nargs::Optional),
        ("[X ...]", Nargs::Any),
        ("[X [X ...]]", Nargs::Any),
        ("[KEY [VALUE ...]]", Nargs::Any),
        ("X [X ...]", Nargs::AtLeastOne),
        ("X [Y ...]", Nargs::AtLeastOne),
        ("{a,b} [{a,b} ...]", Nargs::AtLeastOne),
        ("{a b,c}", Nargs::One),
        ("{a b,c} {a b,c}", Nargs::Exactly(2)),
        ("X X X", Nargs::Exactly(3)),
        ("KEY VALUE", Nargs::Exactly(2)),
        ("<key> <value>", Nargs::Exactly(2)),
        ("...", Nargs::Remainder),
        ("FILE...", Nargs::AtLeastOne),
        ("[<FILE>...]", Nargs::Any),
        // Not surely more than one value.
        ("INTEGER RANGE", Nargs::One),
        ("a file name", Nargs::One),
        ("N (seconds)", Nargs::One),
        ("key=value", Nargs::One),
        ("HOST:PORT", Nargs::One),
        ("[a|b]", Nargs::One),
        ("[X", Nargs::One),
        ("[]", Nargs::One),
        ("{}", Nargs::One),
        ("{", Nargs::One),
    ];
    for (text, nargs) in cases {
        assert_eq!(spelling::values(text).nargs, nargs, "{text}");
    }
}

#[test]
fn rows_spell_options_in_many_ways() {
    let cases: &[(&str, &[&str], &[&str], &str)] = &[
        ("-s VALUE, --long VALUE", &["-s", "--long"], &[], "VALUE"),
        ("-s, --long VALUE", &["-s", "--long"], &[], "VALUE"),
        ("-s [X ...], --long [X ...]", &["-s", "--long"], &[], "[X ...]"),
        ("-s {a, -b}, --long {a, -b}", &["-s", "--long"], &[], "{a, -b}"),
        ("--long=VALUE", &["--long"], &[], "VALUE"),
        ("--long[=VALUE]", &["--long"], &[], "[=VALUE]"),
        ("-s --long", &["-s", "--long"], &[], ""),
        ("-s|--long", &["-s", "--long"], &[], ""),
        ("--on / --off", &["--on"], &["--off"], ""),
        ("--x, --no-x", &["--x", "--no-x"], &[], ""),
        ("-1", &["-1"], &[], ""),
    ];
    for (head, flags, off, values) in cases {
        let expected = Spelling { flags: flags.to_vec(), off: off.to_vec(), values };
        assert_eq!(spelling::spelling(head), Some(expected), "{head}");
    }
    for head in ["", "-", "--", "---x", "-12", "- a bullet", "word", "–long", "-- x", ", -x"] {
        assert_eq!(spelling::spelling(head), None, "{head}");
    }
}

#[test]
fn usage_lines_tell_what_must_be_given() {
    let rows =
        "\noptions:\n  -h, --help  show this\n  --a A\n  --b B B\n  --c\n\npositional arguments:\n  x\n  y\n";
    let cases = [
        ("tool [-h] --a A [--b B B] [--c] x [y]", "a x", ""),
        ("tool [-h] --a A --b B B x y", "a b x y", ""),
        ("tool [-h] (--a A | --b B B) [--c | y] x", "x", "one of a b;at most one of c y;"),
        ("tool [-h] (--a A) [--c] x", "a x", ""),
        ("tool [-h] --a A x y [y ...]", "a x y", ""),
        ("python3 -m tool [-h] --c x y", "c x y", ""),
        ("tool a sub [-h] [--a A] x", "x", ""),
        ("tool [y] sub [-h] [--c] x", "x", ""),
        ("tool [-h] [[--a A | --b B B] | --c] x", "x", "at most one of a b;"),
        ("tool [-h] [--a A x", "", ""),
        ("tool -h] --a A) x", "a x", ""),
        ("tool", "", ""),
    ];
    for (usage, required, groups) in cases {
        let help = parse(&format!("usage: {usage}\n{rows}"));
        let actions = &help.parser.actions;
        let found: Vec<&str> = actions.iter().filter(|a| a.required).map(|a| a.dest.as_str()).collect();
        assert_eq!(found.join(" "), required, "{usage}");
        let mut found = String::new();
        for group in &help.parser.exclusive {
            let names: Vec<&str> = group.members.iter().map(|at| actions[*at].dest.as_str()).collect();
            write!(
                found,
                "{} {};",
                if group.required { "one of" } else { "at most one of" },
                names.join(" ")
            )
            .unwrap();
        }
        assert_eq!(found, groups, "{usage}");
    }
}

#[test]
fn defaults_are_read_only_where_they_are_plain() {
    let cases = [
        ("how (default: 3)", Some("3")),
        ("how (or so) (default: a (b))", Some("a (b)")),
        ("how (default: None)", None),
        ("how (default: 3) or not", None),
        ("how (default: )", None),
        ("how [default: 3]", Some("3")),
        ("how [env var: X; default: 3; required]", Some("3")),
        ("how (default \"a b\")", Some("a b")),
        ("how (default is the first)", None),
        ("default: 3", None),
        ("[", None),
        ("]", None),
        ("", None),
    ];
    for (help, default) in cases {
        let found = wording::default(Kind::Store, Nargs::One, help);
        assert_eq!(found, default.map(|text| Value::String(text.to_owned())), "{help}");
    }
    assert_eq!(wording::default(Kind::StoreTrue, Nargs::Exactly(0), "on (default: False)"), None);
    assert_eq!(wording::default(Kind::Store, Nargs::Any, "all (default: ['a'])"), None);
    assert_eq!(
        wording::default(Kind::BooleanOptional, Nargs::Exactly(0), "on (default: True)"),
        Some(Value::Bool(true))
    );
}

#[test]
fn typed_lists_are_read_where_nothing_better_is() {
    let cases = [
        ("Available commands:\n  one    The first\n  two    The second\n", "one two"),
        (
            "A tool.\n\nAvailable commands:\n    one - the first\n\n    two - the second\n\nThat is all.\n  three  no",
            "one two",
        ),
        ("commands:\n- one: the first\n- two\nno more", "one two"),
        ("Commands:\n  * `one` <name> - the first\n      more of it\n  * two\n", "one two"),
        ("Available commands: one, two, three.", "one two three"),
        ("Available commands: see below", ""),
        ("Available commands:\n\n", ""),
        ("Commands:\n  this is a sentence about them\n  one  The first\n", "one"),
        ("All the wonderful things that you can do with these commands:\n  one  The first\n", ""),
        ("one  The first", ""),
    ];
    for (text, names) in cases {
        let help = parse(text);
        let found: Vec<&str> = help.epilog_commands.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found.join(" "), names, "{text}");
        assert!(help.parser.actions.is_empty() && !help.usage_seen, "{text}");
    }
}

#[test]
fn what_is_no_help_has_no_actions() {
    let cases = [
        "",
        "\n\n\n",
        "usage",
        "usage:",
        "usage: \n",
        "{\"error\": \"no such command\"}",
        "Traceback (most recent call last):\n  File \"cli.py\", line 1, in <module>\nImportError: no module",
        "usage: tool\ntool: error: the following arguments are required: -x",
        "\u{1b}[",
        "\u{1b}]0;a title\n\u{9b}",
        "a: \n  b\n",
        "ß\u{a0}usage: tool [-x]",
        ":\n  :\n",
    ];
    for text in cases {
        let help = parse(text);
        assert!(help.parser.actions.is_empty() && help.epilog_commands.is_empty(), "{text:?}: {help:?}");
    }
}

#[test]
fn log_lines_and_errors_around_a_usage_change_nothing() {
    let text =
        "INFO loading\nusage: tool [-h] --x X\ntool: error: the following arguments are required: --x\n";
    let help = parse(text);
    assert!(help.usage_seen);
    assert_eq!(sketch(&help).lines().skip(1).collect::<Vec<_>>(), ["-h [Help]", "--x !"]);
}

#[test]
fn terminal_sequences_and_overstrikes_are_taken_out() {
    let cases = [
        "\u{1b}[1musage:\u{1b}[0m tool [-h] [\u{1b}[32m--x\u{1b}[0m X]\n",
        "\u{1b}]8;;http://x\u{7}usage\u{1b}]8;;\u{1b}\\: tool [-h] [--x X]\n",
        "\u{9b}1musage: tool [-h] [--x X]\u{1b}(B\n",
        "u\u{8}us\u{8}sage: tool [-h] [-\u{8}--x X]\r\n",
    ];
    for text in cases {
        assert_eq!(sketch(&parse(text)), "-h [Help]\n--x\n", "{text:?}");
    }
}
