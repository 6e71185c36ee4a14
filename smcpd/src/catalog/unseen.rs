//! Takes out of what a plugin says of itself what nobody would see: terminals obey it, models read it.
//!
//! Control characters and their sequences, Unicode tags, marks that turn the direction of a line, invisible operators,
//! and letters without width. Joiners stay, which scripts and emoji need, and so do single variation selectors. Only
//! titles, descriptions and the messages of prompts are cleaned: values, such as choices and defaults, are a program's
//! to read.

use serde_json::Value;

use super::model::Description;

pub(super) const MESSAGE: &str =
    "it holds characters that nobody sees and that terminals obey or models read: they are left out";
/// What holds values, and not words about them.
const VALUES: [&str; 8] =
    ["default", "examples", "example", "enum", "const", "choices", "extra", "plugin_extra"];

/// Takes it out, and notes where in the description it stood.
pub(super) fn take_out(description: Description) -> Description {
    let mut value = serde_json::to_value(&description).expect("a description has string keys");
    let mut places = Vec::new();
    clean(&mut value, "", false, &mut places);
    if places.is_empty() {
        return description;
    }
    // It was read from the like of it a moment ago; less text does not make it unreadable.
    let Ok(cleaned) = serde_json::from_value(value) else { return description };
    Description { unseen: places, ..cleaned }
}

/// `said`: a text is part of a message.
fn clean(value: &mut Value, at: &str, said: bool, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut().filter(|(key, _)| !VALUES.contains(&key.as_str())) {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                let is_words =
                    matches!(key.as_str(), "title" | "description" | "version") || said && key == "text";
                match member {
                    Value::String(text) if is_words => {
                        if let Some(seen) = seen(text) {
                            *text = seen;
                            places.push(at);
                        }
                    }
                    other => clean(other, &at, said || key == "messages", places),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                clean(item, &format!("{at}[{index}]"), said, places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the text without what is not seen; `None` where all of it is.
fn seen(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut before = None;
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' if letters.next_if_eq(&'[').is_some() => {
                while letters.next_if(|next| matches!(next, ' '..='?')).is_some() {}
                letters.next_if(|next| matches!(next, '@'..='~'));
            }
            '\u{1b}' if letters.next_if_eq(&']').is_some() => {
                while letters.next_if(|next| !matches!(next, '\u{7}' | '\u{1b}' | '\n')).is_some() {}
                if letters.next_if_eq(&'\u{7}').is_none() && letters.next_if_eq(&'\u{1b}').is_some() {
                    letters.next_if_eq(&'\\');
                }
            }
            letter if is_unseen(letter) || is_selector(letter) && before.is_none_or(is_selector) => {}
            letter => plain.push(letter),
        }
        before = Some(letter);
    }
    (plain.len() != text.len()).then_some(plain)
}

fn is_selector(letter: char) -> bool {
    matches!(letter, '\u{fe00}'..='\u{fe0f}')
}

fn is_unseen(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\t')
        || matches!(
            letter,
            '\u{200b}' | '\u{2060}'..='\u{206f}' | '\u{202a}'..='\u{202e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                // Tags, which spell any text unseen; and the selectors that do the same for bytes.
                | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_seen_stays_and_what_is_not_goes() {
        let cases = [
            ("a\u{1b}[31mred\u{1b}[0m", Some("ared")),
            ("\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\link", Some("blink")),
            ("\u{1b}]never ended\nnext", Some("\nnext")),
            ("\u{9b}31mc\u{7f}", Some("31mc")),
            ("x\u{e0049}\u{e0067}\u{e006e}", Some("x")),
            ("x\u{202e}y\u{2066}z\u{2069}", Some("xyz")),
            ("x\u{2062}\u{2064}\u{200b}\u{feff}", Some("x")),
            ("x\u{fe00}\u{fe01}\u{fe02}\u{e0101}", Some("x\u{fe00}")),
            ("a\r\nb", Some("a\nb")),
            ("two\n\tlines, an \u{2764}\u{fe0f}, \u{1f469}\u{200d}\u{1f4bb} and \u{5d0}\u{200f}", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seen(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn words_are_cleaned_wherever_they_stand_and_values_are_left() {
        let tagged = "x\u{e0041}";
        let mut value = json!({
            "description": tagged,
            "commands": [{"title": tagged, "input_schema": {"properties": {"description": {"description": tagged,
                "default": {"title": tagged}, "enum": [tagged]}}}}],
            "offers": {"prompts": [{"answer": {"messages": [{"content": {"type": "text", "text": tagged}}]}}]},
            "extra": {"description": tagged},
        });
        let mut places = Vec::new();
        clean(&mut value, "", false, &mut places);
        places.sort();
        assert_eq!(
            places,
            [
                "commands[0].input_schema.properties.description.description",
                "commands[0].title",
                "description",
                "offers.prompts[0].answer.messages[0].content.text",
            ]
        );
        let left = &value["commands"][0]["input_schema"]["properties"]["description"];
        assert_eq!(left, &json!({"description": "x", "default": {"title": tagged}, "enum": [tagged]}));
        assert_eq!(value["extra"]["description"], tagged);
    }
}
