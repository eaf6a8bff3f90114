//! Laws, with texts from proptest.

use crate::support::{naive_is_valid, naive_sanitize};
use core::convert::Infallible;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use vmname::{
    BaseName, Claim, ClaimError, ExistingName, Namer, Scope, Suffix, SuffixScheme, VmName, Zone,
    sanitize,
};

fn raw() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9 _.-]{0,80}",
        "\\PC{0,30}",
        "[-a-c]{30,50}",
        "[a-z0-9]{38,41}[ -]{0,3}[a-z]{0,3}",
        proptest::collection::vec(
            prop_oneof![Just("İ"), Just("\u{212a}"), Just("x"), Just(" ")],
            0..60
        )
        .prop_map(|signs| signs.concat()),
    ]
}

fn base() -> impl Strategy<Value = BaseName> {
    raw().prop_map(|raw| BaseName::nearest(&raw))
}

fn scheme() -> impl Strategy<Value = SuffixScheme> {
    (2..=36usize, 1..=Suffix::MAX_LEN).prop_map(|(signs, length)| {
        SuffixScheme::new(&"abcdefghijklmnopqrstuvwxyz0123456789"[..signs], length).unwrap()
    })
}

proptest! {
    /// Sanitising agrees with the naive rules and changes nothing a second time.
    #[test]
    fn sanitising(raw in raw()) {
        let once = sanitize(&raw);
        prop_assert_eq!(once.as_str(), naive_sanitize(&raw).0);
        prop_assert_eq!(sanitize(once.as_str()).to_string(), once.as_str());
    }

    /// What is in front decides: a name that is full does not depend on what follows.
    #[test]
    fn what_follows_a_full_name_does_not_matter(start in "[a-z0-9]{40}", end in any::<String>()) {
        prop_assert_eq!(sanitize(&[&*start, &end].concat()).to_string(), start);
    }

    /// Texts as strings and as names compare, order and hash alike.
    #[test]
    fn names_are_their_texts(a in base(), b in base(), suffix in "[a-z0-9]{1,10}") {
        let suffix: Suffix = suffix.parse().unwrap();
        let (x, y) = (a.with_suffix(suffix), b.with_suffix(suffix));
        prop_assert_eq!(a.cmp(&b), a.as_str().cmp(b.as_str()));
        prop_assert_eq!(x.cmp(&y), x.as_str().cmp(y.as_str()));
        prop_assert_eq!(x == y, x.as_str() == y.as_str());
        let state = RandomState::new();
        prop_assert_eq!(state.hash_one(x), state.hash_one(x.as_str()));
        prop_assert_eq!(state.hash_one(a), state.hash_one(a.as_str()));
        prop_assert_eq!(x.to_string(), format!("{a}-{suffix}"));
    }

    /// A base and a suffix always make a name that reads back.
    #[test]
    fn candidates_are_names(base in base(), scheme in scheme(), seed in any::<u64>()) {
        let name = Namer::new().with_scheme(scheme).draw(base, &mut StdRng::seed_from_u64(seed));
        prop_assert!(naive_is_valid(name.as_str(), 51), "{}", name);
        prop_assert_eq!(name.as_str().parse::<VmName>(), Ok(name));
        let (start, suffix) = name.as_str().rsplit_once('-').unwrap();
        prop_assert_eq!(start, base.as_str());
        prop_assert_eq!(suffix.len(), scheme.length());
        prop_assert!(suffix.chars().all(|sign| scheme.signs().contains(sign)));
    }

    /// A claim asks for at most `attempts` names, all of the base, with suffixes that have the
    /// scheme's length first and grow then; it stops at the first answer that is not "taken".
    #[test]
    fn claims(
        base in base(),
        scheme in scheme(),
        retries in 0..6u32,
        growth in 0..14u32,
        taken in 0..24u32,
        fails in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let namer = Namer::new().with_scheme(scheme).with_retries(retries).with_growth(growth);
        let room = u32::try_from(Suffix::MAX_LEN - scheme.length()).unwrap();
        prop_assert_eq!(namer.attempts(), 1 + retries + growth.min(room));

        let mut asked = Vec::new();
        let mut attempts = 0;
        let outcome = namer.claim(base, &mut StdRng::seed_from_u64(seed), |name| {
            asked.push(*name);
            attempts += 1;
            match attempts > taken {
                false => Ok(Claim::Taken),
                true if fails => Err("down"),
                true => Ok(Claim::Claimed(attempts)),
            }
        });

        let last = *asked.last().unwrap();
        prop_assert_eq!(attempts, namer.attempts().min(taken + 1));
        for (attempt, name) in (0..attempts).zip(&asked) {
            let grown = attempt.saturating_sub(retries) as usize;
            let suffix = name.as_str().strip_prefix(base.as_str()).unwrap();
            prop_assert_eq!(suffix.len(), 1 + scheme.length() + grown);
        }
        match outcome {
            Ok(claimed) => {
                prop_assert!(taken < namer.attempts() && !fails);
                prop_assert_eq!((claimed.name, claimed.attempts), (last, attempts));
                prop_assert_eq!(claimed.receipt, attempts);
            }
            Err(ClaimError::Failed { name, attempts: after, source }) => {
                prop_assert!(taken < namer.attempts() && fails);
                prop_assert_eq!((name, after, source), (last, attempts, "down"));
            }
            Err(ClaimError::Exhausted { base: of, name, attempts: after }) => {
                prop_assert!(taken >= namer.attempts());
                prop_assert_eq!((of, name, after), (base, last, attempts));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    /// The asynchronous claim asks the same questions and gives the same answer.
    #[test]
    fn claims_are_the_same_asynchronously(base in base(), taken in 0..10u32, seed in any::<u64>()) {
        let answer = |count: u32| match count {
            count if count <= taken => Ok(Claim::Taken),
            9 => Err("down"),
            count => Ok(Claim::Claimed(count)),
        };
        let namer = Namer::new();
        let mut count = 0;
        let blocking = namer.claim(base, &mut StdRng::seed_from_u64(seed), |_| {
            count += 1;
            answer(count)
        });
        let mut count = 0;
        let asynchronous = pollster::block_on(namer.claim_async(
            base,
            &mut StdRng::seed_from_u64(seed),
            async |_| {
                count += 1;
                answer(count)
            },
        ));
        prop_assert_eq!(blocking, asynchronous);
    }

    /// The preview has the shape of the name that is drawn later.
    #[test]
    fn previews(raw in raw(), seed in any::<u64>()) {
        match vmname::preview(&raw) {
            Ok(preview) => {
                let base = sanitize(&raw).validate().unwrap();
                let name = Namer::new().draw(base, &mut StdRng::seed_from_u64(seed));
                prop_assert_eq!(preview.as_str().len(), name.as_str().len());
                prop_assert_eq!(preview.as_str().rsplit_once('-').unwrap(), (base.as_str(), "xxxx"));
            }
            Err(error) => prop_assert_eq!(Err(error), sanitize(&raw).validate()),
        }
    }

    /// Reading a record keeps it, whatever it is.
    #[test]
    fn existing_names(text in raw()) {
        let name = ExistingName::from(&*text);
        prop_assert_eq!(name.as_str(), &*text);
        prop_assert_eq!(name.canonical(), text.parse());
        prop_assert_eq!(ExistingName::from(text.clone()), text.parse::<ExistingName>().unwrap());
    }

    /// The keys of different claims differ, whatever the owners are called.
    #[test]
    fn keys(owners in proptest::collection::hash_set("[a-z/.-]{0,6}", 2..8)) {
        let names = [VmName::from_static("web-a1b2"), VmName::from_static("a1b2")];
        let zones: Vec<Zone> = owners.iter().filter_map(|owner| owner.parse().ok()).collect();
        let mut keys = HashSet::new();
        for name in names {
            for owner in &owners {
                prop_assert!(keys.insert(Scope::Owner(owner).key(&name)));
            }
            let mut seen = HashSet::new();
            for zone in zones.iter().filter(|zone| seen.insert(*zone)) {
                prop_assert!(keys.insert(Scope::Zone(zone).key(&name)));
            }
        }
    }

    /// A domain name is never longer than 253 characters and has the zone behind the name.
    #[test]
    fn domain_names(zone in "[a-zA-Z0-9.-]{0,220}", base in base()) {
        if let Ok(zone) = zone.parse::<Zone>() {
            let name = base.with_suffix("0123456789".parse().unwrap());
            let fqdn = name.fqdn(&zone);
            prop_assert!(fqdn.len() <= 253);
            prop_assert_eq!(fqdn.split_once('.').unwrap(), (name.as_str(), zone.as_str()));
            prop_assert!(fqdn.split('.').all(|label| (1..=63).contains(&label.len())));
            prop_assert_eq!(zone.as_str().parse(), Ok(zone));
        }
    }
}

/// Every suffix of a small scheme comes up, and about as often as every other.
#[test]
fn suffixes_are_uniform() {
    let scheme = SuffixScheme::new("abc", 2).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..9_000 {
        *counts.entry(scheme.draw(&mut rng)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 9);
    // 1,000 each; five standard deviations are 149.
    assert!(counts.values().all(|count| (851..1_149).contains(count)), "{counts:?}");
}

/// 64 creators of one base over one set: no name twice, none refused.
#[test]
fn concurrent_creators_never_share_a_name() {
    let held = std::sync::Mutex::new(HashSet::new());
    let base = BaseName::from_static("vm");
    // So few suffixes that most draws collide.
    let scheme = SuffixScheme::new("ab", 5).unwrap();
    let pick = Namer::new().with_scheme(scheme).with_retries(1_000).with_growth(0);
    let claim = |seed| {
        pick.claim(base, &mut StdRng::seed_from_u64(seed), |name| {
            let is_new = held.lock().unwrap().insert(*name);
            Ok::<_, Infallible>(if is_new { Claim::Claimed(()) } else { Claim::Taken })
        })
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..64).map(|seed| scope.spawn(move || claim(seed))).collect();
        creators.into_iter().map(|creator| creator.join().unwrap()).collect()
    });
    let granted: HashSet<_> = outcomes.iter().flatten().map(|claimed| claimed.name).collect();
    // There are 32 names for 64 creators: each is granted once, half of the creators go without.
    assert_eq!((granted.len(), outcomes.iter().flatten().count()), (32, 32));
}
