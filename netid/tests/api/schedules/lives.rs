//! The lives of owners and collectors, each as its documentation asks for, and some that do not care.

use core::num::NonZeroUsize;
use core::time::Duration;

use netid::{
    BindError, Claim, ClaimError, ClaimKey, ClaimState, ClaimStore as _, Collector, Liveness,
    Owner, SweepOutcome, claim_any, claim_with,
};

use super::hand::{Hand, Lost};
use super::world::{GRACE, Token, claim_tokens, hash, until};

pub(super) const TICK: Duration = Duration::from_secs(1);

pub(super) fn name(name: &str) -> ClaimKey {
    ClaimKey::name(name).unwrap()
}

pub(super) fn names(names: &str) -> Vec<ClaimKey> {
    names.chars().map(|letter| name(&letter.to_string())).collect()
}

const fn a_tick(_: &ClaimKey) -> Duration {
    TICK
}

/// How an owner is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    pub(super) renewals: u32,
}

/// Claims, makes the owner, binds, lives, removes the owner, releases.
pub(super) async fn life(hand: Hand, owner: Owner, keys: Vec<ClaimKey>, plan: Plan) {
    hand.pause().await;
    if let Some(claims) = obtain(&hand, &owner, &keys).await {
        go_on(&hand, &owner, &keys, plan, claims).await;
    }
}

/// The same after a crash, of which nothing is known but what the store and the inventory know.
pub(super) async fn life_again(hand: Hand, owner: Owner, keys: Vec<ClaimKey>, plan: Plan) {
    if hand.was_removed(&owner).await {
        return release_all(&hand, &owner).await;
    }
    match obtain(&hand, &owner, &keys).await {
        Some(claims) => go_on(&hand, &owner, &keys, plan, claims).await,
        None => hand.remove(&owner).await,
    }
}

async fn go_on(hand: &Hand, owner: &Owner, keys: &[ClaimKey], plan: Plan, mut claims: Vec<Claim>) {
    for left in (1..=plan.renewals).rev() {
        hand.sum_up(10 + left, &claims);
        match renew(hand, owner, keys, claims).await {
            Some(renewed) => claims = renewed,
            None => return hand.remove(owner).await,
        }
    }
    hand.sum_up(1, &claims);
    hand.record(owner).await;
    hand.sum_up(2, &claims);
    if bind(hand, &claims).await {
        hand.sum_up(5, &claims);
        hand.pause().await;
    }
    hand.sum_up(3, &claims);
    hand.remove(owner).await;
    hand.world.state().copy(owner.uid(), &claims);
    hand.sum_up(4, &claims);
    release(hand, &claims).await;
}

/// Claims for an owner that is not made yet, or made already and in need of what it holds.
async fn obtain(hand: &Hand, owner: &Owner, keys: &[ClaimKey]) -> Option<Vec<Claim>> {
    loop {
        let now = hand.clock();
        match hand.claim(owner, keys, now).await {
            Ok(claims) => {
                hand.world.state().believe(&claims);
                return Some(claims);
            }
            Err(ClaimError::Taken(_)) => return None,
            Err(ClaimError::Unknown(Lost)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

async fn renew(
    hand: &Hand,
    owner: &Owner,
    keys: &[ClaimKey],
    claims: Vec<Claim>,
) -> Option<Vec<Claim>> {
    loop {
        let now = hand.clock();
        match hand.renew(&claims, now).await {
            Ok(renewed) => {
                hand.world.state().believe(&renewed);
                return Some(renewed);
            }
            Err(BindError::Store(Lost)) => {}
            Err(_) => {
                hand.world.state().doubt(&claims);
                release(hand, &claims).await;
                return obtain(hand, owner, keys).await;
            }
        }
    }
}

/// Binds, and says whether the owner may live.
async fn bind(hand: &Hand, claims: &[Claim]) -> bool {
    loop {
        match hand.bind(claims).await {
            Ok(()) => {
                hand.world.state().confirm(claims);
                return true;
            }
            Err(BindError::Store(Lost)) => {}
            Err(_) => {
                hand.world.state().doubt(claims);
                return false;
            }
        }
    }
}

async fn release(hand: &Hand, claims: &[Claim]) {
    let now = hand.clock();
    while hand.release(claims, a_tick, now).await.is_err() {}
}

async fn release_all(hand: &Hand, owner: &Owner) {
    let now = hand.clock();
    while hand.release_all(owner, a_tick, now).await.is_err() {}
}

/// Releases once more what an owner has released, whenever that is.
pub(super) async fn echo(hand: Hand, owner: Owner) {
    hand.world.state().wanted.insert(owner.uid().to_owned());
    hand.pause().await;
    let copy = hand.world.state().copies.get(owner.uid()).cloned().unwrap_or_default();
    hand.learn(copy.iter().flat_map(claim_tokens));
    if !copy.is_empty() {
        let now = hand.clock();
        drop(hand.release(&copy, |_| Duration::ZERO, now).await);
    }
}

/// An owner that exists all the time and holds a key twice, one time after the other.
pub(super) async fn tenant(hand: Hand, owner: Owner, keys: Vec<ClaimKey>) {
    hand.record(&owner).await;
    for turn in 0..2 {
        let Some(claims) = obtain(&hand, &owner, &keys).await else { break };
        if bind(&hand, &claims).await {
            hand.pause().await;
        }
        hand.world.state().doubt(&claims);
        hand.world.state().copy(owner.uid(), &claims);
        hand.sum_up(20 + turn, &claims);
        release(&hand, &claims).await;
        hand.sum_up(30 + turn, &[]);
    }
    hand.remove(&owner).await;
}

/// An owner that moves to another host, and is nowhere in between.
pub(super) async fn mover(hand: Hand, owner: Owner) {
    hand.leave(&owner).await;
    hand.arrive(&owner).await;
}

/// How one of many keys is claimed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Taking {
    Any,
    /// By batches of one key: an owner whose answer was lost and who then draws another key has two.
    OneByOne,
}

/// An owner that takes one of many keys, and repeats whatever was not answered from wherever it begins.
pub(super) async fn taker(hand: Hand, owner: Owner, keys: Vec<ClaimKey>, taking: Taking) {
    hand.world.state().single.insert(owner.uid().to_owned());
    let mut rounds = keys.iter().cloned().cycle();
    let claim = loop {
        let now = hand.clock();
        let mut left = keys.iter().skip(1);
        let first = rounds.next().unwrap();
        let next = |_: &_| left.next().map(|_| rounds.next().unwrap());
        let claimed = match taking {
            Taking::Any => claim_any(&hand, &owner, "name/", first, now, next).await,
            Taking::OneByOne => {
                let mut next = next;
                let next = |taken: &_| next(taken).map(|key| vec![key]);
                let claimed = claim_with(&hand, &owner, vec![first], now, next).await;
                claimed.map(|mut claims| claims.remove(0))
            }
        };
        match claimed.map_err(|error| error.source) {
            Ok(claim) => break [claim],
            Err(ClaimError::Taken(_)) => return,
            Err(_) => {}
        }
    };
    hand.world.state().believe(&claim);
    hand.record(&owner).await;
    if bind(&hand, &claim).await {
        return;
    }
    hand.remove(&owner).await;
    release(&hand, &claim).await;
}

/// How a collector works.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habit {
    pub(super) looks: u32,
    pub(super) pending_grace: u32,
    pub(super) absence: u32,
    pub(super) list: List,
    pub(super) question: Question,
    pub(super) clock: Clock,
}

/// From where the owners are listed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum List {
    Present,
    /// From a view that was taken before the first look, and is kept.
    Early,
}

/// How an owner is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Question {
    Asked,
    /// Whoever was not on the list is taken for gone.
    Skipped,
}

/// What a look takes for the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Clock {
    Running,
    /// That of its beginning, for all of it.
    Stopped,
}

impl Default for Habit {
    fn default() -> Self {
        Self {
            looks: 2,
            pending_grace: GRACE,
            absence: 1,
            list: List::Present,
            question: Question::Asked,
            clock: Clock::Running,
        }
    }
}

pub(super) async fn collect(hand: Hand, habit: Habit) {
    let mut collector = Collector::new("vm")
        .with_pending_grace(TICK * habit.pending_grace)
        .with_absence(TICK * habit.absence)
        .with_page(NonZeroUsize::new(2).unwrap());
    let view = match habit.list {
        List::Present => None,
        List::Early => Some(hand.list_owners().await),
    };
    for turn in 0..habit.looks {
        hand.pause().await;
        let list = async || match &view {
            Some(view) => view.clone(),
            None => hand.list_owners().await,
        };
        let began = hand.clock();
        let clock = || match habit.clock {
            Clock::Running => hand.clock(),
            Clock::Stopped => began,
        };
        let Ok(report) = collector.look(&hand, list, clock).await else { continue };
        hand.sum_up(40 + turn, &[]);
        hand.learn([Token::Word(hash(&format!("{view:?}")))]);
        hand.learn_suspects(report.suspects);
        let ask = async |owner: Owner| match habit.question {
            Question::Asked => hand.ask(&owner).await,
            Question::Skipped => Ok(Liveness::Gone),
        };
        let now = hand.clock();
        for swept in collector.sweep(&hand, ask, a_tick, now).await {
            if let SweepOutcome::Released(outcomes) = swept.outcome {
                let released = outcomes.iter().filter(|(_, outcome)| outcome.is_released());
                hand.world.state().collected += released.count() as u64;
            }
        }
    }
}

/// In which order a [`hasty`] collector reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    ClaimsFirst,
    OwnersFirst,
}

/// A collector that looks once, asks nobody, and releases.
pub(super) async fn hasty(hand: Hand, order: Order) {
    hand.pause().await;
    let early = match order {
        Order::OwnersFirst => hand.list_owners().await.ok(),
        Order::ClaimsFirst => None,
    };
    let now = hand.clock();
    let claims = hand.list("", None, NonZeroUsize::MAX).await.unwrap_or_default();
    let live = match early {
        Some(early) => early,
        None => hand.list_owners().await.unwrap(),
    };
    for claim in claims {
        let is_old = now.as_secs() >= until(&claim).into() || claim.state == ClaimState::Bound;
        if is_old && !live.contains(claim.owner.uid()) {
            drop(hand.release_unchanged(&[claim], |_| Duration::ZERO, now).await);
        }
    }
}
