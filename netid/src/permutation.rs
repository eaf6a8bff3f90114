use core::fmt;
use core::ops::RangeInclusive;

use thiserror::Error;

use crate::id::NetId;

/// A keyed one-to-one map between counters and ids: ids that look random, never collide, and lead back
/// to their counter.
///
/// Hand out the counters 0, 1, 2, … and show [`id`](Self::id) of each. Under one key no two of them are
/// equal, so no id is drawn twice and no claim is refused for a collision. Use one key for everything
/// that shares a space of ids; different keys do not keep out of each other's way.
///
/// This hides an order, not a secret: 32 bits can be tried one by one.
///
/// ```
/// use netid::{IdPermutation, NetId};
///
/// const IDS: IdPermutation = IdPermutation::new(*b"sixteen byte key");
/// let ids = [IDS.id(0), IDS.id(1), IDS.id(2)];
/// assert_eq!(ids.map(|id| IDS.counter(id)), [0, 1, 2]);
/// ```
///
/// # Format
///
/// The map is fixed for ever; a changed one would be another type. All arithmetic is modulo 2^64.
///
/// - *mix(z)* is the finaliser of `SplitMix64`: `z ^= z >> 30; z *= 0xbf58476d1ce4e5b9; z ^= z >> 27;
///   z *= 0x94d049bb133111eb; z ^= z >> 31`.
/// - The key is two little-endian 64-bit words, *a* then *b*. The four round keys are
///   *k(i) = mix(b ^ mix(a + (i + 1) · 0x9e3779b97f4a7c15))* for *i* = 0, 1, 2, 3.
/// - The round function of *x* with *k* is `t = (x + k) * 0xbf58476d1ce4e5b9; t ^= t >> 32;
///   t *= 0x94d049bb133111eb`, of which the highest bits are used.
/// - A value of *n* bits is cut into its higher *l* = ⌈*n* / 2⌉ bits *L* and its lower *r* = ⌊*n* / 2⌋
///   bits *R*. Rounds 0 and 2 replace *L* by *L* xor the highest *l* bits of the round function of *R*,
///   rounds 1 and 3 replace *R* by *R* xor the highest *r* bits of that of *L*. The result is *L*
///   followed by *R*.
///
/// Here *n* is 32. [`RangePermutation`] uses as many bits as its highest rank has, and repeats the map
/// until the result is a rank again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdPermutation {
    rounds: Rounds,
}

impl IdPermutation {
    /// The permutation of a key.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self { rounds: Rounds::new(key) }
    }

    /// The id of a counter.
    #[must_use]
    #[inline]
    pub const fn id(&self, counter: u32) -> NetId {
        NetId::new(self.rounds.forward(counter, 32))
    }

    /// The counter of an id.
    #[must_use]
    #[inline]
    pub const fn counter(&self, id: NetId) -> u32 {
        self.rounds.backward(id.number(), 32)
    }
}

/// Without the key.
impl fmt::Debug for IdPermutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdPermutation").finish_non_exhaustive()
    }
}

/// A keyed one-to-one map between the ranks and the values of a range: [`IdPermutation`] for any range,
/// such as one of VNIs.
///
/// ```
/// use netid::{RangePermutation, VniRange};
///
/// let range = VniRange::DEFAULT;
/// let vnis = RangePermutation::new(*b"sixteen byte key", range.min().into()..=range.max().into())?;
/// let value = vnis.value(7).unwrap();
/// assert!((200..=16_777_215).contains(&value));
/// assert_eq!(vnis.rank(value), Some(7));
/// assert_eq!(vnis.value(range.capacity()), None, "one more than there are");
/// # Ok::<(), netid::RangeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RangePermutation {
    rounds: Rounds,
    first: u32,
    /// The highest rank: one less than there are values, so that 2^32 fit.
    last: u32,
    /// How many bits the highest rank has. Less than half of what they can express is no rank, so a map
    /// is repeated less than once on average.
    bits: u32,
}

impl RangePermutation {
    /// The permutation of a range under a key.
    ///
    /// # Errors
    /// When the range is backwards.
    pub const fn new(key: [u8; 16], range: RangeInclusive<u32>) -> Result<Self, RangeError> {
        let (first, end) = (*range.start(), *range.end());
        let Some(last) = end.checked_sub(first) else {
            return Err(RangeError { first, last: end });
        };
        Ok(Self {
            rounds: Rounds::new(key),
            first,
            last,
            bits: u32::BITS.saturating_sub(last.leading_zeros()),
        })
    }

    /// The value of a rank, or none if there are not as many.
    #[must_use]
    pub const fn value(&self, rank: u32) -> Option<u32> {
        if rank > self.last {
            return None;
        }
        let mut walk = self.rounds.forward(rank, self.bits);
        // The walk is on a cycle that holds a rank, the one it began with, so it comes to one.
        while walk > self.last {
            walk = self.rounds.forward(walk, self.bits);
        }
        self.first.checked_add(walk)
    }

    /// The rank of a value, or none if it is not in the range.
    #[must_use]
    pub const fn rank(&self, value: u32) -> Option<u32> {
        let Some(offset) = value.checked_sub(self.first) else {
            return None;
        };
        if offset > self.last {
            return None;
        }
        let mut walk = self.rounds.backward(offset, self.bits);
        while walk > self.last {
            walk = self.rounds.backward(walk, self.bits);
        }
        Some(walk)
    }
}

/// Without the key.
impl fmt::Debug for RangePermutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangePermutation")
            .field("first", &self.first)
            .field("last_rank", &self.last)
            .finish_non_exhaustive()
    }
}

/// A range that is backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("range {first}..={last} is backwards: write the lower end first")]
#[non_exhaustive]
pub struct RangeError {
    /// What was to be the lowest.
    pub first: u32,
    /// What was to be the highest.
    pub last: u32,
}

/// The round keys.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rounds([u64; 4]);

impl Rounds {
    const fn new(key: [u8; 16]) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7, b @ ..] = key;
        let a = u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]);
        let b = u64::from_le_bytes(b);
        Self([
            Self::round_key(a, b, 1),
            Self::round_key(a, b, 2),
            Self::round_key(a, b, 3),
            Self::round_key(a, b, 4),
        ])
    }

    const fn round_key(a: u64, b: u64, number: u64) -> u64 {
        mix(b ^ mix(a.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
    }

    #[inline]
    const fn forward(&self, value: u32, bits: u32) -> u32 {
        let [k0, k1, k2, k3] = self.0;
        let (mut left, mut right) = split(value, bits);
        left ^= round(right, k0, bits.div_ceil(2));
        right ^= round(left, k1, bits / 2);
        left ^= round(right, k2, bits.div_ceil(2));
        right ^= round(left, k3, bits / 2);
        join(left, right, bits)
    }

    #[inline]
    const fn backward(&self, value: u32, bits: u32) -> u32 {
        let [k0, k1, k2, k3] = self.0;
        let (mut left, mut right) = split(value, bits);
        right ^= round(left, k3, bits / 2);
        left ^= round(right, k2, bits.div_ceil(2));
        right ^= round(left, k1, bits / 2);
        left ^= round(right, k0, bits.div_ceil(2));
        join(left, right, bits)
    }
}

#[inline]
const fn split(value: u32, bits: u32) -> (u32, u32) {
    let right = bits / 2;
    (value >> right, value & !(u32::MAX << right))
}

#[inline]
const fn join(left: u32, right: u32, bits: u32) -> u32 {
    (left << (bits / 2)) | right
}

/// The highest bits, at most 32 and possibly none, of the round function.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are left")]
const fn round(half: u32, key: u64, bits: u32) -> u32 {
    let mut t = (half as u64).wrapping_add(key).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    t ^= t >> 32;
    t = t.wrapping_mul(0x94d0_49bb_1331_11eb);
    (((t as u128) << bits) >> 64) as u32
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
