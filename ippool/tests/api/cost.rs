//! What does not depend on how much a pool has in its queues. Both sides are measured in the same
//! run and differ a thousandfold if it does.

use core::time::Duration;
use std::time::Instant;

use ippool::{IndexPool, Integers, Policy, Pressure};

const NOW: Duration = Duration::from_secs(1_000);

/// The least time of a few rounds of 100 allocations.
fn least(pool: &IndexPool<u32, u32>) -> Duration {
    let mut pool = pool.clone();
    let rounds = (0..5).map(|_| {
        let started = Instant::now();
        for _ in 0..100 {
            assert!(pool.allocate(u32::MAX, NOW).is_ok());
        }
        started.elapsed()
    });
    rounds.min().unwrap()
}

/// A pool whose items were all released, and the same after many were taken out of the middle.
fn queues(policy: Policy, cooldown: u64, count: u32) -> [IndexPool<u32, u32>; 2] {
    let pool = IndexPool::new(Integers::new(0..=count - 1).unwrap()).with_sticky_owners();
    let mut whole = pool.with_policy(policy).with_pressure(Pressure::ReuseOldest);
    whole = whole.with_cooldown(Duration::from_secs(cooldown));
    for item in 0..count {
        whole.allocate_exact(item, item, NOW).unwrap();
    }
    for item in 0..count {
        whole.release(item, item, NOW).unwrap();
    }
    let mut pierced = whole.clone();
    for item in (1_000..count).filter(|item| item % 5 < 2) {
        pierced.allocate_exact(item, item, NOW).unwrap();
    }
    [whole, pierced]
}

#[test]
fn gaps_in_a_queue_cost_the_next_allocation_nothing() {
    for (policy, cooldown) in [(Policy::LongestIdle, 0), (Policy::Lowest, 60)] {
        let [whole, pierced] = queues(policy, cooldown, 30_000).map(|pool| least(&pool));
        assert!(pierced < whole * 20, "{policy:?}: {pierced:?} instead of {whole:?}");
    }
}
