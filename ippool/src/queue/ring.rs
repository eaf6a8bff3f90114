use alloc::vec::Vec;

/// First in, first out.
///
/// `VecDeque` takes a call for each end, which this does not: 30 of the 500 instructions in which a
/// pool with owners and a cooldown takes an item back and hands one out.
#[derive(Clone, Debug)]
pub(super) struct Ring<T> {
    /// As many as a power of two, or none.
    slots: Vec<T>,
    /// Where the first entry is.
    start: usize,
    len: usize,
}

impl<T: Copy> Ring<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), start: 0, len: 0 }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn first(&self) -> Option<&T> {
        self.get(0)
    }

    #[inline]
    pub(super) fn last(&self) -> Option<&T> {
        self.get(self.len.wrapping_sub(1))
    }

    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        if self.len >= self.slots.len() {
            self.grow(entry);
        }
        let slot = self.slot(self.len);
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = entry;
            self.len = self.len.wrapping_add(1);
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let entry = *self.first()?;
        self.start = self.slot(1);
        self.len = self.len.wrapping_sub(1);
        Some(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        (0..self.len).filter_map(|position| self.get(position))
    }

    #[inline]
    fn get(&self, position: usize) -> Option<&T> {
        if position < self.len { self.slots.get(self.slot(position)) } else { None }
    }

    #[inline]
    const fn slot(&self, position: usize) -> usize {
        self.start.wrapping_add(position) & self.slots.len().wrapping_sub(1)
    }

    /// Doubles the slots.
    #[cold]
    fn grow(&mut self, filler: T) {
        self.slots.rotate_left(self.start);
        self.start = 0;
        let len = self.slots.len().saturating_mul(2).max(4);
        self.slots.resize(len, filler);
    }
}

impl<T: Copy> FromIterator<T> for Ring<T> {
    fn from_iter<E: IntoIterator<Item = T>>(entries: E) -> Self {
        let mut ring = Self::new();
        entries.into_iter().for_each(|entry| ring.push(entry));
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;

    #[test]
    fn agrees_with_the_deque_of_the_standard_library() {
        let (mut ring, mut deque) = (Ring::new(), VecDeque::new());
        for step in 0..2_000u32 {
            // Grows and shrinks again, so that each size is met with its start anywhere.
            if step % 7 < 4 && step % 500 < 400 {
                ring.push(step);
                deque.push_back(step);
            } else {
                assert_eq!(ring.pop(), deque.pop_front());
            }
            assert_eq!(
                (ring.len(), ring.first(), ring.last()),
                (deque.len(), deque.front(), deque.back())
            );
            assert!(ring.iter().eq(&deque));
        }
    }
}
