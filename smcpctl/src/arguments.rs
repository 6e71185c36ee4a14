//! From `key=value`, `key:=JSON` and `key=@FILE` to the arguments of a tool, typed by its schema.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::exit::{Exit, Failure};

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// Puts the arguments together; `schema` is the tool's.
pub(crate) fn parse(
    words: &[String],
    file: Option<&Path>,
    schema: &Value,
) -> Result<Map<String, Value>, Failure> {
    let mut arguments = match file {
        Some(file) => whole(file)?,
        None => Map::new(),
    };
    for word in words {
        let (key, value) = one(word, schema)?;
        match arguments.get_mut(&key) {
            // A list is given by naming it again.
            Some(Value::Array(items)) => match value {
                Value::Array(more) => items.extend(more),
                one => items.push(one),
            },
            Some(_) => return Err(usage(format!("`{key}` is given twice"))),
            None => {
                arguments.insert(key, value);
            }
        }
    }
    Ok(arguments)
}

fn one(word: &str, schema: &Value) -> Result<(String, Value), Failure> {
    let Some((key, value)) = word.split_once('=') else {
        return Err(usage(format!("`{word}` is no argument: write key=value, key:=JSON or key=@FILE")));
    };
    if let Some(key) = key.strip_suffix(':') {
        let value =
            serde_json::from_str(value).map_err(|error| usage(format!("`{key}` is not JSON: {error}")))?;
        return Ok((named(key, schema), value));
    }
    let key = named(key, schema);
    let text = match value.strip_prefix('@') {
        Some(file) => read(Path::new(file)).map(|text| text.trim_end_matches('\n').to_owned())?,
        None => value.to_owned(),
    };
    let value = typed(text, &schema["properties"][&key]);
    Ok((key, value))
}

/// The schema's own spelling of a key; hyphens and underscores are alike.
pub(crate) fn named(key: &str, schema: &Value) -> String {
    let alike = |name: &str| name.replace('-', "_");
    let known = schema["properties"].as_object().into_iter().flat_map(Map::keys);
    known.into_iter().find(|name| alike(name) == alike(key)).cloned().unwrap_or_else(|| key.to_owned())
}

/// What does not fit its type is sent as it is: the daemon says best what is wrong with it.
fn typed(text: String, property: &Value) -> Value {
    let parsed = || serde_json::from_str::<Value>(&text).ok();
    match property["type"].as_str() {
        Some("integer" | "number") => parsed().filter(Value::is_number),
        Some("boolean") => parsed().filter(Value::is_boolean),
        Some("object") => parsed().filter(Value::is_object),
        Some("array") => Some(match parsed() {
            Some(Value::Array(items)) => Value::Array(items),
            _ => Value::Array(vec![typed(text.clone(), &property["items"])]),
        }),
        _ => None,
    }
    .unwrap_or(Value::String(text))
}

fn whole(file: &Path) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&read(file)?)
        .map_err(|error| usage(format!("`{}` is no JSON object: {error}", file.display())))
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(usage(format!("cannot read `{}`: {error}", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_become_arguments_by_the_schema() {
        let schema = json!({"properties": {
            "app_name": {"type": "string"}, "count": {"type": "integer"}, "on": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "integer"}}, "data": {"type": "object"},
        }});
        let parsed = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            parse(&words, None, &schema).map(Value::Object).map_err(|failure| failure.message)
        };
        let cases = [
            (vec!["app-name=7"], json!({"app_name": "7"})),
            (vec!["count=7", "on=true"], json!({"count": 7, "on": true})),
            (vec!["count=seven"], json!({"count": "seven"})),
            (vec!["tags=1", "tags=2"], json!({"tags": [1, 2]})),
            (vec!["tags=[1,2]"], json!({"tags": [1, 2]})),
            (vec!["data={\"a\":1}"], json!({"data": {"a": 1}})),
            (vec!["app_name:={\"a\":1}"], json!({"app_name": {"a": 1}})),
            (vec!["app_name=a=b"], json!({"app_name": "a=b"})),
            (vec!["new="], json!({"new": ""})),
        ];
        for (words, expected) in cases {
            assert_eq!(parsed(&words), Ok(expected), "{words:?}");
        }
        assert_eq!(
            parsed(&["x"]).unwrap_err(),
            "`x` is no argument: write key=value, key:=JSON or key=@FILE"
        );
        assert!(parsed(&["x:=nope"]).unwrap_err().starts_with("`x` is not JSON"));
        assert_eq!(parsed(&["count=1", "count=2"]).unwrap_err(), "`count` is given twice");
        assert!(parsed(&["x=@/nonexistent"]).unwrap_err().starts_with("cannot read `/nonexistent`"));
    }
}
