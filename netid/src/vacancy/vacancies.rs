use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;
use core::time::Duration;

use rand::{Rng, RngExt as _};

use super::key_range::KeyRange;
use super::rank::RankSet;

/// What one process knows of who has which numbers of a [`KeyRange`]: where a search for a vacant one
/// begins.
///
/// It decides nothing: a number is had by whoever claims its key in the store. The view makes the first
/// try a good one. Every vacant number is picked with the same probability, however few there are, so
/// that processes with equal views seldom choose the same.
///
/// A number that was picked is *set aside*: it is not picked again until [`hold`](Self::hold),
/// [`cool`](Self::cool) or [`vacate`](Self::vacate) says what became of it. So those who share one view
/// never get in one another's way.
///
/// ```text
///           pick              hold, cool
/// vacant ─────────► set aside ──────────► held, cooling
///    ▲                  │                       │
///    └──────────────────┴───────────────────────┘
///                    vacate, deadline
/// ```
///
/// Time is since the Unix epoch, as in a [`ClaimStore`](crate::ClaimStore).
///
/// ```
/// use core::time::Duration;
/// use netid::{KeyRange, Vacancies};
/// # use rand::{SeedableRng, rngs::StdRng};
/// # let mut rng = StdRng::seed_from_u64(1);
///
/// let mut view = Vacancies::new(KeyRange::numbers("route-table", 1_000, 1_002)?);
/// let now = Duration::from_secs(1_700_000_000);
/// view.hold(1_000);
/// view.cool(1_001, now + Duration::from_secs(60));
///
/// let number = view.pick(&mut rng, now).unwrap();
/// assert_eq!(number, 1_002, "the only one that is vacant");
/// let key = view.range().key(number).unwrap();
/// assert_eq!(key.as_str(), "route-table/0000001002");
/// assert_eq!(view.pick(&mut rng, now), None, "it is set aside");
///
/// // Somebody else has claimed the key before us.
/// view.hold(number);
/// assert_eq!((view.held(), view.cooling(), view.vacant()), (2, 1, 0));
///
/// let later = now + Duration::from_secs(60);
/// assert_eq!(view.pick(&mut rng, later), Some(1_001));
/// # Ok::<(), netid::KeyRangeError>(())
/// ```
pub struct Vacancies {
    range: KeyRange,
    /// Whatever is held, cooling or set aside.
    taken: RankSet,
    /// When the cooling ones become vacant.
    cooling: BTreeMap<u32, Duration>,
    /// The same, by time.
    deadlines: BTreeSet<(Duration, u32)>,
    set_aside: BTreeSet<u32>,
}

impl Vacancies {
    /// A view in which all numbers are vacant.
    ///
    /// It takes four bytes for each 4,096 numbers of the range, and up to 512 bytes more for any 4,096
    /// of which some are not vacant.
    #[must_use]
    pub fn new(range: KeyRange) -> Self {
        let taken = RankSet::new(range.min(), range.max());
        Self {
            range,
            taken,
            cooling: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            set_aside: BTreeSet::new(),
        }
    }

    /// The range.
    #[must_use]
    pub const fn range(&self) -> &KeyRange {
        &self.range
    }

    /// Picks one of the numbers that are vacant now, each with the same probability, and sets it aside;
    /// none if there is no vacant one.
    ///
    /// A number whose deadline has come is vacant, and stays so if the clock goes back.
    pub fn pick<R: Rng + ?Sized>(&mut self, rng: &mut R, now: Duration) -> Option<u32> {
        while let Some(&(until, number)) = self.deadlines.first()
            && until <= now
        {
            self.vacate(number);
        }
        let vacant = self.taken.vacant();
        if vacant == 0 {
            return None;
        }
        let number = self.taken.nth_vacant(rng.random_range(0..vacant))?;
        self.taken.insert(number);
        self.set_aside.insert(number);
        Some(number)
    }

    /// Notes that somebody holds a number, and says whether that is news. A number outside the range
    /// changes nothing, here and below.
    pub fn hold(&mut self, number: u32) -> bool {
        let was_kept = self.unkeep(number);
        self.taken.insert(number) || was_kept
    }

    /// Notes that nobody gets a number before a time, and says whether that is news.
    pub fn cool(&mut self, number: u32, until: Duration) -> bool {
        if !self.range.contains(number) || self.cooling.get(&number) == Some(&until) {
            return false;
        }
        self.unkeep(number);
        self.taken.insert(number);
        self.cooling.insert(number, until);
        self.deadlines.insert((until, number));
        true
    }

    /// Notes that a number is vacant, and says whether that is news.
    pub fn vacate(&mut self, number: u32) -> bool {
        self.unkeep(number);
        self.taken.remove(number)
    }

    #[cfg(feature = "std")]
    pub(super) fn is_set_aside(&self, number: u32) -> bool {
        self.set_aside.contains(&number)
    }

    /// Makes a number vacant that is set aside, and changes nothing about any other.
    #[cfg(feature = "std")]
    pub(super) fn return_unused(&mut self, number: u32) {
        if self.set_aside.remove(&number) {
            self.taken.remove(number);
        }
    }

    /// Forgets what is held and what is cooling, to be told anew. What is set aside stays so.
    pub fn clear(&mut self) {
        self.taken.clear();
        self.cooling.clear();
        self.deadlines.clear();
        for &number in &self.set_aside {
            self.taken.insert(number);
        }
    }

    /// How many numbers there are: those held, cooling, set aside and vacant together.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.range.capacity()
    }

    /// How many are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.taken.held().saturating_sub(self.cooling()).saturating_sub(self.set_aside())
    }

    /// How many are cooling, by the time of the last [`pick`](Self::pick).
    #[must_use]
    pub fn cooling(&self) -> u64 {
        self.cooling.len() as u64
    }

    /// How many were picked, and nobody said what became of them.
    #[must_use]
    pub fn set_aside(&self) -> u64 {
        self.set_aside.len() as u64
    }

    /// How many are vacant, by the time of the last [`pick`](Self::pick).
    #[must_use]
    pub fn vacant(&self) -> u64 {
        self.taken.vacant()
    }

    /// Removes a number from those set aside and those cooling, and says whether it was there.
    fn unkeep(&mut self, number: u32) -> bool {
        if let Some(until) = self.cooling.remove(&number) {
            return self.deadlines.remove(&(until, number));
        }
        self.set_aside.remove(&number)
    }
}

/// How many numbers are in which state, not which.
impl fmt::Debug for Vacancies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vacancies")
            .field("range", &self.range)
            .field("held", &self.held())
            .field("cooling", &self.cooling())
            .field("set_aside", &self.set_aside())
            .field("vacant", &self.vacant())
            .finish_non_exhaustive()
    }
}
