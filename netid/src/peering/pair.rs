//! What two networks are to each other, and which third ones that does not concern.

use alloc::vec::Vec;

use super::network::Network;
use super::prefixes;
use super::spec::{NetworkSpec, PeeringSpec};
use super::status::{PeeringFault, PeeringStatus, PendingReason, Reach};
use super::uid::NetworkUid;

/// The peer's side of a peering that is ready, or how it stands otherwise.
///
/// Whether both named each other comes first: a network that names a stranger learns nothing about the
/// stranger's VNI and prefixes.
pub(super) fn agree<'a>(
    ours: &Network,
    peer: Option<&'a Network>,
) -> Result<(&'a NetworkSpec, &'a PeeringSpec), PeeringStatus> {
    let Some(peer) = peer else {
        return Err(PeeringStatus::Pending(PendingReason::UnknownPeer));
    };
    let (ours, theirs) = (ours.spec(), peer.spec());
    let Some(back) = peer.peering(&ours.uid) else {
        return Err(PeeringStatus::Pending(PendingReason::NotNamed));
    };
    if ours.vni == theirs.vni {
        return Err(PeeringStatus::Error(PeeringFault::SameVni { vni: ours.vni }));
    }
    // All prefixes count, not only those that a filter lets through: filters are changed more easily
    // than addresses.
    match prefixes::overlaps(&ours.prefixes, &theirs.prefixes).next() {
        Some((ours, theirs)) => Err(PeeringStatus::Error(PeeringFault::Overlap { ours, theirs })),
        None => Ok((theirs, back)),
    }
}

/// How one of a network's peerings stands, with nothing withheld yet.
pub(super) fn status(
    ours: &Network,
    peering: &PeeringSpec,
    peer: Option<&Network>,
) -> PeeringStatus {
    match agree(ours, peer) {
        Ok((theirs, back)) => {
            let exported = back.exports.apply(&theirs.prefixes);
            let prefixes = peering.imports.apply(&exported).into_owned();
            PeeringStatus::Ready(Reach { vni: theirs.vni, prefixes, withheld: Vec::new() })
        }
        Err(status) => status,
    }
}

/// The peers that see a network differently once it is replaced by another of the same uid.
///
/// `find` is the only way to other networks. It is asked at most once for each peer that the old or the
/// new one names: a network that neither of them names waits to be named, before as after.
pub(super) fn affected<'a>(
    old: &Network,
    new: &Network,
    mut find: impl FnMut(&NetworkUid) -> Option<&'a Network>,
) -> Vec<NetworkUid> {
    let (was, is) = (old.spec(), new.spec());
    let alike = was.vni == is.vni && was.prefixes == is.prefixes;
    let added = is.peerings.iter().filter(|peering| old.peering(&peering.peer).is_none());
    let mut differs = |uid: &NetworkUid| {
        let (before, after) = (old.peering(uid), new.peering(uid));
        // Imports change what this network sees, not what the peer sees.
        if alike && before.map(|it| &it.exports) == after.map(|it| &it.exports) {
            return false;
        }
        let Some(peer) = find(uid) else { return false };
        peer.peering(&is.uid).is_some_and(|peering| {
            status(peer, peering, Some(old)) != status(peer, peering, Some(new))
        })
    };
    let peers = was.peerings.iter().chain(added).map(|peering| &peering.peer);
    peers.filter(|peer| differs(peer)).cloned().collect()
}
