//! What the front is built of: the standard library's, or a model of it that tries every order of
//! what several threads do.

#[cfg(not(loom))]
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(loom)]
pub(super) use loom::sync::{Mutex, MutexGuard};
#[cfg(loom)]
pub(super) use std::sync::PoisonError;

/// A number of the calling thread, at first one that few others have.
#[cfg(not(loom))]
pub(super) mod home {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static THREADS: AtomicUsize = AtomicUsize::new(0);

    std::thread_local! {
        static HOME: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
    }

    #[inline]
    pub(in super::super) fn get() -> usize {
        // A thread that is ending has none any more.
        HOME.try_with(Cell::get).unwrap_or_default()
    }

    #[inline]
    pub(in super::super) fn set(home: usize) {
        let _ = HOME.try_with(|cell| cell.set(home));
    }
}

/// All threads start at the same place in the model, where they meet.
#[cfg(loom)]
pub(super) mod home {
    use std::cell::Cell;

    loom::thread_local! {
        static HOME: Cell<usize> = Cell::new(0);
    }

    pub(in super::super) fn get() -> usize {
        HOME.with(Cell::get)
    }

    pub(in super::super) fn set(home: usize) {
        HOME.with(|cell| cell.set(home));
    }
}
