//! MAC addresses as they are printed in the wild, compared as numbers.

use core::fmt;

use macaddr::MacAddr6;

/// Reads a MAC of six groups of one or two hexadecimal digits, separated by `:` or `-`.
///
/// macOS strips leading zeros (`52:54:0:15:7a:e3`), Windows separates with dashes. Anything else,
/// such as a masked octet (`xx`), a fingerprint or a longer hardware address, is not a MAC.
///
/// ```
/// use vmstatus::parse_mac;
///
/// assert_eq!(parse_mac(b"52:54:0:15:7a:e3"), parse_mac(b"52-54-00-15-7A-E3"));
/// assert_eq!(parse_mac(b"52:54:00:xx:xx:xx"), None);
/// ```
#[must_use]
pub fn parse_mac(text: &[u8]) -> Option<MacAddr6> {
    let separator = *text.iter().find(|byte| matches!(byte, b':' | b'-'))?;
    let mut octets = [0; 6];
    let mut groups = text.split(|byte| *byte == separator);
    for octet in &mut octets {
        *octet = parse_octet(groups.next()?)?;
    }
    groups.next().is_none().then(|| MacAddr6::from(octets))
}

/// Prints a MAC in lower case with both digits of every octet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lower(pub(crate) MacAddr6);

impl fmt::Display for Lower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, octet) in self.0.as_bytes().iter().enumerate() {
            let separator = if place == 0 { "" } else { ":" };
            write!(f, "{separator}{octet:02x}")?;
        }
        Ok(())
    }
}

fn parse_octet(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 2 {
        return None;
    }
    digits.iter().try_fold(0u8, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value.wrapping_mul(16) | u8::try_from(digit).ok()?)
    })
}

#[cfg(feature = "serde")]
#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn serialize_option<S: serde::Serializer>(
    mac: &Option<MacAddr6>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match mac {
        Some(mac) => serializer.collect_str(&Lower(*mac)),
        None => serializer.serialize_none(),
    }
}

#[cfg(feature = "serde")]
pub(crate) fn deserialize_option<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<MacAddr6>, D::Error> {
    use alloc::string::String;

    use serde::Deserialize as _;
    use serde::de::Error as _;

    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| {
        parse_mac(text.as_bytes())
            .ok_or_else(|| D::Error::custom("a MAC has six octets of hexadecimal digits"))
    })
    .transpose()
}
