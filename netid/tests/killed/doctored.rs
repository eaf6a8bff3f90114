//! Histories that are right and wrong, to show that the check tells them apart.

use libtest_mimic::Trial;

use crate::history::{Held, State, check};

/// What makes a right history a wrong one.
type Doctor = fn(&mut State, &mut String);

/// A history that is right, and each way to be wrong: all of them are found.
pub(crate) fn trials() -> Vec<Trial> {
    let before = || state(&[(1, "old", 3, true), (2, "old", 3, true)], &[(9, 5)], 4);
    let report = "C a 3,4\nc a 5\nB a\nb a\nR old 1 0\nr old 1\nC b 1,5\nc b 6\nC c 7,8\n\
                  C d 2\nx d\nR a 3 6\nr a 3\nR b 1,5 6\nC e 10\nc e 8\n";
    // The last release was done or not, and so was the claim of `c`.
    let right = || {
        state(
            &[(2, "old", 3, true), (4, "a", 5, true), (10, "e", 8, false)],
            &[(3, 6), (1, 6), (5, 6)],
            0,
        )
    };
    let also_right = move || {
        let mut state = right();
        for (key, owner, generation) in [(1, "b", 6), (5, "b", 6), (7, "c", 7), (8, "c", 7)] {
            state.cooling.remove(&key);
            state.held.insert(key, Held { owner: owner.into(), generation, bound: false });
        }
        state
    };
    let wrong: [(&str, Doctor, &str); 18] = [
        ("lost", |s, _| drop(s.held.remove(&4)), "a claim is lost"),
        ("lost_old", |s, _| drop(s.held.remove(&2)), "a claim is lost"),
        ("half_claimed", |s, _| drop(s.held.remove(&7)), "claimed half a batch"),
        ("half_released", |s, _| drop(s.held.remove(&5)), "half of a release"),
        ("released_is_held", |s, _| hold(s, 3, "a", 5, true), "a released key is held"),
        ("refused_holds", |s, _| hold(s, 2, "d", 9, false), "was refused and holds"),
        ("not_claimed", |s, _| hold(s, 20, "a", 5, true), "holds what it did not claim"),
        ("other_generation", |s, _| hold(s, 4, "a", 7, true), "several generations"),
        (
            "used_generation",
            |s, _| {
                for key in [7, 8] {
                    hold(s, key, "c", 4, false);
                }
            },
            "used before",
        ),
        (
            "same_generation",
            |s, _| {
                for key in [7, 8] {
                    hold(s, key, "c", 6, false);
                }
            },
            "has the generation of",
        ),
        ("not_bound", |s, _| hold(s, 4, "a", 5, false), "is bound otherwise"),
        (
            "half_bound",
            |s, r| {
                r.push_str("B b\n");
                hold(s, 1, "b", 6, true);
            },
            "is bound otherwise",
        ),
        ("bound_by_itself", |s, _| hold(s, 10, "e", 8, true), "is bound otherwise"),
        ("rest_is_lost", |s, _| assert!(s.cooling.remove(&3).is_some()), "does not rest"),
        ("rest_is_shorter", |s, _| assert!(s.cooling.insert(3, 5).is_some()), "does not rest"),
        ("rests_for_nothing", |s, _| assert!(s.cooling.insert(30, 6).is_none()), "why 30 rests"),
        ("unknown_owner", |s, _| hold(s, 30, "z", 9, false), "nobody knows the owner"),
        ("two_holders", |_, r| r.push_str("C f 4\nc f 9\nR f 4 0\nr f 4\n"), "4 of 9 was held by"),
    ];
    let mut trials = vec![Trial::test("check::accepts_what_is_right", move || {
        for after in [right(), also_right()] {
            assert_eq!(check(&before(), report, after, 5)?.last, 8);
        }
        Ok(())
    })];
    trials.extend(wrong.map(|(name, doctor, expected)| {
        Trial::test(format!("check::finds_{name}"), move || {
            let (mut after, mut report) = (also_right(), report.to_owned());
            doctor(&mut after, &mut report);
            match check(&before(), &report, after, 5) {
                Err(fault) if fault.contains(expected) => Ok(()),
                other => Err(format!("{other:?}").into()),
            }
        })
    }));
    trials
}

fn hold(state: &mut State, key: u16, owner: &str, generation: u64, bound: bool) {
    state.held.insert(key, Held { owner: owner.into(), generation, bound });
}

fn state(held: &[(u16, &str, u64, bool)], cooling: &[(u16, u64)], last: u64) -> State {
    let held = held.iter().map(|&(key, owner, generation, bound)| {
        (key, Held { owner: owner.into(), generation, bound })
    });
    State { held: held.collect(), cooling: cooling.iter().copied().collect(), last }
}
