//! What claimers have seen, and whether it can be true.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use netid::{ClaimKey, Generation};

/// What one claimer has seen of one key, with the time since the start of the run.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Duration,
    pub(crate) claimer: usize,
    pub(crate) key: ClaimKey,
    pub(crate) seen: Seen,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// The claim was acknowledged: from now on it is held.
    Claimed(Generation),
    /// The release is about to be asked for: from now on it may be vacant.
    Releasing(Generation),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Violation {
    /// Two held the key at the same time.
    TwoHolders { key: ClaimKey, first: usize, second: usize, at: Duration },
    /// A later claim has no higher generation.
    Generation { key: ClaimKey, claimer: usize, at: Duration },
    /// Somebody released what was not known to be held.
    Unheld { key: ClaimKey, claimer: usize, at: Duration },
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, claimer, key, seen } = self;
        write!(f, "{:10.6} {claimer:3} {key} {seen:?}", at.as_secs_f64())
    }
}

/// The first thing in a history that must not be.
pub(crate) fn check(history: &mut [Entry]) -> Result<(), Violation> {
    history.sort_by_key(|entry| entry.at);
    let mut holders: BTreeMap<&ClaimKey, (Option<usize>, Generation)> = BTreeMap::new();
    for Entry { at, claimer, key, seen } in &*history {
        let (at, claimer) = (*at, *claimer);
        let holder = holders.get(key).copied();
        match (seen, holder) {
            (Seen::Claimed(_), Some((Some(first), _))) => {
                return Err(Violation::TwoHolders { key: key.clone(), first, second: claimer, at });
            }
            (Seen::Claimed(generation), Some((None, last))) if *generation <= last => {
                return Err(Violation::Generation { key: key.clone(), claimer, at });
            }
            (Seen::Claimed(generation), _) => {
                holders.insert(key, (Some(claimer), *generation));
            }
            (Seen::Releasing(generation), Some((Some(first), last)))
                if first == claimer && last == *generation =>
            {
                holders.insert(key, (None, last));
            }
            (Seen::Releasing(_), _) => {
                return Err(Violation::Unheld { key: key.clone(), claimer, at });
            }
        }
    }
    Ok(())
}

/// Histories that cannot be are found.
pub(crate) async fn impossible_histories_are_found() {
    let key = ClaimKey::name("a").unwrap();
    let claimed = |generation| Seen::Claimed(Generation::new(generation));
    let releasing = |generation| Seen::Releasing(Generation::new(generation));
    let history = |seen: &[(usize, Seen)]| {
        let entries = seen.iter().enumerate().map(|(at, (claimer, seen))| Entry {
            at: Duration::from_secs(at as u64),
            claimer: *claimer,
            key: key.clone(),
            seen: seen.clone(),
        });
        check(&mut entries.collect::<Vec<_>>())
    };
    let good =
        [(1, claimed(1)), (1, releasing(1)), (2, claimed(2)), (2, releasing(2)), (1, claimed(5))];
    assert_eq!(history(&good), Ok(()));
    let (name, at) = (key.clone(), Duration::from_secs);
    assert_eq!(
        history(&[(1, claimed(1)), (2, claimed(2))]),
        Err(Violation::TwoHolders { key: name.clone(), first: 1, second: 2, at: at(1) })
    );
    assert_eq!(
        history(&[(1, claimed(2)), (1, releasing(2)), (2, claimed(2))]),
        Err(Violation::Generation { key: name.clone(), claimer: 2, at: at(2) })
    );
    assert_eq!(
        history(&[(1, claimed(1)), (2, releasing(1))]),
        Err(Violation::Unheld { key: name, claimer: 2, at: at(1) })
    );
}
