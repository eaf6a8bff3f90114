use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use aho_corasick::{AhoCorasick, packed};
use memchr::memmem::Finder;

/// The words that a line has which can say something, cut in two: the search looks for the second
/// part, and where that stands compares the first. The rest of the log is not read.
///
/// The search is one pass at about the speed of the memory. It looks at two letters at a time, here
/// the first two of each second part, and keeps eight sets of them, which it fills in this order,
/// column by column. Cuts and columns were chosen so that hardly any line of a log has two letters
/// of a set; others are as right, and several times slower. Those that
/// begin as another one does share its set.
///
/// Control bytes inside a word hide it, and not from a row of a table, nor from cloud-init: `-i` is
/// all that is looked for, and it is found also where something stands between the two.
#[rustfmt::skip]
const WORDS: [(&str, &str); 23] = [
    ("", "-i"), ("ard LOCK", "UP"), ("logi", "n:"), ("Se", "aBIOS ("),
    ("", "BdsDxe: "), ("r", "eboot: "), ("", "=== "), ("emergen", "cy mode"),
    ("", "-\0"), ("B", "UG: "), ("ut of memor", "y: Kill"), ("SSH HOST KEY KE", "YS"),
    ("", "Kernel panic"), ("The Fre", "eBSD Project."), ("", "You are in "), ("B", "UG at "),
    ("", "-\x1b"), ("Lin", "ux version "), ("pani", "c: "), ("", "[#"),
    ("INF", "O: task "), ("INF", "O: rcu"), ("oom", "-kill"),
];

/// In every row of a table, cloud-init's and CirrOS's alike.
const TABLE_NEEDLE: &[u8] = b"-info:";

/// What a [`Scanner`](super::Scanner) looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interest {
    /// Everything that a console tells.
    #[default]
    Everything,
    /// Only the network tables. Boots are told apart by their tables alone, default routes of
    /// CirrOS are not seen, and a word that control bytes cut in two is not found.
    Tables,
}

/// Finds the next line worth reading.
#[derive(Clone)]
pub(super) enum Needles {
    All(Option<Arc<Words>>),
    Table(Box<Finder<'static>>),
}

/// The search for the second parts of all words at once; both ways find the same.
pub(super) enum Words {
    /// With the processor's vector instructions.
    Vectors(packed::Searcher),
    /// Byte by byte.
    Automaton(AhoCorasick),
}

impl Needles {
    pub(super) fn new(interest: Interest) -> Self {
        match interest {
            Interest::Everything => Self::All(shared()),
            Interest::Tables => Self::Table(Box::new(Finder::new(TABLE_NEEDLE))),
        }
    }

    /// Where the first word that may say something is.
    pub(super) fn find(&self, haystack: &[u8]) -> Option<usize> {
        match self {
            Self::All(Some(words)) => words.find(haystack),
            // Without a search every line is read.
            Self::All(None) => (!haystack.is_empty()).then_some(0),
            Self::Table(finder) => finder.find(haystack),
        }
    }

    /// Whether lines without such a word count where the lines before them say so.
    pub(super) const fn follows_context(&self) -> bool {
        matches!(self, Self::All(_))
    }
}

impl Words {
    fn new() -> Option<Self> {
        let parts = WORDS.map(|(_, part)| part);
        let vectors = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(parts)
            .build();
        match vectors {
            Some(searcher) => Some(Self::Vectors(searcher)),
            None => AhoCorasick::new(parts).ok().map(Self::Automaton),
        }
    }

    fn find(&self, haystack: &[u8]) -> Option<usize> {
        let mut from = 0;
        loop {
            let rest = haystack.get(from..)?;
            let (pattern, start) = match self {
                Self::Vectors(searcher) => {
                    searcher.find(rest).map(|found| (found.pattern(), found.start()))
                }
                Self::Automaton(automaton) => {
                    automaton.find(rest).map(|found| (found.pattern(), found.start()))
                }
            }?;
            let at = from.saturating_add(start);
            let (first, _) = WORDS.get(pattern.as_usize())?;
            if haystack.get(..at)?.ends_with(first.as_bytes()) {
                return Some(at);
            }
            from = at.saturating_add(1);
        }
    }
}

/// The search, made once for all scanners of a process.
#[cfg(feature = "std")]
fn shared() -> Option<Arc<Words>> {
    static SHARED: std::sync::OnceLock<Option<Arc<Words>>> = std::sync::OnceLock::new();
    SHARED.get_or_init(|| Words::new().map(Arc::new)).clone()
}

/// Without `std` there is nothing to share it by, so every scanner has its own.
#[cfg(not(feature = "std"))]
fn shared() -> Option<Arc<Words>> {
    Words::new().map(Arc::new)
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").finish_non_exhaustive()
    }
}
