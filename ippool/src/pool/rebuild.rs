use alloc::vec::Vec;
use core::time::Duration;

use super::config::Pool;
use crate::bits::{self, Bits};
use crate::owners::Owner;
use crate::space::Space;

/// How a pool and reality differ; see [`Pool::rebuild`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[must_use = "what is orphaned or in conflict is left for the caller to resolve"]
pub struct Rebuild<T, O> {
    /// How many existing items were held by the same owner already.
    pub confirmed: usize,
    /// Existing items that were free or cooling and are now held by their owner.
    pub adopted: Vec<(T, O)>,
    /// Items that are held but do not exist; they stay held. Release them after a time of grace and
    /// a second look, as whoever holds one may not have got to use it yet.
    pub orphaned: Vec<(T, O)>,
    /// Existing items that somebody else holds; nothing changed.
    pub conflicting: Vec<Conflict<T, O>>,
    /// Existing items that the pool could not have handed out: not of the space, or reserved.
    pub out_of_range: Vec<(T, O)>,
}

/// An item with two owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Conflict<T, O> {
    /// The item.
    pub item: T,
    /// Who holds it according to the pool.
    pub holder: O,
    /// Who has it in reality.
    pub claimant: O,
}

impl<S: Space, O: Owner> Pool<S, O> {
    /// Brings the pool in line with the items that exist, after a restart or as a check.
    ///
    /// What exists is adopted, even if it is cooling; nothing is released. Of two owners that have
    /// the same item, the first one keeps it.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{PortPool, Ports};
    /// # let now = Duration::ZERO;
    /// let mut pool: PortPool<u32> = PortPool::new(Ports::default());
    /// pool.allocate_exact(22001, 1, now)?;
    /// let report = pool.rebuild([(22005, 2), (80, 3)], now);
    /// assert_eq!(report.adopted, [(22005, 2)]);
    /// assert_eq!(report.orphaned, [(22001, 1)]);
    /// assert_eq!(report.out_of_range, [(80, 3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rebuild(
        &mut self,
        existing: impl IntoIterator<Item = (S::Item, O)>,
        now: Duration,
    ) -> Rebuild<S::Item, O> {
        self.expire(now);
        let mut seen = Bits::new(self.bits.capacity());
        let mut report = Rebuild {
            confirmed: 0,
            adopted: Vec::new(),
            orphaned: Vec::new(),
            conflicting: Vec::new(),
            out_of_range: Vec::new(),
        };
        for (item, owner) in existing {
            let Ok(index) = self.index_of(item) else {
                report.out_of_range.push((item, owner));
                continue;
            };
            let holder = match self.bits.state(index) {
                bits::State::Held => self.owners.owner(index),
                bits::State::Fresh | bits::State::Spent | bits::State::Cooling => None,
            };
            match holder {
                None => {
                    self.take(index, owner);
                    report.adopted.push((item, owner));
                }
                Some(holder) if holder == owner => {
                    if seen.state(index) == bits::State::Fresh {
                        report.confirmed = report.confirmed.saturating_add(1);
                    }
                }
                Some(holder) => {
                    report.conflicting.push(Conflict { item, holder, claimant: owner });
                }
            }
            seen.hold(index);
        }
        let orphaned = self.bits.held().filter(|&index| seen.state(index) == bits::State::Fresh);
        report.orphaned.extend(
            orphaned.filter_map(|index| Some((self.item(index), self.owners.owner(index)?))),
        );
        report
    }
}
