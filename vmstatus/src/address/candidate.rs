use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use macaddr::MacAddr6;

use crate::Generation;
use crate::lease::{Expiry, Lease};
use crate::mac;
use crate::neighbour::Neighbour;

/// Where an address was read, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Source {
    /// The guest's own console log.
    Console,
    /// A lease of the DHCP server.
    Lease,
    /// What was known the last time, from a registry.
    Cache,
    /// The host's neighbour (ARP) table.
    Neighbour,
    /// The guest's name, asked of the system's resolver.
    Dns,
}

impl Source {
    /// The source in words, such as `neighbour table`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console log",
            Self::Lease => "DHCP lease",
            Self::Cache => "registry cache",
            Self::Neighbour => "neighbour table",
            Self::Dns => "DNS",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How much an address is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Confidence {
    /// Only a candidate: it was true once, and nothing of this boot says that it still is.
    Unconfirmed,
    /// One source of this boot says so.
    Likely,
    /// A second source, or traffic, says the same.
    Confirmed,
}

impl Confidence {
    /// The confidence in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An address that may be the guest's: with its source, the time it was seen, the boot it belongs
/// to, and how much it is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Candidate {
    ip: Ipv4Addr,
    source: Source,
    seen: Duration,
    generation: Generation,
    confidence: Confidence,
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mac::serialize_option"))]
    mac: Option<MacAddr6>,
    expires: Option<Duration>,
}

impl Candidate {
    /// An address that `source` gave at `seen` (since the Unix epoch) for this generation.
    ///
    /// A cache starts as [`Unconfirmed`](Confidence::Unconfirmed), every other source as
    /// [`Likely`](Confidence::Likely).
    #[must_use]
    pub const fn new(ip: Ipv4Addr, source: Source, seen: Duration, generation: Generation) -> Self {
        let confidence = match source {
            Source::Cache => Confidence::Unconfirmed,
            _ => Confidence::Likely,
        };
        Self { ip, source, seen, generation, confidence, mac: None, expires: None }
    }

    /// The candidate that a neighbour entry stands for, if it is a usable IPv4 one.
    #[must_use]
    pub fn from_neighbour(
        entry: &Neighbour,
        seen: Duration,
        generation: Generation,
    ) -> Option<Self> {
        let core::net::IpAddr::V4(ip) = entry.ip() else { return None };
        let mac = entry.mac()?;
        let confidence = if entry.state().is_fresh() {
            Confidence::Confirmed
        } else if entry.state().is_usable() {
            Confidence::Likely
        } else {
            return None;
        };
        let candidate = Self::new(ip, Source::Neighbour, seen, generation);
        Some(candidate.with_mac(mac).with_confidence(confidence))
    }

    /// The candidate that a lease stands for, if it is one for IPv4 that was not released.
    #[must_use]
    pub const fn from_lease(lease: &Lease, seen: Duration, generation: Generation) -> Option<Self> {
        let (core::net::IpAddr::V4(ip), false) = (lease.ip(), lease.is_released()) else {
            return None;
        };
        let mut candidate = Self::new(ip, Source::Lease, seen, generation);
        candidate.mac = lease.mac();
        if let Expiry::At(at) = lease.expiry() {
            candidate.expires = Some(at);
        }
        Some(candidate)
    }

    /// The MAC that the source gave for the address.
    #[must_use]
    pub const fn with_mac(mut self, mac: MacAddr6) -> Self {
        self.mac = Some(mac);
        self
    }

    /// The time (since the Unix epoch) from which on the address no longer holds.
    #[must_use]
    pub const fn with_expiry(mut self, at: Duration) -> Self {
        self.expires = Some(at);
        self
    }

    /// Another confidence than the source's usual one.
    #[must_use]
    pub const fn with_confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// The address.
    #[must_use]
    pub const fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// Where it was read.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// When it was read, since the Unix epoch.
    #[must_use]
    pub const fn seen(&self) -> Duration {
        self.seen
    }

    /// The boot it belongs to.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// How much it is to be believed.
    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// The MAC that goes with it, where the source gave one.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddr6> {
        self.mac
    }

    /// When it ceases to hold, since the Unix epoch, where the source says so.
    #[must_use]
    pub const fn expires(&self) -> Option<Duration> {
        self.expires
    }
}

/// As in `172.16.0.2 from the neighbour table (52:54:00:15:7a:e3, confirmed)`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from the {} (", self.ip, self.source)?;
        if let Some(mac) = self.mac {
            write!(f, "{}, ", mac::Lower(mac))?;
        }
        write!(f, "{})", self.confidence)
    }
}

/// Whether a guest can be reached at the address: not unspecified, loopback, link-local
/// (169.254.0.0/16: DHCP has failed), multicast, reserved or broadcast.
///
/// ```
/// use vmstatus::address::is_host_address;
///
/// assert!(is_host_address([172, 16, 0, 2].into()));
/// assert!(!is_host_address([169, 254, 17, 3].into()));
/// assert!(!is_host_address([255, 255, 255, 255].into()));
/// ```
#[must_use]
pub const fn is_host_address(ip: Ipv4Addr) -> bool {
    let first = ip.octets()[0];
    first != 0 && first < 224 && !ip.is_loopback() && !ip.is_link_local()
}
