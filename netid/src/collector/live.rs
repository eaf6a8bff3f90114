use alloc::boxed::Box;
use alloc::collections::BTreeSet;

/// The owners that exist, by uid: all of the kind that a [`Collector`](super::Collector) is for.
///
/// It is collected from whatever lists the owners. "None" must be said: an empty list is more often an
/// inventory that failed than a world without owners, so [`Collector::look`](super::Collector::look)
/// refuses one that was collected, and takes [`none`](Self::none).
///
/// ```
/// use netid::LiveOwners;
///
/// let machines = [("web", "0b5f3a52"), ("db", "77c1e09d")];
/// let live: LiveOwners = machines.iter().map(|(_, uid)| uid).collect();
/// assert!(live.contains("77c1e09d"));
/// assert!(!live.contains("db"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveOwners {
    uids: BTreeSet<Box<str>>,
    none: bool,
}

impl LiveOwners {
    /// It is known that no owner exists.
    #[must_use]
    pub const fn none() -> Self {
        Self { uids: BTreeSet::new(), none: true }
    }

    /// Whether an owner with this uid exists.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }

    /// Whether none is listed and nobody said that none exists.
    pub(super) fn is_doubtful(&self) -> bool {
        self.uids.is_empty() && !self.none
    }
}

/// From uids. Nothing makes a list that [`Collector::look`](super::Collector::look) refuses.
impl<T: AsRef<str>> FromIterator<T> for LiveOwners {
    fn from_iter<I: IntoIterator<Item = T>>(uids: I) -> Self {
        Self { uids: uids.into_iter().map(|uid| uid.as_ref().into()).collect(), none: false }
    }
}

/// With more uids, such as the next page of an inventory.
impl<T: AsRef<str>> Extend<T> for LiveOwners {
    fn extend<I: IntoIterator<Item = T>>(&mut self, uids: I) {
        self.uids.extend(uids.into_iter().map(|uid| Box::from(uid.as_ref())));
    }
}

/// What is known of one owner at this moment. What is not known is an error, not a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// It exists.
    Alive,
    /// It does not exist, by proof: whoever decides about owners says so now. No answer is no proof.
    Gone,
}
