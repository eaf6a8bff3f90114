//! Sanitising: one pass over the bytes, no allocation.

use crate::rules::BASE_MAX;
use crate::text::{Inline, text_traits};
use crate::{BaseName, NameError, validate};

/// Folds any text into what a base name may consist of. It never fails.
///
/// Lower-cases as Unicode does, turns whatever is not `a` to `z`, `0` to `9` or `-` into hyphens,
/// joins hyphens that follow one another, trims them at both ends, cuts after 40 characters, and
/// trims again. Where nothing is left the result is `vm`, and [`Sanitized::is_fallback`] says so.
///
/// Reading stops as soon as the result is decided, so the cost does not grow with what lies behind
/// the first 40 characters that count. Sanitising a second time changes nothing.
///
/// The result may still be refused by [`validate`]: `9 lives` becomes `9-lives`, which does not
/// start with a letter.
///
/// # Lower case
///
/// Exactly two characters outside ASCII have a lower case with an ASCII letter or digit in it:
/// `İ` (U+0130), which becomes `i` and a combining dot, and the Kelvin sign `K` (U+212A), which
/// becomes `k`. `toLowerCase` in JavaScript agrees (`toLocaleLowerCase` does not), so a preview in
/// a browser can show the same.
///
/// # Examples
///
/// ```
/// use vmname::sanitize;
///
/// assert_eq!(sanitize("My Awesome VM!"), "my-awesome-vm");
/// assert_eq!(sanitize("../../etc/passwd"), "etc-passwd");
/// assert_eq!(sanitize("$(reboot)"), "reboot");
/// assert_eq!(sanitize("Zürich"), "z-rich");
///
/// // The cut leaves no hyphen at the end.
/// assert_eq!(
///     sanitize("The quick brown fox jumps over the lazy dog"),
///     "the-quick-brown-fox-jumps-over-the-lazy",
/// );
///
/// let nothing = sanitize("🦀🦀🦀");
/// assert_eq!(nothing, "vm");
/// assert!(nothing.is_fallback());
///
/// const WEB: vmname::Sanitized = sanitize("Web Server");
/// assert_eq!(WEB, "web-server");
/// ```
pub const fn sanitize(raw: &str) -> Sanitized {
    Sanitized::from_fold(Fold::new().feed(raw))
}

/// As [`sanitize`], with other scripts written in ASCII letters first.
///
/// A separate function, so that switching the feature on changes no existing name. What cannot be
/// transliterated becomes a hyphen, as in [`sanitize`].
///
/// ```
/// use vmname::transliterate;
///
/// assert_eq!(transliterate("Zürich"), "zurich");
/// assert_eq!(transliterate("北亰"), "bei-jing");
/// assert_eq!(transliterate("Москва 🦀"), "moskva-crab");
/// ```
#[cfg(feature = "deunicode")]
pub fn transliterate(raw: &str) -> Sanitized {
    let mut fold = Fold::new();
    for character in raw.chars() {
        if fold.is_decided() {
            break;
        }
        match deunicode::deunicode_char(character) {
            Some(ascii) => fold = fold.feed(ascii),
            None => fold.gap(),
        }
    }
    Sanitized::from_fold(fold)
}

/// The result of [`sanitize`]: 1 to 40 characters of `a` to `z`, `0` to `9` and `-`, no hyphen at
/// an end, no two in a row.
///
/// ```
/// let sanitized = vmname::sanitize("My Awesome VM!");
/// assert_eq!(sanitized.as_str(), "my-awesome-vm");
/// assert!(!sanitized.is_fallback());
/// assert_eq!(sanitized.validate()?, "my-awesome-vm");
/// # Ok::<(), vmname::NameError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Sanitized {
    text: Inline<BASE_MAX>,
    is_fallback: bool,
}

impl Sanitized {
    const fn from_fold(fold: Fold<BASE_MAX>) -> Self {
        match fold.finish() {
            Some(text) => Self { text, is_fallback: false },
            None => Self { text: Inline::copy(FALLBACK), is_fallback: true },
        }
    }

    /// The sanitised text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// Whether nothing of the input survived and the text is `vm` for that reason.
    #[must_use]
    pub const fn is_fallback(&self) -> bool {
        self.is_fallback
    }

    /// The next stage: the text as a base name.
    ///
    /// # Errors
    ///
    /// If the text has one character only, starts with a digit, or is a UUID; the other rules hold
    /// already.
    pub fn validate(&self) -> Result<BaseName, NameError> {
        validate(self.as_str())
    }
}

text_traits!(Sanitized);

/// What stands in for a text of which nothing survives.
const FALLBACK: &[u8] = b"vm";

/// The nearest text to `refused` that keeps the rules of a label, reserved words aside.
pub(crate) const fn prefixed<const MAX: usize>(refused: &str) -> Inline<MAX> {
    match Fold::new().feed("vm-").feed(refused).finish() {
        Some(text) => text,
        None => Inline::copy(FALLBACK),
    }
}

/// What is kept of the text so far, and whether a hyphen belongs before what is kept next.
///
/// The hyphen is written with the character behind it only, so there is none to trim at the end.
pub(crate) struct Fold<const MAX: usize> {
    text: Inline<MAX>,
    gap: bool,
}

impl<const MAX: usize> Fold<MAX> {
    pub(crate) const fn new() -> Self {
        Self { text: Inline::new(), gap: false }
    }

    pub(crate) const fn feed(mut self, raw: &str) -> Self {
        let mut rest = raw.as_bytes();
        while !self.is_decided() {
            rest = match rest {
                [byte @ (b'a'..=b'z' | b'0'..=b'9'), tail @ ..] => {
                    self.keep(*byte);
                    tail
                }
                [byte @ b'A'..=b'Z', tail @ ..] => {
                    self.keep(byte.to_ascii_lowercase());
                    tail
                }
                // U+0130 in UTF-8: lower-case i, combining dot above.
                [0xc4, 0xb0, tail @ ..] => {
                    self.keep(b'i');
                    self.gap();
                    tail
                }
                // U+212A in UTF-8: the Kelvin sign.
                [0xe2, 0x84, 0xaa, tail @ ..] => {
                    self.keep(b'k');
                    tail
                }
                [_, tail @ ..] => {
                    self.gap();
                    tail
                }
                [] => break,
            };
        }
        self
    }

    /// Whether nothing further can change the result: there is no room left, or for a hyphen only.
    const fn is_decided(&self) -> bool {
        self.text.len() + self.gap as usize >= MAX
    }

    const fn keep(&mut self, byte: u8) {
        if self.gap {
            self.text.push(b'-');
            self.gap = false;
        }
        self.text.push(byte);
    }

    const fn gap(&mut self) {
        self.gap = self.text.len() > 0;
    }

    pub(crate) const fn finish(self) -> Option<Inline<MAX>> {
        if self.text.len() > 0 { Some(self.text) } else { None }
    }
}
