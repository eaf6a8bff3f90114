use alloc::boxed::Box;
use core::net::Ipv4Addr;
use core::num::NonZeroU32;
use core::time::Duration;

use thiserror::Error;

use super::derive::derive;
use super::evidence::{Evidence, Folder, Process, Ssh};
use super::transition::{Reason, Transition};
use super::value::{Crash, Degradation, Status};
use crate::Generation;
use crate::address::Confidence;
use crate::console::Trouble;

/// How many observations in a row it takes to change the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Thresholds {
    up: NonZeroU32,
    down: NonZeroU32,
}

impl Thresholds {
    /// `up` observations in a row for a step up, `down` failures in a row for a step down.
    #[must_use]
    pub const fn new(up: NonZeroU32, down: NonZeroU32) -> Self {
        Self { up, down }
    }

    /// Observations in a row that a step up takes.
    #[must_use]
    pub const fn up(self) -> NonZeroU32 {
        self.up
    }

    /// Failures in a row that a step down takes.
    #[must_use]
    pub const fn down(self) -> NonZeroU32 {
        self.down
    }
}

/// Up at once, down after three failures in a row.
impl Default for Thresholds {
    fn default() -> Self {
        Self::new(NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(2))
    }
}

/// The status of one virtual machine over time.
///
/// It takes observations with their time and gives transitions. It goes up at once and down after
/// three failures in a row (see [`Thresholds`]); what the console or the process tells outright (a
/// panic, an exit status, a suspension, a new boot) counts at once. Facts that an observation
/// leaves out are filled in from what was known **of this boot**; a new boot drops address, banner
/// and trouble of the old one, and an older generation never overwrites. Observing does not
/// allocate.
///
/// ```
/// use core::time::Duration;
/// use vmstatus::address::{Candidate, Source};
/// use vmstatus::{Evidence, Folder, Generation, Machine, Process};
///
/// let t = |seconds: u64| Duration::from_secs(1_700_000_000 + seconds);
/// let mut machine = Machine::new(t(0));
/// let boot = Generation::new(1, 1);
/// let alive = Evidence::new(Folder::Present, Process::Alive, boot);
///
/// let transition = machine.observe(&alive, t(5))?.expect("a change");
/// assert_eq!(
///     transition.to_string(),
///     "missing -> initializing: process alive, no IPv4 address yet",
/// );
/// let address = Candidate::new([172, 16, 0, 2].into(), Source::Neighbour, t(30), boot);
/// let transition = machine.observe(&alive.with_address(address), t(30))?.expect("a change");
/// assert_eq!(
///     transition.to_string(),
///     "initializing -> booting: 172.16.0.2 from the neighbour table (likely), no SSH banner yet",
/// );
/// assert_eq!(transition.lasted(), Duration::from_secs(25));
/// # Ok::<(), vmstatus::ObserveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    status: Status,
    since: Duration,
    reason: Reason,
    last: Duration,
    thresholds: Thresholds,
    streak: Streak,
    known: Known,
}

/// What is known of the current boot.
#[derive(Clone, Debug)]
struct Known {
    evidence: Evidence,
    /// The address that answered in this boot. While it is set, silence is a degradation.
    proven: Option<Ipv4Addr>,
    /// Trouble that an answer has refuted. It stays on the console, but says nothing any more.
    refuted: Option<Trouble>,
}

/// Observations in a row that ask for a change in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    up: u32,
    down: u32,
}

impl Machine {
    /// A machine of which nothing is known: missing, since `now`.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            status: Status::Missing,
            since: now,
            reason: Reason::NotObserved,
            last: now,
            thresholds: Thresholds::default(),
            streak: Streak::default(),
            known: Known {
                evidence: Evidence::new(Folder::Unknown, Process::Unknown, Generation::default()),
                proven: None,
                refuted: None,
            },
        }
    }

    /// Other thresholds than one up and three down.
    #[must_use]
    pub const fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// Takes an observation made at `now` (since the Unix epoch) and tells what it changes.
    ///
    /// # Errors
    ///
    /// [`ObserveError`] if the observation is older than what is known or contradicts it. The
    /// machine is unchanged then.
    pub fn observe(
        &mut self,
        evidence: &Evidence,
        now: Duration,
    ) -> Result<Option<Transition>, ObserveError> {
        let previous = self.generation();
        if evidence.generation < previous {
            return Err(ObserveError::OlderGeneration {
                observed: evidence.generation,
                known: previous,
            });
        }
        if now < self.last {
            return Err(ObserveError::TimeWentBack { now, last: self.last });
        }
        let mut known = self.known.clone();
        let new_boot = known.merge(evidence);
        let next = known.status(&self.status, new_boot);
        if !new_boot && !self.status.may_become(&next) {
            return Err(ObserveError::Illegal {
                from: Box::new(self.status.clone()),
                to: Box::new(next),
                generation: previous,
            });
        }
        self.known = known;
        self.last = now;
        if says_the_same(&self.status, &next, new_boot) {
            self.streak = Streak::default();
            self.reason = self.known.reason(&next);
            self.settle(next);
            return Ok(None);
        }
        if !new_boot && !self.is_due(&next, evidence) {
            return Ok(None);
        }
        self.streak = Streak::default();
        let lasted = now.saturating_sub(self.since);
        let from = core::mem::replace(&mut self.status, Status::Missing);
        self.since = now;
        self.reason = self.known.reason(&next);
        self.settle(next.clone());
        Ok(Some(Transition {
            from,
            to: next,
            since: now,
            lasted,
            reason: self.reason.clone(),
            generation: evidence.generation,
            previous,
        }))
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// When it began, since the Unix epoch.
    #[must_use]
    pub const fn since(&self) -> Duration {
        self.since
    }

    /// The evidence behind it, as of the last observation that gave the same status.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The newest generation observed.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.known.evidence.generation
    }

    /// When the last observation was taken, since the Unix epoch.
    #[must_use]
    pub const fn last_observed(&self) -> Duration {
        self.last
    }

    /// Everything known of the current boot, as one piece of evidence.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.known.evidence
    }

    /// Counts the observation; whether the threshold for the step to `next` is reached.
    const fn is_due(&mut self, next: &Status, evidence: &Evidence) -> bool {
        if is_told_outright(next) {
            return true;
        }
        if next.rank() < self.status.rank() {
            self.streak.up = 0;
            if is_failure(evidence) {
                self.streak.down = self.streak.down.saturating_add(1);
            }
            self.streak.down >= self.thresholds.down.get()
        } else {
            self.streak.down = 0;
            self.streak.up = self.streak.up.saturating_add(1);
            self.streak.up >= self.thresholds.up.get()
        }
    }

    /// Makes `next` the status and draws the consequences for what is known.
    fn settle(&mut self, next: Status) {
        match &next {
            Status::Running(running) => {
                self.known.proven = Some(running.ipv4());
                self.known.evidence.address =
                    Some(running.address().with_confidence(Confidence::Confirmed));
            }
            ended if !ended.is_alive() => {
                // A process that comes back has to prove everything again, whatever the caller's
                // generation says.
                self.known.proven = None;
                self.known.evidence.address = None;
                self.known.evidence.ssh = Ssh::NotAsked;
            }
            _ => {}
        }
        self.status = next;
    }
}

impl Known {
    /// Takes in what the observation tells, and says whether it is of a new generation.
    fn merge(&mut self, news: &Evidence) -> bool {
        let known = &mut self.evidence;
        let new_boot = news.generation > known.generation;
        if new_boot {
            *known = Evidence::new(known.folder, known.process, news.generation);
            self.proven = None;
            self.refuted = None;
        }
        if news.folder != Folder::Unknown {
            known.folder = news.folder;
        }
        if news.process != Process::Unknown {
            known.process = news.process;
        }
        if news.mac.is_some() {
            known.mac = news.mac;
        }
        if let Some(address) =
            news.address.filter(|address| address.generation() == news.generation)
            && (address.confidence() > Confidence::Unconfirmed || known.address.is_none())
        {
            known.address = Some(address);
        }
        match &news.ssh {
            Ssh::Silent => known.ssh = Ssh::Silent,
            Ssh::Answered(answer) if answer.generation() == news.generation => {
                known.ssh = news.ssh.clone();
            }
            Ssh::NotAsked | Ssh::Answered(_) => {}
        }
        if let Some((trouble, seen)) = &news.trouble {
            let same = known.trouble.as_ref().is_some_and(|(known, _)| known == trouble);
            if !same && self.refuted.as_ref() != Some(trouble) {
                known.trouble = Some((trouble.clone(), *seen));
            }
        }
        if let (Some((_, seen)), Ssh::Answered(answer)) = (&known.trouble, &known.ssh)
            && answer.at() >= *seen
        {
            self.refuted = known.trouble.take().map(|(trouble, _)| trouble);
        }
        new_boot
    }

    /// The status that follows from what is known, given what it was.
    fn status(&self, current: &Status, new_boot: bool) -> Status {
        let derived = derive(&self.evidence);
        match (&derived, self.proven) {
            (Status::Initializing | Status::Booting { .. }, Some(ipv4)) => {
                Status::Degraded { reason: Degradation::SshSilent { ipv4 } }
            }
            // The exit status is told once, when the process is reaped.
            (Status::Stopped, _)
                if !new_boot && matches!(current, Status::Crashed { reason: Crash::Exit(_) }) =>
            {
                current.clone()
            }
            _ => derived,
        }
    }

    /// The evidence behind a status.
    fn reason(&self, status: &Status) -> Reason {
        Reason::of(status, self.evidence.address(), self.evidence.mac())
    }
}

/// Why an observation was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObserveError {
    /// It is about an older boot or an earlier start; drop it.
    #[error("generation {observed} is older than {known}, which is known already; drop it")]
    OlderGeneration {
        /// The observation's generation.
        observed: Generation,
        /// The machine's generation.
        known: Generation,
    },
    /// Its time is before the last observation's; observe in order.
    #[error("{now:?} is before the last observation at {last:?}; observe in order of time")]
    TimeWentBack {
        /// The observation's time.
        now: Duration,
        /// The last observation's time.
        last: Duration,
    },
    /// It would make a step that no machine makes within one boot.
    #[error(
        "{from} cannot become {to} within generation {generation}; a new start needs a new generation"
    )]
    Illegal {
        /// The status.
        from: Box<Status>,
        /// What the observation would make of it.
        to: Box<Status>,
        /// The generation of both.
        generation: Generation,
    },
}

/// Facts that somebody has told, unlike the mere absence of an answer.
const fn is_told_outright(next: &Status) -> bool {
    match next {
        Status::Paused
        | Status::Crashed { .. }
        | Status::Degraded { reason: Degradation::Trouble(_) } => true,
        Status::Missing
        | Status::Stopped
        | Status::Initializing
        | Status::Booting { .. }
        | Status::Running(_)
        | Status::Degraded { reason: Degradation::SshSilent { .. } } => false,
    }
}

/// Whether the observation itself saw something fail, rather than left it out.
const fn is_failure(evidence: &Evidence) -> bool {
    matches!(evidence.folder, Folder::Absent)
        || matches!(evidence.process, Process::Absent | Process::Exited(_))
        || matches!(evidence.ssh, Ssh::Silent)
}

/// Whether a change from one to the other is no news: another time of the same banner is not, the
/// first sign of a boot while nothing was known of the one before is not.
fn says_the_same(status: &Status, next: &Status, new_boot: bool) -> bool {
    match (status, next) {
        (Status::Running(old), Status::Running(new)) => old.says_the_same(new),
        (Status::Booting { .. } | Status::Degraded { .. } | Status::Crashed { .. }, _) => {
            !new_boot && status == next
        }
        _ => status == next,
    }
}
