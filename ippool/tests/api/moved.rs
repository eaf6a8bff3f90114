//! A snapshot whose range or reservations have changed since.

use core::net::Ipv4Addr;
use core::time::Duration;

use ippool::{
    AddressPool, Addresses, IndexPool, Integers, Policy, PortPool, Ports, RestoreError, Snapshot,
    State,
};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn pool(prefix: &str) -> AddressPool<Ipv4Addr, u32> {
    AddressPool::new(prefix.parse::<Addresses>().unwrap())
}

#[test]
fn a_wider_range_keeps_what_is_held_and_what_is_cooling() {
    let mut old = pool("172.16.0.0/16");
    old.allocate_many(1, 5, NOW).unwrap();
    let a = |last| Ipv4Addr::new(172, 16, 0, last);
    old.release(a(2), 1, NOW).unwrap();
    old.release(a(3), 1, NOW + Duration::from_secs(50)).unwrap();

    let mut wide = pool("172.16.0.0/12");
    let later = NOW + Duration::from_secs(70);
    let report = wide.restore_moved(&old.snapshot(), later).unwrap();
    assert_eq!(report.adopted, [(a(1), 1), (a(4), 1), (a(5), 1)]);
    assert!(report.out_of_range.is_empty() && report.conflicting.is_empty());
    // One has cooled meanwhile, the other goes on.
    assert_eq!((wide.state(a(2)), wide.state(a(3))), (State::Free, State::Cooling));
    assert!(wide.cooling().eq([(a(3), NOW + Duration::from_secs(110))]));
    assert_eq!(wide.allocate(2, later).unwrap().item, a(2));
    assert_eq!(wide.allocate(2, later).unwrap().item, a(6));

    let mut narrow = pool("172.16.0.0/30");
    let report = narrow.restore_moved(&wide.snapshot(), later).unwrap();
    assert_eq!(report.adopted, [(a(1), 1), (a(2), 2)]);
    assert_eq!(report.out_of_range, [(a(4), 1), (a(5), 1), (a(6), 2)]);
}

/// What was cooling and is held by now, as the machine came up before the pool, stays held.
#[test]
fn a_pool_in_use_takes_nothing_from_anybody() {
    let mut old = pool("172.16.0.0/16");
    let item = old.allocate(1, NOW).unwrap().item;
    old.release(item, 1, NOW).unwrap();
    let mut wide = pool("172.16.0.0/12");
    wide.allocate_exact(item, 9, NOW).unwrap();
    assert!(wide.restore_moved(&old.snapshot(), NOW).unwrap().adopted.is_empty());
    assert_eq!((wide.owner(item), wide.counts().cooling), (Some(9), 0));
}

/// What this pool has freed since cools all the same, as somebody may still have it from before.
#[test]
fn what_was_held_here_before_cools_as_well() {
    for policy in [Policy::NextFit, Policy::LongestIdle] {
        let mut old = pool("172.16.0.0/16");
        let item = old.allocate(1, NOW).unwrap().item;
        old.release(item, 1, NOW).unwrap();
        let mut wide = pool("172.16.0.0/12").with_policy(policy).with_cooldown(Duration::ZERO);
        wide.allocate_exact(item, 9, NOW).unwrap();
        wide.release(item, 9, NOW).unwrap();
        assert!(wide.restore_moved(&old.snapshot(), NOW).unwrap().adopted.is_empty());
        assert_eq!((wide.state(item), wide.counts().cooling), (State::Cooling, 1));
        assert_ne!(wide.allocate(2, NOW).unwrap().item, item);
    }
}

type Change = fn(&mut Snapshot<u8>);

#[test]
fn damaged_snapshots_are_refused_and_change_nothing() {
    let mut old: PortPool<u8> = PortPool::new(Ports::default());
    for owner in 1..=3 {
        assert_eq!(old.allocate(owner, NOW).unwrap().item, 22000 + u16::from(owner));
    }
    let good = old.snapshot();
    let cases: [(Change, RestoreError); 7] = [
        (|s| s.version = 9, RestoreError::Version { found: 9 }),
        (|s| s.owners = s.owners.split_off(1), RestoreError::Inconsistent { index: 0 }),
        (|s| s.owners.truncate(2), RestoreError::Inconsistent { index: 2 }),
        (|s| s.owners.push((3, 3)), RestoreError::Inconsistent { index: 3 }),
        (|s| s.usable.clear(), RestoreError::IndexOutOfRange { index: 0 }),
        (|s| s.cooling.push((10_000, NOW)), RestoreError::IndexOutOfRange { index: 10_000 }),
        // Port 87537 would be written as 22001.
        (
            |s| s.usable = vec![(22001, 22001), (87_537, 87_587)],
            RestoreError::IndexOutOfRange { index: 87_537 },
        ),
    ];
    for (number, (change, error)) in cases.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        let mut pool: PortPool<u8> = PortPool::new(Ports::new(22000..=39_999).unwrap());
        assert_eq!(pool.restore_moved(&bad, NOW).unwrap_err(), error, "case {number}");
        assert_eq!(pool.counts().held, 0, "case {number}");
    }
}

/// Eleven bytes claim 2^46 held items, which a space of a hundred cannot have had.
#[test]
fn a_claim_of_too_many_items_is_refused_at_once() {
    let mut pool: IndexPool = IndexPool::new(Integers::new(0..=99).unwrap());
    let _first = pool.allocate((), NOW).unwrap();
    let mut bad = pool.snapshot();
    bad.held = "gYCAgICAAQ==".to_owned();
    let mut wider: IndexPool = IndexPool::new(Integers::new(0..=199).unwrap());
    let refused = wider.restore_moved(&bad, NOW).unwrap_err();
    assert!(matches!(refused, RestoreError::IndexOutOfRange { .. }), "{refused:?}");
}
