//! Peerings against the naive model: small worlds completely, larger ones at random.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use ipnet::IpNet;
use netid::{NetworkSpec, PeeringSpec, PrefixFilter};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::peering_world::{
    NETWORKS, Seen, World, any_spec, apart, each_once, net, overlap, uid, vni,
};

/// What the prefixes and VNIs of three networks can be to one another.
const LAYOUTS: [[(u32, &[&str]); 3]; 6] = [
    // All apart.
    [(1, &["10.0.0.0/24", "fd00::/64"]), (2, &["10.0.1.0/24"]), (3, &["10.0.2.0/24"])],
    // The first two overlap.
    [(1, &["10.0.0.0/16"]), (2, &["10.0.1.0/24", "10.9.0.0/16"]), (3, &["10.2.0.0/24"])],
    // The first overlaps both others, which are apart.
    [(1, &["10.0.0.0/8"]), (2, &["10.0.1.0/24"]), (3, &["10.0.2.0/24"])],
    // The first is between two that overlap, so that it cannot tell where to send.
    [
        (1, &["10.0.0.0/24"]),
        (2, &["10.1.0.0/16", "10.2.0.0/16"]),
        (3, &["10.1.7.0/24", "10.3.0.0/16"]),
    ],
    // All are the same.
    [(1, &["10.0.0.0/24"]), (2, &["10.0.0.0/24"]), (3, &["10.0.0.0/24"])],
    // Two have one VNI, and one has nothing to reach.
    [(1, &["10.0.0.0/24"]), (1, &["10.0.1.0/24"]), (2, &[])],
];

/// Network `number` of a layout, that names others: bit 0 the next one, bit 1 the one after.
fn network(layout: &[(u32, &[&str]); 3], number: usize, names: usize) -> NetworkSpec {
    let (id, prefixes) = layout[number];
    let spec = NetworkSpec::new(uid(number), vni(id))
        .with_prefixes(prefixes.iter().map(|prefix| net(prefix)).collect());
    (0..2)
        .filter(|bit| names >> bit & 1 == 1)
        .fold(spec, |spec, bit| spec.with_peering(PeeringSpec::new(uid((number + 1 + bit) % 3))))
}

#[test]
fn three_networks_that_name_each_other_in_every_way_and_come_in_every_order() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for layout in &LAYOUTS {
        for edges in 0..64_usize {
            let worlds = orders
                .map(|order| World::of(order.map(|it| network(layout, it, edges >> (2 * it) & 3))));
            for world in &worlds {
                assert_eq!(world.statuses(), worlds[0].statuses());
            }
        }
    }
}

#[test]
fn every_change_of_three_networks() {
    let mut changes = 0;
    for (at, layout) in LAYOUTS.iter().enumerate() {
        let other = &LAYOUTS[(at + 1) % LAYOUTS.len()];
        for edges in 0..64_usize {
            let old: Vec<_> = (0..3).map(|it| network(layout, it, edges >> (2 * it) & 3)).collect();
            let mut world = World::of(old.clone());
            for (number, old) in old.iter().enumerate() {
                for names in 0..4 {
                    let nothing = |mut spec: NetworkSpec| {
                        for peering in &mut spec.peerings {
                            peering.exports = PrefixFilter::Only(Vec::new());
                        }
                        spec
                    };
                    world.put(network(layout, number, names));
                    world.put(nothing(network(layout, number, names)));
                    world.put(network(other, number, names));
                    world.put(old.clone());
                    changes += 4;
                }
                world.remove(&uid(number));
                world.remove(&uid(number));
                world.put(old.clone());
            }
        }
    }
    assert_eq!(changes, 6 * 64 * 3 * 4 * 4);
}

#[derive(Clone, Debug)]
enum Step {
    Put(NetworkSpec),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => any_spec().prop_map(Step::Put),
        1 => (0..NETWORKS).prop_map(Step::Remove),
    ]
}

/// A network with prefixes anywhere among 16,384 addresses of either family, and such imports.
fn long(number: usize) -> impl Strategy<Value = NetworkSpec> {
    let prefix = (any::<bool>(), 0..0x4000_u16, 0..11_u8).prop_map(|(v4, low, shift)| {
        let prefix = if v4 {
            IpNet::new(Ipv4Addr::from_bits(0x0a00_0000 | u32::from(low)).into(), 32 - shift)
        } else {
            IpNet::new([0xfd00, 0, 0, 0, 0, 0, 0, low].into(), 128 - shift)
        };
        prefix.unwrap().trunc()
    });
    let own = prop_oneof![vec(prefix.clone(), 0..3), vec(prefix.clone(), 20..90)];
    let filter = prop_oneof![Just(None), vec(prefix, 0..90).prop_map(Some)];
    (own, filter).prop_map(move |(own, filter)| {
        let filter = filter.map_or(PrefixFilter::All, PrefixFilter::Only);
        let peer = PeeringSpec::new(uid(1 - number)).with_imports(filter);
        NetworkSpec::new(uid(number), vni(300 + u32::try_from(number).unwrap()))
            .with_prefixes(apart(own))
            .with_peering(peer)
    })
}

/// The random worlds are worth something only if everything happens in them.
#[test]
fn random_worlds_hold_every_state() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for round in 0..200 {
        let mut specs = each_once().new_tree(&mut runner).unwrap().current();
        specs.truncate(NETWORKS - round % 2);
        for (_, statuses) in World::of(specs).statuses() {
            for status in statuses.values() {
                let kind = match status.into() {
                    Seen::Unknown => "unknown",
                    Seen::NotNamed => "not named",
                    Seen::SameVni(_) => "same VNI",
                    Seen::Overlap(..) => "overlap",
                    Seen::Ready(_, reached, withheld) => match (reached.len(), withheld.len()) {
                        (0, 0) => "ready, nothing",
                        (_, 0) => "ready",
                        (0, _) => "ready, all withheld",
                        (_, _) => "ready, some withheld",
                    },
                };
                *seen.entry(kind).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(seen.values().all(|count| *count >= 5), "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_sequence_of_changes(first in each_once(), steps in vec(step(), 1..40)) {
        let mut world = World::of(first);
        for step in steps {
            match step {
                Step::Put(spec) => world.put(spec),
                Step::Remove(number) => world.remove(&uid(number)),
            }
        }
    }

    #[test]
    fn long_lists(ours in long(0), theirs in long(1), apart in any::<bool>()) {
        let mut theirs = theirs;
        if apart {
            theirs.prefixes.retain(|prefix| !ours.prefixes.iter().any(|it| overlap(it, prefix)));
        }
        let mut world = World::of([ours.clone(), theirs]);
        world.put(ours.with_prefixes(Vec::new()));
    }
}
