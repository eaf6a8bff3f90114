//! Cooldowns, deadlines and clocks that are not as they should be.

use core::time::Duration;

use ippool::{AllocateError, Grant, How, IndexPool, Integers, Policy, Pressure, Released};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const NOW: Duration = Duration::from_secs(1_700_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn pool(count: u32, cooldown: Duration) -> IndexPool<u32, u32> {
    IndexPool::new(Integers::new(0..=count - 1).unwrap()).with_cooldown(cooldown)
}

/// The grant of an item whose cooldown had `remaining` to go.
const fn early(item: u32, remaining: Duration) -> Grant<u32> {
    Grant { item, how: How::Early { remaining } }
}

#[test]
fn the_last_moment_there_is() {
    let mut pool = pool(2, SECOND);
    pool.allocate_many(1, 2, Duration::MAX).unwrap();
    let until = Duration::MAX;
    assert_eq!(
        pool.release(0, 1, Duration::MAX.saturating_sub(SECOND / 2)),
        Ok(Released::Cooling { until })
    );
    assert_eq!(pool.expire(Duration::MAX.saturating_sub(Duration::from_nanos(1))), 0);
    assert_eq!(pool.release(1, 1, Duration::MAX), Ok(Released::Cooling { until }));
    assert_eq!(pool.counts().free, 1);
    assert_eq!(pool.expire(Duration::MAX), 1);
}

#[test]
fn a_cooldown_without_end() {
    let mut pool = pool(2, Duration::MAX);
    pool.allocate_many(1, 2, NOW).unwrap();
    let until = Duration::MAX;
    assert_eq!(pool.release(1, 1, NOW), Ok(Released::Cooling { until }));
    let never = pool.allocate(2, NOW * 1_000_000).unwrap_err();
    let AllocateError::Exhausted { next_free, counts } = never else { panic!("{never}") };
    assert_eq!((next_free, counts.cooling), (Some(Duration::MAX), 1));
    // Even that can be cut short.
    let mut pool = pool.with_pressure(Pressure::ReuseOldest);
    assert_eq!(pool.allocate(2, NOW), Ok(early(1, Duration::MAX.saturating_sub(NOW))));
}

#[test]
fn thousands_finish_cooling_at_once() {
    for policy in [Policy::NextFit, Policy::LongestIdle] {
        let mut pool = pool(50_000, SECOND).with_policy(policy);
        pool.allocate_many(1, 50_000, NOW).unwrap();
        for item in (0..50_000).rev() {
            pool.release(item, 1, NOW).unwrap();
        }
        assert_eq!(pool.expire(NOW + SECOND.saturating_sub(Duration::from_nanos(1))), 0);
        let first = pool.allocate(2, NOW + SECOND).unwrap().item;
        assert_eq!(first, if policy == Policy::LongestIdle { 49_999 } else { 0 });
        let counts = pool.counts();
        assert_eq!((counts.held, counts.cooling, counts.free), (1, 0, 49_999));
    }
}

#[test]
fn what_is_cooling_keeps_its_time() {
    let mut pool = pool(4, 10 * SECOND).with_policy(Policy::LongestIdle);
    pool.allocate_many(1, 4, NOW).unwrap();
    pool.release(2, 1, NOW).unwrap();
    let mut pool = pool.with_cooldown(Duration::ZERO);
    assert_eq!(pool.release(3, 1, NOW), Ok(Released::Free));
    assert_eq!(pool.allocate(2, NOW).unwrap().item, 3);
    assert!(pool.allocate(2, NOW + 9 * SECOND).is_err());
    let mut pool = pool.with_cooldown(20 * SECOND);
    let until = NOW + 25 * SECOND;
    assert_eq!(pool.release(0, 1, NOW + 5 * SECOND), Ok(Released::Cooling { until }));
    assert_eq!(pool.allocate(2, NOW + 10 * SECOND).unwrap().item, 2);
    assert!(pool.cooling().eq([(0, until)]));
}

#[test]
fn under_pressure_the_oldest_that_suits_is_taken_and_said_to_be_early() {
    let mut pool = pool(4, 10 * SECOND).with_pressure(Pressure::ReuseOldest);
    pool.allocate_many(1, 4, NOW).unwrap();
    for (item, after) in [(2, 0), (0, 1), (3, 2)] {
        pool.release(item, 1, NOW + after * SECOND).unwrap();
    }
    let now = NOW + 3 * SECOND;
    let even = |item| item % 2 == 0;
    assert_eq!(pool.clone().allocate_where(2, now, |item| !even(item)), Ok(early(3, 9 * SECOND)));
    let refused = pool.clone().allocate_where(2, now, |item| item == 1).unwrap_err();
    let AllocateError::Exhausted { next_free, counts } = refused else { panic!("{refused}") };
    assert_eq!((next_free, counts.cooling, counts.held), (Some(NOW + 10 * SECOND), 3, 1));

    // The deadlines and the order outlive a restart; so does what is left of them.
    let new = self::pool(4, SECOND).with_pressure(Pressure::ReuseOldest);
    let mut pool = new.restore(&pool.snapshot()).unwrap();
    assert_eq!(pool.allocate(2, now), Ok(early(2, 7 * SECOND)));
    assert_eq!(
        pool.allocate_random(2, now, &mut StdRng::seed_from_u64(1)),
        Ok(early(0, 8 * SECOND))
    );
    assert_eq!(
        pool.allocate_many(2, 1, now).map(|mut all| all.remove(0)),
        Ok(early(3, 9 * SECOND))
    );
    assert!(matches!(pool.allocate_many(2, 1, now), Err(AllocateError::TooFew { .. })));

    // What is free but does not suit stays free.
    pool.release(2, 2, now).unwrap();
    let mut pool = pool.with_cooldown(Duration::ZERO);
    pool.release(1, 1, now).unwrap();
    assert_eq!(pool.allocate_where(3, now, even), Ok(early(2, SECOND)));
    let refused = pool.allocate_where(3, now, even);
    assert!(matches!(refused, Err(AllocateError::AllRefused { counts }) if counts.free == 1));
}

/// A run is of free items only, however great the pressure.
#[test]
fn a_run_cuts_no_cooldown_short() {
    let mut pool = pool(4, SECOND).with_pressure(Pressure::ReuseOldest);
    pool.allocate_many(1, 4, NOW).unwrap();
    pool.release_all(1, NOW);
    let two = core::num::NonZero::new(2).unwrap();
    assert!(matches!(pool.allocate_run(1, two, NOW), Err(AllocateError::TooFew { .. })));
    assert_eq!(pool.allocate_run(1, two, NOW + SECOND), Ok(0..=1));
}
