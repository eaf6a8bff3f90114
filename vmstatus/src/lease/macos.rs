use alloc::vec::Vec;
use core::time::Duration;

use super::entry::{Expiry, Lease};
use super::parse::{known, parse_ip};
use crate::mac::parse_mac;

/// Records of `key=value` lines between braces, as in macOS's `/var/db/dhcpd_leases`.
///
/// `hw_address=1,52:54:0:15:7a:e3` is Ethernet. A client that sends a DUID has its MAC overwritten
/// by it (`hw_address=ff,…`): then the MAC is unknown.
pub(super) fn parse(text: &str) -> Vec<Lease> {
    let mut leases = Vec::new();
    let mut record = Record::default();
    for line in text.lines().map(str::trim) {
        match line {
            "{" => record = Record::default(),
            "}" => leases.extend(core::mem::take(&mut record).into_lease()),
            _ => {
                if let Some((key, value)) = line.split_once('=') {
                    record.set(key.trim(), value.trim());
                }
            }
        }
    }
    leases
}

#[derive(Default)]
struct Record<'a> {
    name: Option<&'a str>,
    ip_address: Option<&'a str>,
    hw_address: Option<&'a str>,
    identifier: Option<&'a str>,
    lease: Option<&'a str>,
}

impl<'a> Record<'a> {
    const fn set(&mut self, key: &str, value: &'a str) {
        let field = match key.as_bytes() {
            b"name" => &mut self.name,
            b"ip_address" => &mut self.ip_address,
            b"hw_address" => &mut self.hw_address,
            b"identifier" => &mut self.identifier,
            b"lease" => &mut self.lease,
            _ => return,
        };
        *field = Some(value);
    }

    fn into_lease(self) -> Option<Lease> {
        let mut lease = Lease::new(parse_ip(self.ip_address?)?);
        let ethernet = |value: &'a str| value.strip_prefix("1,");
        lease.set_mac(self.hw_address.and_then(ethernet).and_then(|mac| parse_mac(mac.as_bytes())));
        lease.set_hostname(self.name.and_then(known));
        // An identifier of type 1 only repeats a MAC.
        let identifier = self.identifier.or(self.hw_address);
        lease.set_client_id(identifier.filter(|identifier| ethernet(identifier).is_none()));
        let expiry = self
            .lease
            .and_then(|at| u64::from_str_radix(at.strip_prefix("0x")?, 16).ok())
            .map_or(Expiry::Unknown, |at| Expiry::At(Duration::from_secs(at)));
        Some(lease.with_expiry(expiry))
    }
}
