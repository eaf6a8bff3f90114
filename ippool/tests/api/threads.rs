//! The front for threads.

use core::net::Ipv4Addr;
use core::num::NonZero;
use core::time::Duration;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use ippool::{
    AddressPool, Addresses, AllocateError, ExactError, How, IndexPool, Integers, Policy, PortPool,
    Ports, Pressure, Reason, ReleaseError, Shared, State,
};

const NOW: Duration = Duration::ZERO;

fn index_pool(last: u32) -> IndexPool<u32, u8> {
    IndexPool::new(Integers::new(0..=last).unwrap())
}

/// A front of as many stripes.
fn striped(pool: IndexPool<u32, u8>, count: usize) -> Shared<Integers, u8> {
    Shared::new(pool).with_stripes(NonZero::new(count).unwrap())
}

#[test]
fn no_item_has_two_holders() {
    for stripes in [1, 4, 100] {
        let shared = striped(index_pool(9_999), stripes);
        let per_thread: Vec<Vec<u32>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4u8)
                .map(|owner| {
                    let shared = &shared;
                    scope.spawn(move || {
                        let mut mine = Vec::new();
                        for round in 0..2_000 {
                            mine.extend(shared.allocate(owner, NOW).map(|grant| grant.item));
                            if round % 3 == 0 {
                                shared.release(mine.swap_remove(0), owner, NOW).unwrap();
                            }
                        }
                        mine
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let all: BTreeSet<u32> = per_thread.iter().flatten().copied().collect();
        assert_eq!(all.len(), per_thread.iter().map(Vec::len).sum::<usize>());
        assert_eq!(shared.counts().held, all.len() as u128);
        for (owner, items) in (0..).zip(&per_thread) {
            assert_eq!(shared.release_all(owner, NOW).len(), items.len());
        }
        assert_eq!(shared.into_inner().counts().held, 0);
    }
}

/// Threads that fill a pool together fill it to the last item, whatever the stripes.
#[test]
fn a_pool_is_filled_to_its_last_item() {
    for (last, stripes) in [(63, 2), (64, 2), (4095, 3), (4096, 3), (9_999, 7), (9_999, 5_000)] {
        let shared = striped(index_pool(last), stripes);
        let fill = |owner| {
            let mut count = 0u32;
            while shared.allocate(owner, NOW).is_ok() {
                count += 1;
            }
            count
        };
        let sum: u32 = thread::scope(|scope| {
            let fill = &fill;
            let threads: Vec<_> = (0..3).map(|owner| scope.spawn(move || fill(owner))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sum, last + 1);
        let Err(AllocateError::Exhausted { counts, next_free: None }) = shared.allocate(9, NOW)
        else {
            panic!("a full pool handed something out");
        };
        assert_eq!((counts.capacity, counts.held), (sum.into(), sum.into()));
    }
}

#[test]
fn how_many_stripes_there_are() {
    for (last, wanted, stripes) in [
        (63, 2, 1),
        (64, 2, 2),
        (9_999, 1, 1),
        (9_999, 2, 2),
        (9_999, 3, 3),
        (130, 9, 3),
        (65_535, 4, 4),
        (65_535, 5_000, 1024),
    ] {
        assert_eq!(striped(index_pool(last), wanted).stripes(), stripes, "{last} {wanted}");
    }
    let sticky = index_pool(9_999).with_sticky_owners();
    assert_eq!(striped(sticky, 4).stripes(), 1);
    let wide = IndexPool::<u64>::new(Integers::new(0..=u64::MAX).unwrap());
    let shared = Shared::new(wide).with_stripes(NonZero::<usize>::MAX);
    assert_eq!(shared.stripes(), 1024);
    assert_eq!(shared.allocate_exact(u64::MAX, (), NOW), Ok(()));
    assert_eq!(shared.state(u64::MAX), State::Held(()));
}

/// Stripes say the same of an item as the pool does, of reserved ones and of others too.
#[test]
fn errors_are_those_of_the_pool() {
    let a = |c, d| Ipv4Addr::new(192, 168, c, d);
    let space: Addresses = "192.168.0.0/22".parse().unwrap();
    let space = space.with_gateway(a(2, 1)).unwrap().with_excluded(a(1, 0)..=a(1, 99)).unwrap();
    let shared = Shared::new(AddressPool::<Ipv4Addr, u8>::new(space));
    let shared = shared.with_stripes(NonZero::new(4).unwrap());
    let (item, gateway, outside) = (a(3, 7), a(2, 1), a(4, 0));
    let reason = Reason::Gateway;
    assert_eq!(shared.release(item, 1, NOW), Err(ReleaseError::NeverHeld { item }));
    assert_eq!(shared.allocate_exact(item, 1, NOW), Ok(()));
    assert_eq!(shared.allocate_exact(item, 2, NOW), Err(ExactError::Held { item, owner: 1 }));
    assert_eq!(shared.release(item, 2, NOW), Err(ReleaseError::HeldByOther { item, owner: 1 }));
    assert_eq!(shared.state(item), State::Held(1));
    assert!(shared.release(item, 1, NOW).is_ok());
    assert_eq!(shared.release(item, 1, NOW), Err(ReleaseError::AlreadyReleased { item }));
    assert_eq!(shared.state(item), State::Cooling);
    for (item, state) in [
        (gateway, State::Reserved(reason)),
        (a(0, 0), State::Reserved(Reason::Network)),
        (a(1, 50), State::Reserved(Reason::Excluded)),
        (outside, State::OutOfRange),
        (a(0, 1), State::Free),
    ] {
        assert_eq!(shared.state(item), state);
    }
    let refused = shared.allocate_exact(gateway, 1, NOW);
    assert_eq!(refused, Err(ExactError::Reserved { item: gateway, reason }));
    let refused = shared.release(outside, 1, NOW);
    assert_eq!(refused, Err(ReleaseError::OutOfRange { item: outside }));
    let refused = shared.release(gateway, 1, NOW);
    assert_eq!(refused, Err(ReleaseError::Reserved { item: gateway, reason }));
    let counts = shared.counts();
    assert_eq!((counts.capacity, counts.reserved, counts.cooling), (921, 103, 1));
    // Every item is handed out, in whichever part it is.
    let all: BTreeSet<_> = (0..920).map(|_| shared.allocate(1, NOW).unwrap().item).collect();
    assert_eq!((all.len(), all.contains(&item)), (920, false));
}

/// Taken apart and put together, a pool holds, cools and idles as before.
#[test]
fn splitting_keeps_everything() {
    for policy in [Policy::NextFit, Policy::Lowest, Policy::LongestIdle] {
        let mut pool = index_pool(999).with_policy(policy).with_cooldown(Duration::from_secs(5));
        for owner in 0..100 {
            pool.allocate_many(owner, 7, NOW).unwrap();
        }
        let at = |seconds| NOW + Duration::from_secs(seconds);
        for (item, seconds) in [(600, 1), (5, 2), (699, 3), (64, 4), (63, 5), (128, 7)] {
            let owner = pool.owner(item).unwrap();
            pool.release(item, owner, at(seconds)).unwrap();
        }
        let shared = striped(pool.clone(), 3);
        assert_eq!(shared.stripes(), 3);
        assert_eq!(shared.counts(), pool.counts());
        assert_eq!(shared.with(|pool| pool.snapshot()), {
            let mut snapshot = pool.snapshot();
            snapshot.cursor = shared.with(|pool| pool.snapshot().cursor);
            snapshot
        });
        assert_eq!(shared.release_all(9, at(7)).len(), pool.release_all(9, at(7)).len());
        let pool_again = shared.into_inner();
        assert!(pool_again.held().eq(pool.held()));
        assert!(pool_again.cooling().eq(pool.cooling()));
        assert_eq!(pool_again.policy(), policy);
    }
}

/// What is free in any part is taken before anything that cools.
#[test]
fn pressure_is_that_of_the_whole_pool() {
    let pool = index_pool(127).with_cooldown(Duration::from_secs(60));
    let shared = striped(pool.with_pressure(Pressure::ReuseOldest), 2);
    for _ in 0..127 {
        assert_eq!(shared.allocate(1, NOW).unwrap().how, How::Vacant);
    }
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let held = |item| shared.state(item) == State::Held(1);
    let last = (0..128).find(|&item| !held(item)).unwrap();
    for (item, seconds) in [(100, 1), (3, 2), (90, 3)] {
        shared.release(item, 1, at(seconds)).unwrap();
    }
    let next = || shared.allocate(2, at(10)).unwrap();
    assert_eq!((next().item, next().item), (last, 100));
    let early = next();
    let remaining = Duration::from_secs(52);
    assert_eq!((early.item, early.how), (3, How::Early { remaining }));
    shared.with(|pool| assert_eq!(pool.counts().cooling, 1));
    let refusing = shared.with(|pool| {
        *pool = pool.clone().with_pressure(Pressure::Refuse);
        pool.counts()
    });
    let Err(AllocateError::Exhausted { counts, next_free }) = shared.allocate(2, at(10)) else {
        panic!("something cooling was handed out");
    };
    assert_eq!((counts, next_free), (refusing, Some(at(63))));
    assert_eq!(shared.allocate(2, at(63)).unwrap().item, 90);
}

/// Work that panics leaves the pool as it had made it; a pool that does not fit is not put in.
#[test]
fn work_on_the_whole_pool_may_fail() {
    for stripes in [1, 4] {
        let shared = striped(index_pool(999), stripes);
        let work = AssertUnwindSafe(|| {
            shared.with(|pool| {
                pool.allocate_exact(777, 3, NOW).unwrap();
                panic!("while working");
            })
        });
        assert!(catch_unwind(work).is_err());
        assert_eq!(shared.state(777), State::Held(3));
        shared.with(|pool| *pool = index_pool(999));
        assert_eq!(shared.counts().held, 0);
    }
    let shared = striped(index_pool(999), 4);
    shared.allocate_exact(777, 3, NOW).unwrap();
    shared.with(|pool| *pool = index_pool(9));
    assert_eq!((shared.counts().capacity, shared.state(777)), (1000, State::Held(3)));
}

/// Next fit goes on where it was in each part, whatever is done with the whole in between.
#[test]
fn a_look_at_the_whole_pool_keeps_the_place_of_next_fit() {
    let shared = striped(index_pool(1023), 2);
    shared.with(|pool| pool.allocate_run(9, NonZero::new(512).unwrap(), NOW).unwrap());
    let first = shared.allocate(1, NOW).unwrap().item;
    shared.release(first, 1, NOW).unwrap();
    shared.with(|pool| assert_eq!(pool.counts().held, 512));
    assert_eq!(shared.snapshot().usable, [(0, 1023)]);
    assert_eq!(shared.allocate(2, NOW).unwrap().item, first + 1);
}

/// With one lock, a pool of another range can take the place of the first.
#[test]
fn another_pool_in_its_place_is_all_there_is() {
    let ports = Ports::new(1..=10).unwrap().with_excluded(1..=5).unwrap();
    let shared = Shared::new(PortPool::<u8>::new(ports));
    shared.with(|pool| *pool = PortPool::new(Ports::new(100..=101).unwrap()));
    let counts = shared.counts();
    assert_eq!((counts.capacity, counts.reserved), (2, 0));
    assert_eq!(shared.allocate(1, NOW).unwrap().item, 100);
    assert_eq!((shared.state(100), shared.state(7)), (State::Held(1), State::OutOfRange));
}

#[cfg(feature = "notify")]
mod waiting {
    use super::*;
    use core::future::Future as _;
    use core::pin::pin;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use core::task::{Context, Poll, Waker};
    use std::sync::Arc;
    use std::task::Wake;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_waiter_gets_what_another_thread_releases() {
        for stripes in [1, 2] {
            let shared = striped(index_pool(127), stripes);
            let items: Vec<u32> = (0..128).map(|_| shared.allocate(1, NOW).unwrap().item).collect();
            let (shared, clock) = (&shared, || NOW);
            let got: BTreeSet<u32> = thread::scope(|scope| {
                let waiters: Vec<_> = (0..4)
                    .map(|_| scope.spawn(move || shared.allocate_or_wait(2, LONG, clock)))
                    .collect();
                for &item in &items[60..64] {
                    shared.release(item, 1, NOW).unwrap();
                }
                waiters.into_iter().map(|waiter| waiter.join().unwrap().unwrap().item).collect()
            });
            assert_eq!(got, items[60..64].iter().copied().collect());
            let late = shared.allocate_or_wait(3, Duration::ZERO, clock);
            assert!(matches!(late, Err(AllocateError::Exhausted { .. })));
        }
    }

    /// Nobody releases anything, and the waiter still gets the item when its cooldown ends.
    #[test]
    fn a_waiter_gets_what_has_cooled() {
        let shared = striped(index_pool(0).with_cooldown(Duration::from_millis(20)), 1);
        let started = std::time::Instant::now();
        let _held = shared.allocate(1, NOW).unwrap();
        shared.release(0, 1, NOW).unwrap();
        let grant = shared.allocate_or_wait(2, LONG, || started.elapsed()).unwrap();
        assert_eq!(grant.item, 0);
        assert!(started.elapsed() >= Duration::from_millis(20));
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_future_is_woken_by_a_release_and_by_the_end_of_a_cooldown() {
        let shared = striped(index_pool(0).with_cooldown(Duration::from_secs(5)), 1);
        let _held = shared.allocate(1, NOW).unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let slept = AtomicUsize::new(0);
        let time = AtomicUsize::new(0);
        let clock = || Duration::from_secs(time.load(Ordering::SeqCst) as u64);
        let sleep = async |duration: Duration| {
            slept.store(usize::try_from(duration.as_secs()).unwrap(), Ordering::SeqCst);
            core::future::poll_fn(|_| {
                let due = clock() >= Duration::from_secs(5);
                if due { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        };
        let mut future = pin!(shared.allocate_when_free(2, clock, sleep));
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        shared.release(0, 1, NOW).unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        // It is cooling, so the future sleeps until then.
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(slept.load(Ordering::SeqCst), 5);
        time.store(5, Ordering::SeqCst);
        let Poll::Ready(grant) = future.as_mut().poll(&mut context) else {
            panic!("the item is free");
        };
        assert_eq!(grant.item, 0);
    }

    /// Whoever waits learns when an item will have cooled, and not only the first, who may give up.
    #[test]
    fn everybody_learns_when_an_item_is_free() {
        let pool = index_pool(0).with_cooldown(Duration::from_secs(5));
        let one: fn(&Shared<Integers, u8>) = |front| drop(front.release(0, 1, NOW));
        let all: fn(&Shared<Integers, u8>) = |front| drop(front.release_all(1, NOW));
        for release in [one, all] {
            let shared = striped(pool.clone(), 1);
            let _held = shared.allocate(1, NOW).unwrap();
            let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
            let wakers = woken.clone().map(Waker::from);
            let never = async |_: Duration| core::future::pending().await;
            let mut first = Box::pin(shared.allocate_when_free(2, || NOW, never));
            let mut second = Box::pin(shared.allocate_when_free(3, || NOW, never));
            assert!(first.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
            assert!(second.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
            release(&shared);
            assert_eq!(woken.map(|woken| woken.0.load(Ordering::SeqCst)), [1, 1]);
        }
    }

    /// What was released before the work panicked is told.
    #[test]
    fn work_that_panics_wakes_those_who_wait() {
        let shared = striped(index_pool(0), 1);
        let _held = shared.allocate(1, NOW).unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let never = async |_: Duration| core::future::pending().await;
        let mut waiter = Box::pin(shared.allocate_when_free(2, || NOW, never));
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let work = AssertUnwindSafe(|| {
            shared.with(|pool| {
                pool.release(0, 1, NOW).unwrap();
                panic!("after a release");
            });
        });
        assert!(catch_unwind(work).is_err());
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    /// A waiter that gives up passes on what woke it.
    #[test]
    fn a_future_that_is_dropped_takes_nothing_with_it() {
        let shared = striped(index_pool(0), 1);
        let _held = shared.allocate(1, NOW).unwrap();
        let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
        let wakers = woken.clone().map(Waker::from);
        let never = async |_: Duration| core::future::pending().await;
        let mut first = Box::pin(shared.allocate_when_free(2, || NOW, never));
        let mut second = Box::pin(shared.allocate_when_free(3, || NOW, never));
        assert!(first.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
        shared.release(0, 1, NOW).unwrap();
        assert_eq!(woken[0].0.load(Ordering::SeqCst), 1);
        drop(first);
        assert_eq!(woken[1].0.load(Ordering::SeqCst), 1);
        let Poll::Ready(grant) = second.as_mut().poll(&mut Context::from_waker(&wakers[1])) else {
            panic!("the item is free");
        };
        assert_eq!(grant.item, 0);
        assert_eq!(shared.counts().free, 0);
    }
}

#[test]
fn shared_pools_can_be_shared() {
    fn is_shareable<T: Send + Sync + 'static>() {}
    is_shareable::<Shared<Integers, u64>>();
    is_shareable::<AddressPool>();
    is_shareable::<ippool::Snapshot<u64>>();
    is_shareable::<ReleaseError<u16, u64>>();
}
