//! The same requests on the kernel and on the in-memory one: both say the same and come to the same.

use crate::both_grounds::{Ground, on_both};
use crate::shapes::{self, name};
use crate::world::{Outcome, Test, id, lan, port};
use core::time::Duration;
use hostnet::{
    Attachment, Desired, Element, Forward, Network, NetworkName, Rate, Subject, TapOptions, Vxlan,
    garbage, plan, teardown,
};
use std::collections::BTreeSet;
use std::error::Error;
use std::num::NonZeroU64;

/// Makes the table of the cases, each of which is run on both.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const TESTS: &[Test] = &[$(Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            run: || on_both(|ground| Box::pin($name(ground))),
        }),+];
    };
}

cases![
    what_is_there_is_not_made_again,
    nothing_is_left_of_what_is_removed,
    a_foreign_device_keeps_its_name,
    a_name_taken_since_the_plan_is_refused,
    a_port_leads_to_one_vm,
    a_port_taken_since_the_plan_is_refused,
    another_generation_is_refused,
    a_renamed_device_gets_its_name_back,
    a_deleted_device_is_made_again,
    a_changed_wish_is_followed,
    forwards_are_swapped,
    a_network_moves_to_another_prefix,
    a_network_in_use_stays,
    a_network_and_its_vm_go_at_once,
    a_tap_made_otherwise_is_refused,
    a_vm_in_its_own_namespace_comes_and_goes,
    a_routed_vm_gets_another_address,
    a_vxlan_device_keeps_its_vni,
    a_sharded_network_comes_and_goes,
    what_nobody_claims_is_collected,
    another_owners_names_are_taken,
];

type Wish = Result<Desired, Box<dyn Error>>;

fn wish(attachments: &[Attachment]) -> Wish {
    shapes::wish(&shapes::bridged(), attachments)
}

/// The first of the VMs without forwards, to give it others.
fn bare(n: u8) -> Result<Attachment, Box<dyn Error>> {
    let like = shapes::vm(n);
    let address = like.addresses().next().ok_or("no address")?;
    let (id, tap) = (like.id().clone(), like.tap_name().clone());
    Ok(Attachment::tap(id, lan(), tap, like.mac(), address)?)
}

fn vms(count: u8) -> Vec<Attachment> {
    (0..count).map(shapes::vm).collect()
}

fn attachment(n: u8) -> BTreeSet<Subject> {
    [Subject::Attachment(shapes::vm(n).id().clone())].into()
}

fn network() -> BTreeSet<Subject> {
    [Subject::Network(lan())].into()
}

fn joined(subjects: [BTreeSet<Subject>; 2]) -> BTreeSet<Subject> {
    subjects.into_iter().flatten().collect()
}

async fn what_is_there_is_not_made_again(ground: &mut Ground) -> Outcome {
    let wish = wish(&vms(3))?;
    assert!(ground.ensure(&wish).await? > 0);
    ground.look().await?;
    assert_eq!(ground.ensure(&wish).await?, 0);
    assert!(ground.verify(&wish).await?.is_empty());
    assert_eq!(ground.ensure(&self::wish(&vms(1))?).await?, 0);
    ground.look().await
}

async fn nothing_is_left_of_what_is_removed(ground: &mut Ground) -> Outcome {
    let wish = wish(&vms(3))?;
    ground.ensure(&wish).await?;
    ground.remove(&attachment(1)).await?;
    ground.look().await?;
    ground.remove(&wish.subjects()).await?;
    assert!(ground.look_at_ours().await?.is_empty());
    assert_eq!(ground.remove(&wish.subjects()).await?, 0);
    ground.look().await
}

async fn a_foreign_device_keeps_its_name(ground: &mut Ground) -> Outcome {
    let wish = wish(&vms(1))?;
    for wanted in ["br0", "tap_a1b2c300"] {
        ground.add_foreign(wanted).await?;
        let error = ground.refuses_to_ensure(&wish).await?;
        assert!(error.contains("taken by a foreign bridge device"), "{error}");
        ground.look().await?;
        ground.rename(wanted, &format!("{wanted}x")).await?;
    }
    ground.ensure(&wish).await?;
    ground.look().await?;
    ground.remove(&wish.subjects()).await?;
    ground.look().await
}

async fn a_name_taken_since_the_plan_is_refused(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(1))?).await?;
    let late = plan(&wish(&vms(3))?, &ground.observe().await?)?;
    ground.add_foreign("tap_a1b2c302").await?;
    let error = ground.refuses_to_apply(&late).await?;
    assert!(error.contains("the name `tap_a1b2c302` is taken by a foreign"), "{error}");
    ground.look().await
}

async fn a_port_leads_to_one_vm(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(1))?).await?;
    let second = bare(1)?.with_forward(Forward::tcp(port(22001), port(22)));
    let error = ground.refuses_to_ensure(&wish(&[second])?).await?;
    assert!(error.contains("hostnet-ae2e:demo:vm:a1b2c300:rules:0"), "{error}");
    ground.look().await
}

async fn a_port_taken_since_the_plan_is_refused(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&[])?).await?;
    let second = bare(1)?.with_forward(Forward::tcp(port(22001), port(22)));
    let late = plan(&wish(&[second])?, &ground.observe().await?)?;
    ground.ensure(&wish(&vms(1))?).await?;
    let error = ground.refuses_to_apply(&late).await?;
    assert!(error.contains("it is taken by hostnet-ae2e:demo:vm:a1b2c300:rules:0"), "{error}");
    ground.look().await
}

async fn another_generation_is_refused(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(1))?).await?;
    let next = wish(&[shapes::vm(0).with_generation(1)])?;
    let error = ground.refuses_to_ensure(&next).await?;
    assert!(error.contains("is there in generation 0, wanted is 1"), "{error}");
    ground.remove(&attachment(0)).await?;
    ground.ensure(&next).await?;
    ground.look().await
}

async fn a_renamed_device_gets_its_name_back(ground: &mut Ground) -> Outcome {
    let wish = wish(&vms(2))?;
    ground.ensure(&wish).await?;
    let good = ground.look_at_ours().await?;
    ground.rename("tap_a1b2c300", "mine").await?;
    ground.rename("br0", "br7").await?;
    assert_eq!(ground.verify(&wish).await?.len(), 2);
    ground.ensure(&wish).await?;
    assert_eq!(ground.look_at_ours().await?, good);
    // Unless somebody has it by now.
    ground.rename("br0", "br7").await?;
    ground.add_foreign("br0").await?;
    ground.refuses_to_ensure(&wish).await?;
    // By another name it is found and goes all the same.
    ground.remove(&wish.subjects()).await?;
    ground.look().await
}

async fn a_deleted_device_is_made_again(ground: &mut Ground) -> Outcome {
    let wish = wish(&vms(2))?;
    ground.ensure(&wish).await?;
    let good = ground.look_at_ours().await?;
    for device in ["tap_a1b2c301", "br0"] {
        ground.delete(device).await?;
        assert!(!ground.verify(&wish).await?.is_empty());
        ground.ensure(&wish).await?;
        assert_eq!(ground.look_at_ours().await?, good, "{device}");
    }
    Ok(())
}

async fn a_changed_wish_is_followed(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(2))?).await?;
    let rate = Rate::new(NonZeroU64::new(1_000_000).ok_or("zero")?);
    let fast = Rate::new(NonZeroU64::new(9_000_000).ok_or("zero")?);
    let large = shapes::bridged().with_mtu(9000)?.with_guest_to_guest();
    for changed in [
        shapes::wish(&large, &vms(2))?,
        shapes::wish(&large, &[shapes::vm(0).with_rate_to_guest(rate).with_rate_from_guest(rate)])?,
        wish(&[shapes::vm(0).with_rate_to_guest(fast).with_rate_from_guest(fast)])?,
        shapes::wish(&shapes::bridged().with_unchecked_sources(), &vms(2))?,
        wish(&[shapes::vm(0), bare(1)?])?,
    ] {
        assert!(!ground.verify(&changed).await?.is_empty());
        ground.ensure(&changed).await?;
        assert!(ground.verify(&changed).await?.is_empty());
        ground.look().await?;
    }
    Ok(())
}

async fn forwards_are_swapped(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(2))?).await?;
    let swapped: Vec<_> = [(0, 22002), (1, 22001)]
        .into_iter()
        .map(|(n, host)| Ok(bare(n)?.with_forward(Forward::tcp(port(host), port(22)))))
        .collect::<Result<_, Box<dyn Error>>>()?;
    ground.ensure(&wish(&swapped)?).await?;
    ground.look().await
}

async fn a_network_moves_to_another_prefix(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&[])?).await?;
    for gateway in ["172.16.9.1/24", "172.16.9.2/24", "10.0.0.1/8"] {
        let moved = Network::bridged(lan(), name("br0"), gateway.parse()?)?;
        ground.ensure(&shapes::wish(&moved, &[])?).await?;
        ground.look().await?;
    }
    Ok(())
}

async fn a_network_in_use_stays(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(2))?).await?;
    let error = ground.refuses_to_remove(&network()).await?;
    assert!(error.contains("still has 2 ports on its bridge"), "{error}");
    ground.look().await?;
    // Nor does it go by a plan from when it had none.
    ground.remove(&joined([attachment(0), attachment(1)])).await?;
    let late = teardown(&network(), &ground.observe().await?)?;
    ground.ensure(&wish(&vms(1))?).await?;
    let error = ground.refuses_to_apply(&late).await?;
    assert!(error.contains("it has ports: tap_a1b2c300"), "{error}");
    ground.look().await
}

async fn a_network_and_its_vm_go_at_once(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(1))?).await?;
    // Both are asked for while the host is busy with something else, the network first.
    let busy = plan(&wish(&vms(2))?, &ground.observe().await?)?;
    let (let_go, wait) = std::sync::mpsc::channel();
    let wait = move |step: hostnet::Step<'_>| {
        if let hostnet::Step::Done(0, _) = step {
            wait.recv().expect("somebody to let go");
        }
    };
    let (host, others) = (ground.host().clone(), joined([attachment(0), attachment(1)]));
    let network = network();
    let (made, first, second, ()) = tokio::join!(
        host.apply_with(&busy, wait),
        host.remove(&network),
        host.remove(&others),
        async { let_go.send(()).expect("somebody who waits") },
    );
    made?;
    ground.note("the network", first.map(|applied| applied.steps));
    ground.note("the VMs", second.map(|applied| applied.steps));
    assert!(ground.look_at_ours().await?.is_empty());
    ground.look().await
}

async fn a_tap_made_otherwise_is_refused(ground: &mut Ground) -> Outcome {
    ground.ensure(&wish(&vms(1))?).await?;
    for options in [
        TapOptions::default().with_vnet_hdr(),
        TapOptions::default().with_multi_queue(),
        TapOptions::default().with_uid(0),
        TapOptions::default().with_gid(0),
    ] {
        let other = wish(&[shapes::vm(0).with_tap_options(options)])?;
        let error = ground.refuses_to_ensure(&other).await?;
        assert!(error.contains("cannot be changed on `tap_a1b2c300`"), "{error}");
    }
    ground.look().await?;
    ground.remove(&attachment(0)).await?;
    let options = TapOptions::default().with_vnet_hdr().with_uid(0).with_multi_queue();
    ground.ensure(&wish(&[shapes::vm(0).with_tap_options(options)])?).await?;
    ground.look().await
}

async fn a_vm_in_its_own_namespace_comes_and_goes(ground: &mut Ground) -> Outcome {
    let rate = Rate::new(NonZeroU64::new(1_000_000).ok_or("zero")?);
    for network in [shapes::bridged(), shapes::routed()] {
        let both = shapes::wish(&network, &[shapes::namespaced(0), shapes::namespaced(1)])?;
        ground.ensure(&both).await?;
        assert_eq!(ground.ensure(&both).await?, 0);
        ground.look().await?;
        // Its end on the host goes, and the other with it.
        ground.delete("vh_a1b2c300").await?;
        ground.look().await?;
        ground.ensure(&both).await?;
        ground.look().await?;
        let limited = shapes::namespaced(0).with_rate_to_guest(rate);
        ground.ensure(&shapes::wish(&network.clone().with_mtu(1400)?, &[limited])?).await?;
        ground.look().await?;
        ground.remove(&attachment(0)).await?;
        ground.look().await?;
        ground.remove(&both.subjects()).await?;
        assert!(ground.look_at_ours().await?.is_empty());
        ground.look().await?;
    }
    Ok(())
}

async fn a_routed_vm_gets_another_address(ground: &mut Ground) -> Outcome {
    let network = shapes::routed().with_static_neighbours()?;
    ground.ensure(&shapes::wish(&network, &vms(2))?).await?;
    ground.look().await?;
    let like = shapes::vm(0);
    for address in ["172.16.7.7", "fd00:16::77"] {
        let (id, tap) = (like.id().clone(), like.tap_name().clone());
        let moved = Attachment::tap(id, lan(), tap, like.mac(), address.parse()?)?;
        let wish = shapes::wish(&network, &[moved, shapes::vm(1)])?;
        ground.ensure(&wish).await?;
        assert_eq!(ground.ensure(&wish).await?, 0);
        ground.look().await?;
    }
    ground.ensure(&shapes::wish(&shapes::routed(), &vms(2))?).await?;
    ground.look().await?;
    ground.remove(&attachment(0)).await?;
    ground.look().await
}

async fn a_vxlan_device_keeps_its_vni(ground: &mut Ground) -> Outcome {
    let network = |vni: u32, peer: &str| -> Result<Network, Box<dyn Error>> {
        let vxlan = Vxlan::new(name("vx1"), vni, shapes::ip("192.0.2.1"))?;
        let vxlan = vxlan.with_static_peer([2, 0, 0, 0, 0, 9].into(), shapes::ip("192.0.2.3"))?;
        Ok(shapes::bridged().with_vxlan(vxlan.with_flooded_peer(shapes::ip(peer))?)?)
    };
    ground.ensure(&shapes::wish(&network(7, "192.0.2.2")?, &vms(1))?).await?;
    ground.look().await?;
    let other = shapes::wish(&network(8, "192.0.2.2")?, &vms(1))?;
    let error = ground.refuses_to_ensure(&other).await?;
    assert!(error.contains("the VNI, local address, port and learning"), "{error}");
    ground.ensure(&shapes::wish(&network(7, "192.0.2.4")?, &vms(1))?).await?;
    ground.look().await?;
    ground.remove(&joined([attachment(0), self::network()])).await?;
    ground.look().await
}

async fn a_sharded_network_comes_and_goes(ground: &mut Ground) -> Outcome {
    let network = shapes::bridged().with_shard(name("br0s1"), name("up1"), name("down1"))?;
    let wish = shapes::wish(&network, &vms(4))?;
    ground.ensure(&wish).await?;
    ground.look().await?;
    ground.delete("up1").await?;
    ground.look().await?;
    ground.ensure(&wish).await?;
    ground.look().await?;
    ground.ensure(&shapes::wish(&network.with_guest_to_guest(), &vms(4))?).await?;
    ground.look().await?;
    ground.remove(&wish.subjects()).await?;
    ground.look().await
}

async fn what_nobody_claims_is_collected(ground: &mut Ground) -> Outcome {
    let all = [shapes::vm(0), shapes::vm(1), shapes::namespaced(2)];
    ground.ensure(&wish(&all)?).await?;
    let observed = ground.observe().await?;
    let mut live = wish(&all[..1])?.subjects();
    for _ in 0..2 {
        let report = garbage(&observed, &live, Duration::MAX, Duration::ZERO)?;
        let orphans = report.orphans.iter().map(|orphan| {
            let devices: BTreeSet<_> = orphan.devices.iter().filter(|d| *d != "lo").collect();
            format!("{} {devices:?} {:?} {}", orphan.subject, orphan.namespaces, orphan.elements)
        });
        ground.note("orphans", Ok::<_, Box<dyn Error>>(orphans.collect::<Vec<_>>().join(", ")));
        let steps = ground.apply(&report.teardown(&observed)?).await?;
        ground.note("collected", Ok::<_, Box<dyn Error>>(steps));
        ground.look().await?;
        live = BTreeSet::new();
    }
    assert!(ground.look_at_ours().await?.is_empty());
    Ok(())
}

async fn another_owners_names_are_taken(ground: &mut Ground) -> Outcome {
    let mut other = ground.beside("other")?;
    let mut theirs = Desired::new(other.host().owner().clone());
    let far = NetworkName::new("far")?;
    theirs.add_network(Network::bridged(far.clone(), name("br9"), "10.9.0.1/16".parse()?)?)?;
    let like = shapes::vm(0);
    let vm =
        Attachment::tap(id("x"), far, like.tap_name().clone(), like.mac(), [10, 9, 0, 2].into())?;
    theirs.add_attachment(vm.with_forward(Forward::tcp(port(22001), port(22))))?;
    other.ensure(&theirs).await?;
    let error = ground.refuses_to_ensure(&wish(&vms(1))?).await?;
    assert!(error.contains("tagged hostnet-e7e9:other:vm:x:tap:0"), "{error}");
    assert!(ground.look_at_ours().await?.is_empty());
    // The same port in another owner's table is that owner's business.
    ground.ensure(&wish(&[bare(1)?.with_forward(Forward::tcp(port(22001), port(22)))])?).await?;
    ground.remove(&theirs.subjects()).await?;
    ground.look().await?;
    let rules = other.observe().await?.table;
    let is_forward = |(element, _): &(&Element, _)| matches!(element, Element::Forward { .. });
    assert_eq!(rules.elements().filter(is_forward).count(), 1);
    other.look().await
}
