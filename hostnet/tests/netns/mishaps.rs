//! What people and programs do to a running host by accident: `verify` shows it and `ensure` puts it right.

use crate::rules;
use crate::world::{Outcome, Stranger, block_on, desired, owned, snapshot, subjects, tests, vm};
use hostnet::{Desired, Errno, Host, Observed, Op, TapError, TapOptions};
use netlink_packet_netfilter::NetfilterProtoFamily as Family;
use std::io::Read as _;

/// What is said of a TAP's file when the TAP is gone.
const EBADFD: i32 = 77;

tests![
    a_flushed_ruleset_comes_back,
    flushed_chains_get_their_rules_and_keep_their_elements,
    a_removal_after_a_flushed_ruleset_is_whole,
    a_deleted_bridge_is_made_anew_under_its_taps,
    a_deleted_tap_is_made_anew_beside_the_others,
    a_tap_in_use_is_left_to_its_user,
    loopback_routing_turned_off_is_turned_on,
    isolation_turned_off_is_turned_on,
    a_tap_moved_to_another_group_moves_back,
];

/// Five VMs, made, and what there is then.
fn five() -> Result<(Host, Desired, Observed), Box<dyn std::error::Error>> {
    let (host, wish) = (owned("demo"), desired("demo", 5));
    block_on(host.ensure(&wish))?;
    let good = snapshot(&host);
    Ok((host, wish, good))
}

/// Checks that something is amiss, that `ensure` mends it and that nothing is left to do. Returns the steps it took.
fn mended(host: &Host, wish: &Desired) -> Result<Vec<Op>, Box<dyn std::error::Error>> {
    let amiss = block_on(host.verify(wish))?;
    assert!(!amiss.is_empty(), "nothing was found amiss");
    assert_eq!(amiss, hostnet::plan(wish, &block_on(host.observe())?)?, "seen by name and whole");
    block_on(host.ensure(wish))?;
    let left = block_on(host.verify(wish))?;
    assert!(left.is_empty(), "left to do: {left}");
    Ok(amiss.ops().to_vec())
}

fn a_flushed_ruleset_comes_back() -> Outcome {
    let (host, wish, good) = five()?;
    rules::flush_ruleset()?;
    let steps = mended(&host, &wish)?;
    assert!(matches!(steps.first(), Some(Op::CreateTable { .. })), "{steps:?}");
    assert!(steps[1..].iter().all(|op| matches!(op, Op::AddElement { .. })), "{steps:?}");
    assert_eq!(snapshot(&host), good);
    Ok(())
}

fn flushed_chains_get_their_rules_and_keep_their_elements() -> Outcome {
    let (host, wish, good) = five()?;
    for (family, chain) in [
        (Family::Inet, None),
        (Family::Bridge, None),
        (Family::Inet, Some("prerouting")),
        (Family::Inet, Some("isolation")),
        (Family::Bridge, Some("senders")),
    ] {
        rules::flush_chain(family, "hostnet-demo", chain)?;
        let steps = mended(&host, &wish)?;
        assert!(matches!(steps[..], [Op::RepairTable { .. }]), "{chain:?}: {steps:?}");
        assert_eq!(snapshot(&host), good, "{chain:?}");
    }
    Ok(())
}

fn a_removal_after_a_flushed_ruleset_is_whole() -> Outcome {
    let host = owned("demo");
    let before = snapshot(&host);
    let wish = desired("demo", 5);
    block_on(host.ensure(&wish))?;
    let planned = hostnet::teardown(&subjects(&wish), &block_on(host.observe())?)?;
    rules::flush_ruleset()?;
    // Planned before or after it: that the rules are gone already is success.
    block_on(host.apply(&planned))?;
    assert_eq!(snapshot(&host), before);
    block_on(host.ensure(&wish))?;
    rules::flush_ruleset()?;
    block_on(host.remove(&subjects(&wish)))?;
    assert_eq!(snapshot(&host), before);
    Ok(())
}

/// The index of each TAP.
fn taps(observed: &Observed) -> Vec<Option<u32>> {
    let index = |n| observed.link_named(vm(n).tap_name().as_str()).map(|link| link.index);
    (0..5).map(index).collect()
}

fn a_deleted_bridge_is_made_anew_under_its_taps() -> Outcome {
    let (host, wish, good) = five()?;
    block_on(async { Stranger::new().delete("br0").await })?;
    let steps = mended(&host, &wish)?;
    let attached = steps.iter().filter(|op| matches!(op, Op::AttachPort { .. })).count();
    assert_eq!(attached, 5, "{steps:?}");
    let now = snapshot(&host);
    assert_eq!(taps(&now), taps(&good), "no guest loses its card");
    let bridge = now.link_named("br0").ok_or("no bridge")?.index;
    let on_it = now.links.iter().filter(|link| link.master == Some(bridge));
    assert!(on_it.clone().all(|port| port.up && port.isolated));
    assert_eq!(on_it.count(), 5);
    assert_eq!(now.table, good.table);
    Ok(())
}

fn a_deleted_tap_is_made_anew_beside_the_others() -> Outcome {
    let (host, wish, good) = five()?;
    block_on(async { Stranger::new().delete("tap_a1b2c302").await })?;
    let steps = mended(&host, &wish)?;
    assert!(matches!(steps[..], [Op::CreateTap { .. }, Op::AttachPort { .. }]), "{steps:?}");
    let now = taps(&snapshot(&host));
    for (n, (now, before)) in now.into_iter().zip(taps(&good)).enumerate() {
        assert!(now.is_some() && (now == before) == (n != 2), "{n}");
    }
    Ok(())
}

fn a_tap_in_use_is_left_to_its_user() -> Outcome {
    let (host, wish, good) = five()?;
    let mut user = hostnet::open_tap(vm(0).tap_name(), TapOptions::default())?;
    let error = hostnet::open_tap(vm(0).tap_name(), TapOptions::default()).expect_err("in use");
    assert!(matches!(&error, TapError::Refused(why) if why.errno() == Some(Errno::EBUSY)));
    assert!(error.to_string().starts_with("open the TAP `tap_a1b2c300`: "), "{error}");
    // Neither looking nor mending takes it from its user.
    assert_eq!(block_on(host.ensure(&wish))?.steps, 0);
    assert_eq!(snapshot(&host), good);
    block_on(async { Stranger::new().rename("tap_a1b2c300", "mine").await })?;
    mended(&host, &wish)?;
    assert_eq!(snapshot(&host), good);
    assert!(hostnet::open_tap(vm(0).tap_name(), TapOptions::default()).is_err());

    // Removal does: the file leads nowhere then, and is in nobody's way.
    block_on(host.remove(&[hostnet::Subject::Attachment(vm(0).id().clone())].into()))?;
    let read = user.read(&mut [0; 2048]).map_err(|error| error.raw_os_error());
    assert_eq!(read, Err(Some(EBADFD)));
    mended(&host, &wish)?;
    hostnet::open_tap(vm(0).tap_name(), TapOptions::default())?;
    Ok(())
}

fn loopback_routing_turned_off_is_turned_on() -> Outcome {
    let (host, wish, good) = five()?;
    std::fs::write("/proc/sys/net/ipv4/conf/br0/route_localnet", "0")?;
    let steps = mended(&host, &wish)?;
    assert!(matches!(steps[..], [Op::SetLink { .. }]), "{steps:?}");
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/conf/br0/route_localnet")?, "1\n");
    assert_eq!(snapshot(&host), good);
    Ok(())
}

fn isolation_turned_off_is_turned_on() -> Outcome {
    let (host, wish, good) = five()?;
    block_on(async { Stranger::new().set_isolation("tap_a1b2c303", false).await })?;
    let steps = mended(&host, &wish)?;
    assert!(matches!(steps[..], [Op::SetLink { .. }]), "{steps:?}");
    assert_eq!(snapshot(&host), good);
    Ok(())
}

/// The group is what the rules know a guest's device by: in another it could send from any address.
fn a_tap_moved_to_another_group_moves_back() -> Outcome {
    let (host, wish, good) = five()?;
    block_on(async { Stranger::new().set_group("tap_a1b2c304", 0).await })?;
    let steps = mended(&host, &wish)?;
    assert!(matches!(steps[..], [Op::SetLink { .. }]), "{steps:?}");
    assert_eq!(snapshot(&host), good);
    Ok(())
}
