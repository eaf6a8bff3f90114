//! Spaces of millions of items and more: filled to the last item, and at the ends of their words.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::num::NonZero;
use core::time::Duration;
use std::collections::BTreeSet;

use ippool::{
    AddressPool, AllocateError, How, IndexPool, Integers, Policy, Pool, ReleaseError, Space, State,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::words::{Words, all_but};

const NOW: Duration = Duration::ZERO;
const POLICIES: [Policy; 3] = [Policy::NextFit, Policy::Lowest, Policy::LongestIdle];

fn v4(prefix: &str) -> AddressPool {
    AddressPool::new(prefix.parse().unwrap()).with_cooldown(Duration::ZERO)
}

fn v6(prefix: &str) -> AddressPool<Ipv6Addr> {
    AddressPool::new(prefix.parse().unwrap())
}

fn item<S: Space, O: ippool::Owner>(pool: &Pool<S, O>, index: u128) -> S::Item {
    pool.space().item(pool.space().layout().ordinal(index))
}

/// One by one with each policy; release builds fill a /8, debug builds a /14, which has as many
/// levels but one.
#[test]
fn prefixes_fill_completely() {
    let large = if cfg!(debug_assertions) { "10.0.0.0/14" } else { "10.0.0.0/8" };
    for prefix in ["172.16.0.0/16", large] {
        for policy in POLICIES {
            let mut pool = v4(prefix).with_policy(policy);
            let capacity = pool.counts().capacity;
            let mut last = Ipv4Addr::UNSPECIFIED;
            for _ in 0..capacity {
                let item = pool.allocate((), NOW).unwrap().item;
                assert!(item > last);
                last = item;
            }
            assert!(pool.allocate((), NOW).is_err());
            assert_eq!(pool.counts().held, capacity);
        }
        let mut pool = v4(prefix);
        let mut rng = StdRng::seed_from_u64(4);
        let capacity = pool.counts().capacity;
        for _ in 0..capacity {
            assert!(pool.allocate_random((), NOW, &mut rng).is_ok());
        }
        assert!(pool.allocate_random((), NOW, &mut rng).is_err());
        assert_eq!(pool.counts().held, capacity);
    }
}

/// The few free items of a pool that is otherwise full, at the ends of the words of every level,
/// are all found by every policy; on both sides of 2^24 items, where the engine changes its form.
#[test]
fn the_last_free_items_are_found() {
    for capacity in [(1u32 << 24) - 1, 1 << 24, (1 << 24) + 1] {
        let end = u128::from(capacity);
        let mut open =
            BTreeSet::from([0, 1, end - 66, end - 65, end - 64, end - 63, end - 2, end - 1]);
        for boundary in [64u128, 128, 1 << 9, 1 << 12, 1 << 15, 1 << 18, 1 << 21, 1 << 23] {
            open.extend([boundary - 1, boundary]);
        }
        let open: Vec<u128> = open.into_iter().collect();
        let items: Vec<u32> = open.iter().map(|&index| u32::try_from(index).unwrap()).collect();
        let new = || IndexPool::<u32>::new(Integers::new(0..=capacity - 1).unwrap());
        for policy in POLICIES {
            let mut pool = all_but(new().with_policy(policy), &open);
            assert!(pool.free().eq(items.iter().copied()));
            for &item in &items {
                assert_eq!(pool.allocate((), NOW).unwrap().item, item, "{policy:?} {capacity}");
            }
            assert!(matches!(pool.allocate((), NOW), Err(AllocateError::Exhausted { .. })));
            // Given back from the top, they come back from there only to the longest idle.
            for &item in items.iter().rev() {
                pool.release(item, (), NOW).unwrap();
                assert!(matches!(pool.state(item), State::Free));
            }
            let mut again: Vec<u32> =
                items.iter().map(|_| pool.allocate((), NOW).unwrap().item).collect();
            if policy == Policy::LongestIdle {
                again.reverse();
            }
            assert_eq!(again, items);
        }
        let mut pool = all_but(new(), &open);
        let mut rng = StdRng::seed_from_u64(u64::from(capacity));
        let found: BTreeSet<u32> =
            items.iter().map(|_| pool.allocate_random((), NOW, &mut rng).unwrap().item).collect();
        assert!(found.into_iter().eq(items.iter().copied()));
        assert!(pool.allocate_random((), NOW, &mut rng).is_err());

        let mut pool = all_but(new(), &open);
        let mut run = |len| pool.allocate_run((), NonZero::new(len).unwrap(), NOW);
        assert_eq!(run(4), Ok(capacity - 66..=capacity - 63));
        for first in
            [0, 63, 127, 511, 4095, (1 << 15) - 1, (1 << 18) - 1, (1 << 21) - 1, (1 << 23) - 1]
        {
            assert_eq!(run(2), Ok(first..=first + 1));
        }
        assert_eq!(run(2), Ok(capacity - 2..=capacity - 1));
        assert!(matches!(run(1), Err(AllocateError::TooFew { .. })));
    }
}

/// Owners are stored in another way beyond 2^24 items, too.
#[test]
fn owners_on_both_sides_of_the_limit() {
    for capacity in [(1u32 << 24) - 1, 1 << 24, (1 << 24) + 1] {
        let space = Integers::new(0..=capacity - 1).unwrap();
        let mut pool = IndexPool::<u32, u64>::new(space.clone()).with_sticky_owners();
        let items = [capacity - 1, 0, capacity / 2, 64, capacity - 2];
        for (owner, item) in (1..).zip(items) {
            pool.allocate_exact(item, owner, NOW).unwrap();
        }
        pool.release(capacity - 1, 1, NOW).unwrap();
        let mut pool =
            IndexPool::new(space).with_sticky_owners().restore(&pool.snapshot()).unwrap();
        assert!(pool.held().map(|(item, _)| item).eq([0, 64, capacity / 2, capacity - 2]));
        let grant = pool.allocate(1, NOW).unwrap();
        assert_eq!((grant.item, grant.how), (capacity - 1, How::Returned));
        for (owner, item) in (1..).zip(items) {
            assert_eq!(pool.held_by(owner), [item]);
            assert_eq!(pool.release(item, 9, NOW), Err(ReleaseError::HeldByOther { item, owner }));
            assert_eq!(pool.release_all(owner, NOW), [item]);
        }
        assert_eq!(pool.counts().free, capacity.into());
    }
}

/// A million addresses of a /64, in sequence and far apart.
#[test]
fn a_slash_64_is_sparse() {
    let mut pool = v6("fd00::/64");
    let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    for n in 1..=count {
        assert_eq!(pool.allocate((), NOW).unwrap().item.to_bits() & u128::from(u64::MAX), n);
    }
    // Held without gaps, they are one run of full words.
    assert!(pool.snapshot().held.len() < 32);
    let mut rng = StdRng::seed_from_u64(4);
    for _ in 0..count / 10 {
        let item = pool.allocate_random((), NOW, &mut rng).unwrap().item;
        assert!(item.to_bits() & u128::from(u64::MAX) > count);
    }
    assert_eq!(pool.counts().held, count + count / 10);
    assert_eq!(pool.held().count() as u128, count + count / 10);
}

/// Items at the ends of the words of 2^63 and 2^64, with owners, through a restart.
#[test]
fn items_far_apart() {
    let new = || Pool::<_, u8>::new(Integers::new(0..=u64::MAX).unwrap());
    let mut pool = new();
    let half = 1u64 << 63;
    let far = [
        0,
        63,
        64,
        1 << 32,
        half - 1,
        half,
        half + 63,
        half + 64,
        u64::MAX - 64,
        u64::MAX - 1,
        u64::MAX,
    ];
    for (owner, item) in (1..=11u8).zip(far).rev() {
        pool.allocate_exact(item, owner, NOW).unwrap();
    }
    pool.release(half, 6, NOW).unwrap();
    pool.allocate_exact(half, 60, NOW).unwrap();
    let mut pool = new().restore(&pool.snapshot()).unwrap();
    assert!(pool.held().map(|(item, _)| item).eq(far));
    assert_eq!((pool.owner(half), pool.owner(u64::MAX)), (Some(60), Some(11)));
    let report = pool.rebuild(far.map(|item| (item, 7)), NOW);
    assert_eq!((report.confirmed, report.conflicting.len(), report.orphaned.len()), (1, 10, 0));
    // The search passes over each of them and starts again after the last.
    for cursor in [1, 63, 64, half - 1, half, u64::MAX - 64, u64::MAX - 1, u64::MAX] {
        let mut snapshot = pool.snapshot();
        snapshot.cursor = cursor.into();
        let got = new().restore(&snapshot).unwrap().allocate(1, NOW).unwrap().item;
        let expected = (cursor..=u64::MAX).chain(0..cursor).find(|item| !far.contains(item));
        assert_eq!(Some(got), expected, "from {cursor}");
    }
}

/// Runs of items across words, where everything below is held: at 2^63, and up to the last item.
#[test]
fn runs_in_a_slash_64() {
    let run = |pool: &mut AddressPool<Ipv6Addr>, len| {
        let run = pool.allocate_run((), NonZero::new(len).unwrap(), NOW);
        let low =
            |address: Ipv6Addr| u64::try_from(address.to_bits() & u128::from(u64::MAX)).unwrap();
        run.map(|run| (low(*run.start()), low(*run.end())))
    };
    let half = 1u64 << 63;
    let mut pool = Words::default().full(1 << 57).held_in(v6("fd00::/64"));
    assert_eq!(pool.counts().held, 1 << 63);
    // Index 0 is address 1.
    let one_in = item(&pool, (1 << 63) + 65);
    pool.allocate_exact(one_in, (), NOW).unwrap();
    assert_eq!(run(&mut pool, 66), Ok((half + 67, half + 132)));
    assert_eq!(run(&mut pool, 65), Ok((half + 1, half + 65)));
    assert_eq!(run(&mut pool, 130), Ok((half + 133, half + 262)));

    let mut pool = Words::default().full((1 << 58) - 3).held_in(v6("fd00::/64"));
    assert_eq!(pool.counts().free, 3 * 64 - 1);
    assert_eq!(run(&mut pool, 100), Ok((u64::MAX - 190, u64::MAX - 91)));
    assert!(matches!(run(&mut pool, 92), Err(AllocateError::TooFew { .. })));
    assert_eq!(run(&mut pool, 91), Ok((u64::MAX - 90, u64::MAX)));
    assert!(matches!(pool.allocate((), NOW), Err(AllocateError::Exhausted { .. })));
    assert!(pool.allocate_random((), NOW, &mut StdRng::seed_from_u64(1)).is_err());
    let last = item(&pool, u128::from(u64::MAX) - 1);
    pool.release(last, (), NOW).unwrap();
    assert_eq!(pool.allocate((), NOW + Duration::from_secs(60)).unwrap().item, last);
}

/// All but the last items of the largest spaces there are.
#[test]
fn the_last_items_of_the_largest_spaces() {
    let mut pool = Words::default().full((1 << 122) - 2).held_in(v6("::/0"));
    let free = pool.counts().free;
    assert_eq!(free, 127);
    for left in (0..free).rev() {
        assert_eq!(pool.allocate((), NOW).unwrap().item.to_bits(), u128::MAX - left);
    }
    assert_eq!(pool.counts().held, u128::MAX);
    assert!(pool.allocate((), NOW).is_err());

    let all = || IndexPool::<u32>::new(Integers::new(0..=u32::MAX).unwrap());
    for policy in POLICIES {
        let mut pool = Words::default().full((1 << 26) - 1).held_in(all().with_policy(policy));
        for left in (0..64).rev() {
            assert_eq!(pool.allocate((), NOW).unwrap().item, u32::MAX - left, "{policy:?}");
        }
        assert!(pool.allocate((), NOW).is_err());
        pool.release(u32::MAX, (), NOW).unwrap();
        pool.release(7, (), NOW).unwrap();
        let expected = if policy == Policy::LongestIdle { [u32::MAX, 7] } else { [7, u32::MAX] };
        assert_eq!([(); 2].map(|()| pool.allocate((), NOW).unwrap().item), expected);
        pool.release(u32::MAX, (), NOW).unwrap();
        assert_eq!(pool.allocate((), NOW).unwrap().item, u32::MAX);
    }
}
