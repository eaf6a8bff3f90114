//! Every sequence of a few operations, on few items and wherever a word of the engine ends.

use ippool::{Integers, Policy, Pressure, Space};

use crate::model::{Op, Settings, Token};
use crate::pair::Pair;

/// Follows every sequence of `ops` of this length, starting from `pair`.
fn explore<S: Space + Clone + core::fmt::Debug, O: Token>(
    pair: &Pair<S, O>,
    ops: &[Op],
    depth: u32,
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for op in ops {
        let mut next = pair.clone();
        next.step(op);
        explore(&next, ops, depth);
    }
}

fn settings() -> impl Iterator<Item = Settings> {
    let policies = [Policy::NextFit, Policy::Lowest, Policy::LongestIdle];
    policies.into_iter().flat_map(|policy| {
        [(0, false, Pressure::Refuse), (2, true, Pressure::ReuseOldest)]
            .map(|(cooldown, sticky, pressure)| Settings { policy, pressure, cooldown, sticky })
    })
}

/// Debug builds go one level less deep.
const DEPTH: u32 = if cfg!(debug_assertions) { 3 } else { 4 };

/// What `states` walks through for a part of the operations, here with all of them.
#[test]
fn up_to_eight_items() {
    for settings in settings() {
        for count in 1..=8u32 {
            let mut ops = vec![Op::Allocate(1), Op::Once(2), Op::Wait(2), Op::Run(1, 2)];
            ops.extend([Op::Many(2, 3), Op::ReleaseAll(1), Op::Where(1, 0)]);
            ops.extend((0..count).flat_map(|i| [Op::Exact(i.into(), 1), Op::Release(i.into(), 1)]));
            let pair = Pair::<_, u8>::new(Integers::new(0..=count - 1).unwrap(), settings);
            explore(&pair, &ops, DEPTH - 1);
        }
    }
}

#[test]
fn every_word_boundary() {
    for settings in settings() {
        for capacity in [63u32, 64, 65, 4095, 4096, 4097] {
            // Everything is held but the four items around the boundary, or up to the end.
            let boundary = if capacity > 4000 { 4096 } else { 64 };
            let open = (boundary - 2)..(boundary + 2).min(capacity);
            let mut pair = Pair::<_, u8>::new(Integers::new(0..=capacity - 1).unwrap(), settings);
            pair.step(&Op::Run(9, capacity));
            for index in open.clone() {
                pair.step(&Op::Release(index.into(), 9));
            }
            pair.step(&Op::Wait(60));
            let mut ops = vec![Op::Allocate(1), Op::Run(1, 2), Op::Wait(2)];
            ops.extend(open.flat_map(|i| [Op::Exact(i.into(), 1), Op::Release(i.into(), 1)]));
            explore(&pair, &ops, if capacity > 4000 { 2 } else { DEPTH });
        }
    }
}
