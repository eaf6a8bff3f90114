use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::str::FromStr;

use thiserror::Error;

/// The ports an administrator keeps from automatic use: the content of
/// `/proc/sys/net/ipv4/ip_local_reserved_ports`.
///
/// The list may change while a pool is in use, so it is asked at each allocation rather than built
/// into the space. The same goes for the question whether a port is bound by somebody else:
///
/// ```
/// use core::time::Duration;
/// use ippool::{PortPool, Ports, ReservedPorts};
///
/// let reserved: ReservedPorts = "22001-22003,25000\n".parse()?;
/// let unbound = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
///
/// let mut pool: PortPool = PortPool::new(Ports::default());
/// let port = pool
///     .allocate_where((), Duration::ZERO, |port| !reserved.contains(port) && unbound(port))?
///     .item;
/// assert!(port >= 22004);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservedPorts {
    /// In order of their first port; they may overlap.
    ranges: Vec<RangeInclusive<u16>>,
}

/// An entry that is neither a port nor a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{entry}` is not a port or a range: write entries as in 8080,9148-9150")]
#[non_exhaustive]
pub struct ReservedPortsError {
    /// The entry.
    pub entry: String,
}

impl ReservedPorts {
    /// Whether the port is on the list.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&port))
    }

    /// The ranges as listed.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<u16>> + '_ {
        self.ranges.iter().cloned()
    }
}

impl FromStr for ReservedPorts {
    type Err = ReservedPortsError;

    /// Reads comma-separated ports and ranges; an empty text is an empty list.
    fn from_str(text: &str) -> Result<Self, ReservedPortsError> {
        let parse = |entry: &str| {
            let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
            // A sign, which `parse` would take, is not a digit.
            let port = |text: &str| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| digits)
            };
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some(first..=last)
        };
        let mut ranges = text
            .trim()
            .split(',')
            .filter(|_| !text.trim().is_empty())
            .map(|entry| {
                parse(entry).ok_or_else(|| ReservedPortsError { entry: entry.to_string() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        ranges.sort_by_key(|range| *range.start());
        Ok(Self { ranges })
    }
}
