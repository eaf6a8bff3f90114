//! What one would use instead of a pool: two crates, and two collections of what is free. All of them hand out the lowest.

use core::fmt;
use std::collections::BTreeSet;

use bitmap_allocator::{BitAlloc as _, BitAlloc64K};
use roaring::RoaringBitmap;
use vm_allocator::IdAllocator;

use crate::pools::Allocator;

/// The numbers of `vm-allocator`.
#[derive(Debug)]
pub struct VmAllocator(IdAllocator);

impl VmAllocator {
    /// All numbers below the capacity.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self(IdAllocator::new(0, capacity - 1).expect("a range"))
    }
}

impl Allocator for VmAllocator {
    type Item = u32;

    #[inline]
    fn allocate(&mut self) -> Option<u32> {
        self.0.allocate_id().ok()
    }

    #[inline]
    fn release(&mut self, number: u32) {
        assert!(self.0.free_id(number).is_ok(), "{number} is released twice");
    }
}

/// The 16-ary bitmap of `bitmap-allocator`.
pub struct BitmapAllocator(Box<BitAlloc64K>);

impl BitmapAllocator {
    /// All numbers below the capacity, of up to 2^16.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        let mut bits = Box::<BitAlloc64K>::default();
        bits.insert(0..capacity as usize);
        Self(bits)
    }
}

impl fmt::Debug for BitmapAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BitmapAllocator").finish_non_exhaustive()
    }
}

impl Allocator for BitmapAllocator {
    type Item = u32;

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are 2^16 of them")]
    fn allocate(&mut self) -> Option<u32> {
        self.0.alloc().map(|number| number as u32)
    }

    #[inline]
    fn release(&mut self, number: u32) {
        assert!(self.0.dealloc(number as usize), "{number} is released twice");
    }
}

/// What is free as a bitmap of `roaring`.
#[derive(Debug)]
pub struct Roaring(RoaringBitmap);

impl Roaring {
    /// All numbers below the capacity.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self((0..capacity).collect())
    }
}

impl Allocator for Roaring {
    type Item = u32;

    #[inline]
    fn allocate(&mut self) -> Option<u32> {
        let number = self.0.min()?;
        self.0.remove(number);
        Some(number)
    }

    #[inline]
    fn release(&mut self, number: u32) {
        assert!(self.0.insert(number), "{number} is released twice");
    }
}

/// What is free as a set of the standard library.
#[derive(Debug)]
pub struct Tree(BTreeSet<u32>);

impl Tree {
    /// All numbers below the capacity.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self((0..capacity).collect())
    }
}

impl Allocator for Tree {
    type Item = u32;

    #[inline]
    fn allocate(&mut self) -> Option<u32> {
        self.0.pop_first()
    }

    #[inline]
    fn release(&mut self, number: u32) {
        assert!(self.0.insert(number), "{number} is released twice");
    }
}
