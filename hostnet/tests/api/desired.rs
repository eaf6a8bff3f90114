//! What can be wanted, and what is refused with a reason.

use crate::{Outcome, desired, lan, network, port, vm};
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Forward, Network, NetworkError, NetworkName,
    Owner, Resource, SpecError,
};

fn attachment(id: &str, tap: &str, mac: [u8; 6], address: [u8; 4]) -> Attachment {
    Attachment::tap(
        AttachmentId::new(id).unwrap(),
        lan(),
        DeviceName::new(tap).unwrap(),
        mac.into(),
        address.into(),
    )
    .unwrap()
}

#[test]
fn what_only_one_can_have_is_refused_to_the_second() {
    let other_mac = [2, 0, 0, 0, 0, 9];
    let cases = [
        (
            attachment("new", "tap_a1b20000", other_mac, [172, 16, 9, 9]),
            "device name `tap_a1b20000`",
        ),
        (attachment("new", "tap_new", other_mac, [172, 16, 0, 2]), "address 172.16.0.2"),
        (
            attachment("new", "tap_new", vm(0).mac().into_array(), [172, 16, 9, 9]),
            "MAC AA:FC:A1:B2:00:02 on network `default`",
        ),
        (
            attachment("new", "tap_new", vm(0).host_mac().into_array(), [172, 16, 9, 9]),
            "MAC FE:FC:A1:B2:00:02 on network `default`",
        ),
        (
            attachment("new", "tap_new", other_mac, [172, 16, 9, 9])
                .with_forward(Forward::tcp(port(22001), port(80))),
            "host port 22001/tcp",
        ),
    ];
    for (second, what) in cases {
        let mut wish = desired(1);
        let before = wish.clone();
        let error = wish.add_attachment(second).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{what} is wanted by attachment `a1b20000` and by attachment `new`; give each its own"
            )
        );
        assert_eq!(wish, before, "nothing was taken");
    }
}

#[test]
fn a_port_twice_in_one_attachment_is_refused() {
    let mut wish = desired(0);
    let twice = Forward::tcp(port(1), port(1));
    let error = wish.add_attachment(vm(0).with_forward(twice).with_forward(twice)).unwrap_err();
    assert!(matches!(error, SpecError::Duplicate { resource: Resource::HostPort(..), .. }));
}

#[test]
fn addresses_must_be_a_guests() {
    for (address, hint) in [
        ([172, 17, 0, 2], "outside 172.16.0.0/16"),
        ([172, 16, 0, 0], "the network's own"),
        ([172, 16, 0, 1], "the gateway's"),
        ([172, 16, 255, 255], "the broadcast address"),
    ] {
        let error = desired(0)
            .add_attachment(attachment("new", "tap_new", [2, 0, 0, 0, 0, 9], address))
            .unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn networks_must_not_overlap_or_be_missing() -> Outcome {
    let mut wish = desired(0);
    let other = |gateway: &str| {
        Network::bridged(
            NetworkName::new("other").unwrap(),
            DeviceName::new("br1").unwrap(),
            gateway.parse().unwrap(),
        )
        .unwrap()
    };
    let error = wish.add_network(other("172.16.9.1/24")).unwrap_err();
    assert!(error.to_string().contains("overlaps 172.16.0.0/16"), "{error}");
    wish.add_network(other("172.17.0.1/16"))?;
    assert!(matches!(wish.add_network(network()), Err(SpecError::DuplicateNetwork { .. })));

    let mut bare = Desired::new(Owner::new("demo")?);
    let error = bare.add_attachment(vm(0)).unwrap_err();
    assert!(error.to_string().contains("add the network first"), "{error}");
    Ok(())
}

#[test]
fn group_macs_and_odd_mtus_are_refused() {
    let group = Attachment::tap(
        AttachmentId::new("a").unwrap(),
        lan(),
        DeviceName::new("tap").unwrap(),
        [1, 0, 0, 0, 0, 0].into(),
        [172, 16, 0, 2].into(),
    );
    assert!(group.unwrap_err().to_string().contains("lowest bit"));
    assert!(matches!(network().with_mtu(575), Err(NetworkError::Mtu { mtu: 575, least: 576 })));
    assert_eq!(network().with_mtu(9000).unwrap().mtu(), Some(9000));
    assert!(network().with_mac([0; 6].into()).is_err());
    let both = network().with_gateway("fd00::1/64".parse().unwrap()).unwrap();
    let error = both.with_mtu(1000).unwrap_err();
    assert_eq!(error.to_string(), "an MTU of 1000 bytes is outside 1280..=65521");
    let small = network().with_mtu(1000).unwrap();
    assert!(small.with_gateway("fd00::1/64".parse().unwrap()).is_err());
}

#[test]
fn the_hosts_end_never_has_the_guests_mac() {
    let mac = |first: u8| attachment("a", "tap", [first, 1, 2, 3, 4, 5], [172, 16, 0, 2]);
    for first in [0xAA, 0x02, 0xFE, 0xFA] {
        let attachment = mac(first);
        assert_ne!(attachment.host_mac(), attachment.mac());
        assert!(attachment.host_mac().is_unicast());
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_wish_survives_json_and_bad_json_is_refused() -> Outcome {
    let wish = desired(3);
    let json = serde_json::to_string(&wish)?;
    assert_eq!(serde_json::from_str::<Desired>(&json)?, wish);

    let minimal = r#"{"owner":"demo","networks":[{"name":"n","shape":"bridged","device":"br0","gateways":["10.0.0.1/24"]}]}"#;
    assert_eq!(serde_json::from_str::<Desired>(minimal)?.networks().count(), 1);
    for (from, to, says) in [
        ("10.0.0.1/24", "10.0.0.1/33", ""),
        ("10.0.0.1/24", "10.0.0.1/32", "/30 or shorter"),
        ("\"br0\"", "\"bridge-name-0123\"", "at most 15 fit"),
        ("\"demo\"", "\"De mo\"", "lower-case letters"),
    ] {
        let error = serde_json::from_str::<Desired>(&minimal.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    Ok(())
}
