use core::num::NonZeroUsize;

use netid::{
    ClaimKey, ClaimStore, ClaimWatch as _, KeyState, Owner, Protocol, WatchClaims, WatchEvent,
};

use super::{NOW, SECOND, keys, name, no_cooldown, owner, port};

const ALL: NonZeroUsize = NonZeroUsize::MAX;

pub(crate) async fn finds_by_prefix_in_order<S: ClaimStore>(store: S) {
    let udp = ClaimKey::port(Protocol::Udp, 53);
    let batch = [port(22001), name("b"), port(80), udp.clone(), name("ab"), port(8080)];
    store.claim(&owner("a"), &batch, NOW).await.unwrap();
    for (prefix, expected) in [
        ("port/tcp/", vec![port(80), port(8080), port(22001)]),
        ("port/", vec![port(80), port(8080), port(22001), udp.clone()]),
        ("name/a", vec![name("ab")]),
        ("name/b", vec![name("b")]),
        ("name/c", vec![]),
        ("name/b/", vec![]),
        ("zebra", vec![]),
        ("\u{10ffff}", vec![]),
        ("", vec![name("ab"), name("b"), port(80), port(8080), port(22001), udp.clone()]),
    ] {
        let claims = store.list(prefix, None, ALL).await.unwrap();
        assert_eq!(keys(&claims), expected, "{prefix:?}");
        for claim in claims {
            assert_eq!(store.get(&claim.key).await.unwrap(), Some(claim));
        }
    }
}

pub(crate) async fn pages<S: ClaimStore>(store: S) {
    let batch: Vec<_> = (1..=10).map(port).collect();
    store.claim(&owner("a"), &batch, NOW).await.unwrap();
    store.claim(&owner("a"), &[name("a"), name("b")], NOW).await.unwrap();
    for limit in 1..=11 {
        let limit = NonZeroUsize::new(limit).unwrap();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.list("port/", after.as_ref(), limit).await.unwrap();
            found.extend(keys(&page));
            if page.len() < limit.get() {
                break;
            }
            after = page.last().map(|claim| claim.key.clone());
        }
        assert_eq!(found, batch, "{limit}");
    }
    // A page begins behind a key, whether that is held, has the prefix, or neither.
    for (after, count) in
        [(port(4), 6), (port(11), 0), (name("a"), 10), (ClaimKey::new("zebra", &["a"]).unwrap(), 0)]
    {
        let page = store.list("port/", Some(&after), ALL).await.unwrap();
        assert_eq!(page.len(), count, "{after}");
    }
}

pub(crate) async fn hides_cooling_keys<S: ClaimStore>(store: S) {
    let batch = [port(1), port(2), port(3)];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    let released = store.release(&claims[..2], |_| SECOND, NOW).await.unwrap();
    assert_eq!(released.len(), 2);
    assert_eq!(store.get(&port(1)).await.unwrap(), None);
    // What is hidden does not count towards the limit.
    let page = store.list("port/", None, NonZeroUsize::MIN).await.unwrap();
    assert_eq!(keys(&page), [port(3)]);
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), page);
}

pub(crate) async fn lists_by_owner<S: ClaimStore>(store: S) {
    let (of_a, of_b) = ([port(3), name("z"), port(1)], [port(2)]);
    let claims = store.claim(&owner("a"), &of_a, NOW).await.unwrap();
    store.claim(&owner("b"), &of_b, NOW).await.unwrap();
    let found = store.claims_of(&owner("a")).await.unwrap();
    assert_eq!(keys(&found), [name("z"), port(1), port(3)]);
    let released = store.release(&claims[..1], no_cooldown, NOW).await.unwrap();
    assert_eq!(released.len(), 1);
    let found = store.claims_of(&owner("a")).await.unwrap();
    assert_eq!(keys(&found), [name("z"), port(1)]);
    assert_eq!(store.claims_of(&owner("c")).await.unwrap(), []);
}

/// Keys that begin alike, and some as long as can be, keep their order, also where one rests between them.
pub(crate) async fn keeps_apart_what_begins_alike<S: WatchClaims>(store: S) {
    let long = |last: &str| format!("disk/a/{}{last}", "x".repeat(ClaimKey::MAX_LEN - 8));
    let long = [long("x"), long("y")];
    let texts =
        ["disk/a", "disk/a!", "disk/a/b", &long[0], &long[1], "disk/a0", "disk/ab", "disk/b"];
    let batch: Vec<ClaimKey> = texts.iter().map(|text| text.parse().unwrap()).collect();
    assert!(batch.is_sorted());
    let who = Owner::new("vm", "", &"%/..\u{e9}\0 ".repeat(31)).unwrap();
    for resting in 0..2 {
        let claims = store.claim(&who, &batch, NOW).await.unwrap();
        let (rest, held): (Vec<_>, Vec<_>) =
            claims.iter().cloned().enumerate().partition(|(at, _)| at % 2 == resting);
        let rest: Vec<_> = rest.into_iter().map(|(_, claim)| claim).collect();
        let held: Vec<_> = held.into_iter().map(|(_, claim)| claim).collect();
        let released = store.release(&rest, |_| SECOND, NOW).await.unwrap();
        assert!(released.iter().all(|(_, outcome)| outcome.is_released()));

        for prefix in ["disk/a", "disk/a/", "disk/a/x", "disk/b", "disk/", "d", ""] {
            let ours = |key: &ClaimKey| key.as_str().starts_with(prefix);
            for (at, after) in batch.iter().enumerate() {
                let found = store.list(prefix, Some(after), ALL).await.unwrap();
                let expected = keys(&held).into_iter().filter(ours);
                let expected: Vec<_> =
                    expected.filter(|key| batch[at + 1..].contains(key)).collect();
                assert_eq!(keys(&found), expected, "{prefix} after {after}");
                let first = store.list(prefix, Some(after), NonZeroUsize::MIN).await.unwrap();
                assert_eq!(keys(&first), expected[..expected.len().min(1)]);
            }
            let mut watch = store.watch(prefix).await.unwrap();
            let Ok(WatchEvent::Snapshot(states)) = watch.next().await else {
                panic!("no snapshot")
            };
            let told: Vec<_> = states.iter().map(|state| state.key().clone()).collect();
            let expected: Vec<_> = batch.iter().filter(|key| ours(key)).cloned().collect();
            assert_eq!(told, expected, "{prefix}");
            for state in states {
                let is_held = matches!(&state, KeyState::Held(claim) if held.contains(claim));
                assert_eq!(is_held, keys(&held).contains(state.key()), "{state:?}");
            }
        }
        assert_eq!(store.claims_of(&who).await.unwrap(), held);
        // Next all of them again, as their last owner may.
        store.release(&held, no_cooldown, NOW).await.map(drop).unwrap();
    }
}
