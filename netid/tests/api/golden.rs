//! Tables of what goes in and what comes out.

use netid::{
    ClaimKey, DeviceName, DeviceNameFault, KeyError, KeyFault, NameScheme, NetId, Prefixes,
    Protocol, Role, SchemeError, VmId, Vni, VniRange,
};

#[test]
fn names_of_both_schemes() {
    let id = NetId::from_static("a1b2c3d4");
    let vm: VmId = "vm-a1b2c3d4e5f6".parse().unwrap();
    for (role, underscored, dashed) in [
        (Role::Tap, "tap_a1b2c3d4", "tap-a1b2c3d4e5"),
        (Role::VethHost, "vh_a1b2c3d4", "vh-a1b2c3d4e5"),
        (Role::VethNamespace, "vn_a1b2c3d4", "vn-a1b2c3d4e5"),
        (Role::Bridge, "br_a1b2c3d4", "br-a1b2c3d4e5"),
        (Role::Namespace, "ns_vm_a1b2c3d4", "ns-a1b2c3d4e5"),
    ] {
        assert_eq!(NameScheme::UNDERSCORED.name(role, id).as_str(), underscored);
        assert_eq!(NameScheme::UNDERSCORED.parse(underscored), Some((role, id)));
        assert_eq!(NameScheme::DASHED.name(role, vm).as_str(), dashed);
        assert_eq!(NameScheme::DASHED.parse(dashed), Some((role, id)));
        assert_eq!(NameScheme::UNDERSCORED.parse(dashed), None);
        assert_eq!(NameScheme::DASHED.parse(underscored), None);
    }
}

#[test]
fn foreign_names_are_nobodys() {
    for name in [
        "",
        "lo",
        "eth0",
        "docker0",
        "veth12345678",
        "vh12345678",
        "vh-12345678",
        "tap_",
        "tap_a1b2c3d",
        "tap_a1b2c3d45",
        "tap_A1B2C3D4",
        "tap_a1b2c3dg",
        "tap_a1b2c3d ",
        "tap_a1b2c3d\n",
        "tap_a1b2c3d4\0",
        "Tap_a1b2c3d4",
        " tap_a1b2c3d4",
        "xtap_a1b2c3d4",
        "tap-a1b2c3d4",
        "tap_+1b2c3d4",
        "tap_a1b2c3é",
        "ns_a1b2c3d4",
        "ns_vm_a1b2c3d4e5f6",
        "br-a1b2c3d4e5f6",
        "a1b2c3d4",
        "tap_tap_a1b2c3d4",
    ] {
        assert_eq!(NameScheme::UNDERSCORED.parse(name), None, "{name:?}");
        assert_eq!(NameScheme::DASHED.parse(name), None, "{name:?}");
    }
}

#[test]
fn a_scheme_shows_its_prefixes() {
    let shown = format!("{:?}", NameScheme::UNDERSCORED);
    assert!(shown.contains(r#"tap: "tap_", veth_host: "vh_""#), "{shown}");
}

#[test]
fn schemes_that_do_not_build() {
    let good = Prefixes {
        tap: "tap_",
        veth_host: "vh_",
        veth_namespace: "vn_",
        bridge: "br_",
        namespace: "ns_vm_",
    };
    let (role, bridge) = (Role::Tap, Role::Bridge);
    for (tap, error, text) in [
        (
            "",
            SchemeError::Empty { role },
            "the prefix of the TAP is empty; use at least one letter",
        ),
        (
            "tap_tap_",
            SchemeError::TooLong { role, len: 8, max: 7 },
            "the prefix of the TAP has 8 bytes, at most 7 leave room for the digits",
        ),
        (
            "a prefix that is far too long",
            SchemeError::TooLong { role, len: 29, max: 7 },
            "the prefix of the TAP has 29 bytes, at most 7 leave room for the digits",
        ),
        (
            "-t",
            SchemeError::Start { role },
            "the prefix of the TAP does not start with a letter; put one first",
        ),
        (
            "tap0",
            SchemeError::End { role },
            "the prefix of the TAP ends with a digit of 0-9 or a-f; put `_` or `-` behind it",
        ),
        (
            "t%dp_",
            SchemeError::Character { role, at: 1 },
            "byte 1 (from 0) of the prefix of the TAP is none of A-Z, a-z, 0-9, `-` and `_`",
        ),
        (
            "tä_",
            SchemeError::Character { role, at: 1 },
            "byte 1 (from 0) of the prefix of the TAP is none of A-Z, a-z, 0-9, `-` and `_`",
        ),
        (
            "br_",
            SchemeError::Overlap { first: role, second: bridge },
            "the prefixes of the TAP and the bridge start alike; make them differ earlier",
        ),
        (
            "br_x",
            SchemeError::Overlap { first: role, second: bridge },
            "the prefixes of the TAP and the bridge start alike; make them differ earlier",
        ),
        (
            "n",
            SchemeError::Overlap { first: role, second: Role::Namespace },
            "the prefixes of the TAP and the network namespace start alike; make them differ earlier",
        ),
    ] {
        let found = NameScheme::<NetId>::new(Prefixes { tap, ..good }).unwrap_err();
        assert_eq!((found, found.to_string()), (error, text.to_owned()), "{tap:?}");
    }
    assert_eq!(NameScheme::new(good), Ok(NameScheme::UNDERSCORED));
    // Ten digits leave room for five bytes.
    let error = NameScheme::<VmId>::new(good).unwrap_err();
    assert_eq!(error, SchemeError::TooLong { role: Role::Namespace, len: 6, max: 5 });
}

#[test]
fn device_names() {
    for good in ["a", "eth0", "-", "...", "tap_a1b2c3d4e5f", "br0.100", "if@x", "~!#$&()*,;<=>"] {
        assert_eq!(good.parse::<DeviceName>().unwrap().as_str(), good);
    }
    for (bad, fault) in [
        ("", DeviceNameFault::Empty),
        (".", DeviceNameFault::Reserved),
        ("..", DeviceNameFault::Reserved),
        ("tap_a1b2c3d4e5f6", DeviceNameFault::TooLong { len: 16 }),
        ("a/b", DeviceNameFault::Character { at: 1 }),
        ("eth0:1", DeviceNameFault::Character { at: 4 }),
        ("tap%d", DeviceNameFault::Character { at: 3 }),
        ("a b", DeviceNameFault::Character { at: 1 }),
        ("a\tb", DeviceNameFault::Character { at: 1 }),
        ("a\0", DeviceNameFault::Character { at: 1 }),
        ("ä", DeviceNameFault::Character { at: 0 }),
        ("\x7f", DeviceNameFault::Character { at: 0 }),
    ] {
        let error = bad.parse::<DeviceName>().unwrap_err();
        assert_eq!((&*error.name, error.fault), (bad, fault));
    }
}

#[test]
fn claim_keys() {
    let vni = Vni::new(4096).unwrap();
    let scoped = |key: ClaimKey, scope| key.with_scope(scope).unwrap();
    for (key, text) in [
        (ClaimKey::name("my-awesome-vm-a1b2").unwrap(), "name/my-awesome-vm-a1b2"),
        (ClaimKey::id(NetId::new(0xbeef)), "id/0000beef"),
        (ClaimKey::address([172, 16, 0, 2].into()), "address/172.16.0.2"),
        (ClaimKey::address("2001:DB8:0:0::1".parse().unwrap()), "address/2001:db8::1"),
        (ClaimKey::address("::ffff:10.0.0.1".parse().unwrap()), "address/10.0.0.1"),
        (ClaimKey::port(Protocol::Tcp, 22001), "port/tcp/22001"),
        (ClaimKey::port(Protocol::Udp, 53), "port/udp/00053"),
        (ClaimKey::vni(vni), "vni/00004096"),
        (scoped(ClaimKey::vni(vni), "zone-1"), "vni/zone-1/00004096"),
        (scoped(ClaimKey::port(Protocol::Tcp, 80), "host-17"), "port/host-17/tcp/00080"),
        (ClaimKey::new("disk", &["rack-7", "0001"]).unwrap(), "disk/rack-7/0001"),
    ] {
        assert_eq!(key.as_str(), text);
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(ClaimKey::try_from(text.as_bytes()), Ok(key));
    }
}

#[test]
fn texts_that_are_no_claim_keys() {
    let long = format!("name/{}", "x".repeat(251));
    for (text, fault) in [
        ("", KeyFault::NoValue),
        ("name", KeyFault::NoValue),
        ("name/", KeyFault::Empty),
        ("name//a", KeyFault::Empty),
        ("name/a/", KeyFault::Empty),
        ("/a", KeyFault::Kind),
        ("Name/a", KeyFault::Kind),
        ("1/a", KeyFault::Kind),
        ("-/a", KeyFault::Kind),
        ("na_me/a", KeyFault::Kind),
        ("name/a b", KeyFault::Character { at: 6 }),
        ("name/a\n", KeyFault::Character { at: 6 }),
        ("name/a\0", KeyFault::Character { at: 6 }),
        ("name/zürich", KeyFault::Character { at: 6 }),
        (&long, KeyFault::TooLong { len: 256 }),
    ] {
        let error = text.parse::<ClaimKey>().unwrap_err();
        assert_eq!((&*error.key, error.fault), (text, fault));
    }
    for text in [
        "id/A1B2C3D4",
        "id/a1b2c3d",
        "id/a1b2c3d4/x",
        "address/010.0.0.1",
        "address/10.0.0.256",
        "address/::ffff:10.0.0.1",
        "address/2001:DB8::1",
        "address/2001:db8:0::1",
        "address/fe80::1%eth0",
        "address/10.0.0.0/24",
        "port/22001",
        "port/tcp/80",
        "port/tcp/+0080",
        "port/tcp/65536",
        "port/TCP/00080",
        "port/sctp/00080",
        "port/tcp/host/00080",
        "vni/200",
        "vni/16777216",
        "vni/+0000200",
    ] {
        let KeyError { fault, .. } = text.parse::<ClaimKey>().unwrap_err();
        assert!(matches!(fault, KeyFault::Spelling { .. }), "{text}: {fault}");
    }
    let error = ClaimKey::try_from(&b"name/\xff\xfe"[..]).unwrap_err();
    assert_eq!(error.fault, KeyFault::Character { at: 5 });
}

#[test]
fn parts_are_not_joined_into_another_key() {
    for (kind, segments, at) in [
        ("name", &["a/b"][..], 6),
        ("name", &["/"], 5),
        ("port/tcp", &["00080"], 4),
        ("disk", &["a", "b/c"], 8),
    ] {
        let error = ClaimKey::new(kind, segments).unwrap_err();
        assert_eq!(error.fault, KeyFault::Separator { at }, "{error}");
        assert_eq!(error.key.as_bytes()[at], b'/');
    }
    assert_eq!(ClaimKey::new("name", &[]).unwrap_err().fault, KeyFault::NoValue);
    assert_eq!(ClaimKey::new("name", &[""]).unwrap_err().fault, KeyFault::Empty);
    let key = ClaimKey::name("a").unwrap();
    assert!(key.clone().with_scope("a/b").is_err());
    assert!(key.clone().with_scope("").is_err());
    assert!(key.with_scope(&"x".repeat(250)).is_err());
}

#[test]
fn vnis() {
    for (text, number) in [("0", 0), ("200", 200), ("16777215", 16_777_215)] {
        let vni: Vni = text.parse().unwrap();
        assert_eq!((vni.number(), vni.to_string()), (number, text.to_owned()));
    }
    for text in ["", "16777216", "-1", "+1", "00", "0200", " 1", "1 ", "1e3", "0x10", "4294967296"]
    {
        assert!(text.parse::<Vni>().is_err(), "{text:?}");
    }
    let all = VniRange::new(Vni::MIN, Vni::MAX).unwrap();
    assert_eq!((all.capacity(), VniRange::default().capacity()), (1 << 24, (1 << 24) - 200));
    let one = VniRange::new(Vni::MAX, Vni::MAX).unwrap();
    assert_eq!((one.capacity(), one.contains(Vni::MIN)), (1, false));
}
