//! Claims: drawing names until one is granted.

use crate::{BaseName, Namer, VmName};
use rand::Rng;

/// The answer to a name that was asked for.
///
/// Asking and taking are one step: answer [`Claimed`](Self::Claimed) only when the name has just
/// been taken by create-if-absent (a unique key, `O_EXCL`, a compare-and-set). Looking first and
/// inserting later lets two creators have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claim<T = ()> {
    /// The name is the caller's now. The receipt is whatever the store gave for it, often what
    /// proves the claim when it is released.
    Claimed(T),
    /// Somebody holds the name.
    Taken,
}

/// A name that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the name is held until it is released"]
pub struct Claimed<T = ()> {
    /// The name.
    pub name: VmName,
    /// What the closure gave with [`Claim::Claimed`].
    pub receipt: T,
    /// How many names were asked for, this one included.
    pub attempts: u32,
}

/// Why no name was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError<E> {
    /// The closure failed. Nothing further was tried, and what became of `name` is unknown: it may
    /// have been taken before the answer was lost. Read it back by its owner before trying again.
    #[error("the claim of `{name}` failed at attempt {attempts}: read it back before another try")]
    Failed {
        /// The name that was asked for last.
        name: VmName,
        /// How many names were asked for, this one included.
        attempts: u32,
        /// The error of the closure.
        source: E,
    },
    /// Every name that was drawn is taken.
    #[error(
        "all {attempts} names drawn for `{base}` are taken, the last was `{name}`: \
         use longer suffixes"
    )]
    Exhausted {
        /// The base of the names.
        base: BaseName,
        /// The name that was asked for last.
        name: VmName,
        /// How many names were asked for.
        attempts: u32,
    },
}

impl Namer {
    /// Draws names until `ask` grants one.
    ///
    /// Only [`Claim::Taken`] leads to a further attempt.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Failed`] at once when `ask` fails, [`ClaimError::Exhausted`] when all
    /// [`attempts`](Self::attempts) are taken.
    ///
    /// ```
    /// use rand::{SeedableRng as _, rngs::StdRng};
    /// use std::collections::BTreeSet;
    /// use std::convert::Infallible;
    /// use vmname::{BaseName, Claim, Namer};
    ///
    /// let mut names = BTreeSet::new();
    /// let mut rng = StdRng::seed_from_u64(7);
    /// let claimed = Namer::new().claim(BaseName::from_static("web"), &mut rng, |name| {
    ///     let granted = names.insert(*name);
    ///     Ok::<_, Infallible>(if granted { Claim::Claimed(()) } else { Claim::Taken })
    /// })?;
    /// assert_eq!(claimed.attempts, 1);
    /// assert!(names.contains(&claimed.name));
    /// # Ok::<(), vmname::ClaimError<Infallible>>(())
    /// ```
    pub fn claim<T, E, R: Rng + ?Sized>(
        &self,
        base: BaseName,
        rng: &mut R,
        mut ask: impl FnMut(&VmName) -> Result<Claim<T>, E>,
    ) -> Result<Claimed<T>, ClaimError<E>> {
        let mut attempts = 1;
        loop {
            let name = self.draw_attempt(base, attempts, rng);
            let answer = ask(&name);
            if let Some(outcome) = self.settle(base, name, attempts, answer) {
                return outcome;
            }
            attempts += 1;
        }
    }

    /// As [`claim`](Self::claim), with an asynchronous closure.
    ///
    /// Dropping the future while `ask` runs leaves the fate of that one name unknown, as
    /// [`ClaimError::Failed`] does.
    ///
    /// For a future that is `Send`, as runtimes with several threads ask for, let the closure own
    /// what it uses (`async move`, with an `Arc` of the store): the compiler does not see yet that
    /// one which borrows would do. The source of randomness has to be `Send` too.
    ///
    /// # Errors
    ///
    /// As for [`claim`](Self::claim).
    ///
    /// ```
    /// use rand::{SeedableRng as _, rngs::StdRng};
    /// use std::convert::Infallible;
    /// use vmname::{BaseName, Claim, ClaimError, Namer, VmName};
    ///
    /// async fn insert(name: &VmName) -> Result<u64, Infallible> {
    /// #   let _ = name;
    ///     // A round trip to a store that answers with the generation of the record.
    ///     Ok(1)
    /// }
    ///
    /// # pollster::block_on(async {
    /// let mut rng = StdRng::seed_from_u64(7);
    /// let claimed = Namer::new()
    ///     .claim_async(BaseName::from_static("web"), &mut rng, async |name| {
    ///         insert(name).await.map(Claim::Claimed)
    ///     })
    ///     .await?;
    /// assert_eq!((claimed.receipt, claimed.attempts), (1, 1));
    /// # Ok::<(), ClaimError<Infallible>>(())
    /// # }).unwrap();
    /// ```
    pub async fn claim_async<T, E, R: Rng + ?Sized>(
        &self,
        base: BaseName,
        rng: &mut R,
        mut ask: impl AsyncFnMut(&VmName) -> Result<Claim<T>, E>,
    ) -> Result<Claimed<T>, ClaimError<E>> {
        let mut attempts = 1;
        loop {
            let name = self.draw_attempt(base, attempts, rng);
            let answer = ask(&name).await;
            if let Some(outcome) = self.settle(base, name, attempts, answer) {
                return outcome;
            }
            attempts += 1;
        }
    }

    /// What an answer means; `None` asks for a further attempt.
    fn settle<T, E>(
        &self,
        base: BaseName,
        name: VmName,
        attempts: u32,
        answer: Result<Claim<T>, E>,
    ) -> Option<Result<Claimed<T>, ClaimError<E>>> {
        match answer {
            Ok(Claim::Claimed(receipt)) => Some(Ok(Claimed { name, receipt, attempts })),
            Ok(Claim::Taken) if attempts < self.attempts() => None,
            Ok(Claim::Taken) => Some(Err(ClaimError::Exhausted { base, name, attempts })),
            Err(source) => Some(Err(ClaimError::Failed { name, attempts, source })),
        }
    }
}

/// Claims a name with the defaults of [`Namer`] and the thread's generator.
///
/// # Errors
///
/// As for [`Namer::claim`].
///
/// ```
/// use std::convert::Infallible;
/// use vmname::{BaseName, Claim, claim};
///
/// let claimed = claim(BaseName::from_static("web"), |_| Ok::<_, Infallible>(Claim::Claimed(())))?;
/// assert!(claimed.name.as_str().starts_with("web-"));
/// # Ok::<(), vmname::ClaimError<Infallible>>(())
/// ```
#[cfg(feature = "std")]
pub fn claim<T, E>(
    base: BaseName,
    ask: impl FnMut(&VmName) -> Result<Claim<T>, E>,
) -> Result<Claimed<T>, ClaimError<E>> {
    Namer::new().claim(base, &mut rand::rng(), ask)
}

/// As [`claim`], with an asynchronous closure.
///
/// The future is `Send` if the closure owns what it uses, see [`Namer::claim_async`].
///
/// # Errors
///
/// As for [`Namer::claim`].
///
/// ```
/// use std::convert::Infallible;
/// use vmname::{BaseName, Claim, ClaimError, claim_async};
///
/// # pollster::block_on(async {
/// let base = BaseName::from_static("web");
/// let claimed = claim_async(base, async |_| Ok::<_, Infallible>(Claim::Claimed(()))).await?;
/// assert!(claimed.name.as_str().starts_with("web-"));
/// # Ok::<(), ClaimError<Infallible>>(())
/// # }).unwrap();
/// ```
#[cfg(feature = "std")]
pub async fn claim_async<T, E>(
    base: BaseName,
    ask: impl AsyncFnMut(&VmName) -> Result<Claim<T>, E>,
) -> Result<Claimed<T>, ClaimError<E>> {
    Namer::new().claim_async(base, &mut OfThread, ask).await
}

/// The generator of whichever thread asks: the future that holds it may move between threads, which
/// one that holds a `ThreadRng` may not.
#[cfg(feature = "std")]
struct OfThread;

#[cfg(feature = "std")]
impl rand::TryRng for OfThread {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        rand::rng().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        rand::rng().try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        rand::rng().try_fill_bytes(bytes)
    }
}
