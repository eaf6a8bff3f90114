//! What holds for all values.

use macaddr::MacAddr6;
use netid::{ClaimKey, DeviceName, NameScheme, NetId, Owner, Prefixes, Role, VmId, Vni, VniRange};
use proptest::prelude::{Strategy as _, any, prop, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Texts close to the right ones, and others.
fn near(pattern: &'static str) -> impl proptest::strategy::Strategy<Value = String> {
    let near = (pattern, any::<prop::sample::Index>(), "\\PC|[a-g0-9_%/:-]").prop_map(
        |(text, at, put)| {
            let mut chars: Vec<_> = text.chars().collect();
            let at = at.index(chars.len());
            chars.splice(at..=at, put.chars());
            chars.into_iter().collect()
        },
    );
    prop::strategy::Union::new([near.boxed(), pattern.boxed(), "\\PC{0,20}".boxed()])
}

fn roles() -> impl proptest::strategy::Strategy<Value = Role> {
    select(&Role::ALL[..])
}

proptest! {
    #[test]
    fn ids_are_read_as_written_and_nothing_else_is(number in any::<u32>(), text in near("[0-9a-f]{8}")) {
        let id = NetId::new(number);
        prop_assert_eq!(id.to_string(), format!("{number:08x}"));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        let parsed = text.parse::<NetId>().ok().map(|id| id.to_string());
        let good = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        prop_assert_eq!(parsed, good.then_some(text));
    }

    #[test]
    fn machine_ids_are_read_as_written_and_nothing_else_is(
        number in any::<u32>(),
        tail in any::<u16>(),
        text in near("vm-[0-9a-f]{12}"),
    ) {
        let vm = VmId::new(NetId::new(number), tail);
        prop_assert_eq!(vm.to_string(), format!("vm-{number:08x}{tail:04x}"));
        prop_assert_eq!(vm.to_string().parse(), Ok(vm));
        if let Ok(vm) = text.parse::<VmId>() {
            prop_assert_eq!(vm.to_string(), text);
        }
    }

    #[test]
    fn macs_are_one_to_one_with_ids(number in any::<u32>(), mac in any::<[u8; 6]>()) {
        let id = NetId::new(number);
        prop_assert_eq!(NetId::from_mac(id.mac()), Ok(id));
        prop_assert!(id.mac().is_unicast() && id.mac().is_local());
        match NetId::from_mac(mac.into()) {
            Ok(id) => prop_assert_eq!(id.mac(), MacAddr6::from(mac)),
            Err(error) => prop_assert_eq!(error.mac, mac.into()),
        }
    }

    #[test]
    fn names_are_read_as_written(number in any::<u32>(), tail in any::<u16>(), role in roles()) {
        let id = NetId::new(number);
        let name = NameScheme::UNDERSCORED.name(role, id);
        prop_assert_eq!(name.as_str().parse(), Ok(name));
        prop_assert_eq!(NameScheme::UNDERSCORED.parse(name.as_str()), Some((role, id)));
        let name = NameScheme::DASHED.name(role, VmId::new(id, tail));
        prop_assert_eq!(name.as_str().parse(), Ok(name));
        prop_assert_eq!(NameScheme::DASHED.parse(name.as_str()), Some((role, id)));
    }

    #[test]
    fn what_is_read_as_a_name_was_written(text in near("(tap_|vh_|vn_|br_|ns_vm_)[0-9a-f]{8}")) {
        let written = NameScheme::UNDERSCORED
            .parse(&text)
            .map(|(role, id)| NameScheme::UNDERSCORED.name(role, id).to_string());
        let good = ["tap_", "vh_", "vn_", "br_", "ns_vm_"].iter().any(|prefix| {
            text.strip_prefix(prefix).is_some_and(|id| id.parse::<NetId>().is_ok())
        });
        prop_assert_eq!(written, good.then_some(text));
    }

    #[test]
    fn schemes_that_build_write_names_and_read_them(
        prefixes in prop::array::uniform5("[a-hx-z][a-hx-z0-9_-]{0,6}"),
        number in any::<u32>(),
    ) {
        let [tap, veth_host, veth_namespace, bridge, namespace] = &prefixes;
        let scheme = NameScheme::<NetId>::new(Prefixes { tap, veth_host, veth_namespace, bridge, namespace });
        let alike = (0..5).any(|a| (0..5).any(|b| a != b && prefixes[a].starts_with(&prefixes[b])));
        let blurred = prefixes.iter().any(|prefix| prefix.ends_with(|c: char| c.is_ascii_hexdigit()));
        prop_assert_eq!(scheme.is_ok(), !alike && !blurred);
        if let Ok(scheme) = scheme {
            for (role, prefix) in Role::ALL.into_iter().zip(&prefixes) {
                let name = scheme.name(role, NetId::new(number));
                prop_assert_eq!(name.as_str(), format!("{prefix}{number:08x}"));
                prop_assert_eq!(name.as_str().parse(), Ok(name));
                prop_assert_eq!(scheme.parse(name.as_str()), Some((role, NetId::new(number))));
            }
        }
    }

    #[test]
    fn device_names_obey_the_kernel(text in near("[!-~]{1,15}"), other in "[!-~]{1,15}") {
        let good = (1..=15).contains(&text.len())
            && !matches!(text.as_str(), "." | "..")
            && text.bytes().all(|byte| (0x21..0x7f).contains(&byte) && !b"/:%".contains(&byte));
        let parsed = text.parse::<DeviceName>();
        prop_assert_eq!(parsed.is_ok(), good, "{:?}", text);
        if let (Ok(name), Ok(other_name)) = (parsed, other.parse::<DeviceName>()) {
            prop_assert_eq!(name.as_str(), &text);
            prop_assert_eq!(name.cmp(&other_name), text.cmp(&other));
        }
    }

    #[test]
    fn claim_keys_are_read_as_written_and_sort_as_text(
        a in near("[a-z][a-z0-9-]{0,8}/[!-~]{1,12}"),
        b in near("(id/[0-9a-f]{8}|port/(tcp|udp)/0[0-9]{4}|vni/0[0-9]{7})"),
    ) {
        let (first, second) = (a.parse::<ClaimKey>(), b.parse::<ClaimKey>());
        if let Ok(key) = &first {
            prop_assert_eq!(key.as_str(), &a);
            let segments: Vec<_> = key.value().split('/').collect();
            prop_assert_eq!(ClaimKey::new(key.kind(), &segments), Ok(key.clone()));
        }
        if let (Ok(first), Ok(second)) = (first, second) {
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        }
    }

    #[test]
    fn numbers_sort_as_keys(a in any::<u16>(), b in any::<u16>(), p in 0..=0xff_ffff_u32, q in 0..=0xff_ffff_u32) {
        let port = |port| ClaimKey::port(netid::Protocol::Tcp, port);
        prop_assert_eq!(port(a).cmp(&port(b)), a.cmp(&b));
        let vni = |number| ClaimKey::vni(Vni::new(number).unwrap());
        prop_assert_eq!(vni(p).cmp(&vni(q)), p.cmp(&q));
    }

    #[test]
    fn every_address_has_one_key(address in any::<core::net::IpAddr>()) {
        let key = ClaimKey::address(address);
        prop_assert_eq!(key.as_str().parse(), Ok(key.clone()));
        prop_assert_eq!(key.value().parse(), Ok(address.to_canonical()));
    }

    #[test]
    fn owners_keep_any_content(kind in "\\PC{1,20}", name in "(?s).{0,20}", uid in "(?s).{1,20}") {
        let owner = Owner::new(&kind, &name, &uid).unwrap();
        prop_assert_eq!((owner.kind(), owner.name(), owner.uid()), (&*kind, &*name, &*uid));
        prop_assert!(!owner.to_string().contains(char::is_control));
    }

    #[test]
    fn drawn_vnis_are_in_their_range(a in 0..=0xff_ffff_u32, b in 0..=0xff_ffff_u32, seed in any::<u64>()) {
        let range = VniRange::new(Vni::new(a.min(b)).unwrap(), Vni::new(a.max(b)).unwrap()).unwrap();
        prop_assert!(range.contains(range.random(&mut StdRng::seed_from_u64(seed))));
        let alone = VniRange::new(range.min(), range.min()).unwrap();
        prop_assert_eq!(alone.random(&mut StdRng::seed_from_u64(seed)), range.min());
    }
}
