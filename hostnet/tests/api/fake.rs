//! Faults at every step, on the in-memory kernel.

use crate::{Outcome, desired, host, network, subjects, vm};
use hostnet::fake::Fake;
use hostnet::{
    ApplyError, Cause, Desired, DeviceName, EnsureError, Errno, Host, OpError, Owner, PlanError,
    Subject, garbage, plan,
};
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test]
async fn every_failing_step_leaves_the_host_as_before() -> Outcome {
    let fake = Fake::new();
    fake.add_foreign(&DeviceName::new("eth0")?, "")?;
    let host = host(&fake);
    // Forwarding is shared with others and stays on once it is on: one step less from the second time.
    host.ensure(&desired(3)).await?;
    host.remove(&subjects(&desired(3))).await?;
    let empty = fake.state();
    let steps = plan(&desired(3), &host.observe().await?)?.len();
    assert!(steps >= 3 + 3 * 3, "a table, a bridge, elements, and three steps a VM: {steps}");
    for fatal in 0..steps {
        fake.fail_at(fatal, Errno::EPERM);
        match host.ensure(&desired(3)).await {
            Err(EnsureError::Apply(ApplyError::Undone { step, error, .. })) => {
                assert_eq!(step, fatal);
                assert_eq!(error.errno(), Some(Errno::EPERM));
            }
            other => panic!("step {fatal}: {other:?}"),
        }
        assert_eq!(fake.state(), empty, "step {fatal}");
    }
    Ok(())
}

#[tokio::test]
async fn growing_by_one_is_undone_to_what_was_there() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    host.ensure(&desired(2)).await?;
    let before = fake.state();
    let steps = plan(&desired(3), &host.observe().await?)?.len();
    assert_eq!(steps, 5, "one more VM is a TAP, a port, a forward, and its MAC and address");
    for fatal in 0..steps {
        fake.fail_at(fatal, Errno::EBUSY);
        host.ensure(&desired(3)).await.unwrap_err();
        assert_eq!(fake.state(), before, "step {fatal}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_teardown_step_stops_no_other() -> Outcome {
    let whole = desired(3);
    let steps = {
        let fake = Fake::new();
        let host = host(&fake);
        host.ensure(&whole).await?;
        hostnet::teardown(&subjects(&whole), &host.observe().await?)?.len()
    };
    for fatal in 0..steps {
        let fake = Fake::new();
        let host = host(&fake);
        let empty = fake.state();
        host.ensure(&whole).await?;
        fake.fail_at(fatal, Errno::EBUSY);
        match host.remove(&subjects(&whole)).await {
            Err(EnsureError::Apply(ApplyError::Incomplete { errors, .. })) => {
                assert_eq!(errors[0].errno(), Some(Errno::EBUSY), "{errors:?}");
                // A TAP that did not go keeps the bridge it is on.
                let kept = |error: &OpError| matches!(error.cause, Cause::InUse { .. });
                assert!(errors.iter().skip(1).all(kept), "{errors:?}");
            }
            other => panic!("step {fatal}: {other:?}"),
        }
        host.remove(&host.observe().await?.subjects()).await?;
        // What is left after a second try is at most the table, if it was not empty the first time.
        assert!(host.observe().await?.subjects().is_empty(), "step {fatal}");
        host.ensure(&whole).await?;
        host.remove(&subjects(&whole)).await?;
        assert_eq!(fake.state(), empty, "step {fatal}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_undo_says_what_is_left() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    let plan = plan(&desired(1), &host.observe().await?)?;
    let last = plan.len() - 1;
    let saboteur = fake.clone();
    let progress = move |step: hostnet::Step<'_>| {
        if let hostnet::Step::Failed(..) = step {
            saboteur.fail_at(0, Errno::EIO);
        }
    };
    fake.fail_at(last, Errno::EPERM);
    match host.apply_with(&plan, progress).await {
        Err(ApplyError::Left { left, .. }) => assert_eq!(left.len(), 1),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn foreign_devices_are_named_and_left_alone() -> Outcome {
    let fake = Fake::new();
    for (name, kind) in [("veth12345678", "veth"), ("vh_a1b20000", "veth"), ("tap_a1b20000", "tun")]
    {
        fake.add_foreign(&DeviceName::new(name)?, kind)?;
    }
    let before = fake.state();
    let host = host(&fake);
    match host.ensure(&desired(1)).await {
        Err(EnsureError::Plan(error @ PlanError::NameTaken { .. })) => {
            assert_eq!(
                error.to_string(),
                "attachment `a1b20000` wants the device name `tap_a1b20000`, which is taken by a foreign \
                 tun device (index 3); it is left alone: rename it or choose another name"
            );
        }
        other => panic!("{other:?}"),
    }
    host.remove(&subjects(&desired(1))).await?;
    let observed = host.observe().await?;
    let report = garbage(&observed, &BTreeSet::new(), Duration::MAX, Duration::ZERO)?;
    assert!(report.orphans.is_empty());
    assert_eq!(fake.state(), before);
    Ok(())
}

#[tokio::test]
async fn the_1024th_port_is_refused_by_the_plan_and_by_the_kernel() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    host.ensure(&desired(1023)).await?;
    match plan(&desired(1024), &host.observe().await?) {
        Err(error @ PlanError::BridgeFull { ports: 1024, .. }) => {
            assert!(error.to_string().contains("at most 1023"));
        }
        other => panic!("{other:?}"),
    }
    // Seen by name only, the kernel is the one to say it.
    let before = fake.state();
    let mut one = Desired::new(Owner::new("demo")?);
    one.add_network(network())?;
    one.add_attachment(vm(1023))?;
    let error = host.ensure(&one).await.unwrap_err().to_string();
    assert!(error.contains("1,023 ports"), "{error}");
    assert_eq!(fake.state(), before);
    Ok(())
}

#[tokio::test]
async fn an_empty_wish_removes_nothing() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    host.ensure(&desired(3)).await?;
    let before = fake.state();
    let nothing = Desired::new(Owner::new("demo")?);
    assert!(plan(&nothing, &host.observe().await?)?.is_empty());
    host.ensure(&nothing).await?;
    host.remove(&BTreeSet::new()).await?;
    assert_eq!(fake.state(), before);
    Ok(())
}

#[tokio::test]
async fn a_network_goes_only_without_its_vms() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    host.ensure(&desired(2)).await?;
    let before = fake.state();
    let network = [Subject::Network(crate::lan())].into();
    let error = host.remove(&network).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "network `default` still has 2 ports on its bridge (tap_a1b20000, tap_a1b20001); tear down or move \
         them first"
    );
    assert_eq!(fake.state(), before);
    Ok(())
}

#[tokio::test]
async fn a_view_of_another_owner_is_refused() -> Outcome {
    let fake = Fake::new();
    let other = Host::fake(Owner::new("other")?, &fake)?;
    let error = plan(&desired(1), &other.observe().await?).unwrap_err();
    assert!(matches!(error, PlanError::OtherOwner { .. }));
    Ok(())
}

#[tokio::test]
async fn missing_privileges_are_said_with_the_way_out() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    fake.fail_at(0, Errno::EPERM);
    let error = host.ensure(&desired(1)).await.unwrap_err().to_string();
    assert!(error.contains("CAP_NET_ADMIN") && error.contains("hostnet::Sandbox"), "{error}");
    let tun = Cause::Tun { errno: Errno::EACCES }.to_string();
    assert!(tun.contains("chmod 666 /dev/net/tun"), "{tun}");
    Ok(())
}

#[tokio::test]
async fn forwards_come_and_go_alone() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    host.ensure(&desired(2)).await?;
    let before = fake.state();
    let forward = hostnet::Forward::tcp(crate::port(30_000), crate::port(80));
    host.add_forward(&vm(0), forward).await?;
    host.add_forward(&vm(0), forward).await?;
    let error = host.add_forward(&vm(1), forward).await.unwrap_err().to_string();
    assert!(error.contains("demo:vm:a1b20000:rules:0"), "{error}");
    // Another's is left alone, and what is not there is gone already.
    host.remove_forward(&vm(1), forward).await?;
    assert_ne!(fake.state(), before);
    host.remove_forward(&vm(0), forward).await?;
    host.remove_forward(&vm(0), forward).await?;
    assert_eq!(fake.state(), before);
    Ok(())
}

#[tokio::test]
async fn listeners_are_told_and_told_anew() -> Outcome {
    let fake = Fake::new();
    let host = host(&fake);
    let mut events = host.events().await?;
    assert!(matches!(events.next().await, Some(hostnet::Event::Everything { .. })));
    host.ensure(&desired(1)).await?;
    let told = |event: Option<hostnet::Event>| match event {
        Some(hostnet::Event::Link(link)) => link.name,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(events.next().await), "br0");
    // Whoever does not listen for long misses what happened, and is told everything instead.
    host.ensure(&desired(120)).await?;
    host.remove(&subjects(&desired(120))).await?;
    loop {
        match events.next().await {
            Some(hostnet::Event::Everything { links, .. }) if links.is_empty() => break,
            Some(_) => {}
            None => panic!("nobody tells any more"),
        }
        host.ensure(&desired(1)).await?;
        host.remove(&subjects(&desired(1))).await?;
    }
    Ok(())
}

#[cfg(feature = "serde")]
#[tokio::test]
async fn what_is_seen_and_planned_survives_json() -> Outcome {
    use hostnet::{Namespace, NamespaceName, Network, Rate, Vxlan};
    let name = |text: &str| DeviceName::new(text).unwrap();
    let vxlan = Vxlan::new(name("vx1"), 7, [192, 0, 2, 1].into())?
        .with_flooded_peer([192, 0, 2, 2].into())?;
    let rate = Rate::megabits(std::num::NonZeroU64::new(10).unwrap());
    let namespace = Namespace::new(NamespaceName::new("ns_vm_1")?, name("vh_1"), name("vn_1"));
    let routed =
        Network::routed(hostnet::NetworkName::new("far")?, name("far0"), "10.9.0.1/16".parse()?)?
            .with_static_neighbours()?;
    let mut wish = Desired::new(Owner::new("demo")?);
    wish.add_network(network().with_vxlan(vxlan)?.with_shard(
        name("br1"),
        name("up"),
        name("down"),
    )?)?;
    wish.add_network(routed)?;
    wish.add_attachment(vm(0).with_rate_to_guest(rate).with_rate_from_guest(rate))?;
    wish.add_attachment(vm(1).with_namespace(namespace))?;
    wish.add_attachment(hostnet::Attachment::tap(
        hostnet::AttachmentId::new("far")?,
        hostnet::NetworkName::new("far")?,
        name("tap_far"),
        [2, 0, 0, 0, 0, 9].into(),
        [10, 9, 0, 2].into(),
    )?)?;
    let json = serde_json::to_string(&wish)?;
    assert_eq!(serde_json::from_str::<Desired>(&json)?, wish);

    let fake = Fake::new();
    let host = host(&fake);
    let made = plan(&wish, &host.observe().await?)?;
    let json = serde_json::to_string(&made)?;
    assert_eq!(serde_json::from_str::<hostnet::Plan>(&json)?, made);
    host.apply(&made).await?;
    let observed = host.observe().await?;
    let json = serde_json::to_string(&observed)?;
    assert_eq!(serde_json::from_str::<hostnet::Observed>(&json)?, observed);
    assert!(host.verify(&wish).await?.is_empty());
    Ok(())
}
