//! Base names.

use crate::rules::{BASE_MAX, check_base};
use crate::sanitize::{fold, prefixed};
use crate::text::{Inline, key_traits};
use crate::{NameError, Suffix, VmName};
use core::str::FromStr;

/// Checks a base name: 2 to 40 characters of `a` to `z`, `0` to `9` and `-`, the first a letter,
/// the last no hyphen, no `--` at positions 3 and 4, no UUID.
///
/// It reads at most 41 bytes and does not allocate unless it refuses.
///
/// # Errors
///
/// The first [`Rule`](crate::Rule) that is broken, where, by which character, and a proposal.
///
/// ```
/// use vmname::{Rule, validate};
///
/// assert_eq!(validate("my-awesome-vm")?, "my-awesome-vm");
///
/// let refused = validate("xn--mnchen-3ya").unwrap_err();
/// assert_eq!(refused.rule(), Rule::HyphenPair);
/// assert_eq!(refused.proposal(), "xn-mnchen-3ya");
///
/// let refused = validate("192-168-1-1").unwrap_err();
/// assert_eq!(refused.rule(), Rule::Start);
/// assert_eq!(refused.proposal(), "vm-192-168-1-1");
/// # Ok::<(), vmname::NameError>(())
/// ```
pub fn validate(text: &str) -> Result<BaseName, NameError> {
    match check_base(text) {
        Ok(()) => Ok(BaseName { text: Inline::copy(text.as_bytes()) }),
        Err(rule) => Err(NameError::new(rule, text, BaseName::nearest(text))),
    }
}

/// A name before its suffix, as checked by [`validate`].
///
/// Many virtual machines may share it, so it identifies none: a [`VmName`] does.
///
/// ```
/// use vmname::BaseName;
///
/// // A literal is checked when it is compiled.
/// const WEB: BaseName = BaseName::from_static("web");
/// assert_eq!("web".parse::<BaseName>()?, WEB);
/// # Ok::<(), vmname::NameError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseName {
    text: Inline<BASE_MAX>,
}

impl BaseName {
    /// The fewest characters of a base name.
    pub const MIN_LEN: usize = 2;

    /// The most characters of a base name.
    pub const MAX_LEN: usize = BASE_MAX;

    /// A base name from a literal.
    ///
    /// # Panics
    ///
    /// If the text breaks a rule. In a `const` that is an error of the compiler.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        match check_base(text) {
            Ok(()) => Self { text: Inline::copy(text.as_bytes()) },
            #[expect(clippy::panic, reason = "documented, for literals")]
            Err(rule) => panic!("{}", rule.as_str()),
        }
    }

    /// The base name nearest to any text: sanitised, and with `vm-` before it where that alone does
    /// not make a name.
    ///
    /// For callers that would rather not ask again. It never fails.
    ///
    /// ```
    /// use vmname::BaseName;
    ///
    /// assert_eq!(BaseName::nearest("My Awesome VM!"), "my-awesome-vm");
    /// assert_eq!(BaseName::nearest("192.168.1.1"), "vm-192-168-1-1");
    /// assert_eq!(BaseName::nearest("x"), "vm-x");
    /// assert_eq!(BaseName::nearest(""), "vm");
    /// ```
    #[must_use]
    pub const fn nearest(raw: &str) -> Self {
        let text = fold(raw);
        if check_base(text.as_str()).is_ok() { Self { text } } else { Self { text: prefixed(raw) } }
    }

    /// This name with a suffix behind it, separated by a hyphen: at most 51 characters.
    ///
    /// ```
    /// use vmname::{BaseName, Suffix};
    ///
    /// let base = BaseName::from_static("relay-us-east");
    /// let suffix: Suffix = "a1b2c3d4".parse()?;
    /// assert_eq!(base.with_suffix(suffix), "relay-us-east-a1b2c3d4");
    /// # Ok::<(), vmname::SuffixError>(())
    /// ```
    #[must_use]
    pub const fn with_suffix(self, suffix: Suffix) -> VmName {
        VmName::from_parts(&self.text, suffix)
    }

    /// The name as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.text.as_str()
    }
}

key_traits!(BaseName);

impl FromStr for BaseName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        validate(text)
    }
}

impl TryFrom<&str> for BaseName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        validate(text)
    }
}
