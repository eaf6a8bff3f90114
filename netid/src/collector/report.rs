use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::claim::{Claim, ClaimState, Owner};

/// What a look found. Nothing was released by looking.
///
/// It prints one line for the whole and one for each suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookReport {
    /// How many claims were read, of the collector's kind of owner and prefix.
    pub claims: usize,
    /// How many owners hold them.
    pub owners: usize,
    /// How many of these owners exist.
    pub alive: usize,
    /// How many of these owners do not exist and hold a claim that is too young to be judged.
    pub young: usize,
    /// Those that do not exist, in the order of their uids.
    pub suspects: Vec<Suspect>,
    /// When the owners had been listed, since the Unix epoch.
    pub now: Duration,
}

impl LookReport {
    /// The suspects that [`sweep`](super::Collector::sweep) would take up.
    pub fn due(&self) -> impl Iterator<Item = &Suspect> {
        self.suspects.iter().filter(|suspect| suspect.is_due)
    }
}

impl fmt::Display for LookReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} claims of {} owners: {} alive, {} young, {} suspect, {} due",
            self.claims,
            self.owners,
            self.alive,
            self.young,
            self.suspects.len().saturating_sub(self.due().count()),
            self.due().count()
        )?;
        for suspect in &self.suspects {
            let word = if suspect.is_due { "due" } else { "suspect" };
            let absent = seconds(self.now, suspect.first_seen);
            write!(f, "\n{word}: {}, not there for {absent} s:", suspect.owner)?;
            for (at, claim) in suspect.claims.iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                let (state, age) = (state(claim.state), seconds(self.now, claim.since));
                write!(f, "{comma} {} ({state}, {age} s old)", claim.key)?;
            }
        }
        Ok(())
    }
}

/// An owner that does not exist, and everything that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspect {
    /// Who does not exist.
    pub owner: Owner,
    /// What it holds, in the order of the keys.
    pub claims: Vec<Claim>,
    /// When the first look was over that found just these claims and no owner, since the Unix epoch.
    pub first_seen: Duration,
    /// Whether it was seen twice, long enough apart.
    pub is_due: bool,
}

const fn seconds(now: Duration, then: Duration) -> u64 {
    now.saturating_sub(then).as_secs()
}

const fn state(state: ClaimState) -> &'static str {
    match state {
        ClaimState::Pending => "pending",
        ClaimState::Bound => "bound",
    }
}
