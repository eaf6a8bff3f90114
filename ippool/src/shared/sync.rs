//! What the front is built of: the standard library's, or a model of it that tries every order of
//! what several threads do.

#[cfg(not(loom))]
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(loom)]
pub(super) use loom::sync::{Mutex, MutexGuard};
#[cfg(loom)]
pub(super) use std::sync::PoisonError;

/// Which part the calling thread allocates from, at first one that few others have.
pub(super) mod home {
    use std::cell::Cell;

    /// Where a thread is, and how often it met others there lately.
    #[derive(Clone, Copy, Default)]
    struct Home {
        number: usize,
        met: u8,
    }

    /// A thread that meets others at more than a quarter of its visits moves on before long. At
    /// once would be too soon: those who come to give back what they have from an earlier part do
    /// not stay.
    const MEETING: u8 = 3;
    const TOO_OFTEN: u8 = 24;

    #[cfg(not(loom))]
    std::thread_local! {
        static HOME: Cell<Home> = Cell::new(Home { number: first(), met: 0 });
    }

    #[cfg(not(loom))]
    fn first() -> usize {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed)
    }

    // All threads start at the same place in the model, where they meet.
    #[cfg(loom)]
    loom::thread_local! {
        static HOME: Cell<Home> = Cell::new(Home::default());
    }

    fn with<T: Default>(work: impl FnOnce(&Cell<Home>) -> T) -> T {
        // A thread that is ending has none any more.
        HOME.try_with(work).unwrap_or_default()
    }

    pub(in super::super) fn get() -> usize {
        with(Cell::get).number
    }

    pub(in super::super) fn move_to(number: usize) {
        with(|home| home.set(Home { number, met: 0 }));
    }

    pub(in super::super) fn was_free() {
        with(|home| {
            let Home { number, met } = home.get();
            if met > 0 {
                home.set(Home { number, met: met.saturating_sub(1) });
            }
        });
    }

    pub(in super::super) fn was_busy() {
        with(|home| {
            let Home { number, met } = home.get();
            home.set(match met.saturating_add(MEETING) {
                TOO_OFTEN.. => Home { number: number.wrapping_add(1), met: 0 },
                met => Home { number, met },
            });
        });
    }
}
