use crate::spec::Rate;
use core::fmt;
use macaddr::MacAddr6;

/// A change to a device that can be turned back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LinkChange {
    /// Its name, as somebody changed it, back to the one that is wanted.
    Name {
        /// The name it has, which may be one that nobody would choose.
        from: String,
        /// The name it gets.
        to: String,
    },
    /// Its MAC.
    Mac {
        /// The MAC it has.
        from: MacAddr6,
        /// The MAC it gets.
        to: MacAddr6,
    },
    /// Its MTU in bytes.
    Mtu {
        /// The MTU it has.
        from: u32,
        /// The MTU it gets.
        to: u32,
    },
    /// Its link group.
    Group {
        /// The group it is in.
        from: u32,
        /// The group it gets into.
        to: u32,
    },
    /// Whether it is kept from the other isolated ports of its bridge.
    Isolation {
        /// Whether it is.
        from: bool,
        /// Whether it is to be.
        to: bool,
    },
    /// How fast packets leave by it.
    Rate {
        /// Its present name, by which alone `tc` finds it.
        device: String,
        /// How fast they do.
        from: Option<Rate>,
        /// How fast they are to.
        to: Option<Rate>,
    },
    /// One of the kernel's settings for the device.
    Setting {
        /// Its present name, by which /proc/sys knows it.
        device: String,
        /// Which.
        setting: LinkSetting,
        /// Whether it is on.
        from: bool,
        /// Whether it is to be.
        to: bool,
    },
    /// From down to up.
    Up,
    /// From up to down.
    Down,
}

/// A setting that the kernel keeps for each device (`Documentation/networking/ip-sysctl.rst`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LinkSetting {
    /// Whether packets from 127.0.0.0/8 may leave by it, for forwards that are used from the host itself.
    RouteLocalnet,
    /// Whether the next address of a prefix takes the first one's place, or goes with it.
    PromoteSecondaries,
    /// Whether the host answers for whatever it has a route to.
    ProxyArp,
}

impl LinkSetting {
    /// What the device of a routed network's guest has on.
    pub(crate) const OF_ROUTED: [Self; 2] = [Self::ProxyArp, Self::RouteLocalnet];
}

impl LinkChange {
    /// The change back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::Name { from, to } => Self::Name { from: to, to: from },
            Self::Mac { from, to } => Self::Mac { from: to, to: from },
            Self::Mtu { from, to } => Self::Mtu { from: to, to: from },
            Self::Group { from, to } => Self::Group { from: to, to: from },
            Self::Isolation { from, to } => Self::Isolation { from: to, to: from },
            Self::Rate { device, from, to } => Self::Rate { device, from: to, to: from },
            Self::Setting { device, setting, from, to } => {
                Self::Setting { device, setting, from: to, to: from }
            }
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl fmt::Display for LinkSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RouteLocalnet => "route_localnet",
            Self::PromoteSecondaries => "promote_secondaries",
            Self::ProxyArp => "proxy_arp",
        })
    }
}
