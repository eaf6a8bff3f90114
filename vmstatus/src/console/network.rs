use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use macaddr::MacAddr6;
use thiserror::Error;

use super::device::{self, Class};
use crate::Escaped;
use crate::address::is_host_address;

/// Most interfaces kept: a guest with more of them is not one to look for its address like this,
/// and one that only claims so shall not take memory or time without end.
const MOST_INTERFACES: usize = 1024;

/// Most addresses kept of one interface, and most routes.
const MOST_ADDRESSES: usize = 64;

/// The guest's network as its console shows it: interfaces and default routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Network {
    interfaces: Vec<Interface>,
    default_ipv4: Vec<String>,
    default_ipv6: Vec<String>,
}

/// One network interface of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Interface {
    name: String,
    up: bool,
    ipv4: Vec<Ipv4Addr>,
    ipv6: Vec<Ipv6>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mac::serialize_option"))]
    mac: Option<MacAddr6>,
    /// Whether the `Up` column can be believed: with some versions of `ifconfig`, recognised by
    /// the colon left on the name, cloud-init calls every interface down.
    #[cfg_attr(feature = "serde", serde(skip))]
    up_is_sure: bool,
}

/// What stands in for an [`Ipv6`] is not an IPv6 address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not an IPv6 address; write it as in fe80::1%eth0/64")]
pub struct Ipv6Error {
    text: Escaped,
}

/// An IPv6 address as the console writes it, with its zone and prefix length if it has them.
///
/// ```
/// use vmstatus::console::Ipv6;
///
/// let address: Ipv6 = "fe80::1%lo0/64".parse().unwrap();
/// assert_eq!(address.addr(), "fe80::1".parse::<core::net::Ipv6Addr>().unwrap());
/// assert_eq!(address.to_string(), "fe80::1%lo0/64");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(into = "String"))]
pub struct Ipv6 {
    addr: Ipv6Addr,
    text: String,
}

/// The interface by which the guest can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Primary<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its first IPv4 address that a host can have; `None` while the console shows none.
    pub ipv4: Option<Ipv4Addr>,
    /// Its MAC, by which the address can be looked up where the console shows none.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mac::serialize_option"))]
    pub mac: Option<MacAddr6>,
}

impl Network {
    /// The interfaces in the order of the console.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Names of the interfaces with an IPv4 default route, in the order of the console.
    pub fn default_routes(&self) -> impl Iterator<Item = &str> {
        self.default_ipv4.iter().map(String::as_str)
    }

    /// The interface by which the guest can be reached, if there is one to choose.
    ///
    /// The IPv4 default route decides. Without one, interfaces are ranked: those with an address
    /// before those without, up before down, whole cards before VLANs and aliases. Loopback,
    /// tunnels and what containers make are never chosen, and bridges only with the default route.
    #[must_use]
    pub fn primary(&self) -> Option<Primary<'_>> {
        let by_route =
            self.default_ipv4.iter().filter(|name| Class::of(name) != Class::Internal).find_map(
                |name| self.interfaces.iter().find(|interface| interface.is_called(name)),
            );
        let interface = by_route.or_else(|| {
            self.interfaces
                .iter()
                .filter(|interface| match Class::of(&interface.name) {
                    Class::Ordinary => true,
                    Class::Bridge => self.has_default_ipv6(interface),
                    Class::Internal => false,
                })
                .min_by_key(|interface| Reverse(self.merits(interface)))
        })?;
        Some(Primary {
            name: &interface.name,
            // A route over the interface shows that it is up, whatever its row says.
            ipv4: interface.host_address().filter(|_| by_route.is_some() || interface.is_usable()),
            mac: interface.mac,
        })
    }

    /// The interface of this name, made if need be; `None` if there are too many.
    pub(super) fn interface_mut(&mut self, name: &str) -> Option<&mut Interface> {
        let known = self.interfaces.iter().position(|interface| interface.name == name);
        let index = known.unwrap_or(self.interfaces.len());
        if known.is_none() && index < MOST_INTERFACES {
            self.interfaces.push(Interface::new(name));
        }
        self.interfaces.get_mut(index)
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.interfaces.iter().any(|interface| interface.name == name)
    }

    pub(super) const fn has_routes(&self) -> bool {
        !self.default_ipv4.is_empty()
    }

    pub(super) fn add_default_ipv4(&mut self, name: &str) {
        add(&mut self.default_ipv4, name.into());
    }

    pub(super) fn add_default_ipv6(&mut self, name: &str) {
        add(&mut self.default_ipv6, name.into());
    }

    fn has_default_ipv6(&self, interface: &Interface) -> bool {
        self.default_ipv6.iter().any(|name| interface.is_called(name))
    }

    /// What speaks for an interface, weightiest first.
    fn merits(&self, interface: &Interface) -> [bool; 8] {
        let ipv6 = |test: fn(&Ipv6) -> bool| interface.ipv6.iter().any(test);
        [
            interface.host_address().is_some() && interface.is_usable(),
            self.has_default_ipv6(interface),
            interface.is_usable(),
            // A link-local IPv4 address is one of a card whose DHCP failed, or of a metadata service.
            ipv6(|address| !address.is_link_local()),
            !interface.ipv4.is_empty(),
            ipv6(|_| true),
            interface.mac.is_some(),
            !device::is_on_another(&interface.name),
        ]
    }
}

impl Interface {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            up: false,
            ipv4: Vec::new(),
            ipv6: Vec::new(),
            mac: None,
            up_is_sure: true,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is up; since cloud-init 18.3 this also means that it has a carrier.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// Its IPv4 addresses.
    #[must_use]
    pub fn ipv4(&self) -> &[Ipv4Addr] {
        &self.ipv4
    }

    /// Its IPv6 addresses.
    #[must_use]
    pub fn ipv6(&self) -> &[Ipv6] {
        &self.ipv6
    }

    /// Its MAC.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddr6> {
        self.mac
    }

    pub(super) const fn set_up(&mut self, up: bool) {
        self.up |= up;
    }

    pub(super) const fn doubt_up(&mut self) {
        self.up_is_sure = false;
    }

    pub(super) fn set_mac(&mut self, mac: Option<MacAddr6>) {
        self.mac = self.mac.or(mac);
    }

    pub(super) fn add_ipv4(&mut self, address: Ipv4Addr) {
        add(&mut self.ipv4, address);
    }

    pub(super) fn add_ipv6(&mut self, address: Ipv6) {
        add(&mut self.ipv6, address);
    }

    /// Whether a route over this name is one over the interface: a container's card has its peer in
    /// the device table (`eth0@if7`), and not in the route table.
    fn is_called(&self, name: &str) -> bool {
        self.name.split('@').next() == Some(name) || self.name == name
    }

    fn host_address(&self) -> Option<Ipv4Addr> {
        self.ipv4.iter().copied().find(|address| is_host_address(*address))
    }

    const fn is_usable(&self) -> bool {
        self.up || !self.up_is_sure
    }
}

impl Ipv6 {
    /// The address alone.
    #[must_use]
    pub const fn addr(&self) -> Ipv6Addr {
        self.addr
    }

    /// The address as the console writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    const fn is_link_local(&self) -> bool {
        self.addr.segments()[0] & 0xffc0 == 0xfe80
    }
}

/// Adds what is not there yet, within the limit.
fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST_ADDRESSES && !list.contains(&item) {
        list.push(item);
    }
}

impl fmt::Display for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl core::str::FromStr for Ipv6 {
    type Err = Ipv6Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (zoned, length) = text.split_once('/').unwrap_or((text, "128"));
        let (addr, zone) = zoned.split_once('%').unwrap_or((zoned, "zone"));
        let is_length = length.bytes().all(|byte| byte.is_ascii_digit())
            && length.parse::<u8>().is_ok_and(|length| length <= 128);
        let is_zone = !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_graphic());
        addr.parse()
            .ok()
            .filter(|_| is_length && is_zone)
            .map(|addr| Self { addr, text: text.into() })
            .ok_or_else(|| Ipv6Error { text: text.into() })
    }
}

impl From<Ipv6> for String {
    fn from(address: Ipv6) -> Self {
        address.text
    }
}
