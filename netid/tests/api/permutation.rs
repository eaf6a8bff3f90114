//! The permutations: their fixed values, a second implementation, and every value of small ranges.

use core::ops::RangeInclusive;

use netid::{IdPermutation, NetId, RangeError, RangePermutation};
use proptest::prelude::{any, proptest};

const KEY: [u8; 16] = *b"sixteen byte key";

/// Counters and ids that must never change, worked out from the documented format in another
/// language.
#[test]
fn ids_are_fixed_for_ever() {
    let counters = [0, 1, 2, 3, 255, 256, 65_535, 65_536, 0x7fff_ffff, u32::MAX];
    for (key, ids) in [
        (
            [0; 16],
            [
                "e827c469", "4e5360af", "913976c3", "d37872a6", "ebec418e", "0b4657c8", "d2488c29",
                "49410e43", "b4264b59", "2b03387f",
            ],
        ),
        (
            KEY,
            [
                "a3e64f49", "200bbdef", "ce0fcebd", "4fa67a75", "ca699d60", "73b2898c", "55972f85",
                "b8519f38", "b9e938a7", "b0a04705",
            ],
        ),
        (
            core::array::from_fn(|at| u8::try_from(at).unwrap()),
            [
                "1a9b9ed1", "b8fb67af", "7b7a4ff6", "be4bc6a1", "4d7a5b0c", "b30cd71c", "292d2ec6",
                "1df298a1", "dba586f8", "f4fb3c17",
            ],
        ),
    ] {
        let permutation = IdPermutation::new(key);
        for (counter, id) in counters.into_iter().zip(ids) {
            assert_eq!(permutation.id(counter).to_string(), id);
            assert_eq!(permutation.counter(id.parse().unwrap()), counter);
        }
    }
}

#[test]
fn values_of_ranges_are_fixed_for_ever() {
    for (range, values) in [
        (
            200..=16_777_215,
            &[16_342_404, 4_117_057, 13_535_978, 1_116_993, 3_615_515, 6_401_798][..],
        ),
        (22_001..=32_000, &[26_036, 22_167, 24_141, 28_985, 22_848, 29_924]),
        (0..=9, &[3, 4, 2, 0, 6, 1, 5, 7, 9, 8]),
        (5..=6, &[5, 6]),
        (0..=0, &[0]),
        (0..=u32::MAX, &[0xa3e6_4f49, 0x200b_bdef, 0xce0f_cebd, 0x4fa6_7a75]),
    ] {
        let permutation = RangePermutation::new(KEY, range.clone()).unwrap();
        for (rank, &value) in (0..).zip(values) {
            assert_eq!(permutation.value(rank), Some(value), "{rank} of {range:?}");
        }
    }
}

/// The documented format, on numbers large enough for every product, one bit at a time where it is
/// about bits.
mod reference {
    const MODULUS: u128 = 1 << 64;
    const FIRST: u128 = 0xbf58_476d_1ce4_e5b9;
    const SECOND: u128 = 0x94d0_49bb_1331_11eb;

    const fn mix(mut z: u128) -> u128 {
        z ^= z >> 30;
        z = z * FIRST % MODULUS;
        z ^= z >> 27;
        z = z * SECOND % MODULUS;
        z ^ (z >> 31)
    }

    fn round(half: u128, key: u128, bits: u32) -> u128 {
        let mut t = (half + key) % MODULUS * FIRST % MODULUS;
        t ^= t >> 32;
        t = t * SECOND % MODULUS;
        (0..bits).fold(0, |high, bit| high * 2 + (t >> (63 - bit)) % 2)
    }

    pub(super) fn value(key: [u8; 16], first: u32, last: u32, rank: u32) -> u32 {
        let word =
            |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word * 256 + u128::from(byte));
        let (a, b) = (word(&key[..8]), word(&key[8..]));
        let highest = u128::from(last - first);
        let bits = (0..33).find(|&bits| highest < 1 << bits).unwrap();
        let (high, low) = (bits - bits / 2, bits / 2);
        let mut walk = u128::from(rank);
        loop {
            let (mut left, mut right) = (walk >> low, walk % (1 << low));
            for i in 0..4 {
                let k = mix(b ^ mix((a + (i + 1) * 0x9e37_79b9_7f4a_7c15) % MODULUS));
                if i % 2 == 0 {
                    left ^= round(right, k, high);
                } else {
                    right ^= round(left, k, low);
                }
            }
            walk = (left << low) + right;
            if walk <= highest {
                return first + u32::try_from(walk).unwrap();
            }
        }
    }
}

/// Every rank has a value of its own, every value its rank, and nothing else has either.
fn is_one_to_one(key: [u8; 16], range: RangeInclusive<u32>) {
    let permutation = RangePermutation::new(key, range.clone()).unwrap();
    let (first, last) = (*range.start(), *range.end());
    let mut seen = vec![false; (last - first) as usize + 1];
    for rank in 0..=last - first {
        let value = permutation.value(rank).unwrap();
        assert!(range.contains(&value), "{rank} of {range:?} gives {value}");
        let before = std::mem::replace(&mut seen[(value - first) as usize], true);
        assert!(!before, "{value} of {range:?} comes twice");
        assert_eq!(permutation.rank(value), Some(rank));
    }
    assert_eq!(permutation.value(last - first + 1), None);
    assert_eq!(permutation.rank(last + 1), None);
    assert_eq!(first.checked_sub(1).and_then(|value| permutation.rank(value)), None);
}

#[test]
fn small_ranges_are_one_to_one() {
    for length in 1..=600 {
        is_one_to_one(KEY, 0..=length - 1);
        is_one_to_one([length.to_le_bytes()[0]; 16], 7..=length + 6);
    }
}

/// Debug builds check a port range, release builds all VNIs.
#[test]
fn large_ranges_are_one_to_one() {
    is_one_to_one(KEY, 22_001..=32_000);
    is_one_to_one(KEY, 200..=if cfg!(debug_assertions) { 300_000 } else { 0xff_ffff });
}

#[test]
fn the_ends_of_the_number_space_fit() {
    let whole = RangePermutation::new(KEY, 0..=u32::MAX).unwrap();
    let top = RangePermutation::new(KEY, u32::MAX..=u32::MAX).unwrap();
    assert_eq!((top.value(0), top.value(1)), (Some(u32::MAX), None));
    assert_eq!((top.rank(u32::MAX), top.rank(u32::MAX - 1)), (Some(0), None));
    for rank in [0, 1, u32::MAX - 1, u32::MAX] {
        let value = whole.value(rank).unwrap();
        assert_eq!(whole.rank(value), Some(rank));
        assert_eq!(NetId::new(value), IdPermutation::new(KEY).id(rank));
    }
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "the mistake to be refused")]
fn a_range_that_is_backwards_is_refused() {
    let RangeError { first, last, .. } = RangePermutation::new(KEY, 2..=1).unwrap_err();
    assert_eq!((first, last), (2, 1));
}

/// Neighbouring counters give ids that differ in every bit about every other time, and that spread
/// evenly: within five standard deviations of what coin tosses would give.
#[test]
fn neighbours_look_unrelated() {
    const COUNT: u32 = 1 << 16;
    for key in [[0; 16], KEY, [0xff; 16]] {
        let permutation = IdPermutation::new(key);
        let ids: Vec<u32> = (0..=COUNT).map(|counter| permutation.id(counter).number()).collect();
        for bit in 0..32 {
            let flips = ids.windows(2).filter(|two| (two[0] ^ two[1]) >> bit & 1 == 1).count();
            assert!(flips.abs_diff(1 << 15) < 5 * 128, "bit {bit} flips {flips} times");
        }
        for shift in [0, 8, 16, 24] {
            let mut counts = [0_usize; 256];
            for id in &ids {
                counts[(id >> shift & 0xff) as usize] += 1;
            }
            assert!(counts.iter().all(|count| count.abs_diff(256) < 5 * 16), "{counts:?}");
        }
    }
}

proptest! {
    #[test]
    fn ids_lead_back_to_their_counter(key in any::<[u8; 16]>(), counter in any::<u32>()) {
        let permutation = IdPermutation::new(key);
        assert_eq!(permutation.counter(permutation.id(counter)), counter);
        assert_eq!(permutation.id(permutation.counter(NetId::new(counter))), NetId::new(counter));
    }

    #[test]
    fn both_implementations_agree(
        key in any::<[u8; 16]>(),
        a in any::<u32>(),
        b in any::<u32>(),
        shift in 0_u32..32,
        rank in any::<u32>(),
    ) {
        let (first, last) = (a.min(b) >> shift, a.max(b) >> shift);
        let rank = u32::try_from(u64::from(rank) % (u64::from(last - first) + 1)).unwrap();
        let permutation = RangePermutation::new(key, first..=last).unwrap();
        let value = permutation.value(rank).unwrap();
        assert_eq!(value, reference::value(key, first, last, rank));
        assert_eq!(permutation.rank(value), Some(rank));
        assert_eq!(permutation.value(last - first), Some(reference::value(key, first, last, last - first)));
    }
}
