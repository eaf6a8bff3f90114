use core::num::NonZeroUsize;

use netid::{ClaimKey, ClaimStore, Protocol};

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
