//! What a file tells, as plain data: the objects that `evidence --json` prints, and the same as tables.

use crate::table::columns;
use macaddr::MacAddr6;
use serde::Serialize;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use vmstatus::Escaped;
use vmstatus::console::{Boot, Interface};
use vmstatus::lease::{Expiry, Lease};
use vmstatus::neighbour::Neighbour;

/// A console log: the interfaces in its last table, and the one by which the guest is reached.
#[derive(Debug, Serialize)]
pub struct Console<'a> {
    file: &'a str,
    interfaces: Vec<Device>,
    primary_ipv4: Option<Ipv4Addr>,
    primary_mac: Option<String>,
    #[serde(skip)]
    primary: Option<String>,
}

#[derive(Debug, Serialize)]
struct Device {
    name: String,
    up: bool,
    ipv4: Vec<Ipv4Addr>,
    ipv6: Vec<String>,
    mac: Option<String>,
}

/// A neighbour table; an incomplete entry has no MAC.
#[derive(Debug, Serialize)]
pub struct Arp<'a> {
    file: &'a str,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    ip: IpAddr,
    mac: Option<String>,
    interface: Option<String>,
}

/// A lease file. A lease expires at a second since the Unix epoch; zero is never, as the servers write it.
#[derive(Debug, Serialize)]
pub struct Leases<'a> {
    file: &'a str,
    leases: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    ip: IpAddr,
    mac: Option<String>,
    hostname: Option<String>,
    expires: Option<u64>,
    client_id: Option<String>,
}

impl<'a> Console<'a> {
    /// What the last boot in the log tells.
    #[must_use]
    pub fn new(file: &'a str, boot: &Boot) -> Self {
        let network = boot.network();
        let primary = boot.primary();
        Self {
            file,
            interfaces: network
                .map(|network| network.interfaces().iter().map(Device::new).collect())
                .unwrap_or_default(),
            primary_ipv4: primary.and_then(|primary| primary.ipv4),
            primary_mac: primary.and_then(|primary| primary.mac).map(lower),
            primary: primary.map(|primary| primary.name.to_owned()),
        }
    }

    /// The interfaces as a table, the primary one marked.
    #[must_use]
    pub fn table(&self) -> String {
        if self.interfaces.is_empty() {
            return "no interface in the last boot\n".to_owned();
        }
        let mut rows = Vec::new();
        for device in &self.interfaces {
            let mark = if self.primary.as_ref() == Some(&device.name) { "*" } else { "" };
            let up = if device.up { "up" } else { "down" };
            let ipv4 = device.ipv4.iter().map(Ipv4Addr::to_string);
            let mut addresses: Vec<String> = ipv4.chain(device.ipv6.iter().map(shown)).collect();
            if addresses.is_empty() {
                addresses.push("-".to_owned());
            }
            // One address a line, so that a line fits into 80 columns.
            for (number, address) in addresses.into_iter().enumerate() {
                let [name, up, mac] = match number {
                    0 => [shown(&device.name), up.to_owned(), or_dash(device.mac.as_ref())],
                    _ => Default::default(),
                };
                let mark = if number == 0 { mark } else { "" };
                rows.push([mark.to_owned(), name, up, mac, address]);
            }
        }
        columns(["", "INTERFACE", "STATE", "MAC", "ADDRESS"], &rows)
    }
}

impl Device {
    fn new(interface: &Interface) -> Self {
        Self {
            name: interface.name().to_owned(),
            up: interface.is_up(),
            ipv4: interface.ipv4().to_vec(),
            ipv6: interface.ipv6().iter().map(ToString::to_string).collect(),
            mac: interface.mac().map(lower),
        }
    }
}

impl<'a> Arp<'a> {
    /// The entries in the order of the file.
    #[must_use]
    pub fn new(file: &'a str, table: &[Neighbour]) -> Self {
        let entry = |entry: &Neighbour| Entry {
            ip: entry.ip(),
            mac: entry.mac().map(lower),
            interface: entry.interface().map(str::to_owned),
        };
        Self { file, entries: table.iter().map(entry).collect() }
    }

    /// The entries as a table.
    #[must_use]
    pub fn table(&self) -> String {
        if self.entries.is_empty() {
            return "no entry\n".to_owned();
        }
        let row = |entry: &Entry| {
            [
                entry.ip.to_string(),
                entry.mac.clone().unwrap_or_else(|| "(incomplete)".to_owned()),
                or_dash(entry.interface.as_ref()),
            ]
        };
        columns(["IP", "MAC", "INTERFACE"], &self.entries.iter().map(row).collect::<Vec<_>>())
    }
}

impl<'a> Leases<'a> {
    /// The leases in the order of the file.
    #[must_use]
    pub fn new(file: &'a str, leases: &[Lease]) -> Self {
        let row = |lease: &Lease| Row {
            ip: lease.ip(),
            mac: lease.mac().map(lower),
            hostname: lease.hostname().map(str::to_owned),
            expires: match lease.expiry() {
                Expiry::Unknown => None,
                Expiry::Never => Some(0),
                Expiry::At(at) => Some(at.as_secs()),
            },
            client_id: lease.client_id().map(str::to_owned),
        };
        Self { file, leases: leases.iter().map(row).collect() }
    }

    /// The leases as a table.
    #[must_use]
    pub fn table(&self) -> String {
        if self.leases.is_empty() {
            return "no lease\n".to_owned();
        }
        let row = |lease: &Row| {
            [
                lease.ip.to_string(),
                or_dash(lease.mac.as_ref()),
                match lease.expires {
                    None => "unknown".to_owned(),
                    Some(0) => "never".to_owned(),
                    Some(at) => at.to_string(),
                },
                or_dash(lease.hostname.as_ref()),
                or_dash(lease.client_id.as_ref()),
            ]
        };
        columns(
            ["IP", "MAC", "EXPIRES", "HOST", "CLIENT"],
            &self.leases.iter().map(row).collect::<Vec<_>>(),
        )
    }
}

/// Lower case, both digits of every octet.
fn lower(mac: MacAddr6) -> String {
    mac.to_string().to_lowercase()
}

/// Text of a file may hold what a terminal would obey.
fn shown(text: impl Display) -> String {
    Escaped::from_bytes(text.to_string().as_bytes()).to_string()
}

fn or_dash(text: Option<&String>) -> String {
    text.map_or_else(|| "-".to_owned(), shown)
}
