use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::time::Duration;

use super::collect::Collector;
use super::live::Liveness;
use super::report::Suspect;
use crate::claim::{ClaimKey, ClaimStore, Owner, ReleaseOutcome};

impl Collector {
    /// Releases what those hold that the last look found due, owner by owner, and says what became of each.
    ///
    /// What an owner holds is read again first, and left alone if it is not what the looks saw. Then `alive`
    /// is asked about this owner, and must answer from whoever decides about owners, not from a view: only
    /// [`Gone`](Liveness::Gone) lets its claims be released, all in one call of
    /// [`ClaimStore::release_unchanged`], each on its own proof. `cooldown` is as there.
    ///
    /// An error concerns its owner only; such an owner stays due. Every other one is forgotten. The cost is
    /// what the due owners hold. Sweeping twice does no harm, and neither does dropping the future.
    ///
    /// What a host leased is taken over in the same way: the collector is for the kind `host`, and `alive`
    /// says `Gone` only when it is proven that the host will not come back.
    ///
    /// ```
    /// use core::time::Duration;
    /// use std::io::Error;
    /// use netid::{ClaimKey, ClaimStore, Collector, LiveOwners, MemoryStore, Owner, SweepOutcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (store, now) = (MemoryStore::new(), Duration::from_secs(1_700_000_000));
    /// # let hour = Duration::from_secs(3600);
    /// let host = Owner::new("host", "rack-7-3", "4c4c4544")?;
    /// store.claim(&host, &[ClaimKey::new("block", &["0001"])?], now).await?;
    ///
    /// let mut collector = Collector::new("host").with_prefix("block/").with_absence(hour);
    /// for hours in [1, 2] {
    ///     let unseen = async || Ok::<_, Error>(LiveOwners::none());
    ///     collector.look(&store, unseen, || now + hour * hours).await?;
    /// }
    /// // Not to be reached is not gone.
    /// let ask = async |host: Owner| Err(format!("no answer from {}", host.name()));
    /// let swept = collector.sweep(&store, ask, |_| hour, now + hour * 2).await;
    /// assert!(matches!(swept[0].outcome, SweepOutcome::Unknown(_)));
    /// assert_eq!(store.claims_of(&host).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sweep<S, A, F, L, C>(
        &mut self,
        store: &S,
        mut alive: A,
        cooldown: C,
        now: Duration,
    ) -> Vec<Swept<S::Error, L>>
    where
        S: ClaimStore,
        A: FnMut(Owner) -> F,
        F: Future<Output = Result<Liveness, L>>,
        C: Fn(&ClaimKey) -> Duration + Sync,
    {
        let due: Vec<_> =
            self.suspects.values().filter(|suspect| suspect.is_due).cloned().collect();
        let mut swept = Vec::with_capacity(due.len());
        for suspect in due {
            let outcome = self.sweep_one(store, &suspect, &mut alive, &cooldown, now).await;
            if !matches!(outcome, SweepOutcome::Unknown(_) | SweepOutcome::Store(_)) {
                self.suspects.remove(suspect.owner.uid());
            }
            swept.push(Swept { owner: suspect.owner, outcome });
        }
        swept
    }

    async fn sweep_one<S, A, F, L, C>(
        &self,
        store: &S,
        suspect: &Suspect,
        alive: &mut A,
        cooldown: &C,
        now: Duration,
    ) -> SweepOutcome<S::Error, L>
    where
        S: ClaimStore,
        A: FnMut(Owner) -> F,
        F: Future<Output = Result<Liveness, L>>,
        C: Fn(&ClaimKey) -> Duration + Sync,
    {
        // The claims come before the owner here too: one that was bound meanwhile has an owner by now.
        match store.claims_of(&suspect.owner).await {
            Err(error) => return SweepOutcome::Store(error),
            Ok(held) if !held.iter().filter(|claim| self.covers(claim)).eq(&suspect.claims) => {
                return SweepOutcome::Changed;
            }
            Ok(_) => {}
        }
        match alive(suspect.owner.clone()).await {
            Err(error) => SweepOutcome::Unknown(error),
            Ok(Liveness::Alive) => SweepOutcome::Alive,
            Ok(Liveness::Gone) => {
                match store.release_unchanged(&suspect.claims, cooldown, now).await {
                    Ok(outcomes) => SweepOutcome::Released(outcomes),
                    Err(error) => SweepOutcome::Store(error),
                }
            }
        }
    }
}

/// What became of an owner that was due.
///
/// `E` is the error of the store, `L` of what was asked about the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept<E, L> {
    /// Whose claims these were.
    pub owner: Owner,
    /// What became of them.
    pub outcome: SweepOutcome<E, L>,
}

/// What became of the claims of an owner that was due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SweepOutcome<E, L> {
    /// The owner is gone, and what it held is released; or a claim of it was released by somebody else
    /// meanwhile, which its outcome says.
    Released(Vec<(ClaimKey, ReleaseOutcome)>),
    /// The owner exists after all. Nothing was released.
    Alive,
    /// The claims are not those that the looks saw. Nothing was released.
    Changed,
    /// Nobody could say whether the owner exists. Nothing was released; it stays due.
    Unknown(L),
    /// The store failed or did not answer, and may have released. It stays due.
    Store(E),
}

/// One line.
impl<E: Error, L: fmt::Display> fmt::Display for Swept<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.owner)?;
        match &self.outcome {
            SweepOutcome::Released(outcomes) => {
                for (at, (key, outcome)) in outcomes.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    let word = match outcome {
                        ReleaseOutcome::Released => "released",
                        ReleaseOutcome::NotHeld => "was already released:",
                        ReleaseOutcome::HeldByOther(_) => "has changed, not released:",
                    };
                    write!(f, "{comma}{word} {key}")?;
                }
                Ok(())
            }
            SweepOutcome::Alive => f.write_str("exists, nothing released"),
            SweepOutcome::Changed => f.write_str("its claims have changed, nothing released"),
            SweepOutcome::Unknown(error) => {
                write!(f, "may exist, nothing released: {error}")
            }
            SweepOutcome::Store(error) => {
                write!(f, "the claim store failed: {error}")?;
                let mut source = error.source();
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
        }
    }
}
