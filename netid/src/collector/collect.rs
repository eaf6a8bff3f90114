use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::num::NonZeroUsize;
use core::time::Duration;

use super::error::LookError;
use super::live::LiveOwners;
use super::report::{LookReport, Suspect};
use crate::claim::{Claim, ClaimState, ClaimStore};

/// Finds claims whose owner is gone, and releases them: the safety net behind owners that release what
/// they hold.
///
/// A claim is valid until its owner is proven to be gone. That takes two looks, and one question:
///
/// 1. [`look`](Self::look) reads the claims, and *then* lists the owners that exist, so that an owner
///    which was made in between is on the list. An owner that is not, and holds nothing too young, is a
///    [`Suspect`].
/// 2. Another look, at least the [absence](Self::with_absence) later, finds the same owner missing and the
///    very same claims: the suspect is due. Whatever changed in between, a claim bound, renewed, released
///    or added, begins anew.
/// 3. [`sweep`](Self::sweep) reads what each due owner holds once more, asks whether that owner is alive,
///    and releases only what is unchanged and only if the answer is [`Gone`](super::Liveness::Gone).
///
/// Looking releases nothing: print the [`LookReport`], and sweep if it is as expected.
///
/// A collector is for one kind of owner, so that a list of machines says nothing about what hosts hold. It
/// keeps its suspects in memory. One that is started again begins with no suspects, and several may work
/// side by side: a release takes proof that nothing has changed
/// ([`ClaimStore::release_unchanged`]).
///
/// It is not the way to release what an owner held that is known to be gone. That is
/// [`ClaimStore::release_all`], which costs as much as this owner holds; a look costs as much as there is.
///
/// # What a creation owes
///
/// Claims are made before their owner, and are left alone for the [pending grace](Self::with_pending_grace)
/// from [`Claim::since`]. A creation keeps to three rules:
///
/// - It records its owner where the collector will look for it, then binds its claims.
/// - If it takes longer, it calls [`ClaimStore::renew`] within the grace.
/// - When it is told [`Lost`](crate::BindError::Lost), it removes the owner again: it was too late.
///
/// # Time
///
/// The clock gives the time since the Unix epoch. A look reads it twice, so that one which takes long makes
/// nothing older: claims are as old as they were before they were read, and an owner has been missing
/// since all owners had been listed. A claim from the future is young, and a clock that was set back begins
/// anew what had been seen; both only delay. A clock that was set forward makes everything older.
///
/// ```
/// use core::convert::Infallible;
/// use core::time::Duration;
/// use netid::{ClaimKey, ClaimStore, Collector, LiveOwners, Liveness, MemoryStore, Owner};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let minute = Duration::from_secs(60);
/// let start = Duration::from_secs(1_700_000_000);
/// for (name, uid) in [("web", "u1"), ("db", "u2")] {
///     let claims = store.claim(&Owner::new("vm", name, uid)?, &[ClaimKey::name(name)?], start).await?;
///     store.bind(&claims).await?;
/// }
///
/// // There is no machine with the uid u2 any more.
/// let machines = async || Ok::<LiveOwners, Infallible>(["u1"].into_iter().collect());
/// let mut collector = Collector::new("vm");
/// let first = collector.look(&store, machines, || start + minute * 10).await?;
/// assert_eq!((first.suspects.len(), first.due().count()), (1, 0));
/// let second = collector.look(&store, machines, || start + minute * 15).await?;
/// assert_eq!(
///     second.to_string(),
///     "2 claims of 2 owners: 1 alive, 0 young, 0 suspect, 1 due\n\
///      due: vm db (uid u2), not there for 300 s: name/db (bound, 900 s old)",
/// );
///
/// let gone = async |_: Owner| Ok::<_, Infallible>(Liveness::Gone);
/// for swept in collector.sweep(&store, gone, |_| minute, start + minute * 15).await {
///     assert_eq!(swept.to_string(), "vm db (uid u2): released name/db");
/// }
/// assert_eq!(store.get(&ClaimKey::name("db")?).await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Collector {
    pub(super) kind: Box<str>,
    pub(super) prefix: Box<str>,
    pending_grace: Duration,
    absence: Duration,
    page: NonZeroUsize,
    /// By the uid of their owner. None of them is empty.
    pub(super) suspects: BTreeMap<Box<str>, Suspect>,
}

impl Collector {
    /// The pending grace unless another is given: five minutes.
    pub const PENDING_GRACE: Duration = Duration::from_secs(300);
    /// The absence unless another is given: five minutes, for a machine that restarts or moves.
    pub const ABSENCE: Duration = Duration::from_secs(300);

    const PAGE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

    /// A collector for the claims of owners of this kind, such as `vm` or `host`.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.into(),
            prefix: Box::default(),
            pending_grace: Self::PENDING_GRACE,
            absence: Self::ABSENCE,
            page: Self::PAGE,
            suspects: BTreeMap::new(),
        }
    }

    /// Only for claims whose keys start with a text, such as `port/`. It is none unless given.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a pending claim is left alone from [`Claim::since`], in which its owner is made.
    #[must_use]
    pub const fn with_pending_grace(mut self, grace: Duration) -> Self {
        self.pending_grace = grace;
        self
    }

    /// How long an owner must be missing: the least time between the two looks that do not find it. An owner
    /// that existed may be between two places; a machine that restarts or moves must be back in this time.
    #[must_use]
    pub const fn with_absence(mut self, absence: Duration) -> Self {
        self.absence = absence;
        self
    }

    /// How many claims are read at a time: 1,000 unless given.
    #[must_use]
    pub const fn with_page(mut self, claims: NonZeroUsize) -> Self {
        self.page = claims;
        self
    }

    /// Reads all claims, then asks which owners exist, and says who is missing.
    ///
    /// `live` lists every owner of the collector's kind that exists, or fails. It is called when the claims have
    /// been read, and must not list from a view that is older.
    ///
    /// Holds all claims that it reads in memory until it is done.
    ///
    /// # Errors
    /// When the claims or the owners cannot be read, or an empty list was not said to be
    /// [`none`](LiveOwners::none) while there are claims. Nothing is known then, and no suspect comes nearer
    /// to being due.
    pub async fn look<S, F, L, C>(
        &mut self,
        store: &S,
        live: F,
        clock: C,
    ) -> Result<LookReport, LookError<S::Error, L>>
    where
        S: ClaimStore,
        F: AsyncFnOnce() -> Result<LiveOwners, L>,
        C: Fn() -> Duration,
    {
        let began = clock();
        let held = self.read(store).await.map_err(LookError::Store)?;
        let live = live().await.map_err(LookError::Owners)?;
        let now = clock();
        let claims = held.values().map(Vec::len).sum();
        if claims > 0 && live.is_doubtful() {
            return Err(LookError::NoOwners { claims });
        }

        let owners = held.len();
        let (mut alive, mut young) = (0_usize, 0_usize);
        let mut earlier = mem::take(&mut self.suspects);
        for (uid, claims) in held {
            if live.contains(&uid) {
                alive = alive.saturating_add(1);
            } else if claims.iter().any(|claim| self.is_young(claim, began)) {
                young = young.saturating_add(1);
            } else if let Some(earlier) = earlier.remove(&uid)
                && earlier.claims == claims
                && earlier.first_seen <= began
            {
                let is_due = began.saturating_sub(earlier.first_seen) >= self.absence;
                self.suspects.insert(uid, Suspect { is_due, ..earlier });
            } else if let Some(claim) = claims.first() {
                let owner = claim.owner.clone();
                self.suspects
                    .insert(uid, Suspect { owner, claims, first_seen: now, is_due: false });
            }
        }
        let suspects = self.suspects.values().cloned().collect();
        Ok(LookReport { claims, owners, alive, young, suspects, now })
    }

    /// Whether a claim is of the kind and prefix that this collector is for.
    pub(super) fn covers(&self, claim: &Claim) -> bool {
        claim.owner.kind() == &*self.kind && claim.key.as_str().starts_with(&*self.prefix)
    }

    /// All claims, by the uid of their owner.
    async fn read<S: ClaimStore>(
        &self,
        store: &S,
    ) -> Result<BTreeMap<Box<str>, Vec<Claim>>, S::Error> {
        let mut held = BTreeMap::<Box<str>, Vec<Claim>>::new();
        let mut last = None;
        loop {
            let page = store.list(&self.prefix, last.as_ref(), self.page).await?;
            let is_full = page.len() >= self.page.get();
            last = page.last().map(|claim| claim.key.clone());
            for claim in page.into_iter().filter(|claim| self.covers(claim)) {
                match held.get_mut(claim.owner.uid()) {
                    Some(claims) => claims.push(claim),
                    None => drop(held.insert(claim.owner.uid().into(), [claim].into())),
                }
            }
            if !is_full {
                return Ok(held);
            }
        }
    }

    /// Whether nothing can be said of a claim's owner yet. A claim from the future is young.
    fn is_young(&self, claim: &Claim, now: Duration) -> bool {
        let grace = match claim.state {
            ClaimState::Pending => self.pending_grace,
            ClaimState::Bound => Duration::ZERO,
        };
        now.checked_sub(claim.since).is_none_or(|age| age < grace)
    }
}
