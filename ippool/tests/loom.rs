//! Every order in which threads can go through the front, tried by a model of locks and threads.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p ippool --release --test loom
//! ```
//!
//! Pools of 128 items have two stripes here, of which all but a few items are held from the start.
//! In the model every thread begins at the first stripe, so that they meet.

#![cfg(loom)]

use core::num::NonZero;
use core::time::Duration;

use ippool::{IndexPool, Integers, Pressure, Shared};
use loom::sync::Arc;
use loom::thread;

const NOW: Duration = Duration::ZERO;
const EARLIER: u8 = 9;

type Front = Shared<Integers, u8>;

/// A front of two stripes, of which everything but `open` is held.
fn front(pool: IndexPool<u32, u8>, open: &[u32]) -> Arc<Front> {
    let front = Shared::new(pool).with_stripes(NonZero::new(2).unwrap());
    assert_eq!(front.stripes(), 2);
    for item in (0..128).filter(|item| !open.contains(item)) {
        front.allocate_exact(item, EARLIER, NOW).unwrap();
    }
    Arc::new(front)
}

fn pool() -> IndexPool<u32, u8> {
    IndexPool::new(Integers::new(0..=127).unwrap())
}

/// Runs a thread with the front.
fn spawn<T: 'static>(
    front: &Arc<Front>,
    work: impl FnOnce(&Front) -> T + 'static,
) -> thread::JoinHandle<T> {
    let front = Arc::clone(front);
    thread::spawn(move || work(&front))
}

/// Two threads and two items, one in each stripe: both get one, and not the same.
#[test]
fn nobody_goes_without_and_nothing_is_handed_out_twice() {
    loom::model(|| {
        let front = front(pool(), &[3, 100]);
        let other = spawn(&front, |front| front.allocate(1, NOW).unwrap().item);
        let mine = front.allocate(2, NOW).unwrap().item;
        let mut items = [mine, other.join().unwrap()];
        items.sort_unstable();
        assert_eq!(items, [3, 100]);
        assert!(front.allocate(3, NOW).is_err());
    });
}

/// One thread frees an item of the second stripe and then takes the one of the first. Something is
/// free at any moment, so nobody is refused, even who looks at the second stripe before and at the
/// first one after.
#[test]
fn what_moves_while_one_looks_is_found() {
    loom::model(|| {
        let front = front(pool(), &[3]);
        let mover = spawn(&front, |front| {
            front.release(100, EARLIER, NOW).unwrap();
            front.allocate_exact(3, 1, NOW).is_ok()
        });
        let mine = front.allocate(2, NOW).unwrap().item;
        let moved = mover.join().unwrap();
        assert!(matches!((mine, moved), (100, true) | (3, false)), "{mine} {moved}");
    });
}

/// The same item released by two threads: one of them is told.
#[test]
fn a_second_release_is_refused() {
    loom::model(|| {
        let front = front(pool(), &[]);
        let other = spawn(&front, |front| front.release(100, EARLIER, NOW).is_ok());
        let mine = front.release(100, EARLIER, NOW).is_ok();
        assert!(mine != other.join().unwrap());
        assert_eq!(front.counts().free, 1);
    });
}

/// Two calls for the same owner get the same item, whichever stripe is free.
#[test]
fn an_owner_that_allocates_once_twice_has_one_item() {
    loom::model(|| {
        let front = front(pool(), &[3, 100]);
        let other = spawn(&front, |front| front.allocate_once(1, NOW).unwrap().item);
        let mine = front.allocate_once(1, NOW).unwrap().item;
        assert_eq!(other.join().unwrap(), mine);
        assert_eq!(front.counts().free, 1);
    });
}

/// Under pressure, what has cooled for longest is taken, in whichever stripe it is, and only if
/// nothing is free.
#[test]
fn the_oldest_of_all_stripes_is_taken_under_pressure() {
    loom::model(|| {
        let cooling = pool().with_cooldown(Duration::from_secs(9));
        let front = front(cooling.with_pressure(Pressure::ReuseOldest), &[]);
        front.release(100, EARLIER, NOW).unwrap();
        front.release(3, EARLIER, NOW + Duration::from_secs(1)).unwrap();
        let other = spawn(&front, |front| front.allocate(1, NOW).unwrap().item);
        let mine = front.allocate(2, NOW).unwrap().item;
        let other = other.join().unwrap();
        assert!(matches!((mine, other), (100, 3) | (3, 100)), "{mine} {other}");
    });
}

/// Work on the whole pool is one step for everybody else.
#[test]
fn the_whole_pool_is_put_together_and_taken_apart() {
    loom::model(|| {
        let front = front(pool(), &[3, 100]);
        let other = spawn(&front, |front| {
            let item = front.allocate(1, NOW).unwrap().item;
            front.release(item, 1, NOW).is_ok()
        });
        let held = front.with(|pool| {
            assert_eq!(pool.held().count() as u128, pool.counts().held);
            pool.counts().held
        });
        assert!(other.join().unwrap());
        assert!((126..=127).contains(&held));
        assert_eq!(front.counts().held, 126);
    });
}
