//! Takes the values of secrets out of what plugins say, before it is logged or told.

use std::borrow::Cow;

use aho_corasick::AhoCorasick;

/// A shorter value stands in too many words that are none of it.
pub(crate) const LEAST: usize = 6;
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
    /// Looks for these values, as they are, as JSON has them, and for each of their lines: what is said is cut into lines.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        for value in values {
            for part in std::iter::once(value).chain(value.lines()).map(str::trim) {
                let escaped = serde_json::Value::from(part).to_string();
                let ascii: String = escaped.chars().flat_map(in_ascii).collect();
                for form in [part, &escaped[1..escaped.len() - 1], &ascii[1..ascii.len() - 1]] {
                    if form.len() >= LEAST {
                        patterns.push(form.as_bytes().to_owned());
                    }
                }
            }
        }
        patterns.sort();
        patterns.dedup();
        // It fails only where there are more of them than memory has room for.
        let matcher =
            (!patterns.is_empty()).then(|| AhoCorasick::new(&patterns).expect("the values are bounded"));
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

/// As writers of JSON have a letter that keep to ASCII.
fn in_ascii(letter: char) -> Vec<char> {
    if letter.is_ascii() {
        return vec![letter];
    }
    let mut units = [0; 2];
    letter
        .encode_utf16(&mut units)
        .iter()
        .flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
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
