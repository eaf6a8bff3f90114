//! The error of a refused name.

use crate::{BaseName, Rule};
use alloc::boxed::Box;
use core::fmt;

/// A text that is not a name: which rule it breaks, where, by which character, and a name that
/// would do.
///
/// `N` is the type that was asked for and that of the proposal: [`BaseName`] or
/// [`VmName`](crate::VmName). Only a refusal allocates, to keep the text.
///
/// ```
/// use vmname::{Rule, validate};
///
/// let refused = validate("web_server").unwrap_err();
/// assert_eq!(refused.rule(), Rule::Character { position: 4 });
/// assert_eq!(refused.character(), Some('_'));
/// assert_eq!(refused.refused(), "web_server");
/// assert_eq!(refused.proposal(), "web-server");
/// assert_eq!(
///     refused.to_string(),
///     "refused \"web_server\" for '_' at position 4: use only a-z, 0-9 and `-`, \
///      for example `web-server`",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused {}{}: {}, for example `{proposal}`", Excerpt(refused), Place(*rule, refused), rule.as_str())]
pub struct NameError<N: fmt::Display = BaseName> {
    rule: Rule,
    refused: Box<str>,
    proposal: N,
}

impl<N: fmt::Display + Copy> NameError<N> {
    pub(crate) fn new(rule: Rule, refused: &str, proposal: N) -> Self {
        Self { rule, refused: refused.into(), proposal }
    }

    /// The first rule that is broken.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// Where it is broken, counted in characters from 1, if at one place.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        self.rule.position()
    }

    /// The character at that place.
    #[must_use]
    pub fn character(&self) -> Option<char> {
        character(self.rule, &self.refused)
    }

    /// The refused text, whole.
    #[must_use]
    pub const fn refused(&self) -> &str {
        &self.refused
    }

    /// A name as near as possible to the refused text: sanitised, and with `vm-` before it where
    /// that alone does not make a name.
    #[must_use]
    pub const fn proposal(&self) -> N {
        self.proposal
    }
}

/// All characters before a broken place are ASCII, so characters and bytes count alike up to it.
fn character(rule: Rule, text: &str) -> Option<char> {
    text.get(rule.position()? - 1..)?.chars().next()
}

/// The text quoted and escaped, and cut where it would flood a log.
struct Excerpt<'a>(&'a str);

impl Excerpt<'_> {
    const CHARACTERS: usize = 64;
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(Self::CHARACTERS).and_then(|(at, _)| self.0.get(..at)) {
            Some(start) => write!(f, "{start:?}..."),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// The offending character and its place, if there is one.
struct Place<'a>(Rule, &'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.position(), character(self.0, self.1)) {
            (Some(position), Some(found)) => write!(f, " for {found:?} at position {position}"),
            _ => Ok(()),
        }
    }
}
