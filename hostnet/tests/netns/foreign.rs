//! The incident this crate exists for: devices were made under one name and deleted by the pattern of another,
//! and the host's own network went with them.

use crate::world::{Outcome, Stranger, block_on, desired, owned, snapshot, subjects, tests, vm};
use core::time::Duration;
use hostnet::{EnsureError, Host, Observed, Owner, PlanError, TeardownError, garbage};
use std::collections::BTreeSet;

tests![
    foreign_devices_refuse_creation_and_survive_everything,
    foreign_taps_are_never_shared,
    a_renamed_device_of_ours_is_found_and_removed,
    another_owner_is_a_stranger,
    a_bridge_with_foreign_ports_stays,
    a_foreign_table_of_our_name_stays,
    foreign_devices_in_our_groups_stay,
    another_owners_plan_is_refused,
    the_hosts_own_network_is_not_swallowed,
];

fn foreign(observed: &Observed) -> Vec<(u32, String)> {
    observed.links.iter().filter(|l| l.tag.is_none()).map(|l| (l.index, l.name.clone())).collect()
}

/// Everything this crate can be told to remove things with.
fn remove_all_there_is(host: &Host) -> Outcome {
    block_on(async {
        let observed = host.observe().await?;
        let nobody = BTreeSet::new();
        let report = garbage(&observed, &nobody, Duration::MAX, Duration::ZERO)?;
        host.apply(&report.teardown(&observed)?).await?;
        host.remove(&observed.subjects()).await?;
        host.remove(&subjects(&desired("demo", 9))).await?;
        Ok(())
    })
}

fn foreign_devices_refuse_creation_and_survive_everything() -> Outcome {
    let host = owned("demo");
    let mut desired = desired("demo", 0);
    desired.add_attachment(vm(0xd4))?;
    let wanted = "tap_a1b2c3d4".to_owned();
    assert_eq!(vm(0xd4).tap_name().as_str(), wanted);
    block_on(async {
        let stranger = Stranger::new();
        stranger.add_veth("veth12345678", "eth0-peer").await?;
        stranger.add_bridge("vh_a1b2c3d4").await?;
        // The very name we would use.
        stranger.add_veth(&wanted, "tap_peer").await
    })?;
    let before = snapshot(&host);
    let strangers = foreign(&before);
    assert_eq!(strangers.iter().filter(|(_, name)| *name == wanted).count(), 1);

    match block_on(host.ensure(&desired)) {
        Err(EnsureError::Plan(PlanError::NameTaken { name, by, .. })) => {
            assert_eq!(name.as_str(), wanted);
            assert!(by.contains("foreign veth device"), "{by}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(snapshot(&host), before, "nothing was half made");

    remove_all_there_is(&host)?;
    assert_eq!(snapshot(&host), before);

    // With the name free ours is made, and only ours is removed.
    block_on(async { Stranger::new().rename(&wanted, "elsewhere").await })?;
    block_on(host.ensure(&desired))?;
    remove_all_there_is(&host)?;
    let indexes = |links: Vec<(u32, String)>| links.into_iter().map(|(i, _)| i).collect::<Vec<_>>();
    assert_eq!(indexes(foreign(&snapshot(&host))), indexes(strangers));
    assert_eq!(snapshot(&host).our_links().count(), 0);
    Ok(())
}

fn foreign_taps_are_never_shared() -> Outcome {
    // A persistent TAP of our name, made by somebody else and without any tag.
    let other = owned("other");
    block_on(other.ensure(&desired("other", 1)))?;
    let tap = vm(0).tap_name().to_string();
    block_on(async { Stranger::new().untag(&tap, "hostnet-8d22:other:vm:a1b2c300:tap:0").await })?;
    block_on(async { Stranger::new().rename("br0", "br9").await })?;

    let host = owned("demo");
    let error = block_on(host.ensure(&desired("demo", 1))).expect_err("the name is taken");
    assert!(error.to_string().contains("foreign tun device"), "{error}");

    // The plan was made before the stranger came: the kernel refuses, and says so in the same words.
    block_on(async { Stranger::new().rename(&tap, "later").await })?;
    let plan = {
        let mut desired = hostnet::Desired::new(Owner::new("demo")?);
        desired.add_network(hostnet::Network::bridged(
            crate::world::lan(),
            hostnet::DeviceName::new("br0")?,
            "10.9.0.1/16".parse()?,
        )?)?;
        desired.add_attachment(hostnet::Attachment::tap(
            crate::world::id("a1b2c300"),
            crate::world::lan(),
            vm(0).tap_name().clone(),
            vm(0).mac(),
            "10.9.0.2".parse()?,
        )?)?;
        hostnet::plan(&desired, &block_on(host.observe())?)?
    };
    block_on(async { Stranger::new().rename("later", &tap).await })?;
    let before = snapshot(&host);
    let error = block_on(host.apply(&plan)).expect_err("the name is taken");
    assert!(error.to_string().contains("foreign tun device"), "{error}");
    assert_eq!(snapshot(&host), before);
    Ok(())
}

fn a_renamed_device_of_ours_is_found_and_removed() -> Outcome {
    let host = owned("demo");
    let before = snapshot(&host);
    let desired = desired("demo", 1);
    block_on(host.ensure(&desired))?;
    block_on(async {
        let stranger = Stranger::new();
        stranger.rename(vm(0).tap_name().as_str(), "eth7").await?;
        stranger.rename("br0", "docker7").await?;
        // And something else takes the name that was ours.
        stranger.add_bridge("br0").await
    })?;
    block_on(host.remove(&subjects(&desired)))?;
    let after = snapshot(&host);
    assert!(after.link_named("br0").is_some(), "the stranger's bridge is untouched");
    block_on(async { Stranger::new().delete("br0").await })?;
    assert_eq!(snapshot(&host), before);
    Ok(())
}

fn another_owner_is_a_stranger() -> Outcome {
    let other = owned("other");
    block_on(other.ensure(&desired("other", 2)))?;
    let before = snapshot(&other);
    let host = owned("demo");
    assert!(block_on(host.observe())?.subjects().is_empty());
    remove_all_there_is(&host)?;
    let error = block_on(host.ensure(&desired("demo", 1))).expect_err("the name is taken");
    assert!(
        error.to_string().contains("tagged hostnet-16f6:other:net:default:bridge:0"),
        "{error}"
    );
    assert_eq!(snapshot(&other), before);
    Ok(())
}

fn a_bridge_with_foreign_ports_stays() -> Outcome {
    let host = owned("demo");
    let desired = desired("demo", 1);
    block_on(host.ensure(&desired))?;
    let planned = hostnet::teardown(&subjects(&desired), &block_on(host.observe())?)?;
    block_on(async {
        let stranger = Stranger::new();
        stranger.add_veth("foreign0", "foreign1").await?;
        stranger.set_master("foreign0", "br0").await
    })?;
    match block_on(host.remove(&subjects(&desired))) {
        Err(EnsureError::Teardown(TeardownError::InUse { ports, .. })) => {
            assert_eq!(ports, ["foreign0"]);
        }
        other => panic!("{other:?}"),
    }
    // Nor does it go by a plan that was made before the port came.
    let error = block_on(host.apply(&planned)).expect_err("the bridge is in use").to_string();
    assert!(error.contains("it has ports: foreign0; take them away first"), "{error}");
    assert!(snapshot(&host).link_named("foreign0").is_some_and(|port| port.master.is_some()));

    block_on(async { Stranger::new().delete("foreign0").await })?;
    block_on(host.remove(&subjects(&desired)))?;
    assert_eq!(snapshot(&host).our_links().count(), 0);
    Ok(())
}

fn a_foreign_table_of_our_name_stays() -> Outcome {
    // The owner `demo`'s table would be `hostnet-demo`; another version of it counts as foreign too.
    crate::rules::add_unmarked_table("hostnet-demo")?;
    let host = owned("demo");
    let before = snapshot(&host);
    assert_eq!(before.table, hostnet::Table::Foreign);
    let error = block_on(host.ensure(&desired("demo", 1))).expect_err("the table is foreign");
    assert!(error.to_string().contains("`inet hostnet-demo`"), "{error}");
    remove_all_there_is(&host)?;
    assert_eq!(snapshot(&host), before);
    Ok(())
}

/// What is born in our groups and has no tag yet is ours to clean up; what was put there is not.
fn foreign_devices_in_our_groups_stay() -> Outcome {
    let host = owned("demo");
    let wish = desired("demo", 1);
    block_on(host.ensure(&wish))?;
    let groups = ["br0", "tap_a1b2c300"].map(|name| {
        let observed = snapshot(&host);
        observed.link_named(name).map(|link| link.group)
    });
    block_on(host.remove(&subjects(&wish)))?;
    block_on(async {
        let stranger = Stranger::new();
        for (group, name) in groups.into_iter().zip(["br0", "tap_a1b2c300"]) {
            stranger.add_bridge(name).await?;
            stranger.set_group(name, group.ok_or("not there")?).await?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let strangers = foreign(&snapshot(&host));
    let error = block_on(host.ensure(&wish)).expect_err("the name is taken").to_string();
    assert!(error.contains("taken by a foreign bridge device"), "{error}");
    remove_all_there_is(&host)?;
    assert_eq!(foreign(&snapshot(&host)), strangers);
    Ok(())
}

fn another_owners_plan_is_refused() -> Outcome {
    let (alice, bob) = (owned("alice"), owned("bob"));
    block_on(alice.ensure(&desired("alice", 1)))?;
    let before = snapshot(&alice);
    let teardown = hostnet::teardown(&subjects(&desired("alice", 1)), &block_on(alice.observe())?)?;
    let error = block_on(bob.apply(&teardown)).expect_err("not bob's");
    assert!(error.to_string().contains("`alice`'s and this is `bob`'s"), "{error}");
    assert_eq!(snapshot(&alice), before);
    // A look at a part of the namespace is no ground for taking things away.
    let part = block_on(alice.observe_for(&desired("alice", 0)))?;
    let error = hostnet::teardown(&subjects(&desired("alice", 0)), &part).expect_err("not all");
    assert!(matches!(error, TeardownError::Partial));
    Ok(())
}

fn the_hosts_own_network_is_not_swallowed() -> Outcome {
    block_on(async {
        let stranger = Stranger::new();
        stranger.add_veth("eth0", "router").await?;
        stranger.add_address("eth0", "172.16.9.10".parse()?, 24).await
    })?;
    let host = owned("demo");
    let before = snapshot(&host);
    let error = block_on(host.ensure(&desired("demo", 1))).expect_err("eth0 is in there");
    assert_eq!(
        error.to_string(),
        "network `default` wants 172.16.0.0/16, but `eth0` has 172.16.9.10/24 there; choose another prefix"
    );
    assert_eq!(snapshot(&host), before);
    Ok(())
}
