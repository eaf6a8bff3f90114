//! The guest's console log: bytes in, facts about the current boot out.
//!
//! [`Scanner`] takes the log in pieces of any size and keeps [`Boot`], what the current boot has
//! told so far: its network table, cloud-init's progress, host keys, the login prompt, and trouble.
//!
//! The log is written by the guest, so everything in it is a claim. Rows count only inside a table
//! and with all of their cells; an address from here is a candidate that the other sources may
//! contradict.

mod boot;
mod clean;
mod device;
mod host_key;
mod line;
mod needles;
mod network;
mod reader;
mod row;
mod scanner;
mod tables;
mod trouble;

pub use boot::{Boot, CloudInit};
pub use host_key::HostKey;
pub use needles::Interest;
pub use network::{Interface, Ipv6, Ipv6Error, Network, Primary};
pub use scanner::Scanner;
pub use trouble::{Trouble, TroubleKind};
