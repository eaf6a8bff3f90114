use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};

/// Longest text kept from a hostile source, in bytes of the source.
const MAX_SOURCE: usize = 256;

/// Text that came from a guest, a server or a file, safe to print: everything but printable ASCII
/// is escaped, and it is cut at 256 bytes of the source. Cloning does not allocate.
///
/// ```
/// use vmstatus::Escaped;
///
/// assert_eq!(Escaped::from_bytes(b"\x1b[2Jowned\r\n").to_string(), r"\x1b[2Jowned\r\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(into = "String"))]
pub struct Escaped(Arc<str>);

impl Escaped {
    /// Escapes the first 256 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len().min(MAX_SOURCE));
        for byte in bytes.iter().take(MAX_SOURCE) {
            match byte {
                b' '..=b'~' => text.push(char::from(*byte)),
                _ => {
                    let _ = write!(text, "{}", byte.escape_ascii());
                }
            }
        }
        if bytes.len() > MAX_SOURCE {
            text.push_str("...");
        }
        Self(text.into())
    }

    /// The escaped text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Escaped {
    fn from(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }
}

#[cfg(feature = "serde")]
impl From<Escaped> for String {
    fn from(text: Escaped) -> Self {
        text.as_str().into()
    }
}
