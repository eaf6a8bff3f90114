//! What the lives of a run share, and what must hold after each of their steps.

use core::hash::{Hash, Hasher as _};
use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::DefaultHasher;
use std::sync::{Mutex, MutexGuard};

use netid::{Claim, ClaimKey, ClaimState, ClaimStore as _, Collector, LiveOwners, MemoryStore};

use super::explore::finished;

/// When the clock begins, in ticks of a second.
const START: u32 = 1000;
/// How long a claim counts before its owner is in the inventory, in ticks.
pub(super) const GRACE: u32 = 2;

pub(super) struct World {
    pub(super) store: MemoryStore,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) now: u32,
    /// The uids of the owners that exist.
    pub(super) inventory: BTreeSet<String>,
    /// Those of them that are on the way from one host to another, and since when.
    pub(super) hidden: BTreeMap<String, u32>,
    /// Those that existed and will not come back.
    pub(super) removed: BTreeSet<String>,
    /// What the owners count on, key by key.
    pub(super) beliefs: BTreeMap<(String, ClaimKey), Belief>,
    /// What owners have begun to release, for those who do so again, late.
    pub(super) copies: BTreeMap<String, Vec<Claim>>,
    /// Whose.
    pub(super) wanted: BTreeSet<String>,
    /// Owners that must never hold two keys.
    pub(super) single: BTreeSet<String>,
    /// Which keys rest, until when, and who held them: as the store has it, which does not tell.
    pub(super) cooling: BTreeMap<ClaimKey, (Duration, String)>,
    /// What each life has learnt: its local state follows from that.
    pub(super) learnt: Vec<Vec<Token>>,
    /// What each life waits to do, and what that is called.
    pub(super) next: Vec<(Next, &'static str)>,
    /// How many claims collectors have released.
    pub(super) collected: u64,
    /// How the operation that is under way is answered.
    pub(super) answer: Answer,
}

/// A key that an owner takes for its own.
#[derive(Clone, Debug, Hash)]
pub(super) struct Belief {
    claim: Claimed,
    /// Until when, while the owner is not in the inventory.
    until: Option<u32>,
}

/// The part of a claim that does not change.
type Claimed = u64;

/// A piece of what a life has learnt. Generations are apart: which numbers they are is of no account.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token {
    Word(u64),
    Generation(u64),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Next {
    /// An operation whose answer always arrives.
    #[default]
    Sure,
    /// One that changes nothing, and whose answer can get lost.
    Read,
    /// One that may or may not have been carried out when its answer is lost.
    Write,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Answer {
    #[default]
    Given,
    LostBefore,
    LostAfter,
}

impl World {
    pub(super) fn new() -> Self {
        let state = State { now: START, ..State::default() };
        Self { store: MemoryStore::new(), state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Whether the clock may tick: an owner that moves is back within the time of the longest move.
    pub(super) fn may_tick(&self, longest: u32) -> bool {
        let state = self.state();
        state.hidden.values().all(|since| state.now < since + longest)
    }

    /// What must hold at any time.
    pub(super) fn check(&self) -> Result<(), String> {
        let state = self.state();
        let mut holders = BTreeMap::new();
        for ((uid, key), belief) in &state.beliefs {
            if belief.until.is_some_and(|until| until <= state.now) {
                continue;
            }
            if let Some(other) = holders.insert(key, uid) {
                return Err(format!("{other} and {uid} both hold {key}"));
            }
            match finished(self.store.get(key)).unwrap() {
                Some(held)
                    if held.owner.uid() == uid && held.generation.number() == belief.claim => {}
                held => return Err(format!("{uid} lost {key}, which {held:?} holds")),
            }
        }
        for uid in &state.single {
            let owner = super::hand::owner(uid);
            let held = finished(self.store.claims_of(&owner)).unwrap();
            if held.len() > 1 {
                return Err(format!("{uid} holds {held:?}"));
            }
        }
        Ok(())
    }

    /// What must hold when nothing more happens: in time, whatever has no owner is gone, and nothing else.
    pub(super) fn settle(&self) -> Result<(), String> {
        let live = || {
            let state = self.state();
            let uids: LiveOwners = state.inventory.iter().collect();
            if state.inventory.is_empty() { LiveOwners::none() } else { uids }
        };
        let mut collector = Collector::new("vm");
        let mut now = Duration::from_secs(START.into());
        for _ in 0..3 {
            now += Duration::from_secs(3600);
            let look = collector.look(&self.store, async || Ok::<_, ()>(live()), || now);
            finished(look).unwrap();
        }
        let gone = async |_| Ok::<_, ()>(netid::Liveness::Gone);
        finished(collector.sweep(&self.store, gone, |_| Duration::ZERO, now));
        let left = finished(self.store.list("", None, NonZeroUsize::MAX)).unwrap();
        match left.iter().find(|claim| !live().contains(claim.owner.uid())) {
            Some(claim) => Err(format!("{claim:?} is left without an owner")),
            None => self.check(),
        }
    }

    /// A number for the whole state, lives included; equal states go on in equal ways.
    pub(super) fn fingerprint(&self, lives: impl Iterator<Item = bool>) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut names = Names::default();
        let state = self.state();
        state.now.hash(&mut hasher);
        (&state.inventory, &state.hidden, &state.removed, &state.cooling).hash(&mut hasher);
        for (at, alive) in lives.enumerate() {
            (at, alive).hash(&mut hasher);
            if alive {
                state.learnt[at].len().hash(&mut hasher);
                state.learnt[at].iter().for_each(|token| names.hash(*token, &mut hasher));
            }
        }
        let mut tokens = Vec::new();
        for claims in state.copies.values() {
            tokens.push(Token::Word(claims.len() as u64));
            tokens.extend(claims.iter().flat_map(claim_tokens));
        }
        for (whose, belief) in &state.beliefs {
            tokens.push(Token::Word(hash(&(whose, belief.until))));
            tokens.push(Token::Generation(belief.claim));
        }
        let held = finished(self.store.list("", None, NonZeroUsize::MAX)).unwrap();
        tokens.extend(held.iter().flat_map(claim_tokens));
        for token in tokens {
            names.hash(token, &mut hasher);
        }
        hasher.finish()
    }
}

impl State {
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs(self.now.into())
    }

    /// An owner is told that it holds these.
    pub(super) fn believe(&mut self, claims: &[Claim]) {
        for claim in claims {
            let uid = claim.owner.uid();
            let until = until(claim);
            let is_firm = claim.state == ClaimState::Bound
                || self.inventory.contains(uid) && self.now < until;
            let belief =
                Belief { claim: claim.generation.number(), until: (!is_firm).then_some(until) };
            let whose = (uid.to_owned(), claim.key.clone());
            // What was certain stays so.
            match self.beliefs.get(&whose) {
                Some(Belief { claim, until: None }) if *claim == belief.claim => {}
                _ => drop(self.beliefs.insert(whose, belief)),
            }
        }
    }

    /// An owner is told that these are bound.
    pub(super) fn confirm(&mut self, claims: &[Claim]) {
        for claim in claims {
            let whose = (claim.owner.uid().to_owned(), claim.key.clone());
            let claim = claim.generation.number();
            self.beliefs.insert(whose, Belief { claim, until: None });
        }
    }

    /// Keeps what an owner begins to release, the first time.
    pub(super) fn copy(&mut self, uid: &str, claims: &[Claim]) {
        if self.wanted.contains(uid) {
            self.copies.entry(uid.to_owned()).or_insert_with(|| claims.to_vec());
        }
    }

    pub(super) fn doubt(&mut self, claims: &[Claim]) {
        for claim in claims {
            self.beliefs.remove(&(claim.owner.uid().to_owned(), claim.key.clone()));
        }
    }

    /// What was claimed for an owner in time is its own from the moment that it exists.
    pub(super) fn record(&mut self, uid: &str) {
        self.inventory.insert(uid.to_owned());
        let now = self.now;
        let own = self.beliefs.iter_mut().filter(|((whose, _), _)| whose == uid);
        for (_, belief) in own {
            belief.until = belief.until.filter(|until| *until <= now);
        }
    }

    pub(super) fn remove(&mut self, uid: &str) {
        self.inventory.remove(uid);
        self.hidden.remove(uid);
        self.removed.insert(uid.to_owned());
        self.beliefs.retain(|(whose, _), _| whose != uid);
    }

    /// A process ends: what it was told, and nobody else knows, is forgotten with it.
    pub(super) fn crash(&mut self, life: usize, uid: &str) {
        self.beliefs.retain(|(whose, _), belief| whose != uid || belief.until.is_none());
        self.learnt[life] = vec![Token::Word(u64::MAX)];
    }
}

/// Until when a claim counts whose owner is not in the inventory.
pub(super) fn until(claim: &Claim) -> u32 {
    u32::try_from(claim.since.as_secs()).unwrap() + GRACE
}

pub(super) fn claim_tokens(claim: &Claim) -> [Token; 2] {
    let Claim { key, owner, state, since, .. } = claim;
    [
        Token::Word(hash(&(key, owner.uid(), *state as u8, since))),
        Token::Generation(claim.generation.number()),
    ]
}

pub(super) fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Generations in the order in which they are met.
#[derive(Default)]
struct Names(HashMap<u64, usize>);

impl Names {
    fn hash(&mut self, token: Token, hasher: &mut DefaultHasher) {
        match token {
            Token::Word(word) => word.hash(hasher),
            Token::Generation(number) => {
                let fresh = self.0.len();
                self.0.entry(number).or_insert(fresh).hash(hasher);
            }
        }
    }
}
