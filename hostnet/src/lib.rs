//! VM networking on a Linux host, over netlink: declarative, idempotent, undone on failure, and never touching a
//! device that is not ours.
//!
//! # Purpose
//! An orchestrator or VMM launcher says what should be there ([`Desired`]: networks, and VMs attached to them).
//! [`plan`] compares that with what is there ([`Observed`]) and gives the steps in order, as data that prints as the
//! `ip` and `nft` commands it stands for. [`Host::apply`] carries them out; if one fails, those before it are undone.
//! Applied again, nothing is left to do.
//!
//! # What is ours
//! Every device carries a [`Tag`] as an *altname*: owner, subject, role and generation. The kernel keeps it unique,
//! it survives a rename, and "delete the device with this tag" is one message in which no other device can be hit.
//! Names, prefixes and memories of what was made play no part in deciding what to delete. Rules live in a table of
//! our own; forwards are elements of one map in it, so a port that is taken is an error of the kernel and not a rule
//! that shadows another.
//!
//! # Usage
//! ```no_run
//! use hostnet::{Attachment, AttachmentId, Desired, DeviceName, Forward, Host, Network, NetworkName, Owner};
//! use std::num::NonZeroU16;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let lan = NetworkName::new("default")?;
//! let mut desired = Desired::new(Owner::new("demo")?);
//! desired.add_network(
//!     Network::bridged(lan.clone(), DeviceName::new("br0")?, "172.16.0.1/16".parse()?)?.with_masquerade(),
//! )?;
//! desired.add_attachment(
//!     Attachment::tap(
//!         AttachmentId::new("a1b2c3d4")?,
//!         lan,
//!         DeviceName::new("tap_a1b2c3d4")?,
//!         "AA:FC:A1:B2:C3:D4".parse()?,
//!         "172.16.0.2".parse()?,
//!     )?
//!     .with_forward(Forward::tcp(NonZeroU16::new(22001).unwrap(), NonZeroU16::new(22).unwrap())),
//! )?;
//!
//! let host = Host::open(desired.owner().clone())?;
//! host.ensure(&desired).await?;
//! // … a VMM opens `tap_a1b2c3d4` …
//! host.remove(&host.observe().await?.subjects()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Testing
//! [`Sandbox::enter`] moves a program or test binary into namespaces of its own, in which everything here works
//! without privileges. With the feature `fake`, `Host::fake` works on an in-memory kernel that answers with the real
//! one's errors and can be told to fail at any step.
//!
//! # Platforms
//! The pure part (everything but `Host::open`, [`Netns`], [`Sandbox`] and [`open_tap`]) compiles everywhere; the
//! kernel's side needs Linux 5.5 or later for altnames.
//!
//! # Features
//! * `serde`: `Desired`, `Observed` and `Plan` as data.
//! * `fake`: the in-memory kernel.
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::print_stdout
    )
)]

mod apply;
mod backend;
mod error;
mod events;
#[cfg(feature = "fake")]
pub mod fake;
mod firewall;
mod host;
#[cfg(target_os = "linux")]
mod kernel;
mod observed;
mod op;
mod plan;
mod spec;
mod tag;

pub use apply::{Applied, ApplyError, Step};
pub use backend::{Counters, Neighbour, NeighbourState};
pub use error::{Cause, Errno, OpError};
pub use events::{Event, Events};
pub use firewall::{Element, Gate, Marks, TableFamily, TableName};
pub use host::{EnsureError, Host, OpenError};
#[cfg(target_os = "linux")]
pub use kernel::{Netns, NetnsError, Sandbox, SandboxError, TapError, check_tun, open_tap};
pub use observed::{Coverage, Link, LinkAddress, Observed, ObservedNamespace, Table, VxlanEnd};
pub use op::{
    DeviceSetup, LinkChange, LinkSetting, NeighbourEntry, Op, PortState, Route, Rules, VethEnd,
    VxlanPeer,
};
pub use plan::{
    Garbage, Orphan, Plan, PlanError, PlanKind, TeardownError, garbage, plan, teardown,
};
pub use spec::{
    Attachment, AttachmentId, Desired, DeviceName, Family, Forward, NameError, Namespace,
    NamespaceName, Network, NetworkError, NetworkName, NetworkShape, Owner, Peering, Protocol,
    Rate, Resource, SpecError, TapOptions, Vxlan, VxlanError,
};
pub use tag::{Role, Subject, Tag, TagError};

/// Compiles the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
