//! Small worlds, completely.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use netid::{ClaimStore as _, Collector, LookError, Owner, SweepOutcome};

use super::explore::{Budget, Merging, Run, explore};
use super::hand::{Lost, owner};
use super::lives::{
    Habit, List, Order, Plan, TICK, Taking, collect, echo, hasty, life, life_again, mover, names,
    taker, tenant,
};

/// Debug builds let less happen in a world.
pub(super) const MORE: u32 = if cfg!(debug_assertions) { 0 } else { 1 };

/// Goes through every schedule. None may end badly, and there must be so many.
#[track_caller]
pub(super) fn safe(least: u128, setup: impl Fn() -> Run) {
    let began = std::time::Instant::now();
    match explore(Merging::Equal, setup) {
        Ok(explored) => {
            println!("{explored:?} in {:?}", began.elapsed());
            assert!(explored.schedules >= least, "{explored:?}");
        }
        Err(violation) => panic!("{violation:?}"),
    }
}

pub(super) fn with_life(run: Run, uid: &'static str, keys: &'static str, plan: Plan) -> Run {
    run.with_process(
        uid,
        move |hand| life(hand, owner(uid), names(keys), plan),
        move |hand| life_again(hand, owner(uid), names(keys), plan),
    )
}

pub(super) fn with_taker(run: Run, uid: &'static str, keys: &'static str, taking: Taking) -> Run {
    run.with_process(
        uid,
        move |hand| taker(hand, owner(uid), names(keys), taking),
        move |hand| taker(hand, owner(uid), names(keys), taking),
    )
}

/// States that are taken for equal are: leaving them out loses no schedule.
#[test]
fn nothing_is_left_out() {
    fn compare(setup: impl Fn() -> Run) {
        let merged = explore(Merging::Equal, &setup).unwrap();
        assert_eq!(explore(Merging::None, &setup).unwrap(), merged);
        println!("{merged:?}");
        assert!(merged.schedules > 5 * merged.states as u128, "{merged:?}");
    }
    let habit = Habit { absence: 0, looks: 1 + MORE, ..Habit::default() };
    let budget = Budget { ticks: 1, crashes: MORE, ..Budget::default() };
    let plan = Plan::default();
    compare(|| with_life(Run::new(budget), "a", "a", plan).with(|hand| collect(hand, habit)));
    let budget = Budget { losses: MORE, ..Budget::default() };
    compare(|| {
        let run = Run::new(budget).with(|hand| tenant(hand, owner("a"), names("a")));
        with_taker(run, "b", "ab", Taking::Any)
    });
}

#[test]
fn an_owner_that_crashes_anywhere() {
    let budget = Budget { ticks: 2 + 2 * MORE, crashes: 1 + MORE, ..Budget::default() };
    let habit = Habit { absence: MORE, ..Habit::default() };
    safe(100_000, || {
        with_life(Run::new(budget), "a", if MORE == 0 { "a" } else { "ab" }, Plan::default())
            .with(|hand| collect(hand, habit))
    });
}

#[test]
fn a_slow_creation_that_renews() {
    let budget = Budget { ticks: 2 + 2 * MORE, crashes: MORE, ..Budget::default() };
    safe(50_000, || {
        with_life(Run::new(budget), "a", "a", Plan { renewals: 1 + MORE })
            .with(|hand| collect(hand, Habit::default()))
    });
}

#[test]
fn two_owners_that_want_the_same() {
    let budget = Budget { ticks: 1 + 2 * MORE, crashes: MORE, ..Budget::default() };
    let habit = Habit { absence: MORE, looks: 1 + MORE, ..Habit::default() };
    safe(100_000, || {
        let run = with_life(Run::new(budget), "a", "ab", Plan::default());
        with_life(run, "b", "bc", Plan::default()).with(|hand| collect(hand, habit))
    });
}

#[test]
fn three_owners_of_four_keys() {
    let budget = Budget { ticks: MORE, ..Budget::default() };
    let habit = Habit { absence: 0, looks: 2 * MORE, ..Habit::default() };
    safe(10_000, || {
        let run = with_life(Run::new(budget), "a", "ab", Plan::default());
        let run = with_life(run, "b", "bc", Plan::default());
        with_life(run, "c", "cd", Plan::default()).with(|hand| collect(hand, habit))
    });
}

/// The second machine has the first one's name, and wants its keys.
#[test]
fn a_name_used_again_and_a_release_that_comes_twice() {
    let budget = Budget { ticks: 1 + MORE, crashes: MORE, ..Budget::default() };
    let habit = Habit { absence: 0, looks: 2 * MORE, ..Habit::default() };
    safe(5_000, || {
        let run = with_life(Run::new(budget), "a", "a", Plan::default());
        let run = run.with(|hand| echo(hand, owner("a")));
        with_life(run, "a2", "a", Plan::default()).with(|hand| collect(hand, habit))
    });
}

#[test]
fn a_key_held_twice_and_a_release_that_comes_twice() {
    let budget = Budget { ticks: 1 + MORE, losses: 1, ..Budget::default() };
    safe(1_000, || {
        let run = Run::new(budget).with(|hand| tenant(hand, owner("a"), names("a")));
        let run = run.with(|hand| echo(hand, owner("a")));
        if MORE == 0 { run } else { with_life(run, "b", "a", Plan::default()) }
    });
}

#[test]
fn an_owner_that_moves() {
    let budget = Budget { ticks: 2 + MORE, move_ticks: 1, ..Budget::default() };
    let habit = Habit { absence: 2, looks: 2 + MORE, ..Habit::default() };
    safe(100_000, || {
        let run = with_life(Run::new(budget), "a", "a", Plan::default());
        run.with(|hand| mover(hand, owner("a"))).with(|hand| collect(hand, habit))
    });
}

/// The list is older than the claims; the question is not.
#[test]
fn a_list_that_is_old() {
    let budget = Budget { ticks: 2 + MORE, crashes: MORE, ..Budget::default() };
    let habit = Habit { list: List::Early, absence: 0, ..Habit::default() };
    safe(100_000, || {
        with_life(Run::new(budget), "a", "a", Plan::default()).with(|hand| collect(hand, habit))
    });
}

#[test]
fn one_look_in_the_right_order() {
    let budget = Budget { ticks: 2 + MORE, crashes: MORE, ..Budget::default() };
    safe(100, || {
        let run = with_life(Run::new(budget), "a", "a", Plan::default());
        run.with(|hand| hasty(hand, Order::ClaimsFirst))
    });
}

#[test]
fn two_collectors_side_by_side() {
    let budget = Budget { ticks: 1 + MORE, crashes: MORE, ..Budget::default() };
    let habit = Habit { absence: 0, ..Habit::default() };
    safe(1_000, || {
        let run = with_life(Run::new(budget), "a", "a", Plan::default());
        let other = Habit { looks: 1 + MORE, ..habit };
        run.with(|hand| collect(hand, habit)).with(|hand| collect(hand, other))
    });
}

#[test]
fn answers_that_get_lost() {
    let budget = Budget { ticks: 1 + 2 * MORE, losses: 1 + MORE, ..Budget::default() };
    let habit = Habit { absence: MORE, ..Habit::default() };
    safe(10_000, || {
        with_life(Run::new(budget), "a", "a", Plan { renewals: MORE })
            .with(move |hand| collect(hand, habit))
    });
}

/// Each way in which an answer can be missing is told, and what is due stays due.
#[test]
fn a_collector_says_which_answer_is_missing() {
    let told = Arc::new(Mutex::new(BTreeSet::new()));
    let budget = Budget { losses: 1, ..Budget::default() };
    safe(1, || {
        let told = Arc::clone(&told);
        Run::new(budget).with(|hand| async move {
            let tell = |what| _ = told.lock().unwrap().insert(what);
            hand.world.store.claim(&owner("a"), &names("a"), TICK).await.unwrap();
            let mut collector = Collector::new("vm").with_pending_grace(TICK).with_absence(TICK);
            let mut ticks = 2;
            while ticks < 5 {
                match collector
                    .look(&hand, async || hand.list_owners().await, || TICK * ticks)
                    .await
                {
                    Ok(_) => {}
                    Err(LookError::Store(Lost)) => tell("look: store"),
                    Err(LookError::Owners(Lost)) => tell("look: owners"),
                    Err(other) => panic!("{other}"),
                }
                ticks += 1;
            }
            for retry in [false, true] {
                let ask = async |owner: Owner| hand.ask(&owner).await;
                let swept = collector.sweep(&hand, ask, |_| TICK, TICK * ticks).await;
                match swept.into_iter().next().map(|swept| swept.outcome) {
                    Some(SweepOutcome::Store(Lost)) => tell("sweep: store"),
                    Some(SweepOutcome::Unknown(Lost)) => tell("sweep: unknown"),
                    Some(SweepOutcome::Changed) if retry => tell("retry: nothing left"),
                    Some(SweepOutcome::Released(_)) if retry => tell("retry: released"),
                    Some(SweepOutcome::Released(_)) => tell("released"),
                    None if retry => {}
                    other => panic!("{other:?}"),
                }
            }
        })
    });
    let expected = [
        "look: owners",
        "look: store",
        "released",
        "retry: nothing left",
        "retry: released",
        "sweep: store",
        "sweep: unknown",
    ];
    assert!(told.lock().unwrap().iter().eq(&expected), "{told:?}");
}

#[test]
fn one_of_many_keys_and_answers_that_get_lost() {
    let budget = Budget { ticks: 1, losses: 2 + MORE, crashes: MORE, ..Budget::default() };
    safe(10_000, || {
        let run = with_taker(Run::new(budget), "a", "abc", Taking::Any);
        with_taker(run, "b", "acb", Taking::Any)
    });
}

#[test]
fn three_owners_that_take_one_of_two_keys() {
    let budget = Budget { losses: 1, crashes: MORE, ..Budget::default() };
    safe(10_000, || {
        let run = with_taker(Run::new(budget), "a", "ab", Taking::Any);
        let run = with_taker(run, "b", "ab", Taking::Any);
        with_taker(run, "c", "ba", Taking::Any)
    });
}
