use core::fmt;
use core::future::{Future as _, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::time::Instant;

use event_listener::{Event, IntoNotification as _, Listener as _};

use super::front::Shared;
use crate::owners::Owner;
use crate::pool::{AllocateError, Grant};
use crate::space::Space;

/// Tells those who wait of what is released.
#[derive(Default)]
pub(super) struct Releases(Event);

impl Releases {
    /// Wakes one of those who wait for each of so many items.
    pub(super) fn notify(&self, count: usize) {
        self.0.notify(count.additional());
    }
}

impl fmt::Debug for Releases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Releases").finish_non_exhaustive()
    }
}

/// Waiting for an item (feature `notify`).
impl<S: Space, O: Owner> Shared<S, O> {
    /// Allocates, and while nothing is free blocks the thread until a release or the end of a
    /// cooldown, for at most `timeout`. `clock` tells the time since the Unix epoch. Who waited longest is woken
    /// first, and is not protected from somebody who comes just then.
    ///
    /// # Errors
    /// When nothing became free in time.
    pub fn allocate_or_wait(
        &self,
        owner: O,
        timeout: Duration,
        clock: impl Fn() -> Duration,
    ) -> Result<Grant<S::Item>, AllocateError> {
        let started = Instant::now();
        loop {
            // Whoever listens before looking misses nothing that is released after the look.
            let listener = self.released.0.listen();
            let now = clock();
            let error = match self.allocate(owner, now) {
                Ok(grant) => return Ok(grant),
                Err(error) => error,
            };
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(error);
            }
            let wait = next_free(&error).map_or(left, |next| left.min(next.saturating_sub(now)));
            listener.wait_timeout(wait);
        }
    }

    /// Allocates, and while nothing is free waits for a release or the end of a cooldown. `clock`
    /// tells the time since the Unix epoch, and `sleep` is the timer of the runtime, such as
    /// `tokio::time::sleep`. Dropping the future ends the waiting, as a timeout around it does, and
    /// nothing is lost by that.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use ippool::{PortPool, Ports, Shared};
    /// # use std::time::{SystemTime, UNIX_EPOCH};
    /// async fn port(pool: &Shared<Ports, u32>, vm: u32) -> u16 {
    ///     let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ///     pool.allocate_when_free(vm, clock, async |time| sleep(time).await).await.item
    /// }
    /// # async fn sleep(time: Duration) { std::thread::sleep(time) } // of the runtime
    /// ```
    pub async fn allocate_when_free(
        &self,
        owner: O,
        clock: impl Fn() -> Duration,
        sleep: impl AsyncFn(Duration),
    ) -> Grant<S::Item> {
        loop {
            let listener = self.released.0.listen();
            let now = clock();
            let error = match self.allocate(owner, now) {
                Ok(grant) => return grant,
                Err(error) => error,
            };
            let Some(next) = next_free(&error) else {
                listener.await;
                continue;
            };
            let mut released = pin!(listener);
            let mut due = pin!(sleep(next.saturating_sub(now)));
            poll_fn(|context| {
                let ready = released.as_mut().poll(context).is_ready()
                    || due.as_mut().poll(context).is_ready();
                if ready { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }
}

/// When something becomes free without anybody's doing.
const fn next_free(error: &AllocateError) -> Option<Duration> {
    match error {
        AllocateError::Exhausted { next_free, .. } => *next_free,
        AllocateError::TooFew { .. }
        | AllocateError::NoRun { .. }
        | AllocateError::AllRefused { .. } => None,
    }
}
