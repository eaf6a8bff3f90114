use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use super::space::BlockSpace;
use crate::claim::Claim;

/// The numbers of the blocks that are leased, by what has become of them. What is in none of the lists is held.
#[derive(Default)]
pub(super) struct Stock {
    /// The blocks, with the local claim that says so.
    pub(super) blocks: BTreeMap<u32, Claim>,
    /// The one that has been vacant for the longest time is first.
    vacant: VecDeque<u32>,
    cooling: BTreeSet<(Duration, u32)>,
    pub(super) strays: Strays,
}

/// Whether numbers of blocks that are not leased may be held or cooling.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Strays {
    /// None: everything that is handed out is of a block that was leased ever since.
    #[default]
    None,
    /// A block was lost or given up with some, or may have been.
    Some,
}

impl Stock {
    /// Adds a block of which so many numbers are held or cooling.
    pub(super) fn add(
        &mut self,
        space: &BlockSpace,
        block: u32,
        lease: Claim,
        held: &BTreeSet<u32>,
        cooling: &BTreeMap<u32, Duration>,
    ) {
        if self.blocks.insert(block, lease).is_some() {
            return;
        }
        for number in space.numbers(block) {
            if let Some(until) = cooling.get(&number) {
                self.cooling.insert((*until, number));
            } else if !held.contains(&number) {
                self.vacant.push_back(number);
            }
        }
    }

    /// Removes a block, so that nothing of it is handed out any more.
    pub(super) fn remove(&mut self, space: &BlockSpace, block: u32) -> Option<Claim> {
        let lease = self.blocks.remove(&block)?;
        self.strays = Strays::Some;
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
            self.vacant.push_back(number);
        }
        self.vacant.pop_front()
    }

    /// Takes back a number that was not handed out after all.
    pub(super) fn put_back(&mut self, space: &BlockSpace, number: u32) {
        if self.has(space, number) {
            self.vacant.push_front(number);
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
        if !self.has(space, number) {
            return;
        }
        if cooldown.is_zero() {
            self.vacant.push_back(number);
        } else {
            self.cool(number, now.saturating_add(cooldown));
        }
    }

    /// Keeps a number back until a time.
    pub(super) fn cool(&mut self, number: u32, until: Duration) {
        self.cooling.insert((until, number));
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

    fn has(&self, space: &BlockSpace, number: u32) -> bool {
        space.block_of(number).is_some_and(|block| self.blocks.contains_key(&block))
    }
}
