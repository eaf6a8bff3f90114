//! Blocks of numbers, on hosts that crash, return and are taken over.

use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use netid::{
    BlockSpace, Blocks, BlocksError, Claim, ClaimKey, ClaimStore as _, ClaimerError, KeyRange,
    Liveness, MemoryStore, NetId, Owner, SweepOutcome,
};
use proptest::prelude::{ProptestConfig, any, proptest};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::block_on;

const NOW: Duration = Duration::from_secs(1_700_000_000);
const MINUTE: Duration = Duration::from_secs(60);

type Host = Blocks<MemoryStore, MemoryStore>;

fn host(number: u32) -> Owner {
    Owner::new("host", &format!("rack-{number}"), &format!("host {number}")).unwrap()
}

fn vm(number: u32) -> Owner {
    Owner::new("vm", "", &format!("vm {number}")).unwrap()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// Blocks of four in a range of so many numbers.
fn space(capacity: u32) -> BlockSpace {
    let range = KeyRange::ids(NetId::new(100), NetId::new(100 + capacity - 1)).unwrap();
    BlockSpace::new(range).unwrap().with_size(NonZeroU32::new(4).unwrap()).unwrap()
}

async fn open(shared: &MemoryStore, local: &MemoryStore, owner: u32, capacity: u32) -> Host {
    Blocks::open(shared.clone(), local.clone(), host(owner), space(capacity)).await.unwrap()
}

async fn claim(blocks: &Host, owner: u32) -> Claim {
    blocks.claim(&vm(owner), &mut rng(), NOW).await.unwrap()
}

const fn no_cooldown(_: &ClaimKey) -> Duration {
    Duration::ZERO
}

async fn release(blocks: &Host, claim: &Claim, cooldown: Duration, now: Duration) {
    let claims = core::slice::from_ref(claim);
    let released = blocks.release(claims, |_| cooldown, now).await.unwrap();
    assert!(released[0].1.is_released());
}

#[test]
fn hosts_never_hand_out_the_same_number() {
    block_on(async {
        let shared = MemoryStore::new();
        let mut hosts = Vec::new();
        for number in 0..4 {
            hosts.push(open(&shared, &MemoryStore::new(), number, 64).await);
        }
        let mut keys = BTreeSet::new();
        for (number, host) in (0..64).zip(hosts.iter().cycle()) {
            assert!(keys.insert(claim(host, number).await.key));
        }
        assert_eq!(keys.len(), 64);
        let error = hosts[0].claim(&vm(64), &mut rng(), NOW).await.unwrap_err();
        assert!(matches!(error, BlocksError::Lease(ClaimerError::Exhausted { capacity: 16, .. })));
        // An owner that has a number is given it all the same.
        assert!(keys.contains(&claim(&hosts[0], 0).await.key));
    });
}

#[test]
fn a_block_takes_one_transaction() {
    block_on(async {
        let shared = MemoryStore::new();
        let ids = KeyRange::ids(NetId::new(0), NetId::new(u32::MAX)).unwrap();
        let space = BlockSpace::new(ids).unwrap().with_permutation([7; 16]);
        let blocks =
            Blocks::open(shared.clone(), MemoryStore::new(), host(1), space).await.unwrap();
        let mut keys = BTreeSet::new();
        for number in 0..512 {
            keys.insert(blocks.claim(&vm(number), &mut rng(), NOW).await.unwrap().key);
        }
        assert_eq!(keys.len(), 512);
        let leased = shared.claims_of(&host(1)).await.unwrap();
        assert_eq!(leased.len(), 2);
        // Nothing but the leases and how the range is cut is in the shared store.
        let all = shared.list("", None, core::num::NonZeroUsize::MAX).await.unwrap();
        assert_eq!(all.len(), 3);
        for key in keys {
            let id: NetId = key.value().parse().unwrap();
            let block = blocks.space().block_of(id.number()).unwrap();
            assert!(blocks.leased().contains(&block));
        }
    });
}

#[test]
fn many_tasks_share_a_host() {
    block_on(async {
        let blocks = Arc::new(open(&MemoryStore::new(), &MemoryStore::new(), 1, 256).await);
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let blocks = Arc::clone(&blocks);
                tokio::spawn(async move { claim(&blocks, number % 100).await.key })
            })
            .collect();
        let mut keys = BTreeSet::new();
        for task in tasks {
            keys.insert(task.await.unwrap());
        }
        assert_eq!(keys.len(), 100);
        assert_eq!(blocks.leased().len(), 25);
    });
}

#[test]
fn a_restart_forgets_neither_numbers_nor_cooldowns() {
    block_on(async {
        let (shared, local) = (MemoryStore::new(), MemoryStore::new());
        let before = open(&shared, &local, 1, 8).await;
        let claims = [claim(&before, 1).await, claim(&before, 2).await, claim(&before, 3).await];
        release(&before, &claims[1], MINUTE, NOW).await;
        drop(before);

        let after = open(&shared, &local, 1, 8).await;
        assert_eq!(claim(&after, 1).await, claims[0]);
        let fourth = claim(&after, 4).await;
        assert!(claims.iter().all(|claim| claim.key != fourth.key));
        // All of the first block is held or cooling: the next one is of the second.
        claim(&after, 5).await;
        assert_eq!(after.leased().len(), 2);
        for number in 6..9 {
            claim(&after, number).await;
        }
        assert!(after.claim(&vm(9), &mut rng(), NOW).await.is_err());
        let late = after.claim(&vm(9), &mut rng(), NOW + MINUTE).await.unwrap();
        assert_eq!(late.key, claims[1].key);
    });
}

#[test]
fn the_longest_vacant_is_next() {
    block_on(async {
        let blocks = open(&MemoryStore::new(), &MemoryStore::new(), 1, 4).await;
        let first = claim(&blocks, 1).await;
        release(&blocks, &first, Duration::ZERO, NOW).await;
        for number in 2..5 {
            assert_ne!(claim(&blocks, number).await.key, first.key);
        }
        assert_eq!(claim(&blocks, 5).await.key, first.key);
    });
}

#[test]
fn a_lease_that_was_not_recorded_is_found() {
    block_on(async {
        let (shared, local) = (MemoryStore::new(), MemoryStore::new());
        // The host crashed between the lease and its record.
        let key = space(8).leases().key(1).unwrap();
        shared.claim(&host(1), &[key], NOW).await.unwrap();
        let blocks = open(&shared, &local, 1, 8).await;
        assert!(blocks.leased().is_empty());
        let first = claim(&blocks, 1).await;
        assert_eq!(blocks.leased(), [1]);
        assert_eq!(first.key, ClaimKey::id(NetId::new(104)));
        assert_eq!(shared.claims_of(&host(1)).await.unwrap().len(), 1);
    });
}

#[test]
fn unused_blocks_are_returned() {
    block_on(async {
        let (shared, local) = (MemoryStore::new(), MemoryStore::new());
        let blocks = open(&shared, &local, 1, 12).await;
        let mut claims = Vec::new();
        for number in 0..12 {
            claims.push(claim(&blocks, number).await);
        }
        assert_eq!(blocks.return_unused(0, NOW).await.unwrap(), 0);
        for claim in &claims[1..] {
            release(&blocks, claim, Duration::ZERO, NOW).await;
        }
        assert_eq!(blocks.return_unused(1, NOW).await.unwrap(), 1);
        assert_eq!(blocks.return_unused(0, NOW).await.unwrap(), 1);
        assert_eq!(blocks.leased().len(), 1);
        assert_eq!(shared.claims_of(&host(1)).await.unwrap().len(), 1);

        // What rests keeps its block.
        release(&blocks, &claims[0], MINUTE, NOW).await;
        assert_eq!(blocks.return_unused(0, NOW).await.unwrap(), 0);
        let other = open(&shared, &MemoryStore::new(), 2, 12).await;
        for number in 20..28 {
            claim(&other, number).await;
        }
        assert!(other.claim(&vm(28), &mut rng(), NOW).await.is_err());
    });
}

/// What a collector has judged is given back, and what was bound since is not.
#[test]
fn what_is_unchanged_is_released_and_handed_out_again() {
    block_on(async {
        let (shared, local) = (MemoryStore::new(), MemoryStore::new());
        let blocks = open(&shared, &local, 1, 4).await;
        let claims = [claim(&blocks, 1).await, claim(&blocks, 2).await];
        assert_eq!(
            claims.each_ref().map(|claim| blocks.number(claim)),
            claims.each_ref().map(|claim| blocks.space().range().number(&claim.key)),
        );
        assert!(claims.iter().all(|claim| blocks.number(claim).is_some()));
        local.bind(&claims[1..]).await.unwrap();

        let released = blocks.release_unchanged(&claims, |_| MINUTE, NOW).await.unwrap();
        assert_eq!(
            released.iter().map(|(_, outcome)| outcome.is_released()).collect::<Vec<_>>(),
            [true, false],
        );
        assert_eq!(local.claims_of(&vm(2)).await.unwrap().len(), 1);
        // Of the four, one is held and one rests.
        let others = [claim(&blocks, 3).await, claim(&blocks, 4).await];
        assert!(!others.iter().any(|other| claims.iter().any(|claim| claim.key == other.key)));
        assert!(blocks.claim(&vm(5), &mut rng(), NOW).await.is_err());
        let rested = blocks.claim(&vm(5), &mut rng(), NOW + MINUTE).await.unwrap();
        assert_eq!(rested.key, claims[0].key);
    });
}

/// A claim that nobody waited for is in the store, and its block stays.
#[test]
fn a_block_with_a_claim_that_nobody_knows_of_is_kept() {
    block_on(async {
        let (shared, local) = (MemoryStore::new(), MemoryStore::new());
        let blocks = open(&shared, &local, 1, 4).await;
        let first = claim(&blocks, 1).await;
        release(&blocks, &first, Duration::ZERO, NOW).await;
        local.claim(&vm(2), &[ClaimKey::id(NetId::new(102))], NOW).await.unwrap();
        assert_eq!(blocks.return_unused(0, NOW).await.unwrap(), 0);
        assert_eq!(blocks.leased().len(), 1);
        for number in 3..6 {
            assert_ne!(claim(&blocks, number).await.key, ClaimKey::id(NetId::new(102)));
        }
        assert_eq!(claim(&blocks, 2).await.key, ClaimKey::id(NetId::new(102)));
    });
}

#[test]
fn blocks_are_taken_over_on_proof_alone() {
    block_on(async {
        let shared = MemoryStore::new();
        let local = MemoryStore::new();
        let gone = open(&shared, &local, 1, 4).await;
        let claims = [claim(&gone, 1).await, claim(&gone, 2).await];
        let here = open(&shared, &MemoryStore::new(), 2, 4).await;

        let unknown = async |_: Owner| Err("no answer");
        let outcome = here.take_over(&host(1), unknown, MINUTE, NOW).await;
        assert_eq!(outcome, SweepOutcome::Unknown("no answer"));
        let alive = async |_: Owner| Ok::<_, &str>(Liveness::Alive);
        assert_eq!(here.take_over(&host(1), alive, MINUTE, NOW).await, SweepOutcome::Alive);
        assert!(here.claim(&vm(3), &mut rng(), NOW).await.is_err());

        let dead = async |_: Owner| Ok::<_, &str>(Liveness::Gone);
        match here.take_over(&host(1), dead, MINUTE, NOW).await {
            SweepOutcome::Released(outcomes) => assert_eq!(outcomes.len(), 1),
            other => panic!("{other:?}"),
        }
        assert!(here.claim(&vm(3), &mut rng(), NOW).await.is_err(), "it rests");
        here.claim(&vm(3), &mut rng(), NOW + MINUTE).await.unwrap();

        // The host was not gone after all. It learns which numbers it must give up, and hands out none of them.
        let lost = gone.verify(NOW + MINUTE).await.unwrap();
        assert_eq!(lost, claims);
        assert!(gone.leased().is_empty());
        assert!(gone.claim(&vm(4), &mut rng(), NOW + MINUTE).await.is_err());
        let again = open(&shared, &local, 1, 4).await;
        assert_eq!(again.verify(NOW + MINUTE).await.unwrap(), claims);
        let released = again.release(&claims, no_cooldown, NOW).await.unwrap();
        assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
        assert_eq!(again.verify(NOW + MINUTE).await.unwrap(), []);
    });
}

#[test]
fn another_cut_of_the_range_is_refused() {
    block_on(async {
        let (shared, local) = (MemoryStore::new(), MemoryStore::new());
        let blocks = open(&shared, &local, 1, 64).await;
        claim(&blocks, 1).await;
        let eight = NonZeroU32::new(8).unwrap();
        let others =
            [space(64).with_size(eight).unwrap(), space(64).with_permutation([1; 16]), space(60)];
        for other in others {
            let opened = Blocks::open(shared.clone(), local.clone(), host(1), other.clone()).await;
            match opened.unwrap_err() {
                BlocksError::Disagreement { found, .. } => {
                    assert_eq!(found.name(), "blocks of 4 of 100..=163");
                }
                error => panic!("{error:?}"),
            }
            let elsewhere = Blocks::open(shared.clone(), MemoryStore::new(), host(2), other);
            let error = elsewhere.await.unwrap().claim(&vm(1), &mut rng(), NOW).await.unwrap_err();
            assert!(matches!(error, BlocksError::Disagreement { .. }), "{error:?}");
        }
        assert_eq!(shared.claims_of(&host(2)).await.unwrap(), []);
    });
}

/// However small the range is, no two permutations pass for the same.
#[test]
fn another_permutation_of_a_small_range_is_refused() {
    block_on(async {
        for capacity in [2, 3, 5, 8, 12] {
            let shared = MemoryStore::new();
            let permuted = |key: u8| space(capacity).with_permutation([key; 16]);
            let order = |space: BlockSpace| space.numbers(0).chain(space.numbers(1)).collect();
            let order = |key: u8| -> Vec<u32> { order(permuted(key)) };
            let mut refused = 0;
            for key in 0..=u8::MAX {
                let blocks =
                    Blocks::open(shared.clone(), MemoryStore::new(), host(1), permuted(key));
                match blocks.await.unwrap().claim(&vm(1), &mut rng(), NOW).await {
                    Ok(_) => assert_eq!(order(key), order(0), "{capacity} {key}"),
                    Err(BlocksError::Disagreement { .. }) => refused += 1,
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!(refused > 0, "{capacity}");
        }
    });
}

#[test]
fn the_last_block_may_be_short() {
    let space = space(10);
    assert_eq!(space.leases().capacity(), 3);
    let all: Vec<_> = (0..4).flat_map(|block| space.numbers(block).collect::<Vec<_>>()).collect();
    assert_eq!(all, (100..110).collect::<Vec<_>>());
    assert_eq!([99, 100, 109, 110].map(|n| space.block_of(n)), [None, Some(0), Some(2), None]);
    let whole = KeyRange::ids(NetId::new(0), NetId::new(u32::MAX)).unwrap();
    let space = BlockSpace::new(whole).unwrap();
    assert_eq!(space.numbers(u32::MAX >> 8).last(), Some(u32::MAX));
    assert_eq!(space.numbers((u32::MAX >> 8) + 1).next(), None);
    assert_eq!(space.leases().prefix(), "block/id/");
    let scoped = KeyRange::ids(NetId::new(0), NetId::new(1)).unwrap().with_scope("eu").unwrap();
    assert_eq!(BlockSpace::new(scoped).unwrap().leases().prefix(), "block/id/eu/");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 5_000 }))]

    /// Hosts claim, release, return, crash and come back in any order: no number is with two owners, and no host
    /// holds numbers of blocks that it has not leased.
    #[test]
    fn any_history_of_hosts(steps in proptest::collection::vec((0..3_usize, 0..7_u8, any::<u8>()), 1..80)) {
        block_on(async {
            let shared = MemoryStore::new();
            let locals = [(); 3].map(|()| MemoryStore::new());
            let mut hosts = Vec::new();
            for (number, local) in (0..).zip(&locals) {
                hosts.push(open(&shared, local, number, 24).await);
            }
            let mut now = NOW;
            for (at, step, detail) in steps {
                let number = u32::from(detail % 8);
                let local_vm = Owner::new("vm", "", &format!("vm {at} {number}")).unwrap();
                match step {
                    0..3 => drop(hosts[at].claim(&local_vm, &mut rng(), now).await),
                    3 => {
                        let held = locals[at].claims_of(&local_vm).await.unwrap();
                        let cooldown = Duration::from_secs(u64::from(detail % 3));
                        let released = hosts[at].release(&held, |_| cooldown, now).await.unwrap();
                        assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
                    }
                    4 => drop(hosts[at].return_unused(usize::from(detail % 2), now).await.unwrap()),
                    5 => hosts[at] = open(&shared, &locals[at], u32::try_from(at).unwrap(), 24).await,
                    _ => now += Duration::from_secs(1),
                }
                let mut seen = BTreeSet::new();
                for (number, local) in (0..).zip(&locals) {
                    let leased = shared.claims_of(&host(number)).await.unwrap();
                    let cut = space(24);
                    let leased: Vec<_> =
                        leased.iter().map(|lease| cut.leases().number(&lease.key)).collect();
                    for claim in local.list("id/", None, core::num::NonZeroUsize::MAX).await.unwrap() {
                        assert!(seen.insert(claim.key.clone()), "{} is held twice", claim.key);
                        let id: NetId = claim.key.value().parse().unwrap();
                        assert!(leased.contains(&cut.block_of(id.number())), "{}", claim.key);
                    }
                }
            }
        });
    }
}
