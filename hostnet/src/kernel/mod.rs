//! The kernel's side: everything that is not a pure function of values is in here.
//!
//! Nothing in here decides; it does one step at a time and reports what is there. All of it runs on the one
//! thread of a [`Host`](crate::Host), which lives in the namespace it works in.

mod address;
mod attributes;
mod backend;
mod create;
mod events;
mod known;
mod link;
mod links;
mod neighbour;
mod netlink;
mod netns;
mod nft;
mod observe;
mod qdisc;
mod route;
mod sandbox;
mod sysctl;
mod tap;
mod visit;

pub(crate) use backend::{Kernel, Settings};
pub use netns::{Netns, NetnsError};
pub(crate) use nft::Hold;
pub use sandbox::{Sandbox, SandboxError};
pub use tap::{TapError, check_tun, open_tap};
