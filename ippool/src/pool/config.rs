use alloc::sync::Arc;
use core::net::Ipv4Addr;
use core::time::Duration;

use ipnet::Ipv4Net;

use crate::bits::{Bits, Flat};
use crate::counts::Counts;
use crate::owners::{Owner, Owners};
use crate::policy::{Policy, Pressure};
use crate::queue::Queue;
use crate::space::{Addresses, Integers, Layout, Number as _, Ports, Space, Subnets};

/// A pool of the addresses of a prefix.
pub type AddressPool<A = Ipv4Addr, O = ()> = Pool<Addresses<A>, O>;

/// A pool of ports.
pub type PortPool<O = ()> = Pool<Ports, O>;

/// A pool of the blocks that a prefix is cut into.
pub type SubnetPool<P = Ipv4Net, O = ()> = Pool<Subnets<P>, O>;

/// A pool of integers.
pub type IndexPool<N = u32, O = ()> = Pool<Integers<N>, O>;

/// Hands out the items of a space, each to one owner at a time.
///
/// An item is *free*, *held* by an owner, or *cooling* after its release; reserved items of the
/// space are never seen. Time is an argument, `now`, as a duration since the Unix epoch; a call
/// that takes it first frees what has finished cooling.
///
/// ```
/// use core::net::Ipv4Addr;
/// use core::time::Duration;
/// use ippool::{AddressPool, Addresses};
///
/// let space = "172.16.0.0/16".parse::<Addresses>()?.with_gateway(Ipv4Addr::new(172, 16, 0, 1))?;
/// let mut pool: AddressPool<Ipv4Addr, u64> = AddressPool::new(space);
/// let now = Duration::from_secs(1_700_000_000);
///
/// let first = pool.allocate(7, now)?.item;
/// assert_eq!(first, Ipv4Addr::new(172, 16, 0, 2));
/// pool.release(first, 7, now)?;
/// assert_eq!(pool.counts().cooling, 1);
/// assert_eq!(pool.allocate(8, now)?.item, Ipv4Addr::new(172, 16, 0, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pool<S: Space, O: Owner = ()> {
    /// Shared by the parts of a pool that is split.
    pub(super) space: Arc<S>,
    /// That of the space, or what a part has of it.
    pub(super) layout: Layout,
    pub(super) bits: Bits<S::Index>,
    pub(super) policy: Policy,
    /// Whether nobody owns anything in particular, nothing cools and no queue is kept; see
    /// [`Pool::plain`].
    is_plain: bool,
    pub(super) cooldown: Duration,
    pub(super) pressure: Pressure,
    /// Next fit: where to look next. Longest idle: every free index below it was held before.
    pub(super) cursor: S::Index,
    /// What is cooling, with the time when it becomes free.
    pub(super) resting: Queue<S::Index>,
    /// Longest idle: every free index that was held before, with the time since when it is free.
    pub(super) idle: Queue<S::Index>,
    pub(super) owners: Owners<S::Index, O>,
}

impl<S: Space, O: Owner> Pool<S, O> {
    /// An empty pool over a space, with the policy and the cooldown that suit it.
    ///
    /// Memory: a quarter of a byte for every item of a space of up to 2^24 items, 4 MiB for a /8;
    /// nothing for a larger space, and then according to
    /// what is held: next to nothing for neighbours, about 50 bytes for an item on its own. What
    /// owners take besides is told at [`Owner`].
    ///
    /// # Panics
    /// When the space has more items than its [`Space::Index`] can count, which no space of this
    /// crate has.
    #[must_use]
    pub fn new(space: S) -> Self {
        let layout = space.layout().clone();
        Self::over(Arc::new(space), layout)
    }

    /// A pool of a part of a space.
    pub(super) fn over(space: Arc<S>, layout: Layout) -> Self {
        let capacity = layout.capacity();
        assert!(
            capacity.saturating_sub(1) <= S::Index::MAX,
            "a space of {capacity} items needs u128 as its index",
        );
        let pool = Self {
            bits: Bits::new(capacity),
            policy: S::POLICY,
            is_plain: false,
            cooldown: S::COOLDOWN,
            pressure: Pressure::Refuse,
            cursor: S::Index::ZERO,
            resting: Queue::new(),
            idle: Queue::new(),
            owners: Owners::new(capacity),
            space,
            layout,
        };
        pool.with_policy(S::POLICY)
    }

    /// Chooses which free item is handed out next. The pool forgets which of its free items were
    /// held before, if it has been used.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self.cursor = S::Index::ZERO;
        self.forget_spent();
        self.settle();
        self
    }

    /// How long a released item is kept back; zero frees it at once. What is cooling already keeps
    /// its time.
    #[must_use]
    pub fn with_cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self.settle();
        self
    }

    /// What to do when only cooling items are left.
    #[must_use]
    pub const fn with_pressure(mut self, pressure: Pressure) -> Self {
        self.pressure = pressure;
        self
    }

    /// Gives an owner that comes back the item it released last, cooling or free, whatever the
    /// policy, unless somebody else held it since. Costs about 10 bytes for each such owner, 100 in
    /// a space of more than 2^24 items, until [`Pool::forget_owner`]; has no effect in a pool
    /// without owners.
    #[must_use]
    pub fn with_sticky_owners(mut self) -> Self {
        self.owners.remember_former();
        self
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &S {
        &self.space
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The cooldown.
    #[must_use]
    pub const fn cooldown(&self) -> Duration {
        self.cooldown
    }

    /// How much is in which state, as of the last call that took the time; see
    /// [`Pool::expire`]. Takes constant time.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let capacity = self.bits.capacity();
        let cooling = self.resting.len() as u128;
        Counts {
            capacity,
            cooling,
            held: self.bits.taken().wrapping_sub(cooling),
            free: self.bits.vacant(),
            reserved: self.layout.reserved(),
        }
    }

    /// Frees what has finished cooling, and returns how many items that is. Every call that takes
    /// the time does this first.
    #[inline]
    pub fn expire(&mut self, now: Duration) -> usize {
        if self.resting.is_due(now) { self.expire_due(now) } else { 0 }
    }

    /// The bitmap, where there is nothing else to look at: one owner at most, no cooldown and
    /// nothing cooling, and no queue of idle items.
    #[inline]
    pub(super) const fn plain(&mut self) -> Option<&mut Flat> {
        if !Owners::<S::Index, O>::TRACKED && self.is_plain { self.bits.as_flat() } else { None }
    }

    /// Forgets which of the free items were held before.
    pub(super) fn forget_spent(&mut self) {
        self.idle.clear();
        self.bits.forget();
        if self.policy == Policy::LongestIdle {
            self.bits.remember();
        }
    }

    /// Finds out anew whether the pool is only a bitmap.
    pub(super) fn settle(&mut self) {
        self.is_plain = !Owners::<S::Index, O>::TRACKED
            && self.cooldown.is_zero()
            && self.policy != Policy::LongestIdle
            && self.resting.is_empty();
    }

    #[inline(never)]
    fn expire_due(&mut self, now: Duration) -> usize {
        let mut freed = 0usize;
        while self.resting.is_due(now) {
            self.free_oldest();
            freed = freed.wrapping_add(1);
        }
        self.settle();
        freed
    }

    /// Frees what has cooled for longest.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call is a tenth of an allocation")]
    pub(super) fn free_oldest(&mut self) {
        if let Some((until, index)) = self.resting.pop() {
            self.bits.vacate(index);
            if self.policy == Policy::LongestIdle {
                self.idle.append(until, index);
            }
        }
    }
}
