use core::fmt;
use core::num::NonZeroU64;

/// How fast packets may flow in one direction: a token bucket, as `tbf` and nf_tables' `limit` have it.
///
/// ```
/// use hostnet::Rate;
/// use std::num::NonZeroU64;
///
/// let rate = Rate::megabits(NonZeroU64::new(100).unwrap());
/// assert_eq!(rate.bytes_per_second(), 12_500_000);
/// assert_eq!(rate.to_string(), "12500000 bytes/second burst 1250000 bytes");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rate {
    bytes_per_second: NonZeroU64,
    burst: u32,
}

impl Rate {
    /// The least burst in bytes that is given without being asked for: two of the largest packets there are.
    const LEAST_BURST: u32 = 128 * 1024;

    const BYTES_PER_MEGABIT: NonZeroU64 = NonZeroU64::new(125_000).unwrap();

    /// This many bytes a second. The burst is what flows in a tenth of a second, but at least 128 KiB.
    #[must_use]
    pub const fn new(bytes_per_second: NonZeroU64) -> Self {
        let tenth = bytes_per_second.get() / 10;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "compared with the target's range first"
        )]
        let tenth = if tenth > u32::MAX as u64 { u32::MAX } else { tenth as u32 };
        let burst = if tenth < Self::LEAST_BURST { Self::LEAST_BURST } else { tenth };
        Self { bytes_per_second, burst }
    }

    /// This many million bits a second. More than 2^64 bytes a second are as many.
    #[must_use]
    pub const fn megabits(megabits: NonZeroU64) -> Self {
        Self::new(megabits.saturating_mul(Self::BYTES_PER_MEGABIT))
    }

    /// Sets how many bytes may come at once after a pause. Fewer than the largest packet's would stop that for ever.
    #[must_use]
    pub const fn with_burst(mut self, bytes: u32) -> Self {
        self.burst = bytes;
        self
    }

    /// How many bytes may flow each second.
    #[must_use]
    pub const fn bytes_per_second(self) -> u64 {
        self.bytes_per_second.get()
    }

    /// How many bytes may come at once after a pause.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// How many bytes wait at most where a queue is to be had: a burst and what flows in 50 ms.
    pub(crate) fn queue(self) -> u32 {
        let waiting = self.bytes_per_second() / 20 + u64::from(self.burst);
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes/second burst {} bytes", self.bytes_per_second, self.burst)
    }
}
