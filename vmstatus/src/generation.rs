use core::fmt;

/// Which life of the machine a fact belongs to: the start of its process, and the boot within it.
///
/// A guest that reboots keeps its process, so both numbers are needed. Generations are ordered: a
/// later start is newer than any boot of an earlier one. Facts of an older generation never
/// overwrite those of a newer one, and an address or a banner counts in its own generation only.
///
/// ```
/// use vmstatus::Generation;
///
/// let first = Generation::new(1, 1);
/// assert!(first < first.with_boot(2));
/// assert!(first.with_boot(9) < Generation::new(2, 0));
/// assert_eq!(first.to_string(), "1.1");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Generation {
    start: u32,
    boot: u32,
}

impl Generation {
    /// The `start`-th start of the process and the `boot`-th boot that its console shows.
    #[must_use]
    pub const fn new(start: u32, boot: u32) -> Self {
        Self { start, boot }
    }

    /// The same start with another boot number, such as [`Scanner::boots`](crate::console::Scanner::boots).
    #[must_use]
    pub const fn with_boot(mut self, boot: u32) -> Self {
        self.boot = boot;
        self
    }

    /// The next start of the process, before any boot has been seen.
    #[must_use]
    pub const fn next_start(self) -> Self {
        Self::new(self.start.saturating_add(1), 0)
    }

    /// Number of the process's start.
    #[must_use]
    pub const fn start(self) -> u32 {
        self.start
    }

    /// Number of the boot within that start.
    #[must_use]
    pub const fn boot(self) -> u32 {
        self.boot
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.start, self.boot)
    }
}
