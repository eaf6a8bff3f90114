//! Hostile sizes, errors of the smaller types, traits.

use crate::support::{Words, naive_sanitize};
use core::convert::Infallible;
use vmname::{
    BaseName, Claim, ClaimError, Claimed, ExistingName, NameError, Namer, Preview, Sanitized,
    Suffix, SuffixError, SuffixScheme, VmName, Zone, ZoneError, sanitize, validate,
};

#[test]
fn large_inputs() {
    let size = 1 << 20;
    for unit in [" ", "-", "é", "🦀", "\0", "\r\n", "\u{202e}", "x", "x ", "9", "İ", "\u{212a}"]
    {
        let raw = unit.repeat(size / unit.len());
        for raw in [raw.clone(), format!("web{raw}"), format!("{raw}web"), format!("w{raw}eb")] {
            assert_eq!(sanitize(&raw).as_str(), naive_sanitize(&raw).0, "many {unit:?}");
            let error = validate(&raw).unwrap_err();
            assert_eq!(error.refused().len(), raw.len());
            assert!(error.to_string().len() < 800, "{}", error.to_string().len());
        }
    }
}

#[test]
fn nothing_but_letters_digits_and_hyphens_comes_out() {
    let bytes: Vec<char> = (0..=0xff).map(char::from).collect();
    for window in bytes.windows(40) {
        let text = sanitize(&String::from_iter(window)).to_string();
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        assert!(!text.contains("--") && !text.starts_with('-') && !text.ends_with('-'));
    }
}

#[test]
fn suffixes() {
    assert_eq!(Suffix::new(""), Err(SuffixError::Length { length: 0 }));
    assert_eq!(Suffix::new("01234567890"), Err(SuffixError::Length { length: 11 }));
    assert_eq!(Suffix::new("A"), Err(SuffixError::Sign { position: 1 }));
    assert_eq!(Suffix::new("aé"), Err(SuffixError::Sign { position: 2 }));
    assert_eq!(Suffix::new("0123456789").unwrap().as_str(), "0123456789");
}

#[test]
fn suffix_schemes() {
    let refused = |signs, length| SuffixScheme::new(signs, length).unwrap_err();
    assert_eq!(refused("", 4), SuffixError::TooFewSigns { count: 0 });
    assert_eq!(refused("a", 4), SuffixError::TooFewSigns { count: 1 });
    assert_eq!(refused("ab", 0), SuffixError::Length { length: 0 });
    assert_eq!(refused("ab", 11), SuffixError::Length { length: 11 });
    assert_eq!(refused("abA", 4), SuffixError::Sign { position: 3 });
    assert_eq!(refused("abcb", 4), SuffixError::Repeated { sign: 'b', position: 4 });
    assert_eq!(refused(&"ab".repeat(1_000), 4), SuffixError::Repeated { sign: 'a', position: 3 });

    let all = SuffixScheme::new("abcdefghijklmnopqrstuvwxyz0123456789", 10).unwrap();
    assert_eq!(all.combinations(), 36u64.pow(10));
    assert_eq!(SuffixScheme::default(), SuffixScheme::HEX);
    assert_eq!(SuffixScheme::VOWELLESS.signs().len(), 27);
    assert!(!SuffixScheme::VOWELLESS.signs().contains(['a', 'e', 'i', 'o', 'u', '0', '1', '3']));
}

/// A generator that is stuck gives the same name each time: the claim ends all the same.
#[test]
fn a_stuck_generator_ends_in_exhaustion() {
    let mut words = Words::new([0]);
    let mut asked = Vec::new();
    let outcome: Result<Claimed, _> =
        Namer::new().claim(BaseName::from_static("web"), &mut words, |name| {
            asked.push(name.to_string());
            Ok::<_, Infallible>(Claim::Taken)
        });
    let names = ["web-0000", "web-00000", "web-000000", "web-0000000", "web-00000000"];
    assert_eq!(asked[..4], [names[0]; 4]);
    assert_eq!(asked[4..], names[1..]);
    let error = outcome.unwrap_err();
    assert_eq!(
        error.to_string(),
        "all 8 names drawn for `web` are taken, the last was `web-00000000`: use longer suffixes",
    );
    assert!(matches!(error, ClaimError::Exhausted { attempts: 8, .. }));
}

#[test]
fn retries_do_not_overflow() {
    let namer = Namer::new().with_retries(u32::MAX).with_growth(u32::MAX);
    assert_eq!(namer.attempts(), u32::MAX);
    let longest = SuffixScheme::HEX.with_length(Suffix::MAX_LEN).unwrap();
    assert_eq!(Namer::new().with_scheme(longest).attempts(), 4);
}

#[test]
fn zones() {
    let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(61)].join(".");
    assert_eq!(longest.len(), Zone::MAX_LEN);
    for zone in ["org", "vms.example.org", "4.example", "a-b.c1", "xn--p1ai", &longest] {
        assert_eq!(zone.parse::<Zone>().unwrap().as_str(), zone);
    }
    let name: VmName = "n".repeat(63).parse().unwrap();
    assert_eq!(name.fqdn(&longest.parse().unwrap()).len(), 253);

    let refused = |zone: &str| zone.parse::<Zone>().unwrap_err();
    assert!(matches!(refused(&[&longest, "c"].concat()), ZoneError::TooLong { .. }));
    for zone in ["", ".", ".org", "a..b", "a.b..", &"x".repeat(64)] {
        assert!(matches!(refused(zone), ZoneError::LabelLength { .. }), "{zone:?}");
    }
    for zone in ["_vms.org", "-a.org", "a-.org", "zürich.ch", "a b", "a/b", "a\0"] {
        assert!(matches!(refused(zone), ZoneError::Label { .. }), "{zone:?}");
    }
    for zone in ["1", "192.0.2.1", "example.42."] {
        assert!(matches!(refused(zone), ZoneError::Number { .. }), "{zone:?}");
    }
    assert_eq!(
        refused("vms._tcp").to_string(),
        "the label \"_tcp\" of the zone \"vms._tcp\" is refused: use letters, digits and hyphens \
         between them",
    );
}

/// A set of names is asked with plain text.
#[test]
fn names_are_keys() {
    let name = VmName::from_static("web-a1b2");
    let ordered = std::collections::BTreeSet::from([name]);
    let hashed = std::collections::HashSet::from([name]);
    assert!(ordered.contains("web-a1b2") && hashed.contains("web-a1b2"));
    assert_eq!(format!("{name:>10}|{name:?}"), "  web-a1b2|VmName(\"web-a1b2\")");
}

#[test]
fn sizes_and_auto_traits() {
    const fn is_plain<T: Copy + Send + Sync + Unpin + 'static>() {}
    const fn is_sendable<T: Send + Sync + Unpin + 'static>() {}
    is_plain::<BaseName>();
    is_plain::<VmName>();
    is_plain::<Suffix>();
    is_plain::<SuffixScheme>();
    is_plain::<Sanitized>();
    is_plain::<Preview>();
    is_plain::<Namer>();
    is_plain::<Claimed<u64>>();
    is_plain::<ClaimError<Infallible>>();
    is_sendable::<NameError>();
    is_sendable::<NameError<VmName>>();
    is_sendable::<ExistingName>();
    is_sendable::<Zone>();
    is_sendable::<ZoneError>();
    assert_eq!(size_of::<BaseName>(), 41);
    assert_eq!(size_of::<VmName>(), 64);
}

#[cfg(feature = "serde")]
mod serde {
    use super::{BaseName, ExistingName, Suffix, VmName, Zone};
    use ::serde::{Serialize, de::DeserializeOwned};
    use core::fmt::Debug;

    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(json).unwrap(), *value);
        assert_eq!(serde_json::from_reader::<_, T>(json.as_bytes()).unwrap(), *value);
    }

    #[test]
    fn names_are_strings() {
        round_trip(&BaseName::from_static("web"), "\"web\"");
        round_trip(&VmName::from_static("web-a1b2"), "\"web-a1b2\"");
        round_trip(&"a1b2".parse::<Suffix>().unwrap(), "\"a1b2\"");
        round_trip(&"example.org".parse::<Zone>().unwrap(), "\"example.org\"");
        round_trip(&ExistingName::from("Bob's \"VM\""), r#""Bob's \"VM\"""#);
    }

    #[test]
    fn reading_goes_through_the_checks() {
        let error = serde_json::from_str::<VmName>("\"Web\"").unwrap_err().to_string();
        assert!(error.contains("at position 1: start with a lower-case letter"), "{error}");
        assert!(serde_json::from_str::<BaseName>("\"xn--a\"").is_err());
        assert!(serde_json::from_str::<Suffix>("\"a-b\"").is_err());
        assert!(serde_json::from_str::<Zone>("\"a..b\"").is_err());
        let error = serde_json::from_str::<VmName>("7").unwrap_err().to_string();
        assert!(error.contains("expected the name of a virtual machine"), "{error}");
    }
}
