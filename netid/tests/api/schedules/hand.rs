//! How one life reaches the world: a store, an inventory and a clock, one step at a time.

use core::future::poll_fn;
use core::num::NonZeroUsize;
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;

use netid::{
    BindError, Claim, ClaimError, ClaimKey, ClaimStore, LiveOwners, Liveness, Owner,
    ReleaseOutcome, Suspect,
};
use thiserror::Error;

use super::world::{Answer, Next, Token, World, claim_tokens, hash};

#[derive(Clone)]
pub(super) struct Hand {
    pub(super) world: Arc<World>,
    pub(super) life: usize,
    pub(super) rule: Rule,
}

/// What a release compares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Rule {
    /// As [`ClaimStore::release`] says.
    #[default]
    Proof,
    /// The owner alone: a broken store.
    AnyGeneration,
    /// Nothing: a broken store.
    AnyOwner,
    /// The owner and the generation, also where the state and the time are asked for: a broken store.
    NotTheState,
}

/// Which of the two releases is asked for.
#[derive(Clone, Copy)]
enum Shown {
    Generation,
    Everything,
}

/// The answer did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("no answer")]
pub(super) struct Lost;

pub(super) fn owner(uid: &str) -> Owner {
    Owner::new("vm", "web", uid).unwrap()
}

impl Hand {
    pub(super) fn clock(&self) -> Duration {
        let time = self.world.state().time();
        self.learn([Token::Word(time.as_secs())]);
        time
    }

    /// A step in which nothing happens.
    pub(super) async fn pause(&self) {
        self.turn(Next::Sure, "pause").await;
    }

    /// Enters an owner into the inventory.
    pub(super) async fn record(&self, owner: &Owner) {
        self.turn(Next::Sure, "record").await;
        self.world.state().record(owner.uid());
    }

    /// Takes an owner out of the inventory, for ever. It uses nothing any more.
    pub(super) async fn remove(&self, owner: &Owner) {
        self.turn(Next::Sure, "remove").await;
        self.world.state().remove(owner.uid());
    }

    /// Whether an owner existed and is gone.
    pub(super) async fn was_removed(&self, owner: &Owner) -> bool {
        self.turn(Next::Sure, "was_removed").await;
        let removed = self.world.state().removed.contains(owner.uid());
        self.learn([Token::Word(removed.into())]);
        removed
    }

    /// The owner leaves one host for another, if it exists.
    pub(super) async fn leave(&self, owner: &Owner) {
        self.turn(Next::Sure, "leave").await;
        let mut state = self.world.state();
        if state.inventory.contains(owner.uid()) {
            let now = state.now;
            state.hidden.insert(owner.uid().to_owned(), now);
        }
    }

    pub(super) async fn arrive(&self, owner: &Owner) {
        self.turn(Next::Sure, "arrive").await;
        self.world.state().hidden.remove(owner.uid());
    }

    pub(super) async fn list_owners(&self) -> Result<LiveOwners, Lost> {
        if self.turn(Next::Read, "list_owners").await != Answer::Given {
            return Err(self.lost());
        }
        let state = self.world.state();
        let uids = || state.inventory.iter().filter(|uid| !state.hidden.contains_key(*uid));
        let words: Vec<_> = uids().map(|uid| Token::Word(hash(uid))).collect();
        let live = if words.is_empty() { LiveOwners::none() } else { uids().collect() };
        drop(state);
        self.learn(words);
        Ok(live)
    }

    pub(super) async fn ask(&self, owner: &Owner) -> Result<Liveness, Lost> {
        if self.turn(Next::Read, "ask").await != Answer::Given {
            return Err(self.lost());
        }
        let state = self.world.state();
        let uid = owner.uid();
        let is_alive = state.inventory.contains(uid) && !state.hidden.contains_key(uid);
        drop(state);
        self.learn([Token::Word(is_alive.into())]);
        Ok(if is_alive { Liveness::Alive } else { Liveness::Gone })
    }

    /// Says what the local state of this life has come to: the point that it has reached and these claims.
    pub(super) fn sum_up(&self, point: u32, claims: &[Claim]) {
        self.world.state().learnt[self.life] = vec![Token::Word(point.into())];
        self.learn_claims(claims);
    }

    pub(super) fn learn_suspects(&self, suspects: Vec<Suspect>) {
        for suspect in suspects {
            self.learn([Token::Word(hash(&(suspect.first_seen, suspect.is_due)))]);
            self.learn_claims(&suspect.claims);
        }
    }

    pub(super) fn learn(&self, tokens: impl IntoIterator<Item = Token>) {
        self.world.state().learnt[self.life].extend(tokens);
    }

    fn learn_claims(&self, claims: &[Claim]) {
        self.learn([Token::Word(claims.len() as u64)]);
        self.learn(claims.iter().flat_map(claim_tokens));
    }

    fn lost(&self) -> Lost {
        self.learn([Token::Word(404)]);
        Lost
    }

    /// Stops until the schedule goes on here.
    async fn turn(&self, next: Next, what: &'static str) -> Answer {
        self.learn([Token::Word(hash(&what))]);
        self.world.state().next[self.life] = (next, what);
        let mut asked = false;
        poll_fn(|_| {
            let ready = asked;
            asked = true;
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        core::mem::take(&mut self.world.state().answer)
    }

    fn forget(&self, now: Duration) {
        self.world.state().cooling.retain(|_, (until, _)| *until > now);
    }

    fn claimed(&self, claims: &[Claim]) {
        let mut state = self.world.state();
        for claim in claims {
            state.cooling.remove(&claim.key);
        }
    }

    fn bound<T>(
        &self,
        answer: Answer,
        result: Result<T, BindError<core::convert::Infallible>>,
    ) -> Result<T, BindError<Lost>> {
        if answer == Answer::LostAfter {
            return Err(BindError::Store(self.lost()));
        }
        self.learn([Token::Word(result.is_ok().into())]);
        result.map_err(|error| match error {
            BindError::Lost { key, holder } => BindError::Lost { key, holder },
            other => panic!("{other}"),
        })
    }

    /// The proof that the store is shown.
    async fn proof(&self, claim: &Claim) -> Claim {
        let Ok(held) = self.world.store.get(&claim.key).await;
        match (self.rule, held) {
            (Rule::AnyGeneration, Some(held)) if held.owner.is_same(&claim.owner) => held,
            (Rule::AnyOwner, Some(held)) => held,
            (Rule::NotTheState, Some(held)) if held.is_same(claim) => held,
            _ => claim.clone(),
        }
    }

    async fn release_by(
        &self,
        claims: &[Claim],
        cooldown: impl Fn(&ClaimKey) -> Duration + Send,
        proof: Shown,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Lost> {
        let answer = self.turn(Next::Write, "release").await;
        if answer == Answer::LostBefore {
            return Err(self.lost());
        }
        self.forget(now);
        let rests: Vec<_> = claims.iter().map(|claim| now + cooldown(&claim.key)).collect();
        let mut proofs = Vec::new();
        for claim in claims {
            proofs.push(self.proof(claim).await);
        }
        let Ok(outcomes) = match proof {
            Shown::Generation => self.world.store.release(&proofs, cooldown, now).await,
            Shown::Everything => self.world.store.release_unchanged(&proofs, cooldown, now).await,
        };
        for ((proof, rest), (_, outcome)) in proofs.into_iter().zip(rests).zip(&outcomes) {
            if outcome.is_released() && rest > now {
                let rest = (rest, proof.owner.uid().to_owned());
                self.world.state().cooling.insert(proof.key, rest);
            }
        }
        if answer == Answer::LostAfter {
            return Err(self.lost());
        }
        self.learn(outcomes.iter().map(|(_, outcome)| Token::Word(outcome.is_released().into())));
        Ok(outcomes)
    }
}

impl ClaimStore for Hand {
    type Error = Lost;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<Lost>> {
        let answer = self.turn(Next::Write, "claim").await;
        if answer == Answer::LostBefore {
            return Err(ClaimError::Unknown(self.lost()));
        }
        self.forget(now);
        let claimed = self.world.store.claim(owner, keys, now).await;
        self.claimed(claimed.as_deref().unwrap_or_default());
        match claimed {
            _ if answer == Answer::LostAfter => Err(ClaimError::Unknown(self.lost())),
            Ok(claims) => {
                self.learn_claims(&claims);
                Ok(claims)
            }
            Err(ClaimError::Taken(taken)) => {
                self.learn([Token::Word(hash(&taken.key))]);
                Err(ClaimError::Taken(taken))
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<Lost>> {
        let answer = self.turn(Next::Write, "claim_one").await;
        if answer == Answer::LostBefore {
            return Err(ClaimError::Unknown(self.lost()));
        }
        self.forget(now);
        let claimed = self.world.store.claim_one(owner, prefix, key, now).await;
        self.claimed(claimed.as_ref().map_or(&[], core::slice::from_ref));
        match claimed {
            _ if answer == Answer::LostAfter => Err(ClaimError::Unknown(self.lost())),
            Ok(claim) => {
                self.learn(claim_tokens(&claim));
                Ok(claim)
            }
            Err(ClaimError::Taken(taken)) => {
                self.learn([Token::Word(hash(&taken.key))]);
                Err(ClaimError::Taken(taken))
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn renew(&self, claims: &[Claim], now: Duration) -> Result<Vec<Claim>, BindError<Lost>> {
        let answer = self.turn(Next::Write, "renew").await;
        if answer == Answer::LostBefore {
            return Err(BindError::Store(self.lost()));
        }
        self.bound(answer, self.world.store.renew(claims, now).await)
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<Lost>> {
        let answer = self.turn(Next::Write, "bind").await;
        if answer == Answer::LostBefore {
            return Err(BindError::Store(self.lost()));
        }
        self.bound(answer, self.world.store.bind(claims).await)
    }

    async fn release<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Lost>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        self.release_by(claims, cooldown, Shown::Generation, now).await
    }

    async fn release_unchanged<F>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, Lost>
    where
        F: Fn(&ClaimKey) -> Duration + Send,
    {
        self.release_by(claims, cooldown, Shown::Everything, now).await
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, Lost> {
        if self.turn(Next::Read, "get").await != Answer::Given {
            return Err(self.lost());
        }
        let Ok(held) = self.world.store.get(key).await;
        self.learn_claims(held.as_slice());
        Ok(held)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, Lost> {
        if self.turn(Next::Read, "list").await != Answer::Given {
            return Err(self.lost());
        }
        let Ok(claims) = self.world.store.list(prefix, after, limit).await;
        self.learn_claims(&claims);
        Ok(claims)
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, Lost> {
        if self.turn(Next::Read, "claims_of").await != Answer::Given {
            return Err(self.lost());
        }
        let Ok(claims) = self.world.store.claims_of(owner).await;
        self.learn_claims(&claims);
        Ok(claims)
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, Lost> {
        if self.turn(Next::Write, "forget_cooldowns").await != Answer::Given {
            return Err(self.lost());
        }
        self.forget(now);
        let Ok(forgotten) = self.world.store.forget_cooldowns(now).await;
        Ok(forgotten)
    }
}
