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
    let mut fold = Fold::new();
    fold.feed(raw);
    Sanitized::from_fold(fold)
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
    let mut characters = raw.chars();
    while !fold.is_decided()
        && let Some(character) = characters.next()
    {
        fold.feed(deunicode::deunicode_char(character).unwrap_or("-"));
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
    const fn from_fold(mut fold: Fold<BASE_MAX>) -> Self {
        let is_fallback = fold.len == 0;
        if is_fallback {
            fold.feed("vm");
        }
        Self { text: fold.finish(), is_fallback }
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

/// What is kept of a text, perhaps nothing.
#[inline]
pub(crate) const fn fold<const MAX: usize>(raw: &str) -> Inline<MAX> {
    let mut fold = Fold::new();
    fold.feed(raw);
    fold.finish()
}

/// What is kept of a text, with `vm-` before it.
pub(crate) const fn prefixed<const MAX: usize>(raw: &str) -> Inline<MAX> {
    let mut fold = Fold::new();
    fold.feed("vm-");
    fold.feed(raw);
    fold.finish()
}

/// What is kept of the text so far, and whether a hyphen belongs before what is kept next.
///
/// The hyphen is written with the character behind it only, so there is none to trim at the end.
struct Fold<const MAX: usize> {
    bytes: [u8; MAX],
    len: usize,
    gap: bool,
}

impl<const MAX: usize> Fold<MAX> {
    const fn new() -> Self {
        Self { bytes: [0; MAX], len: 0, gap: false }
    }

    /// Reads on until the text ends or nothing further can change the result.
    ///
    /// What is kept comes in runs, so it has a loop of its own; and the length is a local variable,
    /// as it would not stay in a register beside a buffer that it indexes. Each takes about a
    /// quarter of the time off.
    #[inline]
    const fn feed(&mut self, raw: &str) {
        let Self { mut len, mut gap, .. } = *self;
        let mut rest = raw.as_bytes();
        while len + (gap as usize) < MAX
            && let [byte, tail @ ..] = rest
        {
            let (first, tail) = match (fold_byte(*byte), rest) {
                // U+0130, in lower case i and a combining dot, which the second byte stands for.
                (LEAD, [0xc4, 0xb0, ..]) => (b'i', tail),
                // U+212A, the Kelvin sign, in lower case k.
                (LEAD, [0xe2, 0x84, 0xaa, tail @ ..]) => (b'k', tail),
                // Any other character, or the rest of one, leaves a hyphen if something follows.
                (GAP | LEAD, _) => {
                    gap = len > 0;
                    rest = tail;
                    continue;
                }
                (first, _) => (first, tail),
            };
            if gap {
                len = put(&mut self.bytes, len, b'-');
                gap = false;
            }
            len = put(&mut self.bytes, len, first);
            rest = tail;
            while len < MAX
                && let [byte, tail @ ..] = rest
                && let next @ b'0'.. = fold_byte(*byte)
            {
                len = put(&mut self.bytes, len, next);
                rest = tail;
            }
        }
        (self.len, self.gap) = (len, gap);
    }

    /// Whether nothing further can change the result: there is no room left, or for a hyphen only.
    #[cfg(feature = "deunicode")]
    const fn is_decided(&self) -> bool {
        self.len + self.gap as usize >= MAX
    }

    const fn finish(self) -> Inline<MAX> {
        Inline::from_parts(self.bytes, self.len)
    }
}

/// Stands for a byte that is not kept.
const GAP: u8 = 0;

/// Stands for a byte that is not kept, unless it leads one of two characters.
const LEAD: u8 = 1;

/// What each byte becomes. A table takes half the time of comparisons.
const FOLDED: [u8; 256] = {
    let mut folded = [GAP; 256];
    let mut byte = 0u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
        let slot = &mut folded[byte as usize];
        *slot = match byte {
            b'a'..=b'z' | b'0'..=b'9' => byte,
            b'A'..=b'Z' => byte.to_ascii_lowercase(),
            0xc4 | 0xe2 => LEAD,
            _ => GAP,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    folded
};

#[inline]
const fn fold_byte(byte: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "there is an entry for every byte")]
    FOLDED[byte as usize]
}

/// Writes a byte where there is room for it, as the callers have made sure, and gives the new
/// length.
#[inline]
const fn put<const MAX: usize>(bytes: &mut [u8; MAX], len: usize, byte: u8) -> usize {
    match bytes.split_at_mut_checked(len) {
        Some((_, [slot, ..])) => {
            *slot = byte;
            len + 1
        }
        _ => len,
    }
}
