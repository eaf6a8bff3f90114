//! Namespaces by name, and work in another one than the caller's.

use crate::world::{Outcome, block_on, desired, owned, snapshot, tests};
use hostnet::{Host, Netns, NetnsError, Owner};

tests![
    a_named_namespace_outlives_its_maker_and_goes_by_name,
    names_are_checked_and_taken_once,
    work_happens_in_the_namespace_it_is_told_to,
    a_namespace_is_named_by_its_path_or_an_open_file,
];

fn a_named_namespace_outlives_its_maker_and_goes_by_name() -> Outcome {
    let made = Netns::create("ns_vm_a1b2c3d4")?;
    assert!(made.is_same(&Netns::named("ns_vm_a1b2c3d4")?)?);
    assert!(!made.is_same(&Netns::current()?)?);
    drop(made);
    Netns::named("ns_vm_a1b2c3d4")?;
    Netns::remove("ns_vm_a1b2c3d4")?;
    assert!(matches!(Netns::named("ns_vm_a1b2c3d4"), Err(NetnsError::Missing { .. })));
    Netns::remove("ns_vm_a1b2c3d4")?;
    Ok(())
}

fn names_are_checked_and_taken_once() -> Outcome {
    for bad in ["", ".", "..", "a/b", "a b", "ä"] {
        assert!(matches!(Netns::create(bad), Err(NetnsError::Name { .. })), "{bad:?}");
    }
    Netns::create("taken")?;
    assert!(matches!(Netns::create("taken"), Err(NetnsError::Exists { .. })));
    Netns::remove("taken")?;

    // What a crash between making the file and mounting on it leaves is no namespace: it can be made, or removed.
    std::fs::write("/run/netns/torn", "")?;
    assert!(matches!(Netns::named("torn"), Err(NetnsError::Missing { .. })));
    Netns::create("torn")?;
    Netns::remove("torn")?;
    std::fs::write("/run/netns/torn", "")?;
    assert!(matches!(Netns::named("torn"), Err(NetnsError::Missing { .. })));
    Netns::remove("torn")?;
    assert!(!std::path::Path::new("/run/netns/torn").exists());
    Ok(())
}

fn work_happens_in_the_namespace_it_is_told_to() -> Outcome {
    let elsewhere = Netns::create("elsewhere")?;
    let there = Host::open_in(Owner::new("demo")?, Netns::named("elsewhere")?)?;
    let here = owned("demo");
    let before = snapshot(&here);
    block_on(there.ensure(&desired("demo", 2)))?;
    assert_eq!(snapshot(&here), before, "nothing happens where the caller is");
    assert_eq!(snapshot(&there).our_links().count(), 3);
    assert!(!elsewhere.is_same(&Netns::current()?)?, "and the caller is where it was");
    Netns::remove("elsewhere")?;
    Ok(())
}

fn a_namespace_is_named_by_its_path_or_an_open_file() -> Outcome {
    let made = Netns::create("elsewhere")?;
    let path = std::path::Path::new("/run/netns/elsewhere");
    let file = std::os::fd::OwnedFd::from(std::fs::File::open(path)?);
    for (owner, netns) in [("one", Netns::open(path)?), ("two", Netns::from(file))] {
        assert!(netns.is_same(&made)?);
        let there = Host::open_in(Owner::new(owner)?, netns)?;
        let name = hostnet::DeviceName::new(&format!("tap-{owner}"))?;
        block_on(there.create_tap(&name, hostnet::TapOptions::default()))?;
        assert!(block_on(there.observe())?.link_named(name.as_str()).is_some_and(|tap| tap.up));
        assert!(snapshot(&owned("demo")).link_named(name.as_str()).is_none());
        // Made again it is in the way; deleted again it is gone already.
        let again = block_on(there.create_tap(&name, hostnet::TapOptions::default()));
        let error = again.expect_err("there already").to_string();
        assert!(error.contains("is taken by the tun device"), "{error}");
        block_on(there.delete_tap(&name))?;
        block_on(there.delete_tap(&name))?;
        assert!(block_on(there.observe())?.link_named(name.as_str()).is_none());
    }
    Netns::remove("elsewhere")?;
    Ok(())
}
