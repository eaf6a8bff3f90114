use core::fmt;

/// An error number of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Self = Self(1);
    /// No such file or directory; nf_tables says it of a missing table or element.
    pub const ENOENT: Self = Self(2);
    /// Input/output error.
    pub const EIO: Self = Self(5);
    /// Permission denied.
    pub const EACCES: Self = Self(13);
    /// Device or resource busy.
    pub const EBUSY: Self = Self(16);
    /// File exists.
    pub const EEXIST: Self = Self(17);
    /// No such device.
    pub const ENODEV: Self = Self(19);
    /// Invalid argument.
    pub const EINVAL: Self = Self(22);
    /// No space left on device: a limit of user namespaces is reached.
    pub const ENOSPC: Self = Self(28);
    /// Exchange full: a bridge with 1,023 ports.
    pub const EXFULL: Self = Self(54);
    /// Interrupted, try again: nf_tables' generation has moved on.
    pub const ERESTART: Self = Self(85);
    /// Address family not supported by protocol: the kernel lacks nf_tables for bridges, or IPv6.
    pub const EAFNOSUPPORT: Self = Self(97);
    /// Network is unreachable.
    pub const ENETUNREACH: Self = Self(101);
    /// No route to host.
    pub const EHOSTUNREACH: Self = Self(113);
    /// No such process; the routing table says it of a missing route.
    pub const ESRCH: Self = Self(3);
    /// Operation not supported: a kernel module is missing.
    pub const EOPNOTSUPP: Self = Self(95);
    /// Cannot assign requested address.
    pub const EADDRNOTAVAIL: Self = Self(99);

    /// From the positive number.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The positive number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// What to do about it, where that can be said without knowing more.
    const fn hint(self) -> Option<&'static str> {
        match self {
            Self::EPERM | Self::EACCES => {
                Some("CAP_NET_ADMIN is missing; run as root or inside `hostnet::Sandbox`")
            }
            Self::EXFULL => Some(
                "the bridge has all the 1,023 ports it can have; add a shard, or use a routed network",
            ),
            Self::EOPNOTSUPP | Self::EAFNOSUPPORT => Some("the kernel lacks the module for it"),
            _ => None,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&std::io::Error::from_raw_os_error(self.0), f)
    }
}

impl core::error::Error for Errno {}

/// Why the kernel did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It answered with an error.
    Errno {
        /// The number.
        errno: Errno,
        /// The kernel's own words, if it gave any.
        message: Option<String>,
    },
    /// The device's name is taken by a device that is not the one that was meant, and that was not touched.
    NameTaken {
        /// The name.
        name: String,
        /// What has it.
        by: String,
    },
    /// The host port leads elsewhere already, or the prefix is another network's.
    ElementTaken {
        /// What has it, if it says so.
        by: Option<String>,
    },
    /// /dev/net/tun cannot be opened.
    Tun {
        /// Why.
        errno: Errno,
    },
    /// A bridge that was to be deleted has ports that nobody wanted to lose.
    InUse {
        /// The names of the devices on it.
        ports: Vec<String>,
    },
    /// The device to act on is not there.
    Missing,
    /// The network namespace to act in is not there, or is not the one that was meant.
    NamespaceMissing {
        /// Its name.
        name: String,
    },
    /// A network namespace of that name is there already, and was not touched.
    NamespaceTaken {
        /// The name.
        name: String,
    },
    /// The namespace's thread could not get back to where it works.
    Lost,
    /// The table has our name but is not ours, or is of another version.
    ForeignTable,
    /// The kernel's answer could not be read.
    Protocol(String),
    /// The namespace's thread is gone.
    Closed,
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::Errno { errno, message: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno { errno, message } => {
                write!(f, "{errno}")?;
                if let Some(message) = message {
                    write!(f, ": {message}")?;
                }
                errno.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
            Self::NameTaken { name, by } => write!(
                f,
                "the name `{name}` is taken by {by}, which is left alone; rename it or choose another name"
            ),
            Self::ElementTaken { by: Some(by) } => {
                write!(f, "it is taken by {by}; choose another")
            }
            Self::ElementTaken { by: None } => {
                f.write_str("it is taken, or overlaps what is there; choose another")
            }
            Self::Tun { errno: Errno::EACCES } => f.write_str(
                "/dev/net/tun may not be opened by this user; allow it with `chmod 666 /dev/net/tun` as root, \
                 which most systems have from the start",
            ),
            Self::Tun { errno: Errno::ENOENT | Errno::ENODEV } => f.write_str(
                "/dev/net/tun is not there; load it with `modprobe tun` as root, or pass the device into the container",
            ),
            Self::Tun { errno } => write!(f, "/dev/net/tun: {errno}"),
            Self::InUse { ports } => {
                write!(f, "it has ports: {}; take them away first", ports.join(", "))
            }
            Self::NamespaceMissing { name } => {
                write!(f, "there is no network namespace `{name}` that is this one's")
            }
            Self::NamespaceTaken { name } => write!(
                f,
                "a network namespace `{name}` is there already, which is left alone; choose another name"
            ),
            Self::Lost => f.write_str(
                "the thread could not return from a VM's namespace; open the host anew",
            ),
            Self::Missing => f.write_str("the device is not there"),
            Self::ForeignTable => f.write_str(
                "a table of that name is there that was not made here, or by another version; remove it or \
                 choose another owner",
            ),
            Self::Protocol(what) => write!(f, "the kernel's answer could not be read: {what}"),
            Self::Closed => f.write_str("the namespace's thread has ended"),
        }
    }
}

/// Something the kernel was asked and did not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {cause}")]
#[non_exhaustive]
pub struct OpError {
    /// What was being done, in words or as a command.
    pub doing: String,
    /// Why it was not done.
    pub cause: Cause,
}

impl OpError {
    pub(crate) fn new(doing: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self { doing: doing.into(), cause: cause.into() }
    }

    /// The kernel's error number, if that is the cause.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self.cause {
            Cause::Errno { errno, .. } | Cause::Tun { errno } => Some(errno),
            _ => None,
        }
    }
}
