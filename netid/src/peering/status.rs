use alloc::vec::Vec;
use core::fmt;

use ipnet::IpNet;
use thiserror::Error;

use super::uid::NetworkUid;
use crate::vni::Vni;

/// How a peering stands, as seen by one of the two networks.
///
/// A peering is ready for one network if and only if it is for the other, and so it is with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeeringStatus {
    /// Something has to happen first.
    Pending(PendingReason),
    /// Both networks agreed.
    Ready(Reach),
    /// Both networks agreed, and it is refused all the same.
    Error(PeeringFault),
}

impl PeeringStatus {
    /// What is reached if it is ready.
    #[must_use]
    pub const fn reach(&self) -> Option<&Reach> {
        match self {
            Self::Ready(reach) => Some(reach),
            Self::Pending(_) | Self::Error(_) => None,
        }
    }
}

impl fmt::Display for PeeringStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending(reason) => write!(f, "pending: {reason}"),
            Self::Ready(_) => f.write_str("ready"),
            Self::Error(fault) => write!(f, "error: {fault}"),
        }
    }
}

/// What a peering waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PendingReason {
    /// There is no network of this uid.
    #[error(
        "no network with the peer's uid is known; wait for it, or name the new uid if it was made again"
    )]
    UnknownPeer,
    /// The peer does not name this network. Nothing of the peer is told before it does.
    #[error("the peer does not name this network; let it name this network's uid")]
    NotNamed,
}

/// Why two networks that agreed are not peered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeeringFault {
    /// They have one VNI, so nothing tells them apart.
    #[error("both networks have VNI {vni}; give each its own")]
    SameVni {
        /// The VNI.
        vni: Vni,
    },
    /// They have addresses in common, exported or not. If there are several such pairs of prefixes,
    /// this is the one with the lowest common address.
    #[error("our {ours} overlaps their {theirs}; renumber one of the two")]
    Overlap {
        /// A prefix of the network whose view this is.
        ours: IpNet,
        /// A prefix of its peer.
        theirs: IpNet,
    },
}

/// What a network reaches through a ready peering.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reach {
    /// The peer's VNI.
    pub vni: Vni,
    /// What is reached of the peer: ascending, without overlap, also with what is reached through
    /// other peerings of the same network.
    pub prefixes: Vec<IpNet>,
    /// What would be reached too if another peer did not offer the same addresses, ascending.
    pub withheld: Vec<Withheld>,
}

/// A prefix that is not reached because two peers offer it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Withheld {
    /// The prefix of this peer.
    pub prefix: IpNet,
    /// One other peer whose prefix overlaps it.
    pub rival: NetworkUid,
    /// That peer's prefix, which is withheld as well.
    pub rival_prefix: IpNet,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, rival, rival_prefix } = self;
        write!(
            f,
            "{prefix} is withheld: it overlaps {rival_prefix} of peer {rival}; import only one of them"
        )
    }
}
