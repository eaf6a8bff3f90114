use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::slice::from_ref;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::Rng;
use thiserror::Error;
use tokio::sync::Notify;

use super::key_range::KeyRange;
use super::vacancies::Vacancies;
use crate::claim::{
    Claim, ClaimError, ClaimKey, ClaimWatch, KeyState, Obstacle, Owner, Taken, WatchClaims,
    WatchEvent,
};

/// Claims any number of a [`KeyRange`] that nobody has: a VNI for a network, a block of ids for a host.
///
/// It watches the range and picks uniformly among what is vacant ([`Vacancies`]), so that a claim takes little more
/// than one transaction however full the range is, and the last vacant number is found. Those who share one never try
/// the same number at the same time. The store alone decides: what the view did not know yet costs another try.
///
/// An owner that holds a number of this range gets that one, as with
/// [`claim_one`](crate::ClaimStore::claim_one); which means any key that starts with the range's
/// [`prefix`](KeyRange::prefix), so use scopes for all ranges of a kind or for none.
///
/// For candidates from somewhere else, such as a pool of one's own, there is [`claim_any`](crate::claim_any).
///
/// ```
/// use core::time::Duration;
/// use netid::{Claimer, ClaimerError, KeyRange, MemoryStore, Owner, Vni, VniRange};
/// use rand::{SeedableRng, rngs::StdRng};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now = Duration::from_secs(1_700_000_000);
/// # let mut rng = StdRng::seed_from_u64(1);
/// let range = VniRange::new(Vni::new(5000)?, Vni::new(5001)?)?;
/// let vnis = Claimer::new(MemoryStore::new(), KeyRange::vnis(range));
/// let [blue, red, green] = ["u1", "u2", "u3"].map(|uid| Owner::new("network", "", uid).unwrap());
///
/// let first = vnis.claim(&blue, &mut rng, now).await?;
/// let second = vnis.claim(&red, &mut rng, now).await?;
/// assert_ne!(first.key, second.key);
/// assert_eq!(vnis.claim(&blue, &mut rng, now).await?, first, "it has one");
///
/// match vnis.claim(&green, &mut rng, now).await {
///     Err(ClaimerError::Exhausted { capacity: 2, held: 2, .. }) => {}
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
pub struct Claimer<S: WatchClaims> {
    store: S,
    prefix: Box<str>,
    state: Mutex<State<S::Watch>>,
    /// One look at the whole range at a time.
    looking: tokio::sync::Mutex<()>,
    /// Wakes those who wait for what becomes of a number that somebody has set aside.
    settled: Notify,
}

/// How many numbers an owner is to have.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    One,
    Another,
    /// Whichever is found, be it held by the owner already.
    Any,
}

struct State<W> {
    view: Vacancies,
    watch: Option<W>,
    /// How often the whole range was looked at.
    looks: u64,
}

impl<S: WatchClaims> Claimer<S> {
    /// Claims numbers of a range in a store. Nothing is asked of the store yet.
    #[must_use]
    pub fn new(store: S, range: KeyRange) -> Self {
        let prefix = range.prefix().into();
        let state = State { view: Vacancies::new(range), watch: None, looks: 0 };
        Self {
            store,
            prefix,
            state: Mutex::new(state),
            looking: tokio::sync::Mutex::new(()),
            settled: Notify::new(),
        }
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The number of a claim that was made here.
    #[must_use]
    pub fn number(&self, claim: &Claim) -> Option<u32> {
        self.lock().view.range().number(&claim.key)
    }

    /// Claims a number for an owner, chosen uniformly among those that are vacant.
    ///
    /// The source of randomness must be `Send`, as tasks that wait go from thread to thread: a `StdRng` is, as
    /// `rand::make_rng` makes one, the `ThreadRng` of `rand::rng` is not.
    ///
    /// # Errors
    /// [`ClaimerError::Exhausted`] when all are held or cooling, which is made sure of by looking at the store anew.
    /// Any other error is the store's, and ends the search at once; see [`ClaimError`] for what to do about it.
    pub async fn claim<R: Rng + Send + ?Sized>(
        &self,
        owner: &Owner,
        rng: &mut R,
        now: Duration,
    ) -> Result<Claim, ClaimerError<S::Error>> {
        self.search(owner, Wanted::One, rng, now).await
    }

    /// Claims a number for an owner beside those it holds, chosen as by [`claim`](Self::claim).
    ///
    /// When it is not known whether that was done, what the owner holds tells
    /// ([`claims_of`](crate::ClaimStore::claims_of)): asking again gives another one. Let one process at a time ask for
    /// an owner: of two that try the same number at once, both are told that the owner has it.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub async fn claim_another<R: Rng + Send + ?Sized>(
        &self,
        owner: &Owner,
        rng: &mut R,
        now: Duration,
    ) -> Result<Claim, ClaimerError<S::Error>> {
        self.search(owner, Wanted::Another, rng, now).await
    }

    /// As [`claim_another`](Self::claim_another), but it may give one that the owner holds and nobody knew of here.
    pub(crate) async fn claim_any<R: Rng + Send + ?Sized>(
        &self,
        owner: &Owner,
        rng: &mut R,
        now: Duration,
    ) -> Result<Claim, ClaimerError<S::Error>> {
        self.search(owner, Wanted::Any, rng, now).await
    }

    async fn search<R: Rng + Send + ?Sized>(
        &self,
        owner: &Owner,
        wanted: Wanted,
        rng: &mut R,
        now: Duration,
    ) -> Result<Claim, ClaimerError<S::Error>> {
        let mut attempts = 0_u32;
        // The view may lag behind what the owner holds.
        let held = match wanted {
            Wanted::Another => {
                let held = self.store.claims_of(owner).await;
                held.map_err(|source| failed(attempts, source))?
            }
            Wanted::One | Wanted::Any => Vec::new(),
        };
        let held: BTreeSet<_> = held.into_iter().map(|claim| claim.key).collect();
        let known = self.lock().looks;
        loop {
            let settled = self.settled.notified();
            let picked = self.pick(rng, now);
            let Some(aside) = picked else {
                let (looks, in_flight, vacant) = {
                    let state = self.lock();
                    (state.looks, state.view.set_aside() > 0, state.view.vacant() > 0)
                };
                if looks == 0 || looks == known {
                    self.look(looks).await.map_err(|source| failed(attempts, source))?;
                } else if vacant {
                    // It was given back since it was asked for.
                } else if in_flight {
                    settled.await;
                } else if wanted == Wanted::One
                    && let Some(claim) = self.first_of(owner, attempts).await?
                {
                    return Ok(claim);
                } else {
                    let state = self.lock();
                    return Err(ClaimerError::Exhausted {
                        capacity: state.view.capacity(),
                        held: state.view.held(),
                        cooling: state.view.cooling(),
                        attempts,
                    });
                }
                continue;
            };
            let Some(key) = self.lock().view.range().key(aside.number) else { continue };
            attempts = attempts.saturating_add(1);
            let claimed = match wanted {
                Wanted::One => self.store.claim_one(owner, &self.prefix, &key, now).await,
                Wanted::Another | Wanted::Any => self.claim_key(owner, &key, now).await,
            };
            match claimed {
                Ok(claim) if held.contains(&claim.key) => {
                    aside.becomes(Vacancies::hold);
                }
                Ok(claim) if claim.key == key => {
                    aside.becomes(Vacancies::hold);
                    return Ok(claim);
                }
                Ok(claim) => return Ok(claim),
                Err(ClaimError::Taken(Taken { obstacle: Obstacle::Held(_), .. })) => {
                    aside.becomes(Vacancies::hold);
                }
                Err(ClaimError::Taken(Taken { obstacle: Obstacle::Cooling { until }, .. })) => {
                    aside.becomes(|view, number| view.cool(number, until));
                }
                Err(source) => return Err(ClaimerError::Store { attempts, source }),
            }
        }
    }

    async fn claim_key(
        &self,
        owner: &Owner,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<S::Error>> {
        let mut claims = self.store.claim(owner, from_ref(key), now).await?;
        // One key, one claim.
        Ok(claims.swap_remove(0))
    }

    /// Takes note of what has changed, and picks a number.
    fn pick<R: Rng + ?Sized>(&self, rng: &mut R, now: Duration) -> Option<Aside<'_, S>> {
        let mut state = self.lock();
        state.listen();
        // Before the first look everything seems vacant.
        state.watch.as_ref()?;
        let number = state.view.pick(rng, now)?;
        Some(Aside { claimer: self, number })
    }

    /// Looks at the whole range, unless somebody else has since.
    async fn look(&self, known: u64) -> Result<(), S::Error> {
        let _one = self.looking.lock().await;
        if self.lock().looks != known {
            return Ok(());
        }
        let mut watch = self.store.watch(&self.prefix).await?;
        let first = watch.next().await?;
        let mut state = self.lock();
        state.apply(first);
        state.watch = Some(watch);
        state.looks = state.looks.saturating_add(1);
        Ok(())
    }

    /// What the owner holds of the range.
    async fn first_of(
        &self,
        owner: &Owner,
        attempts: u32,
    ) -> Result<Option<Claim>, ClaimerError<S::Error>> {
        let claims = self.store.claims_of(owner).await;
        let claims = claims.map_err(|source| failed(attempts, source))?;
        Ok(claims.into_iter().find(|claim| claim.key.as_str().starts_with(&*self.prefix)))
    }

    /// The steps under the lock do not panic, and each leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State<S::Watch>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: WatchClaims> fmt::Debug for Claimer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimer").field("view", &self.lock().view).finish_non_exhaustive()
    }
}

impl<W: ClaimWatch> State<W> {
    /// Takes note of what has arrived. Where the watch has failed, the view is only less good.
    fn listen(&mut self) {
        while let Some(watch) = &mut self.watch
            && let Some(Ok(event)) = watch.arrived()
        {
            self.apply(event);
        }
    }

    fn apply(&mut self, event: WatchEvent) {
        let states = match event {
            WatchEvent::Snapshot(states) => {
                self.view.clear();
                states
            }
            WatchEvent::Changes(states) => states,
        };
        for state in states {
            let Some(number) = self.view.range().number(state.key()) else { continue };
            // Whoever tries it will know better, and nobody else is to try it meanwhile.
            if self.view.is_set_aside(number) {
                continue;
            }
            match state {
                KeyState::Held(_) => self.view.hold(number),
                KeyState::Cooling { until, .. } => self.view.cool(number, until),
                KeyState::Vacant { .. } => self.view.vacate(number),
            };
        }
    }
}

/// A number that was picked. Dropping it, as when a claim is not waited for, makes it vacant in the view again.
struct Aside<'a, S: WatchClaims> {
    claimer: &'a Claimer<S>,
    number: u32,
}

impl<S: WatchClaims> Aside<'_, S> {
    fn becomes(self, change: impl FnOnce(&mut Vacancies, u32) -> bool) {
        change(&mut self.claimer.lock().view, self.number);
    }
}

impl<S: WatchClaims> Drop for Aside<'_, S> {
    fn drop(&mut self) {
        // Nothing happens here if it has become something else.
        self.claimer.lock().view.return_unused(self.number);
        self.claimer.settled.notify_waiters();
    }
}

const fn failed<E>(attempts: u32, source: E) -> ClaimerError<E> {
    ClaimerError::Store { attempts, source: ClaimError::Store(source) }
}

/// Why no number was claimed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClaimerError<E> {
    /// There is no vacant one.
    #[error(
        "none of {capacity} numbers is vacant ({held} held, {cooling} in their cooldown); release some or widen the range"
    )]
    Exhausted {
        /// How many numbers the range has.
        capacity: u64,
        /// How many are held.
        held: u64,
        /// How many rest until a deadline.
        cooling: u64,
        /// How many were tried in vain.
        attempts: u32,
    },
    /// The store failed or did not answer.
    #[error("nothing claimed in {attempts} attempt{}", if *.attempts == 1 { "" } else { "s" })]
    Store {
        /// How many numbers were tried.
        attempts: u32,
        /// What became of the last one; never [`ClaimError::Taken`].
        source: ClaimError<E>,
    },
}
