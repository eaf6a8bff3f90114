use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ipnet::IpNet;
use thiserror::Error;

use super::prefixes;
use super::spec::{NetworkSpec, PeeringSpec, PrefixFilter};
use super::uid::NetworkUid;

/// A [`NetworkSpec`] that has been checked.
///
/// Its spec is in one order, whatever order it was written in: prefixes ascend, peerings ascend by uid,
/// and what a filter lists twice it lists once. So two networks are equal when they mean the same. A
/// clone is cheap.
///
/// ```
/// use netid::{Network, NetworkFault, NetworkSpec, NetworkUid, Vni};
///
/// let uid = NetworkUid::new("0b5f3a52")?;
/// let spec = NetworkSpec::new(uid, Vni::new(300)?);
/// let wide = spec.clone().with_prefixes(vec!["10.1.7.0/24".parse()?, "10.1.0.0/16".parse()?]);
///
/// let refused = Network::new(wide.clone()).unwrap_err();
/// assert!(matches!(refused.fault, NetworkFault::Overlap { .. }));
/// assert_eq!(*refused.spec, wide);
///
/// let network = Network::new(spec.with_prefixes(vec!["10.1.0.0/16".parse()?]))?;
/// assert_eq!(network.spec().vni.number(), 300);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "NetworkSpec", into = "NetworkSpec"))]
pub struct Network(Arc<NetworkSpec>);

impl Network {
    /// Checks a network.
    ///
    /// Prefixes are not corrected: one with bits behind its length is refused, since it is rather a
    /// slip than a prefix, and so is an IPv4 prefix spelt as an IPv6 one.
    ///
    /// # Errors
    /// When a prefix is not in canonical form, two of the network's own overlap, it names itself, it
    /// names a peer twice, or it exports what does not lie in one of its own prefixes.
    pub fn new(spec: NetworkSpec) -> Result<Self, NetworkError> {
        match check(&spec) {
            Ok(()) => Ok(Self(Arc::new(arrange(spec)))),
            Err(fault) => Err(NetworkError { spec: Box::new(spec), fault }),
        }
    }

    /// What was checked.
    #[must_use]
    pub fn spec(&self) -> &NetworkSpec {
        &self.0
    }

    /// How it names a peer.
    pub(super) fn peering(&self, peer: &NetworkUid) -> Option<&PeeringSpec> {
        let peerings = &self.0.peerings;
        let at = peerings.binary_search_by(|peering| peering.peer.cmp(peer)).ok()?;
        peerings.get(at)
    }
}

impl TryFrom<NetworkSpec> for Network {
    type Error = NetworkError;

    fn try_from(spec: NetworkSpec) -> Result<Self, NetworkError> {
        Self::new(spec)
    }
}

impl From<Network> for NetworkSpec {
    fn from(network: Network) -> Self {
        Arc::unwrap_or_clone(network.0)
    }
}

/// A spec that does not make a [`Network`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("network {} is refused: {fault}", .spec.uid)]
#[non_exhaustive]
pub struct NetworkError {
    /// The refused spec, as it came.
    pub spec: Box<NetworkSpec>,
    /// What is wrong with it.
    pub fault: NetworkFault,
}

/// What is wrong with a [`NetworkSpec`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkFault {
    /// A prefix is not written in the one way in which prefixes are compared.
    #[error("prefix {prefix} is not in canonical form; write {expected} if you mean that")]
    Form {
        /// The prefix.
        prefix: IpNet,
        /// The prefix without bits behind its length, and IPv4 if it is one in disguise.
        expected: IpNet,
    },
    /// Two of the network's own prefixes overlap, or are equal.
    #[error("its prefixes {first} and {second} overlap; keep one of them")]
    Overlap {
        /// The wider, if one is.
        first: IpNet,
        /// The other.
        second: IpNet,
    },
    /// The network names itself.
    #[error("it names itself as a peer; leave that out")]
    Itself,
    /// The network names a peer twice.
    #[error("it names peer {peer} twice; join the two peerings")]
    Twice {
        /// The peer.
        peer: NetworkUid,
    },
    /// The network exports addresses that are not its own.
    #[error("it exports {prefix} to peer {peer}, which lies in none of its prefixes; narrow it")]
    Export {
        /// The peer.
        peer: NetworkUid,
        /// The exported prefix.
        prefix: IpNet,
    },
}

fn check(spec: &NetworkSpec) -> Result<(), NetworkFault> {
    let filters = spec.peerings.iter().flat_map(|peering| [&peering.exports, &peering.imports]);
    for &prefix in spec.prefixes.iter().chain(filters.flat_map(PrefixFilter::listed)) {
        let expected = prefixes::canonical(prefix);
        if prefix != expected {
            return Err(NetworkFault::Form { prefix, expected });
        }
    }

    let mut own = spec.prefixes.clone();
    own.sort_unstable();
    // A prefix sorts before all that it contains, and nothing else comes between them.
    for (&first, &second) in own.iter().zip(own.iter().skip(1)) {
        if first.contains(&second) {
            return Err(NetworkFault::Overlap { first, second });
        }
    }

    let mut peers: Vec<_> = spec.peerings.iter().map(|peering| &peering.peer).collect();
    peers.sort_unstable();
    if peers.binary_search(&&spec.uid).is_ok() {
        return Err(NetworkFault::Itself);
    }
    if let Some((&peer, _)) = peers.iter().zip(peers.iter().skip(1)).find(|(a, b)| a == b) {
        return Err(NetworkFault::Twice { peer: peer.clone() });
    }

    for PeeringSpec { peer, exports, .. } in &spec.peerings {
        if let Some(&prefix) =
            exports.listed().iter().find(|prefix| !prefixes::covers(&own, prefix))
        {
            return Err(NetworkFault::Export { peer: peer.clone(), prefix });
        }
    }
    Ok(())
}

/// Brings a checked spec into its one order.
fn arrange(mut spec: NetworkSpec) -> NetworkSpec {
    spec.prefixes.sort_unstable();
    spec.peerings.sort_unstable_by(|a, b| a.peer.cmp(&b.peer));
    for PeeringSpec { exports, imports, .. } in &mut spec.peerings {
        for filter in [exports, imports] {
            if let PrefixFilter::Only(list) = filter {
                prefixes::simplify(list);
            }
        }
    }
    spec
}
