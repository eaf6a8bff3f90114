//! What is killed: threads that claim, bind and release, and say so before and after.

use core::fmt;
use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process;
use std::thread;
use std::time::Instant;

use netid::{Claim, ClaimError, ClaimStore as _, Owner, RedbStore};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::history::{self, Keys};

const THREADS: usize = 4;
/// Few enough to be refused now and then.
const KEYS: u32 = 80;

/// Claims and releases until it is killed.
pub(crate) fn run(file: &Path, now: u64) -> ! {
    let store = RedbStore::open(file).unwrap();
    say(format_args!("+"));
    // What the one before has left, batch by batch.
    let mut left: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    for claim in block_on(store.list("", None, NonZeroUsize::MAX)).unwrap() {
        left.entry(claim.owner.uid().into()).or_default().push(claim);
    }
    let mut shares = vec![Vec::new(); THREADS];
    for (at, batch) in left.into_values().enumerate() {
        shares[at % THREADS].push(batch);
    }
    for (thread, share) in shares.into_iter().enumerate() {
        let store = store.clone();
        thread::spawn(move || {
            let mut life = Life { store, now, rng: StdRng::seed_from_u64(now * 4 + thread as u64) };
            life.work(thread, share);
        });
    }
    // Somebody will kill us much earlier.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_secs(1));
    }
    process::exit(1);
}

struct Life {
    store: RedbStore,
    now: u64,
    rng: StdRng,
}

impl Life {
    fn work(&mut self, thread: usize, mut batches: Vec<Vec<Claim>>) {
        for batch in 0_u64.. {
            if self.chance(2) || batches.is_empty() {
                // Every batch has an owner of its own, which is its name.
                let owner = format!("{}-{thread}-{batch}", self.now);
                batches.extend(self.claim(&owner));
            } else {
                let at = self.rng.next_u32() as usize % batches.len();
                let batch = batches.swap_remove(at);
                batches.extend(self.end(batch));
            }
        }
    }

    fn claim(&mut self, owner: &str) -> Option<Vec<Claim>> {
        let count = 1 + self.rng.next_u32() % 4;
        let keys: Keys = (0..count).map(|_| self.number()).collect();
        let batch: Vec<_> = keys.iter().map(|number| crate::key(*number)).collect();
        say(format_args!("C {owner} {}", history::text(&keys)));
        let proven = Owner::new("vm", "killed", owner).unwrap();
        match block_on(self.store.claim(&proven, &batch, Duration::from_secs(self.now))) {
            Ok(claims) => {
                say(format_args!("c {owner} {}", claims[0].generation));
                if self.chance(2) {
                    say(format_args!("B {owner}"));
                    block_on(self.store.bind(&claims)).unwrap();
                    say(format_args!("b {owner}"));
                }
                Some(claims)
            }
            Err(ClaimError::Taken(_)) => {
                say(format_args!("x {owner}"));
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Releases a batch or a part of it, and gives the rest.
    fn end(&mut self, mut batch: Vec<Claim>) -> Option<Vec<Claim>> {
        let at = if self.chance(4) { 1.min(batch.len() - 1) } else { 0 };
        let rest: Vec<_> = batch.drain(..at).collect();
        let owner = batch[0].owner.uid().to_owned();
        let keys: Keys = batch.iter().map(|claim| history::number(&claim.key)).collect();
        let cooldown = u64::from(self.chance(16));
        let until = if cooldown == 0 { 0 } else { self.now + cooldown };
        say(format_args!("R {owner} {} {until}", history::text(&keys)));
        let cooldown = Duration::from_secs(cooldown);
        let now = Duration::from_secs(self.now);
        let released = block_on(self.store.release(&batch, |_| cooldown, now)).unwrap();
        assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
        say(format_args!("r {owner} {}", history::text(&keys)));
        (!rest.is_empty()).then_some(rest)
    }

    fn number(&mut self) -> u16 {
        u16::try_from(self.rng.next_u32() % KEYS).unwrap()
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.next_u32().is_multiple_of(one_in)
    }
}

/// One line, whole or not at all.
fn say(line: fmt::Arguments<'_>) {
    let line = format!("{line}\n");
    let mut pipe = io::stdout().lock();
    if pipe.write_all(line.as_bytes()).and_then(|()| pipe.flush()).is_err() {
        process::exit(1);
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
