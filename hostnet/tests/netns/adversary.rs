//! Our operations at random among those of strangers, who take our names, our numbers, our groups and our ports: what
//! is theirs stays as they left it, whatever we do.

use crate::shapes;
use crate::strangers::{Dice, Strangers};
use crate::world::{Outcome, block_on, lan, owned, tests};
use core::time::Duration;
use hostnet::{
    ApplyError, Attachment, Desired, EnsureError, Host, Network, NetworkName, Plan, Subject,
    garbage, plan,
};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

tests![what_is_foreign_is_never_changed];

/// How many operations there are, ours and the strangers' together, if `HOSTNET_OPERATIONS` does not say.
const OPERATIONS: usize = 1_000;

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn what_is_foreign_is_never_changed() -> Outcome {
    let operations = from_environment("HOSTNET_OPERATIONS").unwrap_or(OPERATIONS);
    // The same each time, unless somebody wants to see another.
    let seed = from_environment("HOSTNET_SEED").unwrap_or(1);
    eprintln!("HOSTNET_SEED={seed} HOSTNET_OPERATIONS={operations}");
    block_on(play(&mut Dice::new(seed), operations))
        .map_err(|error| format!("HOSTNET_SEED={seed}: {error}").into())
}

async fn play(dice: &mut Dice, operations: usize) -> Outcome {
    let mut us = Us::new()?;
    let mut strangers = Strangers::new();
    let mut belongings = strangers.belongings().await?;
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    let (names, ids) = (us.names(), us.ids());
    let mut number = 0;
    while number < operations {
        let done = if dice.roll(2) == 0 {
            let done = strangers.act(dice, &names, &ids).await?;
            belongings = strangers.belongings().await?;
            done
        } else {
            let done = us.act(dice).await.map_err(|error| format!("{number}: {error}"))?;
            let after = strangers.belongings().await?;
            let changes = after.changes_since(&belongings);
            if !changes.is_empty() {
                return Err(format!("{number}: {done} has changed {changes}").into());
            }
            done
        };
        if done != "nothing" {
            number += 1;
            *tally.entry(done).or_default() += 1;
        }
    }
    eprintln!("{tally:?}");

    // Nobody was in anybody's way for long: with the strangers gone everything can be made, and removed.
    strangers.leave().await?;
    us.settle().await
}

/// What we want, and what we have planned.
struct Us {
    host: Host,
    networks: [Network; 2],
    attachments: Vec<Attachment>,
    stale: Vec<Plan>,
}

impl Us {
    fn new() -> Result<Self, Box<dyn Error>> {
        let routed = NetworkName::new("routed")?;
        let second = Network::routed(routed.clone(), shapes::name("lan1"), "10.7.0.1/16".parse()?)?;
        let mut attachments: Vec<_> = (0..6).map(shapes::vm).collect();
        attachments.extend((6..9).map(shapes::namespaced));
        for n in 9..12 {
            let like = shapes::vm(n);
            attachments.push(Attachment::tap(
                like.id().clone(),
                routed.clone(),
                like.tap_name().clone(),
                like.mac(),
                [10, 7, 0, n].into(),
            )?);
        }
        let networks = [shapes::bridged(), second];
        Ok(Self { host: owned("demo"), networks, attachments, stale: Vec::new() })
    }

    fn names(&self) -> Vec<String> {
        let ends = self.attachments.iter().map(Attachment::port_name);
        let networks = self.networks.iter().map(Network::device);
        ends.chain(networks).map(ToString::to_string).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.attachments.iter().map(|attachment| attachment.id().to_string()).collect()
    }

    fn some(&self, dice: &mut Dice) -> Vec<Attachment> {
        let one_in = if dice.roll(4) == 0 { 2 } else { 10 };
        let chosen = self.attachments.iter().filter(|_| dice.roll(one_in) == 0);
        chosen.cloned().collect()
    }

    fn wish(&self, attachments: Vec<Attachment>) -> Result<Desired, Box<dyn Error>> {
        let mut wish = Desired::new(self.host.owner().clone());
        for network in &self.networks {
            let is_used = |a: &Attachment| a.network() == network.name();
            if *network.name() == lan() || attachments.iter().any(is_used) {
                wish.add_network(network.clone())?;
            }
        }
        for attachment in attachments {
            wish.add_attachment(attachment)?;
        }
        Ok(wish)
    }

    /// Does something. What stands in the way is said and no more; what is said to be done must be done.
    async fn act(&mut self, dice: &mut Dice) -> Result<&'static str, Box<dyn Error>> {
        let chosen = self.some(dice);
        let subjects: BTreeSet<Subject> =
            chosen.iter().map(|chosen| Subject::Attachment(chosen.id().clone())).collect();
        match dice.roll(10) {
            0..=3 => {
                let wish = self.wish(chosen)?;
                let made = self.host.ensure(&wish).await;
                if !sane(made)? {
                    return Ok("refused to make");
                }
                let left = self.host.verify(&wish).await.map_err(|e| format!("verify: {e}"))?;
                if left.is_empty() { Ok("made") } else { Err(format!("left to do: {left}").into()) }
            }
            4..=5 => {
                let mut subjects = subjects;
                if dice.roll(4) == 0 {
                    let networks = self.networks.iter().map(|network| network.name().clone());
                    subjects.extend(networks.map(Subject::Network));
                }
                let removed = self.host.remove(&subjects).await;
                if !sane(removed)? {
                    return Ok("refused to remove");
                }
                let left = self.host.observe().await?.subjects();
                match left.intersection(&subjects).next() {
                    None => Ok("removed"),
                    Some(left) => Err(format!("{left} is still there").into()),
                }
            }
            6 => {
                let observed = self.host.observe().await?;
                let report = garbage(&observed, &subjects, Duration::MAX, Duration::ZERO)?;
                let Ok(plan) = report.teardown(&observed) else {
                    return Ok("refused to collect");
                };
                let applied = self.host.apply(&plan).await.map_err(EnsureError::from);
                Ok(if sane(applied)? { "collected" } else { "collected in part" })
            }
            7 => {
                let observed = self.host.observe().await?;
                let made = match dice.roll(2) {
                    0 => plan(&self.wish(chosen)?, &observed).ok(),
                    _ => hostnet::teardown(&observed.subjects(), &observed).ok(),
                };
                self.stale.extend(made);
                Ok("planned")
            }
            _ if self.stale.is_empty() => Ok("nothing"),
            _ => {
                let late = self.stale.swap_remove(dice.roll(self.stale.len()));
                let applied = self.host.apply(&late).await.map_err(EnsureError::from);
                Ok(if sane(applied)? { "applied late" } else { "refused to apply late" })
            }
        }
    }

    /// Makes all that is wanted, finds nothing left to do, and removes it.
    async fn settle(&self) -> Outcome {
        // What a stranger took the tags from is nobody's; what it left of ours goes first.
        self.host.remove(&self.host.observe().await?.subjects()).await?;
        let wish = self.wish(self.attachments.clone())?;
        self.host.ensure(&wish).await?;
        let left = self.host.verify(&wish).await?;
        if !left.is_empty() {
            return Err(format!("left to do: {left}").into());
        }
        self.host.remove(&wish.subjects()).await?;
        let left = self.host.observe().await?;
        if left.subjects().is_empty() { Ok(()) } else { Err(format!("{left:?}").into()) }
    }
}

/// Whether it was done; an error is one only if it says that we have lost our own way.
fn sane<T>(result: Result<T, EnsureError>) -> Result<bool, Box<dyn Error>> {
    match result {
        Ok(_) => Ok(true),
        Err(EnsureError::Observe(error)) => Err(error.into()),
        Err(EnsureError::Apply(
            error @ (ApplyError::Closed | ApplyError::OtherOwner { .. } | ApplyError::Left { .. }),
        )) => Err(error.into()),
        // To remove what is not there is success.
        Err(EnsureError::Apply(ApplyError::Incomplete { errors, .. }))
            if errors.iter().any(|error| error.errno().is_some()) =>
        {
            Err(format!("{errors:?}").into())
        }
        Err(_) => Ok(false),
    }
}
