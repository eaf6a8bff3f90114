use alloc::string::String;
use alloc::vec::Vec;

use super::network::Network;
use super::row::{Address, Cells, Columns, Device, Plain, Row, Title, is_device_name};

/// Reads cloud-init's tables row by row, and CirrOS's lines.
///
/// A row counts only inside its table: between the title (or the head) and the closing border. So
/// a row that a user prints later changes nothing.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    network: Option<Network>,
    section: Section,
    /// Columns of the open table, once its head was seen.
    columns: Option<Columns>,
    /// Whether the next row of a device table is the first of a new one.
    fresh: bool,
    /// Whether the open section has a row.
    rows: bool,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    /// The log may begin in the middle of a table whose title is lost.
    Headless,
    Devices,
    Routes,
    RoutesIpv6,
    Cirros,
    Closed,
}

/// Which format the network was read from; one does not add to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Table,
    Plain,
    Cirros,
}

impl Tables {
    /// At the very start of a log, which may have lost its head.
    pub(super) const fn at_start() -> Self {
        Self::in_section(Section::Headless)
    }

    /// At the start of a boot.
    pub(super) const fn at_boot() -> Self {
        Self::in_section(Section::Closed)
    }

    const fn in_section(section: Section) -> Self {
        Self {
            network: None,
            section,
            columns: None,
            fresh: true,
            rows: false,
            origin: Origin::Table,
        }
    }

    pub(super) const fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Anything but a table was seen: from here on a row needs its title.
    pub(super) fn interrupt(&mut self) {
        if self.section == Section::Headless {
            self.section = Section::Closed;
        }
    }

    /// Forgets the network of the boot before, but goes on with the table just begun.
    pub(super) fn without_network(mut self) -> Self {
        self.network = None;
        self
    }

    /// Whether this text after `ci-info:` is the first row of a new table.
    pub(super) fn begins_table(&self, text: &str) -> bool {
        let may_begin = self.section == Section::Devices && self.fresh;
        if !may_begin && text.trim_start().starts_with('|') {
            return false;
        }
        match Row::parse(text) {
            Some(Row::Cells(cells)) => may_begin && cells.device(self.columns).is_some(),
            Some(Row::Plain(Plain::Device { name, .. })) => self.begins_plain(name),
            _ => false,
        }
    }

    /// Takes the text after one `ci-info:`.
    pub(super) fn feed(&mut self, text: &str) {
        match Row::parse(text) {
            Some(Row::Title(title)) => self.open(title),
            Some(Row::Header(title, columns)) => {
                let open = match title {
                    Title::Devices => Section::Devices,
                    Title::Routes => Section::Routes,
                    _ => Section::RoutesIpv6,
                };
                if self.section != open || self.rows {
                    self.open(title);
                }
                self.columns = Some(columns);
            }
            Some(Row::Border) if self.rows => self.section = Section::Closed,
            Some(Row::Cells(cells)) => self.feed_cells(&cells),
            Some(Row::Plain(plain)) => self.feed_plain(&plain),
            Some(Row::Border) | None => {}
        }
    }

    /// Whether this text after `ci-info:` is the first part of a row of the open table, and the
    /// next line may be its rest: on a screen of 80 columns most rows take two lines.
    pub(super) fn is_cut(&self, text: &str) -> bool {
        let open = matches!(self.section, Section::Devices | Section::Routes | Section::RoutesIpv6);
        // A whole row has one bar more than cells; without columns the head itself was cut.
        let bars = text.matches('|').count();
        open && text.trim_start().starts_with('|')
            && self.columns.is_none_or(|columns| columns.are_more_than(bars))
    }

    /// Puts the parts of a row together, if they are that. The name of a device and its address are
    /// not put together: an answer stands in the log as it is.
    pub(super) fn join(&self, first: &str, rest: &str) -> Option<String> {
        let begun = first.rsplit('|').next().is_some_and(|cell| !cell.trim().is_empty());
        let goes_on = rest.split('|').next().is_some_and(|cell| !cell.trim().is_empty());
        let place = first.matches('|').count().saturating_sub(1);
        let names = self.columns.is_some_and(|columns| columns.names(place));
        if self.section == Section::Devices && names && begun && goes_on {
            return None;
        }
        let mut whole = String::with_capacity(first.len().saturating_add(rest.len()));
        whole.push_str(first);
        whole.push_str(rest.trim_end());
        let is_row = whole.ends_with('|')
            && match (Row::parse(&whole), self.columns) {
                (Some(Row::Header(..)), None) => true,
                (Some(Row::Cells(cells)), Some(columns)) => cells.is_whole(columns),
                _ => false,
            };
        is_row.then_some(whole)
    }

    /// Takes the text after CirrOS's `if-info:`, and says whether it is a row.
    pub(super) fn feed_cirros_interface(&mut self, text: &str, complete: bool) -> bool {
        if !matches!(self.section, Section::Headless | Section::Cirros) {
            return false;
        }
        let mut fields = text.trim().split(',');
        // Without the length of the prefix, the address may go on.
        let (Some(name), Some(state), Some(ipv4), Some(_)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return false;
        };
        if !is_device_name(name) || !matches!(state, "up" | "down") {
            return false;
        }
        let mut rest: Vec<&str> = fields.collect();
        if !complete {
            // The last field may go on.
            rest.pop();
        }
        let Some(interface) = self.network_of(Origin::Cirros).interface_mut(name) else {
            return false;
        };
        interface.set_up(state == "up");
        if let Ok(address) = ipv4.parse() {
            interface.add_ipv4(address);
        }
        for address in rest.iter().filter_map(|field| field.trim().parse().ok()) {
            interface.add_ipv6(address);
        }
        true
    }

    /// Takes the text after CirrOS's `ip-route`: a colon, with a space before it in newer versions, and
    /// the route.
    pub(super) fn feed_cirros_route(&mut self, text: &str) {
        let Some(route) = text.trim_start().strip_prefix(':') else { return };
        let mut words = route.split_ascii_whitespace();
        if matches!(self.section, Section::Headless | Section::Cirros)
            && words.next() == Some("default")
            && let Some(interface) = words.skip_while(|word| *word != "dev").nth(1)
            && is_device_name(interface)
            && let Some(network) = &mut self.network
        {
            network.add_default_ipv4(interface);
        }
    }

    /// CirrOS begins to list its interfaces.
    pub(super) fn open_cirros(&mut self) {
        self.network = None;
        self.section = Section::Cirros;
    }

    /// CirrOS has gone on to something else.
    pub(super) fn close_cirros(&mut self) {
        if self.section == Section::Cirros {
            self.section = Section::Closed;
        }
    }

    const fn open(&mut self, title: Title) {
        self.rows = false;
        self.columns = None;
        self.section = match title {
            Title::Devices => {
                self.fresh = true;
                Section::Devices
            }
            Title::Routes => Section::Routes,
            Title::RoutesIpv6 => Section::RoutesIpv6,
            Title::Other => Section::Closed,
        };
    }

    fn feed_cells(&mut self, cells: &Cells<'_>) {
        match self.section {
            Section::Devices => {
                if let Some(device) = cells.device(self.columns) {
                    if core::mem::take(&mut self.fresh) {
                        self.network = None;
                    }
                    self.add(device);
                }
            }
            Section::Routes => {
                self.rows = true;
                self.add_route(cells);
            }
            Section::RoutesIpv6 => {
                self.rows = true;
                self.add_route_ipv6(cells);
            }
            Section::Headless => {
                if let Some(device) = cells.device(None) {
                    self.add(device);
                } else {
                    self.add_route(cells);
                }
            }
            Section::Cirros | Section::Closed => {}
        }
    }

    fn add(&mut self, device: Device<'_>) {
        self.rows = true;
        let Some(interface) = self.network_of(Origin::Table).interface_mut(device.name) else {
            return;
        };
        interface.set_up(device.up);
        interface.set_mac(device.mac);
        if device.colon {
            interface.doubt_up();
        }
        match device.address {
            Address::None => {}
            Address::V4(address) => interface.add_ipv4(address),
            Address::V6(address) => interface.add_ipv6(address),
        }
    }

    fn add_route(&mut self, cells: &Cells<'_>) {
        if let (Some(interface), Some(network)) =
            (cells.default_route(self.columns), &mut self.network)
        {
            network.add_default_ipv4(interface);
        }
    }

    fn add_route_ipv6(&mut self, cells: &Cells<'_>) {
        if let (Some(interface), Some(network)) =
            (cells.default_route_ipv6(self.columns), &mut self.network)
        {
            network.add_default_ipv6(interface);
        }
    }

    fn begins_plain(&self, name: &str) -> bool {
        match (&self.network, self.origin) {
            (None, _) => true,
            (Some(network), Origin::Plain) => network.knows(name) || network.has_routes(),
            (Some(_), _) => false,
        }
    }

    fn feed_plain(&mut self, plain: &Plain<'_>) {
        match plain {
            Plain::Device { name, up, ipv4, mac } => {
                if self.begins_plain(name) {
                    self.network = None;
                    self.origin = Origin::Plain;
                } else if self.origin != Origin::Plain {
                    return;
                }
                let Some(interface) = self.network_of(Origin::Plain).interface_mut(name) else {
                    return;
                };
                interface.set_up(*up);
                interface.set_mac(*mac);
                if let Some(address) = ipv4 {
                    interface.add_ipv4(*address);
                }
            }
            Plain::DefaultRoute { interface } => {
                if let (Origin::Plain, Some(network)) = (self.origin, &mut self.network) {
                    network.add_default_ipv4(interface);
                }
            }
            Plain::Route => {}
        }
    }

    fn network_of(&mut self, origin: Origin) -> &mut Network {
        self.origin = origin;
        self.network.get_or_insert_default()
    }
}
