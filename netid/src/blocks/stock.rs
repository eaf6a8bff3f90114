use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::space::BlockSpace;
use crate::claim::Claim;

/// The numbers of the blocks that are leased, by what has become of them. What has no place is held.
#[derive(Default)]
pub(super) struct Stock {
    /// The blocks, with the local claim that says so.
    pub(super) blocks: BTreeMap<u32, Claim>,
    /// The one that has been vacant for the longest time is first. None is named twice.
    vacant: VecDeque<u32>,
    cooling: BTreeSet<(Duration, u32)>,
    places: BTreeMap<u32, Place>,
    /// Whether numbers may have been released of which nobody has told.
    pub(super) doubtful: bool,
    /// Whether numbers of blocks that are not leased may be held or cooling: not while everything that was handed out
    /// is of a block that has been leased ever since.
    pub(super) has_strays: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Vacant,
    Cooling,
    /// It is being handed out.
    Aside,
}

impl Stock {
    /// Adds a block of which so many numbers are held or cooling, or what is not known yet of one that is there.
    pub(super) fn add(
        &mut self,
        space: &BlockSpace,
        block: u32,
        lease: Claim,
        held: &BTreeSet<u32>,
        cooling: &BTreeMap<u32, Duration>,
    ) {
        self.blocks.insert(block, lease);
        for number in space.numbers(block) {
            if self.places.contains_key(&number) {
                continue;
            }
            if let Some(until) = cooling.get(&number) {
                self.cool(number, *until);
            } else if !held.contains(&number) {
                self.places.insert(number, Place::Vacant);
                self.vacant.push_back(number);
            }
        }
    }

    /// Adds what is not known yet of all blocks.
    pub(super) fn refresh(
        &mut self,
        space: &BlockSpace,
        held: &BTreeSet<u32>,
        cooling: &BTreeMap<u32, Duration>,
    ) {
        for (block, lease) in self.blocks.clone() {
            self.add(space, block, lease, held, cooling);
        }
    }

    /// Removes a block, so that nothing of it is handed out any more.
    pub(super) fn remove(&mut self, space: &BlockSpace, block: u32) -> Option<Claim> {
        let lease = self.blocks.remove(&block)?;
        self.has_strays = true;
        for number in space.numbers(block) {
            self.places.remove(&number);
        }
        let others = |number: &u32| space.block_of(*number) != Some(block);
        self.vacant.retain(others);
        self.cooling.retain(|(_, number)| others(number));
        Some(lease)
    }

    /// Takes a number to be handed out.
    pub(super) fn take(&mut self, now: Duration) -> Option<u32> {
        while let Some(&(until, number)) = self.cooling.first()
            && until <= now
        {
            self.cooling.pop_first();
            self.places.insert(number, Place::Vacant);
            self.vacant.push_back(number);
        }
        let number = self.vacant.pop_front()?;
        self.places.insert(number, Place::Aside);
        Some(number)
    }

    /// Takes back a number that was not handed out after all.
    pub(super) fn put_back(&mut self, number: u32) {
        if self.places.get(&number) == Some(&Place::Aside) {
            self.places.insert(number, Place::Vacant);
            self.vacant.push_front(number);
        }
    }

    /// Notes that a number that was taken is held, or rests until a time.
    pub(super) fn settle(&mut self, number: u32, rest: Option<Duration>) {
        if self.places.get(&number) == Some(&Place::Aside) {
            self.places.remove(&number);
            if let Some(until) = rest {
                self.cool(number, until);
            }
        }
    }

    /// Takes back a number that was released.
    pub(super) fn release(
        &mut self,
        space: &BlockSpace,
        number: u32,
        cooldown: Duration,
        now: Duration,
    ) {
        match self.places.get(&number) {
            None if !self.has(space, number) => self.doubtful = true,
            None if cooldown.is_zero() => {
                self.places.insert(number, Place::Vacant);
                self.vacant.push_back(number);
            }
            None => self.cool(number, now.saturating_add(cooldown)),
            // Whoever is about to hand it out does not know that it was released meanwhile.
            Some(Place::Aside) => self.doubtful = true,
            Some(Place::Vacant | Place::Cooling) => {}
        }
    }

    /// The blocks of which every number is vacant.
    pub(super) fn unused(&self, space: &BlockSpace) -> Vec<u32> {
        let mut vacant: BTreeMap<u32, usize> = BTreeMap::new();
        for number in &self.vacant {
            if let Some(block) = space.block_of(*number) {
                let count = vacant.entry(block).or_default();
                *count = count.saturating_add(1);
            }
        }
        let whole = vacant.into_iter().filter(|(block, count)| {
            self.blocks.contains_key(block) && *count == space.numbers(*block).count()
        });
        whole.map(|(block, _)| block).collect()
    }

    /// Whether a number is of one of the blocks.
    pub(super) fn has(&self, space: &BlockSpace, number: u32) -> bool {
        space.block_of(number).is_some_and(|block| self.blocks.contains_key(&block))
    }

    fn cool(&mut self, number: u32, until: Duration) {
        self.places.insert(number, Place::Cooling);
        self.cooling.insert((until, number));
    }
}
