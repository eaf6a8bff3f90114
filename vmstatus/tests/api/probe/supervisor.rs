//! Many machines on a clock that the test turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use vmstatus::probe::{Look, Supervisor};
use vmstatus::{Evidence, Folder, Generation, Process};

use super::world::SECOND;

const fn alive() -> Evidence {
    Evidence::new(Folder::Present, Process::Alive, Generation::new(1, 0))
}

/// A machine that answers at once, or never.
struct Pretend(Option<Evidence>);

impl Look for Pretend {
    async fn look(&mut self) -> Evidence {
        match &self.0 {
            Some(evidence) => evidence.clone(),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_machines_none_waits_for_those_that_hang() {
    const VMS: usize = 10_000;
    let vms = (0..VMS).map(|vm| (vm, Pretend((vm % 100 != 0).then(alive))));
    let begin = tokio::time::Instant::now();
    let mut watch = Supervisor::new(SECOND, SECOND / 2).watch(vms, &mut StdRng::seed_from_u64(7));
    let mut seen = vec![false; VMS];
    for _ in 0..VMS - VMS / 100 {
        let event = watch.next().await.unwrap();
        assert!(!std::mem::replace(&mut seen[event.vm], true));
        assert_eq!(event.news.unwrap().to().as_str(), "initializing");
    }
    // Everyone who answers was seen within the one period that the first looks are spread over.
    assert!(begin.elapsed() <= SECOND, "{:?}", begin.elapsed());
    assert!(seen.iter().enumerate().all(|(vm, seen)| *seen == (vm % 100 != 0)));
    // Those who hang keep their last status, and are looked at less and less often.
    tokio::time::sleep(9 * SECOND).await;
    for (vm, machine) in watch.machines() {
        let expected = if vm % 100 == 0 { "missing" } else { "initializing" };
        assert_eq!(machine.status().as_str(), expected);
    }
}

/// Counts its looks, and hangs in each.
struct Counting(Arc<AtomicU32>, bool);

impl Look for Counting {
    async fn look(&mut self) -> Evidence {
        self.0.fetch_add(1, Ordering::Relaxed);
        if self.1 { std::future::pending().await } else { alive() }
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_their_limit_and_dropping_ends_the_looks() {
    let looks = Arc::new(AtomicU32::new(0));
    let hanging = [((), Counting(Arc::clone(&looks), true))];
    let watch = Supervisor::new(SECOND, SECOND / 2)
        .with_max_pause(8 * SECOND)
        .watch(hanging, &mut StdRng::seed_from_u64(7));
    // Looks begin at x, x + 2, + 4, + 8, + 8 …, give or take a tenth, where x is in the first second.
    tokio::time::sleep(Duration::from_secs(400)).await;
    let looks_of_400_seconds = looks.load(Ordering::Relaxed);
    assert!((45..=57).contains(&looks_of_400_seconds), "{looks_of_400_seconds}");
    drop(watch);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(looks.load(Ordering::Relaxed), looks_of_400_seconds);
}

#[tokio::test(start_paused = true)]
async fn machines_that_were_in_step_fall_out_of_it() {
    let looks: Vec<_> = (0..100).map(|_| Arc::new(AtomicU32::new(0))).collect();
    let vms = looks.iter().enumerate().map(|(vm, looks)| (vm, Counting(Arc::clone(looks), false)));
    let _watch = Supervisor::new(SECOND, SECOND).watch(vms, &mut StdRng::seed_from_u64(7));
    let total = || looks.iter().map(|looks| looks.load(Ordering::Relaxed)).sum::<u32>();
    tokio::time::sleep(3 * SECOND).await;
    // The whole process stalls: all looks fall due at the same time.
    tokio::time::advance(60 * SECOND).await;
    tokio::time::sleep(SECOND / 100).await;
    tokio::time::sleep(20 * SECOND).await;
    // In each tenth of a second some are looked at, and never most of them.
    for _ in 0..20 {
        let before = total();
        tokio::time::sleep(SECOND / 10).await;
        let looks = total() - before;
        assert!((1..50).contains(&looks), "{looks}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_length_of_time_is_too_long() {
    let looks = Arc::new(AtomicU32::new(0));
    let hanging = [((), Counting(Arc::clone(&looks), true))];
    let _watch = Supervisor::new(Duration::MAX, SECOND)
        .with_max_pause(Duration::MAX)
        .watch(hanging, &mut StdRng::seed_from_u64(7));
    // A year each, give or take.
    tokio::time::sleep(Duration::from_secs(4 * 366 * 86_400)).await;
    assert!((3..=5).contains(&looks.load(Ordering::Relaxed)));
}

#[tokio::test(start_paused = true)]
async fn machines_come_and_go() {
    let mut rng = StdRng::seed_from_u64(7);
    let none: [(u32, Pretend); 0] = [];
    let mut watch = Supervisor::new(SECOND, SECOND).watch(none, &mut rng);
    // Nobody is there, so nothing comes; the future can be dropped.
    assert!(tokio::time::timeout(9 * SECOND, watch.next()).await.is_err());
    for vm in 0..3 {
        watch.add(vm, Pretend(Some(alive())), &mut rng);
    }
    for _ in 0..3 {
        assert!(watch.next().await.unwrap().news.is_ok());
    }
    assert_eq!(watch.remove(&1).unwrap().status().as_str(), "initializing");
    assert!(watch.remove(&1).is_none());
    let left: Vec<u32> = watch.machines().map(|(vm, _)| *vm).collect();
    assert_eq!(left, [0, 2]);
}
