//! What must not touch the heap does not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use netid::{IdPermutation, NameScheme, NetId, Role, VmId};

/// The system's allocator, counting what each thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every request is passed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more; nothing is measured there.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system's allocator, through `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often this thread allocated meanwhile.
fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn ids_names_and_macs_stay_off_the_heap() {
    let count = allocations(|| {
        let ids = IdPermutation::new(*b"sixteen byte key");
        for counter in 0..1_000 {
            let id = black_box(ids.id(counter));
            let vm = VmId::new(id, 7);
            for role in Role::ALL {
                let name = NameScheme::UNDERSCORED.name(role, id);
                let parsed = NameScheme::UNDERSCORED.parse(black_box(name.as_str()));
                assert_eq!(parsed, Some((role, id)));
                let name = NameScheme::DASHED.name(role, vm);
                assert_eq!(NameScheme::DASHED.parse(name.as_str()), Some((role, id)));
            }
            assert_eq!(NetId::from_mac(black_box(id.mac())), Ok(id));
            assert_eq!(str::from_utf8(&id.digits()).unwrap().parse(), Ok(id));
        }
    });
    assert_eq!(count, 0);
}
