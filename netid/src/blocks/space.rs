use alloc::format;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::num::NonZeroU32;

use super::error::BlockSpaceError;
use crate::claim::{ClaimKey, Owner};
use crate::permutation::RangePermutation;
use crate::vacancy::KeyRange;

/// A range of numbers, cut into blocks of equal size, of which the last may be shorter.
///
/// All hosts must cut one range in the same way: the stores keep a claim that says how, and whoever comes with another
/// size or permutation is refused. To cut it anew, return all blocks of all hosts, then release the claim on the key
/// `block-space/…` in each store, whose holder [`BlocksError::Disagreement`](super::BlocksError::Disagreement) names.
///
/// Where several ranges of one kind are in the same stores, all of them have scopes, or the owner of a number of one is
/// taken for an owner in another ([`KeyRange::with_scope`]).
///
/// ```
/// use netid::{BlockSpace, KeyRange, NetId};
///
/// let ids = KeyRange::ids(NetId::new(0), NetId::new(u32::MAX))?;
/// // With a permutation, blocks of neighbours become ids that look random and lead back to their block.
/// let space = BlockSpace::new(ids)?.with_permutation(*b"sixteen byte key");
/// assert_eq!(space.leases().capacity(), 1 << 24);
/// let numbers: Vec<_> = space.numbers(7).collect();
/// assert_eq!(numbers.len(), 256);
/// assert!(numbers.iter().all(|&number| space.block_of(number) == Some(7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BlockSpace {
    range: KeyRange,
    size: NonZeroU32,
    permutation: Option<RangePermutation>,
    leases: KeyRange,
    agreement: ClaimKey,
}

impl BlockSpace {
    /// The size of a block unless another is given: 256 numbers.
    pub const SIZE: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);

    /// From how many possible orders on two keys do not agree by chance.
    const TOLD_APART: u64 = 1 << 40;

    /// Cuts a range into blocks of [`SIZE`](Self::SIZE).
    ///
    /// # Errors
    /// When the range has a scope so long that the keys of the leases do not fit.
    pub fn new(range: KeyRange) -> Result<Self, BlockSpaceError> {
        let leases = leases(&range, Self::SIZE)?;
        let segments: Vec<_> = segments(&range).collect();
        let agreement = ClaimKey::new("block-space", &segments)?;
        Ok(Self { range, size: Self::SIZE, permutation: None, leases, agreement })
    }

    /// Blocks of another size. A host keeps all numbers of its blocks in memory.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_size(mut self, size: NonZeroU32) -> Result<Self, BlockSpaceError> {
        self.leases = leases(&self.range, size)?;
        self.size = size;
        Ok(self)
    }

    /// Blocks of numbers that are spread over the range, by the [`RangePermutation`] of a key. Without it, a block is
    /// a run of neighbours.
    #[must_use]
    pub fn with_permutation(mut self, key: [u8; 16]) -> Self {
        // A range is never backwards.
        self.permutation = RangePermutation::new(key, self.range.min()..=self.range.max()).ok();
        self
    }

    /// What is handed out.
    #[must_use]
    pub const fn range(&self) -> &KeyRange {
        &self.range
    }

    /// What is leased: the numbers of the blocks, such as `block/id/0000000007`.
    #[must_use]
    pub const fn leases(&self) -> &KeyRange {
        &self.leases
    }

    /// The numbers of a block; none if there is no such block.
    pub fn numbers(&self, block: u32) -> impl Iterator<Item = u32> + '_ {
        let first = u64::from(block).saturating_mul(self.size.get().into());
        let end = first.saturating_add(self.size.get().into()).min(self.range.capacity());
        (first..end).filter_map(|rank| {
            let rank = u32::try_from(rank).ok()?;
            match &self.permutation {
                Some(permutation) => permutation.value(rank),
                None => self.range.min().checked_add(rank),
            }
        })
    }

    /// The block of a number, or none if it is not in the range.
    #[must_use]
    pub fn block_of(&self, number: u32) -> Option<u32> {
        if number > self.range.max() {
            return None;
        }
        let rank = match &self.permutation {
            Some(permutation) => permutation.rank(number)?,
            None => number.checked_sub(self.range.min())?,
        };
        rank.checked_div(self.size.get())
    }

    /// The key that says how the range is cut.
    pub(super) const fn agreement(&self) -> &ClaimKey {
        &self.agreement
    }

    /// Who has to hold the key that says how the range is cut.
    pub(super) fn agreed(&self) -> Owner {
        let (min, max, size) = (self.range.min(), self.range.max(), self.size);
        let mut name = format!("blocks of {size} of {min}..={max}");
        if let Some(permutation) = &self.permutation {
            // As many values as tell keys apart: two, unless the range is small. They say nothing that ids do not.
            let mut possible = 1_u64;
            for rank in 0..=u32::MAX {
                let Some(value) = permutation.value(rank) else { break };
                let comma = if rank == 0 { " permuted to" } else { "," };
                let _ = write!(name, "{comma} {value:08x}");
                let left = self.range.capacity().saturating_sub(rank.into());
                possible = possible.saturating_mul(left);
                if possible >= Self::TOLD_APART {
                    break;
                }
            }
        }
        Owner::from_checked("block-space", &name, &name)
    }
}

/// The keys of the leases: `block`, the kind and the scope of the range, and the number of the block.
fn leases(range: &KeyRange, size: NonZeroU32) -> Result<KeyRange, BlockSpaceError> {
    let blocks = range.capacity().div_ceil(u64::from(size.get()));
    let last = u32::try_from(blocks.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut leases = KeyRange::numbers("block", 0, last)?;
    // Each scope goes in front of the last one.
    for scope in segments(range).rev() {
        leases = leases.with_scope(scope)?;
    }
    Ok(leases)
}

/// The kind and the scopes of a range.
fn segments(range: &KeyRange) -> impl DoubleEndedIterator<Item = &str> {
    range.prefix().trim_end_matches('/').split('/')
}
