//! Dying on demand, to show that what is left is found again.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt;
use std::str::FromStr;

/// A moment at which the process is to end as if by `kill -9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// Right after this stage: `claimed`, `planned`, `applied`, `started`, `initializing`, `booting`, `running`,
    /// `removed`.
    After(String),
    /// Before the step of this number of the plan, counted from 1: `apply:N`.
    Applying(usize),
    /// Before the step of this number of the teardown, counted from 1: `remove:N`.
    Removing(usize),
}

const STAGES: [&str; 8] =
    ["claimed", "planned", "applied", "started", "initializing", "booting", "running", "removed"];

impl Moment {
    /// Ends the process if it is to end now.
    pub fn reached(wanted: Option<&Self>, now: &Self) {
        if wanted == Some(now) {
            // Nothing is flushed, dropped or told to anybody.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    }

    /// Ends the process if it is to end after this stage.
    pub fn stage(wanted: Option<&Self>, stage: &str) {
        Self::reached(wanted, &Self::After(stage.to_owned()));
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |n: &str| n.parse().ok().filter(|n| *n > 0);
        let moment = match text.split_once(':') {
            Some(("apply", n)) => number(n).map(Self::Applying),
            Some(("remove", n)) => number(n).map(Self::Removing),
            None if STAGES.contains(&text) => Some(Self::After(text.to_owned())),
            _ => None,
        };
        moment.ok_or_else(|| format!("use one of {}, apply:N or remove:N", STAGES.join(", ")))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(stage) => f.write_str(stage),
            Self::Applying(step) => write!(f, "apply:{step}"),
            Self::Removing(step) => write!(f, "remove:{step}"),
        }
    }
}
