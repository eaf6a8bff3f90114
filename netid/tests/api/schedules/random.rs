//! Larger worlds, at random.

use std::env;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::explore::{Budget, Run, stroll};
use super::hand::owner;
use super::lives::{Habit, List, Plan, Taking, collect, echo, life, mover, names, tenant};
use super::small::{with_life, with_taker};

/// How many schedules, unless the environment says otherwise.
const SCHEDULES: u64 = if cfg!(debug_assertions) { 500 } else { 200_000 };

const BATCHES: [&str; 8] = ["a", "b", "ab", "bc", "abc", "cd", "bd", "abcd"];

/// Each schedule is that of its number: a failure can be had again.
#[test]
fn large_worlds_at_random() {
    let schedules = env::var("NETID_SCHEDULES")
        .map_or(SCHEDULES, |number| number.parse().expect("NETID_SCHEDULES is a number"));
    let (mut steps, mut collected) = (0, 0);
    for seed in 0..schedules {
        let mut rng = StdRng::seed_from_u64(seed);
        let run = large(&mut rng, Habit::default());
        let world = run.world();
        match stroll(run, &mut rng) {
            Ok(taken) => steps += taken,
            Err(violation) => panic!("schedule {seed}: {violation:?}"),
        }
        collected += world.state().collected;
    }
    println!("{schedules} schedules, {steps} steps, {collected} claims collected");
    assert!(steps as u64 > 60 * schedules, "{steps}");
    assert!(collected > schedules / 20, "{collected}");
}

#[test]
fn a_fault_is_met_at_random() {
    let hasty = Habit { pending_grace: 0, absence: 0, ..Habit::default() };
    let met = (0..500).find_map(|seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        stroll(large(&mut rng, hasty), &mut rng).err()
    });
    let what = met.expect("a schedule that ends badly").what;
    assert!(what.contains(" lost name/"), "{what}");
}

fn large(rng: &mut StdRng, habit: Habit) -> Run {
    let mut draw = |below: u32| rng.next_u32() % below;
    let mut batch = || BATCHES[draw(8) as usize];
    let (of_a, of_b, of_c) = (batch(), batch(), batch());
    let mut plan = || Plan { renewals: draw(3) };
    let (plan_a, plan_b, plan_c) = (plan(), plan(), plan());
    let budget = Budget { ticks: 4 + draw(12), crashes: draw(4), losses: draw(5), move_ticks: 1 };
    let moves = draw(2) == 0;
    let habit = Habit {
        looks: 4 + draw(12),
        absence: habit.absence * (2 + draw(2)),
        // A move could hide an owner from the question, and from a list for good.
        list: if moves { List::Present } else { List::Early },
        ..habit
    };

    let run = with_life(Run::new(budget), "a", of_a, plan_a);
    let run = with_life(run, "b", of_b, plan_b);
    // This one does not come back after a crash.
    let run = run.with_process(
        "c",
        |hand| life(hand, owner("c"), names(of_c), plan_c),
        |_| core::future::ready(()),
    );
    let run = with_life(run, "a2", of_a, plan_c);
    let run = with_taker(run, "d", "dabc", Taking::Any);
    let run = run.with(|hand| tenant(hand, owner("t"), names("d")));
    let run = run.with(|hand| echo(hand, owner("a"))).with(|hand| echo(hand, owner("t")));
    let run = run.with(|hand| collect(hand, Habit { list: List::Present, ..habit }));
    let run = run.with(|hand| collect(hand, habit));
    if moves { run.with(|hand| mover(hand, owner("b"))) } else { run }
}
