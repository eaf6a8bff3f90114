//! A restart forgets nothing, and a bad snapshot is refused.

use core::net::Ipv4Addr;
use core::time::Duration;

use ippool::{
    AddressPool, Addresses, Conflict, Integers, Policy, Pool, RestoreError, Snapshot, State,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn addresses() -> Addresses {
    "172.16.0.0/16".parse::<Addresses>().unwrap()
}

/// Half full at random, every other address, and words that are full by turns: no way of encoding
/// helps with the first two, and the third has the most records.
#[cfg(feature = "serde")]
#[test]
fn a_half_full_slash_16_takes_less_than_16_kilobytes() {
    type Held = fn(u32, &mut StdRng) -> bool;
    let ways: [Held; 4] = [
        |_, rng| rng.random(),
        |index, _| index % 2 == 0,
        |index, _| if index % 128 < 64 { index % 2 == 0 } else { index % 256 < 192 },
        |index, _| index < 32_767,
    ];
    for (way, held) in ways.into_iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(16);
        let mut pool: AddressPool = AddressPool::new(addresses());
        for index in (0..65_534).filter(|index| held(*index, &mut rng)) {
            let item = Ipv4Addr::from_bits(0xac10_0001 + index);
            pool.allocate_exact(item, (), NOW).unwrap();
        }
        let json = serde_json::to_string(&pool.snapshot()).unwrap();
        let most = if way == 3 { 1024 } else { 16 * 1024 };
        assert!(pool.counts().held.abs_diff(32_767) < 1_000, "{}", pool.counts().held);
        assert!(json.len() <= most, "{way}: {}", json.len());
        let snapshot: Snapshot = serde_json::from_str(&json).unwrap();
        let restored: AddressPool = AddressPool::new(addresses()).restore(&snapshot).unwrap();
        assert!(restored.held().eq(pool.held()));
        assert_eq!(restored.snapshot(), snapshot);
    }
}

#[test]
fn cooldown_and_cursor_survive() {
    let mut pool: AddressPool<Ipv4Addr, u32> = AddressPool::new(addresses());
    let first = pool.allocate(1, NOW).unwrap().item;
    let second = pool.allocate(2, NOW).unwrap().item;
    pool.release(first, 1, NOW + Duration::from_nanos(7)).unwrap();
    let mut pool: AddressPool<Ipv4Addr, u32> =
        AddressPool::new(addresses()).restore(&pool.snapshot()).unwrap();
    let until = NOW + Duration::new(60, 7);
    assert!(pool.cooling().eq([(first, until)]));
    assert_eq!(pool.owner(second), Some(2));
    assert_eq!(pool.allocate(3, NOW).unwrap().item, Ipv4Addr::new(172, 16, 0, 3));
    assert_eq!(pool.expire(NOW + Duration::from_secs(60)), 0);
    assert_eq!(pool.expire(until), 1);
    assert_eq!(pool.state(first), State::Free);
}

#[test]
fn random_states_survive_in_dense_and_sparse_spaces() {
    let mut rng = StdRng::seed_from_u64(8);
    for last in [5_000u64, 1 << 40] {
        let space = Integers::new(0..=last).unwrap();
        for policy in [Policy::NextFit, Policy::LongestIdle] {
            let new = || {
                let pool: Pool<_, u16> = Pool::new(space.clone()).with_policy(policy);
                pool.with_cooldown(Duration::from_secs(9)).with_sticky_owners()
            };
            let mut pool = new();
            for step in 0..3_000 {
                let now = NOW + Duration::from_millis(step * 10);
                let owner = rng.random_range(0..400);
                if rng.random_bool(0.4) {
                    pool.release_all(owner, now);
                } else if rng.random_bool(0.1) {
                    let item = rng.random_range(0..=last);
                    pool.rebuild([(item, owner)], now).orphaned.clear();
                } else {
                    assert!(pool.allocate(owner, now).is_ok());
                }
            }
            let snapshot = pool.snapshot();
            let again = new().restore(&snapshot).unwrap().snapshot();
            let sorted = |mut snapshot: Snapshot<u16>| {
                snapshot.former.sort_unstable();
                snapshot.cursor = 0;
                snapshot
            };
            assert_eq!(sorted(again), sorted(snapshot));
        }
    }
}

type Change = fn(&mut Snapshot<u8>);

#[test]
fn what_does_not_fit_is_refused() {
    let space = || Integers::new(10..=109u32).unwrap();
    let new = || Pool::<Integers, u8>::new(space()).with_cooldown(Duration::from_secs(5));
    let mut pool = new();
    pool.allocate_many(1, 70, NOW).unwrap();
    pool.release(10, 1, NOW).unwrap();
    pool.release(12, 1, NOW + Duration::from_secs(1)).unwrap();
    let good = pool.snapshot();
    assert!(new().restore(&good).is_ok());
    assert_eq!(pool.restore(&good).unwrap_err(), RestoreError::NotEmpty);

    let cases: [(Change, RestoreError); 13] = [
        (|s| s.version = 2, RestoreError::Version { found: 2 }),
        (|s| s.usable = vec![(10, 110)], RestoreError::OtherSpace),
        (|s| s.held.push('!'), RestoreError::Damaged { at: 17 }),
        (|s| s.held = "A".into(), RestoreError::Damaged { at: 0 }),
        (|s| s.held = "Aw==".into(), RestoreError::Damaged { at: 0 }),
        (|s| s.held = "BQ==".into(), RestoreError::Inconsistent { index: 0 }),
        (|s| s.owners.truncate(67), RestoreError::Inconsistent { index: 69 }),
        (|s| s.owners.push((99, 1)), RestoreError::Inconsistent { index: 99 }),
        (|s| s.cooling.push((100, Duration::MAX)), RestoreError::IndexOutOfRange { index: 100 }),
        (|s| s.cooling.push((3, Duration::MAX)), RestoreError::Inconsistent { index: 3 }),
        (|s| s.cooling.push((0, Duration::MAX)), RestoreError::Inconsistent { index: 0 }),
        (|s| s.cooling.swap(0, 1), RestoreError::OutOfOrder { index: 0 }),
        (|s| s.idle.push((2, NOW)), RestoreError::Inconsistent { index: 2 }),
    ];
    for (number, (change, error)) in cases.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(new().restore(&bad).unwrap_err(), error, "case {number}");
    }
}

#[test]
fn rebuild_says_how_pool_and_reality_differ() {
    let a = |last| Ipv4Addr::new(172, 16, 0, last);
    let space = addresses().with_gateway(a(1)).unwrap();
    let mut pool: AddressPool<Ipv4Addr, u32> = AddressPool::new(space);
    for owner in 2..=6 {
        assert_eq!(pool.allocate(owner, NOW).unwrap().item, a(u8::try_from(owner).unwrap()));
    }
    pool.release(a(6), 6, NOW).unwrap();
    let existing = [
        (a(2), 2),
        (a(2), 2),
        (a(3), 33),
        (a(6), 7),
        (a(9), 9),
        (a(9), 99),
        (a(1), 1),
        (Ipv4Addr::new(10, 0, 0, 1), 1),
    ];
    let report = pool.rebuild(existing, NOW);
    assert_eq!(report.confirmed, 1);
    assert_eq!(report.adopted, [(a(6), 7), (a(9), 9)]);
    assert_eq!(report.orphaned, [(a(4), 4), (a(5), 5)]);
    let conflict = |item, holder, claimant| Conflict { item, holder, claimant };
    assert_eq!(report.conflicting, [conflict(a(3), 3, 33), conflict(a(9), 9, 99)]);
    assert_eq!(report.out_of_range, [(a(1), 1), (Ipv4Addr::new(10, 0, 0, 1), 1)]);
    assert_eq!((pool.counts().held, pool.counts().cooling), (6, 0));
}
