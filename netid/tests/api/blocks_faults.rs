//! Blocks on stores of which answers fail, get lost or take their time, and with futures that nobody waits for.

use core::num::{NonZeroU32, NonZeroUsize};
use core::pin::pin;
use core::slice::from_ref;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use netid::{
    BlockSpace, Blocks, BlocksError, Claim, ClaimKey, ClaimStore as _, KeyRange, Liveness, NetId,
    Owner, SweepOutcome,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::block_on;
use crate::faulty::{Broken, Fate, Faulty};

const NOW: Duration = Duration::from_secs(1_700_000_000);

type Host = Blocks<Faulty, Faulty>;

fn host(number: u32) -> Owner {
    Owner::new("host", "", &format!("host {number}")).unwrap()
}

fn vm(number: u32) -> Owner {
    Owner::new("vm", "", &format!("vm {number}")).unwrap()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// Blocks of two in a range of so many numbers.
fn space(capacity: u32) -> BlockSpace {
    let range = KeyRange::ids(NetId::new(0), NetId::new(capacity - 1)).unwrap();
    BlockSpace::new(range).unwrap().with_size(NonZeroU32::new(2).unwrap()).unwrap()
}

async fn open(shared: &Faulty, local: &Faulty, number: u32, capacity: u32) -> Host {
    Blocks::open(shared.clone(), local.clone(), host(number), space(capacity)).await.unwrap()
}

async fn claim(blocks: &Host, owner: u32) -> Result<Claim, BlocksError<Broken, Broken>> {
    blocks.claim(&vm(owner), &mut rng(), NOW).await
}

async fn release(blocks: &Host, claims: &[Claim]) -> Result<(), BlocksError<Broken, Broken>> {
    blocks.release(claims, |_| Duration::ZERO, NOW).await.map(drop)
}

/// Polls a future so many times and drops it, unless it ends before.
fn abandon<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
    }
    None
}

fn is_pending<F: Future>(future: core::pin::Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Whoever was being served while the block was lost is not given a number of it.
#[test]
fn a_block_that_is_lost_meanwhile_is_not_handed_out() {
    block_on(async {
        let (shared, local) = (Faulty::default(), Faulty::default());
        let here = open(&shared, &local, 1, 2).await;
        let there = open(&shared, &Faulty::default(), 2, 2).await;
        let first = claim(&here, 1).await.unwrap();
        release(&here, &[first]).await.unwrap();

        local.plan(&[Fate::Waits]);
        let mut late = pin!(claim(&here, 2));
        assert!(is_pending(late.as_mut()));
        let gone = async |_: Owner| Ok::<_, Broken>(Liveness::Gone);
        let taken = there.take_over(&host(1), gone, Duration::ZERO, NOW).await;
        assert!(matches!(taken, SweepOutcome::Released(_)));
        let theirs = [claim(&there, 3).await.unwrap(), claim(&there, 4).await.unwrap()];
        assert_eq!(here.verify(NOW).await.unwrap(), []);
        match late.await {
            Err(BlocksError::NotLeased(claim)) => {
                assert!(theirs.iter().any(|theirs| theirs.key == claim.key));
                // It is not given later, either, and is known as one to be given up.
                assert_eq!(here.verify(NOW).await.unwrap(), from_ref(&claim));
                let again = here.claim(&vm(2), &mut rng(), NOW).await;
                assert_eq!(again, Err(BlocksError::NotLeased(claim.clone())));
                release(&here, &[claim]).await.unwrap();
                assert_eq!(here.verify(NOW).await.unwrap(), []);
            }
            other => panic!("{other:?}"),
        }
    });
}

/// A number that comes back twice, of a claim that nobody waited for, does not make its block look unused.
#[test]
fn a_block_is_not_returned_while_a_number_of_it_is_handed_out() {
    block_on(async {
        let (shared, local) = (Faulty::default(), Faulty::default());
        let here = open(&shared, &local, 1, 2).await;
        let first = claim(&here, 1).await.unwrap();
        release(&here, &[first]).await.unwrap();
        local.plan(&[Fate::Answered]);
        assert!(abandon(claim(&here, 2), 1).is_none());
        let left = local.claims_of(&vm(2)).await.unwrap();
        assert_eq!(left.len(), 1);
        release(&here, &left).await.unwrap();

        local.plan(&[Fate::Waits]);
        let mut late = pin!(claim(&here, 3));
        assert!(is_pending(late.as_mut()));
        assert_eq!(here.return_unused(0, NOW).await.unwrap(), 0);
        late.await.unwrap();
        assert_eq!(shared.claims_of(&host(1)).await.unwrap().len(), 1);
    });
}

/// A block that turns out to be used while it is about to be returned was leased all the time.
#[test]
fn a_number_of_a_block_that_is_kept_after_all_is_given() {
    block_on(async {
        let local = Faulty::default();
        let here = open(&Faulty::default(), &local, 1, 2).await;
        let first = claim(&here, 1).await.unwrap();
        release(&here, &[first]).await.unwrap();
        local.plan(&[Fate::Answered]);
        assert!(abandon(claim(&here, 2), 1).is_none());

        local.plan(&[Fate::Waits]);
        let mut returning = pin!(here.return_unused(0, NOW));
        assert!(is_pending(returning.as_mut()));
        let mut again = pin!(claim(&here, 2));
        assert!(is_pending(again.as_mut()));
        assert_eq!(returning.await.unwrap(), 0);
        assert_eq!(local.claims_of(&vm(2)).await.unwrap(), [again.await.unwrap()]);
    });
}

/// However often claims are not waited for, an unused block is returned.
#[test]
fn numbers_are_counted_once() {
    block_on(async {
        let (shared, local) = (Faulty::default(), Faulty::default());
        let here = open(&shared, &local, 1, 2).await;
        let first = claim(&here, 0).await.unwrap();
        release(&here, &[first]).await.unwrap();
        for number in 0..10 {
            local.plan(&[Fate::Answered]);
            assert!(abandon(claim(&here, number), 1).is_none());
            release(&here, &local.claims_of(&vm(number)).await.unwrap()).await.unwrap();
        }
        claim(&here, 100).await.unwrap();
        release(&here, &local.claims_of(&vm(100)).await.unwrap()).await.unwrap();
        assert_eq!(here.return_unused(0, NOW).await.unwrap(), 1);
    });
}

/// A loss that could not be recorded at first is recorded by the next comparison, and so outlasts a restart.
#[test]
fn a_lost_block_stays_lost() {
    block_on(async {
        let (shared, local) = (Faulty::default(), Faulty::default());
        let here = open(&shared, &local, 1, 2).await;
        claim(&here, 1).await.unwrap();
        let leases = shared.claims_of(&host(1)).await.unwrap();
        let _gone = shared.release(&leases, |_| Duration::ZERO, NOW).await.unwrap();
        // Whatever is asked of the local store fails in turn.
        for fails in 0..3 {
            let fates = [Fate::Done, Fate::Done, Fate::Done];
            let mut fates: Vec<_> = fates.into_iter().take(fails).collect();
            fates.push(Fate::Fails);
            local.plan(&fates);
            let _failed = here.verify(NOW).await;
        }
        local.plan(&[]);
        assert_eq!(here.verify(NOW).await.unwrap().len(), 1);
        let again = open(&shared, &local, 1, 2).await;
        assert!(again.leased().is_empty());
    });
}

/// A release whose answer is lost, or that nobody waits for, makes its number vacant here all the same.
#[test]
fn released_numbers_come_back() {
    block_on(async {
        for fate in [Fate::Lost, Fate::Answered] {
            let (shared, local) = (Faulty::default(), Faulty::default());
            let here = open(&shared, &local, 1, 2).await;
            let first = claim(&here, 1).await.unwrap();
            claim(&here, 2).await.unwrap();
            local.plan(&[fate]);
            let answer = abandon(release(&here, from_ref(&first)), 1);
            assert!(answer.is_none_or(|answer| answer.is_err()), "{fate:?}");
            release(&here, from_ref(&first)).await.unwrap();
            assert_eq!(claim(&here, 3).await.unwrap().key, first.key, "{fate:?}");
        }
    });
}

/// A block that was given up here, but not in the shared store, is found before another one is leased.
#[test]
fn a_block_that_was_half_returned_is_found() {
    block_on(async {
        for fate in [Fate::Fails, Fate::Lost] {
            for at in 0..2 {
                let (shared, local) = (Faulty::default(), Faulty::default());
                let here = open(&shared, &local, 1, 2).await;
                let first = claim(&here, 1).await.unwrap();
                release(&here, &[first]).await.unwrap();
                let mut fates = vec![Fate::Done; at];
                fates.push(fate);
                shared.plan(&fates);
                assert!(here.return_unused(0, NOW).await.is_err());
                claim(&here, 2).await.unwrap();
            }
        }
    });
}

/// What two hosts do in one of the histories below.
const STEPS: usize = 7;

async fn step(here: &Host, local: &Faulty, number: usize) {
    match number {
        0 => drop(claim(here, 1).await),
        1 => drop(claim(here, 2).await),
        2 => drop(release(here, &local.store.claims_of(&vm(1)).await.unwrap()).await),
        3 => drop(claim(here, 3).await),
        4 => drop(release(here, &local.store.claims_of(&vm(2)).await.unwrap()).await),
        5 => drop(here.return_unused(0, NOW).await),
        _ => drop(here.verify(NOW).await),
    }
}

/// All numbers that are held, each of a block that its host has leased.
async fn held(shared: &Faulty, hosts: &[(&Owner, &Faulty)]) -> BTreeSet<ClaimKey> {
    let mut seen = BTreeSet::new();
    for (host, local) in hosts {
        let leased: BTreeSet<_> = shared
            .store
            .claims_of(host)
            .await
            .unwrap()
            .into_iter()
            .map(|claim| claim.key)
            .collect();
        for claim in local.store.list("id/", None, NonZeroUsize::MAX).await.unwrap() {
            let number: NetId = claim.key.value().parse().unwrap();
            let block = space(6).block_of(number.number()).unwrap();
            let block = space(6).leases().key(block).unwrap();
            assert!(leased.contains(&block), "{} is not of a leased block", claim.key);
            assert!(seen.insert(claim.key), "held twice");
        }
    }
    seen
}

/// Any one request of a history fails, is lost or is given up: no number is held twice, and nothing is lost for good.
#[test]
fn any_fault_in_a_history_is_survived() {
    let histories = [
        [0, 1, 2, 3, 4, 5, 0, 6],
        [0, 2, 5, 1, 4, 5, 6, 3],
        [0, 1, 3, 2, 4, 5, 6, 0],
        [0, 2, 6, 5, 3, 1, 2, 5],
    ];
    assert!(histories.iter().flatten().all(|&step| step < STEPS));
    for history in histories {
        for on_shared in [true, false] {
            for fate in [Fate::Fails, Fate::Lost, Fate::Waits, Fate::Answered] {
                for at in 0..32 {
                    block_on(with_fault(&history, on_shared, fate, at));
                }
            }
        }
    }
}

async fn with_fault(history: &[usize], on_shared: bool, fate: Fate, at: usize) {
    let (shared, local, other) = (Faulty::default(), Faulty::default(), Faulty::default());
    let here = open(&shared, &local, 1, 6).await;
    let there = open(&shared, &other, 2, 6).await;
    let mut fates = vec![Fate::Done; at];
    fates.push(fate);
    if on_shared { &shared } else { &local }.plan(&fates);
    let owners = [host(1), host(2)];
    let hosts = [(&owners[0], &local), (&owners[1], &other)];
    for &number in history {
        // Only a request that has to wait does not end at once; nobody waits for it.
        let _given_up = abandon(step(&here, &local, number), 1);
        held(&shared, &hosts).await;
    }
    let case = format!("{history:?} {on_shared} {fate:?} {at}");
    shared.plan(&[]);
    local.plan(&[]);
    for number in 10..12 {
        claim(&there, number).await.expect(&case);
    }
    held(&shared, &hosts).await;
    // Nothing is wanted any more, and everything can be had by the other one.
    let lost = here.verify(NOW).await.expect(&case);
    assert_eq!(lost, [], "{case}");
    let left = local.list("id/", None, NonZeroUsize::MAX).await.unwrap();
    release(&here, &left).await.expect(&case);
    here.return_unused(0, NOW).await.expect(&case);
    assert_eq!(shared.claims_of(&host(1)).await.unwrap(), [], "{case}");
    assert!(here.leased().is_empty(), "{case}");
    for number in 12..16 {
        claim(&there, number).await.expect(&case);
    }
    assert_eq!(held(&shared, &hosts).await.len(), 6, "{case}");
}

/// A shared store that does not answer is waited for once, not once by each of those who need a block.
#[test]
fn who_waits_for_a_lease_that_fails_fails_with_it() {
    block_on(async {
        let (shared, local) = (Faulty::default(), Faulty::default());
        let blocks = Arc::new(open(&shared, &local, 1, 8).await);
        // The first answer lets the others come up behind, and the second request fails.
        shared.plan(&[Fate::Answered, Fate::Fails]);
        let claims: Vec<_> = (0..5)
            .map(|number| {
                let blocks = Arc::clone(&blocks);
                tokio::spawn(async move { claim(&blocks, number).await })
            })
            .collect();
        let mut waited = 0;
        for asked in claims {
            match asked.await.unwrap() {
                Err(BlocksError::Waited) => waited += 1,
                Err(BlocksError::Shared(Broken)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(waited, 4);
        for number in 0..5 {
            claim(&blocks, number).await.unwrap();
        }
    });
}
