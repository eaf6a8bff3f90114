use alloc::sync::Arc;
use core::fmt;

use aho_corasick::packed;

/// Pieces of every line that can say something. A line without any of them says nothing, so the
/// scan looks for these and reads only the lines that hold one.
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
    "BUG", // oopses and soft lock-ups
    "general protection fault",
    "ut of memory: Kill",
    "oom-killer",
    "hard LOCKUP",
    "detected stall",   // RCU
    "blocked for more", // hung tasks
    "emergency mode",
    "rescue mode",
];

/// Finds the next line worth reading.
#[derive(Clone)]
pub(super) struct Needles {
    packed: Option<Arc<packed::Searcher>>,
}

impl Needles {
    pub(super) fn new() -> Self {
        let packed = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(NEEDLES)
            .build();
        Self { packed: packed.map(Arc::new) }
    }

    /// Where the first piece begins.
    pub(super) fn find(&self, haystack: &[u8]) -> Option<usize> {
        match &self.packed {
            Some(packed) => packed.find(haystack).map(|found| found.start()),
            // Without a vectorised search every line is read.
            None => (!haystack.is_empty()).then_some(0),
        }
    }
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Needles").finish_non_exhaustive()
    }
}
