//! After a crash at any point: what is there says itself what it is.

use crate::shapes;
use crate::world::{
    Outcome, Stranger, block_on, desired, id, owned, snapshot, subjects, tests, vm,
};
use core::time::Duration;
use hostnet::{Coverage, EnsureError, PlanError, Rate, Step, Subject, garbage, plan};
use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};

tests![
    a_plan_cut_short_anywhere_is_finished_or_removed,
    garbage_needs_a_live_set_and_an_age,
    a_bridge_without_its_tag_is_made_anew,
    another_generation_is_not_taken_for_this_one,
    the_table_goes_only_when_it_is_empty,
    what_was_deleted_meanwhile_is_no_error,
    a_table_that_is_held_outlives_a_flush_and_its_holder,
    what_goes_during_a_look_is_not_there,
];

fn a_table_that_is_held_outlives_a_flush_and_its_holder() -> Outcome {
    let exclusive = || {
        let options = hostnet::HostOptions::default().with_exclusive_table();
        hostnet::Host::open_with(hostnet::Owner::new("demo")?, options)
            .map_err(Box::<dyn std::error::Error>::from)
    };
    let desired = desired("demo", 2);
    let holder = exclusive()?;
    block_on(holder.ensure(&desired))?;
    crate::rules::flush_ruleset()?;
    assert!(block_on(holder.verify(&desired))?.is_empty(), "nothing was lost");
    // Nobody else changes it, not even another process of the same owner, which is told why.
    let other = owned("demo");
    let one = [Subject::Attachment(id("a1b2c300"))].into();
    let error = block_on(other.remove(&one)).expect_err("the table is held").to_string();
    assert!(error.contains("held by another process"), "{error}");

    // When its holder ends it stays, and the next one takes hold of it.
    drop(holder);
    let next = exclusive()?;
    let start = std::time::Instant::now();
    while !block_on(next.observe()).is_ok_and(|o| o.table.elements().count() == 4 + 2 * 3) {
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", block_on(next.observe()));
    }
    block_on(next.ensure(&desired))?;
    crate::rules::flush_ruleset()?;
    assert!(block_on(next.verify(&desired))?.is_empty());
    block_on(next.remove(&subjects(&desired)))?;
    assert!(matches!(block_on(next.observe())?.table, hostnet::Table::Absent));
    Ok(())
}

/// A thread that ends in the middle of a plan leaves what a killed process leaves.
fn a_plan_cut_short_anywhere_is_finished_or_removed() -> Outcome {
    let desired = desired("demo", 2);
    let host = owned("demo");
    // Forwarding stays on once it is on, so every round has the same steps.
    block_on(host.ensure(&desired))?;
    block_on(host.remove(&subjects(&desired)))?;
    let empty = snapshot(&host);
    let steps = plan(&desired, &empty)?.len();
    for cut in 0..=steps {
        for finish in [false, true] {
            let victim = owned("demo");
            let whole = plan(&desired, &block_on(victim.observe())?)?;
            let died = catch_unwind(AssertUnwindSafe(|| {
                block_on(victim.apply_with(&whole, move |step| match step {
                    Step::Starting(n, _) if n == cut => std::panic::resume_unwind(Box::new("cut")),
                    _ => {}
                }))
            }));
            assert!(died.is_ok_and(|result| result.is_err() == (cut < steps)), "at step {cut}");

            let heir = owned("demo");
            if finish {
                block_on(heir.ensure(&desired))?;
                assert!(plan(&desired, &block_on(heir.observe())?)?.is_empty(), "cut at {cut}");
            }
            let found = block_on(heir.observe())?;
            let report = garbage(&found, &BTreeSet::new(), Duration::MAX, Duration::ZERO)?;
            block_on(heir.apply(&report.teardown(&found)?))?;
            assert_eq!(snapshot(&heir), empty, "cut at {cut}");
        }
    }
    Ok(())
}

fn garbage_needs_a_live_set_and_an_age() -> Outcome {
    let host = owned("demo");
    let desired = desired("demo", 3);
    block_on(host.ensure(&desired))?;
    let observed = block_on(host.observe())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;

    let mut live = subjects(&desired);
    let report = garbage(&observed, &live, now, Duration::ZERO)?;
    assert!(report.orphans.is_empty() && report.young.is_empty());
    assert_eq!(report.live, live);

    live.remove(&Subject::Attachment(id("a1b2c301")));
    let report = garbage(&observed, &live, now, Duration::from_secs(3600))?;
    assert!(report.orphans.is_empty(), "made this minute: {report:?}");
    assert_eq!(report.young.len(), 1);

    let later = now + Duration::from_secs(3601);
    let report = garbage(&observed, &live, later, Duration::from_secs(3600))?;
    assert_eq!(report.orphans.len(), 1);
    assert_eq!(report.orphans[0].devices, ["tap_a1b2c301"]);
    assert_eq!(report.orphans[0].elements, 3);
    assert!(report.orphans[0].age.is_some_and(|age| age >= Duration::from_secs(3600)));

    block_on(host.apply(&report.teardown(&observed)?))?;
    let after = block_on(host.observe())?;
    assert_eq!(after.subjects(), live);
    Ok(())
}

fn a_bridge_without_its_tag_is_made_anew() -> Outcome {
    let host = owned("demo");
    let desired = desired("demo", 1);
    block_on(host.ensure(&desired))?;
    block_on(host.remove(&[Subject::Attachment(id("a1b2c300"))].into()))?;
    // As if the crash had come between the bridge's birth and its tag.
    block_on(async {
        Stranger::new().untag("br0", "hostnet-2492:demo:net:default:bridge:0").await
    })?;
    let observed = block_on(host.observe())?;
    let half = observed.link_named("br0").expect("there").index;
    // It is nobody's yet, but garbage all the same.
    let report = garbage(&observed, &BTreeSet::new(), Duration::MAX, Duration::ZERO)?;
    assert_eq!(report.half_made, ["br0"]);
    assert!(report.teardown(&observed)?.to_string().contains("ip link del 'br0'"));
    block_on(host.ensure(&desired))?;
    let observed = block_on(host.observe())?;
    assert_eq!(observed.coverage, Coverage::Everything);
    assert_ne!(observed.link_named("br0").expect("there").index, half);
    assert!(plan(&desired, &observed)?.is_empty());
    Ok(())
}

fn another_generation_is_not_taken_for_this_one() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 1)))?;
    let mut next = hostnet::Desired::new(host.owner().clone());
    next.add_network(crate::world::network())?;
    next.add_attachment(vm(0).with_generation(1))?;
    let whole = block_on(host.observe())?;
    assert!(matches!(
        plan(&next, &whole),
        Err(PlanError::OtherGeneration { found: 0, wanted: 1, .. })
    ));
    // Seen only by name, the older one is in the way all the same.
    match block_on(host.ensure(&next)) {
        Err(EnsureError::Plan(_)) => {}
        other => panic!("{other:?}"),
    }
    block_on(host.remove(&[Subject::Attachment(id("a1b2c300"))].into()))?;
    block_on(host.ensure(&next))?;
    Ok(())
}

fn the_table_goes_only_when_it_is_empty() -> Outcome {
    let host = owned("demo");
    let desired = desired("demo", 1);
    block_on(host.ensure(&desired))?;
    let observed = block_on(host.observe())?;
    let teardown = hostnet::teardown(&subjects(&desired), &observed)?;
    // Between the plan and its last step somebody of the same owner makes a VM of another network.
    let mut late = hostnet::Desired::new(host.owner().clone());
    late.add_network(hostnet::Network::bridged(
        hostnet::NetworkName::new("late")?,
        hostnet::DeviceName::new("br1")?,
        "10.0.0.1/24".parse()?,
    )?)?;
    block_on(host.ensure(&late))?;
    block_on(host.apply(&teardown))?;
    let after = block_on(host.observe())?;
    assert_eq!(after.subjects(), subjects(&late));
    assert!(plan(&late, &after)?.is_empty());
    Ok(())
}

fn what_was_deleted_meanwhile_is_no_error() -> Outcome {
    let host = owned("demo");
    let before = snapshot(&host);
    let desired = desired("demo", 1);
    block_on(host.ensure(&desired))?;
    let teardown = hostnet::teardown(&subjects(&desired), &block_on(host.observe())?)?;
    block_on(async {
        let stranger = Stranger::new();
        stranger.delete("tap_a1b2c300").await?;
        stranger.delete("br0").await
    })?;
    block_on(host.apply(&teardown))?;
    assert_eq!(snapshot(&host), before);
    Ok(())
}

/// A look at a device is several questions, between which it may go.
fn what_goes_during_a_look_is_not_there() -> Outcome {
    let rate = Rate::new(NonZeroU64::new(1_000_000).ok_or("zero")?);
    let host = owned("demo");
    for network in [shapes::bridged(), shapes::routed()] {
        let vms: Vec<_> = (0..4).map(|n| shapes::vm(n).with_rate_to_guest(rate)).collect();
        let (wish, without) = (shapes::wish(&network, &vms)?, shapes::wish(&network, &[])?);
        block_on(host.ensure(&without))?;
        let (maker, made) = (owned("demo"), wish.clone());
        let busy = std::thread::spawn(move || -> Result<(), EnsureError> {
            for _ in 0..25 {
                block_on(maker.ensure(&made))?;
                let vms = made.attachments().map(|vm| Subject::Attachment(vm.id().clone()));
                block_on(maker.remove(&vms.collect()))?;
            }
            Ok(())
        });
        let mut looks = 0;
        while !busy.is_finished() {
            block_on(host.observe_for(&wish))?;
            block_on(host.observe())?;
            looks += 1;
        }
        busy.join().map_err(|_panic| "the other program panicked")??;
        assert!(looks > 50, "only {looks}");
        block_on(host.remove(&without.subjects()))?;
    }
    Ok(())
}
