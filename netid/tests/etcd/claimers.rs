//! Many claimers of few keys at the members of a cluster, and whether what they have seen can be true.

use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use netid::{
    Claim, ClaimError, ClaimKey, ClaimStore as _, EtcdError, EtcdOptions, EtcdStore, Owner,
    ReleaseOutcome,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::edge::{NOW, port};
use crate::history::{Entry, Seen, check};
use crate::server::{self, Server};

const CLAIMERS: usize = 64;
/// Fewer keys than claimers, so that they are always in each other's way.
const KEYS: u16 = 40;

/// Claimers at work.
pub(crate) struct Claimers {
    run: Arc<Run>,
    tasks: Vec<JoinHandle<Vec<Claim>>>,
}

/// What the claimers share.
struct Run {
    start: Instant,
    end: AtomicBool,
    /// How many claims were acknowledged, and how many attempts nobody answered.
    claimed: AtomicUsize,
    unanswered: AtomicUsize,
    history: Mutex<Vec<Entry>>,
    /// Who was told that nobody knows whether a claim was made.
    in_doubt: Mutex<BTreeSet<Owner>>,
}

/// Runs a story to its end on a runtime that has room for claimers.
pub(crate) fn beside_claimers<F: Future + 'static>(story: fn() -> F) {
    let run = std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(story());
    });
    run.join().unwrap();
}

impl Claimers {
    /// Claimers that begin at different members.
    pub(crate) fn start(members: &[Server; 3]) -> Self {
        let run = Arc::new(Run {
            start: Instant::now(),
            end: AtomicBool::new(false),
            claimed: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            history: Mutex::default(),
            in_doubt: Mutex::default(),
        });
        let tasks = (0..CLAIMERS).map(|claimer| {
            let mut endpoints = members.each_ref().map(|member| &*member.client);
            endpoints.rotate_left(claimer % 3);
            let options = EtcdOptions::new(endpoints)
                .with_root("/claims")
                .with_attempt(Duration::from_millis(800))
                .with_deadline(Duration::from_secs(3));
            tokio::spawn(claim_and_release(claimer, options, Arc::clone(&run)))
        });
        Self { tasks: tasks.collect(), run }
    }

    /// Waits until claims are acknowledged again.
    pub(crate) async fn progress(&self, when: &str) {
        let claimed = || self.run.claimed.load(Ordering::Relaxed);
        let (start, before) = (Instant::now(), claimed());
        while claimed() < before + 200 {
            assert!(start.elapsed() < Duration::from_secs(60), "no progress {when}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the claimers. What they hold then is what a member has, and no key was held twice.
    pub(crate) async fn finish(self, member: &Server) {
        let Self { run, tasks } = self;
        run.end.store(true, Ordering::Relaxed);
        let mut held: BTreeMap<ClaimKey, Claim> = BTreeMap::new();
        for task in tasks {
            for claim in task.await.unwrap() {
                assert!(held.insert(claim.key.clone(), claim).is_none());
            }
        }
        let options = EtcdOptions::new([&*member.client]).with_root("/claims");
        let store = EtcdStore::connect(&options).await.unwrap();
        let mut stored = store.list("", None, NonZeroUsize::MAX).await.unwrap();
        let held: Vec<_> = held.into_values().collect();
        // What was in doubt can be carried out later than what its owner did next, and only that.
        let in_doubt = run.in_doubt.lock().unwrap().clone();
        stored.retain(|claim| held.contains(claim) || !in_doubt.contains(&claim.owner));
        assert_eq!(stored, held, "what was acknowledged is there, and nothing else");

        let mut history = core::mem::take(&mut *run.history.lock().unwrap());
        let file = server::fresh_folder().join("history");
        let mut lines = BufWriter::new(File::create(&file).unwrap());
        for entry in &history {
            writeln!(lines, "{entry}").unwrap();
        }
        lines.flush().unwrap();
        let checked = check(&mut history);
        assert_eq!(checked, Ok(()), "the history is in {}", file.display());
        std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
        eprintln!(
            "{} claims acknowledged, {} operations unanswered, {} owners in doubt, {} s",
            run.claimed.load(Ordering::Relaxed),
            run.unanswered.load(Ordering::Relaxed),
            in_doubt.len(),
            run.start.elapsed().as_secs(),
        );
    }
}

impl Run {
    fn record(&self, claimer: usize, key: &ClaimKey, seen: Seen) {
        // The time is taken under the lock, so that the order of the entries is the order of the times.
        let mut history = self.history.lock().unwrap();
        history.push(Entry { at: self.start.elapsed(), claimer, key: key.clone(), seen });
    }
}

/// Claims and releases until the end, and gives what it holds then.
async fn claim_and_release(claimer: usize, options: EtcdOptions, run: Arc<Run>) -> Vec<Claim> {
    let mut rng = StdRng::seed_from_u64(claimer as u64);
    let store = EtcdStore::connect(&options).await.unwrap();
    let mut life = 0;
    while !run.end.load(Ordering::Relaxed) {
        life += 1;
        let owner = Owner::new("claimer", "", &format!("{claimer}-{life}")).unwrap();
        let first = u16::try_from(rng.next_u32() % u32::from(KEYS)).unwrap();
        let one_of_many = rng.next_u32() % 2 == 0;
        let batch = if one_of_many {
            vec![port(first)]
        } else {
            vec![port(first), port((first + 1) % KEYS)]
        };
        // An owner whose claim is in doubt asks again until it knows.
        let claims = loop {
            let answer = if one_of_many {
                store.claim_one(&owner, "port/", &batch[0], NOW).await.map(|claim| vec![claim])
            } else {
                store.claim(&owner, &batch, NOW).await
            };
            match answer {
                Ok(claims) => break Some(claims),
                Err(ClaimError::Taken(_)) => break None,
                Err(ClaimError::Unknown(error)) => {
                    assert_transient(&error);
                    run.unanswered.fetch_add(1, Ordering::Relaxed);
                    run.in_doubt.lock().unwrap().insert(owner.clone());
                }
                Err(ClaimError::Store(error)) => {
                    assert_transient(&error);
                    run.unanswered.fetch_add(1, Ordering::Relaxed);
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        let Some(claims) = claims else { continue };
        for claim in &claims {
            run.record(claimer, &claim.key, Seen::Claimed(claim.generation));
        }
        run.claimed.fetch_add(claims.len(), Ordering::Relaxed);
        sleep(Duration::from_millis(u64::from(rng.next_u32() % 20))).await;
        if run.end.load(Ordering::Relaxed) {
            return claims;
        }
        for claim in &claims {
            run.record(claimer, &claim.key, Seen::Releasing(claim.generation));
            loop {
                match store.release(from_ref(claim), |_| Duration::ZERO, NOW).await {
                    Ok(released) => {
                        let (_, outcome) = &released[0];
                        // A repeated release may find its own work done, and the key with somebody else by then.
                        let late = matches!(outcome, ReleaseOutcome::HeldByOther(by) if !by.is_same(claim));
                        assert!(late || !matches!(outcome, ReleaseOutcome::HeldByOther(_)));
                        break;
                    }
                    Err(error) => {
                        assert_transient(&error);
                        run.unanswered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }
    Vec::new()
}

/// While members come and go, the only error is that nobody answered in time.
fn assert_transient(error: &EtcdError) {
    assert!(matches!(error, EtcdError::Unanswered { .. }), "{error:?}");
}
