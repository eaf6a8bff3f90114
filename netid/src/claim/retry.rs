use alloc::vec::Vec;
use core::time::Duration;

use thiserror::Error;

use super::error::{ClaimError, Taken};
use super::key::ClaimKey;
use super::owner::Owner;
use super::record::Claim;
use super::store::ClaimStore;

/// Claims a batch, and while a key of it is taken, the batch that `next` proposes instead.
///
/// Only "taken" is answered by another batch; any other error stops at once. `next` is told which key
/// was in the way, and ends the search by proposing nothing.
///
/// # Errors
/// The last error, with the number of attempts: [`ClaimError::Taken`] only when `next` proposed nothing.
///
/// ```
/// use core::time::Duration;
/// use netid::{ClaimKey, MemoryStore, NetId, Owner, claim_with};
/// use rand::{SeedableRng, rngs::StdRng};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (store, now) = (MemoryStore::new(), Duration::ZERO);
/// # let mut rng = StdRng::seed_from_u64(1);
/// # let owner = Owner::new("vm", "web", "u1")?;
/// let (mut id, mut port) = (NetId::random(&mut rng), 22001);
/// let batch = |id, port| vec![ClaimKey::id(id), ClaimKey::port(netid::Protocol::Tcp, port)];
/// let claims = claim_with(&store, &owner, batch(id, port), now, |taken| {
///     match taken.key.kind() {
///         ClaimKey::ID => id = NetId::random(&mut rng),
///         _ if port == 32000 => return None,
///         _ => port += 1,
///     }
///     Some(batch(id, port))
/// })
/// .await?;
/// assert_eq!(claims.len(), 2);
/// # Ok(())
/// # }
/// ```
pub async fn claim_with<S, N>(
    store: &S,
    owner: &Owner,
    first: Vec<ClaimKey>,
    now: Duration,
    mut next: N,
) -> Result<Vec<Claim>, AttemptsError<S::Error>>
where
    S: ClaimStore,
    N: FnMut(&Taken) -> Option<Vec<ClaimKey>>,
{
    let mut keys = first;
    let mut attempts = 1_u32;
    loop {
        let source = match store.claim(owner, &keys, now).await {
            Ok(claims) => return Ok(claims),
            Err(source) => source,
        };
        let proposed = match &source {
            ClaimError::Taken(taken) => next(taken),
            ClaimError::Unknown(_) | ClaimError::Store(_) => None,
        };
        match proposed {
            Some(proposed) => keys = proposed,
            None => return Err(AttemptsError { attempts, source }),
        }
        attempts = attempts.saturating_add(1);
    }
}

/// How a search ended without a claim.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("nothing claimed in {attempts} attempts")]
#[non_exhaustive]
pub struct AttemptsError<E> {
    /// How many batches were tried, at least one.
    pub attempts: u32,
    /// What became of the last one.
    pub source: ClaimError<E>,
}
