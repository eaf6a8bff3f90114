//! Every schedule of a run, or one at random.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::HashMap;
use std::sync::Arc;

use rand::Rng as _;
use rand::rngs::StdRng;

use super::hand::{Hand, Rule};
use super::world::{Answer, Next, World};

type Life = Pin<Box<dyn Future<Output = ()>>>;
type Restart = Box<dyn Fn(Hand) -> Life>;

/// A run: the world and those who live in it.
pub(super) struct Run {
    world: Arc<World>,
    actors: Vec<Actor>,
    budget: Budget,
}

/// How much can go wrong in a run.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Budget {
    pub(super) ticks: u32,
    pub(super) crashes: u32,
    pub(super) losses: u32,
    /// How many ticks an owner may be between two hosts.
    pub(super) move_ticks: u32,
}

struct Actor {
    life: Option<Life>,
    /// Whose process it is, and what takes its place after a crash. Without, it does not crash.
    process: Option<(String, Restart)>,
    hand: Hand,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice {
    Tick,
    Step(usize),
    /// The operation is carried out or not, and nobody is told.
    Lose(usize, Answer),
    Crash(usize),
}

impl Run {
    pub(super) fn new(budget: Budget) -> Self {
        Self { world: Arc::new(World::new()), actors: Vec::new(), budget }
    }

    /// Adds a life that cannot crash.
    pub(super) fn with<F>(self, life: impl FnOnce(Hand) -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        self.with_rule(Rule::Proof, life)
    }

    /// Adds a life whose releases are judged by a rule.
    pub(super) fn with_rule<F>(mut self, rule: Rule, life: impl FnOnce(Hand) -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let hand = self.hand(rule);
        let life: Life = Box::pin(life(hand.clone()));
        self.actors.push(Actor { life: Some(life), process: None, hand });
        self
    }

    /// Adds the life of an owner, and the one that follows when it crashes.
    pub(super) fn with_process<F, G>(
        mut self,
        uid: &str,
        life: impl FnOnce(Hand) -> F,
        restart: impl Fn(Hand) -> G + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + 'static,
        G: Future<Output = ()> + 'static,
    {
        let hand = self.hand(Rule::Proof);
        let life: Life = Box::pin(life(hand.clone()));
        let restart: Restart = Box::new(move |hand| Box::pin(restart(hand)));
        let process = Some((uid.to_owned(), restart));
        self.actors.push(Actor { life: Some(life), process, hand });
        self
    }

    pub(super) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    fn hand(&self, rule: Rule) -> Hand {
        let mut state = self.world.state();
        state.learnt.push(Vec::new());
        state.next.push((Next::Sure, ""));
        Hand { world: Arc::clone(&self.world), life: self.actors.len(), rule }
    }

    /// Brings every life to its first step.
    pub(super) fn begin(mut self) -> Self {
        (0..self.actors.len()).for_each(|at| self.poll(at));
        self
    }

    pub(super) fn choices(&self, choices: &mut Vec<Choice>) {
        choices.clear();
        let Budget { ticks, crashes, losses, move_ticks } = self.budget;
        for (at, actor) in self.actors.iter().enumerate() {
            if actor.life.is_none() {
                continue;
            }
            choices.push(Choice::Step(at));
            let (next, _) = self.world.state().next[at];
            if losses > 0 && next != Next::Sure {
                choices.push(Choice::Lose(at, Answer::LostBefore));
            }
            if losses > 0 && next == Next::Write {
                choices.push(Choice::Lose(at, Answer::LostAfter));
            }
            if crashes > 0 && actor.process.is_some() {
                choices.push(Choice::Crash(at));
            }
        }
        // Time that passes after everything has happened changes nothing.
        if ticks > 0 && !choices.is_empty() && self.world.may_tick(move_ticks) {
            choices.push(Choice::Tick);
        }
    }

    /// Goes one step on, and says what is wrong then.
    pub(super) fn step(&mut self, choice: Choice) -> Result<(), String> {
        self.apply(choice);
        self.world.check()
    }

    /// What is done next by the one that is chosen.
    fn label(&self, choice: Choice) -> &'static str {
        match choice {
            Choice::Tick => "",
            Choice::Step(at) | Choice::Lose(at, _) | Choice::Crash(at) => {
                self.world.state().next[at].1
            }
        }
    }

    fn apply(&mut self, choice: Choice) {
        match choice {
            Choice::Tick => {
                self.budget.ticks -= 1;
                self.world.state().now += 1;
            }
            Choice::Step(at) => self.poll(at),
            Choice::Lose(at, answer) => {
                self.budget.losses -= 1;
                self.world.state().answer = answer;
                self.poll(at);
            }
            Choice::Crash(at) => {
                self.budget.crashes -= 1;
                let actor = &mut self.actors[at];
                if let Some((uid, restart)) = &actor.process {
                    self.world.state().crash(at, uid);
                    actor.life = Some(restart(actor.hand.clone()));
                }
                self.poll(at);
            }
        }
    }

    fn poll(&mut self, at: usize) {
        let life = &mut self.actors[at].life;
        let polled = life.as_mut().map(|life| life.as_mut().poll(&mut context()));
        if polled == Some(Poll::Ready(())) {
            *life = None;
        }
    }

    fn fingerprint(&self) -> u64 {
        let lives = self.actors.iter().map(|actor| actor.life.is_some());
        super::world::hash(&(self.world.fingerprint(lives), self.budget))
    }
}

/// What an exploration came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Explored {
    /// How many different states there are.
    pub(super) states: usize,
    /// How many different schedules lead through them, from the beginning to an end.
    pub(super) schedules: u128,
}

/// A schedule that ends badly.
pub(super) struct Violation {
    pub(super) what: String,
    path: Vec<(Choice, &'static str)>,
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (choice, step) in &self.path {
            writeln!(f, "{choice:?} {step}")?;
        }
        f.write_str(&self.what)
    }
}

/// Which states are gone on from once only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Merging {
    Equal,
    None,
}

/// Goes through every schedule.
pub(super) fn explore(merging: Merging, setup: impl Fn() -> Run) -> Result<Explored, Violation> {
    let mut explorer = Explorer { setup, merging, seen: HashMap::new(), path: Vec::new() };
    let run = (explorer.setup)().begin();
    match explorer.visit(run) {
        Ok(schedules) => Ok(Explored { states: explorer.seen.len(), schedules }),
        Err(what) => Err(Violation { what, path: explorer.path }),
    }
}

struct Explorer<S> {
    setup: S,
    merging: Merging,
    /// How many schedules go on from the states that were visited.
    seen: HashMap<u64, u128>,
    path: Vec<(Choice, &'static str)>,
}

impl<S: Fn() -> Run> Explorer<S> {
    fn visit(&mut self, run: Run) -> Result<u128, String> {
        let fingerprint = run.fingerprint();
        if let (Some(schedules), Merging::Equal) = (self.seen.get(&fingerprint), self.merging) {
            return Ok(*schedules);
        }
        let mut choices = Vec::new();
        run.choices(&mut choices);
        let mut schedules = 0_u128;
        let mut here = Some(run);
        for choice in choices {
            let mut next = here.take().unwrap_or_else(|| self.replay());
            self.path.push((choice, next.label(choice)));
            next.step(choice)?;
            schedules = schedules.saturating_add(self.visit(next)?);
            self.path.pop();
        }
        if let Some(run) = here {
            run.world.settle()?;
            schedules = 1;
        }
        self.seen.insert(fingerprint, schedules);
        Ok(schedules)
    }

    /// Neither a future nor the store can be copied: the state is reached again.
    fn replay(&self) -> Run {
        let mut run = (self.setup)().begin();
        self.path.iter().for_each(|(choice, _)| run.apply(*choice));
        run
    }
}

/// Goes through one schedule, and says how many steps it had.
pub(super) fn stroll(mut run: Run, rng: &mut StdRng) -> Result<usize, Violation> {
    let (mut path, mut choices) = (Vec::new(), Vec::new());
    run = run.begin();
    let paces = Paces::new(run.actors.len(), rng);
    loop {
        run.choices(&mut choices);
        let ended = choices.is_empty();
        let outcome = if ended {
            run.world.settle()
        } else {
            let choice = paces.draw(&choices, rng);
            path.push((choice, run.label(choice)));
            run.step(choice)
        };
        match outcome {
            Err(what) => return Err(Violation { what, path }),
            Ok(()) if ended => return Ok(path.len()),
            Ok(()) => {}
        }
    }
}

/// How often each life goes on: some hurry and some hang, other ones each time.
struct Paces(Vec<u32>);

impl Paces {
    fn new(lives: usize, rng: &mut StdRng) -> Self {
        Self((0..lives).map(|_| 1 << (2 * (rng.next_u32() % 4))).collect())
    }

    fn draw(&self, choices: &[Choice], rng: &mut StdRng) -> Choice {
        loop {
            let at = rng.next_u64() % choices.len() as u64;
            let choice = choices[usize::try_from(at).unwrap()];
            // Accidents are rare, so that they are not all over at the beginning.
            let chance = match choice {
                Choice::Step(life) => self.0[life],
                Choice::Tick => 8,
                Choice::Lose(..) => 4,
                Choice::Crash(_) => 2,
            };
            if rng.next_u32() % 64 < chance {
                return choice;
            }
        }
    }
}

/// The outcome of a future that never waits.
pub(super) fn finished<F: Future>(future: F) -> F::Output {
    match core::pin::pin!(future).poll(&mut context()) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("a store in memory does not wait"),
    }
}

const fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
