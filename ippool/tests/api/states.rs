//! Every state that any sequence of operations can reach, however long, on few items.
//!
//! A walk over states: from each one that is new, every operation is tried and both the pool and
//! its model are compared. States are told apart by the model, with times counted from now, so the
//! walk ends, and what it covers are all sequences of the operations named at each test.

use std::collections::{HashSet, VecDeque};

use ippool::{Integers, Policy, Pressure};

use crate::model::{Op, Settings, Token};
use crate::pair::Pair;

const POLICIES: [Policy; 3] = [Policy::NextFit, Policy::Lowest, Policy::LongestIdle];

/// Follows every sequence of `ops` and returns how many states there are.
fn walk<O: Token>(count: u32, settings: Settings, ops: &[Op]) -> usize {
    let start = Pair::<_, O>::new(Integers::new(0..=count - 1).unwrap(), settings);
    let mut seen = HashSet::from([start.key()]);
    let mut open = VecDeque::from([start]);
    while let Some(pair) = open.pop_front() {
        for op in ops {
            let mut next = pair.clone();
            next.step(op);
            if seen.insert(next.key()) {
                open.push_back(next);
            }
        }
    }
    seen.len()
}

/// Every operation on `count` items by `owners` owners, a restart between any two of them.
fn operations(count: u32, owners: u8) -> Vec<Op> {
    let mut ops = vec![Op::Expire, Op::Restart, Op::Rebuild(vec![(0, 1), (0, 2), (9, 1)])];
    for owner in 1..=owners {
        ops.extend([Op::Allocate(owner), Op::Once(owner), Op::ReleaseAll(owner)]);
        ops.extend([Op::Many(owner, 2), Op::Run(owner, 2), Op::Rebuild(vec![(1, owner)])]);
        for item in 0..count.into() {
            ops.extend([Op::Exact(item, owner), Op::Release(item, owner), Op::Where(owner, item)]);
        }
        ops.extend((0..3).map(|seed| Op::Random(owner, seed)));
    }
    ops
}

const fn settings(policy: Policy, cooldown: u64, sticky: bool, pressure: Pressure) -> Settings {
    Settings { policy, pressure, cooldown, sticky }
}

/// Up to four items and two owners, without a cooldown.
#[test]
fn two_owners() {
    for policy in POLICIES {
        for sticky in [false, true] {
            let settings = settings(policy, 0, sticky, Pressure::Refuse);
            for count in 1..=if cfg!(debug_assertions) { 3 } else { 4 } {
                let states = walk::<u8>(count, settings, &operations(count, 2));
                // Free as new, free again, held by one, held by the other.
                let expected = 4usize.pow(count);
                let exact = policy == Policy::Lowest && !sticky;
                assert!(states == expected || !exact && states > expected, "{states}");
            }
        }
    }
}

/// Up to three items, two owners and a cooldown of two steps of the clock.
#[test]
fn two_owners_and_time() {
    for policy in POLICIES {
        for (sticky, pressure) in [
            (false, Pressure::Refuse),
            (false, Pressure::ReuseOldest),
            (true, Pressure::ReuseOldest),
        ] {
            let settings = settings(policy, 2, sticky, pressure);
            for count in 1..=if cfg!(debug_assertions) && sticky { 2 } else { 3 } {
                let mut ops = operations(count, 2);
                ops.push(Op::Wait(1));
                let states = walk::<u8>(count, settings, &ops);
                assert!(states > 6usize.pow(count), "{policy:?}: {states}");
            }
        }
    }
}

/// Up to eight items and one owner: each is free as new, held, or free again, at every cursor.
/// The queue of the longest idle has every order, so it ends at five.
#[test]
fn one_owner_and_up_to_eight_items() {
    let most = if cfg!(debug_assertions) { [5, 7, 5] } else { [8, 8, 5] };
    for (policy, most) in POLICIES.into_iter().zip(most) {
        for count in 1..=most {
            let mut ops = vec![Op::Allocate(1), Op::Run(1, 3), Op::Many(1, 2), Op::Random(1, 7)];
            ops.extend([Op::ReleaseAll(1), Op::Where(1, 1), Op::Restart]);
            ops.extend(
                (0..count.into()).flat_map(|item| [Op::Exact(item, 1), Op::Release(item, 1)]),
            );
            let settings = settings(policy, 0, false, Pressure::Refuse);
            let states = walk::<()>(count, settings, &ops);
            assert!(count > 4 || walk::<u8>(count, settings, &ops) == states);
            let expected = 3usize.pow(count);
            match policy {
                Policy::Lowest => assert_eq!(states, expected),
                _ => assert!(states >= expected),
            }
        }
    }
}

/// Without owners, the pool is only a bitmap as long as nothing cools and no queue is kept.
#[test]
fn nobody_in_particular() {
    for policy in POLICIES {
        for (cooldown, pressure) in [(0, Pressure::Refuse), (1, Pressure::ReuseOldest)] {
            for count in 1..=4 {
                let mut ops = operations(count, 1);
                ops.extend([Op::Wait(1), Op::Rebuild(vec![(0, 1), (2, 1)])]);
                let states = walk::<()>(count, settings(policy, cooldown, false, pressure), &ops);
                assert!(states >= 3usize.pow(count), "{states}");
            }
        }
    }
}

/// Two items whose pool changes its settings at any moment.
#[test]
fn settings_that_change() {
    let mut ops = vec![Op::Wait(1), Op::Restart];
    ops.extend(POLICIES.into_iter().flat_map(|policy| [Op::Policy(policy), Op::RestartAs(policy)]));
    for owner in [1, 2] {
        ops.push(Op::Allocate(owner));
        ops.extend((0..2).flat_map(|item| [Op::Exact(item, owner), Op::Release(item, owner)]));
    }
    for (sticky, cooldown, states) in
        [(false, 0, 81), (false, 2, 251), (true, 0, 245), (true, 2, 865)]
    {
        let settings = settings(Policy::NextFit, cooldown, sticky, Pressure::ReuseOldest);
        assert_eq!(walk::<u8>(2, settings, &ops), states);
    }
    // The cooldown as well, which a pool without owners looks at first.
    ops.extend([Op::Cooldown(0), Op::Cooldown(2), Op::Random(1, 3), Op::Many(1, 2)]);
    let settings = settings(Policy::NextFit, 0, false, Pressure::Refuse);
    let states = walk::<()>(2, settings, &ops);
    assert_eq!(states, 372);
}
