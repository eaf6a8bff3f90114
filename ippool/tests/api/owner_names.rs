//! Owners that are known by a name.

use core::time::Duration;

use ippool::{How, IndexPool, Integers, OwnerId, OwnerNames, PortPool, Ports};

#[test]
fn a_name_has_one_token_and_a_token_one_name() {
    let mut names = OwnerNames::new();
    assert!(names.is_empty());
    let ids: Vec<OwnerId> = (0..1000).map(|n| names.intern(&format!("vm-{n}"))).collect();
    for (n, &id) in ids.iter().enumerate() {
        let name = format!("vm-{n}");
        assert_eq!((names.intern(&name), names.id(&name)), (id, Some(id)));
        assert_eq!(names.name(id), Some(name.as_str()));
    }
    assert_eq!(names.len(), 1000);
    assert_eq!(names.id("vm-1000"), None);
    assert!(names.iter().map(|(id, _)| id).eq(ids.iter().copied()));
}

#[test]
fn a_removed_token_is_not_given_again_soon() {
    let mut names = OwnerNames::new();
    let (a, b) = (names.intern("a"), names.intern("b"));
    assert_eq!(names.remove(a).as_deref(), Some("a"));
    assert_eq!((names.remove(a), names.id("a"), names.name(a)), (None, None, None));
    let again = names.intern("a");
    assert!(again != a && again != b);
    assert_eq!(names.name(b), Some("b"));
}

#[test]
fn a_list_is_read_back_with_its_tokens() {
    let mut names = OwnerNames::new();
    for name in ["a", "b", "", "ü"] {
        names.intern(name);
    }
    let gone = names.id("b").unwrap();
    names.remove(gone);
    let mut again = OwnerNames::restore(names.iter(), names.next()).unwrap();
    assert_eq!(again, names);
    assert!(names.iter().all(|(id, _)| again.intern("new") != id));

    let (a, u) = (names.id("a").unwrap(), names.id("ü").unwrap());
    for list in [[(a, "a"), (a, "b")], [(a, "a"), (u, "a")]] {
        let error = OwnerNames::restore(list, 0).unwrap_err();
        assert_eq!((error.id, error.name.as_str()), list[1]);
    }
}

#[test]
fn the_last_token_is_followed_by_the_first() {
    let mut names = OwnerNames::new();
    let first = names.intern("first");
    let last: OwnerId = serde_json::from_str("4294967295").unwrap();
    let mut names = OwnerNames::restore([(first, "first"), (last, "last")], u32::MAX).unwrap();
    let next = names.intern("next");
    assert_eq!((next.number(), names.name(last)), (1, Some("last")));
}

#[test]
fn names_and_pool_are_read_back_together() {
    let now = Duration::ZERO;
    let (mut names, mut pool) = (OwnerNames::new(), PortPool::new(Ports::default()));
    let port = pool.allocate(names.intern("vm-a1b2"), now).unwrap().item;
    let text = serde_json::to_string(&(&names, pool.snapshot())).unwrap();
    assert!(text.starts_with(r#"[{"next":1,"names":[[0,"vm-a1b2"]]},"#), "{text}");
    let (names, snapshot): (OwnerNames, _) = serde_json::from_str(&text).unwrap();
    let pool = PortPool::new(Ports::default()).restore(&snapshot).unwrap();
    assert_eq!(pool.owner(port).and_then(|id| names.name(id)), Some("vm-a1b2"));
    assert!(serde_json::from_str::<OwnerNames>(r#"{"next":0,"names":[[0,"a"],[0,"b"]]}"#).is_err());
}

/// A restart in between makes no difference, even if the token was the last one.
#[test]
fn a_removed_token_is_not_given_again_after_a_restart() {
    let now = Duration::ZERO;
    let mut names = OwnerNames::new();
    let mut pool = PortPool::new(Ports::default()).with_sticky_owners();
    names.intern("a");
    let b = names.intern("b");
    let port = pool.allocate(b, now).unwrap().item;
    pool.release_all(b, now);
    names.remove(b);
    let text = serde_json::to_string(&(&names, pool.snapshot())).unwrap();
    let (mut names, snapshot): (OwnerNames, _) = serde_json::from_str(&text).unwrap();
    let sticky = PortPool::new(Ports::default()).with_sticky_owners();
    let mut pool = sticky.restore(&snapshot).unwrap();
    let c = names.intern("c");
    assert_ne!(c, b);
    assert_eq!(pool.allocate(c, now).unwrap().how, How::Vacant);
    assert_eq!(pool.owner(port), Some(c));
}

/// An owner that is forgotten has no claim on what it released.
#[test]
fn a_forgotten_owner_is_like_any_other() {
    let now = Duration::ZERO;
    for last in [99, u64::MAX] {
        let space = Integers::new(0..=last).unwrap();
        let pool: IndexPool<u64, u8> = IndexPool::new(space);
        let mut pool = pool.with_cooldown(Duration::from_secs(9)).with_sticky_owners();
        let item = pool.allocate(1, now).unwrap().item;
        pool.release(item, 1, now).unwrap();
        pool.forget_owner(1);
        pool.forget_owner(2);
        let grant = pool.allocate(1, now).unwrap();
        assert_eq!((grant.item, grant.how), (item + 1, How::Vacant));
        assert!(pool.snapshot().former.is_empty());
    }
}
