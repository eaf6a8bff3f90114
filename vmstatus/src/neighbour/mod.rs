//! The host's neighbour table: which MAC stands behind which address.
//!
//! [`parse`] reads what `arp -a`, `arp -an`, `arp -e` and `arp -n` print on Linux, macOS, the BSDs
//! and Windows (in any language), `ip neigh` as text and as JSON, and `/proc/net/arp`; it tells the
//! formats apart line by line. [`Neighbour`] is a plain value, so that a look-up by netlink fits too.

mod bsd;
mod entry;
mod iproute;
mod parse;
mod tabular;

pub use entry::{Neighbour, NeighbourState, by_mac};
pub use parse::parse;
