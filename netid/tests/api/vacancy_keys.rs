//! Ranges of numbers as claim keys.

use netid::{
    ClaimKey, KeyError, KeyFault, KeyRange, KeyRangeError, NetId, RangeError, Vni, VniRange,
};
use proptest::prelude::{any, prop_oneof, proptest};

fn vnis(min: u32, max: u32) -> KeyRange {
    let vni = |number| Vni::new(number).unwrap();
    KeyRange::vnis(VniRange::new(vni(min), vni(max)).unwrap())
}

fn ids(min: u32, max: u32) -> KeyRange {
    KeyRange::ids(NetId::new(min), NetId::new(max)).unwrap()
}

fn key(text: &str) -> ClaimKey {
    text.parse().unwrap()
}

#[test]
fn numbers_are_spelt_as_their_kind_spells_them() {
    for (range, number, text) in [
        (vnis(200, 0xff_ffff), 200, "vni/00000200"),
        (vnis(200, 0xff_ffff), 0xff_ffff, "vni/16777215"),
        (vnis(0, 0), 0, "vni/00000000"),
        (ids(0, u32::MAX), 0, "id/00000000"),
        (ids(0, u32::MAX), 0xa1b2_c3d4, "id/a1b2c3d4"),
        (ids(0, u32::MAX), u32::MAX, "id/ffffffff"),
        (KeyRange::numbers("asn", 0, u32::MAX).unwrap(), 0, "asn/0000000000"),
        (KeyRange::numbers("asn", 0, u32::MAX).unwrap(), u32::MAX, "asn/4294967295"),
        (KeyRange::numbers("name", 7, 7).unwrap(), 7, "name/0000000007"),
    ] {
        assert_eq!(range.key(number), Some(key(text)));
        assert_eq!(range.number(&key(text)), Some(number));
        let (kind, digits) = text.split_once('/').unwrap();
        assert_eq!(range.prefix(), format!("{kind}/"));
        let scoped = range.with_scope("rack-7").unwrap().with_scope("zone-b").unwrap();
        assert_eq!(scoped.prefix(), format!("{kind}/zone-b/rack-7/"));
        let text = format!("{kind}/zone-b/rack-7/{digits}");
        assert_eq!(scoped.key(number), Some(key(&text)));
        assert_eq!(scoped.number(&key(&text)), Some(number));
    }
}

#[test]
fn foreign_keys_have_no_number() {
    for (range, texts) in [
        (
            vnis(200, 5_000),
            &[
                "vni/00000199",
                "vni/00005001",
                "vni/16777215",
                "vni/zone-b/00000200",
                "vni2/00000200",
                "id/00000200",
                "asn/00000200",
            ][..],
        ),
        (ids(0x10, 0xff), &["id/0000000f", "id/00000100", "id/zone-b/00000010", "vni/00000010"]),
        (
            KeyRange::numbers("asn", 0, u32::MAX).unwrap(),
            &[
                "asn/1",
                "asn/000000001",
                "asn/00000000001",
                "asn/+000000001",
                "asn/-000000001",
                "asn/000000000a",
                "asn/4294967296",
                "asn/9999999999",
                "asn/0000000001/0000000001",
                "asn/0000000001/x",
                "asn/zone-b/0000000001",
                "asns/0000000001",
            ],
        ),
        (
            KeyRange::numbers("asn", 0, 9).unwrap().with_scope("zone-b").unwrap(),
            &["asn/0000000001", "asn/zone-c/0000000001", "asn/a/zone-b/0000000001"],
        ),
    ] {
        for text in texts {
            assert_eq!(range.number(&key(text)), None, "{text} in {range}");
        }
    }
}

#[test]
fn the_ends_belong_to_the_range() {
    for (range, min, max, capacity, text) in [
        (vnis(200, 209), 200, 209, 10, "vni/00000200..=00000209"),
        (vnis(5, 5), 5, 5, 1, "vni/00000005..=00000005"),
        (ids(0, u32::MAX), 0, u32::MAX, 1 << 32, "id/00000000..=ffffffff"),
        (ids(u32::MAX, u32::MAX), u32::MAX, u32::MAX, 1, "id/ffffffff..=ffffffff"),
    ] {
        assert_eq!((range.min(), range.max(), range.capacity()), (min, max, capacity));
        assert_eq!(range.to_string(), text);
        assert!(range.key(min).is_some() && range.key(max).is_some());
        for outside in [min.checked_sub(1), max.checked_add(1)].into_iter().flatten() {
            assert_eq!(range.key(outside), None, "{outside} in {range}");
        }
    }
}

#[test]
fn what_is_no_range_is_refused() {
    let error = KeyRange::ids(NetId::new(2), NetId::new(1)).unwrap_err();
    assert!(matches!(error, RangeError { first: 2, last: 1, .. }));

    let error = KeyRange::numbers("asn", u32::MAX, 0).unwrap_err();
    assert!(matches!(error, KeyRangeError::Backwards(RangeError { first: u32::MAX, last: 0, .. })));
    assert_eq!(error.to_string(), "range 4294967295..=0 is backwards: write the lower end first");
}

#[test]
fn kinds_with_a_spelling_of_their_own_are_refused() {
    for kind in [ClaimKey::ID, ClaimKey::ADDRESS, ClaimKey::PORT, ClaimKey::VNI] {
        for number in [0, 200, 65_535, 0xff_ffff, u32::MAX] {
            let error = KeyRange::numbers(kind, number, u32::MAX).unwrap_err();
            assert!(
                matches!(
                    error,
                    KeyRangeError::Key(KeyError { fault: KeyFault::Spelling { .. }, .. })
                ),
                "{kind} {number}: {error}"
            );
        }
    }
    for kind in ["", "ASN", "7", "a b", "a/b", &"a".repeat(245)] {
        let error = KeyRange::numbers(kind, 0, 1).unwrap_err();
        assert!(matches!(error, KeyRangeError::Key(_)), "{kind}: {error}");
    }
    let longest = KeyRange::numbers(&"a".repeat(244), 0, u32::MAX).unwrap();
    assert_eq!(longest.key(u32::MAX).unwrap().as_str().len(), ClaimKey::MAX_LEN);
    assert!(matches!(longest.with_scope("b").unwrap_err().fault, KeyFault::TooLong { len: 257 }));
}

#[test]
fn scopes_that_are_none_are_refused() {
    for (scope, fault) in [
        ("", KeyFault::Empty),
        ("a/b", KeyFault::Separator { at: 5 }),
        ("a b", KeyFault::Character { at: 5 }),
    ] {
        assert_eq!(vnis(0, 9).with_scope(scope).unwrap_err().fault, fault, "{scope:?}");
    }
}

proptest! {
    #[test]
    fn keys_lead_back_and_sort_as_their_numbers(
        a in any::<u32>(),
        b in any::<u32>(),
        numbers in any::<[u32; 2]>(),
        scope in prop_oneof!["", "[a-z0-9-]{1,20}"],
    ) {
        let (min, max) = (a.min(b), a.max(b));
        for range in [
            ids(min, max),
            vnis(min >> 8, max >> 8),
            KeyRange::numbers("asn", min, max).unwrap(),
        ] {
            let scoped =
                if scope.is_empty() { range } else { range.with_scope(&scope).unwrap() };
            let keys = numbers.map(|number| scoped.key(number));
            for (key, number) in keys.iter().zip(numbers) {
                assert_eq!(key.is_some(), (scoped.min()..=scoped.max()).contains(&number));
                if let Some(key) = key {
                    assert_eq!(scoped.number(key), Some(number));
                    assert!(key.as_str().starts_with(scoped.prefix()));
                }
            }
            let [first, second] = [scoped.min(), scoped.max()].map(|end| scoped.key(end).unwrap());
            assert_eq!(first.cmp(&second), scoped.min().cmp(&scoped.max()));
            if let [Some(first), Some(second)] = keys {
                assert_eq!(first.cmp(&second), numbers[0].cmp(&numbers[1]));
            }
        }
    }

    /// Whatever key has a number is the key of that number.
    #[test]
    fn no_key_is_another_spelling(
        text in "(id|vni|asn)/(zone-b/)?[+0]{0,7}[0-9a-f]{1,10}",
        scoped in any::<bool>(),
    ) {
        for range in [
            ids(0, u32::MAX),
            vnis(0, 0xff_ffff),
            KeyRange::numbers("asn", 0, u32::MAX).unwrap(),
        ] {
            let range = if scoped { range.with_scope("zone-b").unwrap() } else { range };
            if let Ok(key) = text.parse::<ClaimKey>()
                && let Some(number) = range.number(&key)
            {
                assert_eq!(range.key(number), Some(key));
            }
        }
    }
}
