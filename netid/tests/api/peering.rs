//! Peerings: the table of states, what is refused, limits and serialised forms.

use core::iter;

use ipnet::IpNet;
use netid::{
    Network, NetworkFault, NetworkSpec, NetworkUid, NetworkUidError, PeeringSpec, Peerings,
    PrefixFilter,
};

use crate::peering_world::{net, uid, vni};

fn only(prefixes: &[&str]) -> PrefixFilter {
    PrefixFilter::Only(prefixes.iter().map(|prefix| net(prefix)).collect())
}

/// A network that names others.
fn network(number: usize, id: u32, prefixes: &[&str], peers: &[usize]) -> NetworkSpec {
    let spec = NetworkSpec::new(uid(number), vni(id))
        .with_prefixes(prefixes.iter().map(|prefix| net(prefix)).collect());
    peers.iter().fold(spec, |spec, peer| spec.with_peering(PeeringSpec::new(uid(*peer))))
}

pub(crate) fn known(specs: impl IntoIterator<Item = NetworkSpec>) -> Peerings {
    let mut peerings = Peerings::new();
    for spec in specs {
        assert!(!peerings.put(Network::new(spec).unwrap()).is_empty());
    }
    peerings
}

fn shown(prefixes: &[IpNet]) -> String {
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// How a peering is told, with what is reached.
fn told(peerings: &Peerings, ours: usize, peer: usize) -> String {
    let statuses = peerings.statuses(&uid(ours));
    let status = &statuses[&uid(peer)];
    status.reach().map_or_else(
        || status.to_string(),
        |reach| {
            let reached = format!("{status}: {} by {}", shown(&reach.prefixes), reach.vni);
            let withheld = reach.withheld.iter().map(ToString::to_string);
            iter::once(reached).chain(withheld).collect::<Vec<_>>().join("; ")
        },
    )
}

#[test]
fn states_and_what_is_said_of_them() {
    let unknown = "pending: no network with the peer's uid is known; wait for it, or name the new uid \
                   if it was made again";
    let not_named = "pending: the peer does not name this network; let it name this network's uid";
    let ours = || network(0, 300, &["10.0.0.0/16", "fd00::/64"], &[1]);
    let theirs = |id, prefixes: &[&str]| network(1, id, prefixes, &[0]);
    let table = [
        (vec![ours()], vec![(0, 1, unknown)]),
        (vec![ours(), network(1, 301, &["10.1.0.0/16"], &[])], vec![(0, 1, not_named)]),
        // Nothing is told of a VNI or a prefix before both agreed.
        (
            vec![ours(), network(1, 300, &["10.0.0.0/16"], &[2])],
            vec![(0, 1, not_named), (1, 2, unknown)],
        ),
        (
            vec![ours(), theirs(301, &["10.1.0.0/16"])],
            vec![
                (0, 1, "ready: 10.1.0.0/16 by 301"),
                (1, 0, "ready: 10.0.0.0/16 fd00::/64 by 300"),
            ],
        ),
        (
            vec![ours(), theirs(301, &[])],
            vec![(0, 1, "ready:  by 301"), (1, 0, "ready: 10.0.0.0/16 fd00::/64 by 300")],
        ),
        (
            vec![ours(), theirs(300, &["10.0.0.0/16"])],
            vec![
                (0, 1, "error: both networks have VNI 300; give each its own"),
                (1, 0, "error: both networks have VNI 300; give each its own"),
            ],
        ),
        (
            vec![ours(), theirs(301, &["10.1.0.0/16", "10.0.9.0/24", "10.0.7.0/24"])],
            vec![
                (
                    0,
                    1,
                    "error: our 10.0.0.0/16 overlaps their 10.0.7.0/24; renumber one of the two",
                ),
                (
                    1,
                    0,
                    "error: our 10.0.7.0/24 overlaps their 10.0.0.0/16; renumber one of the two",
                ),
            ],
        ),
        (
            vec![ours(), theirs(301, &["fd00::/48"])],
            vec![
                (0, 1, "error: our fd00::/64 overlaps their fd00::/48; renumber one of the two"),
                (1, 0, "error: our fd00::/48 overlaps their fd00::/64; renumber one of the two"),
            ],
        ),
        (
            vec![
                network(0, 300, &["10.0.0.0/16"], &[1, 2]),
                theirs(301, &["10.1.0.0/16", "10.2.0.0/16"]),
                network(2, 302, &["10.1.7.0/24", "10.1.8.0/24", "10.3.0.0/16"], &[0]),
            ],
            vec![
                (
                    0,
                    1,
                    "ready: 10.2.0.0/16 by 301; 10.1.0.0/16 is withheld: it overlaps 10.1.7.0/24 of \
                     peer n2; import only one of them",
                ),
                (
                    0,
                    2,
                    "ready: 10.3.0.0/16 by 302; 10.1.7.0/24 is withheld: it overlaps 10.1.0.0/16 of \
                     peer n1; import only one of them; 10.1.8.0/24 is withheld: it overlaps \
                     10.1.0.0/16 of peer n1; import only one of them",
                ),
                (1, 0, "ready: 10.0.0.0/16 by 300"),
                (2, 0, "ready: 10.0.0.0/16 by 300"),
            ],
        ),
    ];
    for (specs, expected) in table {
        let peerings = known(specs.clone());
        for (ours, peer, text) in expected {
            assert_eq!(told(&peerings, ours, peer), text, "{ours} sees {peer} in {specs:?}");
        }
    }
}

#[test]
fn filters_let_through() {
    let table: &[(PrefixFilter, PrefixFilter, &str)] = &[
        (PrefixFilter::All, PrefixFilter::All, "10.1.0.0/16 10.3.0.0/16 fd01::/64"),
        (PrefixFilter::All, only(&[]), ""),
        (only(&[]), PrefixFilter::All, ""),
        (only(&["10.1.4.0/22"]), PrefixFilter::All, "10.1.4.0/22"),
        (only(&["10.1.4.0/22"]), only(&["10.1.0.0/16"]), "10.1.4.0/22"),
        (only(&["10.1.4.0/22"]), only(&["10.1.5.0/24", "10.1.9.0/24"]), "10.1.5.0/24"),
        (only(&["10.1.4.0/22"]), only(&["10.1.8.0/22"]), ""),
        (PrefixFilter::All, only(&["10.0.0.0/8"]), "10.1.0.0/16 10.3.0.0/16"),
        (PrefixFilter::All, only(&["10.1.0.0/24", "10.0.0.0/8"]), "10.1.0.0/16 10.3.0.0/16"),
        (PrefixFilter::All, only(&["::/0"]), "fd01::/64"),
        (PrefixFilter::All, only(&["fd01::8/128", "fd01::7/128"]), "fd01::7/128 fd01::8/128"),
        // Neighbours are not joined.
        (only(&["10.1.0.0/17", "10.1.128.0/17"]), PrefixFilter::All, "10.1.0.0/17 10.1.128.0/17"),
    ];
    for (exports, imports, expected) in table {
        let ours = NetworkSpec::new(uid(0), vni(300))
            .with_peering(PeeringSpec::new(uid(1)).with_imports(imports.clone()));
        let theirs = NetworkSpec::new(uid(1), vni(301))
            .with_prefixes(["fd01::/64", "10.3.0.0/16", "10.1.0.0/16"].map(net).to_vec())
            .with_peering(PeeringSpec::new(uid(0)).with_exports(exports.clone()));
        let statuses = known([ours, theirs]).statuses(&uid(0));
        let reach = statuses[&uid(1)].reach().unwrap();
        assert_eq!(shown(&reach.prefixes), *expected, "{exports:?} {imports:?}");
    }
}

#[test]
fn filters_do_not_hide_an_overlap() {
    let nothing = PeeringSpec::new(uid(1)).with_exports(only(&[])).with_imports(only(&[]));
    let ours = network(0, 300, &["10.0.0.0/16"], &[]).with_peering(nothing);
    let peerings = known([ours, network(1, 301, &["10.0.0.0/24"], &[0])]);
    assert!(told(&peerings, 0, 1).starts_with("error: our 10.0.0.0/16"));
    assert!(told(&peerings, 1, 0).starts_with("error: our 10.0.0.0/24"));
}

#[test]
fn a_name_is_not_inherited() {
    let named =
        |number, peers: &[usize]| network(number, 301, &["10.1.0.0/16"], peers).with_name("db");
    let ours = network(0, 300, &["10.0.0.0/16"], &[1]);
    let mut peerings = known([ours.clone(), named(1, &[0])]);
    assert_eq!(peerings.peered_ids(&uid(0)), [vni(301)]);

    // Made again under the same name, VNI and prefixes, but with another uid.
    assert_eq!(peerings.remove(&uid(1)), [uid(0), uid(1)]);
    assert_eq!(peerings.put(Network::new(named(2, &[0])).unwrap()), [uid(2)]);
    assert!(told(&peerings, 0, 1).starts_with("pending: no network"));
    assert!(told(&peerings, 2, 0).starts_with("pending: the peer does not name"));
    assert!(peerings.peered_ids(&uid(0)).is_empty());

    let mut renewed = ours;
    renewed.peerings = vec![PeeringSpec::new(uid(2))];
    assert_eq!(peerings.put(Network::new(renewed).unwrap()), [uid(0), uid(2)]);
    assert_eq!(peerings.peered_ids(&uid(0)), [vni(301)]);
}

#[test]
fn peering_is_not_passed_on() {
    let peerings = known([
        network(0, 300, &["10.0.0.0/16"], &[1]),
        network(1, 301, &["10.1.0.0/16"], &[0, 2]),
        network(2, 302, &["10.2.0.0/16"], &[1]),
    ]);
    assert_eq!(peerings.peered_ids(&uid(0)), [vni(301)]);
    assert_eq!(peerings.peered_ids(&uid(1)), [vni(300), vni(302)]);
    assert_eq!(told(&peerings, 0, 1), "ready: 10.1.0.0/16 by 301");
}

#[test]
fn two_peers_with_one_vni_are_one_id() {
    let peerings = known([
        network(0, 300, &[], &[1, 2]),
        network(1, 301, &["10.1.0.0/16"], &[0]),
        network(2, 301, &["10.2.0.0/16"], &[0]),
    ]);
    assert_eq!(peerings.peered_ids(&uid(0)), [vni(301)]);
}

#[test]
fn what_is_not_known_has_no_peerings() {
    let mut peerings = Peerings::new();
    assert!(peerings.statuses(&uid(0)).is_empty() && peerings.peered_ids(&uid(0)).is_empty());
    assert!(peerings.network(&uid(0)).is_none() && peerings.networks().next().is_none());
    assert!(peerings.remove(&uid(0)).is_empty());
}

#[test]
fn specs_that_are_refused() {
    let ours = || network(0, 300, &["10.0.0.0/16", "fd00::/64"], &[1]);
    let exporting =
        |prefix| ours().with_peering(PeeringSpec::new(uid(2)).with_exports(only(&[prefix])));
    let importing =
        |prefix| ours().with_peering(PeeringSpec::new(uid(2)).with_imports(only(&[prefix])));
    let owning = |prefixes: &[&str]| network(0, 300, prefixes, &[1]);
    let table = [
        (
            owning(&["10.0.0.1/16"]),
            "prefix 10.0.0.1/16 is not in canonical form; write 10.0.0.0/16 if you mean that",
        ),
        (
            owning(&["fd00::1/64"]),
            "prefix fd00::1/64 is not in canonical form; write fd00::/64 if you mean that",
        ),
        (
            owning(&["::ffff:10.0.0.0/112"]),
            "prefix ::ffff:10.0.0.0/112 is not in canonical form; write 10.0.0.0/16 if you mean that",
        ),
        (
            owning(&["::ffff:10.0.0.9/120"]),
            "prefix ::ffff:10.0.0.9/120 is not in canonical form; write 10.0.0.0/24 if you mean that",
        ),
        (
            exporting("10.0.0.7/24"),
            "prefix 10.0.0.7/24 is not in canonical form; write 10.0.0.0/24 if you mean that",
        ),
        (
            importing("10.9.0.7/24"),
            "prefix 10.9.0.7/24 is not in canonical form; write 10.9.0.0/24 if you mean that",
        ),
        (
            owning(&["10.0.7.0/24", "10.9.0.0/16", "10.0.0.0/16"]),
            "its prefixes 10.0.0.0/16 and 10.0.7.0/24 overlap; keep one of them",
        ),
        (
            owning(&["fd00::/64", "10.0.0.0/16", "fd00::/64"]),
            "its prefixes fd00::/64 and fd00::/64 overlap; keep one of them",
        ),
        (
            ours().with_peering(PeeringSpec::new(uid(0))),
            "it names itself as a peer; leave that out",
        ),
        (
            ours().with_peering(PeeringSpec::new(uid(3))).with_peering(PeeringSpec::new(uid(1))),
            "it names peer n1 twice; join the two peerings",
        ),
        (
            exporting("10.1.0.0/24"),
            "it exports 10.1.0.0/24 to peer n2, which lies in none of its prefixes; narrow it",
        ),
        (
            exporting("10.0.0.0/15"),
            "it exports 10.0.0.0/15 to peer n2, which lies in none of its prefixes; narrow it",
        ),
    ];
    for (spec, text) in table {
        let error = Network::new(spec.clone()).unwrap_err();
        assert_eq!(error.fault.to_string(), text);
        assert_eq!(error.to_string(), format!("network n0 is refused: {text}"));
        assert_eq!(*error.spec, spec, "handed back as it came");
    }
    for spec in [
        exporting("10.0.0.0/16"),
        exporting("fd00::ff/128"),
        importing("0.0.0.0/0"),
        owning(&["::/0", "0.0.0.0/0"]),
    ] {
        assert!(Network::new(spec).is_ok());
    }
    let fault = Network::new(exporting("9.0.0.0/8")).unwrap_err().fault;
    assert_eq!(fault, NetworkFault::Export { peer: uid(2), prefix: net("9.0.0.0/8") });
}

#[test]
fn uids_have_limits() {
    let long = "x".repeat(NetworkUid::MAX_LEN + 1);
    assert_eq!(NetworkUid::new(""), Err(NetworkUidError::Empty));
    let error = NetworkUid::new(&long).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the uid of a network has 256 bytes, at most 255 fit; shorten it"
    );
    assert_eq!(error, NetworkUidError::TooLong { text: long.as_str().into() });
    assert_eq!(NetworkUid::new(&long[1..]).unwrap().as_str(), &long[1..]);
    assert_eq!(NetworkUid::new("a\nb").unwrap().to_string(), "a\\nb");
    // Two texts that look alike are two uids.
    assert_ne!(NetworkUid::new("é"), NetworkUid::new("e\u{301}"));
}

#[test]
fn peerings_can_be_sent_between_threads() {
    fn sent<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    sent::<Peerings>();
    sent::<netid::NetworkError>();
    sent::<netid::PeeringStatus>();
}

#[cfg(feature = "serde")]
mod serialised {
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::*;
    use crate::peering_world::any_spec;

    #[test]
    fn specs_have_one_form() {
        let peering = PeeringSpec::new(uid(1)).with_imports(only(&["10.1.0.0/24"]));
        let spec = network(0, 300, &["10.0.0.0/16", "fd00::/64"], &[])
            .with_name("web")
            .with_peering(peering);
        let json = concat!(
            r#"{"uid":"n0","name":"web","vni":300,"prefixes":["10.0.0.0/16","fd00::/64"],"#,
            r#""peerings":[{"peer":"n1","exports":"all","imports":{"only":["10.1.0.0/24"]}}]}"#,
        );
        assert_eq!(serde_json::to_string(&spec).unwrap(), json);
        assert_eq!(serde_json::from_str::<NetworkSpec>(json).unwrap(), spec);
        let network = Network::new(spec).unwrap();
        assert_eq!(serde_json::to_string(&network).unwrap(), json);
        assert_eq!(serde_json::from_str::<Network>(json).unwrap(), network);
    }

    #[test]
    fn what_is_read_is_checked() {
        for (json, message) in [
            (r#"{"uid":"","name":"","vni":300,"prefixes":[],"peerings":[]}"#, "is empty"),
            (r#"{"uid":"a","name":"","vni":16777216,"prefixes":[],"peerings":[]}"#, "is not a VNI"),
            (
                r#"{"uid":"a","name":"","vni":300,"prefixes":["10.0.0.1/8"],"peerings":[]}"#,
                "write 10.0.0.0/8",
            ),
            (
                r#"{"uid":"a","name":"","vni":300,"prefixes":[],"peerings":[{"peer":"a","exports":"all","imports":"all"}]}"#,
                "names itself",
            ),
            // A filter that was forgotten does not open anything.
            (
                r#"{"uid":"a","name":"","vni":300,"prefixes":[],"peerings":[{"peer":"b","imports":"all"}]}"#,
                "missing field `exports`",
            ),
        ] {
            let error = serde_json::from_str::<Network>(json).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn networks_are_read_as_written(spec in any_spec()) {
            let network = Network::new(spec).unwrap();
            let json = serde_json::to_string(&network).unwrap();
            prop_assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network);
        }
    }
}
