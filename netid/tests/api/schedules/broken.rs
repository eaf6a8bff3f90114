//! The same worlds with one thing wrong: the search finds what comes of it.

use super::explore::{Budget, Merging, Run, explore};
use super::hand::{Rule, owner};
use super::lives::{
    Clock, Habit, List, Order, Plan, Question, Taking, collect, echo, hasty, mover, names, tenant,
};
use super::small::{MORE, safe, with_life, with_taker};

/// Some schedule ends badly, in this way.
#[track_caller]
fn unsafe_because(words: &str, setup: impl Fn() -> Run) {
    match explore(Merging::Equal, setup) {
        Ok(explored) => panic!("nothing found in {explored:?}"),
        Err(violation) => assert!(violation.what.contains(words), "{violation:?}"),
    }
}

const TICKS: Budget = Budget { ticks: 3, crashes: 0, losses: 0, move_ticks: 1 };

#[test]
fn without_the_grace_of_pending_claims() {
    let habit = Habit { pending_grace: 0, ..Habit::default() };
    unsafe_because("a lost name/a", || {
        with_life(Run::new(TICKS), "a", "a", Plan::default()).with(|hand| collect(hand, habit))
    });
}

#[test]
fn with_a_grace_that_is_shorter_than_the_creation_thinks() {
    let habit = Habit { pending_grace: 1, absence: 0, ..Habit::default() };
    unsafe_because("a lost name/a", || {
        with_life(Run::new(TICKS), "a", "a", Plan::default()).with(|hand| collect(hand, habit))
    });
}

#[test]
fn without_the_time_between_two_looks() {
    let habit = Habit { absence: 0, ..Habit::default() };
    unsafe_because("a lost name/a", || {
        with_life(Run::new(TICKS), "a", "a", Plan::default())
            .with(|hand| mover(hand, owner("a")))
            .with(|hand| collect(hand, habit))
    });
}

#[test]
fn with_the_time_between_two_looks_taken_from_their_beginnings() {
    let habit = Habit { absence: 2, clock: Clock::Stopped, ..Habit::default() };
    unsafe_because("a lost name/a", || {
        with_life(Run::new(TICKS), "a", "a", Plan::default())
            .with(|hand| mover(hand, owner("a")))
            .with(|hand| collect(hand, habit))
    });
}

#[test]
fn with_owners_listed_before_claims() {
    unsafe_because("a lost name/a", || {
        with_life(Run::new(TICKS), "a", "a", Plan::default())
            .with(|hand| hasty(hand, Order::OwnersFirst))
    });
}

#[test]
fn with_an_old_list_and_no_question() {
    let habit =
        Habit { list: List::Early, question: Question::Skipped, absence: 0, ..Habit::default() };
    unsafe_because("a lost name/a", || {
        with_life(Run::new(TICKS), "a", "a", Plan::default()).with(|hand| collect(hand, habit))
    });
}

#[test]
fn with_a_release_that_goes_by_the_owner_alone() {
    unsafe_because("a lost name/a", || {
        Run::new(TICKS)
            .with(|hand| tenant(hand, owner("a"), names("a")))
            .with_rule(Rule::AnyGeneration, |hand| echo(hand, owner("a")))
    });
}

#[test]
fn with_a_release_that_goes_by_the_key_alone() {
    unsafe_because("a2 lost name/a", || {
        let run = with_life(Run::new(TICKS), "a", "a", Plan::default());
        let run = run.with_rule(Rule::AnyOwner, |hand| echo(hand, owner("a")));
        with_life(run, "a2", "a", Plan::default())
    });
}

#[test]
fn with_another_key_drawn_after_an_answer_was_lost() {
    let budget = Budget { losses: 1, ..Budget::default() };
    unsafe_because("a holds", || with_taker(Run::new(budget), "a", "ab", Taking::OneByOne));
}

/// Its owner enters the inventory, and its claims are bound, between the question and the release.
#[test]
fn with_a_release_that_does_not_notice_a_binding() {
    unsafe_because("a lost name/a", || {
        with_life(Run::new(TICKS), "a", "a", Plan::default())
            .with_rule(Rule::NotTheState, |hand| collect(hand, Habit::default()))
    });
}

/// A renewal arrives after the second look, its sender crashes, and its successor takes it for timely.
#[test]
fn with_a_release_that_does_not_notice_a_renewal() {
    let budget = Budget { ticks: 2, crashes: 1, losses: 1, ..Budget::default() };
    let habit = Habit { absence: 0, ..Habit::default() };
    unsafe_because("a lost name/a", || {
        with_life(Run::new(budget), "a", "a", Plan { renewals: 1 })
            .with_rule(Rule::NotTheState, |hand| collect(hand, habit))
    });
}

/// Neither does harm where a release notices every change, however late a creation is and however short the absence.
#[test]
fn except_where_a_release_notices_every_change() {
    let budget = Budget { ticks: 3 + MORE, crashes: MORE, ..Budget::default() };
    safe(10_000, || {
        with_life(Run::new(budget), "a", "a", Plan::default())
            .with(|hand| collect(hand, Habit::default()))
    });
    let budget = Budget { ticks: 2, crashes: MORE, losses: MORE, ..Budget::default() };
    let habit = Habit { absence: 0, ..Habit::default() };
    safe(1_000, || {
        with_life(Run::new(budget), "a", "a", Plan { renewals: MORE })
            .with(|hand| collect(hand, habit))
    });
}
