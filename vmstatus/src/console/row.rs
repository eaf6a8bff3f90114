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
    /// The names of the columns.
    Header(Title, Columns),
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

/// Where the columns of a table are, as its head says: of a device table device, state, address
/// and MAC, of a route table destination, mask, interface and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    places: [usize; 4],
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
                Some(cells.header().unwrap_or(Self::Cells(cells)))
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

    /// The names of columns, if that is what the cells are.
    fn header(&self) -> Option<Row<'a>> {
        let columns = |names| Columns::named(self, names);
        let (title, names) = match self.at(0)? {
            "Route" if self.place("Genmask").is_some() => {
                (Title::Routes, ["Destination", "Genmask", "Interface", "Flags"])
            }
            "Route" => (Title::RoutesIpv6, ["Destination", "Gateway", "Interface", "Flags"]),
            _ => (Title::Devices, ["Device", "Up", "Address", "Hw-Address"]),
        };
        columns(names).map(|columns| Row::Header(title, columns))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.cells.get(..self.count)?.iter().position(|cell| *cell == name)
    }

    /// The cells in these columns, if the row has as many as the head.
    fn pick(&self, columns: Columns) -> Option<[&'a str; 4]> {
        if self.count < columns.count {
            return None;
        }
        let [a, b, c, d] = columns.places;
        Some([self.at(a)?, self.at(b)?, self.at(c)?, self.at(d)?])
    }

    /// Whether every cell has one word, so that nothing came between two parts of the row.
    pub(super) fn is_whole(&self, columns: Columns) -> bool {
        let is_word = |cell: &&str| !cell.is_empty() && !cell.contains([' ', '[']);
        self.count == columns.count
            && self.cells.get(..self.count).is_some_and(|cells| cells.iter().all(is_word))
    }

    /// The row of a device table. Without a head: 5 columns until cloud-init 0.7.6, 6 (with a
    /// scope) since.
    pub(super) fn device(&self, columns: Option<Columns>) -> Option<Device<'a>> {
        let columns = match columns {
            Some(columns) => columns,
            None if matches!(self.count, 5 | 6) => Columns::devices(self.count),
            None => return None,
        };
        let [raw, up, address, mac] = self.pick(columns)?;
        let name = raw.strip_suffix(':').unwrap_or(raw);
        let known = parse_mac(mac.as_bytes()).filter(|mac| !mac.is_nil());
        Some(Device {
            name: is_device_name(name).then_some(name)?,
            colon: name.len() != raw.len(),
            up: match up {
                "True" => true,
                "False" => false,
                _ => return None,
            },
            // An address that somebody has made unreadable leaves the MAC.
            address: match Address::parse(address) {
                Some(address) => address,
                None if known.is_some() => Address::None,
                None => return None,
            },
            mac: known,
        })
    }

    /// The interface of an IPv4 default route. FreeBSD's rows have flags where Linux has the mask.
    pub(super) fn default_route(&self, columns: Option<Columns>) -> Option<&'a str> {
        let is_number = self.at(0)?.bytes().all(|byte| byte.is_ascii_digit());
        let columns = columns.unwrap_or(Columns::ROUTES);
        let [destination, mask, interface, flags] = self.pick(columns)?;
        let everything = matches!(destination, "0.0.0.0" | "default" | "0.0.0.0/0");
        let masked = Ipv4Addr::from_str(mask).is_ok_and(|mask| mask != Ipv4Addr::UNSPECIFIED);
        let rejected = flags.contains('!');
        (is_number && everything && !masked && !rejected && is_device_name(interface))
            .then_some(interface)
    }

    /// The interface of an IPv6 default route.
    pub(super) fn default_route_ipv6(&self, columns: Option<Columns>) -> Option<&'a str> {
        let columns = columns.unwrap_or(Columns::ROUTES_IPV6);
        let [destination, _, interface, _] = self.pick(columns)?;
        let everything = matches!(destination, "::/0" | "default");
        (self.count == columns.count && everything && is_device_name(interface))
            .then_some(interface)
    }
}

impl Columns {
    /// Those of an IPv4 route table.
    const ROUTES: Self = Self { places: [1, 3, 4, 5], count: 6 };

    /// Those of an IPv6 route table.
    const ROUTES_IPV6: Self = Self { places: [1, 2, 3, 4], count: 5 };

    /// Those of a device table that has so many; the MAC is in the last.
    const fn devices(count: usize) -> Self {
        Self { places: [0, 1, 2, count.saturating_sub(1)], count }
    }

    /// Whether a row with so many bars lacks some of them.
    pub(super) const fn are_more_than(&self, bars: usize) -> bool {
        bars <= self.count
    }

    /// Whether a device or an address stands in this column.
    pub(super) const fn names(&self, place: usize) -> bool {
        let [first, _, third, _] = self.places;
        place == first || place == third
    }

    fn named(cells: &Cells<'_>, names: [&str; 4]) -> Option<Self> {
        let [a, b, c, d] = names.map(|name| cells.place(name));
        Some(Self { places: [a?, b?, c?, d?], count: cells.count })
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
        let (ipv4, length) = cell.split_once('/').unwrap_or((cell, "32"));
        match Ipv4Addr::from_str(ipv4) {
            Ok(address) => {
                length.parse::<u8>().is_ok_and(|length| length <= 32).then_some(Self::V4(address))
            }
            Err(_) => cell.parse().ok().map(Self::V6),
        }
    }
}

/// A line of `+` and `-`, which may hold a title. What another program adds at the end does not
/// matter.
fn parse_rule<'a>(text: &str) -> Row<'a> {
    let title = text.trim_start_matches(['+', '-']);
    if title.starts_with("Net device info") {
        Row::Title(Title::Devices)
    } else if title.starts_with("Route IPv6 info") {
        Row::Title(Title::RoutesIpv6)
    } else if title.starts_with("Route info") || title.starts_with("Route IPv4 info") {
        Row::Title(Title::Routes)
    } else if title.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        Row::Title(Title::Other)
    } else {
        Row::Border
    }
}

/// Whether a guest can have a device of this name, and the console has it unharmed.
pub(super) fn is_device_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name != "."
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}
