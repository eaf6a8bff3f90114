use core::slice::from_ref;
use core::time::Duration;

use netid::{BindError, ClaimError, ClaimState, ClaimStore, NetId, Obstacle, Owner, Taken};

use super::{NOW, SECOND, keys, name, no_cooldown, owner, port};

/// The refusal, or a panic that says what came instead.
async fn refused<S: ClaimStore>(store: &S, owner: &Owner, keys: &[netid::ClaimKey]) -> Taken {
    match store.claim(owner, keys, NOW).await {
        Err(ClaimError::Taken(taken)) => taken,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn gives_claims_in_order<S: ClaimStore>(store: S) {
    let batch = [
        port(22001),
        name("web"),
        netid::ClaimKey::id(NetId::new(7)),
        netid::ClaimKey::address([10, 0, 0, 1].into()),
    ];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert_eq!(keys(&claims), batch);
    for claim in claims {
        assert_eq!(claim.owner, owner("a"));
        assert_eq!((claim.state, claim.since), (ClaimState::Pending, NOW));
        assert_eq!(store.get(&claim.key).await.unwrap(), Some(claim));
    }
}

pub(crate) async fn is_all_or_none<S: ClaimStore>(store: S) {
    store.claim(&owner("a"), &[name("b")], NOW).await.unwrap();
    for batch in [
        [name("b"), name("c"), name("d")],
        [name("a"), name("b"), name("c")],
        [name("a"), name("0"), name("b")],
    ] {
        refused(&store, &owner("b"), &batch).await;
        assert_eq!(store.claims_of(&owner("b")).await.unwrap(), []);
        for key in &batch {
            let claim = store.get(key).await.unwrap();
            assert!(claim.is_none_or(|claim| claim.owner == owner("a")), "{key}");
        }
    }
}

pub(crate) async fn names_the_first_key_in_the_way<S: ClaimStore>(store: S) {
    let held = store.claim(&owner("a"), &[name("a"), name("b")], NOW).await.unwrap();
    let taken = refused(&store, &owner("b"), &[name("c"), name("b"), name("a")]).await;
    assert_eq!(taken.key, name("b"));
    assert_eq!(taken.obstacle, Obstacle::Held(held[1].clone()));
}

pub(crate) async fn is_idempotent<S: ClaimStore>(store: S) {
    let batch = [name("a"), port(1)];
    let first = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    let again = store.claim(&owner("a"), &batch, NOW + SECOND).await;
    assert_eq!(again.unwrap(), first);
    store.bind(&first).await.unwrap();
    let bound = store.claim(&owner("a"), &batch, NOW + SECOND).await.unwrap();
    assert!(bound.iter().all(|claim| claim.state == ClaimState::Bound));
    assert!(bound.iter().zip(&first).all(|(now, then)| now.is_same(then)));
}

pub(crate) async fn extends_what_is_held<S: ClaimStore>(store: S) {
    let first = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    let batch = [name("b"), name("a")];
    let both = store.claim(&owner("a"), &batch, NOW + SECOND).await.unwrap();
    assert_eq!(both[1], first[0]);
    assert_eq!(both[0].since, NOW + SECOND);
}

pub(crate) async fn takes_a_key_named_twice<S: ClaimStore>(store: S) {
    let batch = [name("a"), name("b"), name("a")];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert_eq!(keys(&claims), batch);
    assert_eq!(claims[0], claims[2]);
    assert_eq!(store.claims_of(&owner("a")).await.unwrap().len(), 2);
}

pub(crate) async fn takes_no_keys<S: ClaimStore>(store: S) {
    assert_eq!(store.claim(&owner("a"), &[], NOW).await.unwrap(), []);
    store.bind(&[]).await.unwrap();
    let released = store.release(&[], no_cooldown, NOW).await;
    assert_eq!(released.unwrap(), []);
}

pub(crate) async fn goes_by_uid_alone<S: ClaimStore>(store: S) {
    let (before, after) =
        (Owner::new("vm", "before", "u").unwrap(), Owner::new("network", "after", "u").unwrap());
    let first = store.claim(&before, &[name("a")], NOW).await.unwrap();
    assert_eq!(store.claim(&after, &[name("a")], NOW).await.unwrap(), first);
    assert_eq!(store.claims_of(&after).await.unwrap(), first);

    let namesake = Owner::new("vm", "before", "v").unwrap();
    refused(&store, &namesake, &[name("a")]).await;
    assert_eq!(store.claims_of(&namesake).await.unwrap(), []);
}

pub(crate) async fn keeps_owners_of_any_content<S: ClaimStore>(store: S) {
    let long = "ü".repeat(Owner::MAX_LEN / 2);
    let texts = ["/", "a/", "a", "a/b", "\0", "\n", " ", "\u{202e}%d", "..", &long];
    for (at, uid) in texts.into_iter().enumerate() {
        let owner = Owner::new(uid, uid, uid).unwrap();
        let key = name(&at.to_string());
        store.claim(&owner, from_ref(&key), NOW).await.unwrap();
        let claim = store.get(&key).await.unwrap().unwrap();
        assert_eq!(claim.owner, owner);
    }
    for (at, uid) in texts.into_iter().enumerate() {
        let owner = Owner::new("vm", "", uid).unwrap();
        let claims = store.claims_of(&owner).await.unwrap();
        assert_eq!(keys(&claims), [name(&at.to_string())], "{uid:?}");
    }
}

pub(crate) async fn binds_all_or_none<S: ClaimStore>(store: S) {
    let batch = [name("a"), name("b")];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    let gone = store.release(&claims[1..], no_cooldown, NOW).await.unwrap();
    assert_eq!(gone.len(), 1);
    match store.bind(&claims).await {
        Err(BindError::Lost { key, holder: None }) => assert_eq!(key, name("b")),
        other => panic!("{other:?}"),
    }
    let left = store.get(&name("a")).await.unwrap().unwrap();
    assert_eq!(left.state, ClaimState::Pending);
}

pub(crate) async fn binds_again<S: ClaimStore>(store: S) {
    let claims = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    for _ in 0..2 {
        store.bind(&claims).await.unwrap();
        let bound = store.get(&name("a")).await.unwrap().unwrap();
        assert_eq!(bound, claims[0].clone().with_state(ClaimState::Bound));
    }
    // The copy from before the binding is still the proof.
    let released = store.release(&claims, no_cooldown, NOW).await.unwrap();
    assert!(released[0].1.is_released());
}

pub(crate) async fn does_not_bind_a_later_claim<S: ClaimStore>(store: S) {
    let first = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    let released = store.release(&first, |_| Duration::ZERO, NOW).await;
    assert!(released.unwrap()[0].1.is_released());
    for uid in ["a", "b"] {
        let later = store.claim(&owner(uid), &[name("a")], NOW).await.unwrap();
        match store.bind(&first).await {
            Err(BindError::Lost { holder, .. }) => assert_eq!(holder.as_ref(), Some(&later[0])),
            other => panic!("{other:?}"),
        }
        let released = store.release(&later, no_cooldown, NOW).await.unwrap();
        assert!(released[0].1.is_released());
    }
}

pub(crate) async fn gives_one_of_many<S: ClaimStore>(store: S) {
    let first = store.claim_one(&owner("a"), "port/tcp/", &port(1), NOW).await.unwrap();
    assert_eq!((&first.key, &first.owner), (&port(1), &owner("a")));
    assert_eq!((first.state, first.since), (ClaimState::Pending, NOW));
    // Whatever is proposed, taken or not, the owner keeps the one it has.
    for proposed in [port(2), port(1), port(3)] {
        let again = store.claim_one(&owner("a"), "port/tcp/", &proposed, NOW + SECOND).await;
        assert_eq!(again.unwrap(), first);
    }
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), from_ref(&first));

    // Another prefix is another question, and another owner another answer.
    let key = name("web");
    assert_eq!(store.claim_one(&owner("a"), "name/", &key, NOW).await.unwrap().key, key);
    let other = store.claim_one(&owner("b"), "port/tcp/", &port(2), NOW).await.unwrap();
    assert_eq!(other.key, port(2));

    let released = store.release(from_ref(&first), no_cooldown, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let next = store.claim_one(&owner("a"), "port/tcp/", &port(3), NOW).await.unwrap();
    assert_eq!(next.key, port(3));
}

pub(crate) async fn gives_the_first_of_several<S: ClaimStore>(store: S) {
    let batch = [port(7), port(5), name("web"), port(6)];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    let claim = store.claim_one(&owner("a"), "port/", &port(1), NOW).await.unwrap();
    assert_eq!(claim, claims[1]);
    assert_eq!(store.claims_of(&owner("a")).await.unwrap().len(), 4);
}

pub(crate) async fn refuses_one_that_is_taken<S: ClaimStore>(store: S) {
    let held = store.claim(&owner("a"), &[port(1), port(2)], NOW).await.unwrap();
    let released = store.release(&held[1..], |_| SECOND, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let obstacles = [Obstacle::Held(held[0].clone()), Obstacle::Cooling { until: NOW + SECOND }];
    for (key, obstacle) in [port(1), port(2)].into_iter().zip(obstacles) {
        match store.claim_one(&owner("b"), "port/", &key, NOW).await {
            Err(ClaimError::Taken(taken)) => assert_eq!(taken, Taken { key, obstacle }),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.claims_of(&owner("b")).await.unwrap(), []);
    let later = store.claim_one(&owner("b"), "port/", &port(2), NOW + SECOND).await.unwrap();
    assert!(later.generation > held[1].generation);
}

pub(crate) async fn renews_what_is_pending<S: ClaimStore>(store: S) {
    let claims = store.claim(&owner("a"), &[name("a"), name("b")], NOW).await.unwrap();
    store.bind(&claims[1..]).await.unwrap();
    let renewed = store.renew(&claims, NOW + SECOND).await.unwrap();
    assert_eq!(keys(&renewed), keys(&claims));
    assert_eq!((renewed[0].state, renewed[0].since), (ClaimState::Pending, NOW + SECOND));
    assert_eq!((renewed[1].state, renewed[1].since), (ClaimState::Bound, NOW));
    assert!(renewed.iter().zip(&claims).all(|(now, then)| now.is_same(then)));
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), renewed);
    // What was given before is a proof still.
    store.bind(&claims).await.unwrap();
}

pub(crate) async fn renews_all_or_none<S: ClaimStore>(store: S) {
    let claims = store.claim(&owner("a"), &[name("a"), name("b")], NOW).await.unwrap();
    let released = store.release(&claims[1..], no_cooldown, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    match store.renew(&claims, NOW + SECOND).await {
        Err(BindError::Lost { key, holder: None }) => assert_eq!(key, name("b")),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.get(&name("a")).await.unwrap().unwrap().since, NOW);
}

pub(crate) async fn claims_large_batches<S: ClaimStore>(store: S) {
    let batch: Vec<_> = (1..=40).map(port).collect();
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert_eq!(keys(&claims), batch);
    store.bind(&claims).await.unwrap();
    assert_eq!(store.claims_of(&owner("a")).await.unwrap().len(), 40);
    refused(&store, &owner("b"), &batch).await;
}

/// Also where the key does not start with the prefix: what the owner holds is given, as by any other claim.
pub(crate) async fn gives_one_that_is_held<S: ClaimStore>(store: S) {
    let held = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    let again = store.claim_one(&owner("a"), "name/b", &name("a"), NOW + SECOND).await;
    assert_eq!(from_ref(&again.unwrap()), held);
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), held);
}
