use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

use macaddr::MacAddr6;

/// One entry of a neighbour table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Neighbour {
    ip: IpAddr,
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "crate::mac::serialize_option",
            deserialize_with = "crate::mac::deserialize_option"
        )
    )]
    mac: Option<MacAddr6>,
    interface: Option<String>,
    state: NeighbourState,
}

/// What the table knows of a neighbour, as Linux calls it (NUD states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum NeighbourState {
    /// The table does not tell; an entry with a MAC is usable.
    Unknown,
    /// Asked, and not answered yet.
    Incomplete,
    /// Confirmed of late.
    Reachable,
    /// Confirmed some time ago.
    Stale,
    /// Used while stale; about to be asked.
    Delay,
    /// Being asked again.
    Probe,
    /// Asked, and never answered.
    Failed,
    /// Set by hand.
    Permanent,
    /// No address resolution on this device.
    NoArp,
}

impl NeighbourState {
    /// Whether the neighbour was confirmed of late, or set by hand.
    #[must_use]
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Reachable | Self::Delay | Self::Probe | Self::Permanent)
    }

    /// Whether the entry says anything: all but incomplete and failed ones.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        !matches!(self, Self::Incomplete | Self::Failed)
    }

    /// The state in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Delay => "delay",
            Self::Probe => "probe",
            Self::Failed => "failed",
            Self::Permanent => "permanent",
            Self::NoArp => "noarp",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        const STATES: [NeighbourState; 8] = [
            NeighbourState::Incomplete,
            NeighbourState::Reachable,
            NeighbourState::Stale,
            NeighbourState::Delay,
            NeighbourState::Probe,
            NeighbourState::Failed,
            NeighbourState::Permanent,
            NeighbourState::NoArp,
        ];
        STATES.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for NeighbourState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Neighbour {
    /// An entry that has a MAC, in this state.
    #[must_use]
    pub const fn new(ip: IpAddr, mac: MacAddr6, state: NeighbourState) -> Self {
        Self { ip, mac: Some(mac), interface: None, state }
    }

    /// An entry without a MAC: asked, and not answered.
    #[must_use]
    pub const fn incomplete(ip: IpAddr) -> Self {
        Self { ip, mac: None, interface: None, state: NeighbourState::Incomplete }
    }

    /// The interface it was seen on.
    #[must_use]
    pub fn with_interface(mut self, interface: impl Into<String>) -> Self {
        self.interface = Some(interface.into());
        self
    }

    /// As a table has it; a MAC of zeros stands for none.
    pub(super) fn read(ip: IpAddr, mac: Option<MacAddr6>, state: NeighbourState) -> Self {
        match mac.filter(|mac| !mac.is_nil()) {
            Some(mac) => Self::new(ip, mac, state),
            None if state.is_usable() => Self::incomplete(ip),
            None => Self { ip, mac: None, interface: None, state },
        }
    }

    /// The address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The MAC; `None` if the entry is incomplete.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddr6> {
        self.mac
    }

    /// The interface, as the table names it; on Windows its address.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> NeighbourState {
        self.state
    }
}

/// The usable entries of this MAC, in the order of the table. A MAC may have several addresses.
///
/// ```
/// use vmstatus::{neighbour, parse_mac};
///
/// let table = neighbour::parse(b"? (192.168.64.2) at 52:54:0:2a:12:b6 on bridge100 [bridge]\n");
/// let mac = parse_mac(b"52:54:00:2a:12:b6").unwrap();
/// let found: Vec<_> = neighbour::by_mac(&table, mac).map(|entry| entry.ip()).collect();
/// assert_eq!(found, ["192.168.64.2".parse::<core::net::IpAddr>().unwrap()]);
/// ```
pub fn by_mac(table: &[Neighbour], mac: MacAddr6) -> impl Iterator<Item = &Neighbour> {
    table.iter().filter(move |entry| entry.mac == Some(mac) && entry.state.is_usable())
}
