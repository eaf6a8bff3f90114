use core::time::Duration;

use super::config::Pool;
use crate::bits;
use crate::owners::{Owner, Owners};
use crate::policy::Policy;
use crate::queue::Queue;
use crate::snapshot::{self, RestoreError, Snapshot};
use crate::space::{Number as _, Space};

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
            let owner = |index: S::Index| Some((index.into(), self.owners.owner(index)?));
            self.bits.held().filter_map(owner).collect()
        } else {
            self.owners.only().map(|owner| (0, owner)).into_iter().collect()
        };
        Snapshot {
            version: Snapshot::<O>::VERSION,
            usable: self.layout.usable(),
            cursor: self.cursor.into(),
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
        self.forget();
        if snapshot.version != Snapshot::<O>::VERSION {
            return Err(RestoreError::Version { found: snapshot.version });
        }
        if snapshot.usable != self.layout.usable() {
            return Err(RestoreError::OtherSpace);
        }
        self.restore_held(snapshot)?;
        self.restore_cooling(&snapshot.cooling)?;
        self.settle();
        self.restore_idle(&snapshot.idle)?;
        for &(index, owner) in &snapshot.former {
            let narrow = self.check_range(index)?;
            if self.bits.state(narrow) == bits::State::Held
                || self.owners.former_of(owner).is_some()
                || self.owners.is_former(narrow)
            {
                return Err(RestoreError::Inconsistent { index });
            }
            self.owners.set_former(narrow, owner);
        }
        if self.policy == Policy::NextFit {
            self.cursor = self.check_range(snapshot.cursor).unwrap_or(S::Index::ZERO);
        }
        Ok(self)
    }

    /// Forgets what was held before and by whom; nothing is held or cooling.
    fn forget(&mut self) {
        self.forget_spent();
        self.owners.forget_formers();
        self.cursor = S::Index::ZERO;
    }

    fn restore_held(&mut self, snapshot: &Snapshot<O>) -> Result<(), RestoreError> {
        if !Owners::<S::Index, O>::TRACKED {
            return self.restore_unowned(snapshot);
        }
        let mut owners = snapshot.owners.iter();
        snapshot::decode(&snapshot.held, |number, word, repeat| {
            // However many words are claimed to be full, the first index without an owner ends it.
            let end = number.saturating_add(repeat);
            for index in (number..end).flat_map(|number| snapshot::indexes(number, word)) {
                let narrow = self.check_range(index)?;
                let owner = owners.next().filter(|(owned, _)| *owned == index);
                let (_, owner) = owner.ok_or(RestoreError::Inconsistent { index })?;
                self.bits.hold(narrow);
                self.owners.insert(narrow, *owner);
            }
            Ok(())
        })?;
        match owners.next() {
            Some(&(index, _)) => Err(RestoreError::Inconsistent { index }),
            None => Ok(()),
        }
    }

    /// Whole words at once: a snapshot of a few bytes may say that 2^64 items are held.
    fn restore_unowned(&mut self, snapshot: &Snapshot<O>) -> Result<(), RestoreError> {
        snapshot::decode(&snapshot.held, |number, word, repeat| {
            let (_, owner) =
                snapshot.owners.first().ok_or(RestoreError::Inconsistent { index: number << 6 })?;
            if word == u64::MAX {
                // Of at most 2^122 words; the last index of that many is `u128::MAX`, which no space has.
                let last = (number.saturating_add(repeat) << 6).wrapping_sub(1);
                let last = self.check_range(last)?;
                self.bits.hold_words(number, repeat);
                self.owners.insert(last, *owner);
                return Ok(());
            }
            for index in snapshot::indexes(number, word) {
                let index = self.check_range(index)?;
                self.bits.hold(index);
                self.owners.insert(index, *owner);
            }
            Ok(())
        })
    }

    fn restore_cooling(&mut self, cooling: &[(u128, Duration)]) -> Result<(), RestoreError> {
        let mut last = Duration::ZERO;
        for &(index, until) in cooling {
            let narrow = self.check_free(index)?;
            if until < last {
                return Err(RestoreError::OutOfOrder { index });
            }
            last = until;
            self.cool(narrow, until);
        }
        Ok(())
    }

    fn restore_idle(&mut self, idle: &[(u128, Duration)]) -> Result<(), RestoreError> {
        let mut last = Duration::ZERO;
        for &(index, since) in idle {
            let narrow = self.check_free(index)?;
            if self.bits.state(narrow) == bits::State::Spent {
                return Err(RestoreError::Inconsistent { index });
            }
            if since < last {
                return Err(RestoreError::OutOfOrder { index });
            }
            last = since;
            self.bits.hold(narrow);
            self.bits.vacate(narrow);
            if self.policy == Policy::LongestIdle {
                self.idle.append(since, narrow);
            }
        }
        Ok(())
    }

    /// Makes a free index cooling.
    pub(super) fn cool(&mut self, index: S::Index, until: Duration) {
        self.bits.hold(index);
        self.bits.rest(index);
        self.resting.push(until, index);
    }

    fn check_range(&self, index: u128) -> Result<S::Index, RestoreError> {
        if index < self.bits.capacity() {
            Ok(S::Index::narrow(index))
        } else {
            Err(RestoreError::IndexOutOfRange { index })
        }
    }

    fn check_free(&self, index: u128) -> Result<S::Index, RestoreError> {
        let narrow = self.check_range(index)?;
        match self.bits.state(narrow) {
            bits::State::Fresh | bits::State::Spent => Ok(narrow),
            bits::State::Held | bits::State::Cooling => Err(RestoreError::Inconsistent { index }),
        }
    }
}
