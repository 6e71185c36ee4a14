//! The usage line: which options and positionals there are, what must be given and what excludes what.

use std::ops::Range;

use super::super::parser_tree::Nargs;
use super::lines::{Line, tick};
use super::spelling::{bare_name, choices, flag_at, is_flag};

/// Deeper brackets are text: no usage needs them, and a hostile one must not cost more than it is long.
const MAX_DEPTH: usize = 8;

/// The usage as found in the text.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) lines: Range<usize>,
    /// One for each way to call it; argparse knows only one.
    pub(super) forms: Vec<String>,
}

/// What the usage names, in its order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item<'a> {
    Flag {
        flag: &'a str,
        /// What follows the flag and is taken to be its values.
        values: &'a str,
        required: bool,
        group: Option<usize>,
    },
    Word {
        name: &'a str,
        nargs: Nargs,
        required: bool,
        group: Option<usize>,
        /// Before any option: it may be a part of the program's name.
        early: bool,
    },
    /// A `...` by itself, after a word that must be given: either a remainder or that word's subcommands. Nameless where
    /// a second blank before it tells that it follows the empty metavar of subcommands.
    More { nameless: bool },
}

/// All that the usage says.
#[derive(Debug, Default)]
pub(super) struct Reading<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// For each group of which one may be given, whether one must.
    pub(super) groups: Vec<bool>,
    /// Whether a word like `[options]` stands for options that are not named.
    pub(super) is_short: bool,
}

/// Finds the usage; it opens with the word, wherever log lines before it may have put it.
pub(super) fn find(lines: &[Line<'_>]) -> Option<Usage> {
    let (at, rest) = lines.iter().enumerate().find_map(|(at, line)| {
        let followed = lines.get(at + 1).is_some_and(|next| next.indent > line.indent);
        after_keyword(line.text, followed).map(|rest| (at, rest))
    })?;
    let first = lines.get(at)?;
    let mut forms: Vec<String> = Vec::new();
    let mut end = at + 1;
    let mut column = None;
    if !rest.is_empty() {
        forms.push(rest.to_owned());
    }
    let program = rest.split(' ').next().unwrap_or_default();
    for line in lines.iter().skip(at + 1) {
        tick(line.text.len() + 1);
        if line.is_blank() && forms.is_empty() && end == at + 1 {
            end += 1; // one blank line after `USAGE` alone
            continue;
        }
        let is_option = forms.is_empty() && line.text.starts_with('-'); // under Go's `Usage of NAME:`
        if line.is_blank() || line.indent <= first.indent || is_option {
            break;
        }
        end += 1;
        let text = line.text.strip_prefix("or: ").map_or(line.text, str::trim_start);
        let repeats = !program.is_empty() && text.split(' ').next() == Some(program);
        let is_new = if rest.is_empty() {
            line.indent <= *column.get_or_insert(line.indent)
        } else {
            repeats || text.len() < line.text.len()
        };
        match forms.last_mut().filter(|_| !is_new) {
            Some(form) => {
                form.push(' ');
                form.push_str(text);
            }
            None => forms.push(text.strip_prefix("$ ").unwrap_or(text).to_owned()),
        }
    }
    Some(Usage { lines: at..end, forms })
}

fn after_keyword(text: &str, followed: bool) -> Option<&str> {
    let rest =
        text.get(5..).filter(|_| text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("usage")))?;
    if let Some(rest) = rest.strip_prefix(':') {
        return Some(rest.trim());
    }
    // Go's `Usage of NAME:` and the bare `USAGE` heading.
    if rest.starts_with(" of ") && rest.ends_with(':') || rest.is_empty() && followed {
        return Some("");
    }
    None
}

#[derive(Debug)]
enum Node<'a> {
    Word(&'a str, Range<usize>),
    Bar,
    Group { required: bool, children: Vec<Node<'a>>, span: Range<usize>, repeated: bool },
}

/// Reads one form; `values_of` tells how many words of the usage belong to a flag, where the rows know it.
pub(super) fn read<'a>(form: &'a str, values_of: &dyn Fn(&str) -> Option<usize>) -> Reading<'a> {
    let nodes = nodes(form);
    let mut reader = Reader { form, values_of, reading: Reading::default(), early: true };
    // The first word is the program, and `python -m` before a module belongs to it.
    let program = match nodes.as_slice() {
        [Node::Word(python, _), Node::Word("-m", _), ..] if python.contains("python") => 3,
        [Node::Word(..), ..] => 1,
        _ => 0,
    };
    reader.sequence(
        nodes.get(program..).unwrap_or_default(),
        Context { required: true, group: None, inside: false },
    );
    reader.reading
}

/// Tells how many words of a usage the values of an option make up.
pub(super) fn count(values: &str) -> usize {
    nodes(values).len()
}

#[derive(Clone, Copy)]
struct Context {
    required: bool,
    group: Option<usize>,
    /// In brackets, where all that follows a flag is its values.
    inside: bool,
}

struct Reader<'a, 'f> {
    form: &'a str,
    values_of: &'f dyn Fn(&str) -> Option<usize>,
    reading: Reading<'a>,
    early: bool,
}

impl<'a> Reader<'a, '_> {
    fn sequence(&mut self, nodes: &[Node<'a>], context: Context) {
        // Only what this sequence added may be changed by what comes after it.
        let start = self.reading.items.len();
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            tick(1);
            at += 1;
            match node {
                Node::Bar => {}
                Node::Word(word, span) if is_flag(flag_at(word)) => {
                    self.early = false;
                    at += self.flag(word, span.end, nodes.get(at..).unwrap_or_default(), context);
                }
                Node::Word(word, span) => self.word(word, span.start, context, start),
                Node::Group { required, children, repeated, span } => {
                    self.group(*required, children, *repeated, span, context, start);
                }
            }
        }
    }

    /// Adds an option and returns how many of the nodes after it are its values.
    fn flag(&mut self, word: &'a str, end: usize, after: &[Node<'a>], context: Context) -> usize {
        let flag = flag_at(word);
        let attached = word[flag.len()..].trim_start_matches('=');
        let available = after.iter().take_while(|node| is_value(node)).count();
        let taken = if !attached.is_empty() {
            0
        } else if context.inside {
            available
        } else {
            // A bare flag without a row may have a value or a positional after it; a value is likelier.
            let guess = usize::from(matches!(after.first(), Some(Node::Word(word, _)) if *word != "..."));
            (self.values_of)(flag).unwrap_or(guess).min(available)
        };
        tick(taken);
        let values = match taken.checked_sub(1).and_then(|last| after.get(last)) {
            Some(Node::Word(_, span) | Node::Group { span, .. }) => {
                self.form.get(end..span.end).unwrap_or_default().trim()
            }
            _ => attached,
        };
        let Context { required, group, .. } = context;
        self.reading.items.push(Item::Flag { flag, values, required, group });
        taken
    }

    fn word(&mut self, word: &'a str, at: usize, context: Context, start: usize) {
        if word == "..." {
            // In brackets it can only repeat the word before it.
            match self.last_word(start) {
                Some(nargs) if !context.required && *nargs != Nargs::Remainder => *nargs = Nargs::Any,
                _ => {
                    let nameless = self.form.get(..at).is_some_and(|before| before.ends_with("  "));
                    self.reading.items.push(Item::More { nameless });
                }
            }
            return;
        }
        let (name, repeated) = match word.strip_suffix("...") {
            Some(name) => (name, true),
            None => (word, false),
        };
        if is_options(name) {
            self.reading.is_short = true;
            self.early = false;
            return;
        }
        if let Some(Item::Word { name: last, nargs, .. }) = self.reading.items[start..].last_mut()
            && *last == name
            && let Some(more) = match *nargs {
                Nargs::One if !repeated => Some(2),
                Nargs::Exactly(n) if !repeated => n.checked_add(1),
                _ => None,
            }
        {
            *nargs = Nargs::Exactly(more);
            return;
        }
        let nargs = match (repeated, context.required) {
            (false, true) => Nargs::One,
            (false, false) => Nargs::Optional,
            (true, true) => Nargs::AtLeastOne,
            (true, false) => Nargs::Any,
        };
        let Context { required, group, .. } = context;
        self.reading.items.push(Item::Word { name, nargs, required, group, early: self.early });
    }

    fn last_word(&mut self, start: usize) -> Option<&mut Nargs> {
        match self.reading.items[start..].last_mut() {
            Some(Item::Word { nargs, .. }) => Some(nargs),
            _ => None,
        }
    }

    fn group(
        &mut self,
        required: bool,
        children: &[Node<'a>],
        repeated: bool,
        span: &Range<usize>,
        context: Context,
        start: usize,
    ) {
        // `X [X ...]`: what the bracket holds is the word before it again.
        if let Some(Item::Word { name: last, nargs, .. }) = self.reading.items[start..].last_mut()
            && let [Node::Word(name, _), rest @ ..] = children
            && (name == last && matches!(rest, [Node::Word("...", _)])
                || name.strip_suffix("...") == Some(last)
                || name == last && repeated)
        {
            *nargs = if context.required { Nargs::AtLeastOne } else { Nargs::Any };
            return;
        }
        if children.iter().any(|node| matches!(node, Node::Bar)) {
            // `[start|stop]` is one word of several; anything longer excludes each other.
            let text = self.form.get(span.clone()).unwrap_or_default().trim_end_matches("...");
            if children.iter().all(is_plain_word) && choices(text).is_some() {
                let required = required && context.required;
                let nargs = if required { Nargs::One } else { Nargs::Optional };
                let Context { group, .. } = context;
                self.reading.items.push(Item::Word { name: text, nargs, required, group, early: false });
                return;
            }
            self.early = false;
            let group = self.reading.groups.len();
            self.reading.groups.push(required && context.required);
            for part in children.split(|node| matches!(node, Node::Bar)) {
                self.sequence(part, Context { required: false, group: Some(group), inside: true });
            }
            return;
        }
        let before = self.reading.items.len();
        let was_early = self.early;
        let required = required && context.required;
        self.sequence(children, Context { required, group: context.group, inside: true });
        if repeated {
            for item in &mut self.reading.items[before..] {
                tick(1);
                if let Item::Word { nargs, .. } = item {
                    *nargs = if required { Nargs::AtLeastOne } else { Nargs::Any };
                }
            }
        }
        // The positionals of a parent stand before the name of its command, in brackets or not.
        self.early &= was_early;
    }
}

fn is_value(node: &Node<'_>) -> bool {
    match node {
        Node::Bar => false,
        Node::Word(word, _) => !is_flag(flag_at(word)),
        Node::Group { children, .. } => !children.iter().any(|child| {
            matches!(child, Node::Bar) || matches!(child, Node::Word(word, _) if is_flag(flag_at(word)))
        }),
    }
}

fn is_plain_word(node: &Node<'_>) -> bool {
    match node {
        Node::Bar => true,
        Node::Word(word, _) => {
            !is_flag(flag_at(word))
                && !word.starts_with(['<', '[', '{'])
                && !word.bytes().any(|b| b.is_ascii_uppercase())
        }
        Node::Group { .. } => false,
    }
}

/// Tells whether a word only stands for options: `[OPTIONS]`, `<options>`, `[flags]`.
fn is_options(word: &str) -> bool {
    let name = bare_name(word);
    ["options", "option", "opts", "flags", "option(s)"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Splits a usage into words and brackets.
fn nodes(text: &str) -> Vec<Node<'_>> {
    struct Open<'a> {
        closer: u8,
        required: bool,
        start: usize,
        children: Vec<Node<'a>>,
    }
    let bytes = text.as_bytes();
    let mut stack: Vec<Open<'_>> = Vec::new();
    let mut top: Vec<Node<'_>> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        tick(1);
        let closer = stack.last().map(|open| open.closer);
        let opens = match byte {
            b'[' => Some((b']', false)),
            b'(' => Some((b')', true)),
            // clap's `<--a|--b>`; any other `<` begins a name.
            b'<' if bytes.get(at + 1) == Some(&b'-') => Some((b'>', true)),
            _ => None,
        };
        if byte == b' ' {
            at += 1;
        } else if let Some((closer, required)) = opens
            && stack.len() < MAX_DEPTH
        {
            stack.push(Open { closer, required, start: at, children: std::mem::take(&mut top) });
            at += 1;
        } else if Some(byte) == closer {
            at += 1;
            let end = at;
            let repeated = text[at..].starts_with("...");
            if repeated {
                at += 3;
            }
            if let Some(open) = stack.pop() {
                let children = std::mem::replace(&mut top, open.children);
                top.push(Node::Group { required: open.required, children, span: open.start..end, repeated });
            }
        } else if byte == b'|' {
            top.push(Node::Bar);
            at += 1;
        } else {
            let end = word_end(bytes, at, closer).max(at + 1);
            // Every stop above is ASCII, so both ends are character boundaries.
            top.push(Node::Word(text.get(at..end).unwrap_or_default(), at..end));
            at = end;
        }
    }
    // A bracket that was never closed ends with the text.
    while let Some(open) = stack.pop() {
        let children = std::mem::replace(&mut top, open.children);
        top.push(Node::Group {
            required: open.required,
            children,
            span: open.start..text.len(),
            repeated: false,
        });
    }
    top
}

/// Finds the end of a word: a blank, a bar, or the bracket that closes what the word stands in.
fn word_end(bytes: &[u8], start: usize, closer: Option<u8>) -> usize {
    let mut at = start;
    let mut depth = 0_usize;
    // Blanks count only in braces, where a choice may hold any text, and in a name like `<file name>`.
    let mut keeps_blanks = false;
    while let Some(&byte) = bytes.get(at) {
        tick(1);
        match byte {
            b' ' if !keeps_blanks => return at,
            b'|' if depth == 0 => return at,
            b'{' => {
                depth += 1;
                keeps_blanks = true;
            }
            b'<' => {
                depth += 1;
                keeps_blanks |= bytes[at..].iter().take(80).any(|&b| b == b'>');
            }
            b'[' | b'(' => depth += 1,
            b']' | b')' | b'}' | b'>' => {
                if depth == 0 && Some(byte) == closer {
                    return at;
                }
                depth = depth.saturating_sub(1);
                keeps_blanks &= depth > 0;
            }
            _ => {}
        }
        at += 1;
    }
    at
}
