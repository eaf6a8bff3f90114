use core::fmt;
use core::num::NonZeroU16;

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A transport protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Protocol {
    /// TCP, protocol number 6.
    Tcp,
    /// UDP, protocol number 17.
    Udp,
}

impl Protocol {
    /// The number in the IP header (IANA "Assigned Internet Protocol Numbers").
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol with this number, if it is one that can be forwarded.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of the host, on every local address of it, that leads to a port of the guest.
///
/// ```
/// use hostnet::Forward;
/// use std::num::NonZeroU16;
///
/// let (host, ssh) = (NonZeroU16::new(22001).unwrap(), NonZeroU16::new(22).unwrap());
/// assert_eq!(Forward::tcp(host, ssh).to_string(), "tcp 22001 -> 22");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Forward {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port on the host.
    pub host_port: NonZeroU16,
    /// The port in the guest.
    pub guest_port: NonZeroU16,
}

impl Forward {
    /// Forwards a port of the host to a port of the guest.
    #[must_use]
    pub const fn new(protocol: Protocol, host_port: NonZeroU16, guest_port: NonZeroU16) -> Self {
        Self { protocol, host_port, guest_port }
    }

    /// Forwards a TCP port.
    #[must_use]
    pub const fn tcp(host_port: NonZeroU16, guest_port: NonZeroU16) -> Self {
        Self::new(Protocol::Tcp, host_port, guest_port)
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.protocol, self.host_port, self.guest_port)
    }
}
