//! The firewall as data: one table of our own in two families with fixed rules, and elements in its sets and maps.

mod element;
mod ruleset;

pub use element::Element;
pub(crate) use ruleset::mark;
pub use ruleset::{Gate, Marks};

use crate::spec::Owner;
use core::fmt;

/// The name of an owner's nf_tables table, in the families `inet` and `bridge`: `hostnet-OWNER`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct TableName(Owner);

/// The family of nf_tables that a part of the table is in, by which it sees packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum TableFamily {
    /// IPv4 and IPv6 packets that the host receives, sends or routes.
    Inet,
    /// Frames that cross a bridge.
    Bridge,
}

impl TableName {
    /// The table of this owner.
    #[must_use]
    pub const fn new(owner: Owner) -> Self {
        Self(owner)
    }

    /// Whose table it is.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.0
    }

    /// What the table's user data holds; a table without it is not ours, whatever it is called.
    pub(crate) fn mark(&self) -> String {
        format!("hostnet:{}:table", self.0)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hostnet-{}", self.0)
    }
}

impl TableFamily {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Inet, Self::Bridge];
}

impl fmt::Display for TableFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Inet => "inet",
            Self::Bridge => "bridge",
        })
    }
}
