use alloc::vec::Vec;

use macaddr::MacAddr6;
use serde_json::Value;

use super::entry::{Expiry, Lease};
use super::parse::{known, parse_ip};
use crate::json;
use crate::mac::parse_mac;

/// The list of objects in libvirt's `*.status` file.
pub(super) fn parse_json(text: &str) -> Option<Vec<Lease>> {
    Some(json::objects(text)?.iter().filter_map(parse_object).collect())
}

fn parse_object(object: &Value) -> Option<Lease> {
    let text = |key| object.get(key).and_then(Value::as_str);
    let mut lease = Lease::new(parse_ip(text("ip-address")?)?);
    lease.set_mac(text("mac-address").and_then(|mac| parse_mac(mac.as_bytes())));
    lease.set_hostname(text("hostname").and_then(known));
    lease.set_client_id(text("client-id").or_else(|| text("client-duid")).and_then(known));
    let expiry = object
        .get("expiry-time")
        .and_then(|at| at.as_u64().or_else(|| at.as_str()?.parse().ok()))
        .map_or(Expiry::Unknown, Expiry::from_seconds);
    Some(lease.with_expiry(expiry))
}

/// A row of `virsh net-dhcp-leases`:
/// `2023-08-01 10:00:00 52:54:00:12:34:56 ipv4 192.168.122.54/24 ubuntu ff:56:50:4d`, or of `virsh
/// domifaddr`: `vnet0 52:54:00:12:34:56 ipv4 192.168.122.54/24`.
///
/// The time is in the host's zone, which the row does not tell, so the expiry stays unknown.
///
/// `domifaddr` writes `- -` for the interface and MAC of the row before; `above` is that MAC.
pub(super) fn parse_line(line: &str, above: &mut Option<MacAddr6>) -> Option<Lease> {
    let words = line.split_ascii_whitespace();
    let family = words.clone().position(|word| matches!(word, "ipv4" | "ipv6"))?;
    let hardware = words.clone().nth(family.checked_sub(1)?)?;
    if hardware.split(':').count() == 6 {
        // Unknown, if somebody has made it unreadable.
        *above = parse_mac(hardware.as_bytes());
    } else if hardware != "-" {
        return None;
    }
    let mut words = words.skip(family.saturating_add(1));
    let mut lease = Lease::new(parse_ip(words.next()?)?);
    // Loopback, as the guest agent lists it, has a MAC of zeros.
    lease.set_mac(above.filter(|mac| !mac.is_nil()));
    lease.set_hostname(words.next().and_then(known));
    lease.set_client_id(words.next().and_then(known));
    Some(lease)
}
