//! Network ids for virtual machines: device names, MACs and VNIs derived from them, and claims that
//! decide who holds what.
//!
//! # Purpose
//!
//! A machine on a Linux host needs a TAP, a veth pair, a namespace and a MAC that nothing else uses.
//! All of them are functions of one 32-bit [`NetId`], so one claim on the id covers them all:
//!
//! | From | Comes | Example |
//! |---|---|---|
//! | [`NetId`] | eight digits | `a1b2c3d4` |
//! | [`NameScheme::name`] | the TAP, veth pair, bridge, namespace | `tap_a1b2c3d4` |
//! | [`NetId::mac`] | the guest's MAC | `AA:FC:A1:B2:C3:D4` |
//! | [`ClaimKey::id`] | the key of its claim | `id/a1b2c3d4` |
//!
//! Who holds an id, a name, an address, a port or a [`Vni`] is decided by a [`ClaimStore`]: a batch
//! of keys is claimed for one [`Owner`], all or none, and released only with proof.
//!
//! # Usage
//!
//! ```
//! use core::time::Duration;
//! use netid::{ClaimKey, ClaimStore, MemoryStore, NameScheme, NetId, Owner, Protocol, Role};
//! # use rand::{SeedableRng, rngs::StdRng};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng = StdRng::seed_from_u64(1);
//! # let now = Duration::from_secs(1_700_000_000);
//! let store = MemoryStore::new();
//! let owner = Owner::new("vm", "my-awesome-vm-a1b2", "0b5f3a52-6a57-4d0e-8f5f-2f3f6f4d8d11")?;
//! let id = NetId::random(&mut rng);
//! let claims = store
//!     .claim(
//!         &owner,
//!         &[
//!             ClaimKey::name("my-awesome-vm-a1b2")?,
//!             ClaimKey::id(id),
//!             ClaimKey::address([172, 16, 0, 2].into()),
//!             ClaimKey::port(Protocol::Tcp, 22001),
//!         ],
//!         now,
//!     )
//!     .await?;
//! assert_eq!(claims.len(), 4);
//!
//! let tap = NameScheme::UNDERSCORED.name(Role::Tap, id);
//! assert_eq!(NameScheme::UNDERSCORED.parse(tap.as_str()), Some((Role::Tap, id)));
//! assert_eq!(NetId::from_mac(id.mac())?, id);
//!
//! // An address rests for a minute before somebody else gets it.
//! let minute = Duration::from_secs(60);
//! let released = store
//!     .release(&claims, |key| if key.kind() == ClaimKey::ADDRESS { minute } else { Duration::ZERO }, now)
//!     .await?;
//! assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
//! # Ok(())
//! # }
//! ```
//!
//! # Stores
//!
//! | Store | Feature | Lasts | For |
//! |---|---|---|---|
//! | [`MemoryStore`] | `std` | as long as the process | tests, and what is rebuilt at the start |
//! | `RedbStore` | `redb` | as long as the disk | one host |
//! | `EtcdStore` | `etcd` | as long as a majority of the servers | many hosts |
//!
//! One conformance suite holds for all of them; implement [`ClaimStore`] on any database with
//! transactions. [`WatchClaims`] is for those that tell what changes.
//!
//! # Which number
//!
//! - [`NetId::random`] takes any source of randomness; the claim on the id catches a collision.
//! - [`IdPermutation`] and [`RangePermutation`] turn a counter into numbers that look random and cannot
//!   collide at all, and back.
//! - [`Claimer`] claims any vacant number of a [`KeyRange`], such as a VNI, in hardly more than one
//!   transaction however full the range is.
//! - [`claim_any`] and [`claim_with`] try what a closure proposes, such as a pool of one's own.
//! - [`Blocks`] leases 256 ids in one transaction of a shared store and hands them out by itself.
//!
//! # What is left behind
//!
//! Claims are made before their owner is, and outlive a crash in between. [`Collector`] finds claims
//! without an owner, reports them, and releases what is proven to be nobody's.
//!
//! # Peering
//!
//! [`Peerings`] works out which networks may reach each other: those that name each other, by uid, with
//! prefixes that do not overlap, and through the filters of both.
//!
//! # Testing and verification
//!
//! - Every sequence of claims, releases, bindings and clock ticks by few owners over few keys is compared
//!   with a naive model, and so are long random ones, in every store.
//! - Owners that crash, restart, move and lose answers, collectors and a clock run in every order of their
//!   steps in small worlds, and at random in larger ones, over the real code; the same search finds what is
//!   wrong with collectors and stores that are broken on purpose.
//! - A process that uses a `RedbStore` is killed at random moments; `EtcdStore` is tested with real
//!   servers that are killed, paused and cut off while many claim, and the history of what they saw is
//!   checked.
//! - The permutations are checked exhaustively on small ranges, against a second implementation, and
//!   against fixed values that will never change.
//!
//! # No-std and features
//!
//! Without features the crate needs `alloc` only. There is no clock and no source of randomness inside:
//! both are arguments.
//!
//! - `std` (default): [`MemoryStore`], [`Claimer`], [`Blocks`].
//! - `serde`: ids, names, keys, claims and networks as plain data, checked when read.
//! - `redb`: `RedbStore`. Needs Rust 1.90, as redb does.
//! - `etcd`: `EtcdStore`, which needs a tokio runtime; `etcd-tls` adds TLS with the `rustls`
//!   configuration of your choice.
//! - `tracing`: `TracedStore`, which reports every operation of a store.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::arithmetic_side_effects
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
mod blocks;
mod claim;
mod collector;
#[cfg(feature = "etcd")]
mod etcd;
mod hex;
mod id;
mod mac;
mod names;
mod peering;
mod permutation;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "serde")]
mod serial;
mod vacancy;
mod vm_id;
mod vni;

#[cfg(feature = "std")]
pub use blocks::{BlockSpace, BlockSpaceError, Blocks, BlocksError};
#[cfg(feature = "tracing")]
pub use claim::TracedStore;
pub use claim::{
    AttemptsError, BindError, Claim, ClaimError, ClaimKey, ClaimState, ClaimStore, ClaimWatch,
    Generation, KeyError, KeyFault, KeyState, Obstacle, Owner, OwnerError, OwnerField, Protocol,
    ReleaseOutcome, Taken, WatchClaims, WatchEvent, claim_any, claim_with,
};
#[cfg(feature = "std")]
pub use claim::{MemoryStore, MemoryWatch};
pub use collector::{
    Collector, LiveOwners, Liveness, LookError, LookReport, Suspect, SweepOutcome, Swept,
};
#[cfg(feature = "etcd")]
pub use etcd::{EtcdError, EtcdOptions, EtcdStore, EtcdWatch, Presence};
pub use id::{NetId, NetIdError};
pub use mac::MacError;
pub use names::{
    DeviceName, DeviceNameError, DeviceNameFault, NameScheme, Prefixes, Role, SchemeError, SchemeId,
};
pub use peering::{
    Network, NetworkError, NetworkFault, NetworkSpec, NetworkUid, NetworkUidError, PeeringFault,
    PeeringSpec, PeeringStatus, Peerings, PendingReason, PrefixFilter, Reach, Withheld,
};
pub use permutation::{IdPermutation, RangeError, RangePermutation};
#[cfg(feature = "redb")]
pub use redb::{RedbError, RedbStore, RedbWatch};
#[cfg(feature = "std")]
pub use vacancy::{Claimer, ClaimerError};
pub use vacancy::{KeyRange, KeyRangeError, Vacancies};
pub use vm_id::{VmId, VmIdError};
pub use vni::{Vni, VniError, VniRange, VniRangeError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
