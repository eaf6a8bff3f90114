use core::slice::from_ref;
use core::time::Duration;

use netid::{Claim, ClaimKey, ClaimState, ClaimWatch, KeyState, WatchClaims, WatchEvent};

use super::{NOW, SECOND, name, no_cooldown, owner, port};

async fn next<W: ClaimWatch<Error: core::fmt::Debug>>(watch: &mut W) -> WatchEvent {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, watch.next()).await.expect("an event within time").unwrap()
}

fn held(claims: &[Claim]) -> Vec<KeyState> {
    claims.iter().cloned().map(KeyState::Held).collect()
}

pub(crate) async fn begins_with_what_there_is<S: WatchClaims>(store: S) {
    let claims = store.claim(&owner("a"), &[name("b"), name("a"), name("c")], NOW).await.unwrap();
    let released = store.release(&claims[2..], |_| SECOND, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let mut watch = store.watch("name/").await.unwrap();
    let expected = vec![
        KeyState::Held(claims[1].clone()),
        KeyState::Held(claims[0].clone()),
        KeyState::Cooling { key: name("c"), until: NOW + SECOND },
    ];
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(expected));
    assert!(watch.arrived().is_none());
}

pub(crate) async fn tells_every_change<S: WatchClaims>(store: S) {
    let mut watch = store.watch("name/").await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(vec![]));

    let claims = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&claims)));
    let renewed = store.renew(&claims, NOW + SECOND).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&renewed)));
    store.bind(&claims).await.unwrap();
    let bound = renewed[0].clone().with_state(ClaimState::Bound);
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&[bound])));

    let released = store.release(&claims, |_| SECOND, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let cooling = KeyState::Cooling { key: name("a"), until: NOW + SECOND };
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(vec![cooling]));

    let again = store.claim_one(&owner("a"), "name/", &name("a"), NOW).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(from_ref(&again))));
    let released = store.release(&[again], no_cooldown, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let vacant = KeyState::Vacant { key: name("a") };
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(vec![vacant]));
}

pub(crate) async fn tells_steps_whole<S: WatchClaims>(store: S) {
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(vec![]));
    let batch = [name("a"), name("b"), port(1)];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&claims)));
    // What changes nothing is not told.
    store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert!(store.claim(&owner("b"), &batch, NOW).await.is_err());
    assert!(watch.arrived().is_none());
}

pub(crate) async fn tells_what_it_was_asked_for<S: WatchClaims>(store: S) {
    store.claim(&owner("a"), &[name("a"), port(1)], NOW).await.unwrap();
    let mut watch = store.watch("port/").await.unwrap();
    match next(&mut watch).await {
        WatchEvent::Snapshot(states) => {
            let keys: Vec<_> = states.iter().map(|state| state.key().clone()).collect();
            assert_eq!(keys, [port(1)]);
        }
        other @ WatchEvent::Changes(_) => panic!("{other:?}"),
    }
    store.claim(&owner("a"), &[name("b")], NOW).await.unwrap();
    let claims = store.claim(&owner("a"), &[port(2), name("c")], NOW).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&claims[..1])));
}

/// Whatever the store keeps for somebody who does not listen, in the end the view is right.
pub(crate) async fn catches_up_after_a_long_silence<S: WatchClaims>(store: S) {
    let mut watch = store.watch("name/").await.unwrap();
    for _ in 0..1_100 {
        let claims = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
        let released = store.release(&claims, no_cooldown, NOW).await.unwrap();
        assert!(released[0].1.is_released());
    }
    let last = store.claim(&owner("b"), &[name("a"), name("b")], NOW).await.unwrap();
    let mut view: Vec<(ClaimKey, KeyState)> = Vec::new();
    while view.iter().map(|(_, state)| state.clone()).collect::<Vec<_>>() != held(&last) {
        let changes = match next(&mut watch).await {
            WatchEvent::Snapshot(states) => {
                view.clear();
                states
            }
            WatchEvent::Changes(states) => states,
        };
        for state in changes {
            view.retain(|(key, _)| key != state.key());
            if !matches!(state, KeyState::Vacant { .. }) {
                view.push((state.key().clone(), state));
            }
        }
        view.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
}

/// A key that is named twice has changed once, and one that stays as it was has not.
pub(crate) async fn tells_each_change_once<S: WatchClaims>(store: S) {
    let mut watch = store.watch("name/").await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(vec![]));
    let batch = [name("a"), name("b"), name("a")];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&claims[..2])));
    store.bind(&claims).await.unwrap();
    let bound: Vec<_> =
        claims.iter().map(|claim| claim.clone().with_state(ClaimState::Bound)).collect();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&bound[..2])));
    store.bind(&claims).await.unwrap();
    assert_eq!(store.renew(&claims, NOW + SECOND).await.unwrap(), bound);
    let last = store.claim(&owner("a"), &[name("c")], NOW).await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&last)));
}
