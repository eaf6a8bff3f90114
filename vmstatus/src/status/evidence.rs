use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use macaddr::MacAddr6;

use crate::address::Candidate;
use crate::console::Trouble;
use crate::{Generation, SshBanner};

/// Whether the machine's folder is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Folder {
    /// The look failed; the machine keeps what it knew.
    Unknown,
    /// There is no such folder.
    Absent,
    /// The folder is there.
    Present,
}

/// What the machine's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Process {
    /// The look failed; the machine keeps what it knew.
    Unknown,
    /// There is no process.
    Absent,
    /// It has ended, and told how.
    Exited(Exit),
    /// It is suspended, or its virtual CPUs are.
    Paused,
    /// It lives.
    Alive,
}

/// How a process ended that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Exit {
    /// With this status; zero is an orderly end.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Whether it ended in order, with status zero.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A banner, where and when it was read, and the boot it proves.
///
/// The generation is the one in which the connection was **opened**: an answer that arrives after
/// a reboot proves the boot before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SshAnswer {
    banner: SshBanner,
    from: SocketAddr,
    at: Duration,
    generation: Generation,
}

impl SshAnswer {
    /// A banner read from `from` (the guest itself or a forwarded port) at `at`, since the Unix
    /// epoch, over a connection opened in `generation`.
    #[must_use]
    pub const fn new(
        banner: SshBanner,
        from: SocketAddr,
        at: Duration,
        generation: Generation,
    ) -> Self {
        Self { banner, from, at, generation }
    }

    /// The banner.
    #[must_use]
    pub const fn banner(&self) -> &SshBanner {
        &self.banner
    }

    /// Where it was read.
    #[must_use]
    pub const fn from(&self) -> SocketAddr {
        self.from
    }

    /// When it was read, since the Unix epoch.
    #[must_use]
    pub const fn at(&self) -> Duration {
        self.at
    }

    /// The boot it proves.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }
}

impl fmt::Display for SshAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} read from {}", self.banner, self.from)
    }
}

/// What came of asking the SSH server for its banner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Ssh {
    /// Nobody asked this time; the machine keeps what it knew.
    #[default]
    NotAsked,
    /// It was asked and gave no banner: refused, timed out, or not SSH.
    Silent,
    /// It answered.
    Answered(SshAnswer),
}

/// What one look at a machine has found, as plain values.
///
/// Only folder, process and generation are required. What is left out counts as not looked at:
/// [`derive()`](crate::derive) then takes it as absent, a [`Machine`](crate::Machine) fills in what it knew of this boot.
///
/// ```
/// use vmstatus::{Evidence, Folder, Generation, Process, Status, derive};
///
/// let evidence = Evidence::new(Folder::Present, Process::Alive, Generation::new(1, 0));
/// assert_eq!(derive(&evidence), Status::Initializing);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Evidence {
    pub(super) folder: Folder,
    pub(super) process: Process,
    pub(super) generation: Generation,
    pub(super) address: Option<Candidate>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mac::serialize_option"))]
    pub(super) mac: Option<MacAddr6>,
    pub(super) ssh: Ssh,
    pub(super) trouble: Option<(Trouble, Duration)>,
}

impl Evidence {
    /// What is known of folder and process, and the generation it is known for.
    #[must_use]
    pub const fn new(folder: Folder, process: Process, generation: Generation) -> Self {
        Self {
            folder,
            process,
            generation,
            address: None,
            mac: None,
            ssh: Ssh::NotAsked,
            trouble: None,
        }
    }

    /// The address that a [`Resolver`](crate::address::Resolver) chose.
    #[must_use]
    pub const fn with_address(mut self, address: Candidate) -> Self {
        self.address = Some(address);
        self
    }

    /// The guest's MAC, by which its address is being looked for.
    #[must_use]
    pub const fn with_mac(mut self, mac: MacAddr6) -> Self {
        self.mac = Some(mac);
        self
    }

    /// What came of asking for the banner.
    #[must_use]
    pub fn with_ssh(mut self, ssh: Ssh) -> Self {
        self.ssh = ssh;
        self
    }

    /// Trouble that the console tells of, and when it was first seen, since the Unix epoch.
    ///
    /// A banner read at that time or later refutes it. A [`Machine`](crate::Machine) that sees the
    /// same trouble again keeps the first time.
    #[must_use]
    pub fn with_trouble(mut self, trouble: Trouble, seen: Duration) -> Self {
        self.trouble = Some((trouble, seen));
        self
    }

    /// Whether the folder is there.
    #[must_use]
    pub const fn folder(&self) -> Folder {
        self.folder
    }

    /// What the process is doing.
    #[must_use]
    pub const fn process(&self) -> Process {
        self.process
    }

    /// The generation that the facts are about.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The address, if one was found.
    #[must_use]
    pub const fn address(&self) -> Option<&Candidate> {
        self.address.as_ref()
    }

    /// The MAC, if one is known.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddr6> {
        self.mac
    }

    /// What came of asking for the banner.
    #[must_use]
    pub const fn ssh(&self) -> &Ssh {
        &self.ssh
    }

    /// The trouble that the console tells of.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref().map(|(trouble, _)| trouble)
    }
}
