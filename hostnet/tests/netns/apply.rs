//! Plans on the real kernel: made, found again, mended, undone.

use crate::world::{
    Outcome, Stranger, block_on, desired, id, lan, network, owned, port, snapshot, subjects, tests,
    vm,
};
use hostnet::{
    ApplyError, Attachment, Cause, Desired, DeviceName, Element, Errno, Forward, Host, Op, Plan,
    Protocol, Step, TapOptions, plan,
};
use std::sync::{Arc, Mutex};

tests![
    everything_is_made_and_a_second_apply_changes_nothing,
    teardown_leaves_nothing,
    what_a_stranger_changed_is_mended,
    a_changed_wish_moves_its_forwards,
    a_network_changes_its_prefix_and_keeps_a_strangers_address,
    ports_are_swapped_in_one_plan,
    a_network_changes_its_gateway_and_mtu,
    what_is_undone_goes_back_to_where_it_was,
    programs_of_one_owner_do_not_trip_over_each_other,
    making_and_removing_at_once_leaves_nothing_torn,
    every_failing_step_leaves_the_host_as_before,
    two_vms_cannot_have_one_port,
    a_tap_can_be_opened_once_by_its_user,
    one_host_serves_many_tasks,
    the_printed_plan_does_the_same_in_a_shell,
];

fn everything_is_made_and_a_second_apply_changes_nothing() -> Outcome {
    let host = owned("demo");
    let desired = desired("demo", 3);
    block_on(host.ensure(&desired))?;

    let observed = snapshot(&host);
    let bridge = observed.link_named("br0").expect("the bridge");
    assert_eq!(bridge.kind, "bridge");
    assert_eq!(bridge.mac, Some(network().mac()));
    assert!(bridge.up);
    let addresses: Vec<_> =
        bridge.addresses.iter().map(|a| (a.address.to_string(), a.ours)).collect();
    let link_local = "fe80::eb:adff:fea5:1686/64";
    let gateways = ["172.16.0.1/16", "fd00:16::1/64", link_local].map(|a| (a.to_owned(), true));
    assert_eq!(addresses, gateways, "and none of its own");
    for n in 0..3 {
        let tap = observed.link_named(vm(n).tap_name().as_str()).expect("the TAP");
        assert_eq!(tap.kind, "tun");
        assert_eq!(tap.mac, Some(vm(n).host_mac()));
        assert_eq!(tap.master, Some(bridge.index));
        assert!(tap.up && tap.made.is_some());
    }
    assert_eq!(observed.table.elements().count(), 4 + 3 * 3);
    assert_eq!(observed.subjects(), subjects(&desired));

    // Seen whole or only by name, there is nothing left to do.
    assert_eq!(block_on(host.ensure(&desired))?.steps, 0);
    assert!(plan(&desired, &block_on(host.observe())?)?.is_empty());
    assert_eq!(snapshot(&host), observed);
    Ok(())
}

fn teardown_leaves_nothing() -> Outcome {
    let host = owned("demo");
    let before = snapshot(&host);
    let desired = desired("demo", 3);
    block_on(host.ensure(&desired))?;

    // One VM first: the others and the network stay.
    let one = [hostnet::Subject::Attachment(id("a1b2c301"))].into();
    block_on(host.remove(&one))?;
    let rest = block_on(host.observe())?;
    assert!(rest.link_named("tap_a1b2c301").is_none());
    assert!(rest.link_named("tap_a1b2c300").is_some());
    assert_eq!(rest.table.elements().count(), 4 + 2 * 3);

    block_on(host.remove(&subjects(&desired)))?;
    assert_eq!(snapshot(&host), before);
    assert_eq!(block_on(host.remove(&subjects(&desired)))?.steps, 0, "not there is success");
    Ok(())
}

fn what_a_stranger_changed_is_mended() -> Outcome {
    let host = owned("demo");
    let desired = desired("demo", 1);
    block_on(host.ensure(&desired))?;
    let good = snapshot(&host);

    block_on(async {
        let stranger = Stranger::new();
        stranger.rename("tap_a1b2c300", "mine").await?;
        stranger.rename("br0", "br7").await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    assert_ne!(snapshot(&host), good);
    block_on(host.ensure(&desired))?;
    assert_eq!(snapshot(&host), good);

    block_on(async { Stranger::new().delete("tap_a1b2c300").await })?;
    block_on(host.ensure(&desired))?;
    let mended = snapshot(&host);
    assert!(mended.link_named("tap_a1b2c300").is_some_and(|tap| tap.up && tap.master.is_some()));
    Ok(())
}

fn a_changed_wish_moves_its_forwards() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 1)))?;
    let moved = |guest_port| {
        let mut desired = Desired::new(host.owner().clone());
        desired.add_network(network())?;
        let bare = Attachment::tap(
            id("a1b2c300"),
            lan(),
            vm(0).tap_name().clone(),
            vm(0).mac(),
            "172.16.0.2".parse()?,
        )?;
        let udp = Forward::new(Protocol::Udp, port(22001), port(53));
        let tcp = Forward::tcp(port(22001), port(guest_port));
        desired.add_attachment(bare.with_forward(tcp).with_forward(udp))?;
        Ok::<_, Box<dyn std::error::Error>>(desired)
    };
    block_on(host.ensure(&moved(2222)?))?;
    let observed = block_on(host.observe())?;
    let forwards: Vec<_> = observed
        .table
        .elements()
        .filter(|(element, _)| matches!(element, Element::Forward { .. }))
        .map(|(element, _)| element.to_string())
        .collect();
    assert_eq!(
        forwards,
        ["forward tcp 22001 -> 172.16.0.2:2222", "forward udp 22001 -> 172.16.0.2:53"]
    );
    Ok(())
}

fn a_network_changes_its_prefix_and_keeps_a_strangers_address() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 0)))?;
    block_on(async { Stranger::new().add_address("br0", "192.0.2.1".parse()?, 32).await })?;
    let mut moved = Desired::new(host.owner().clone());
    // Overlapping the old one, not masquerading, and without IPv6.
    moved.add_network(hostnet::Network::bridged(
        lan(),
        DeviceName::new("br0")?,
        "172.16.9.1/24".parse()?,
    )?)?;
    block_on(host.ensure(&moved))?;

    let observed = block_on(host.observe())?;
    let bridge = observed.link_named("br0").expect("the bridge");
    let mut addresses: Vec<_> = bridge.addresses.iter().map(|a| a.address.to_string()).collect();
    addresses.sort();
    assert_eq!(addresses, ["172.16.9.1/24", "192.0.2.1/32"]);
    let elements: Vec<_> = observed.table.elements().map(|(e, _)| e.to_string()).collect();
    assert_eq!(elements, ["network 172.16.9.0/24"]);
    assert_eq!(block_on(host.ensure(&moved))?.steps, 0);
    Ok(())
}

fn ports_are_swapped_in_one_plan() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 2)))?;
    let mut swapped = Desired::new(host.owner().clone());
    swapped.add_network(network())?;
    for (n, host_port) in [(0, 22002), (1, 22001)] {
        let old = vm(n);
        let address = old.addresses().next().expect("an address");
        let bare =
            Attachment::tap(old.id().clone(), lan(), old.tap_name().clone(), old.mac(), address)?;
        swapped.add_attachment(bare.with_forward(Forward::tcp(port(host_port), port(22))))?;
    }
    block_on(host.ensure(&swapped))?;
    let observed = block_on(host.observe())?;
    assert!(plan(&swapped, &observed)?.is_empty());
    let elements: Vec<_> = observed.table.elements().map(|(e, _)| e.to_string()).collect();
    assert!(elements.contains(&"forward tcp 22001 -> 172.16.0.3:22".to_owned()), "{elements:?}");
    Ok(())
}

/// Each step in turn is made to fail by taking away, at the last moment, what it stands on or by putting something
/// in its way; where the kernel offers no such thing to a stranger, the in-memory kernel's tests cover the step.
fn every_failing_step_leaves_the_host_as_before() -> Outcome {
    let host = owned("demo");
    let desired = desired("demo", 2);
    let before = snapshot(&host);
    let whole = plan(&desired, &block_on(host.observe())?)?;
    let mut provoked = 0;
    for fatal in 0..whole.len() {
        if !provoke(&host, &whole, fatal) {
            continue;
        }
        provoked += 1;
        let after = snapshot(&host);
        let names = |o: &hostnet::Observed| -> Vec<_> {
            o.our_links().map(|(l, _)| l.name.clone()).collect()
        };
        assert_eq!(Vec::<String>::new(), names(&after), "step {fatal} left devices");
        assert_eq!(after.table, before.table, "step {fatal} left rules");
        // What the stranger put in the way is the stranger's to take away.
        block_on(async {
            let stranger = Stranger::new();
            for link in after.links.iter().filter(|link| link.kind == "bridge") {
                stranger.delete(&link.name).await?;
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        })?;
        assert_eq!(snapshot(&host), before, "step {fatal}");
    }
    assert!(provoked >= 4, "only {provoked} steps were made to fail");
    Ok(())
}

/// Applies the plan while a stranger works against its step `fatal`; says whether there was something to do.
fn provoke(host: &Host, plan: &Plan, fatal: usize) -> bool {
    enum Against {
        Take(DeviceName),
        Remove(&'static str),
    }
    let against = match plan.ops().get(fatal) {
        Some(Op::CreateBridge { name, .. } | Op::CreateTap { name, .. }) => {
            Against::Take(name.clone())
        }
        Some(Op::AddAddress { .. }) => Against::Remove("br0"),
        Some(Op::AttachPort { port, .. }) if port.to_string().contains("a1b2c300") => {
            Against::Remove("tap_a1b2c300")
        }
        Some(Op::AttachPort { .. }) => Against::Remove("tap_a1b2c301"),
        _ => return false,
    };
    let failed = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&failed);
    let progress = move |step: Step<'_>| match step {
        Step::Starting(n, _) if n == fatal => block_on(async {
            let stranger = Stranger::new();
            match &against {
                Against::Take(name) => stranger.add_bridge(name.as_str()).await,
                Against::Remove(name) => stranger.delete(name).await,
            }
            .expect("the stranger's change");
        }),
        Step::Failed(n, _) => *seen.lock().expect("no panic") = n == fatal,
        _ => {}
    };
    let error = block_on(host.apply_with(plan, progress)).expect_err("the step must fail");
    assert!(matches!(error, ApplyError::Undone { step, .. } if step == fatal), "{error}");
    assert!(*failed.lock().expect("no panic"));
    true
}

fn two_vms_cannot_have_one_port() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 1)))?;
    // A second program of the same owner that does not know of the first VM.
    let mut other = Desired::new(host.owner().clone());
    other.add_network(network())?;
    let second = Attachment::tap(
        id("ffffffff"),
        lan(),
        DeviceName::new("tap_ffffffff")?,
        vm(9).mac(),
        "172.16.0.11".parse()?,
    )?;
    other.add_attachment(second.with_forward(Forward::tcp(port(22001), port(22))))?;
    let error = block_on(host.ensure(&other)).expect_err("the port is taken").to_string();
    assert!(error.contains("hostnet-ae2e:demo:vm:a1b2c300:rules:0"), "{error}");

    // The same found out by the kernel: the plan was made before the port was taken.
    let stale = {
        let fresh = owned("demo");
        block_on(fresh.remove(&[hostnet::Subject::Attachment(id("a1b2c300"))].into()))?;
        let stale = plan(&other, &block_on(fresh.observe())?)?;
        block_on(fresh.ensure(&desired("demo", 1)))?;
        stale
    };
    let before = snapshot(&host);
    match block_on(host.apply(&stale)) {
        Err(ApplyError::Undone { error, .. }) => {
            assert!(
                matches!(&error.cause, Cause::ElementTaken { by: Some(by) } if by.contains("a1b2c300"))
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(snapshot(&host), before);
    Ok(())
}

fn a_tap_can_be_opened_once_by_its_user() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 1)))?;
    let first = hostnet::open_tap(vm(0).tap_name(), TapOptions::default())?;
    match hostnet::open_tap(vm(0).tap_name(), TapOptions::default()) {
        Err(hostnet::TapError::Refused(error)) => assert_eq!(error.errno(), Some(Errno::EBUSY)),
        other => panic!("{other:?}"),
    }
    drop(first);
    hostnet::open_tap(vm(0).tap_name(), TapOptions::default())?;

    let missing = DeviceName::new("tap_missing")?;
    let error = hostnet::open_tap(&missing, TapOptions::default()).expect_err("not there");
    assert!(matches!(error, hostnet::TapError::Missing { .. }), "{error}");
    assert!(snapshot(&host).link_named("tap_missing").is_none(), "and none was made");
    Ok(())
}

fn one_host_serves_many_tasks() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 0)))?;
    block_on(async {
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let host = host.clone();
                tokio::spawn(async move {
                    let mut one = Desired::new(host.owner().clone());
                    one.add_network(network())?;
                    one.add_attachment(vm(n))?;
                    host.ensure(&one).await?;
                    Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("made");
        }
    });
    assert!(plan(&desired("demo", 16), &block_on(host.observe())?)?.is_empty());
    Ok(())
}

fn the_printed_plan_does_the_same_in_a_shell() -> Outcome {
    if let Some(program) = crate::world::missing_program(&["bash", "ip", "nft", "sysctl"]) {
        // Not everybody has these; where they are promised, their absence is a failure.
        assert!(std::env::var_os("CI").is_none(), "`{program}` is missing");
        eprintln!("not checked: `{program}` is missing");
        return Ok(());
    }
    let host = owned("demo");
    let before = snapshot(&host);
    let desired = desired("demo", 2);
    let plan_to_make = plan(&desired, &before)?;
    block_on(host.apply(&plan_to_make))?;
    let made = snapshot(&host);
    block_on(host.remove(&subjects(&desired)))?;

    crate::world::shell(&plan_to_make.to_string())?;
    let typed = snapshot(&host);
    assert!(plan(&desired, &typed)?.is_empty(), "{}", plan(&desired, &typed)?);
    assert_eq!(typed.table, made.table);

    crate::world::shell(&hostnet::teardown(&subjects(&desired), &typed)?.to_string())?;
    assert_eq!(snapshot(&host), before);
    Ok(())
}

fn a_network_changes_its_gateway_and_mtu() -> Outcome {
    let host = owned("demo");
    let wish = |v4: &str, v6: &str| {
        let network = hostnet::Network::bridged(lan(), DeviceName::new("br0")?, v4.parse()?)?;
        let mut wish = Desired::new(host.owner().clone());
        wish.add_network(network.with_gateway(v6.parse()?)?)?;
        Ok::<_, Box<dyn std::error::Error>>(wish)
    };
    block_on(host.ensure(&wish("172.16.0.1/16", "fd00:16::1/64")?))?;
    let mut jumbo = Desired::new(host.owner().clone());
    let network =
        hostnet::Network::bridged(lan(), DeviceName::new("br0")?, "172.16.0.1/16".parse()?)?;
    jumbo.add_network(network.with_gateway("fd00:16::1/64".parse()?)?.with_mtu(9000)?)?;
    block_on(host.ensure(&jumbo))?;
    assert_eq!(block_on(host.observe())?.link_named("br0").map(|bridge| bridge.mtu), Some(9000));
    // A stranger's address of the same prefix would go with the first one, were it not promoted.
    block_on(async { Stranger::new().add_address("br0", "172.16.0.77".parse()?, 16).await })?;
    let moved = wish("172.16.0.254/16", "fd00:16::1/80")?;
    block_on(host.ensure(&moved))?;
    let observed = block_on(host.observe())?;
    let bridge = observed.link_named("br0").expect("the bridge");
    let has = |text: &str| bridge.addresses.iter().any(|a| a.address.to_string() == text);
    assert!(has("172.16.0.254/16") && has("172.16.0.77/16") && has("fd00:16::1/80"));
    assert!(!has("172.16.0.1/16") && !has("fd00:16::1/64"));
    assert_eq!(bridge.mtu, 1500, "and no MTU wanted is the usual one");
    assert_eq!(block_on(host.ensure(&moved))?.steps, 0);
    Ok(())
}

fn what_is_undone_goes_back_to_where_it_was() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 1)))?;
    // A stranger has put our TAP on a bridge of its own, where it is in use.
    block_on(async {
        let stranger = Stranger::new();
        stranger.add_bridge("theirs").await?;
        stranger.set_master("tap_a1b2c300", "theirs").await
    })?;
    let before = snapshot(&host);
    let two = desired("demo", 2);
    let whole = plan(&two, &block_on(host.observe())?)?;
    let attach = whole.ops().iter().position(|op| matches!(op, Op::AttachPort { .. }));
    assert_eq!(attach, Some(0), "{whole}");
    assert!(provoke(&host, &whole, 1), "the second VM's TAP cannot be made");
    block_on(async { Stranger::new().delete("tap_a1b2c301").await })?;
    assert_eq!(snapshot(&host), before);
    Ok(())
}

fn programs_of_one_owner_do_not_trip_over_each_other() -> Outcome {
    let hosts: Vec<Host> = (0..3).map(|_| owned("demo")).collect();
    // Each plans before any of them acts, as programs that start at the same time do.
    let plans: Vec<_> = hosts
        .iter()
        .map(|host| {
            let mut network_only = Desired::new(host.owner().clone());
            network_only.add_network(network())?;
            Ok(plan(&network_only, &block_on(host.observe())?)?)
        })
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;
    block_on(hosts[0].apply(&plans[0]))?;
    for (host, late) in hosts.iter().zip(&plans).skip(1) {
        let error = block_on(host.apply(late)).expect_err("the bridge is there");
        assert!(error.to_string().contains("hostnet-2492:demo:net:default:bridge:0"), "{error}");
    }
    // And none of them took anything of the first one's away.
    let mut network_only = Desired::new(hosts[0].owner().clone());
    network_only.add_network(network())?;
    assert!(plan(&network_only, &block_on(hosts[0].observe())?)?.is_empty());
    Ok(())
}

fn making_and_removing_at_once_leaves_nothing_torn() -> Outcome {
    let host = owned("demo");
    let one = desired("demo", 1);
    for round in 0..40 {
        let (maker, remover, wish) = (host.clone(), host.clone(), one.clone());
        block_on(async {
            let make = tokio::spawn(async move { maker.ensure(&wish).await.is_ok() });
            let all = subjects(&one);
            let remove = tokio::spawn(async move { remover.remove(&all).await.is_ok() });
            assert!(make.await.expect("no panic") && remove.await.expect("no panic"));
        });
        let observed = block_on(host.observe())?;
        let whole = plan(&one, &observed)?.is_empty();
        assert!(whole || observed.subjects().is_empty(), "round {round}: {observed:?}");
    }
    Ok(())
}
