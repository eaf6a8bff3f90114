//! Views of what is vacant: compared with a naive one, and looked at for chance.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use netid::{KeyRange, Vacancies};
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_oneof, proptest};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const START: Duration = Duration::ZERO;

fn range(min: u32, max: u32) -> KeyRange {
    KeyRange::numbers("number", min, max).unwrap()
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Hold(u32),
    Cool(u32, u64),
    Vacate(u32),
    /// So many seconds after the step before.
    Pick(u64),
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Held,
    Cooling(Duration),
    SetAside,
}

/// A view, and the same in a map: what is not in it is vacant.
struct World {
    view: Vacancies,
    model: BTreeMap<u32, State>,
    all: BTreeSet<u32>,
    now: Duration,
    rng: StdRng,
}

impl World {
    fn new(min: u32, max: u32) -> Self {
        Self {
            view: Vacancies::new(range(min, max)),
            model: BTreeMap::new(),
            all: (min..=max).collect(),
            now: START,
            rng: StdRng::seed_from_u64(u64::from(max)),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Hold(number) => {
                let news = self.becomes(number, Some(State::Held));
                assert_eq!(self.view.hold(number), news, "{step:?}");
            }
            Step::Cool(number, after) => {
                let until = self.now + secs(after);
                let news = self.becomes(number, Some(State::Cooling(until)));
                assert_eq!(self.view.cool(number, until), news, "{step:?}");
            }
            Step::Vacate(number) => {
                let news = self.becomes(number, None);
                assert_eq!(self.view.vacate(number), news, "{step:?}");
            }
            Step::Pick(after) => {
                self.now += secs(after);
                let now = self.now;
                self.model.retain(|_, state| !matches!(state, State::Cooling(at) if *at <= now));
                let picked = self.view.pick(&mut self.rng, now);
                let vacant = self.all.iter().filter(|number| !self.model.contains_key(number));
                assert_eq!(picked.is_none(), vacant.count() == 0);
                if let Some(number) = picked {
                    assert!(self.all.contains(&number), "{number} is foreign");
                    let before = self.model.insert(number, State::SetAside);
                    assert_eq!(before, None, "{number} was not vacant");
                }
            }
            Step::Clear => {
                self.view.clear();
                self.model.retain(|_, state| *state == State::SetAside);
            }
        }
        let count = |is: fn(&State) -> bool| {
            u64::try_from(self.model.values().filter(|state| is(state)).count()).unwrap()
        };
        let Self { view, .. } = self;
        assert_eq!(view.held(), count(|state| *state == State::Held), "{step:?}");
        assert_eq!(view.cooling(), count(|state| matches!(state, State::Cooling(_))), "{step:?}");
        assert_eq!(view.set_aside(), count(|state| *state == State::SetAside), "{step:?}");
        assert_eq!(view.capacity(), self.all.len() as u64);
        assert_eq!(
            view.held() + view.cooling() + view.set_aside() + view.vacant(),
            view.capacity(),
            "{step:?}"
        );
    }

    /// Changes the model, and says whether that was a change.
    fn becomes(&mut self, number: u32, state: Option<State>) -> bool {
        if !self.all.contains(&number) {
            return false;
        }
        let before = match state {
            Some(state) => self.model.insert(number, state),
            None => self.model.remove(&number),
        };
        before != state
    }

    /// Picks whatever is left: exactly what is vacant, each once.
    fn exhaust(mut self) {
        // The first finds what has become vacant by now, the last finds nothing.
        self.step(Step::Pick(0));
        for _ in 0..=self.view.vacant() {
            self.step(Step::Pick(0));
        }
        assert_eq!(self.view.vacant(), 0);
    }
}

/// The numbers of small ranges begin with this one.
const FIRST: u32 = 3;

/// Runs the sequence and every longer one, up to so many steps, on a range of so many numbers.
///
/// Numbers that were not named yet are alike, so only the lowest of them is named next.
fn every_sequence(numbers: u32, length: usize, sequence: &mut Vec<Step>, named: u32) -> usize {
    let mut world = World::new(FIRST, FIRST + numbers - 1);
    for step in &*sequence {
        world.step(*step);
    }
    world.exhaust();
    let mut count = 1;
    if sequence.len() == length {
        return count;
    }
    let mut go_on = |step, named| {
        sequence.push(step);
        count += every_sequence(numbers, length, sequence, named);
        sequence.pop();
    };
    for step in [Step::Clear, Step::Pick(0), Step::Pick(1)] {
        go_on(step, named);
    }
    for index in 0..numbers.min(named + 1) {
        let number = FIRST + index;
        for step in
            [Step::Hold(number), Step::Vacate(number), Step::Cool(number, 0), Step::Cool(number, 1)]
        {
            go_on(step, named.max(index + 1));
        }
    }
    count
}

/// Debug builds go one step less far.
#[test]
fn small_ranges_in_every_sequence() {
    let length = if cfg!(debug_assertions) { 4 } else { 5 };
    for numbers in 1..=8 {
        let count = every_sequence(numbers, length, &mut Vec::new(), 0);
        assert!(count > 7_usize.pow(4), "{count} sequences");
    }
}

fn step(min: u32, max: u32) -> impl Strategy<Value = Step> {
    // Now and then a number that is just outside.
    let number = min.saturating_sub(1)..=max.saturating_add(1);
    prop_oneof![
        60 => number.clone().prop_map(Step::Hold),
        20 => (number.clone(), 0_u64..9).prop_map(|(number, after)| Step::Cool(number, after)),
        20 => number.prop_map(Step::Vacate),
        60 => (0_u64..2).prop_map(Step::Pick),
        1 => prop::strategy::Just(Step::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 1000 }))]

    #[test]
    fn long_random_sequences(
        (min, max, steps) in prop_oneof![
            prop::strategy::Just((7, 20)),
            prop::strategy::Just((u32::MAX - 69, u32::MAX)),
            prop::strategy::Just((0, 4_200)),
        ]
        .prop_flat_map(|(min, max)| {
            let steps = prop::collection::vec(step(min, max), 1..200);
            (prop::strategy::Just(min), prop::strategy::Just(max), steps)
        }),
    ) {
        let mut world = World::new(min, max);
        for step in steps {
            world.step(step);
        }
    }
}

/// How far counts are from equal ones: the chi-square statistic.
fn chi_square(counts: &BTreeMap<u32, u32>) -> f64 {
    let kinds = u32::try_from(counts.len()).unwrap();
    let expected = f64::from(counts.values().sum::<u32>()) / f64::from(kinds);
    counts.values().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

/// Every vacant number comes as often as the others: at the ends of the range, behind a block in which
/// all are held, alone or among many.
#[test]
fn picks_are_uniform_among_the_vacant() {
    const EACH: u32 = 400;
    let mut view = Vacancies::new(range(100, 100 + 3 * 4_096));
    let vacant: Vec<u32> = (100..=104)
        .chain([4_195])
        .chain(8_292..=8_340)
        .chain((9_000..12_000).step_by(60))
        .chain([100 + 3 * 4_096])
        .collect();
    for number in 100..=100 + 3 * 4_096 {
        if !vacant.contains(&number) {
            view.hold(number);
        }
    }
    let mut rng = StdRng::seed_from_u64(42);
    let mut counts: BTreeMap<u32, u32> = vacant.iter().map(|&number| (number, 0)).collect();
    for _ in 0..vacant.len() * EACH as usize {
        let number = view.pick(&mut rng, START).unwrap();
        *counts.get_mut(&number).unwrap() += 1;
        view.vacate(number);
    }
    // With 105 degrees of freedom the mean is 105 and the standard deviation 14.5; four of these.
    assert_eq!(vacant.len(), 106);
    let distance = chi_square(&counts);
    assert!((47.0..163.0).contains(&distance), "{distance}: {counts:?}");
}

/// Each order in which four numbers can be picked comes as often as the others.
#[test]
fn picks_are_uniform_among_the_orders() {
    let mut rng = StdRng::seed_from_u64(43);
    let mut counts = BTreeMap::new();
    for _ in 0..24 * 400 {
        let mut view = Vacancies::new(range(0, 3));
        let order = (0..4).fold(0, |order, _| 10 * order + view.pick(&mut rng, START).unwrap());
        *counts.entry(order).or_insert(0) += 1;
    }
    // 23 degrees of freedom: 23 and 6.8, four of these.
    assert_eq!(counts.len(), 24);
    let distance = chi_square(&counts);
    assert!((2.0..50.2).contains(&distance), "{distance}: {counts:?}");
}

/// Debug builds look in a range of 16 bits, release builds among all VNIs.
#[test]
fn the_last_vacant_number_is_found() {
    let max = if cfg!(debug_assertions) { 0xffff } else { 0xff_ffff };
    for last in [0, 4_095, 4_096, max / 2, max] {
        let mut view = Vacancies::new(range(0, max));
        for number in (0..=max).filter(|&number| number != last) {
            view.hold(number);
        }
        let mut rng = StdRng::seed_from_u64(last.into());
        assert_eq!((view.held(), view.vacant()), (max.into(), 1));
        assert_eq!(view.pick(&mut rng, START), Some(last));
        assert_eq!(view.pick(&mut rng, START), None);
        assert!(view.vacate(last));
        assert_eq!(view.pick(&mut rng, START), Some(last));
    }
}

#[test]
fn those_who_share_a_view_never_get_the_same() {
    let mut view = Vacancies::new(range(0, 9_999));
    let mut rng = StdRng::seed_from_u64(1);
    let picked: BTreeSet<u32> = (0..10_000).map(|_| view.pick(&mut rng, START).unwrap()).collect();
    assert_eq!(picked.len(), 10_000);
    assert_eq!((view.set_aside(), view.vacant()), (10_000, 0));
    assert_eq!(view.pick(&mut rng, START), None);
    // Being told anew does not put back what somebody is about to claim.
    view.clear();
    assert_eq!((view.set_aside(), view.vacant()), (10_000, 0));
    assert!(view.vacate(77));
    assert_eq!(view.pick(&mut rng, START), Some(77));
}

#[test]
fn deadlines_pass_in_the_order_of_time() {
    let mut view = Vacancies::new(range(0, 2));
    let mut rng = StdRng::seed_from_u64(1);
    for (number, until) in [(0, 30), (1, 10), (2, 20)] {
        assert!(view.cool(number, secs(until)));
        assert!(!view.cool(number, secs(until)), "told before");
    }
    // A new deadline replaces the one before.
    assert!(view.cool(1, secs(40)));
    assert_eq!(view.pick(&mut rng, Duration::from_millis(19_999)), None);
    assert_eq!(view.pick(&mut rng, secs(20)), Some(2));
    assert_eq!((view.cooling(), view.set_aside()), (2, 1));
    // The clock may go back; what is vacant stays so.
    assert!(view.vacate(2));
    assert_eq!(view.pick(&mut rng, START), Some(2));
    assert!(view.cool(2, Duration::MAX));
    assert_eq!(view.pick(&mut rng, secs(30)), Some(0));
    assert_eq!(view.pick(&mut rng, secs(40)), Some(1));
    assert_eq!((view.cooling(), view.set_aside(), view.vacant()), (1, 2, 0));
}

#[test]
fn all_numbers_of_32_bits_are_one_range() {
    let mut view = Vacancies::new(range(0, u32::MAX));
    assert_eq!((view.capacity(), view.vacant()), (1 << 32, 1 << 32));
    for number in [0, u32::MAX] {
        assert!(view.hold(number));
    }
    let mut rng = StdRng::seed_from_u64(1);
    let picked: Vec<u32> = (0..1_000).map(|_| view.pick(&mut rng, START).unwrap()).collect();
    let high = picked.iter().filter(|&&number| number >= 1 << 31).count();
    assert!((400..600).contains(&high), "{high} of 1,000 in the upper half");
    assert_eq!(view.vacant(), (1 << 32) - 1_002);
    assert_eq!(
        format!("{view:?}"),
        "Vacancies { range: KeyRange(number/0000000000..=4294967295), held: 2, cooling: 0, \
         set_aside: 1000, vacant: 4294966294, .. }"
    );
}
