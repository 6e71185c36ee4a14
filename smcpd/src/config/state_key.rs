//! The keys that several daemons share to seal what travels through their clients (`auth.state_key_file`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::check::Key;
use super::credentials::Credentials;
use super::layers::Origin;
use super::{ConfigError, Effective};
use crate::hexadecimal;
use crate::paths;

const BYTES: usize = 32;
/// Earlier keys are there for an hour, so a file with more is another file.
const MOST: usize = 16;

/// The first one seals, all of them open; none where the daemon makes one for itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct StateKeys(Vec<[u8; BYTES]>);

impl StateKeys {
    pub(crate) fn all(&self) -> &[[u8; BYTES]] {
        &self.0
    }
}

impl std::fmt::Debug for StateKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "StateKeys({} of them)", self.0.len())
    }
}

/// Reads the keys of the credential, else of the file.
pub(super) fn check(
    key: &Key<'_>,
    credentials: &Credentials,
    effective: &mut Effective,
) -> Result<StateKeys, ConfigError> {
    let (text, name, origin) = match (&credentials.state, &key.layers.file.auth.state_key_file) {
        (Some((name, secret)), _) => {
            (secret.reveal().to_owned(), "auth.state_key", Origin::Credential(name.clone()))
        }
        (None, Some(path)) => {
            let name = "auth.state_key_file";
            let text = private(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            let text = text.ok_or_else(|| {
                let path = path.display();
                key.refuse(
                    name,
                    format!("is `{path}`, which every user of this host can read: `chmod o= {path}`"),
                )
            })?;
            (text, name, key.layers.origin(name))
        }
        (None, None) => return Ok(StateKeys::default()),
    };
    let keys = parse(&text).map_err(|message| ConfigError::Value {
        key: name.to_owned(),
        origin: origin.clone(),
        message,
    })?;
    effective.push(("auth.state_key".to_owned(), "***".to_owned(), origin));
    Ok(keys)
}

/// Returns what a file has; `None` where others may read or write it.
fn private(path: &Path) -> io::Result<Option<String>> {
    let file = File::open(path)?;
    if paths::is_open(&file.metadata()?) {
        return Ok(None);
    }
    let mut text = String::new();
    file.take(1 << 16).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Reads one key a line; what is wrong is told without showing it.
fn parse(text: &str) -> Result<StateKeys, String> {
    let wanted = "a key is 64 hexadecimal digits, and `openssl rand -hex 32` makes one";
    let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
    let keys = lines.map(|(line, number)| {
        hexadecimal::read(line).ok_or_else(|| {
            let letters = line.chars().count();
            format!("has no key in line {number}, which has {letters} letters: {wanted}")
        })
    });
    let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
    match keys.len() {
        0 => Err(format!("has no key: {wanted}")),
        1..=MOST => Ok(StateKeys(keys)),
        many => {
            Err(format!("has {many} keys, and {MOST} are the most: an earlier one is needed for an hour"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines_of_hexadecimal_digits_and_what_is_wrong_is_not_shown() {
        let good = "00ff7A".repeat(10) + "0102";
        let of = |first: u8| [first].into_iter().chain([0x22; BYTES - 1]).collect::<Vec<_>>();
        let keys = parse(&format!("\n {good}\r\n\n11{}\n", "22".repeat(31))).unwrap();
        assert_eq!(
            (keys.all().len(), &keys.all()[0][..4], keys.all()[1].to_vec()),
            (2, &[0, 255, 122, 0][..], of(0x11))
        );
        assert_eq!(format!("{keys:?}"), "StateKeys(2 of them)");
        for (text, said) in [
            (String::new(), "has no key: "),
            (" \n\n".to_owned(), "has no key: "),
            (good[..62].to_owned(), "in line 1, which has 62 letters: a key is 64 hexadecimal digits"),
            (format!("{good}\n\nhush{}", &good[4..]), "in line 3, which has 64 letters"),
            (format!("+1{}", &good[2..]), "in line 1"),
            (format!("\u{e4}{}", &good[2..]), "which has 63 letters"),
            (format!("{good}\n").repeat(17), "has 17 keys, and 16 are the most"),
        ] {
            let message = parse(&text).unwrap_err();
            assert!(message.contains(said) && !message.contains("hush"), "{message}");
        }
    }
}
