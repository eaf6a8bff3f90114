use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use ipnet::IpNet;

use super::network::Network;
use super::pair;
use super::spec::PeeringSpec;
use super::status::{PeeringStatus, Withheld};
use super::uid::NetworkUid;
use crate::vni::Vni;

/// All known networks, and how their peerings stand.
///
/// # Rules
///
/// - Two networks are peered when each names the other, by uid. Names do not count: a network that was
///   made again under its old name is a stranger until somebody names its new uid.
/// - Two networks that have a VNI or addresses in common are not peered, whatever their filters let
///   through. Both see the error.
/// - A network reaches those of its peer's prefixes that the peer exports and it imports. Where two
///   prefixes overlap, the longer one counts.
/// - Peering is not passed on: the peer of a peer is not reached.
/// - If two peers of a network offer it overlapping prefixes, it could not tell where to send.
///   It reaches neither prefix, and both are listed as [withheld](super::Reach::withheld); its other prefixes,
///   the peerings themselves and what the peers reach of it stay as they are. To keep a peer that
///   grows from getting in the way of another, import only what is expected of it.
///
/// The last rule is settled within one network. An error on the peerings instead would have to be one
/// on both sides, so that a change of one network would reach the peers of its peers.
///
/// # Cost
///
/// A change returns the networks that have to be looked at again, ascending and each once: the changed
/// one, and all others whose [`statuses`](Self::statuses) are different now, no more and no less.
/// To replace a network takes time for the peerings it had and has: each a search among all networks
/// and, if the peer may see a difference, a walk over the prefixes of the two. To insert or remove it
/// takes time for its peerings and for the networks that name it. No other network is looked at.
///
/// ```
/// use netid::{Network, NetworkSpec, NetworkUid, PeeringSpec, Peerings, Vni};
///
/// let [web, db] = [NetworkUid::new("u1")?, NetworkUid::new("u2")?];
/// let network = |uid: &NetworkUid, vni, prefix: &str, peer: &NetworkUid| {
///     let spec = NetworkSpec::new(uid.clone(), Vni::new(vni)?)
///         .with_prefixes(vec![prefix.parse()?])
///         .with_peering(PeeringSpec::new(peer.clone()));
///     Ok::<_, Box<dyn std::error::Error>>(Network::new(spec)?)
/// };
///
/// let mut peerings = Peerings::new();
/// assert_eq!(peerings.put(network(&web, 300, "10.1.0.0/16", &db)?), [web.clone()]);
/// assert!(peerings.statuses(&web)[&db].to_string().starts_with("pending: no network"));
///
/// assert_eq!(peerings.put(network(&db, 301, "10.2.0.0/16", &web)?), [web.clone(), db.clone()]);
/// let statuses = peerings.statuses(&web);
/// let reach = statuses[&db].reach().expect("each names the other");
/// assert_eq!(reach.prefixes, ["10.2.0.0/16".parse()?]);
/// assert_eq!(peerings.peered_ids(&web), [Vni::new(301)?]);
///
/// assert_eq!(peerings.remove(&db), [web.clone(), db]);
/// assert!(peerings.peered_ids(&web).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Peerings {
    networks: BTreeMap<NetworkUid, Network>,
    /// The known networks that name a uid, for every uid that somebody names. No set is empty.
    named_by: BTreeMap<NetworkUid, BTreeSet<NetworkUid>>,
}

impl Peerings {
    /// No networks.
    #[must_use]
    pub const fn new() -> Self {
        Self { networks: BTreeMap::new(), named_by: BTreeMap::new() }
    }

    /// Inserts a network, or replaces the one of the same uid. Returns the networks that have to be
    /// looked at again: none if it was there already.
    #[must_use = "the networks have to be looked at again"]
    pub fn put(&mut self, network: Network) -> Vec<NetworkUid> {
        let uid = network.spec().uid.clone();
        let old = self.networks.get(&uid).cloned();
        if old.as_ref() == Some(&network) {
            return Vec::new();
        }
        let others = match &old {
            Some(old) => pair::affected(old, &network, |peer| self.networks.get(peer)),
            None => self.named_by(&uid),
        };
        if let Some(old) = &old {
            self.forget(old);
        }
        for PeeringSpec { peer, .. } in &network.spec().peerings {
            self.named_by.entry(peer.clone()).or_default().insert(uid.clone());
        }
        self.networks.insert(uid.clone(), network);
        with(others, uid)
    }

    /// Removes a network. Returns the networks that have to be looked at again: the removed one among
    /// them, or none if it was not there.
    #[must_use = "the networks have to be looked at again"]
    pub fn remove(&mut self, uid: &NetworkUid) -> Vec<NetworkUid> {
        let Some((uid, network)) = self.networks.remove_entry(uid) else {
            return Vec::new();
        };
        self.forget(&network);
        with(self.named_by(&uid), uid)
    }

    /// The network of a uid.
    #[must_use]
    pub fn network(&self, uid: &NetworkUid) -> Option<&Network> {
        self.networks.get(uid)
    }

    /// All networks, ascending by uid.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// How each peering of a network stands, by the uid of the peer. There are none if the network is
    /// not known.
    #[must_use]
    pub fn statuses(&self, uid: &NetworkUid) -> BTreeMap<NetworkUid, PeeringStatus> {
        let each = self
            .peers(uid)
            .map(|(ours, peering, peer)| (peering.peer.clone(), pair::status(ours, peering, peer)));
        let mut statuses = each.collect();
        withhold(&mut statuses);
        statuses
    }

    /// The VNIs of a network's ready peers, ascending and each once.
    #[must_use]
    pub fn peered_ids(&self, uid: &NetworkUid) -> Vec<Vni> {
        let ready = self.peers(uid).filter_map(|(ours, _, peer)| pair::agree(ours, peer).ok());
        ready.map(|(theirs, _)| theirs.vni).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// A known network with each of its peerings, and the peer if that is known too.
    fn peers(
        &self,
        uid: &NetworkUid,
    ) -> impl Iterator<Item = (&Network, &PeeringSpec, Option<&Network>)> {
        self.networks.get(uid).into_iter().flat_map(move |ours| {
            let peerings = ours.spec().peerings.iter();
            peerings.map(move |peering| (ours, peering, self.networks.get(&peering.peer)))
        })
    }

    fn named_by(&self, uid: &NetworkUid) -> Vec<NetworkUid> {
        self.named_by.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Notes that a network names nobody any more.
    fn forget(&mut self, network: &Network) {
        let spec = network.spec();
        for PeeringSpec { peer, .. } in &spec.peerings {
            if let Some(uids) = self.named_by.get_mut(peer) {
                uids.remove(&spec.uid);
                if uids.is_empty() {
                    self.named_by.remove(peer);
                }
            }
        }
    }
}

impl fmt::Debug for Peerings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.networks()).finish()
    }
}

/// The uids and one more, in order.
fn with(mut uids: Vec<NetworkUid>, uid: NetworkUid) -> Vec<NetworkUid> {
    uids.push(uid);
    uids.sort_unstable();
    uids
}

/// Sets aside what two peers offer.
fn withhold(statuses: &mut BTreeMap<NetworkUid, PeeringStatus>) {
    let reaches = statuses.iter().filter_map(|(peer, status)| Some((peer, status.reach()?)));
    let mut offers: Vec<_> = reaches
        .flat_map(|(peer, reach)| reach.prefixes.iter().map(move |&prefix| (prefix, peer)))
        .collect();
    offers.sort_unstable();

    // A prefix stands before all that it contains, and what one peer offers does not overlap.
    let mut rivals: BTreeMap<(IpNet, NetworkUid), (IpNet, NetworkUid)> = BTreeMap::new();
    let mut wider: Option<(IpNet, &NetworkUid)> = None;
    for (prefix, peer) in offers {
        match wider {
            Some((wide, rival)) if wide.contains(&prefix) => {
                let (outer, inner) = ((wide, rival.clone()), (prefix, peer.clone()));
                rivals.insert(inner.clone(), outer.clone());
                rivals.entry(outer).or_insert(inner);
            }
            _ => wider = Some((prefix, peer)),
        }
    }
    for ((prefix, peer), (rival_prefix, rival)) in rivals {
        if let Some(PeeringStatus::Ready(reach)) = statuses.get_mut(&peer) {
            reach.withheld.push(Withheld { prefix, rival, rival_prefix });
        }
    }
    for status in statuses.values_mut() {
        if let PeeringStatus::Ready(reach) = status {
            let withheld = &reach.withheld;
            reach.prefixes.retain(|prefix| {
                withheld.binary_search_by(|withheld| withheld.prefix.cmp(prefix)).is_err()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;
    use core::net::Ipv4Addr;

    use ipnet::Ipv4Net;

    use super::*;
    use crate::peering::{NetworkSpec, PeeringSpec};

    /// How many networks there are besides the one that changes.
    const WORLD: u32 = 100_000;

    fn uid(number: u32) -> NetworkUid {
        NetworkUid::new(&format!("{number:06}")).unwrap()
    }

    /// A network with a prefix of its own, that names others.
    fn network(number: u32, peers: impl IntoIterator<Item = u32>) -> Network {
        let base = Ipv4Addr::from_bits(0x0a00_0000 | number << 4);
        let peerings = peers.into_iter().map(|peer| PeeringSpec::new(uid(peer))).collect();
        Network::new(NetworkSpec {
            prefixes: vec![Ipv4Net::new(base, 28).unwrap().into()],
            peerings,
            ..NetworkSpec::new(uid(number), Vni::new(number).unwrap())
        })
        .unwrap()
    }

    /// A ring in which each is peered with the next two on either side, and all name number 0.
    #[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
    fn world() -> Peerings {
        let mut world = Peerings::new();
        for number in 1..=WORLD {
            let near = [WORLD - 2, WORLD - 1, 1, 2].map(|by| (number - 1 + by) % WORLD + 1);
            let touched = world.put(network(number, near.into_iter().chain([0])));
            assert!(touched.len() <= 5, "{touched:?}");
        }
        world
    }

    #[test]
    fn a_change_looks_at_its_own_peerings_only() {
        let mut world = world();
        // Ten of the hundred thousand that name it are named back, and one that is not there.
        let known = [7, 20_000, 20_001, 33_333, 50_000, 61_000, 70_707, 88_888, 99_999, 100_000];
        let unknown = WORLD + 1;
        let inserted = world.put(network(0, known.into_iter().chain([unknown])));
        assert_eq!(inserted.len(), WORLD as usize + 1, "all waited for it");
        assert_eq!(world.peered_ids(&uid(0)).len(), known.len());

        let old = world.network(&uid(0)).unwrap().clone();
        let spec = old.spec().clone();
        let elsewhere = vec!["172.16.0.0/16".parse().unwrap()];
        let changes = [
            // Another name: no peer sees that, and none is asked.
            (spec.clone().with_name("other"), 0, vec![]),
            // Other prefixes: all that it names are asked, and only those.
            (spec.clone().with_prefixes(elsewhere), 11, known.to_vec()),
            // One more peer: that one is asked.
            (spec.with_peering(PeeringSpec::new(uid(5))), 1, vec![5]),
            // Other peers: those that it named and names are asked.
            (network(0, [5, 7]).into(), 11, [&[5], &known[1..]].concat()),
        ];
        for (spec, asked_for, touched) in changes {
            let new = Network::new(spec).unwrap();
            let mut asked = 0;
            let mut affected = pair::affected(&old, &new, |peer| {
                asked += 1;
                world.networks.get(peer)
            });
            affected.sort_unstable();
            let touched: Vec<_> = touched.into_iter().map(uid).collect();
            assert_eq!((asked, &affected), (asked_for, &touched));
            let touched = with(touched, uid(0));
            assert_eq!(world.put(new), touched);
            assert_eq!(world.put(old.clone()), touched, "and the way back");
        }
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut world = Peerings::new();
        for number in 0..50 {
            let _ = world.put(network(number, (0..60).filter(|peer| *peer != number)));
            let _ = world.put(network(number, (number + 1)..70));
        }
        assert_eq!(world.named_by.len(), 69);
        for number in 0..50 {
            assert!(world.remove(&uid(number)).contains(&uid(number)));
        }
        assert!(world.networks.is_empty() && world.named_by.is_empty());
    }
}
