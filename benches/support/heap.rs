//! The system's allocator, counting what each thread asks for: two additions beside each allocation.
//!
//! A bench that counts makes it its own:
//!
//! ```
//! # use benches::heap::Counting;
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocator.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes asked for less bytes given back, which wraps where a thread gives back another's.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread allocates meanwhile.
pub fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

/// How many bytes what is made keeps, as they were asked for.
pub fn kept<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = BYTES.get();
    let thing = make();
    (thing, BYTES.get().wrapping_sub(before))
}

// A thread that is ending has no counters any more; nothing is measured there.
fn count(allocations: u64, asked: usize, given_back: usize) {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + allocations));
    let _ = BYTES.try_with(|bytes| {
        bytes.set(bytes.get().wrapping_add(asked).wrapping_sub(given_back));
    });
}

// SAFETY: every request is passed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: as above. What is passed on as zeroed need not be touched.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}
