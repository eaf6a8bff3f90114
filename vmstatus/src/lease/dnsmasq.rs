use super::entry::{Expiry, Lease};
use super::parse::{known, parse_ip};
use crate::mac::parse_mac;

/// `1383846827 52:54:00:be:44:d8 192.168.122.246 leap-wheezy *`: expiry (zero is never), MAC (for
/// IPv6 an IAID), address, name, client identifier (for IPv6 a DUID).
pub(super) fn parse_line(line: &str) -> Option<Lease> {
    let mut words = line.split_ascii_whitespace();
    let expiry = words.next()?.parse().ok()?;
    let hardware = words.next()?;
    let ip = parse_ip(words.next()?)?;
    let mut lease = Lease::new(ip).with_expiry(Expiry::from_seconds(expiry));
    // A hardware type other than Ethernet's is written before the address.
    let address = match hardware.split_once('-') {
        Some((kind, address)) if kind.len() == 2 && address.contains(':') => address,
        _ => hardware,
    };
    if ip.is_ipv4() {
        lease.set_mac(parse_mac(address.as_bytes()));
    }
    lease.set_hostname(words.next().and_then(known));
    lease.set_client_id(words.next().and_then(known));
    Some(lease)
}
