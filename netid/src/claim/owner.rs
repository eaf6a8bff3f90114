use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use thiserror::Error;

/// Who claims: a kind, a name and a uid.
///
/// The uid is who it is: stores compare nothing else. A machine that is made again under the same name
/// has another uid, and so does not inherit what the first one held. Kind and name say what to look
/// for when a claim is in the way. All three take any text of at most [`MAX_LEN`](Self::MAX_LEN) bytes;
/// the kind and the uid are not empty.
///
/// `==` compares all three; [`is_same`](Self::is_same) compares uids. A clone is cheap.
///
/// ```
/// use netid::Owner;
///
/// let owner = Owner::new("vm", "web", "0b5f3a52")?;
/// assert!(owner.is_same(&Owner::new("vm", "renamed", "0b5f3a52")?));
/// assert!(!owner.is_same(&Owner::new("vm", "web", "77c1e09d")?));
/// assert_eq!(owner.to_string(), "vm web (uid 0b5f3a52)");
/// # Ok::<(), netid::OwnerError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "crate::serial::OwnerParts"))]
#[cfg_attr(feature = "serde", serde(into = "crate::serial::OwnerParts"))]
pub struct Owner(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    uid: Box<str>,
    kind: Box<str>,
    name: Box<str>,
}

impl Owner {
    /// The most bytes each part can have.
    pub const MAX_LEN: usize = 255;

    /// An owner.
    ///
    /// # Errors
    /// When the kind or the uid is empty, or a part is longer than [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(kind: &str, name: &str, uid: &str) -> Result<Self, OwnerError> {
        for (part, text) in
            [(OwnerField::Kind, kind), (OwnerField::Name, name), (OwnerField::Uid, uid)]
        {
            if text.is_empty() && part != OwnerField::Name {
                return Err(OwnerError::Empty { part });
            }
            if text.len() > Self::MAX_LEN {
                let text = text.into();
                return Err(OwnerError::TooLong { part, text });
            }
        }
        Ok(Self::from_checked(kind, name, uid))
    }

    /// An owner of parts that are known to obey the rules.
    pub(crate) fn from_checked(kind: &str, name: &str, uid: &str) -> Self {
        Self(Arc::new(Parts { uid: uid.into(), kind: kind.into(), name: name.into() }))
    }

    /// What it is, such as `vm`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What makes it itself.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.0.uid
    }

    /// Whether the uids are equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.uid() == other.uid()
    }
}

/// Control characters are escaped, so that a line stays a line.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} (uid {})",
            self.kind().escape_debug(),
            self.name().escape_debug(),
            self.uid().escape_debug()
        )
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({self})")
    }
}

/// A part of an [`Owner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerField {
    /// [`Owner::kind`].
    Kind,
    /// [`Owner::name`].
    Name,
    /// [`Owner::uid`].
    Uid,
}

impl fmt::Display for OwnerField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kind => "kind",
            Self::Name => "name",
            Self::Uid => "uid",
        })
    }
}

/// Texts that do not make an [`Owner`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// A part that must say something is empty.
    #[error("the {part} of an owner is empty; give one")]
    Empty {
        /// Which part.
        part: OwnerField,
    },
    /// A part is too long.
    #[error("the {part} of an owner has {} bytes, at most 255 fit; shorten it", .text.len())]
    TooLong {
        /// Which part.
        part: OwnerField,
        /// The refused text.
        text: Box<str>,
    },
}
