//! Networks beside a naive model, which works everything out again from all specs after each change.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use netid::{
    Network, NetworkSpec, NetworkUid, PeeringFault, PeeringSpec, PeeringStatus, Peerings,
    PendingReason, PrefixFilter, Vni,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;

/// How many networks there are at most.
pub(crate) const NETWORKS: usize = 5;

pub(crate) fn uid(number: usize) -> NetworkUid {
    NetworkUid::new(&format!("n{number}")).unwrap()
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn vni(number: u32) -> Vni {
    Vni::new(number).unwrap()
}

/// What the model says of a peering. `Ready` lists what is reached and what is withheld.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Unknown,
    NotNamed,
    SameVni(Vni),
    Overlap(IpNet, IpNet),
    Ready(Vni, Vec<IpNet>, Vec<IpNet>),
}

impl From<&PeeringStatus> for Seen {
    fn from(status: &PeeringStatus) -> Self {
        match status {
            PeeringStatus::Pending(PendingReason::UnknownPeer) => Self::Unknown,
            PeeringStatus::Pending(PendingReason::NotNamed) => Self::NotNamed,
            PeeringStatus::Error(PeeringFault::SameVni { vni }) => Self::SameVni(*vni),
            PeeringStatus::Error(PeeringFault::Overlap { ours, theirs }) => {
                Self::Overlap(*ours, *theirs)
            }
            PeeringStatus::Ready(reach) => Self::Ready(
                reach.vni,
                reach.prefixes.clone(),
                reach.withheld.iter().map(|withheld| withheld.prefix).collect(),
            ),
            other => panic!("{other:?} is new"),
        }
    }
}

/// The index and the specs that it was given.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) index: Peerings,
    pub(crate) specs: BTreeMap<NetworkUid, NetworkSpec>,
}

type Statuses = BTreeMap<NetworkUid, BTreeMap<NetworkUid, PeeringStatus>>;

impl World {
    /// The world of these networks, one after the other, each step checked.
    pub(crate) fn of(specs: impl IntoIterator<Item = NetworkSpec>) -> Self {
        let mut world = Self::default();
        for spec in specs {
            world.put(spec);
        }
        world
    }

    /// Puts a network, and checks everything.
    pub(crate) fn put(&mut self, spec: NetworkSpec) {
        let before = self.statuses();
        let network = Network::new(spec.clone()).unwrap();
        let uid = spec.uid.clone();
        let same = self.index.network(&uid) == Some(&network);
        let touched = self.index.put(network);
        self.specs.insert(uid.clone(), spec);
        self.check(&before, &touched, (!same).then_some(uid));
    }

    /// Removes a network, and checks everything.
    pub(crate) fn remove(&mut self, uid: &NetworkUid) {
        let before = self.statuses();
        let touched = self.index.remove(uid);
        let known = self.specs.remove(uid).is_some();
        self.check(&before, &touched, known.then(|| uid.clone()));
    }

    /// Checks that those were touched whose statuses changed, besides the network that did, and that
    /// the index agrees with the model.
    fn check(&self, before: &Statuses, touched: &[NetworkUid], changed: Option<NetworkUid>) {
        let after = self.statuses();
        let uids: BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
        let differ = uids.into_iter().filter(|uid| before.get(uid) != after.get(uid));
        let expected: BTreeSet<_> = differ.chain(changed).collect();
        assert!(touched.iter().eq(&expected), "{touched:?} instead of {expected:?}: {self:?}");

        let known = self.index.networks().map(|network| &network.spec().uid);
        assert!(known.eq(self.specs.keys()));
        for (uid, statuses) in &after {
            let spec = &self.specs[uid];
            let seen: BTreeMap<_, _> =
                statuses.iter().map(|(peer, status)| (peer.clone(), status.into())).collect();
            assert_eq!(seen, self.model(spec), "as seen by {uid}: {self:?}");
            let ids: BTreeSet<_> =
                statuses.values().filter_map(|status| Some(status.reach()?.vni)).collect();
            assert!(self.index.peered_ids(uid).iter().eq(&ids));
            for (peer, status) in statuses {
                for withheld in status.reach().into_iter().flat_map(|reach| &reach.withheld) {
                    assert!(
                        overlap(&withheld.prefix, &withheld.rival_prefix)
                            && withheld.rival != *peer
                    );
                    let rival = statuses[&withheld.rival].reach().unwrap();
                    assert!(
                        rival.withheld.iter().any(|other| other.prefix == withheld.rival_prefix)
                    );
                }
            }
        }
    }

    pub(crate) fn statuses(&self) -> Statuses {
        self.specs.keys().map(|uid| (uid.clone(), self.index.statuses(uid))).collect()
    }

    /// What a network sees, by going through everything.
    fn model(&self, ours: &NetworkSpec) -> BTreeMap<NetworkUid, Seen> {
        let judge = |peering: &PeeringSpec| {
            let Some(theirs) = self.specs.get(&peering.peer) else { return Seen::Unknown };
            let Some(back) = theirs.peerings.iter().find(|back| back.peer == ours.uid) else {
                return Seen::NotNamed;
            };
            if ours.vni == theirs.vni {
                return Seen::SameVni(ours.vni);
            }
            let pairs =
                ours.prefixes.iter().flat_map(|a| theirs.prefixes.iter().map(move |b| (a, b)));
            let common = pairs.filter(|(a, b)| overlap(a, b));
            if let Some((a, b)) = common.min_by_key(|(a, b)| longer(**a, **b)) {
                return Seen::Overlap(*a, *b);
            }
            Seen::Ready(theirs.vni, offered(theirs, back, peering), Vec::new())
        };
        let mut seen: BTreeMap<_, _> =
            ours.peerings.iter().map(|peering| (peering.peer.clone(), judge(peering))).collect();
        let offers: Vec<_> = seen
            .iter()
            .flat_map(|(peer, seen)| match seen {
                Seen::Ready(_, offered, _) => {
                    offered.iter().map(|it| (peer.clone(), *it)).collect()
                }
                _ => Vec::new(),
            })
            .collect();
        for (peer, seen) in &mut seen {
            if let Seen::Ready(_, reached, withheld) = seen {
                let contested = |prefix: &IpNet| {
                    offers.iter().any(|(other, offer)| other != peer && overlap(prefix, offer))
                };
                (*withheld, *reached) = reached.iter().partition(|prefix| contested(prefix));
            }
        }
        seen
    }
}

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.specs.values()).finish()
    }
}

/// What a peering offers: the longest of every three prefixes that overlap, and of those the widest.
fn offered(theirs: &NetworkSpec, back: &PeeringSpec, peering: &PeeringSpec) -> Vec<IpNet> {
    let everything = [net("0.0.0.0/0"), net("::/0")];
    let list = |filter: &PrefixFilter| match filter {
        PrefixFilter::All => everything.to_vec(),
        PrefixFilter::Only(list) => list.clone(),
    };
    let mut all = BTreeSet::new();
    for &own in &theirs.prefixes {
        for export in list(&back.exports) {
            for import in list(&peering.imports) {
                if overlap(&own, &export) && overlap(&export, &import) && overlap(&own, &import) {
                    all.insert(longer(longer(own, export), import));
                }
            }
        }
    }
    let widest = |prefix: &&IpNet| !all.iter().any(|it| it != *prefix && it.contains(*prefix));
    all.iter().filter(widest).copied().collect()
}

/// Whether two prefixes have an address in common, by their first and last ones.
pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    let ends = |prefix: &IpNet| -> (IpAddr, IpAddr) { (prefix.network(), prefix.broadcast()) };
    let ((a, a_last), (b, b_last)) = (ends(a), ends(b));
    a.is_ipv4() == b.is_ipv4() && a <= b_last && b <= a_last
}

fn longer(a: IpNet, b: IpNet) -> IpNet {
    if a.prefix_len() < b.prefix_len() { b } else { a }
}

/// Those prefixes that do not overlap one that comes before.
pub(crate) fn apart(drawn: Vec<IpNet>) -> Vec<IpNet> {
    let mut prefixes: Vec<IpNet> = Vec::new();
    for prefix in drawn {
        if !prefixes.iter().any(|other| overlap(other, &prefix)) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

/// A prefix in the block of one network: 16 addresses of IPv4 or IPv6.
fn prefix_of(block: impl Strategy<Value = usize>) -> impl Strategy<Value = IpNet> {
    (block, any::<bool>(), 0..=4_u8, 0..16_u8).prop_map(|(block, v4, shift, offset)| {
        let low = u8::try_from(block).unwrap() * 16 + offset;
        let prefix = if v4 {
            IpNet::new([10, 0, 0, low].into(), 32 - shift)
        } else {
            IpNet::new([0xfd00, 0, 0, 0, 0, 0, 0, low.into()].into(), 128 - shift)
        };
        prefix.unwrap().trunc()
    })
}

/// Filters: everything, or a list, that may be empty, say things twice, or reach beyond a block.
fn imports() -> impl Strategy<Value = PrefixFilter> {
    let wide =
        prop_oneof![Just(net("10.0.0.0/27")), Just(net("0.0.0.0/0")), Just(net("fd00::/120"))];
    let listed = prop_oneof![4 => prefix_of(0..=NETWORKS), 1 => wide];
    prop_oneof![
        3 => Just(PrefixFilter::All),
        2 => vec(listed, 0..6).prop_map(PrefixFilter::Only),
    ]
}

/// A peering to be, with which of the own prefixes are exported and how much they are narrowed.
type Draft = (Option<Vec<(Index, u8)>>, PrefixFilter);

fn draft() -> impl Strategy<Value = Draft> {
    (option::weighted(0.4, vec((any::<Index>(), 0..3_u8), 0..4)), imports())
}

/// A valid network of a number. Most have a VNI and addresses of their own, some stray into the block of
/// another one, or into one that is nobody's, where only those who do are in each other's way.
fn spec(number: usize) -> impl Strategy<Value = NetworkSpec> {
    let own = u32::try_from(number).unwrap() + 300;
    let vni_of = prop_oneof![9 => Just(own), 1 => 300..305_u32].prop_map(vni);
    let block = prop_oneof![9 => Just(number), 1 => 0..NETWORKS, 2 => Just(NETWORKS)];
    let peers = vec(option::weighted(0.8, draft()), NETWORKS);
    (vni_of, vec(prefix_of(block), 0..6), peers, "[ab]").prop_map(
        move |(vni, drawn, peers, name)| {
            let prefixes = apart(drawn);
            let export = |(index, by): (Index, u8)| {
                let own = (!prefixes.is_empty()).then(|| *index.get(&prefixes))?;
                let len = (own.prefix_len() + by).min(own.max_prefix_len());
                Some(IpNet::new(own.broadcast(), len).unwrap().trunc())
            };
            let peerings = peers.into_iter().enumerate().filter(|(peer, _)| *peer != number);
            let mut peerings: Vec<_> = peerings
                .filter_map(|(peer, draft)| {
                    let (exports, imports) = draft?;
                    let exports = exports.map_or(PrefixFilter::All, |list| {
                        PrefixFilter::Only(list.into_iter().filter_map(export).collect())
                    });
                    Some(PeeringSpec::new(uid(peer)).with_exports(exports).with_imports(imports))
                })
                .collect();
            peerings.reverse();
            let mut spec = NetworkSpec::new(uid(number), vni).with_name(&name);
            spec.peerings = peerings;
            spec.with_prefixes(prefixes)
        },
    )
}

/// Any network.
pub(crate) fn any_spec() -> impl Strategy<Value = NetworkSpec> {
    (0..NETWORKS).prop_flat_map(spec)
}

/// Every network once.
pub(crate) fn each_once() -> impl Strategy<Value = Vec<NetworkSpec>> {
    (0..NETWORKS).map(spec).collect::<Vec<_>>()
}
