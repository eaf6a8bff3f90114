use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::ops::Bound;
use core::time::Duration;

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::error::RedbError;
use super::records::{self, Slot};
use crate::claim::{Claim, ClaimKey, Generation, KeyState, Owner};

pub(super) const CLAIMS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("claims");

/// What can be asked of the table, in a transaction of either kind.
pub(super) trait ReadClaims: ReadableTable<&'static [u8], &'static [u8]> {
    fn slot(&self, key: &ClaimKey) -> Result<Option<Slot>, RedbError> {
        let record = self.get(&*records::slot_key(key.as_str()))?;
        record.map(|record| Slot::decode(key, record.value())).transpose()
    }

    fn held(&self, key: &ClaimKey) -> Result<Option<Claim>, RedbError> {
        Ok(match self.slot(key)? {
            Some(Slot::Held(claim)) => Some(claim),
            Some(Slot::Cooling { .. }) | None => None,
        })
    }

    /// The slots whose keys start with a text, or come behind a key if one is given.
    fn slots(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
    ) -> Result<impl Iterator<Item = Result<(ClaimKey, Slot), RedbError>>, RedbError> {
        let prefix = records::slot_key(prefix);
        let after = after.map(|key| records::slot_key(key.as_str()));
        let start = match &after {
            Some(after) if *after >= prefix => Bound::Excluded(&**after),
            _ => Bound::Included(&*prefix),
        };
        let range = self.range::<&[u8]>((start, Bound::Unbounded))?;
        let mut ended = false;
        Ok(range.map_while(move |entry| {
            if ended {
                return None;
            }
            // Behind an error there is nothing to be trusted.
            let slot = entry.map_err(RedbError::from).and_then(|(key, record)| {
                if !key.value().starts_with(&prefix) {
                    return Ok(None);
                }
                let key = records::key_behind(b"k", key.value())?;
                let slot = Slot::decode(&key, record.value())?;
                Ok(Some((key, slot)))
            });
            ended = slot.is_err();
            slot.transpose()
        }))
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, RedbError> {
        self.slots(prefix, after)?
            .filter_map(|slot| match slot {
                Ok((_, Slot::Held(claim))) => Some(Ok(claim)),
                Ok((_, Slot::Cooling { .. })) => None,
                Err(error) => Some(Err(error)),
            })
            .take(limit.get())
            .collect()
    }

    /// Everything whose key starts with a text.
    fn snapshot(&self, prefix: &str) -> Result<Vec<KeyState>, RedbError> {
        let state = |(key, slot)| match slot {
            Slot::Held(claim) => KeyState::Held(claim),
            Slot::Cooling { until, .. } => KeyState::Cooling { key, until },
        };
        self.slots(prefix, None)?.map(|slot| slot.map(state)).collect()
    }

    /// The claims of an owner whose keys start with a text: at most so many.
    fn claims_of(
        &self,
        owner: &Owner,
        prefix: &str,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, RedbError> {
        let uid = records::owner_prefix(owner.uid());
        let start = [&*uid, prefix.as_bytes()].concat();
        let mut claims = Vec::new();
        for entry in
            self.range::<&[u8]>((Bound::Included(&*start), Bound::Unbounded))?.take(limit.get())
        {
            let (indexed, _) = entry?;
            if !indexed.value().starts_with(&start) {
                break;
            }
            let key = records::key_behind(&uid, indexed.value())?;
            match self.slot(&key)? {
                Some(Slot::Held(claim)) if claim.owner.is_same(owner) => claims.push(claim),
                _ => return Err(damaged_index(&key)),
            }
        }
        Ok(claims)
    }

    /// The cooldowns that have passed, at most so many.
    fn passed(&self, now: Duration, limit: usize) -> Result<Vec<(Duration, ClaimKey)>, RedbError> {
        let mut passed = Vec::new();
        let start = Bound::Included(records::DEADLINES);
        for entry in self.range::<&[u8]>((start, Bound::Unbounded))?.take(limit) {
            let (indexed, _) = entry?;
            if !indexed.value().starts_with(records::DEADLINES) {
                break;
            }
            let (until, key) = records::deadline(indexed.value())?;
            if until > now {
                break;
            }
            match self.slot(&key)? {
                Some(Slot::Cooling { until: cooling, .. }) if cooling == until => {
                    passed.push((until, key));
                }
                _ => return Err(damaged_index(&key)),
            }
        }
        Ok(passed)
    }

    /// The generation that no batch is above.
    fn ceiling(&self) -> Result<u64, RedbError> {
        let Some(bytes) = self.get(records::CEILING)? else { return Ok(0) };
        let bytes = bytes.value().try_into();
        bytes.map(u64::from_be_bytes).map_err(|_length| RedbError::damaged("the last generation"))
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> ReadClaims for T {}

fn damaged_index(key: &ClaimKey) -> RedbError {
    RedbError::damaged(format_args!("an index names {key}, whose record says otherwise"))
}

/// The counter of generations. What it has given is below the ceiling in the file, which is raised many steps at once:
/// it would be a page more in every commit otherwise. The steps that are left when the file is closed are skipped.
#[derive(Clone, Copy)]
pub(super) struct Generations {
    last: u64,
    ceiling: u64,
}

impl Generations {
    const STEPS: u64 = 4096;
}

/// The table while it is changed, and what is to be told once that is durable.
///
/// Its methods change records and indexes together. They check nothing: whoever calls them has.
pub(super) struct Changes<'t> {
    table: Table<'t, &'static [u8], &'static [u8]>,
    generations: Generations,
    changed: bool,
    step: Vec<KeyState>,
    told: Vec<Vec<KeyState>>,
}

impl<'t> Changes<'t> {
    /// The table, and the counter as the last commit left it, unless that is only known from the file.
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        generations: Option<Generations>,
    ) -> Result<Self, RedbError> {
        let table = transaction.open_table(CLAIMS)?;
        let generations = if let Some(generations) = generations {
            generations
        } else {
            let ceiling = table.ceiling()?;
            Generations { last: ceiling, ceiling }
        };
        Ok(Self { table, generations, changed: false, step: Vec::new(), told: Vec::new() })
    }

    /// What can be asked.
    pub(super) const fn now(&self) -> &(impl ReadClaims + use<'t>) {
        &self.table
    }

    /// The generation of the next batch.
    pub(super) fn next_generation(&self) -> Result<Generation, RedbError> {
        let next = self.generations.last.checked_add(1).map(Generation::new);
        next.ok_or_else(|| RedbError::damaged("no generation is left"))
    }

    /// Makes a claim of the next generation on a key, whose rest ends with it if it has one.
    pub(super) fn claim(&mut self, claim: Claim, rest: Option<Duration>) -> Result<(), RedbError> {
        if let Some(until) = rest {
            self.table.remove(&*records::deadline_key(until, &claim.key))?;
        }
        self.generations.last = claim.generation.number();
        self.table.insert(&*records::owner_key(claim.owner.uid(), &claim.key), &[][..])?;
        self.update(claim)
    }

    /// Changes a claim that is held.
    pub(super) fn update(&mut self, claim: Claim) -> Result<(), RedbError> {
        self.put(&claim.key, &Slot::Held(claim.clone()))?;
        self.step.push(KeyState::Held(claim));
        Ok(())
    }

    /// Ends a claim that is held; the key rests until a deadline, if there is one.
    pub(super) fn release(
        &mut self,
        claim: &Claim,
        until: Option<Duration>,
    ) -> Result<(), RedbError> {
        let Claim { key, owner, .. } = claim;
        self.table.remove(&*records::owner_key(owner.uid(), key))?;
        let key = key.clone();
        let state = if let Some(until) = until {
            self.table.insert(&*records::deadline_key(until, &key), &[][..])?;
            self.put(&key, &Slot::Cooling { until, uid: owner.uid().into() })?;
            KeyState::Cooling { key, until }
        } else {
            self.vacate(&key)?;
            KeyState::Vacant { key }
        };
        self.step.push(state);
        Ok(())
    }

    /// Makes a key vacant whose rest has passed. Those who watch know the time.
    pub(super) fn forget(&mut self, until: Duration, key: &ClaimKey) -> Result<(), RedbError> {
        self.table.remove(&*records::deadline_key(until, key))?;
        self.vacate(key)
    }

    /// Ends a step, which is told as one.
    pub(super) fn end_step(&mut self) {
        if !self.step.is_empty() {
            self.told.push(core::mem::take(&mut self.step));
        }
    }

    /// Whether there is something to commit.
    pub(super) const fn is_changed(&self) -> bool {
        self.changed
    }

    /// Ends the changes, and gives what is to be told of each step, and the counter for the next ones.
    pub(super) fn finish(mut self) -> Result<(Vec<Vec<KeyState>>, Generations), RedbError> {
        let Generations { last, ceiling } = &mut self.generations;
        if last > ceiling {
            *ceiling = last.saturating_add(Generations::STEPS);
            self.table.insert(records::CEILING, &ceiling.to_be_bytes()[..])?;
        }
        Ok((self.told, self.generations))
    }

    fn put(&mut self, key: &ClaimKey, slot: &Slot) -> Result<(), RedbError> {
        self.changed = true;
        self.table.insert(&*records::slot_key(key.as_str()), &*slot.encode())?;
        Ok(())
    }

    fn vacate(&mut self, key: &ClaimKey) -> Result<(), RedbError> {
        self.changed = true;
        self.table.remove(&*records::slot_key(key.as_str()))?;
        Ok(())
    }
}
