use core::fmt;
use core::time::Duration;

use macaddr::MacAddr6;

use super::evidence::SshAnswer;
use super::value::{Crash, Degradation, Status};
use crate::address::Candidate;
use crate::{Generation, mac};

/// One change of status: what it was, what it is, since when, why, and in which boot.
///
/// `Display` says all of it but the time in one line, safe to print whatever the guest wrote:
/// `booting -> running: 172.16.0.2 from the neighbour table (likely), SSH-2.0-x read from 127.0.0.1:22001`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Transition {
    pub(super) from: Status,
    pub(super) to: Status,
    pub(super) since: Duration,
    pub(super) lasted: Duration,
    pub(super) reason: Reason,
    pub(super) generation: Generation,
    pub(super) previous: Generation,
}

impl Transition {
    /// The status before.
    #[must_use]
    pub const fn from(&self) -> &Status {
        &self.from
    }

    /// The status from now on.
    #[must_use]
    pub const fn to(&self) -> &Status {
        &self.to
    }

    /// When the new status began, since the Unix epoch.
    #[must_use]
    pub const fn since(&self) -> Duration {
        self.since
    }

    /// How long the status before had lasted.
    #[must_use]
    pub const fn lasted(&self) -> Duration {
        self.lasted
    }

    /// The evidence that made the change.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The generation that the new status belongs to.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether a new boot or a new start made the change.
    #[must_use]
    pub fn is_new_boot(&self) -> bool {
        self.generation > self.previous
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)?;
        if self.is_new_boot() && self.from.is_alive() {
            write!(f, " (boot {})", self.generation)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The evidence behind a status, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Reason {
    /// Nothing has been observed yet.
    NotObserved,
    /// There is no folder.
    NoFolder,
    /// There is a folder and no process.
    NoProcess,
    /// The process lives and no IPv4 address of this boot is known.
    NoAddress {
        /// The MAC by which it is looked for, if that is known.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mac::serialize_option"))]
        mac: Option<MacAddr6>,
    },
    /// An IPv4 address of this boot is known, and no banner.
    NoBanner {
        /// The address.
        address: Candidate,
    },
    /// The SSH server of this boot has answered.
    Answered {
        /// The address.
        address: Candidate,
        /// The answer.
        answer: SshAnswer,
    },
    /// The process or its virtual CPUs are suspended.
    Suspended,
    /// Something is wrong.
    Degraded(Degradation),
    /// It crashed.
    Crashed(Crash),
}

impl Reason {
    /// The reason that goes with a status.
    pub(super) fn of(status: &Status, address: Option<&Candidate>, mac: Option<MacAddr6>) -> Self {
        match status {
            Status::Missing => Self::NoFolder,
            Status::Stopped => Self::NoProcess,
            Status::Initializing => Self::NoAddress { mac },
            Status::Booting { .. } => address
                .map_or(Self::NoAddress { mac }, |address| Self::NoBanner { address: *address }),
            Status::Running(running) => {
                Self::Answered { address: *running.address(), answer: running.answer().clone() }
            }
            Status::Paused => Self::Suspended,
            Status::Degraded { reason } => Self::Degraded(reason.clone()),
            Status::Crashed { reason } => Self::Crashed(reason.clone()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotObserved => f.write_str("not observed yet"),
            Self::NoFolder => f.write_str("no folder"),
            Self::NoProcess => f.write_str("folder, but no process"),
            Self::NoAddress { mac: None } => f.write_str("process alive, no IPv4 address yet"),
            Self::NoAddress { mac: Some(mac) } => {
                write!(f, "process alive, no IPv4 address yet, looking for {}", mac::Lower(*mac))
            }
            Self::NoBanner { address } => write!(f, "{address}, no SSH banner yet"),
            Self::Answered { address, answer } => write!(f, "{address}, {answer}"),
            Self::Suspended => f.write_str("process suspended"),
            Self::Degraded(reason) => reason.fmt(f),
            Self::Crashed(reason) => reason.fmt(f),
        }
    }
}
