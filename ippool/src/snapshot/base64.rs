use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with padding (RFC 4648, section 4).
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (at, shift) in [18u32, 12, 6, 0].into_iter().enumerate() {
            let digit = ALPHABET.get((bits.wrapping_shr(shift) & 63) as usize);
            let sign = if at > chunk.len() { None } else { digit };
            text.push(sign.map_or('=', |&sign| char::from(sign)));
        }
    }
    text
}

/// The bytes, or how many could be read.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(text.len());
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let (mut bits, mut count) = (0u32, 0u32);
    for sign in digits.bytes() {
        let value = value(sign).ok_or(bytes.len())?;
        bits = (bits << 6) | u32::from(value);
        count = count.wrapping_add(6);
        if let Some(rest) = count.checked_sub(8) {
            count = rest;
            let [.., byte] = bits.wrapping_shr(count).to_be_bytes();
            bytes.push(byte);
        }
    }
    // Only the one text that `encode` writes is accepted: whole groups, no stray bits.
    if encode(&bytes) == text { Ok(bytes) } else { Err(bytes.len()) }
}

const fn value(sign: u8) -> Option<u8> {
    match sign {
        b'A'..=b'Z' => Some(sign.wrapping_sub(b'A')),
        b'a'..=b'z' => Some(sign.wrapping_sub(b'a').wrapping_add(26)),
        b'0'..=b'9' => Some(sign.wrapping_sub(b'0').wrapping_add(52)),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, text) in vectors {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
        }
        for bad in ["Z", "Zg", "Zg=", "Zh==", "Zm9v=", "Zm9*", "====", "Zm 9"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
