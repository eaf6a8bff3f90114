//! Leases of DHCP servers: which address was given to which MAC, and until when.
//!
//! [`parse`] reads the files of dnsmasq, libvirt (`*.status` in JSON, and what `virsh
//! net-dhcp-leases` prints), ISC dhcpd and macOS (`/var/db/dhcpd_leases`), and tells them apart by
//! their looks. A lease outlives the machine it was given to, so it is a candidate among others.

mod dnsmasq;
mod entry;
mod isc;
mod libvirt;
mod macos;
mod parse;

pub use entry::{Expiry, Lease};
pub use parse::parse;
