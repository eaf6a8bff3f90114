use alloc::string::String;
use alloc::vec::Vec;

use ipnet::IpNet;

use super::uid::NetworkUid;
use crate::vni::Vni;

/// A network and the peerings that it wants, as plain data. [`Network::new`](super::Network::new)
/// checks it.
///
/// ```
/// use netid::{NetworkSpec, NetworkUid, PeeringSpec, PrefixFilter, Vni};
///
/// // The databases reach all of us; we take one subnet of theirs.
/// let db = PeeringSpec::new(NetworkUid::new("77c1e09d")?)
///     .with_imports(PrefixFilter::Only(vec!["10.2.0.0/28".parse()?]));
/// let web = NetworkSpec::new(NetworkUid::new("0b5f3a52")?, Vni::new(300)?)
///     .with_name("web")
///     .with_prefixes(vec!["10.1.0.0/16".parse()?, "fd00:1::/64".parse()?])
///     .with_peering(db);
/// assert_eq!(web.peerings.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NetworkSpec {
    /// What makes it itself.
    pub uid: NetworkUid,
    /// What it is called, for people to read. Any text; nothing is ever found by it.
    pub name: String,
    /// Its VNI. That no other network has it is for a claim to decide, not for peering.
    pub vni: Vni,
    /// Its addresses, as prefixes that do not overlap one another. Without any it can be peered, but has
    /// nothing to reach.
    pub prefixes: Vec<IpNet>,
    /// Whom it names, each peer at most once.
    pub peerings: Vec<PeeringSpec>,
}

impl NetworkSpec {
    /// A network without name, prefixes and peerings.
    #[must_use]
    pub const fn new(uid: NetworkUid, vni: Vni) -> Self {
        Self { uid, name: String::new(), vni, prefixes: Vec::new(), peerings: Vec::new() }
    }

    /// The network with a name.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// The network with these prefixes instead of those it had.
    #[must_use]
    pub fn with_prefixes(mut self, prefixes: Vec<IpNet>) -> Self {
        self.prefixes = prefixes;
        self
    }

    /// The network with one more peering.
    #[must_use]
    pub fn with_peering(mut self, peering: PeeringSpec) -> Self {
        self.peerings.push(peering);
        self
    }
}

/// The wish of one network to be peered with another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PeeringSpec {
    /// The other network.
    pub peer: NetworkUid,
    /// Which of our prefixes the peer may reach.
    pub exports: PrefixFilter,
    /// Which of the peer's prefixes we take.
    pub imports: PrefixFilter,
}

impl PeeringSpec {
    /// A peering that lets everything through both ways.
    #[must_use]
    pub const fn new(peer: NetworkUid) -> Self {
        Self { peer, exports: PrefixFilter::All, imports: PrefixFilter::All }
    }

    /// The peering with a filter for what the peer may reach.
    #[must_use]
    pub fn with_exports(mut self, exports: PrefixFilter) -> Self {
        self.exports = exports;
        self
    }

    /// The peering with a filter for what we take.
    #[must_use]
    pub fn with_imports(mut self, imports: PrefixFilter) -> Self {
        self.imports = imports;
        self
    }
}

/// What one direction of a peering lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum PrefixFilter {
    /// Every prefix, also those that the network gets later.
    All,
    /// The addresses in these prefixes only. An empty list lets nothing through.
    Only(Vec<IpNet>),
}
