//! What is told of links, neighbours and counters.

use crate::guests::{Machine, any, ask_tcp, at};
use crate::world::{Outcome, Stranger, block_on, desired, id, lan, network, owned, tests, vm};
use hostnet::{Event, Events};
use std::io::Write as _;
use std::time::{Duration, Instant};

tests![
    what_happens_is_told,
    whoever_lags_behind_is_told_everything,
    a_guest_is_found_by_its_mac_and_counted,
];

/// The next event that is wanted; all others are passed over.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
    let search = async {
        loop {
            let event = events.next().await?;
            if wanted(&event) {
                return Some(event);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), search).await.ok().flatten()
}

fn listeners() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process");
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    };
    tasks.filter_map(name).filter(|name| name.trim() == "hostnet-events").count()
}

fn what_happens_is_told() -> Outcome {
    let host = owned("demo");
    block_on(async {
        let mut events = host.events().await?;
        match events.next().await {
            Some(Event::Everything { links, .. }) => assert_eq!(links[0].name, "lo"),
            other => panic!("{other:?}"),
        }
        host.ensure(&desired("demo", 1)).await?;
        let ours = |event: &Event| match event {
            Event::Link(link) => link.tag.is_some() && link.name == "tap_a1b2c300" && link.up,
            _ => false,
        };
        assert!(until(&mut events, ours).await.is_some());

        let stranger = Stranger::new();
        stranger.add_neighbour("br0", "172.16.0.9".parse()?, [2, 0, 0, 0, 0, 9]).await?;
        let told = |event: &Event| match event {
            Event::Neighbour { neighbour, .. } => neighbour.address.to_string() == "172.16.0.9",
            _ => false,
        };
        assert!(until(&mut events, told).await.is_some());
        stranger.delete("tap_a1b2c300").await?;
        let gone =
            |event: &Event| matches!(event, Event::LinkGone { name, .. } if name == "tap_a1b2c300");
        assert!(until(&mut events, gone).await.is_some());

        // Whoever stops to listen leaves no thread behind.
        drop(events);
        let start = Instant::now();
        while listeners() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "a thread listens to nobody");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })
}

fn whoever_lags_behind_is_told_everything() -> Outcome {
    let host = owned("demo");
    block_on(async {
        let mut events = host.events().await?;
        assert!(matches!(events.next().await, Some(Event::Everything { .. })));
        let stranger = Stranger::new();
        stranger.add_bridge("busy").await?;
        // More than fits into the queue and the socket together.
        for round in 0..3000_u32 {
            stranger.set_mtu("busy", 1300 + round % 100).await?;
        }
        stranger.add_bridge("last").await?;
        let everything = |event: &Event| matches!(event, Event::Everything { .. });
        let Some(Event::Everything { links, .. }) = until(&mut events, everything).await else {
            return Err("nothing was told of what was missed".into());
        };
        assert!(links.iter().any(|link| link.name == "last"));
        // And what happens after that is told as before.
        stranger.delete("last").await?;
        let gone = |event: &Event| matches!(event, Event::LinkGone { name, .. } if name == "last");
        assert!(until(&mut events, gone).await.is_some());
        Ok::<_, Box<dyn std::error::Error>>(())
    })
}

fn a_guest_is_found_by_its_mac_and_counted() -> Outcome {
    let host = owned("demo");
    block_on(host.ensure(&desired("demo", 2)))?;
    let guest = Machine::guest(&vm(0), &network())?;
    guest.serve_tcp(any(22))?;
    ask_tcp(at("172.16.0.2:22"))?;
    let found = block_on(host.neighbours_by_mac(&lan(), vm(0).mac()))?;
    assert_eq!(found.iter().map(|n| n.address.to_string()).collect::<Vec<_>>(), ["172.16.0.2"]);
    assert!(block_on(host.neighbours_by_mac(&lan(), vm(1).mac()))?.is_empty());

    let counted = block_on(host.counters(&id("a1b2c300")))?;
    assert!(counted.received_packets >= 3 && counted.sent_packets >= 3, "{counted:?}");
    // What the host's side calls received is what the guest sent.
    let mut card = hostnet::open_tap(vm(1).tap_name(), vm(1).tap_options())?;
    let before = block_on(host.counters(&id("a1b2c301")))?;
    card.write_all(&[0xff; 100])?;
    let after = block_on(host.counters(&id("a1b2c301")))?;
    assert_eq!(after.received_packets - before.received_packets, 1);
    assert_eq!(after.received_bytes - before.received_bytes, 100);
    let error = block_on(host.counters(&id("nobody"))).expect_err("not there").to_string();
    assert!(error.contains("the device is not there"), "{error}");
    Ok(())
}
