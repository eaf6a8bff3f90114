use alloc::collections::VecDeque;
use core::hash::Hash;
use core::time::Duration;

use hashbrown::HashMap;

/// Released items with a time each, the earliest in front.
///
/// Taking one out of the middle leaves its entry behind as dead. Of several entries of one index
/// only the last can be alive, so a count of dead ones says which to skip.
#[derive(Clone, Debug)]
pub(crate) struct Queue<I> {
    /// Ascending by time.
    entries: VecDeque<Entry<I>>,
    /// How many of the first entries of an index are dead; never zero.
    dead: HashMap<I, usize>,
    /// The sum of `dead`.
    dead_len: usize,
}

/// A time and an index. The parts of the time stand alone, as an index of 4 bytes then fills what
/// would be padding: 16 bytes instead of 24.
#[derive(Clone, Copy, Debug)]
struct Entry<I> {
    seconds: u64,
    nanos: u32,
    index: I,
}

impl<I: Copy + Eq + Hash> Queue<I> {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), dead: HashMap::new(), dead_len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len().saturating_sub(self.dead_len)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an index that is not in the queue, behind all whose time is not later.
    #[inline]
    pub(crate) fn push(&mut self, time: Duration, index: I) {
        let entry = Entry::new(time, index);
        match self.entries.back() {
            Some(last) if last.is_after(time) => self.insert(entry),
            _ => self.entries.push_back(entry),
        }
    }

    /// Adds an index that is not in the queue behind all others. A time before that of the last one
    /// counts as the same.
    pub(crate) fn append(&mut self, time: Duration, index: I) {
        let last = self.entries.back().map_or(time, Entry::time);
        self.entries.push_back(Entry::new(time.max(last), index));
    }

    /// Adds an entry in front of others, as where a clock was set back. All that have a later time
    /// make room, so this takes time in proportion to what was released while the clock was ahead.
    #[cold]
    fn insert(&mut self, entry: Entry<I>) {
        // Which entries are dead is told by their order.
        if self.dead_len > 0 {
            self.drop_dead();
        }
        let time = entry.time();
        let position = self.entries.partition_point(|other| !other.is_after(time));
        self.entries.insert(position, entry);
    }

    /// The oldest entry. The first entry is always alive.
    #[inline]
    pub(crate) fn front(&self) -> Option<(Duration, I)> {
        self.entries.front().map(|entry| (entry.time(), entry.index))
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(Duration, I)> {
        let entry = self.entries.pop_front()?;
        if self.dead_len > 0 {
            self.drop_dead_front();
            self.compact();
        }
        Some((entry.time(), entry.index))
    }

    /// Whether the time of the oldest entry is not after `now`.
    #[inline]
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.entries.front().is_some_and(|entry| !entry.is_after(now))
    }

    /// Takes out an index that is in the queue.
    pub(crate) fn remove(&mut self, index: I) {
        if self.front().is_some_and(|(_, front)| front == index) {
            self.pop();
            return;
        }
        let count = self.dead.entry(index).or_insert(0);
        *count = count.wrapping_add(1);
        self.dead_len = self.dead_len.wrapping_add(1);
        self.compact();
    }

    /// Oldest first. The oldest costs nothing; going on costs a look at everything dead.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Duration, I)> + '_ {
        // The first entry is always alive, so `dead` is needed for what follows only.
        let rest = core::iter::once_with(|| self.dead.clone()).flat_map(|mut dead| {
            let entries = self.entries.iter().skip(1);
            let entries = entries.filter(move |entry| !Self::is_dead(&mut dead, entry.index));
            entries.map(|entry| (entry.time(), entry.index))
        });
        self.front().into_iter().chain(rest)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Rebuilding at half keeps the queue within twice its content at constant cost on average.
    fn compact(&mut self) {
        if self.dead_len > self.entries.len() / 2 {
            self.drop_dead();
        }
    }

    fn drop_dead(&mut self) {
        self.entries = self.iter().map(|(time, index)| Entry::new(time, index)).collect();
        self.dead.clear();
        self.dead_len = 0;
    }

    #[cold]
    fn drop_dead_front(&mut self) {
        while let Some(entry) = self.entries.front() {
            if !Self::is_dead(&mut self.dead, entry.index) {
                break;
            }
            self.dead_len = self.dead_len.wrapping_sub(1);
            self.entries.pop_front();
        }
    }

    /// Whether the next entry of this index is dead, which uses one death up.
    fn is_dead(dead: &mut HashMap<I, usize>, index: I) -> bool {
        let Some(count) = dead.get_mut(&index) else {
            return false;
        };
        *count = count.wrapping_sub(1);
        if *count == 0 {
            dead.remove(&index);
        }
        true
    }
}

impl<I> Entry<I> {
    #[inline]
    const fn new(time: Duration, index: I) -> Self {
        Self { seconds: time.as_secs(), nanos: time.subsec_nanos(), index }
    }

    #[inline]
    const fn is_after(&self, time: Duration) -> bool {
        let seconds = time.as_secs();
        self.seconds > seconds || self.seconds == seconds && self.nanos > time.subsec_nanos()
    }

    #[inline]
    const fn time(&self) -> Duration {
        Duration::new(self.seconds, self.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn agrees_with_a_plain_list() {
        let (mut queue, mut plain) = (Queue::new(), Vec::new());
        let mut seed = 3u64;
        for step in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let index = (seed >> 60) as u32;
            match plain.iter().position(|&(_, i)| i == index) {
                Some(position) if (seed >> 40) & 1 == 0 => {
                    plain.remove(position);
                    queue.remove(index);
                }
                Some(_) => assert_eq!(queue.pop(), Some(plain.remove(0))),
                None => {
                    // Every so often from a clock that is late by up to 64 steps.
                    let late = if (seed >> 20).is_multiple_of(8) { (seed >> 30) & 63 } else { 0 };
                    let time = Duration::from_secs(step + 64 - late);
                    let position = plain.partition_point(|&(other, _)| other <= time);
                    plain.insert(position, (time, index));
                    queue.push(time, index);
                }
            }
            assert_eq!(queue.iter().collect::<Vec<_>>(), plain);
            assert_eq!((queue.len(), queue.front()), (plain.len(), plain.first().copied()));
            assert!(queue.entries.len() <= 2 * plain.len() + 1);
        }
    }
}
