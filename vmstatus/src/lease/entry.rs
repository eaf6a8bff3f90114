use alloc::string::String;
use core::net::IpAddr;
use core::time::Duration;

use macaddr::MacAddr6;

/// One lease as the server's file has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lease {
    ip: IpAddr,
    #[cfg_attr(
        feature = "serde",
        serde(
            serialize_with = "crate::mac::serialize_option",
            deserialize_with = "crate::mac::deserialize_option"
        )
    )]
    mac: Option<MacAddr6>,
    hostname: Option<String>,
    client_id: Option<String>,
    expiry: Expiry,
    #[cfg_attr(feature = "serde", serde(default))]
    released: bool,
}

/// When a lease ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Expiry {
    /// The file does not tell, or tells it in a time zone that it does not tell.
    #[default]
    Unknown,
    /// Never.
    Never,
    /// At this time, since the Unix epoch.
    At(Duration),
}

impl Expiry {
    /// Whether the lease has certainly run out at `now`, since the Unix epoch.
    #[must_use]
    pub fn is_over(self, now: Duration) -> bool {
        matches!(self, Self::At(at) if at <= now)
    }

    /// Seconds since the Unix epoch, where zero means never, as dnsmasq and libvirt write it.
    pub(super) const fn from_seconds(seconds: u64) -> Self {
        match seconds {
            0 => Self::Never,
            _ => Self::At(Duration::from_secs(seconds)),
        }
    }
}

impl Lease {
    /// A lease of this address, of which nothing else is known.
    #[must_use]
    pub const fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            mac: None,
            hostname: None,
            client_id: None,
            expiry: Expiry::Unknown,
            released: false,
        }
    }

    /// The MAC it was given to.
    #[must_use]
    pub const fn with_mac(mut self, mac: MacAddr6) -> Self {
        self.mac = Some(mac);
        self
    }

    /// The name that the client sent.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// The client identifier or DUID, as the file writes it.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// When it ends.
    #[must_use]
    pub const fn with_expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// The address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The MAC; `None` where the file has only a client identifier.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddr6> {
        self.mac
    }

    /// The name that the client sent.
    #[must_use]
    pub fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// The client identifier or DUID, as the file writes it.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// When it ends.
    #[must_use]
    pub const fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// Whether the server says that nobody has the address any more, whenever the lease ends: it
    /// was released, has expired or was abandoned.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        self.released
    }

    pub(super) const fn set_released(&mut self, released: bool) {
        self.released = released;
    }

    pub(super) const fn set_mac(&mut self, mac: Option<MacAddr6>) {
        self.mac = mac;
    }

    pub(super) const fn set_expiry(&mut self, expiry: Expiry) {
        self.expiry = expiry;
    }

    pub(super) fn set_hostname(&mut self, hostname: Option<&str>) {
        self.hostname = hostname.map(Into::into);
    }

    pub(super) fn set_client_id(&mut self, client_id: Option<&str>) {
        self.client_id = client_id.map(Into::into);
    }
}
