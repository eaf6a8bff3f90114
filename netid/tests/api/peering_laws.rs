//! What holds for any networks.

use std::collections::BTreeSet;

use ipnet::IpNet;
use netid::{Network, NetworkSpec, NetworkUid, PeeringStatus, Peerings, PrefixFilter};
use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy as _, any, prop_assert, prop_assert_eq, proptest,
};

use crate::peering::known;
use crate::peering_world::{NETWORKS, World, any_spec, each_once, overlap, uid};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn ready_and_error_are_mutual(specs in vec(any_spec(), 1..9)) {
        let world = World::of(specs);
        for (ours, statuses) in world.statuses() {
            for (peer, status) in statuses {
                let back = world.index.statuses(&peer).remove(&ours);
                let ready = |status: &PeeringStatus| status.reach().is_some();
                prop_assert_eq!(ready(&status), back.as_ref().is_some_and(ready));
                let failed = |status: &PeeringStatus| matches!(status, PeeringStatus::Error(_));
                prop_assert_eq!(failed(&status), back.as_ref().is_some_and(failed));
                let ids = (world.specs[&ours].vni, world.specs.get(&peer).map(|spec| spec.vni));
                if let (true, (our_id, Some(peer_id))) = (ready(&status), ids) {
                    prop_assert!(world.index.peered_ids(&ours).contains(&peer_id));
                    prop_assert!(world.index.peered_ids(&peer).contains(&our_id));
                }
            }
        }
    }

    #[test]
    fn nothing_leaks(specs in vec(any_spec(), 1..9)) {
        let world = World::of(specs);
        for (uid, statuses) in world.statuses() {
            let ours = &world.specs[&uid];
            let mut reached: Vec<IpNet> = Vec::new();
            for (peer, status) in &statuses {
                let Some(reach) = status.reach() else { continue };
                let theirs = &world.specs[peer];
                let passes = |prefix: &IpNet, from: &NetworkSpec, to: &NetworkUid, exports: bool| {
                    let peering = from.peerings.iter().find(|peering| peering.peer == *to).unwrap();
                    match if exports { &peering.exports } else { &peering.imports } {
                        PrefixFilter::All => true,
                        PrefixFilter::Only(list) => list.iter().any(|it| it.contains(prefix)),
                    }
                };
                let withheld = reach.withheld.iter().map(|withheld| &withheld.prefix);
                for prefix in reach.prefixes.iter().chain(withheld) {
                    prop_assert!(theirs.prefixes.iter().any(|it| it.contains(prefix)));
                    prop_assert!(passes(prefix, theirs, &uid, true) && passes(prefix, ours, peer, false));
                    prop_assert!(!ours.prefixes.iter().any(|it| overlap(it, prefix)));
                }
                prop_assert!(reach.prefixes.is_sorted());
                reached.extend(&reach.prefixes);
            }
            for (at, prefix) in reached.iter().enumerate() {
                prop_assert!(!reached[..at].iter().any(|other| overlap(other, prefix)));
            }
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        (specs, order) in each_once().prop_flat_map(|specs| (Just(specs.clone()), Just(specs).prop_shuffle())),
        gone in 0..NETWORKS,
    ) {
        let build = |specs: &[NetworkSpec]| known(specs.iter().cloned());
        let (first, mut second) = (build(&specs), build(&order));
        // One that goes and comes back leaves no trace.
        let network = second.network(&uid(gone)).unwrap().clone();
        let (left, returned) = (second.remove(&uid(gone)), second.put(network));
        prop_assert_eq!(left, returned);
        for number in 0..NETWORKS {
            prop_assert_eq!(first.statuses(&uid(number)), second.statuses(&uid(number)));
        }
    }

    #[test]
    fn the_order_of_writing_does_not_matter(spec in any_spec(), twice in any::<bool>()) {
        let mut other = spec.clone();
        other.prefixes.reverse();
        other.peerings.reverse();
        for peering in &mut other.peerings {
            for filter in [&mut peering.exports, &mut peering.imports] {
                if let PrefixFilter::Only(list) = filter {
                    list.reverse();
                    if let (true, Some(first)) = (twice, list.first().copied()) {
                        list.push(first);
                    }
                }
            }
        }
        let (network, other) = (Network::new(spec).unwrap(), Network::new(other).unwrap());
        prop_assert_eq!(&network, &other);
        let mut peerings = Peerings::new();
        let uid = network.spec().uid.clone();
        prop_assert_eq!(peerings.put(network.clone()), [uid]);
        prop_assert!(peerings.put(other).is_empty());
        prop_assert_eq!(Network::new(network.spec().clone()), Ok(network));
    }

    #[test]
    fn sets_that_are_taken_are_sets(spec in any_spec()) {
        let spec = NetworkSpec::from(Network::new(spec).unwrap());
        let filters = spec.peerings.iter().flat_map(|it| [&it.exports, &it.imports]);
        let lists = filters.filter_map(|filter| match filter {
            PrefixFilter::All => None,
            PrefixFilter::Only(list) => Some(list),
        });
        for list in lists.chain([&spec.prefixes]) {
            prop_assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
            prop_assert!(list.is_sorted());
            prop_assert!(list.iter().zip(list.iter().skip(1)).all(|(a, b)| !overlap(a, b)));
        }
    }
}
