use alloc::vec::Vec;
use core::time::Duration;

use super::config::Pool;
use super::rebuild::Rebuild;
use crate::bits;
use crate::owners::Owner;
use crate::policy::Policy;
use crate::snapshot::{RestoreError, Snapshot};
use crate::space::{Number as _, Place, Space};

impl<S: Space, O: Owner> Pool<S, O> {
    /// Takes over what it can of a snapshot whose range or reservations were others, where
    /// [`Pool::restore`] refuses: what was held and is still in range is held, and what was cooling
    /// goes on cooling. The report is that of [`Pool::rebuild`] with the held items of the
    /// snapshot; those that are no longer in range are among
    /// [`out_of_range`](Rebuild::out_of_range), as items of this space.
    ///
    /// The space must be of the same kind as that of the snapshot: blocks of the same length,
    /// integers for integers. Where next fit was, and what idles or would be returned to former
    /// owners, is forgotten.
    ///
    /// # Errors
    /// When the snapshot is of another version, damaged, or of items that this kind of space cannot
    /// have. The pool is as before.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{PortPool, Ports};
    /// # let now = Duration::ZERO;
    /// let mut old: PortPool<u32> = PortPool::new(Ports::default());
    /// old.allocate_many(7, 3, now)?;
    /// let snapshot = old.snapshot();
    ///
    /// let wider = Ports::new(22000..=39999)?.with_excluded(22002..=22002)?;
    /// let mut pool: PortPool<u32> = PortPool::new(wider);
    /// let report = pool.restore_moved(&snapshot, now)?;
    /// assert_eq!(report.adopted, [(22001, 7), (22003, 7)]);
    /// assert_eq!(report.out_of_range, [(22002, 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore_moved(
        &mut self,
        snapshot: &Snapshot<O>,
        now: Duration,
    ) -> Result<Rebuild<S::Item, O>, RestoreError> {
        // A kind of space that writes an ordinal as the item of another cannot have it.
        let item = |ordinal: u128| {
            let item = self.space.item(ordinal);
            let is_its = self.space.ordinal(item) == Some(ordinal);
            is_its.then_some(item).ok_or(RestoreError::IndexOutOfRange { index: ordinal })
        };
        let held = snapshot.held_ordinals()?;
        let held: Vec<_> =
            held.map(|(ordinal, owner)| Ok((item(ordinal)?, owner))).collect::<Result<_, _>>()?;
        let mut cooling = Vec::new();
        for &(index, until) in &snapshot.cooling {
            let ordinal = snapshot.ordinal(index);
            cooling.push((ordinal.ok_or(RestoreError::IndexOutOfRange { index })?, until));
        }
        let report = self.rebuild(held, now);
        for (ordinal, until) in cooling.into_iter().filter(|(_, until)| *until > now) {
            let Place::Index(index) = self.layout.place(ordinal) else {
                continue;
            };
            let index = S::Index::narrow(index);
            match self.bits.state(index) {
                bits::State::Held | bits::State::Cooling => continue,
                bits::State::Spent if self.policy == Policy::LongestIdle => self.idle.remove(index),
                bits::State::Spent | bits::State::Fresh => {}
            }
            self.cool(index, until);
        }
        self.settle();
        Ok(report)
    }
}
