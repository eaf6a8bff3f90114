//! The rules a name keeps, checked over bytes.

/// The longest base name in bytes: a suffix still fits into a DNS label behind it.
pub(crate) const BASE_MAX: usize = 40;

/// The longest DNS label in bytes (RFC 1035, section 2.3.4).
pub(crate) const LABEL_MAX: usize = 63;

/// Words that are refused as a whole name, because something on the way reads them otherwise.
///
/// With a suffix behind them they are harmless, so a [`BaseName`](crate::BaseName) may be one of
/// them and a [`VmName`](crate::VmName) may not.
///
/// - `localhost`, `localdomain`, `local`: the host itself and its link (RFC 6761, RFC 6762,
///   systemd).
/// - `wpad`, `isatap`: never answered by Windows DNS servers (their global query block list), as
///   whoever holds them can redirect a network's traffic.
/// - `autoconfig`, `autodiscover`: mail programs send credentials there.
/// - `google`, `null`, `ssl`, `undefined`: refused by Google Cloud services.
/// - `false`, `no`, `off`, `on`, `true`, `yes`: truth values in YAML 1.1, which is what cloud-init
///   reads.
pub const RESERVED: [&str; 17] = [
    "localhost",
    "localdomain",
    "local",
    "wpad",
    "isatap",
    "autoconfig",
    "autodiscover",
    "google",
    "null",
    "ssl",
    "undefined",
    "false",
    "no",
    "off",
    "on",
    "true",
    "yes",
];

/// The rule that a refused name breaks.
///
/// Positions count characters from 1. Of several broken rules the first in the order below is
/// named; characters beyond the limit of the length are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A name has at least two characters.
    TooShort,
    /// A name starts with a lower-case letter `a` to `z`.
    Start,
    /// A name consists of `a` to `z`, `0` to `9` and `-`.
    Character {
        /// Where the first other character is, from 2.
        position: usize,
    },
    /// A base name has at most 40 characters, a whole name at most 63.
    TooLong {
        /// The limit that was passed.
        limit: usize,
    },
    /// A name ends with a letter or a digit.
    End {
        /// Where the hyphen at the end is.
        position: usize,
    },
    /// A name has no `--` at positions 3 and 4: such labels, among them `xn--`, have a meaning of
    /// their own (RFC 5891, section 4.2.3.1).
    HyphenPair,
    /// A name is not a UUID, so that it cannot be taken for an id.
    Uuid,
    /// A name without a suffix is none of the [`RESERVED`] words.
    Reserved,
}

impl Rule {
    /// The rule in words, as a fragment that says what to do.
    ///
    /// ```
    /// let refused = vmname::validate("9-lives").unwrap_err();
    /// assert_eq!(refused.rule().as_str(), "start with a lower-case letter a-z");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "use at least 2 characters",
            Self::Start => "start with a lower-case letter a-z",
            Self::Character { .. } => "use only a-z, 0-9 and `-`",
            Self::TooLong { limit: BASE_MAX } => "use at most 40 characters",
            Self::TooLong { .. } => "use at most 63 characters",
            Self::End { .. } => "end with a letter or a digit",
            Self::HyphenPair => "do not use `--` at positions 3 and 4",
            Self::Uuid => "do not use a UUID",
            Self::Reserved => "do not use a reserved word without a suffix",
        }
    }

    /// Where the rule is broken, counted in characters from 1, if it is at one place.
    #[must_use]
    pub const fn position(self) -> Option<usize> {
        match self {
            Self::Start => Some(1),
            Self::Character { position } | Self::End { position } => Some(position),
            Self::HyphenPair => Some(3),
            Self::TooLong { limit } => Some(limit + 1),
            Self::TooShort | Self::Uuid | Self::Reserved => None,
        }
    }
}

/// The rules of a base name.
pub(crate) const fn check_base(text: &str) -> Result<(), Rule> {
    check_label(text, BASE_MAX)
}

/// The rules of a whole name: those of a base name, longer, and no reserved word.
pub(crate) const fn check_name(text: &str) -> Result<(), Rule> {
    match check_label(text, LABEL_MAX) {
        Ok(()) if is_reserved(text.as_bytes()) => Err(Rule::Reserved),
        checked => checked,
    }
}

/// Reads at most `limit` bytes.
#[inline]
const fn check_label(text: &str, limit: usize) -> Result<(), Rule> {
    let text = text.as_bytes();
    match text {
        [] | [_] => return Err(Rule::TooShort),
        [b'a'..=b'z', ..] => {}
        _ => return Err(Rule::Start),
    }
    let (head, is_whole) = match text.split_at_checked(limit) {
        Some((head, [_, ..])) => (head, false),
        _ => (text, true),
    };
    let mut rest = head;
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return Err(Rule::Character { position: head.len() - tail.len() });
        }
        rest = tail;
    }
    match text {
        _ if !is_whole => Err(Rule::TooLong { limit }),
        [.., b'-'] => Err(Rule::End { position: text.len() }),
        [_, _, b'-', b'-', ..] => Err(Rule::HyphenPair),
        _ if is_uuid(text) => Err(Rule::Uuid),
        _ => Ok(()),
    }
}

/// Whether the text has the form 8-4-4-4-12 of hexadecimal digits (RFC 9562, section 4).
const fn is_uuid(text: &[u8]) -> bool {
    if text.len() != 36 {
        return false;
    }
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        let fits = match text.len() - rest.len() {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        if !fits {
            return false;
        }
        rest = tail;
    }
    true
}

const fn is_reserved(text: &[u8]) -> bool {
    let mut words: &[&str] = &RESERVED;
    while let [word, tail @ ..] = words {
        if same(word.as_bytes(), text) {
            return true;
        }
        words = tail;
    }
    false
}

/// Equality of slices, which is not `const` in the language yet.
const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    loop {
        match (a, b) {
            ([x, a_tail @ ..], [y, b_tail @ ..]) if *x == *y => (a, b) = (a_tail, b_tail),
            ([], []) => return true,
            _ => return false,
        }
    }
}
