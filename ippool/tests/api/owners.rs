//! Who holds what: many items, large tokens, and owners who get back what they had.

use core::time::Duration;

use ippool::{ExactError, How, IndexPool, Integers, Owner, Policy, Pressure, ReleaseError, State};
use rand::seq::SliceRandom as _;
use rand::{SeedableRng as _, rngs::StdRng};

const NOW: Duration = Duration::from_secs(1_000);
const LATER: Duration = Duration::from_secs(1_060);

/// Dense or sparse, by how large it is.
fn pool<O: Owner>(last: u64) -> IndexPool<u64, O> {
    IndexPool::new(Integers::new(0..=last).unwrap()).with_cooldown(Duration::from_secs(60))
}

const LASTS: [u64; 2] = [9_999, u64::MAX];

#[test]
fn thousands_of_items_of_one_owner() {
    for last in LASTS {
        let mut pool = pool::<u32>(last);
        for item in 0..3_000 {
            let owner = if item % 3 == 0 { u32::try_from(item).unwrap() } else { 1 };
            assert_eq!(pool.allocate(owner, NOW).unwrap().item, item);
        }
        let mine: Vec<u64> = (0..3_000).filter(|item| item % 3 != 0).collect();
        assert_eq!(pool.held_by(1), mine);
        // In any order, also the one that is found first.
        let (mut gone, kept) = (mine[..1_500].to_vec(), &mine[1_500..]);
        gone.shuffle(&mut StdRng::seed_from_u64(5));
        for &item in &gone {
            assert!(pool.held_by(1).len() > kept.len());
            pool.release(item, 1, NOW).unwrap();
        }
        assert_eq!(pool.held_by(1), kept);
        let first = pool.allocate_once(1, NOW).unwrap();
        assert_eq!(first.how, How::AlreadyHeld);
        assert!(kept.contains(&first.item));
        assert_eq!(pool.release_all(1, NOW), kept);
        assert_eq!((pool.held_by(1), pool.release_all(1, NOW)), (vec![], vec![]));
        assert_eq!(pool.counts().held, 1_000);
        assert!((0..3_000u32).step_by(3).all(|item| pool.owner(item.into()) == Some(item)));
    }
}

/// A uuid's bytes, told apart by the last one only.
#[test]
fn tokens_of_sixteen_bytes() {
    let owner = |n: u8| core::array::from_fn::<u8, 16, _>(|at| if at == 15 { n } else { 0xab });
    for last in LASTS {
        let new = || pool::<[u8; 16]>(last).with_sticky_owners();
        let mut pool = new();
        let items = [0, 255].map(|n| pool.allocate(owner(n), NOW).unwrap().item);
        let [item, other] = items;
        let by_other = ReleaseError::HeldByOther { item, owner: owner(0) };
        assert_eq!(pool.release(item, owner(255), NOW), Err(by_other));
        pool.release(item, owner(0), NOW).unwrap();
        let mut pool = new().restore(&pool.snapshot()).unwrap();
        assert_eq!(pool.owner(other), Some(owner(255)));
        assert_eq!(pool.allocate(owner(1), NOW).unwrap().item, 2);
        assert_eq!(pool.allocate(owner(0), NOW).unwrap().item, item);
    }
}

#[test]
fn a_former_owner_comes_first_until_somebody_else_held_the_item() {
    for last in LASTS {
        let new = || pool::<u8>(last).with_sticky_owners();
        let mut pool = new();
        let item = pool.allocate(1, NOW).unwrap().item;
        pool.release(item, 1, NOW).unwrap();
        // Cooling, for everybody else.
        assert_eq!(pool.allocate_exact(item, 2, NOW), Err(ExactError::Cooling { item }));
        assert_eq!(pool.clone().allocate_exact(item, 1, NOW), Ok(()));
        // The condition comes before the habit.
        let elsewhere = pool.clone().allocate_where(1, NOW, |other| other != item).unwrap();
        assert_eq!((elsewhere.item, elsewhere.how), (1, How::Vacant));
        let mut rng = StdRng::seed_from_u64(1);
        let back = new().restore(&pool.snapshot()).unwrap().allocate_random(1, NOW, &mut rng);
        assert_eq!(back.map(|grant| (grant.item, grant.how)), Ok((item, How::Returned)));
        // Free again, it waits for its owner until somebody asks for just that one.
        assert_eq!(pool.expire(LATER), 1);
        let back = pool.clone().allocate(1, LATER).unwrap();
        assert_eq!((back.item, back.how), (item, How::Returned));
        pool.allocate_exact(item, 2, LATER).unwrap();
        pool.release(item, 2, LATER).unwrap();
        assert_eq!(pool.clone().allocate(2, LATER).unwrap().how, How::Returned);
        let restored = new().restore(&pool.snapshot()).unwrap();
        for mut pool in [pool, restored] {
            assert_eq!(pool.allocate(1, LATER).unwrap().how, How::Vacant);
        }
    }
}

#[test]
fn of_several_items_the_last_comes_back() {
    let mut pool = pool::<u8>(9).with_sticky_owners().with_policy(Policy::Lowest);
    pool.allocate_many(1, 4, NOW).unwrap();
    for item in [3, 0, 2] {
        pool.release(item, 1, NOW).unwrap();
    }
    let grants = pool.allocate_many(1, 2, NOW).unwrap();
    let got: Vec<_> = grants.into_iter().map(|grant| (grant.item, grant.how)).collect();
    assert_eq!(got, [(2, How::Returned), (4, How::Vacant)]);
    // All at once, the last in order counts as the last.
    assert_eq!(pool.release_all(1, NOW), [1, 2, 4]);
    assert!(pool.release_all(1, NOW).is_empty());
    assert_eq!(pool.allocate_once(1, NOW).unwrap().item, 4);
    assert_eq!(pool.state(2), State::Cooling);
}

/// Under pressure the oldest item goes to a newcomer, and its former owner has lost it.
#[test]
fn pressure_ends_a_claim() {
    let pool = pool::<u8>(1).with_sticky_owners().with_pressure(Pressure::ReuseOldest);
    let mut pool = pool;
    let [a, b] = [1, 2].map(|owner| pool.allocate(owner, NOW).unwrap().item);
    pool.release(a, 1, NOW).unwrap();
    pool.release(b, 2, NOW).unwrap();
    let taken = pool.allocate(3, NOW).unwrap();
    assert_eq!(taken.item, a);
    assert!(matches!(taken.how, How::Early { .. }));
    let back = pool.clone().allocate(2, NOW).unwrap();
    assert_eq!((back.item, back.how), (b, How::Returned));
    let other = pool.allocate(1, NOW).unwrap();
    assert_eq!(other.item, b);
    assert!(matches!(other.how, How::Early { .. }));
    assert!(pool.allocate(2, NOW).is_err());
}

/// Sticky owners can be asked for in a pool that is in use; nothing from before is remembered.
#[test]
fn a_memory_that_starts_late() {
    for last in LASTS {
        let mut pool = pool::<u8>(last);
        pool.allocate_many(1, 3, NOW).unwrap();
        pool.release(0, 1, NOW).unwrap();
        let mut pool = pool.with_sticky_owners();
        assert_eq!(pool.clone().allocate(1, NOW).unwrap().how, How::Vacant);
        pool.release(1, 1, NOW).unwrap();
        assert_eq!(pool.snapshot().former, [(1, 1)]);
        let mut pool = pool.with_sticky_owners();
        assert_eq!(pool.allocate(1, NOW).unwrap().how, How::Returned);
        assert!(pool.snapshot().former.is_empty());
    }
}
