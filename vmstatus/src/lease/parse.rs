use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::entry::Lease;
use super::{dnsmasq, isc, libvirt, macos};

/// Reads a lease file in any of the formats of this module.
///
/// Total: what is no lease is skipped. Order and repetitions are kept: a file may hold several
/// leases of one MAC, of which the last that has not run out and lies in a served subnet counts
/// (see [`Resolver`](crate::address::Resolver)).
///
/// ```
/// use vmstatus::lease::{self, Expiry};
///
/// let leases = lease::parse(b"0 52:54:00:15:7a:e3 192.168.64.7 fargo *\n");
/// assert_eq!(leases[0].hostname(), Some("fargo"));
/// assert_eq!(leases[0].expiry(), Expiry::Never);
/// ```
#[must_use]
pub fn parse(bytes: &[u8]) -> Vec<Lease> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start_matches('\0');
    if let Some(leases) = libvirt::parse_json(text) {
        leases
    } else if isc::is_isc(text) {
        isc::parse(text)
    } else if text.lines().any(|line| line.trim() == "{") {
        macos::parse(text)
    } else {
        let mut above = None;
        text.lines()
            .filter_map(|line| {
                dnsmasq::parse_line(line).or_else(|| libvirt::parse_line(line, &mut above))
            })
            .collect()
    }
}

/// An address with an optional prefix length, such as `192.168.122.54/24`.
pub(super) fn parse_ip(word: &str) -> Option<IpAddr> {
    word.split('/').next()?.parse().ok()
}

/// A word that stands for itself, unless it is one of the signs for "none".
pub(super) fn known(word: &str) -> Option<&str> {
    (!matches!(word, "" | "*" | "-")).then_some(word)
}
