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
//! # Drawing ids
//!
//! [`NetId::random`] takes any source of randomness; the claim on the id catches a collision.
//! [`IdPermutation`] turns a counter into ids that look random and cannot collide at all, and back.
//!
//! # Testing and verification
//!
//! Every sequence of claims, releases, bindings and clock ticks by few owners over few keys is
//! compared with a naive model, and so are long random ones. A conformance suite states what a store
//! promises. A program that claims in a file is killed at random, and what it was told is looked for. The permutations are checked exhaustively on small ranges, against a second
//! implementation, and against fixed values that will never change.
//!
//! # No-std and features
//!
//! The crate needs `alloc` only. `std` (on by default) adds [`MemoryStore`]; `redb` adds `RedbStore`, which
//! keeps claims in a file, and needs Rust 1.90 where the rest needs 1.88; `serde` makes ids, names,
//! keys and claims serialisable, with everything read checked as if it were parsed. There is no
//! clock and no source of randomness inside: both are arguments.

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

mod claim;
mod hex;
mod id;
mod mac;
mod names;
mod permutation;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "serde")]
mod serial;
mod vm_id;
mod vni;

pub use claim::{
    AttemptsError, BindError, Claim, ClaimError, ClaimKey, ClaimState, ClaimStore, ClaimWatch,
    Generation, KeyError, KeyFault, KeyState, Obstacle, Owner, OwnerError, OwnerField, Protocol,
    ReleaseOutcome, Taken, WatchClaims, WatchEvent, claim_any, claim_with,
};
#[cfg(feature = "std")]
pub use claim::{MemoryStore, MemoryWatch};
pub use id::{NetId, NetIdError};
pub use mac::MacError;
pub use names::{
    DeviceName, DeviceNameError, DeviceNameFault, NameScheme, Prefixes, Role, SchemeError, SchemeId,
};
pub use permutation::{IdPermutation, RangeError, RangePermutation};
#[cfg(feature = "redb")]
pub use redb::{RedbError, RedbStore, RedbWatch};
pub use vm_id::{VmId, VmIdError};
pub use vni::{Vni, VniError, VniRange, VniRangeError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
