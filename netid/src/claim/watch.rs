use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::key::ClaimKey;
use super::record::Claim;
use super::store::ClaimStore;

/// A [`ClaimStore`] that tells what changes.
pub trait WatchClaims: ClaimStore {
    /// What tells it.
    type Watch: ClaimWatch<Error = Self::Error>;

    /// What is known of the keys that start with a text, and from then on what changes.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// ```
    /// use core::time::Duration;
    /// use netid::{
    ///     ClaimKey, ClaimStore, ClaimWatch, KeyState, MemoryStore, Owner, WatchClaims, WatchEvent,
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let now = Duration::from_secs(1_700_000_000);
    /// let store = MemoryStore::new();
    /// let mut watch = store.watch("name/").await?;
    /// assert_eq!(watch.next().await?, WatchEvent::Snapshot(vec![]));
    ///
    /// let owner = Owner::new("vm", "web", "u1")?;
    /// let claims = store.claim(&owner, &[ClaimKey::name("web")?], now).await?;
    /// assert_eq!(watch.next().await?, WatchEvent::Changes(vec![KeyState::Held(claims[0].clone())]));
    /// # Ok(())
    /// # }
    /// ```
    fn watch(&self, prefix: &str) -> impl Future<Output = Result<Self::Watch, Self::Error>> + Send;
}

/// A view of some keys of a store, event by event.
///
/// The first event is a [`Snapshot`](WatchEvent::Snapshot). There is another one whenever changes were
/// missed: after a lost connection, or when nobody asked for so long that there were too many to keep.
pub trait ClaimWatch: Send {
    /// What can go wrong in the store itself.
    type Error: Send;

    /// The next event, if there is one.
    ///
    /// # Errors
    /// When the store failed. The watch goes on: what it missed comes as a snapshot.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchEvent, Self::Error>>;

    /// Waits for the next event.
    ///
    /// # Errors
    /// As [`poll_next`](Self::poll_next).
    fn next(&mut self) -> impl Future<Output = Result<WatchEvent, Self::Error>> + Send {
        poll_fn(|context| self.poll_next(context))
    }

    /// The next event if it has arrived, without waiting.
    ///
    /// # Errors
    /// As [`poll_next`](Self::poll_next).
    fn arrived(&mut self) -> Option<Result<WatchEvent, Self::Error>> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        }
    }
}

/// What a [`ClaimWatch`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Everything that is held or cooling, in the order of the keys; what was known before is void.
    Snapshot(Vec<KeyState>),
    /// What one step of the store changed.
    Changes(Vec<KeyState>),
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is held.
    Held(Claim),
    /// It was released and rests. That the time has come is no event.
    Cooling {
        /// The key.
        key: ClaimKey,
        /// When everybody can claim it again, since the Unix epoch.
        until: Duration,
    },
    /// It can be claimed.
    Vacant {
        /// The key.
        key: ClaimKey,
    },
}

impl KeyState {
    /// The key that this is about.
    #[must_use]
    pub const fn key(&self) -> &ClaimKey {
        match self {
            Self::Held(claim) => &claim.key,
            Self::Cooling { key, .. } | Self::Vacant { key } => key,
        }
    }
}
