use alloc::vec::Vec;
use core::error::Error;
use core::num::NonZeroUsize;
use core::time::Duration;

use super::error::{BindError, ClaimError};
use super::key::ClaimKey;
use super::owner::Owner;
use super::record::{Claim, ReleaseOutcome};

/// Where claims are kept: the one truth about who holds what.
///
/// # What a store promises
///
/// - **One holder.** A key is held by at most one owner, whoever asks from wherever.
/// - **All or none.** A batch is claimed in one step that nobody sees half done.
/// - **Idempotent.** Claiming again for the same owner (by uid) gives what it holds, unchanged.
/// - **Proof.** Only the present claim, by owner and generation, is bound or released.
/// - **Cooldown.** A released key stays unavailable to others until its deadline. The owner that
///   released it can have it back at once: what a cooldown protects others from, such as traffic for
///   the last holder, is its own.
/// - **Durable.** What was acknowledged, deadlines included, is as lasting as the store.
///
/// The life of a claim:
///
/// ```text
/// vacant ──claim──► pending ──bind──► bound
///   ▲                  └───────┬────────┘
///   │                       release
///   ├───── no cooldown ────────┤
///   └── deadline ── cooling ◄──┘ ──claim by the same owner──► pending
/// ```
///
/// # Time
///
/// `now` is the time since the Unix epoch, from the caller's clock. A clock that runs behind makes
/// cooldowns longer for that caller; a deadline that any caller has seen pass may be forgotten.
///
/// # Cancellation
///
/// Dropping a future of [`claim`](Self::claim) before it is done leaves the same doubt as
/// [`ClaimError::Unknown`], and is resolved in the same way.
pub trait ClaimStore: Send + Sync {
    /// What can go wrong in the store itself.
    type Error: Error + Send + Sync + 'static;

    /// Claims keys for an owner: all or none.
    ///
    /// Gives the claims in the order of the keys. A key that the owner holds already stays as it is,
    /// state, generation and time included, and counts as claimed; the others of the batch are claimed
    /// with it. A key that is named twice is claimed once and given twice. No keys, no claims.
    ///
    /// # Errors
    /// [`ClaimError::Taken`] when somebody else holds a key or released it too recently; the first
    /// such key of the batch is named. Any other error is the store's: stop. A store whose transactions
    /// are limited refuses a larger batch with an error of its own, rather than claim it in pieces.
    fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> impl Future<Output = Result<Vec<Claim>, ClaimError<Self::Error>>> + Send;

    /// Claims a key for an owner, unless it holds one that starts with `prefix`: then it gives that claim,
    /// and of several the one that sorts first.
    ///
    /// This is how one of many keys is claimed, such as any VNI: whether the owner has one already is asked in
    /// the step that claims, so an owner that asks twice, or again after an answer was lost, never holds two.
    /// [`claim_any`](super::claim_any) and [`Claimer`](crate::Claimer) propose one key after another.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> impl Future<Output = Result<Claim, ClaimError<Self::Error>>> + Send;

    /// Lets claims whose owner is still being made start to age anew, all or none, and gives them as they
    /// are now: pending ones with [`since`](Claim::since) set to `now`, bound ones unchanged.
    ///
    /// For a creation that takes longer than the grace of pending claims.
    ///
    /// # Errors
    /// [`BindError::Lost`] when one of them is held no more; none is renewed then.
    fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> impl Future<Output = Result<Vec<Claim>, BindError<Self::Error>>> + Send;

    /// Marks claims as [`Bound`](super::ClaimState::Bound), once their owner exists: all or none.
    ///
    /// # Errors
    /// [`BindError::Lost`] when one of them is held no more; none is bound then.
    fn bind(
        &self,
        claims: &[Claim],
    ) -> impl Future<Output = Result<(), BindError<Self::Error>>> + Send;

    /// Releases claims, each on its own proof, and says what became of each, in their order.
    ///
    /// `cooldown` gives the time for which a released key stays unavailable to other owners; zero
    /// makes it vacant at once. What is not released is not touched.
    ///
    /// # Errors
    /// When the store fails or does not answer. Releasing again is safe.
    fn release<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> impl Future<Output = Result<Vec<(ClaimKey, ReleaseOutcome)>, Self::Error>> + Send
    where
        F: Fn(&ClaimKey) -> Duration + Send;

    /// Releases claims that are exactly as given, each on its own proof: as [`release`](Self::release), but the state
    /// and the time of a claim belong to its proof. A claim that was bound or renewed since is
    /// [`HeldByOther`](ReleaseOutcome::HeldByOther).
    ///
    /// For whoever releases what is not its own because of what it has seen, such as a
    /// [`Collector`](crate::Collector).
    ///
    /// # Errors
    /// When the store fails or does not answer. Releasing again is safe.
    fn release_unchanged<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> impl Future<Output = Result<Vec<(ClaimKey, ReleaseOutcome)>, Self::Error>> + Send
    where
        F: Fn(&ClaimKey) -> Duration + Send;

    /// Releases everything an owner holds at this time.
    ///
    /// A claim that the owner makes meanwhile may be left; one that it released and made again
    /// meanwhile is not touched, and reported.
    ///
    /// # Errors
    /// When the store fails or does not answer. Releasing again is safe.
    fn release_all<F>(
        &self,
        owner: &Owner,
        cooldown: F,
        now: Duration,
    ) -> impl Future<Output = Result<Vec<(ClaimKey, ReleaseOutcome)>, Self::Error>> + Send
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        async move {
            let claims = self.claims_of(owner).await?;
            self.release(&claims, cooldown, now).await
        }
    }

    /// The claim on a key. A key in its cooldown has none.
    ///
    /// # Errors
    /// When the store fails.
    fn get(
        &self,
        key: &ClaimKey,
    ) -> impl Future<Output = Result<Option<Claim>, Self::Error>> + Send;

    /// The claims whose keys start with a text, such as `port/tcp/`, in the order of the keys: at most
    /// `limit`, beginning behind a key if one is given. Fewer than `limit` are the last.
    ///
    /// Pages are read one by one: what changes in between may or may not be seen.
    ///
    /// # Errors
    /// When the store fails.
    fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> impl Future<Output = Result<Vec<Claim>, Self::Error>> + Send;

    /// All claims of an owner (by uid), in the order of the keys.
    ///
    /// # Errors
    /// When the store fails.
    fn claims_of(
        &self,
        owner: &Owner,
    ) -> impl Future<Output = Result<Vec<Claim>, Self::Error>> + Send;

    /// Forgets cooldowns that have passed, and says how many. What they cost is space only: a key whose
    /// deadline has passed is vacant, forgotten or not.
    ///
    /// # Errors
    /// When the store fails.
    fn forget_cooldowns(
        &self,
        now: Duration,
    ) -> impl Future<Output = Result<usize, Self::Error>> + Send;
}
