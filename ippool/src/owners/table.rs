use alloc::boxed::Box;
use alloc::vec::Vec;

/// Entries by index, in pages of 64 neighbours that are made with the first of them.
#[derive(Clone, Debug)]
pub(super) struct Table<O> {
    pages: Vec<Option<Box<[Entry<O>; 64]>>>,
}

/// Who holds an index, and two links of lists that it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<O> {
    /// Who holds the index or held it last; anybody if it was never held.
    pub(super) owner: O,
    /// The next index of the same owner.
    pub(super) next: Link,
    /// The index of the same owner before this one; in a head, which has none, the next head of
    /// the chain. Only the latter is [marked](Link::is_chain). [`Link::NOWHERE`] if nobody holds
    /// the index.
    pub(super) back: Link,
}

/// An index below 2^24 or none, and a mark on the links of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(u32);

impl<O: Copy + Eq> Table<O> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Entry<O>> {
        self.pages.get((index >> 6) as usize)?.as_ref()?.get((index & 63) as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Entry<O>> {
        self.pages.get_mut((index >> 6) as usize)?.as_mut()?.get_mut((index & 63) as usize)
    }

    /// The entry that a link leads to.
    #[inline]
    pub(super) fn at_mut(&mut self, link: Link) -> Option<&mut Entry<O>> {
        self.get_mut(link.index()?)
    }

    #[inline]
    pub(super) fn set(&mut self, index: u32, entry: Entry<O>) {
        // Not passed on as a whole, an entry is written part by part and never put together.
        if self.get(index).is_none() {
            self.add_page(index >> 6, entry.owner);
        }
        if let Some(slot) = self.get_mut(index) {
            *slot = entry;
        }
    }

    #[cold]
    fn add_page(&mut self, number: u32, owner: O) {
        let number = number as usize;
        if number >= self.pages.len() {
            self.pages.resize(number.saturating_add(1), None);
        }
        if let Some(page) = self.pages.get_mut(number) {
            *page = Some(Box::new([Entry::vacant(owner); 64]));
        }
    }
}

impl<O: Copy + Eq> Entry<O> {
    /// The entry of an index that nobody holds.
    #[inline]
    pub(super) const fn vacant(last: O) -> Self {
        Self { owner: last, next: Link::END, back: Link::NOWHERE }
    }

    #[inline]
    pub(super) fn is_held_by(&self, owner: O) -> bool {
        self.owner == owner && self.back != Link::NOWHERE
    }
}

impl Link {
    const MARK: u32 = 1 << 31;
    /// Of a list. The index is more than any.
    pub(super) const END: Self = Self(Self::MARK - 1);
    /// Of a chain.
    pub(super) const END_OF_CHAIN: Self = Self(u32::MAX);

    /// Of no list.
    pub(super) const NOWHERE: Self = Self(Self::MARK - 2);

    /// Within a list.
    #[inline]
    pub(super) const fn to(index: u32) -> Self {
        Self(index)
    }

    /// From head to head.
    #[inline]
    pub(super) const fn to_head(index: u32) -> Self {
        Self(index | Self::MARK)
    }

    #[inline]
    pub(super) const fn is_chain(self) -> bool {
        self.0 & Self::MARK != 0
    }

    #[inline]
    pub(super) const fn index(self) -> Option<u32> {
        let index = self.0 & !Self::MARK;
        if index == Self::END.0 { None } else { Some(index) }
    }
}
