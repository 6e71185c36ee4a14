//! Base64 as MCP has it in `blob`: the usual letters, with padding (RFC 4648, 4).

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, index| group << 8 | u32::from(*chunk.get(index).unwrap_or(&0)));
        for index in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

pub(super) fn is_base64(text: &str) -> bool {
    let padding = text.len() - text.trim_end_matches('=').len();
    let letters = &text.as_bytes()[..text.len() - padding];
    text.len().is_multiple_of(4) && padding <= 2 && letters.iter().all(|byte| LETTERS.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_as_in_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in cases {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert!(is_base64(text), "{text}");
        }
        assert_eq!(encode(&[0xfb, 0xff]), "+/8=");
        for wrong in ["Zg", "Zg=", "Z===", "====", "Zm9v\n", "Z=m9", "_-__", "ä=="] {
            assert!(!is_base64(wrong), "{wrong}");
        }
    }
}
