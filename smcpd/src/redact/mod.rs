//! Takes the values of secrets out of what plugins say, before it is logged or told.
//!
//! `forms` has what a value may look like, `net` what is taken out at this moment.

mod forms;
mod net;

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

pub(crate) use net::Net;

/// What the name of a variable has in it whose value is a secret.
const TELLING: [&str; 6] = ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "_KEY", "CREDENTIAL"];
/// Of a secret that was cut, so much is taken for it.
const PART: usize = 4;
/// What stands in its place; shorter than any secret.
const MARK: &[u8] = b"***";
/// What is left may be a secret again, of marks and what was beside them; then nothing of it is kept.
const ROUNDS: usize = 4;

/// The values that are looked for, all of them in one pass.
#[derive(Default)]
pub(crate) struct Redactor {
    matcher: Option<AhoCorasick>,
    patterns: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redactor({} patterns)", self.patterns.len())
    }
}

impl Redactor {
    /// Looks for these values and each of their lines, in every form that programs give them.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(forms::of(values))
    }

    /// Looks for what either looks for.
    fn and(&self, other: &Self) -> Self {
        let mut patterns = [&*self.patterns, &*other.patterns].concat();
        patterns.sort();
        patterns.dedup();
        Self::of(patterns)
    }

    fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    fn of(patterns: Vec<Vec<u8>>) -> Self {
        // A faster kind of automaton needs a kilobyte for each letter of a secret. This one fails only where there are more of
        // them than memory has room for.
        let build = || AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&patterns);
        let matcher = (!patterns.is_empty()).then(|| build().expect("the values are bounded"));
        Self { matcher, patterns }
    }

    /// Returns the text without them.
    pub(crate) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.matcher {
            Some(matcher) if matcher.is_match(text) => {
                let clean = self.bytes(text.as_bytes().to_owned(), Cut::default());
                Cow::Owned(String::from_utf8_lossy(&clean).into_owned())
            }
            Some(_) | None => Cow::Borrowed(text),
        }
    }

    /// Takes them out of the text.
    pub(crate) fn clean(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.text(text) {
            *text = clean;
        }
    }

    /// Returns the bytes without them, and without what was begun or ended where they were cut.
    pub(crate) fn bytes(&self, mut bytes: Vec<u8>, cut: Cut) -> Vec<u8> {
        let Some(matcher) = &self.matcher else { return bytes };
        let mut spans = self.cut_off(&bytes, cut);
        for _ in 0..ROUNDS {
            spans.extend(matcher.find_overlapping_iter(&bytes).map(|found| (found.start(), found.end())));
            if spans.is_empty() {
                return bytes;
            }
            bytes = marked(&bytes, &mut spans);
            spans.clear();
        }
        match matcher.is_match(&bytes) {
            true => MARK.to_owned(),
            false => bytes,
        }
    }

    /// Where the bytes may be cut so that no value is cut in two: before one that is not whole yet.
    pub(crate) fn place_to_cut(&self, bytes: &[u8]) -> usize {
        let begun = self.patterns.iter().filter_map(|pattern| {
            (1..pattern.len().min(bytes.len() + 1)).rev().find(|length| bytes.ends_with(&pattern[..*length]))
        });
        bytes.len() - begun.max().unwrap_or(0)
    }

    fn cut_off(&self, bytes: &[u8], cut: Cut) -> Vec<(usize, usize)> {
        let mut spans = Vec::new();
        for pattern in &self.patterns {
            let parts = || (PART..pattern.len().min(bytes.len() + 1)).rev();
            if cut.after
                && let Some(length) = parts().find(|length| bytes.ends_with(&pattern[..*length]))
            {
                spans.push((bytes.len() - length, bytes.len()));
            }
            if cut.before
                && let Some(length) =
                    parts().find(|length| bytes.starts_with(&pattern[pattern.len() - length..]))
            {
                spans.push((0, length));
            }
        }
        spans
    }
}

/// Whether a variable of this name has a value that is shown nowhere.
pub(crate) fn is_telling(variable: &str) -> bool {
    let upper = variable.to_ascii_uppercase();
    TELLING.iter().any(|word| upper.contains(word))
}

/// Where something was left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cut {
    pub(crate) before: bool,
    pub(crate) after: bool,
}

/// Puts one mark in the place of spans that touch.
fn marked(bytes: &[u8], spans: &mut [(usize, usize)]) -> Vec<u8> {
    spans.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (start, end) in spans.iter().copied() {
        match joined.last_mut() {
            Some((_, last)) if *last >= start => *last = end.max(*last),
            Some(_) | None => joined.push((start, end)),
        }
    }
    let mut clean = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for (start, end) in joined {
        clean.extend_from_slice(&bytes[done..start]);
        clean.extend_from_slice(MARK);
        done = end;
    }
    clean.extend_from_slice(&bytes[done..]);
    clean
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
    use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_said_has_no_value_of_a_secret_in_any_form() {
        let redactor = Redactor::new([
            "s3cret-value",
            "line one\nline two\n",
            "qu\"ote\u{e4}",
            "short",
            "abcdef123",
            "f123xyz9",
        ]);
        for (said, expected) in [
            ("nothing", "nothing"),
            ("short", "short"),
            ("token=s3cret-value!", "token=***!"),
            ("s3cret-values3cret-value", "***"),
            ("a line two b", "a *** b"),
            ("line one\nline two\n", "***\n"),
            (r#"{"k": "qu\"ote\u00e4"}"#, r#"{"k": "***"}"#),
            ("abcdef123xyz9", "***"),
            ("s3cret-valu", "s3cret-valu"),
        ] {
            assert_eq!(redactor.text(said), expected, "{said}");
        }
        assert!(!format!("{redactor:?}").contains("s3cret"));
    }

    #[test]
    fn what_was_cut_off_is_taken_out_too() {
        let redactor = Redactor::new(["s3cret-value"]);
        let cut = |text: &str, before, after| {
            String::from_utf8(redactor.bytes(text.as_bytes().to_owned(), Cut { before, after })).unwrap()
        };
        assert_eq!(cut("x s3cre", false, true), "x ***");
        assert_eq!(cut("value x", true, false), "*** x");
        assert_eq!(cut("value s3cre", false, false), "value s3cre");
        assert_eq!(redactor.place_to_cut(b"x s3cre"), 2);
        assert_eq!(redactor.place_to_cut(b"x s3cre "), 8);
    }

    proptest! {
        #[test]
        fn no_secret_survives_an_encoding(
            secret in "[!-~äß€][ -~äß€]{6,90}[!-~äß€]",
            before in "[a-z:=]{0,6}",
            after in "[a-z&]{0,6}",
        ) {
            let redactor = Redactor::new([&*secret]);
            let said = format!("{before}{secret}{after}");
            let (from, until) = (before.len() * 8, (before.len() + secret.len()) * 8);
            for engine in [BASE64_STANDARD, BASE64_URL_SAFE] {
                let said = engine.encode(&said);
                let own = &said[from.div_ceil(6)..until / 6];
                let clean = redactor.text(&said);
                prop_assert!(!clean.contains(own), "{own} in {clean}");
            }
            let json = |text: &str| serde_json::Value::from(text).to_string();
            let quoted = json(&secret);
            let clean = redactor.text(&json(&said)).into_owned();
            prop_assert!(!clean.contains(&quoted[1..quoted.len() - 1]), "{quoted} in {clean}");
            let in_address = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let kept = in_address(&said).replace("%2D", "-").replace("%2E", ".").replace("%5F", "_").replace("%7E", "~");
            let clean = percent_decode_str(&redactor.text(&kept)).decode_utf8_lossy().into_owned();
            prop_assert!(!clean.contains(&secret), "{secret} in {clean}");
        }

        #[test]
        fn no_secret_survives(
            secrets in prop::collection::vec("[ab*]{6,12}", 1..5),
            text in "[ab*\n]{0,60}",
            places in prop::collection::vec((0_usize..60, 0_usize..5), 0..4),
        ) {
            let mut text = text;
            for (place, which) in places {
                text.insert_str(place.min(text.len()), &secrets[which % secrets.len()]);
            }
            let redactor = Redactor::new(secrets.iter().map(String::as_str));
            let clean = redactor.text(&text).into_owned();
            for secret in &secrets {
                prop_assert!(!clean.contains(secret.as_str()), "{secret} in {clean}");
            }
        }
    }
}
