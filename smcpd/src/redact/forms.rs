//! The forms that the value of a secret has in what programs say: as it is, as JSON has it, in addresses, in base64.

use std::iter;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A shorter value stands in too many words that are none of it.
const LEAST: usize = 6;
/// A longer one is not looked for in addresses and in base64.
const LONGEST: usize = 8 << 10;
/// Nor is what has no room in so many bytes with all the others; the short ones come first.
const ROOM: usize = 1 << 20;
/// What stands in one line of base64, as `base64` and `openssl` cut it.
const LINES: [usize; 2] = [57, 48];

/// What writers of addresses leave as it is: `quote` of Python with and without `safe`, `encodeURIComponent`,
/// `encodeURI`, and forms.
const KEPT: [&AsciiSet; 5] = [
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~'),
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/'),
    &OF_COMPONENTS,
    &OF_COMPONENTS
        .remove(b';')
        .remove(b',')
        .remove(b'/')
        .remove(b'?')
        .remove(b':')
        .remove(b'@')
        .remove(b'&')
        .remove(b'=')
        .remove(b'+')
        .remove(b'$')
        .remove(b'#'),
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*'),
];
const OF_COMPONENTS: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// Returns every form of these values, and of each of their lines: what is said is cut into lines.
pub(super) fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let (mut plain, mut encoded) = (Vec::new(), Vec::new());
    for value in values {
        for part in iter::once(value).chain(value.lines()).map(str::trim) {
            plain.push(part.to_owned());
            plain.extend(in_json(part));
            if (LEAST..=LONGEST).contains(&part.len()) {
                encoded.extend(in_addresses(part));
                encoded.extend(in_base64(part.as_bytes()));
            }
        }
    }
    encoded.sort_by(|one: &String, other| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
    encoded.dedup();
    let mut taken = 0;
    let encoded = encoded.into_iter().take_while(|form| {
        taken += form.len();
        taken <= ROOM
    });
    let all = plain.into_iter().chain(encoded).filter(|form| form.len() >= LEAST);
    let mut all: Vec<Vec<u8>> = all.map(String::into_bytes).collect();
    all.sort();
    all.dedup();
    all
}

/// As writers of JSON have it: some keep to ASCII, some take care of `/`, or of what HTML would read.
fn in_json(text: &str) -> Vec<String> {
    let whole = serde_json::Value::from(text).to_string();
    let escaped = &whole[1..whole.len() - 1];
    let ascii: String = escaped.chars().flat_map(in_ascii).collect();
    let html = escaped.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let slashes = [escaped.replace('/', "\\/"), ascii.replace('/', "\\/")];
    [escaped.to_owned(), ascii, html].into_iter().chain(slashes).collect()
}

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

/// Percent-encoded, as one writer or the other does it, with digits of either case and a blank of either kind.
fn in_addresses(text: &str) -> impl Iterator<Item = String> + '_ {
    KEPT.into_iter().flat_map(move |kept| {
        let upper = utf8_percent_encode(text, kept).to_string();
        let plus = upper.replace("%20", "+");
        let lower = [lower(&upper), lower(&plus)];
        [upper, plus].into_iter().chain(lower)
    })
}

/// The same with small letters as digits.
fn lower(encoded: &str) -> String {
    let mut digits = 0_u32;
    let small = |letter: char| {
        let is_digit = digits > 0;
        digits = if letter == '%' { 2 } else { digits.saturating_sub(1) };
        if is_digit { letter.to_ascii_lowercase() } else { letter }
    };
    encoded.chars().map(small).collect()
}

/// The letters of base64 that are of this value alone, wherever it stands in what was encoded; and its lines, where it
/// was encoded by itself and cut.
fn in_base64(value: &[u8]) -> Vec<String> {
    let of = |before: usize, bytes: &[u8]| {
        let padded = [&[0; 2][..before], bytes].concat();
        let alone = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
        [BASE64_STANDARD_NO_PAD.encode(&padded), BASE64_URL_SAFE_NO_PAD.encode(&padded)]
            .map(|whole| whole[alone.clone()].to_owned())
    };
    let whole = (0..3).flat_map(|before| of(before, value));
    let cut = LINES.into_iter().filter(|length| value.len() > *length);
    let cut = cut.flat_map(|length| value.chunks(length)).flat_map(|line| of(0, line));
    whole.chain(cut).collect()
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;

    const SECRET: &str = "p@ss w/\u{f6}rd+\"1\"~<x>";

    /// As Python, Node, PHP, Go, `base64` and `openssl` write it.
    #[test]
    fn every_writers_form_of_a_value_is_taken_out() {
        let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789";
        let redactor = Redactor::new([SECRET, long]);
        for (said, expected) in [
            ("p%40ss%20w/%C3%B6rd%2B%221%22~%3Cx%3E", "***"),
            ("a=p%40ss%20w%2F%C3%B6rd%2B%221%22~%3Cx%3E&b", "a=***&b"),
            ("p%40ss%20w%2f%c3%b6rd%2b%221%22~%3cx%3e", "***"),
            ("p%40ss+w%2F%C3%B6rd%2B%221%22~%3Cx%3E", "***"),
            ("p%40ss+w%2F%C3%B6rd%2B%221%22%7E%3Cx%3E", "***"),
            ("p@ss%20w/%C3%B6rd+%221%22~%3Cx%3E", "***"),
            (r#""p@ss w/\u00f6rd+\"1\"~<x>""#, r#""***""#),
            (r#""p@ss w\/\u00f6rd+\"1\"~<x>""#, r#""***""#),
            ("\"p@ss w/\u{f6}rd+\\\"1\\\"~\\u003cx\\u003e\"", r#""***""#),
            ("cEBzcyB3L8O2cmQrIjEifjx4PiE=", "***iE="),
            ("dXBAc3Mgdy/DtnJkKyIxIn48eD4h", "dX***4h"),
            ("dXNwQHNzIHcvw7ZyZCsiMSJ+PHg+IQ==", "dXN***IQ=="),
            ("Basic dXNlcjpwQHNzIHcvw7ZyZCsiMSJ-PHg-IQ", "Basic dXNlcjp***IQ"),
            ("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RV", "***"),
            ("VldYWVotMDEyMzQ1Njc4OQ==", "***Q=="),
            ("MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktM", "***"),
        ] {
            assert_eq!(redactor.text(said), expected, "{said}");
        }
    }

    #[test]
    fn what_is_looked_for_is_bounded() {
        let values: Vec<String> = (100..300).map(|at| format!("{at}").repeat(8_000 / 3)).collect();
        let forms = super::of(values.iter().map(String::as_str));
        let all: usize = forms.iter().map(Vec::len).sum();
        let own: usize = values.iter().map(String::len).sum();
        assert!(all <= own + super::ROOM, "{all} of {own}");
        assert!(values.iter().all(|value| forms.contains(&value.clone().into_bytes())));
        let token = super::of(["0123456789abcdef0123456789abcdef"]);
        assert_eq!(token.len(), 4, "as it is, and three in base64");
    }
}
