//! Snapshots that were damaged or made up: refused, or restored to a pool that is right in itself.

use core::fmt::Debug;
use core::hash::Hash;
use core::net::Ipv6Addr;
use core::time::Duration;
use std::collections::BTreeSet;

use ippool::{
    AddressPool, Addresses, AllocateError, IndexPool, Integers, Policy, Pool, RestoreError,
    Snapshot, Space, State,
};

const NOW: Duration = Duration::from_secs(1_000);

/// Counts add up, no item has two states, what is left is handed out once each, and everything
/// comes back: what must hold of a pool of few items however it came about.
pub(crate) fn check_whole<S: Space, O>(mut pool: Pool<S, O>, newcomer: O)
where
    O: Copy + Ord + Hash + Debug,
{
    let counts = pool.counts();
    assert_eq!(counts.held + counts.cooling + counts.free, counts.capacity);
    let held: Vec<_> = pool.held().collect();
    let cooling: Vec<_> = pool.cooling().collect();
    let free: Vec<_> = pool.free().collect();
    assert!(held.is_sorted_by(|(a, _), (b, _)| a < b) && free.is_sorted_by(|a, b| a < b));
    assert!(cooling.is_sorted_by_key(|(_, until)| *until));
    let lens = [held.len(), cooling.len(), free.len()].map(|len| len as u128);
    assert_eq!(lens, [counts.held, counts.cooling, counts.free]);
    for &(item, owner) in &held {
        assert_eq!(pool.state(item), State::Held(owner));
        assert!(pool.held_by(owner).contains(&item));
    }
    assert!(cooling.iter().all(|(item, _)| pool.state(*item) == State::Cooling));
    assert!(free.iter().all(|item| pool.state(*item) == State::Free));

    let mut items: BTreeSet<_> = held.iter().map(|(item, _)| *item).collect();
    for _ in 0..free.len() {
        assert!(items.insert(pool.allocate(newcomer, NOW).unwrap().item));
    }
    let last = cooling.last().map_or(NOW, |(_, until)| *until);
    pool.expire(last);
    for _ in 0..cooling.len() {
        assert!(items.insert(pool.allocate(newcomer, last).unwrap().item));
    }
    assert!(matches!(pool.allocate(newcomer, last), Err(AllocateError::Exhausted { .. })));
    assert_eq!(items.len() as u128, counts.capacity);
    for (_, owner) in held {
        pool.release_all(owner, last);
    }
    pool.release_all(newcomer, last);
    assert_eq!(pool.counts().held, 0);
}

/// A pool of a hundred items of which some are held, cooling, idle and remembered.
fn new() -> IndexPool<u32, u16> {
    let pool = IndexPool::new(Integers::new(5..=104).unwrap());
    pool.with_policy(Policy::LongestIdle).with_cooldown(Duration::from_secs(9)).with_sticky_owners()
}

fn used() -> IndexPool<u32, u16> {
    let mut pool = new();
    pool.allocate_many(300, 66, NOW).unwrap();
    for item in [12, 5, 20, 90] {
        let owner = u16::try_from(item).unwrap();
        if pool.allocate_exact(item, owner, NOW).is_err() {
            pool.release(item, 300, NOW).unwrap();
        } else {
            pool.release(item, owner, NOW + Duration::from_millis(7)).unwrap();
        }
    }
    pool.expire(NOW + Duration::from_secs(9));
    pool.release(6, 300, NOW + Duration::from_secs(10)).unwrap();
    pool
}

/// Every bit of the text turned over, every byte dropped or doubled, and every shorter text.
#[cfg(feature = "serde")]
#[test]
fn every_damage_to_a_snapshot_is_refused_or_harmless() {
    let pool = used();
    let text = serde_json::to_string(&pool.snapshot()).unwrap().into_bytes();
    let (mut read, mut refused) = (0, 0);
    let mut attempt = |text: &[u8]| {
        let Ok(snapshot) = serde_json::from_slice::<Snapshot<u16>>(text) else { return };
        read += 1;
        match new().restore(&snapshot) {
            Ok(pool) => {
                new().restore(&pool.snapshot()).unwrap();
                check_whole(pool, 9);
            }
            Err(_) => refused += 1,
        }
    };
    attempt(&text);
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut text = text.clone();
            text[at] ^= 1 << bit;
            attempt(&text);
        }
        attempt(&text[..at]);
        attempt(&[&text[..at], &text[at + 1..]].concat());
        attempt(&[&text[..=at], &text[at..]].concat());
    }
    assert!(refused > 500 && read > refused + 200, "{refused} of {read}");
}

fn with(change: impl FnOnce(&mut Snapshot<u16>)) -> Result<IndexPool<u32, u16>, RestoreError> {
    let mut snapshot = used().snapshot();
    change(&mut snapshot);
    new().restore(&snapshot)
}

fn refused(change: impl FnOnce(&mut Snapshot<u16>)) -> RestoreError {
    with(change).unwrap_err()
}

#[test]
fn indexes_at_the_ends_of_everything() {
    for index in [100, u128::from(u32::MAX) + 1, u128::from(u64::MAX), u128::MAX] {
        let beyond = RestoreError::IndexOutOfRange { index };
        assert_eq!(refused(|s| s.cooling = vec![(index, NOW)]), beyond);
        assert_eq!(refused(|s| s.idle = vec![(index, NOW)]), beyond);
        assert_eq!(refused(|s| s.former = vec![(index, 1)]), beyond);
        check_whole(with(|s| s.cursor = index).unwrap(), 9);
    }
    for usable in [vec![], vec![(0, u128::MAX)], vec![(u128::MAX, 0)], vec![(5, 104), (5, 104)]] {
        assert_eq!(refused(|s| s.usable = usable), RestoreError::OtherSpace);
    }
    assert_eq!(refused(|s| s.version = u32::MAX), RestoreError::Version { found: u32::MAX });
}

#[test]
fn times_at_the_ends_of_everything() {
    let pool = with(|s| s.cooling.push((80, Duration::MAX))).unwrap();
    assert_eq!(pool.cooling().last(), Some((85, Duration::MAX)));
    check_whole(pool, 9);
    let zero = with(|s| s.cooling.insert(0, (80, Duration::ZERO))).unwrap();
    assert_eq!(zero.cooling().next(), Some((85, Duration::ZERO)));
    check_whole(zero, 9);
    check_whole(with(|s| s.idle.push((80, Duration::MAX))).unwrap(), 9);
    let late = |s: &mut Snapshot<u16>| s.idle.insert(0, (80, Duration::MAX));
    assert!(matches!(refused(late), RestoreError::OutOfOrder { .. }));
}

#[test]
fn an_index_cannot_be_listed_twice() {
    let twice = |index| RestoreError::Inconsistent { index };
    assert_eq!(refused(|s| s.cooling.push(s.cooling[0])), twice(1));
    assert_eq!(refused(|s| s.idle.push(s.idle[0])), twice(used().snapshot().idle[0].0));
    assert_eq!(refused(|s| s.idle.push((1, Duration::MAX))), twice(1));
    assert_eq!(refused(|s| s.cooling.push((2, Duration::MAX))), twice(2));
    assert_eq!(refused(|s| s.former.push((2, 77))), twice(2));
    // The same owner would get two back.
    let owner = used().snapshot().former[0].1;
    assert_eq!(refused(|s| s.former.push((99, owner))), twice(99));
    assert_eq!(refused(|s| s.owners.swap(0, 1)), twice(2));
    assert_eq!(refused(|s| s.owners.insert(0, (1, 300))), twice(2));
}

/// Records of the encoding that say more than there is.
#[test]
fn records_that_lie() {
    let damaged = |at| RestoreError::Damaged { at };
    for (held, error) in [
        // A literal of 2^60 words that ends at once; one of two with seven bytes; no end.
        ("goCAgICAgIBA", damaged(0)),
        ("BgAAAAAAAAA=", damaged(0)),
        ("gA==", damaged(0)),
        // A kind that does not exist, an 18-byte count, more than 2^122 words.
        ("Bw==", damaged(0)),
        ("gICAgICAgICAgICAgICAgICAAA==", damaged(0)),
        ("/P///////////////////////w8=", damaged(0)),
        // Characters, groups and bits that base64 does not have.
        ("*", damaged(0)),
        ("BQ=", damaged(1)),
        ("BR==", damaged(1)),
        ("=BQ=", damaged(0)),
        ("BQ==BQ==", damaged(1)),
        ("ÄÖ==", damaged(0)),
    ] {
        assert_eq!(refused(|s| s.held = held.into()), error, "{held}");
    }
    // One full word, then one with bits beyond the hundred items.
    let pool = IndexPool::<u32, ()>::new(Integers::new(5..=104).unwrap());
    let mut snapshot = pool.snapshot();
    snapshot.owners = vec![(0, ())];
    snapshot.held = "CQ==".into();
    let beyond = pool.clone().restore(&snapshot).unwrap_err();
    assert!(matches!(beyond, RestoreError::IndexOutOfRange { index: 100..128 }), "{beyond}");
    // Empty words beyond the end hold nothing; so does a record of no words.
    for held in ["/P///////////////////wc=", "AAECBQ=="] {
        snapshot.held = held.into();
        let pool = pool.clone().restore(&snapshot);
        assert_eq!(pool.map(|pool| pool.counts().held), Ok(if held.len() > 8 { 0 } else { 64 }));
    }
}

/// A few bytes can say that 2^62 items are held: without owners that is one step, and with owners
/// it ends at the first item nobody owns.
#[test]
fn a_record_cannot_keep_a_restore_busy() {
    fn restore<O: Copy + Ord + Hash + Debug>(
        held: &str,
        owners: Vec<(u128, O)>,
    ) -> Result<AddressPool<Ipv6Addr, O>, RestoreError> {
        let space: Addresses<Ipv6Addr> = "fd00::/64".parse().unwrap();
        let pool = AddressPool::new(space);
        let mut snapshot = pool.snapshot();
        snapshot.held = held.into();
        snapshot.owners = owners;
        pool.restore(&snapshot)
    }
    // 2^56 full words; 2^58 full words, which is one index too many.
    let (most, all) = ("gYCAgICAgIAE", "gYCAgICAgIAQ");
    let mut pool = restore(most, vec![(0, ())]).unwrap();
    assert_eq!(pool.counts().held, 1 << 62);
    assert_eq!(
        pool.allocate((), NOW).unwrap().item.to_bits() & u128::from(u64::MAX),
        (1 << 62) + 1
    );
    assert_eq!(pool.snapshot().owners, [(0, ())]);
    let beyond = restore(all, vec![(0, ())]).unwrap_err();
    assert!(matches!(beyond, RestoreError::IndexOutOfRange { .. }));
    let owners = (0..100).map(|index| (index, 1u8)).collect();
    let lacking = RestoreError::Inconsistent { index: 100 };
    assert_eq!(restore(most, owners).unwrap_err(), lacking);
    assert!(matches!(restore::<()>(most, vec![]), Err(RestoreError::Inconsistent { .. })));
}

/// What an emptied pool remembers of before must not mix with the snapshot.
#[test]
fn a_pool_that_was_used_hands_nothing_out_twice() {
    let new = || {
        let pool = IndexPool::<u32, u8>::new(Integers::new(0..=1).unwrap());
        pool.with_policy(Policy::LongestIdle).with_sticky_owners()
    };
    let (mut first, mut used) = (new(), new());
    first.allocate_exact(0, 1, NOW).unwrap();
    let item = used.allocate(2, NOW).unwrap().item;
    used.release(item, 2, NOW).unwrap();
    check_whole(used.restore(&first.snapshot()).unwrap(), 3);

    // Nor can two owners have had one index last.
    first.release(0, 1, NOW).unwrap();
    let mut snapshot = first.snapshot();
    snapshot.former.push((0, 2));
    assert_eq!(new().restore(&snapshot).unwrap_err(), RestoreError::Inconsistent { index: 0 });
}
