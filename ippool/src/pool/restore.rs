use core::time::Duration;

use super::config::Pool;
use crate::bits;
use crate::owners::{Owner, Owners};
use crate::policy::Policy;
use crate::queue::Queue;
use crate::snapshot::{self, RestoreError, Snapshot};
use crate::space::{Narrow as _, Space};

impl<S: Space, O: Owner> Pool<S, O> {
    /// What the pool has to remember across a restart. Deadlines of cooling items are kept exactly.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{PortPool, Ports};
    /// # let now = Duration::ZERO;
    /// let mut pool: PortPool<u32> = PortPool::new(Ports::default());
    /// let port = pool.allocate(7, now)?.item;
    ///
    /// let snapshot = pool.snapshot();
    /// let pool: PortPool<u32> = PortPool::new(Ports::default()).restore(&snapshot)?;
    /// assert_eq!(pool.owner(port), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<O> {
        let timed = |queue: &Queue<S::Index>| {
            queue.iter().map(|(time, index)| (index.into(), time)).collect()
        };
        let owners = if Owners::<S::Index, O>::TRACKED {
            let owner = |index| Some((index, self.owners.owner(S::Index::narrow(index))?));
            self.bits.held().filter_map(owner).collect()
        } else {
            self.owners.only().map(|owner| (0, owner)).into_iter().collect()
        };
        Snapshot {
            version: Snapshot::<O>::VERSION,
            usable: self.space.layout().usable(),
            cursor: self.cursor,
            held: snapshot::encode(&self.bits),
            owners,
            cooling: timed(&self.resting),
            idle: timed(&self.idle),
            former: self.owners.formers().map(|(index, owner)| (index.into(), owner)).collect(),
        }
    }

    /// This pool, which must be new, with the content of a snapshot. Policy, cooldown and the other
    /// settings are this pool's; the space has to be the same.
    ///
    /// # Errors
    /// When the pool has been used, or the snapshot is of another version or another space, is
    /// damaged, or contradicts itself.
    pub fn restore(mut self, snapshot: &Snapshot<O>) -> Result<Self, RestoreError> {
        if self.bits.taken() != 0 {
            return Err(RestoreError::NotEmpty);
        }
        if snapshot.version != Snapshot::<O>::VERSION {
            return Err(RestoreError::Version { found: snapshot.version });
        }
        if snapshot.usable != self.space.layout().usable() {
            return Err(RestoreError::OtherSpace);
        }
        self.restore_held(snapshot)?;
        self.restore_cooling(&snapshot.cooling)?;
        self.restore_idle(&snapshot.idle)?;
        for &(index, owner) in &snapshot.former {
            self.check_range(index)?;
            let narrow = S::Index::narrow(index);
            if self.bits.state(index) == bits::State::Held || self.owners.former_of(owner).is_some()
            {
                return Err(RestoreError::Inconsistent { index });
            }
            self.owners.set_former(narrow, owner);
        }
        if self.policy == Policy::NextFit {
            self.cursor = snapshot.cursor.min(self.bits.capacity());
        }
        Ok(self)
    }

    fn restore_held(&mut self, snapshot: &Snapshot<O>) -> Result<(), RestoreError> {
        let mut owners = snapshot.owners.iter();
        let only = snapshot.owners.first();
        snapshot::decode(&snapshot.held, |index| {
            self.check_range(index)?;
            let owner = if Owners::<S::Index, O>::TRACKED {
                owners.next().filter(|(owned, _)| *owned == index)
            } else {
                only
            };
            let (_, owner) = owner.ok_or(RestoreError::Inconsistent { index })?;
            self.bits.hold(index);
            self.owners.insert(S::Index::narrow(index), *owner);
            Ok(())
        })?;
        match owners.next() {
            Some(&(index, _)) if Owners::<S::Index, O>::TRACKED => {
                Err(RestoreError::Inconsistent { index })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn restore_cooling(&mut self, cooling: &[(u128, Duration)]) -> Result<(), RestoreError> {
        let mut last = Duration::ZERO;
        for &(index, until) in cooling {
            self.check_free(index)?;
            if until < last {
                return Err(RestoreError::OutOfOrder { index });
            }
            last = until;
            self.bits.hold(index);
            self.bits.rest(index);
            self.resting.push(until, S::Index::narrow(index));
        }
        Ok(())
    }

    fn restore_idle(&mut self, idle: &[(u128, Duration)]) -> Result<(), RestoreError> {
        let mut last = Duration::ZERO;
        for &(index, since) in idle {
            self.check_free(index)?;
            if self.bits.state(index) == bits::State::Spent {
                return Err(RestoreError::Inconsistent { index });
            }
            if since < last {
                return Err(RestoreError::OutOfOrder { index });
            }
            last = since;
            self.bits.hold(index);
            self.bits.vacate(index);
            if self.policy == Policy::LongestIdle {
                self.idle.push(since, S::Index::narrow(index));
            }
        }
        Ok(())
    }

    fn check_range(&self, index: u128) -> Result<(), RestoreError> {
        if index < self.bits.capacity() {
            Ok(())
        } else {
            Err(RestoreError::IndexOutOfRange { index })
        }
    }

    fn check_free(&self, index: u128) -> Result<(), RestoreError> {
        self.check_range(index)?;
        match self.bits.state(index) {
            bits::State::Fresh | bits::State::Spent => Ok(()),
            bits::State::Held | bits::State::Cooling => Err(RestoreError::Inconsistent { index }),
        }
    }
}
