//! Short ASCII text stored inline.

/// At most `N` bytes of ASCII, `N` ≤ 255.
///
/// The bytes behind `len` are zero and no byte before it is, so the derived comparisons agree with
/// those of the text itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inline<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Inline<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// The first `len` bytes of `bytes`, which are ASCII and all there is but zeros.
    pub(crate) const fn from_parts(bytes: [u8; N], len: usize) -> Self {
        Self { bytes, len: narrow(len) }
    }

    /// The whole of `text`, which the caller has checked to be ASCII of at most `N` bytes.
    pub(crate) const fn copy(text: &[u8]) -> Self {
        Self::new().join(text)
    }

    /// This text with `text` behind it, for which the caller has made sure that there is room.
    pub(crate) const fn join(mut self, text: &[u8]) -> Self {
        if let Some((_, free)) = self.bytes.split_at_mut_checked(self.len as usize)
            && let Some((target, _)) = free.split_at_mut_checked(text.len())
        {
            target.copy_from_slice(text);
            self.len += narrow(text.len());
        }
        self
    }

    pub(crate) const fn push(&mut self, byte: u8) {
        debug_assert!(byte != 0 && byte.is_ascii());
        if let Some((_, [slot, ..])) = self.bytes.split_at_mut_checked(self.len as usize) {
            *slot = byte;
            self.len += 1;
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        match self.bytes.split_at_checked(self.len as usize) {
            Some((text, _)) => text,
            None => unreachable!(),
        }
    }

    pub(crate) const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.as_bytes()) {
            Ok(text) => text,
            Err(_) => unreachable!(),
        }
    }
}

/// A length as it is stored.
#[expect(clippy::cast_possible_truncation, reason = "no text is longer than 63 bytes")]
const fn narrow(len: usize) -> u8 {
    debug_assert!(len <= u8::MAX as usize);
    len as u8
}

/// The traits by which a type that holds an [`Inline`] in a field called `text` reads as a string.
macro_rules! text_traits {
    ($name:ident) => {
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.as_str()).finish()
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }
    };
}

/// As [`text_traits`], for names that serve as keys: a map of them can be asked with a `&str`.
macro_rules! key_traits {
    ($name:ident) => {
        crate::text::text_traits!($name);

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl core::hash::Hash for $name {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }
    };
}

pub(crate) use {key_traits, text_traits};
