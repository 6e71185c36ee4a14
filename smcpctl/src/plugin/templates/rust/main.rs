//! NAME: one line about what it is for.

use std::process::ExitCode;

/// What there is: commands, their parameters, types and descriptions. An agent chooses by these words.
const CONTRACT: &str = r#"{
  "contract_version": "1.1",
  "plugin": {
    "name": "NAME",
    "version": "0.1.0",
    "description": "Greets people. Replace this with what NAME is for."
  },
  "commands": [
    {
      "name": "greet",
      "description": "Greet someone by name",
      "parameters": [
        {"name": "name", "type": "string", "description": "Whom to greet", "required": true},
        {"name": "times", "type": "integer", "description": "How often to say it", "default": 1, "minimum": 1, "maximum": 100}
      ]
    }
  ]
}"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        // The caller reads this text, so say what went wrong and what to do.
        Err(reason) => {
            println!("{{\"error\": {}}}", quote(&reason));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String, String> {
    match arguments.split_first() {
        Some((command, _)) if command == "--describe" => Ok(CONTRACT.to_owned()),
        Some((command, rest)) if command == "greet" => greet(rest),
        Some((command, _)) => Err(format!("there is no command `{command}`: try --describe")),
        None => Err("give a command: try --describe".to_owned()),
    }
}

fn greet(arguments: &[String]) -> Result<String, String> {
    let (mut name, mut times) = (None, 1_u32);
    for argument in arguments {
        match argument.split_once('=') {
            Some(("--name", value)) => name = Some(value),
            Some(("--times", value)) => {
                times = value.parse().map_err(|_| format!("--times must be a whole number, not `{value}`"))?;
            }
            _ => return Err(format!("greet does not know `{argument}`")),
        }
    }
    let name = name.ok_or("--name is missing: say whom to greet")?;
    if !(1..=100).contains(&times) {
        return Err("--times must be from 1 to 100".to_owned());
    }
    let text = vec![format!("Hello, {name}!"); times as usize].join(" ");
    Ok(format!("{{\"greeting\": {}}}", quote(&text)))
}

/// Returns the text as a JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::run;

    fn said(line: &str) -> Result<String, String> {
        run(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn greets_as_often_as_asked_and_says_what_is_wrong() {
        assert_eq!(said("greet --name=Ada --times=2").unwrap(), r#"{"greeting": "Hello, Ada! Hello, Ada!"}"#);
        assert!(said("greet").unwrap_err().contains("--name"));
        assert!(said("greet --name=Ada --times=0").unwrap_err().contains("--times"));
    }
}
