use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// What makes a network itself: any text of 1 to [`MAX_LEN`](Self::MAX_LEN) bytes.
///
/// Uids are compared byte by byte. A network that is made again under the same name has another uid,
/// and is a stranger to those who named the first one. They sort as their texts do. A clone is cheap.
///
/// ```
/// use netid::NetworkUid;
///
/// let uid: NetworkUid = "0b5f3a52".parse()?;
/// assert_eq!(uid.as_str(), "0b5f3a52");
/// assert_ne!(uid, "0B5F3A52".parse()?);
/// assert!(NetworkUid::new("").is_err());
/// # Ok::<(), netid::NetworkUidError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct NetworkUid(Arc<str>);

impl NetworkUid {
    /// The most bytes a uid can have.
    pub const MAX_LEN: usize = 255;

    /// The uid of a text.
    ///
    /// # Errors
    /// When the text is empty or longer than [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(text: &str) -> Result<Self, NetworkUidError> {
        match text.len() {
            0 => Err(NetworkUidError::Empty),
            1..=Self::MAX_LEN => Ok(Self(text.into())),
            _ => Err(NetworkUidError::TooLong { text: text.into() }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkUid {
    type Err = NetworkUidError;

    fn from_str(text: &str) -> Result<Self, NetworkUidError> {
        Self::new(text)
    }
}

impl TryFrom<String> for NetworkUid {
    type Error = NetworkUidError;

    fn try_from(text: String) -> Result<Self, NetworkUidError> {
        Self::new(&text)
    }
}

impl From<NetworkUid> for String {
    fn from(uid: NetworkUid) -> Self {
        uid.as_str().into()
    }
}

/// Control characters are escaped, so that a line stays a line.
impl fmt::Display for NetworkUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_str().escape_debug(), f)
    }
}

impl fmt::Debug for NetworkUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkUid({self})")
    }
}

/// A text that is not a [`NetworkUid`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkUidError {
    /// There is no text.
    #[error("the uid of a network is empty; give one")]
    Empty,
    /// The text is too long.
    #[error("the uid of a network has {} bytes, at most 255 fit; shorten it", .text.len())]
    TooLong {
        /// The refused text.
        text: Box<str>,
    },
}
