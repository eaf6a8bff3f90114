//! Laws, over wishes and worlds drawn at random.

use crate::{desired, host, subjects, vm};
use hostnet::fake::Fake;
use hostnet::{
    AttachmentId, Desired, DeviceName, Errno, NetworkName, Owner, Role, Subject, Tag, plan,
};
use proptest::collection::btree_set;
use proptest::prelude::*;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn wish(vms: impl IntoIterator<Item = u16>) -> Desired {
    let mut wish = desired(0);
    vms.into_iter().try_for_each(|n| wish.add_attachment(vm(n))).unwrap();
    wish
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After an apply nothing is left to do, and what is there is what was wanted and what was there.
    #[test]
    fn applying_reaches_the_wish(first in btree_set(0_u16..40, 0..12), second in btree_set(0_u16..40, 0..12)) {
        let fake = Fake::new();
        let host = host(&fake);
        block_on(async {
            for part in [&first, &second] {
                let wish = wish(part.iter().copied());
                host.ensure(&wish).await.unwrap();
                assert!(plan(&wish, &host.observe().await.unwrap()).unwrap().is_empty());
                assert_eq!(host.ensure(&wish).await.unwrap().steps, 0);
            }
            let all = subjects(&wish(first.union(&second).copied()));
            assert_eq!(host.observe().await.unwrap().subjects(), all);
        });
    }

    /// Wherever an apply fails, all is as before it.
    #[test]
    fn a_failure_changes_nothing(there in btree_set(0_u16..20, 0..6), wanted in btree_set(0_u16..20, 1..8), at in 0_usize..30) {
        let fake = Fake::new();
        let host = host(&fake);
        block_on(async {
            host.ensure(&wish(there)).await.unwrap();
            let before = fake.state();
            let wanted = wish(wanted);
            let steps = plan(&wanted, &host.observe().await.unwrap()).unwrap().len();
            if at < steps {
                fake.fail_at(at, Errno::EBUSY);
                host.ensure(&wanted).await.unwrap_err();
                assert_eq!(fake.state(), before);
            }
        });
    }

    /// A removal takes its subjects and nothing else.
    #[test]
    fn a_removal_takes_only_its_own(there in btree_set(0_u16..20, 1..10), gone in btree_set(0_u16..20, 0..10)) {
        let fake = Fake::new();
        let host = host(&fake);
        block_on(async {
            host.ensure(&wish(there.iter().copied())).await.unwrap();
            let goes = gone.iter().map(|n| Subject::Attachment(vm(*n).id().clone())).collect();
            host.remove(&goes).await.unwrap();
            let rest = wish(there.difference(&gone).copied());
            assert_eq!(host.observe().await.unwrap().subjects(), subjects(&rest));
            assert!(plan(&rest, &host.observe().await.unwrap()).unwrap().is_empty());
        });
    }

    /// Tags are read back as they were written, and nothing else is a tag.
    #[test]
    fn tags_are_read_back(
        (owner, name) in ("[a-z0-9]{1,20}", "[a-z0-9]{1,63}"),
        role in prop::sample::select(vec![Role::Tap, Role::InnerEnd, Role::Rules, Role::Shard(3)]),
        generation in any::<u64>(),
        other in "\\PC*|hostnet-[0-9a-f]{4}:[a-z]{1,3}:vm:[a-z]{1,3}:tap:[0-9a-f]{1,3}",
    ) {
        let subject = Subject::Attachment(AttachmentId::new(&name).unwrap());
        let tag = Tag::new(Owner::new(&owner).unwrap(), subject, role, generation);
        prop_assert!(tag.to_string().len() <= 127 || matches!(role, Role::Shard(_)));
        prop_assert_eq!(tag.to_string().parse(), Ok(tag));
        if let Ok(tag) = other.parse::<Tag>() {
            prop_assert_eq!(tag.to_string(), other);
        }
    }

    /// No text makes a constructor panic, and what passes is kept as it is.
    #[test]
    fn names_are_total(text in "\\PC{0,20}|[a-z0-9._-]{0,70}") {
        if let Ok(name) = DeviceName::new(&text) {
            prop_assert_eq!(name.as_str(), text.as_str());
            prop_assert!((1..=15).contains(&text.len()));
        }
        if let Ok(owner) = Owner::new(&text) {
            prop_assert!(owner.as_str().len() <= Owner::MAX_LEN);
        }
        let _ = NetworkName::new(&text);
    }
}
