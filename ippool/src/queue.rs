use alloc::collections::VecDeque;
use core::hash::Hash;
use core::time::Duration;

use hashbrown::HashMap;

/// Released items, the one released first in front.
///
/// Taking one out of the middle leaves its entry behind as dead. Of several entries of one index
/// only the last can be alive, so a count of dead ones says which to skip.
#[derive(Clone, Debug)]
pub(crate) struct Queue<I> {
    /// Ascending by time.
    entries: VecDeque<(Duration, I)>,
    /// How many of the first entries of an index are dead; never zero.
    dead: HashMap<I, usize>,
    /// The sum of `dead`.
    dead_len: usize,
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

    /// Appends an index that is not in the queue. A time before that of the last entry counts as
    /// the same, so that a clock that was set back cannot put the queue out of order. Returns the
    /// time that counts.
    #[inline]
    pub(crate) fn push(&mut self, time: Duration, index: I) -> Duration {
        let time = self.entries.back().map_or(time, |(last, _)| time.max(*last));
        self.entries.push_back((time, index));
        time
    }

    /// The oldest entry. The first entry is always alive.
    #[inline]
    pub(crate) fn front(&self) -> Option<(Duration, I)> {
        self.entries.front().copied()
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(Duration, I)> {
        let entry = self.entries.pop_front()?;
        if self.dead_len > 0 {
            self.drop_dead_front();
            self.compact();
        }
        Some(entry)
    }

    /// Whether the time of the oldest entry is not after `now`.
    #[inline]
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.entries.front().is_some_and(|(time, _)| *time <= now)
    }

    /// Takes the oldest entry if its time is not after `now`.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<(Duration, I)> {
        if self.is_due(now) { self.pop() } else { None }
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
            let entries = self.entries.iter().skip(1).copied();
            entries.filter(move |(_, index)| !Self::is_dead(&mut dead, *index))
        });
        self.front().into_iter().chain(rest)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Rebuilding at half keeps the queue within twice its content at constant cost on average.
    fn compact(&mut self) {
        if self.dead_len > self.entries.len() / 2 {
            self.entries = self.iter().collect();
            self.dead.clear();
            self.dead_len = 0;
        }
    }

    fn drop_dead_front(&mut self) {
        while let Some((_, index)) = self.entries.front() {
            if !Self::is_dead(&mut self.dead, *index) {
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
                    let time = Duration::from_secs(step);
                    plain.push((time, index));
                    queue.push(time, index);
                }
            }
            assert_eq!(queue.iter().collect::<Vec<_>>(), plain);
            assert_eq!((queue.len(), queue.front()), (plain.len(), plain.first().copied()));
            assert!(queue.entries.len() <= 2 * plain.len() + 1);
        }
    }
}
