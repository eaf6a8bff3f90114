use core::net::Ipv4Addr;
use core::str::FromStr as _;

use macaddr::MacAddr6;

use super::network::Ipv6;
use crate::mac::parse_mac;

/// No table of cloud-init has more.
const MOST_COLUMNS: usize = 10;

/// What stands after one `ci-info:`.
#[derive(Debug)]
pub(super) enum Row<'a> {
    Title(Title),
    Border,
    /// The names of the columns, and how many there are.
    Header(Title, usize),
    Cells(Cells<'a>),
    /// A line of cloud-init 0.6, which had no table yet.
    Plain(Plain<'a>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Title {
    Devices,
    Routes,
    RoutesIpv6,
    Other,
}

/// The cells between the bars of one row, all of them closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    cells: [&'a str; MOST_COLUMNS],
    count: usize,
}

#[derive(Debug)]
pub(super) enum Plain<'a> {
    Device { name: &'a str, up: bool, ipv4: Option<Ipv4Addr>, mac: Option<MacAddr6> },
    DefaultRoute { interface: &'a str },
    Route,
}

#[derive(Debug)]
pub(super) enum Address {
    None,
    V4(Ipv4Addr),
    V6(Ipv6),
}

/// One row of the device table.
#[derive(Debug)]
pub(super) struct Device<'a> {
    pub(super) name: &'a str,
    /// Whether the name still has the colon of an `ifconfig` that cloud-init did not know.
    pub(super) colon: bool,
    pub(super) up: bool,
    pub(super) address: Address,
    pub(super) mac: Option<MacAddr6>,
}

impl<'a> Row<'a> {
    /// Reads the text after `ci-info:`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        match text.as_bytes().first()? {
            b'+' => Some(parse_rule(text)),
            b'|' => {
                let cells = Cells::split(text)?;
                Some(match (cells.at(0)?, cells.at(1)) {
                    ("Device", Some(_)) => Self::Header(Title::Devices, cells.count),
                    ("Route", Some("Destination")) if cells.has("Genmask") => {
                        Self::Header(Title::Routes, cells.count)
                    }
                    ("Route", Some(_)) => Self::Header(Title::RoutesIpv6, cells.count),
                    _ => Self::Cells(cells),
                })
            }
            _ => Plain::parse(text).map(Self::Plain),
        }
    }
}

impl<'a> Cells<'a> {
    fn split(text: &'a str) -> Option<Self> {
        // What follows the last bar is a cell that was torn off, or another program's text.
        let (closed, _) = text.strip_prefix('|')?.rsplit_once('|')?;
        let mut cells = [""; MOST_COLUMNS];
        let mut count = 0usize;
        for (slot, cell) in cells.iter_mut().zip(closed.split('|')) {
            *slot = cell.trim();
            count = count.saturating_add(1);
        }
        Some(Self { cells, count })
    }

    fn at(&self, index: usize) -> Option<&'a str> {
        self.cells.get(..self.count)?.get(index).copied()
    }

    fn has(&self, name: &str) -> bool {
        self.cells.contains(&name)
    }

    /// The row of a device table: 5 columns until cloud-init 0.7.6, 6 (with a scope) since.
    pub(super) fn device(&self, columns: Option<usize>) -> Option<Device<'a>> {
        let columns = columns.unwrap_or(self.count);
        if self.count < columns {
            return None;
        }
        let mac = match columns {
            5 => self.at(4)?,
            6 => self.at(5)?,
            _ => return None,
        };
        let raw = self.at(0)?;
        let name = raw.strip_suffix(':').unwrap_or(raw);
        Some(Device {
            name: is_device_name(name).then_some(name)?,
            colon: name.len() != raw.len(),
            up: match self.at(1)? {
                "True" => true,
                "False" => false,
                _ => return None,
            },
            address: Address::parse(self.at(2)?)?,
            mac: parse_mac(mac.as_bytes()).filter(|mac| !mac.is_nil()),
        })
    }

    /// The interface of an IPv4 default route. FreeBSD's rows have flags where Linux has the mask.
    pub(super) fn default_route(&self) -> Option<&'a str> {
        let is_number = self.at(0)?.bytes().all(|byte| byte.is_ascii_digit());
        let everything = matches!(self.at(1)?, "0.0.0.0" | "default" | "0.0.0.0/0");
        let masked =
            Ipv4Addr::from_str(self.at(3)?).is_ok_and(|mask| mask != Ipv4Addr::UNSPECIFIED);
        let interface = self.at(4)?;
        let rejected = self.at(5)?.contains('!');
        (is_number && everything && !masked && !rejected && is_device_name(interface))
            .then_some(interface)
    }

    /// The interface of an IPv6 default route.
    pub(super) fn default_route_ipv6(&self) -> Option<&'a str> {
        let everything = matches!(self.at(1)?, "::/0" | "default");
        let interface = self.at(3)?;
        (self.count == 5 && everything && is_device_name(interface)).then_some(interface)
    }
}

impl<'a> Plain<'a> {
    /// Fields may be blank, so they are told apart by their looks, not their place.
    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let first = words.next()?;
        if let Some(number) = first.strip_prefix("route-") {
            number.strip_suffix(':')?.parse::<u16>().ok()?;
            let (destination, _, mask) = (words.next()?, words.next()?, words.next()?);
            let interface = words.next()?;
            if destination == "0.0.0.0" && mask == "0.0.0.0" && is_device_name(interface) {
                return Some(Self::DefaultRoute { interface });
            }
            return Some(Self::Route);
        }
        let name = match first.strip_suffix(':') {
            Some(name) => name,
            None => (words.next()? == ":").then_some(first)?,
        };
        let up = match words.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let (mut ipv4, mut mac) = (None, None);
        let mut first_field = true;
        for word in words {
            match Ipv4Addr::from_str(word) {
                // Where the address is blank, the mask comes first.
                Ok(address) if first_field && address.octets()[0] != 255 => ipv4 = Some(address),
                Ok(_) => {}
                Err(_) => mac = mac.or_else(|| parse_mac(word.as_bytes())),
            }
            first_field = false;
        }
        is_device_name(name).then_some(Self::Device { name, up, ipv4, mac })
    }
}

impl Address {
    /// An address cell; `None` if it holds something else, so that the row is torn.
    fn parse(cell: &str) -> Option<Self> {
        // Version 0.7.5 kept the label of old `ifconfig`s for a while.
        let cell = cell.strip_prefix("addr:").unwrap_or(cell);
        if cell.is_empty() || cell == "." {
            return Some(Self::None);
        }
        match Ipv4Addr::from_str(cell) {
            Ok(address) => Some(Self::V4(address)),
            Err(_) => cell.parse().ok().map(Self::V6),
        }
    }
}

/// A line of `+` and `-`, which may hold a title.
fn parse_rule<'a>(text: &str) -> Row<'a> {
    let title = text.trim_matches(['+', '-']);
    if title.starts_with("Net device info") {
        Row::Title(Title::Devices)
    } else if title.starts_with("Route IPv6 info") {
        Row::Title(Title::RoutesIpv6)
    } else if title.starts_with("Route info") || title.starts_with("Route IPv4 info") {
        Row::Title(Title::Routes)
    } else if title.is_empty() {
        Row::Border
    } else {
        Row::Title(Title::Other)
    }
}

/// Whether a guest can have a device of this name, and the console has it unharmed.
pub(super) fn is_device_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name != "."
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}
