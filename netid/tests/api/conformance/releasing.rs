use core::slice::from_ref;
use core::time::Duration;

use netid::{ClaimError, ClaimKey, ClaimStore, Obstacle, ReleaseOutcome};

use super::{NOW, SECOND, keys, name, no_cooldown, outcomes, owner, port};

pub(crate) async fn goes_by_proof<S: ClaimStore>(store: S) {
    let held = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    let mut forged = held.clone();
    forged[0].owner = owner("b");
    let released = store.release(&forged, no_cooldown, NOW).await.unwrap();
    assert_eq!(outcomes(released), [ReleaseOutcome::HeldByOther(held[0].clone())]);
    assert_eq!(store.get(&name("a")).await.unwrap(), Some(held[0].clone()));

    let released = store.release(&held, no_cooldown, NOW).await.unwrap();
    assert_eq!(released, [(name("a"), ReleaseOutcome::Released)]);
    assert_eq!(store.get(&name("a")).await.unwrap(), None);
    let again = store.release(&held, no_cooldown, NOW).await.unwrap();
    assert_eq!(again, [(name("a"), ReleaseOutcome::NotHeld)]);
}

pub(crate) async fn refuses_a_stale_generation<S: ClaimStore>(store: S) {
    let first = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    let released = store.release(&first, no_cooldown, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let second = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    let late = store.release(&first, no_cooldown, NOW).await.unwrap();
    assert_eq!(outcomes(late), [ReleaseOutcome::HeldByOther(second[0].clone())]);
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), second);
}

pub(crate) async fn reports_each_claim<S: ClaimStore>(store: S) {
    let of_a = store.claim(&owner("a"), &[name("a"), name("b"), name("c")], NOW).await.unwrap();
    let gone = store.release(&of_a[1..], no_cooldown, NOW).await.unwrap();
    assert!(gone.iter().all(|(_, outcome)| outcome.is_released()));
    let of_b = store.claim(&owner("b"), &[name("c")], NOW).await.unwrap();

    let twice = [&of_a[..], &of_a[..1]].concat();
    let released = store.release(&twice, no_cooldown, NOW).await.unwrap();
    let expected = [
        (name("a"), ReleaseOutcome::Released),
        (name("b"), ReleaseOutcome::NotHeld),
        (name("c"), ReleaseOutcome::HeldByOther(of_b[0].clone())),
        (name("a"), ReleaseOutcome::NotHeld),
    ];
    assert_eq!(released, expected);
}

pub(crate) async fn raises_generations<S: ClaimStore>(store: S) {
    let mut last = None;
    for turn in 0..20_u64 {
        let owner = owner(["a", "b"][usize::from(turn % 3 == 0)]);
        let now = NOW + SECOND * 2 * u32::try_from(turn).unwrap();
        let claims = store.claim(&owner, &[name("a")], now).await.unwrap();
        let generation = claims[0].generation;
        assert!(last < Some(generation), "{last:?} {generation}");
        last = Some(generation);
        // With and without a cooldown, over its end and, for the same owner, within it.
        let cooldown = SECOND * u32::from(turn % 2 == 0);
        let released = store.release(&claims, |_| cooldown, now).await.unwrap();
        assert!(released[0].1.is_released());
    }
}

/// The deadline that a refusal names.
async fn cooling<S: ClaimStore>(store: &S, uid: &str, key: &ClaimKey, now: Duration) -> Duration {
    match store.claim(&owner(uid), from_ref(key), now).await {
        Err(ClaimError::Taken(taken)) => match taken.obstacle {
            Obstacle::Cooling { until } => until,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn cools_until_the_deadline<S: ClaimStore>(store: S) {
    let key = name("a");
    let claims = store.claim(&owner("a"), from_ref(&key), NOW).await.unwrap();
    let released = store.release(&claims, |_| SECOND * 60, NOW + SECOND).await;
    assert!(released.unwrap()[0].1.is_released());

    let until = NOW + SECOND * 61;
    for now in [NOW, NOW + SECOND, NOW + SECOND * 60] {
        assert_eq!(cooling(&store, "b", &key, now).await, until);
        let again = store.release(&claims, |_| SECOND * 600, now).await.unwrap();
        assert_eq!(outcomes(again), [ReleaseOutcome::NotHeld]);
    }
    assert!(store.claim(&owner("b"), &[key], until).await.is_ok());
}

pub(crate) async fn lets_the_last_owner_return<S: ClaimStore>(store: S) {
    let key = name("a");
    let claims = store.claim(&owner("a"), from_ref(&key), NOW).await.unwrap();
    let released = store.release(&claims, |_| SECOND * 60, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let back = store.claim(&owner("a"), from_ref(&key), NOW).await.unwrap();
    assert!(back[0].generation > claims[0].generation);

    // The old deadline is gone: it neither frees the key nor outlives the new claim.
    let late = NOW + SECOND * 120;
    assert!(store.claim(&owner("b"), from_ref(&key), late).await.is_err());
    let released = store.release(&back, no_cooldown, late).await.unwrap();
    assert!(released[0].1.is_released());
    assert!(store.claim(&owner("b"), &[key], late).await.is_ok());
}

pub(crate) async fn cools_for_ever<S: ClaimStore>(store: S) {
    let key = name("a");
    let claims = store.claim(&owner("a"), from_ref(&key), NOW).await.unwrap();
    let released = store.release(&claims, |_| Duration::MAX, NOW).await.unwrap();
    assert!(released[0].1.is_released());
    let century = SECOND * 60 * 60 * 24 * 365 * 100;
    assert!(cooling(&store, "b", &key, NOW + century).await > NOW + century);
}

pub(crate) async fn cools_each_key_as_told<S: ClaimStore>(store: S) {
    let batch = [name("a"), port(1)];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    let cooldown = |key: &ClaimKey| SECOND * u32::from(key.kind() == ClaimKey::NAME);
    let released = store.release(&claims, cooldown, NOW).await.unwrap();
    assert_eq!(released.len(), 2);
    assert!(store.claim(&owner("b"), &[port(1)], NOW).await.is_ok());
    assert_eq!(cooling(&store, "b", &name("a"), NOW).await, NOW + SECOND);
}

pub(crate) async fn releases_everything_of_an_owner<S: ClaimStore>(store: S) {
    let (of_a, of_b) = ([name("a"), port(1), port(3)], [name("b"), port(2)]);
    store.claim(&owner("a"), &of_a, NOW).await.unwrap();
    store.claim(&owner("b"), &of_b, NOW).await.unwrap();
    let released = store.release_all(&owner("a"), no_cooldown, NOW).await;
    assert_eq!(released.unwrap(), of_a.map(|key| (key, ReleaseOutcome::Released)));
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), []);
    let left = store.claims_of(&owner("b")).await.unwrap();
    assert_eq!(keys(&left), of_b);
    let again = store.release_all(&owner("a"), no_cooldown, NOW).await;
    assert_eq!(again.unwrap(), []);
}

pub(crate) async fn forgets_what_has_passed<S: ClaimStore>(store: S) {
    let batch = [name("a"), name("b"), name("c"), name("d")];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    let cooldown = |key: &ClaimKey| match key.value() {
        "a" | "b" => SECOND,
        "c" => SECOND * 3,
        _ => Duration::ZERO,
    };
    let released = store.release(&claims, cooldown, NOW).await.unwrap();
    assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
    assert_eq!(store.forget_cooldowns(NOW).await.unwrap(), 0);
    assert_eq!(store.forget_cooldowns(NOW + SECOND).await.unwrap(), 2);
    assert_eq!(store.forget_cooldowns(NOW + SECOND).await.unwrap(), 0);
    for key in batch {
        let taken = store.claim(&owner("b"), from_ref(&key), NOW + SECOND).await;
        assert_eq!(taken.is_err(), key == name("c"), "{key}");
    }
}

pub(crate) async fn releases_many_at_once<S: ClaimStore>(store: S) {
    let mut claims = Vec::new();
    for first in [0, 40, 80, 120] {
        let batch: Vec<_> = (first..first + 40).map(port).collect();
        claims.extend(store.claim(&owner("a"), &batch, NOW).await.unwrap());
    }
    let released = store.release_all(&owner("a"), |_| SECOND, NOW).await.unwrap();
    assert_eq!(released.len(), claims.len());
    assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), []);
    assert_eq!(store.forget_cooldowns(NOW + SECOND).await.unwrap(), claims.len());
}

pub(crate) async fn goes_by_every_change_if_told<S: ClaimStore>(store: S) {
    let batch = [name("a"), name("b"), name("c"), name("d")];
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    store.bind(&claims[..1]).await.unwrap();
    store.renew(&claims[1..2], NOW + SECOND).await.unwrap();
    let bound = store.get(&name("a")).await.unwrap().unwrap();
    let renewed = store.get(&name("b")).await.unwrap().unwrap();
    let mut forged = claims[2].clone();
    forged.owner = owner("b");

    let shown = [&claims[..2], from_ref(&forged), &claims[3..], &claims[3..]].concat();
    let released = store.release_unchanged(&shown, no_cooldown, NOW).await.unwrap();
    let expected = [
        ReleaseOutcome::HeldByOther(bound.clone()),
        ReleaseOutcome::HeldByOther(renewed.clone()),
        ReleaseOutcome::HeldByOther(claims[2].clone()),
        ReleaseOutcome::Released,
        ReleaseOutcome::NotHeld,
    ];
    assert_eq!(outcomes(released), expected);
    let released = store.release_unchanged(&[bound, renewed], |_| SECOND, NOW).await.unwrap();
    assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), claims[2..3]);
    assert!(store.claim(&owner("b"), &batch[..1], NOW).await.is_err());
}
