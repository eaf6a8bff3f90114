//! Any number of a range, asked for by many.

use core::convert::Infallible;
use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use netid::{
    BindError, Claim, ClaimError, ClaimKey, ClaimStore, Claimer, ClaimerError, KeyRange,
    MemoryStore, MemoryWatch, NetId, Owner, ReleaseOutcome, WatchClaims,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::task::yield_now;

use crate::block_on;
use crate::faulty::{Fate, Faulty};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn owner(number: u32) -> Owner {
    Owner::new("network", "", &number.to_string()).unwrap()
}

fn range(last: u32) -> KeyRange {
    KeyRange::numbers("asn", 0, last).unwrap()
}

/// A memory store far away: others get their turn before each answer, and what is asked is counted.
#[derive(Clone, Default)]
struct Remote {
    store: MemoryStore,
    claims: Arc<AtomicUsize>,
    watches: Arc<AtomicUsize>,
}

impl ClaimStore for Remote {
    type Error = Infallible;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<Infallible>> {
        self.store.claim(owner, keys, now).await
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<Infallible>> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
        let claimed = self.store.claim_one(owner, prefix, key, now).await;
        yield_now().await;
        claimed
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<Infallible>> {
        self.store.renew(claims, now).await
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<Infallible>> {
        self.store.bind(claims).await
    }

    async fn release<F: Fn(&ClaimKey) -> Duration + Send>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Infallible> {
        self.store.release(claims, cooldown, now).await
    }

    async fn release_unchanged<F: Fn(&ClaimKey) -> Duration + Send>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Infallible> {
        self.store.release_unchanged(claims, cooldown, now).await
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, Infallible> {
        self.store.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, Infallible> {
        self.store.list(prefix, after, limit).await
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, Infallible> {
        self.store.claims_of(owner).await
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, Infallible> {
        self.store.forget_cooldowns(now).await
    }
}

impl WatchClaims for Remote {
    type Watch = MemoryWatch;

    async fn watch(&self, prefix: &str) -> Result<MemoryWatch, Infallible> {
        self.watches.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
        self.store.watch(prefix).await
    }
}

/// Everybody in these views asks at once, view by view in turn.
async fn all_at_once(claimers: &[Arc<Claimer<Remote>>], each: u32) -> Vec<Claim> {
    let asking: Vec<_> = (0..each)
        .flat_map(|turn| {
            claimers.iter().enumerate().map(move |(view, claimer)| (turn, view, claimer))
        })
        .map(|(turn, view, claimer)| {
            let (claimer, who) = (Arc::clone(claimer), turn * 1_000 + u32::try_from(view).unwrap());
            tokio::spawn(async move {
                let mut rng = StdRng::seed_from_u64(u64::from(who));
                claimer.claim(&owner(who), &mut rng, NOW).await.unwrap()
            })
        })
        .collect();
    let mut claims = Vec::new();
    for asked in asking {
        claims.push(asked.await.unwrap());
    }
    claims
}

/// Fills all numbers up to the last but so many, spread over the range.
async fn fill(store: &MemoryStore, range: &KeyRange, vacant: u32) {
    let capacity = u32::try_from(range.capacity()).unwrap();
    let others = Owner::new("others", "", "others").unwrap();
    let step = capacity / vacant;
    let taken = (0..capacity).filter(|number| number % step != 7 || number / step >= vacant);
    let keys: Vec<_> = taken.map(|number| range.key(number).unwrap()).collect();
    for keys in keys.chunks(4_096) {
        store.claim(&others, keys, NOW).await.unwrap();
    }
}

#[test]
fn the_last_vacant_numbers_are_found_by_as_many_as_there_are() {
    block_on(async {
        let remote = Remote::default();
        fill(&remote.store, &range(9_999), 60).await;
        let claimers = [(); 3].map(|()| Arc::new(Claimer::new(remote.clone(), range(9_999))));
        let claims = all_at_once(&claimers, 20).await;
        let keys: BTreeSet<_> = claims.iter().map(|claim| &claim.key).collect();
        assert_eq!(keys.len(), 60);
        for claimer in claimers {
            let mut rng = StdRng::seed_from_u64(1);
            match claimer.claim(&owner(99_999), &mut rng, NOW).await {
                Err(ClaimerError::Exhausted { capacity, held, cooling: 0, .. }) => {
                    assert_eq!((capacity, held), (10_000, 10_000));
                }
                other => panic!("{other:?}"),
            }
            // Whoever has one is given it although there is none.
            assert_eq!(claimer.claim(&owner(0), &mut rng, NOW).await.unwrap(), claims[0]);
        }
    });
}

/// At 99.9 % a claim takes hardly more than one transaction, and the range is looked at once by each view.
#[test]
fn claims_in_a_full_range_take_one_transaction() {
    // What is vacant is 16 times what is asked for at once, as with 1,024 claimers in the range of all VNIs.
    let (capacity, claimers, each) =
        if cfg!(debug_assertions) { (1 << 17, 4, 2) } else { (1 << 20, 16, 4) };
    block_on(async {
        let remote = Remote::default();
        let range = range(capacity - 1);
        fill(&remote.store, &range, capacity / 1_000).await;
        let claimers: Vec<_> =
            (0..claimers).map(|_| Arc::new(Claimer::new(remote.clone(), range.clone()))).collect();
        let claims = all_at_once(&claimers, each).await;
        let keys: BTreeSet<_> = claims.iter().map(|claim| &claim.key).collect();
        assert_eq!(keys.len(), claims.len());
        let transactions = remote.claims.load(Ordering::Relaxed);
        assert!(transactions * 10 <= claims.len() * 11, "{transactions} for {}", claims.len());
        assert_eq!(remote.watches.load(Ordering::Relaxed), claimers.len());
    });
}

#[test]
fn what_others_release_is_seen() {
    block_on(async {
        let store = MemoryStore::new();
        let claimer = Claimer::new(store.clone(), range(0));
        let mut rng = StdRng::seed_from_u64(1);
        let first = claimer.claim(&owner(1), &mut rng, NOW).await.unwrap();
        assert_eq!(claimer.number(&first), Some(0));
        assert!(claimer.claim(&owner(2), &mut rng, NOW).await.is_err());

        let minute = Duration::from_secs(60);
        let released = store.release(from_ref(&first), |_| minute, NOW).await.unwrap();
        assert!(released[0].1.is_released());
        match claimer.claim(&owner(2), &mut rng, NOW).await {
            Err(ClaimerError::Exhausted { held: 0, cooling: 1, .. }) => {}
            other => panic!("{other:?}"),
        }
        let later = claimer.claim(&owner(2), &mut rng, NOW + minute).await.unwrap();
        assert_eq!(later.key, first.key);
    });
}

/// While the only number is in the hands of a claim that is dropped, another one waits for it.
#[test]
fn a_claim_that_is_dropped_gives_its_number_back() {
    block_on(async {
        let remote = Remote::default();
        let claimer = Arc::new(Claimer::new(remote, range(0)));
        let mut rng = StdRng::seed_from_u64(1);
        let hesitant = owner(1);
        // Two steps of it: the look at the range, and the claim that is not answered yet.
        let mut first = Box::pin(claimer.claim(&hesitant, &mut rng, NOW));
        for _ in 0..2 {
            let polled = core::future::poll_fn(|context| {
                core::task::Poll::Ready(first.as_mut().poll(context).is_pending())
            });
            assert!(polled.await);
        }
        let second = tokio::spawn({
            let claimer = Arc::clone(&claimer);
            async move { claimer.claim(&owner(2), &mut StdRng::seed_from_u64(2), NOW).await }
        });
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!second.is_finished());
        drop(first);
        assert_eq!(second.await.unwrap().unwrap().owner, owner(2));
    });
}

/// Nobody ever holds the only number for long: it is vacant whenever it is not in the hands of a claim.
#[test]
fn a_number_that_is_given_back_is_not_overlooked() {
    let claimer = Arc::new(Claimer::new(Remote::default(), range(0)));
    let start = Instant::now();
    let hesitant = std::thread::spawn({
        let claimer = Arc::clone(&claimer);
        move || {
            let (mut rng, hesitant) = (StdRng::seed_from_u64(1), owner(1));
            while start.elapsed() < Duration::from_millis(500) {
                let mut claim = core::pin::pin!(claimer.claim(&hesitant, &mut rng, NOW));
                let mut context = core::task::Context::from_waker(core::task::Waker::noop());
                let _exhausted = claim.as_mut().poll(&mut context).is_ready();
            }
        }
    });
    block_on(async {
        let mut rng = StdRng::seed_from_u64(2);
        while start.elapsed() < Duration::from_millis(400) {
            let claim = claimer.claim(&owner(2), &mut rng, NOW).await.unwrap();
            let released = claimer.store().release(&[claim], |_| Duration::ZERO, NOW).await;
            assert!(released.unwrap()[0].1.is_released());
        }
    });
    hesitant.join().unwrap();
}

/// Also when the view has not heard yet of what the owner claimed elsewhere: a watch tells only so much at a time.
#[test]
fn another_number_is_another_one() {
    block_on(async {
        let store = MemoryStore::new();
        let claimers = [(); 2].map(|()| Claimer::new(store.clone(), range(399)));
        let mut rng = StdRng::seed_from_u64(1);
        let mut keys = BTreeSet::new();
        for (claimer, count) in [(1, 1), (0, 200), (1, 199)] {
            for _ in 0..count {
                let claim = claimers[claimer].claim_another(&owner(1), &mut rng, NOW).await;
                let claim = claim.unwrap();
                assert!(keys.insert(claim.key.clone()), "{} is given twice", claim.key);
            }
        }
        assert_eq!(store.claims_of(&owner(1)).await.unwrap().len(), 400);
    });
}

/// What others do with a number meanwhile does not let a second claim try it.
#[test]
fn a_number_that_is_set_aside_stays_so() {
    for seed in 0..16 {
        block_on(async {
            let far = Faulty::default();
            let claimer = Claimer::new(far.clone(), range(1));
            let (mut rng, asking) = (StdRng::seed_from_u64(seed), owner(1));
            // The look at the range, the reading of what is held, and the claim.
            far.plan(&[Fate::Done, Fate::Done, Fate::Waits]);
            let mut first = Box::pin(claimer.claim_another(&asking, &mut rng, NOW));
            let mut context = core::task::Context::from_waker(core::task::Waker::noop());
            assert!(first.as_mut().poll(&mut context).is_pending());
            for number in 0..2 {
                let key = range(1).key(number).unwrap();
                let claims = far.store.claim(&owner(2), &[key], NOW).await.unwrap();
                let _gone = far.store.release(&claims, |_| Duration::ZERO, NOW).await.unwrap();
            }
            let mut rng = StdRng::seed_from_u64(seed + 1);
            let second = claimer.claim_another(&owner(1), &mut rng, NOW).await.unwrap();
            assert_ne!(first.await.unwrap().key, second.key);
        });
    }
}

#[test]
fn ranges_of_one_kind_can_be_told_apart_by_their_scopes() {
    block_on(async {
        let store = MemoryStore::new();
        let ids = || KeyRange::ids(NetId::new(16), NetId::new(31)).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        for (scope, count) in [("a", 1), ("b", 2)] {
            let claimer = Claimer::new(store.clone(), ids().with_scope(scope).unwrap());
            let claim = claimer.claim(&owner(1), &mut rng, NOW).await.unwrap();
            assert!(claim.key.as_str().starts_with(&format!("id/{scope}/0000001")));
            assert_eq!(store.claims_of(&owner(1)).await.unwrap().len(), count);
        }
    });
}

#[test]
fn a_claimer_is_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<F: Send>(_: F) {}
    shared::<Claimer<MemoryStore>>();
    let claimer = Claimer::new(MemoryStore::new(), range(1));
    sent(claimer.claim(&owner(1), &mut StdRng::seed_from_u64(1), NOW));
}
