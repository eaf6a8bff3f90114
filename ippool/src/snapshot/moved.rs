use alloc::vec::Vec;
use core::mem::size_of;

use super::data::{RestoreError, Snapshot};
use super::plane::{decode, indexes};
use crate::owners::Owner;
use crate::space::Space;

impl<O: Owner> Snapshot<O> {
    /// What was held and by whom, for a pool whose range or reservations have changed since: there
    /// [`restore`](crate::Pool::restore) refuses, and [`rebuild`](crate::Pool::rebuild) takes this,
    /// with what is no longer in range reported. Cooldowns are not brought over.
    ///
    /// The space says only how items are written, so it must be of the same kind as that of the
    /// snapshot, and blocks must have the same length.
    ///
    /// # Errors
    /// When the snapshot is of another version or is damaged.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{Pool, PortPool, Ports};
    /// # let now = Duration::ZERO;
    /// let mut old: PortPool<u32> = PortPool::new(Ports::default());
    /// old.allocate_many(7, 3, now)?;
    /// let snapshot = old.snapshot();
    ///
    /// let wider = Ports::new(22000..=39999)?.with_excluded(22002..=22002)?;
    /// let mut pool: PortPool<u32> = PortPool::new(wider);
    /// assert!(PortPool::new(pool.space().clone()).restore(&snapshot).is_err());
    /// let held: Vec<_> = snapshot.held_items(pool.space())?.collect();
    /// let report = pool.rebuild(held, now);
    /// assert_eq!(report.adopted, [(22001, 7), (22003, 7)]);
    /// assert_eq!(report.out_of_range, [(22002, 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn held_items<S: Space>(
        &self,
        space: &S,
    ) -> Result<impl Iterator<Item = (S::Item, O)>, RestoreError> {
        if self.version != Self::VERSION {
            return Err(RestoreError::Version { found: self.version });
        }
        let mut words = Vec::new();
        decode(&self.held, |number, word, repeat| {
            words.push((number, word, repeat));
            Ok(())
        })?;
        let runs = words.into_iter().flat_map(|(number, word, repeat)| {
            let numbers = number..number.saturating_add(repeat);
            numbers.flat_map(move |number| indexes(number, word))
        });
        let mut owners = self.owners.iter();
        let only = self.owners.first();
        Ok(runs.map_while(move |index| {
            let owner = if size_of::<O>() == 0 { only } else { owners.next() };
            let (_, owner) = owner?;
            Some((space.item(self.ordinal(index)?), *owner))
        }))
    }

    /// The ordinal that an index stood for.
    fn ordinal(&self, mut index: u128) -> Option<u128> {
        self.usable.iter().find_map(|&(first, last)| {
            let but_one = last.checked_sub(first)?;
            if index <= but_one {
                return first.checked_add(index);
            }
            index = index.wrapping_sub(but_one).wrapping_sub(1);
            None
        })
    }
}
