use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use aho_corasick::packed;
use memchr::memmem::Finder;

/// Pieces of every line that can say something. A line without any of them says nothing, so the
/// scan looks for these and reads only the lines that hold one. Each has at least four bytes: the
/// vectorised search is four times as fast then.
const NEEDLES: &[&str] = &[
    "-info:",     // ci-info: and CirrOS's if-info:
    "ip-route",   // CirrOS
    "=== ",       // CirrOS's sections
    "loud-init ", // cloud-init's stages
    "Linux version ",
    "---<<BOOT>>", // FreeBSD
    "FreeBSD Project.",
    "SeaBIOS (",
    "BdsDxe: ", // UEFI
    "reboot: ",
    " login:",
    "SSH HOST KEY KEYS",
    " AAAA", // a public key
    "panic",
    "Oops",
    "BUG: ", // oopses and soft lock-ups
    "general protection fault",
    "ut of memory: Kill",
    "oom-killer",
    "hard LOCKUP",
    "detected stall",   // RCU
    "blocked for more", // hung tasks
    "emergency mode",
    "rescue mode",
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
    /// Only the network tables, as fast as a search for one word. Boots are told apart by their
    /// tables alone, default routes of CirrOS are not seen, and a word that control bytes cut in
    /// two is not found.
    Tables,
}

/// Finds the next line worth reading.
#[derive(Clone)]
pub(super) enum Needles {
    /// All of them at once. Without a vectorised search (`None`) every line is read.
    All(Option<Arc<packed::Searcher>>),
    Table(Box<Finder<'static>>),
}

impl Needles {
    pub(super) fn new(interest: Interest) -> Self {
        match interest {
            Interest::Everything => Self::All(shared()),
            Interest::Tables => Self::Table(Box::new(Finder::new(TABLE_NEEDLE))),
        }
    }

    /// Where the first piece begins.
    pub(super) fn find(&self, haystack: &[u8]) -> Option<usize> {
        match self {
            Self::All(Some(packed)) => packed.find(haystack).map(|found| found.start()),
            Self::All(None) => (!haystack.is_empty()).then_some(0),
            Self::Table(finder) => finder.find(haystack),
        }
    }

    /// Whether bytes that no terminal shows may stand inside a piece, so that it is not found.
    pub(super) fn may_miss(&self, haystack: &[u8]) -> bool {
        match self {
            Self::All(_) => memchr::memchr2(0, 0x1b, haystack).is_some(),
            Self::Table(_) => false,
        }
    }
}

/// The search for all needles, made once for all scanners of a process.
#[cfg(feature = "std")]
fn shared() -> Option<Arc<packed::Searcher>> {
    static SHARED: std::sync::OnceLock<Option<Arc<packed::Searcher>>> = std::sync::OnceLock::new();
    SHARED.get_or_init(build).clone()
}

/// Without `std` there is nothing to share it by, so every scanner has its own.
#[cfg(not(feature = "std"))]
fn shared() -> Option<Arc<packed::Searcher>> {
    build()
}

fn build() -> Option<Arc<packed::Searcher>> {
    packed::Config::new()
        .match_kind(packed::MatchKind::LeftmostFirst)
        .builder()
        .extend(NEEDLES)
        .build()
        .map(Arc::new)
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").finish_non_exhaustive()
    }
}
