use core::fmt;
use core::net::Ipv4Addr;

use super::evidence::{Exit, SshAnswer};
use crate::address::{Candidate, is_host_address};
use crate::console::Trouble;
use crate::{Generation, SshBanner};

/// What a virtual machine is doing.
///
/// The first five say how far it has come, the last three what ails it. `Display` and
/// [`as_str`](Self::as_str) give one lower-case word. Cloning does not allocate.
///
/// A `Running` cannot be made by hand; only evidence gives one (see [`Running`]):
///
/// ```compile_fail,E0451
/// use vmstatus::address::Candidate;
/// use vmstatus::{Running, SshAnswer, Status};
///
/// fn forge(address: Candidate, answer: SshAnswer) -> Status {
///     Status::Running(Running { address, answer })
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "status", rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Status {
    /// It has no folder.
    Missing,
    /// It has a folder and no process.
    Stopped,
    /// Its process lives, and its IPv4 address is not known yet.
    Initializing,
    /// Its IPv4 address is known, and no SSH server has answered in this boot yet.
    Booting {
        /// The address.
        ipv4: Ipv4Addr,
    },
    /// Its IPv4 address is known and its SSH server has answered in this boot.
    Running(Running),
    /// Its process is suspended.
    Paused,
    /// It lives, but something is wrong.
    Degraded {
        /// What is wrong.
        reason: Degradation,
    },
    /// Its kernel has panicked, or its process has ended with a failure.
    Crashed {
        /// What happened.
        reason: Crash,
    },
}

impl Status {
    /// The status in one word, such as `running`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stopped => "stopped",
            Self::Initializing => "initializing",
            Self::Booting { .. } => "booting",
            Self::Running(_) => "running",
            Self::Paused => "paused",
            Self::Degraded { .. } => "degraded",
            Self::Crashed { .. } => "crashed",
        }
    }

    /// The address that the status stands on, where it stands on one.
    #[must_use]
    pub const fn ipv4(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Running(running) => Some(running.ipv4()),
            Self::Booting { ipv4 } | Self::Degraded { reason: Degradation::SshSilent { ipv4 } } => {
                Some(*ipv4)
            }
            Self::Missing
            | Self::Stopped
            | Self::Initializing
            | Self::Paused
            | Self::Degraded { .. }
            | Self::Crashed { .. } => None,
        }
    }

    /// Whether the process lives, as far as is known.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        match self {
            Self::Missing | Self::Stopped | Self::Crashed { reason: Crash::Exit(_) } => false,
            Self::Initializing
            | Self::Booting { .. }
            | Self::Running(_)
            | Self::Paused
            | Self::Degraded { .. }
            | Self::Crashed { reason: Crash::Panic(_) } => true,
        }
    }

    /// Whether the machine may go from here to `next` without a new boot or a new start.
    ///
    /// What has been proven stays proven: an address does not become unknown again, and after the
    /// first SSH answer silence is a [`Degradation`], not booting. A process that has told its exit
    /// status does not come back. Everything may stop, vanish, pause or fail.
    #[must_use]
    pub const fn may_become(&self, next: &Self) -> bool {
        match next {
            Self::Missing | Self::Stopped | Self::Crashed { .. } => true,
            Self::Paused | Self::Degraded { .. } | Self::Running(_) => {
                !matches!(self, Self::Crashed { reason: Crash::Exit(_) })
            }
            Self::Initializing | Self::Booting { .. } => match self {
                Self::Missing
                | Self::Stopped
                | Self::Initializing
                | Self::Paused
                | Self::Degraded { reason: Degradation::Trouble(_) }
                | Self::Crashed { reason: Crash::Panic(_) } => true,
                Self::Booting { .. } => matches!(next, Self::Booting { .. }),
                Self::Running(_) | Self::Degraded { .. } | Self::Crashed { .. } => false,
            },
        }
    }

    /// How far the machine has come; a step to a lower rank is a step down.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Stopped | Self::Crashed { .. } => 1,
            Self::Initializing
            | Self::Paused
            | Self::Degraded { reason: Degradation::Trouble(_) } => 2,
            Self::Booting { .. } | Self::Degraded { .. } => 3,
            Self::Running(_) => 4,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The proof that a machine runs: its IPv4 address, and the SSH answer of the same boot.
///
/// There is no constructor: [`derive`](crate::derive) and [`Machine`](crate::Machine) make one
/// when both facts are there, belong to the generation in question, and the address is one that a
/// host can have. It is not deserialised for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Running {
    address: Candidate,
    answer: SshAnswer,
}

impl Running {
    /// The only way to a `Running`; everything is checked again here, whatever the caller knows.
    pub(super) fn prove(
        generation: Generation,
        address: &Candidate,
        answer: &SshAnswer,
    ) -> Option<Self> {
        let sound = address.generation() == generation
            && answer.generation() == generation
            && is_host_address(address.ip());
        sound.then(|| Self { address: *address, answer: answer.clone() })
    }

    /// The address.
    #[must_use]
    pub const fn ipv4(&self) -> Ipv4Addr {
        self.address.ip()
    }

    /// The address with its source and confidence.
    #[must_use]
    pub const fn address(&self) -> &Candidate {
        &self.address
    }

    /// The banner that the guest's SSH server sent in this boot.
    #[must_use]
    pub const fn banner(&self) -> &SshBanner {
        self.answer.banner()
    }

    /// The banner with the place it came from and the time.
    #[must_use]
    pub const fn answer(&self) -> &SshAnswer {
        &self.answer
    }

    /// The generation that both facts belong to.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.answer.generation()
    }

    /// Whether the other stands on the same address, banner and boot, whenever it was seen.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.ipv4() == other.ipv4()
            && self.banner() == other.banner()
            && self.generation() == other.generation()
    }
}

/// What is wrong with a machine that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Degradation {
    /// Its SSH server answered earlier in this boot and no longer does.
    SshSilent {
        /// The address that answered.
        ipv4: Ipv4Addr,
    },
    /// Its console tells of trouble, and nothing has answered since.
    Trouble(Trouble),
}

impl fmt::Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SshSilent { ipv4 } => write!(f, "SSH at {ipv4} no longer answers"),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

/// How a machine crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Crash {
    /// Its kernel panicked; the console has the line.
    Panic(Trouble),
    /// Its process ended with a failure.
    Exit(Exit),
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic(trouble) => trouble.fmt(f),
            Self::Exit(exit) => write!(f, "the process ended with {exit}"),
        }
    }
}
