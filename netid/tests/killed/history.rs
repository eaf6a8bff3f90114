//! Whether a file has what its program has said about it.
//!
//! | Line | What it says |
//! |---|---|
//! | `C owner keys` | a batch is going to be claimed; every batch has an owner of its own |
//! | `c owner generation`, `x owner` | it is claimed; it was refused |
//! | `B owner`, `b owner` | it is going to be bound; it is bound |
//! | `R owner keys until`, `r owner keys` | some of it is going to be released, and rests (0: does not); it is released |

use std::collections::{BTreeMap, BTreeSet};

use netid::ClaimKey;

pub(crate) type Keys = BTreeSet<u16>;

/// What is in a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) held: BTreeMap<u16, Held>,
    pub(crate) cooling: BTreeMap<u16, u64>,
    /// The highest generation of all that were ever seen.
    pub(crate) last: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) owner: String,
    pub(crate) generation: u64,
    pub(crate) bound: bool,
}

/// What is known of a batch.
#[derive(Debug, Default)]
struct Batch {
    keys: Keys,
    /// Known once it was acknowledged, and on which line; on none if it is older than the report.
    claimed: Option<(u64, usize)>,
    refused: bool,
    binding: Binding,
    releases: Vec<Release>,
}

#[derive(Debug, Default, PartialEq)]
enum Binding {
    #[default]
    Not,
    Started,
    Done,
}

#[derive(Debug)]
struct Release {
    keys: Keys,
    until: u64,
    started: usize,
    done: bool,
}

/// Compares what a file held before, what was said since, and what it holds now.
pub(crate) fn check(
    before: &State,
    report: &str,
    mut after: State,
    now: u64,
) -> Result<State, String> {
    let batches = read(before, report)?;
    let mut last = before.last;
    let mut by_generation = BTreeMap::new();
    for (owner, batch) in &batches {
        let fault = |fault: &str| Err(format!("{owner}: {fault}: {batch:?}, now {after:?}"));
        let held: BTreeMap<_, _> =
            after.held.iter().filter(|(_, held)| held.owner == *owner).collect();
        let is_held = |keys: &Keys| keys.iter().filter(|key| held.contains_key(key)).count();
        if held.keys().any(|key| !batch.keys.contains(key)) {
            return fault("holds what it did not claim");
        }
        let mut generations: BTreeSet<_> = held.values().map(|held| held.generation).collect();
        generations.extend(batch.claimed.map(|(generation, _)| generation));
        if generations.len() > 1 {
            return fault("has several generations");
        }
        if batch.refused && !held.is_empty() {
            return fault("was refused and holds");
        }
        if batch.claimed.is_none() && ![0, batch.keys.len()].contains(&held.len()) {
            return fault("claimed half a batch");
        }
        let mut left = batch.keys.clone();
        for release in &batch.releases {
            left.retain(|key| !release.keys.contains(key));
            let remaining = is_held(&release.keys);
            if release.done && remaining > 0 {
                return fault("a released key is held");
            }
            if ![0, release.keys.len()].contains(&remaining) {
                return fault("half of a release was done");
            }
            let rests = |key| after.cooling.get(key) == Some(&release.until);
            if release.until > now && remaining == 0 && !release.keys.iter().all(rests) {
                return fault("a released key does not rest");
            }
        }
        if batch.claimed.is_some() && is_held(&left) < left.len() {
            return fault("a claim is lost");
        }
        let bound = held.values().filter(|held| held.bound).count();
        let possible = match batch.binding {
            Binding::Not => bound == 0,
            Binding::Started => bound == 0 || bound == held.len(),
            Binding::Done => bound == held.len(),
        };
        if !possible {
            return fault("is bound otherwise");
        }
        for generation in generations {
            let is_old = batch.claimed.is_some_and(|(_, line)| line == 0);
            if !is_old && generation <= before.last {
                return fault("has a generation that was used before");
            }
            if let Some(other) = by_generation.insert(generation, batch) {
                return fault(&format!("has the generation of {other:?}"));
            }
            last = last.max(generation);
        }
    }
    if let Some(held) = after.held.values().find(|held| !batches.contains_key(&held.owner)) {
        return Err(format!("nobody knows the owner of {held:?}"));
    }
    one_after_the_other(&by_generation)?;
    for (key, until) in &after.cooling {
        let explains = |release: &Release| release.keys.contains(key) && release.until == *until;
        let explained = before.cooling.get(key) == Some(until)
            || batches.values().any(|batch| batch.releases.iter().any(explains));
        if !explained {
            return Err(format!("nobody knows why {key} rests until {until}"));
        }
    }
    after.last = last;
    Ok(after)
}

/// Before a key was claimed again, its release was started.
fn one_after_the_other(by_generation: &BTreeMap<u64, &Batch>) -> Result<(), String> {
    let mut holders: BTreeMap<u16, &Batch> = BTreeMap::new();
    for (generation, batch) in by_generation {
        let line = batch.claimed.map_or(usize::MAX, |(_, line)| line);
        for key in &batch.keys {
            let Some(holder) = holders.insert(*key, batch) else { continue };
            let started = |release: &Release| release.keys.contains(key) && release.started < line;
            if !holder.releases.iter().any(started) {
                return Err(format!("{key} of {generation} was held by {holder:?}"));
            }
        }
    }
    Ok(())
}

/// Puts together what there was and what was said.
fn read(before: &State, report: &str) -> Result<BTreeMap<String, Batch>, String> {
    let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
    for (key, held) in &before.held {
        let batch = batches.entry(held.owner.clone()).or_default();
        batch.keys.insert(*key);
        batch.claimed = Some((held.generation, 0));
        batch.binding = if held.bound { Binding::Done } else { Binding::Not };
    }
    for (line, text) in (1..).zip(report.lines()) {
        let words: Vec<_> = text.split(' ').collect();
        let [what, owner, ref rest @ ..] = words[..] else { return Err(format!("{text:?}")) };
        let batch = batches.entry(owner.into()).or_default();
        match (what, rest) {
            ("C", [list]) => batch.keys = keys(list),
            ("c", [generation]) => batch.claimed = Some((generation.parse().unwrap(), line)),
            ("x", []) => batch.refused = true,
            ("B", []) => batch.binding = Binding::Started,
            ("b", []) => batch.binding = Binding::Done,
            ("R", [list, until]) => batch.releases.push(Release {
                keys: keys(list),
                until: until.parse().unwrap(),
                started: line,
                done: false,
            }),
            ("r", [list]) => {
                let list = keys(list);
                let release = batch.releases.iter_mut().find(|release| release.keys == list);
                release.ok_or_else(|| format!("{text:?}"))?.done = true;
            }
            _ => return Err(format!("{text:?}")),
        }
    }
    Ok(batches)
}

/// Keys as a line has them.
pub(crate) fn text(keys: &Keys) -> String {
    keys.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

fn keys(text: &str) -> Keys {
    text.split(',').map(|key| key.parse().unwrap()).collect()
}

/// The number of a key.
pub(crate) fn number(key: &ClaimKey) -> u16 {
    key.value().rsplit('/').next().unwrap().parse().unwrap()
}
