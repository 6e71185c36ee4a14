//! Texts of no program at all: whatever they are, reading them ends soon.

use proptest::prelude::*;

use super::lines::STEPS;
use super::tests::recorded;
use super::*;

/// All that the recordings hold, for the tests that spoil it.
fn all_recorded() -> Vec<String> {
    ["py3.8", "py3.13", "py3.14-color", "foreign"]
        .iter()
        .flat_map(|folder| recorded(folder).into_values())
        .collect()
}

fn steps(text: &str) -> usize {
    STEPS.with(|count| count.set(0));
    parse(text);
    STEPS.with(std::cell::Cell::get)
}

#[test]
fn the_work_grows_no_faster_than_the_text() {
    let parts = [
        " ",
        "\n",
        "a",
        "a ",
        "a\n",
        "-",
        "-a",
        "-a ",
        "-a,",
        "-a/",
        "/-a",
        "-a|",
        ", -a",
        "--a=",
        "[",
        "]",
        "[]",
        "[a ",
        "[-a ",
        "[-a | ",
        "(a|",
        "(-a ",
        "{",
        "}",
        "{a,",
        "{a ",
        "<",
        "<-",
        "<a ",
        "...",
        " ...",
        "a ... ",
        "a [a ...] ",
        "[a [a ...]] ",
        "a  ",
        "  a  b\n",
        "  -a  b\n",
        "    a  b\n",
        "  -a A, --b A  c\n",
        "  a\n\n",
        "\n  a:\n",
        "a:\n  b\n",
        "A\n  b\n",
        "commands:\n  a  b\n",
        "commands: a, ",
        "(default: ",
        "[default: ",
        "[a; ",
        "\u{1b}",
        "\u{1b}[",
        "\u{1b}]",
        "\u{8}",
        "\t",
        "│ a ",
        "│ -a  --b  A  c │\n",
        "╭─ A ─╮\n",
        "usage:\n",
        "usage: a\n",
        "or: a\n",
        "é",
        "  é  é\n",
        "- a: ",
        "a, b (",
    ];
    let heads = [
        "",
        "usage: ",
        "usage: t ",
        "usage: t [",
        "usage: t [-h]\n\noptions:\n  -h  x\n",
        "usage: t [-h]\n\noptions:\n  -x ",
        "usage: t [-h] a ...\n\npositional arguments:\n  a\n",
        "usage: t [-h]  ...\n\npositional arguments:\n",
        "Usage: t\n\nCommands:\n",
        "Usage: t\n\nOptions:\n  --a  ",
        "Available commands:\n",
        "╭─ Options ─╮\n│ ",
    ];
    for head in heads {
        for part in parts {
            let [short, long] = [250, 2000].map(|times| format!("{head}{}", part.repeat(times)));
            let (few, many) = (steps(&short), steps(&long));
            assert!(many <= 10 * few + 2000, "{head:?} {part:?}: {few} steps became {many}");
            assert!(many <= 200 * long.len(), "{head:?} {part:?}: {many} steps for {} bytes", long.len());
        }
    }
    for text in all_recorded() {
        let repeated = text.repeat(20);
        assert!(steps(&repeated) <= 25 * steps(&text) + 2000, "{text}");
    }
}

/// Pieces of help, to be put together in ways that no parser would.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 48] = [
        "usage:",
        "Usage: ",
        "USAGE\n",
        "tool",
        " ",
        "  ",
        "    ",
        "\n",
        "\n\n",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "<",
        ">",
        "|",
        "...",
        "-h",
        "--help",
        "-x",
        "--no-x",
        "--long",
        "X",
        "{a,b}",
        "[X ...]",
        "[X [X ...]]",
        ", ",
        ",",
        "=",
        ":",
        "/",
        "options:\n",
        "positional arguments:\n",
        "optional arguments:\n",
        "Commands:\n",
        "commands: ",
        "(default: 3)",
        "[default: 3]",
        "==SUPPRESS==",
        "\u{1b}[1m",
        "\u{1b}]",
        "\t",
        "│",
        "╭─ Options ─╮\n",
        "* ",
        "é",
    ];
    prop_oneof![
        8 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_text_is_too_odd(chars in prop::collection::vec(any::<char>(), 0..400)) {
        parse(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn no_mixture_of_help_is_too_odd(pieces in prop::collection::vec(piece(), 0..120)) {
        let text = pieces.concat();
        let help = parse(&text);
        // Whatever was read holds together.
        for group in &help.parser.exclusive {
            prop_assert!(group.members.iter().all(|at| *at < help.parser.actions.len()));
        }
        for action in &help.parser.actions {
            prop_assert!(action.kind == Kind::Subcommands || action.commands.is_empty());
        }
    }

    #[test]
    fn no_spoiled_help_is_too_odd(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, piece()), 1..12),
    ) {
        let texts = all_recorded();
        let mut chars: Vec<char> = which.get(&texts).chars().collect();
        for (at, length, new) in cuts {
            let start = at.index(chars.len() + 1);
            let end = (start + length).min(chars.len());
            chars.splice(start..end, new.chars());
        }
        parse(&chars.into_iter().collect::<String>());
    }
}
