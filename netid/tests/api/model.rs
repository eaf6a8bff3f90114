//! Small worlds completely, larger ones at random, and threads for real.

use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use netid::{ClaimError, ClaimKey, ClaimStore as _, MemoryStore, Owner};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::block_on;
use crate::world::{Step, World};

/// Everything that can happen among so many owners and keys.
pub(crate) fn steps(owners: usize, keys: usize) -> Vec<Step> {
    let mut steps = vec![Step::Tick];
    for owner in 0..owners {
        steps.push(Step::ReleaseAll { owner });
        steps.extend((1..1 << keys).map(|keys| Step::Claim { owner, keys }));
        steps.extend((0..keys).map(|key| Step::ClaimOne { owner, key }));
    }
    for key in 0..keys {
        for age in 0..2 {
            steps.push(Step::Bind { key, age });
            steps.push(Step::Renew { key, age });
            steps.extend((0..2).map(|cooldown| Step::Release { key, age, cooldown }));
        }
    }
    steps
}

/// Runs every sequence of so many steps.
fn every_sequence(owners: usize, keys: usize, length: u32) -> usize {
    let steps = steps(owners, keys);
    let count = steps.len().pow(length);
    block_on(async {
        for mut number in 0..count {
            let mut world = World::new(MemoryStore::new(), owners, keys);
            for _ in 0..length {
                world.step(steps[number % steps.len()]).await;
                number /= steps.len();
            }
        }
    });
    count
}

/// Debug builds go one step less far.
const DEPTH: u32 = if cfg!(debug_assertions) { 3 } else { 4 };

#[test]
fn one_key_and_two_owners_in_every_sequence() {
    assert!(every_sequence(2, 1, DEPTH + 1) >= 11_usize.pow(4));
}

#[test]
fn two_keys_and_two_owners_in_every_sequence() {
    assert!(every_sequence(2, 2, DEPTH) >= 21_usize.pow(3));
}

#[test]
fn three_keys_and_three_owners_in_every_sequence() {
    assert!(every_sequence(3, 3, DEPTH) >= 43_usize.pow(3));
}

/// Runs three owners, each with a life of its own, and a clock, in every interleaving.
#[test]
fn whole_lives_of_owners_in_every_interleaving() {
    async fn interleave(lives: &[&[Step]], done: &mut Vec<usize>, path: &mut Vec<Step>) -> usize {
        let mut count = 0;
        let mut ended = true;
        for life in 0..lives.len() {
            let Some(step) = lives[life].get(done[life]) else { continue };
            ended = false;
            done[life] += 1;
            path.push(*step);
            count += Box::pin(interleave(lives, done, path)).await;
            path.pop();
            done[life] -= 1;
        }
        if ended {
            let mut world = World::new(MemoryStore::new(), 3, 3);
            for step in path {
                world.step(*step).await;
            }
            count = 1;
        }
        count
    }
    let life = |owner, keys, key| {
        [Step::Claim { owner, keys }, Step::Bind { key, age: 0 }, Step::ReleaseAll { owner }]
    };
    let lives = [life(0, 0b011, 0), life(1, 0b110, 1), life(2, 0b101, 2)];
    // The clock ticks twice; debug builds leave the third owner out.
    let clock = [Step::Tick; 2];
    let third = if cfg!(debug_assertions) { &[][..] } else { &lives[2][..] };
    let lives = [&lives[0][..], &lives[1][..], third, &clock[..]];
    let count = block_on(interleave(&lives, &mut vec![0; 4], &mut Vec::new()));
    assert_eq!(count, if cfg!(debug_assertions) { 560 } else { 92_400 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 1000 }))]

    #[test]
    fn long_random_sequences(numbers in prop::collection::vec(any::<usize>(), 1..200)) {
        let steps = steps(4, 4);
        block_on(async {
            let store = MemoryStore::new();
            let mut world = World::new(store.clone(), 4, 4);
            for number in numbers {
                world.step(steps[number % steps.len()]).await;
                if number % 7 == 0 {
                    // Clones share their claims.
                    world = world.with_store(|_| store.clone());
                }
            }
        });
    }
}

/// Whoever holds a key writes its name beside it, and finds it there when it releases.
#[test]
fn threads_never_hold_a_key_together() {
    const NOBODY: usize = usize::MAX;
    let store = MemoryStore::new();
    let keys: Vec<_> = (1..=3).map(|at| ClaimKey::name(&at.to_string()).unwrap()).collect();
    let holders = [const { AtomicUsize::new(NOBODY) }; 3];
    let claimed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for me in 0..4 {
            let (store, keys, holders, claimed) = (store.clone(), &keys, &holders, &claimed);
            scope.spawn(move || {
                let owner = Owner::new("thread", "", &me.to_string()).unwrap();
                let mut rng = StdRng::seed_from_u64(me as u64);
                for _ in 0..2_000 {
                    let pick = 1 + rng.next_u32() % 7;
                    let own: Vec<_> = (0..3).filter(|at| pick >> at & 1 == 1).collect();
                    let batch: Vec<_> = own.iter().map(|&at| keys[at].clone()).collect();
                    let claims = match block_on(store.claim(&owner, &batch, Duration::ZERO)) {
                        Ok(claims) => claims,
                        Err(ClaimError::Taken(_)) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    claimed.fetch_add(1, Ordering::Relaxed);
                    for &at in &own {
                        assert_eq!(holders[at].swap(me, Ordering::SeqCst), NOBODY);
                    }
                    thread::yield_now();
                    for &at in &own {
                        assert_eq!(holders[at].swap(NOBODY, Ordering::SeqCst), me);
                    }
                    let zero = |_: &ClaimKey| Duration::ZERO;
                    let released = block_on(store.release(&claims, zero, Duration::ZERO)).unwrap();
                    assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
                }
            });
        }
    });
    assert_ne!(claimed.into_inner(), 0, "the first of all cannot be refused");
}
