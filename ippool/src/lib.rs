//! Allocator pools for what a virtual machine needs one of: an address, a port, a subnet, a number.
//!
//! # Purpose
//!
//! A [`Pool`] hands out the items of a [`Space`], each to one owner at a time, and takes them back:
//! in constant time however full it is, with reservations that can be listed, owners that are
//! checked on release, a cooldown before an item is used again, and a state that survives a
//! restart. There are four spaces, each with a name for its pool:
//!
//! | Pool | Space | Item | Policy | Cooldown |
//! |---|---|---|---|---|
//! | [`AddressPool`] | [`Addresses`] | `Ipv4Addr` or `Ipv6Addr` | next fit | 60 s |
//! | [`PortPool`] | [`Ports`] | `u16` | lowest | none |
//! | [`SubnetPool`] | [`Subnets`] | `Ipv4Net` or `Ipv6Net` | next fit | none |
//! | [`IndexPool`] | [`Integers`] | `u32` or `u64` | next fit | none |
//!
//! # Usage
//!
//! ```
//! use core::net::Ipv4Addr;
//! use core::time::Duration;
//! use ippool::{AddressPool, Addresses, PortPool, Ports};
//!
//! let space = "172.16.0.0/16".parse::<Addresses>()?.with_gateway(Ipv4Addr::new(172, 16, 0, 1))?;
//! let mut addresses: AddressPool<Ipv4Addr, u64> = AddressPool::new(space);
//! let mut ports: PortPool<u64> = PortPool::new(Ports::default());
//!
//! let (vm, now) = (1, Duration::from_secs(1_700_000_000));
//! assert_eq!(addresses.allocate(vm, now)?.item, Ipv4Addr::new(172, 16, 0, 2));
//! assert_eq!(ports.allocate(vm, now)?.item, 22001);
//!
//! addresses.release_all(vm, now);
//! let counts = addresses.counts();
//! assert_eq!((counts.held, counts.cooling, counts.reserved), (0, 1, 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Restart
//!
//! [`Pool::snapshot`] gives plain data and [`Pool::restore`] checks it; [`Pool::rebuild`] compares a
//! pool with what exists and says how they differ.
//!
//! # Testing and verification
//!
//! The engine is compared with a plain list over every sequence of operations on few items, at
//! every boundary of its words, and by random sequences, as is every pool with every policy. The
//! front for threads is run through every order of their steps by a model (`tests/loom.rs`).
//!
//! # No-std and features
//!
//! The crate needs `alloc` only. `std` (default) adds [`Shared`], the front for threads; `notify`
//! lets them wait for an item; `serde` makes snapshots and reports serialisable. There is no clock
//! and no source of randomness inside: both are arguments.

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
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "a test fails on overflow, as it should"
    )
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod bits;
mod counts;
mod owner_names;
mod owners;
mod policy;
mod pool;
mod queue;
#[cfg(feature = "std")]
mod shared;
mod snapshot;
mod space;

pub use counts::Counts;
pub use owner_names::{OwnerId, OwnerNames, OwnerNamesError};
pub use owners::Owner;
pub use policy::{Policy, Pressure};
pub use pool::{
    AddressPool, AllocateError, Conflict, ExactError, Grant, How, IndexPool, Pool, PortPool,
    Rebuild, ReleaseError, Released, State, SubnetPool,
};
#[cfg(feature = "std")]
pub use shared::Shared;
pub use snapshot::{RestoreError, Snapshot};
pub use space::{
    Address, Addresses, Index, Integer, Integers, Layout, LayoutError, Place, Ports, Prefix,
    PrefixError, Reason, Reservation, ReservedPorts, ReservedPortsError, Space, SubnetError,
    Subnets,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
