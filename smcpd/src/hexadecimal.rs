//! Bytes as text, two digits each.

/// Returns the digits, in lower case.
pub(crate) fn write(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).expect("half a byte is a digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Returns the bytes of as many digits; nothing of any other text.
pub(crate) fn read<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    if text.len() != 2 * BYTES {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()?;
    }
    Some(bytes)
}

/// Returns an id that nobody guesses: 128 bits of the operating system's randomness.
pub(crate) fn random_id() -> String {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).expect("the operating system gives randomness");
    write(&random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(read::<256>(&write(&every)), Some(every.try_into().unwrap()));
        assert_eq!(write(&[0, 15, 255]), "000fff");
        assert_eq!(read("00Ff"), Some([0, 255]));
        for text in ["", "0", "000", "+f00", "0g00", " 0f0", "é00"] {
            assert_eq!(read::<2>(text), None, "{text}");
        }
    }

    #[test]
    fn no_id_comes_twice() {
        let (one, other) = (random_id(), random_id());
        assert!(one.len() == 32 && one != other);
    }
}
