//! The front for threads.

use core::time::Duration;
use std::collections::BTreeSet;
use std::thread;

use ippool::{AllocateError, IndexPool, Integers, Shared};

const NOW: Duration = Duration::ZERO;

#[test]
fn no_item_has_two_holders() {
    let shared = Shared::new(IndexPool::<u32, u8>::new(Integers::new(0..=9_999).unwrap()));
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

#[test]
fn a_waiter_gets_what_another_thread_releases() {
    let shared = Shared::new(IndexPool::<u32, u8>::new(Integers::new(5..=5).unwrap()));
    let item = shared.allocate(1, NOW).unwrap().item;
    let long = Duration::from_secs(60);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| shared.allocate_or_wait(2, long, || NOW));
        shared.release(item, 1, NOW).unwrap();
        assert_eq!(waiter.join().unwrap().unwrap().item, item);
    });
    let late = shared.allocate_or_wait(3, Duration::ZERO, || NOW);
    assert!(matches!(late, Err(AllocateError::Exhausted { .. })));
    assert_eq!(shared.with(|pool| pool.owner(item)), Some(2));
}

#[test]
fn shared_pools_can_be_shared() {
    fn is_shareable<T: Send + Sync + 'static>() {}
    is_shareable::<Shared<Integers, u64>>();
    is_shareable::<ippool::AddressPool>();
    is_shareable::<ippool::Snapshot<u64>>();
    is_shareable::<ippool::ReleaseError<u16, u64>>();
}
