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
        match source.taken().and_then(&mut next) {
            Some(proposed) => keys = proposed,
            None => return Err(AttemptsError { attempts, source }),
        }
        attempts = attempts.saturating_add(1);
    }
}

/// Claims one of many keys: the first, and while it is taken, the one that `next` proposes instead.
///
/// An owner that holds a key which starts with `prefix` is given that one, whatever is proposed; see
/// [`ClaimStore::claim_one`]. The keys can come from a list, a pool or any other source: `next` is told
/// which one was in the way, and ends the search by proposing nothing. [`Claimer`](crate::Claimer) is a
/// source for ranges of numbers that knows what is vacant.
///
/// # Errors
/// As [`claim_with`].
///
/// ```
/// use core::time::Duration;
/// use netid::{ClaimKey, MemoryStore, Owner, Protocol, claim_any};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (store, now) = (MemoryStore::new(), Duration::ZERO);
/// let (web, db) = (Owner::new("vm", "web", "u1")?, Owner::new("vm", "db", "u2")?);
/// for (owner, expected) in [(&web, 22001), (&db, 22002), (&web, 22001)] {
///     let mut ports = (22001..=32000).map(|port| ClaimKey::port(Protocol::Tcp, port));
///     let first = ports.next().unwrap();
///     let claim = claim_any(&store, owner, "port/tcp/", first, now, |_| ports.next()).await?;
///     assert_eq!(claim.key, ClaimKey::port(Protocol::Tcp, expected));
/// }
/// # Ok(())
/// # }
/// ```
pub async fn claim_any<S, N>(
    store: &S,
    owner: &Owner,
    prefix: &str,
    first: ClaimKey,
    now: Duration,
    mut next: N,
) -> Result<Claim, AttemptsError<S::Error>>
where
    S: ClaimStore,
    N: FnMut(&Taken) -> Option<ClaimKey>,
{
    let mut key = first;
    let mut attempts = 1_u32;
    loop {
        let source = match store.claim_one(owner, prefix, &key, now).await {
            Ok(claim) => return Ok(claim),
            Err(source) => source,
        };
        match source.taken().and_then(&mut next) {
            Some(proposed) => key = proposed,
            None => return Err(AttemptsError { attempts, source }),
        }
        attempts = attempts.saturating_add(1);
    }
}

/// How a search ended without a claim.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("nothing claimed in {attempts} attempt{}", if *.attempts == 1 { "" } else { "s" })]
#[non_exhaustive]
pub struct AttemptsError<E> {
    /// How many batches were tried, at least one.
    pub attempts: u32,
    /// What became of the last one.
    pub source: ClaimError<E>,
}
