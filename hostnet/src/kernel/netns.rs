//! Network namespaces: named ones that `ip netns` sees too, and the calling thread's.

use super::link::{self, At, State};
use super::netlink::{Netlink, Refusal};
use crate::error::Errno;
use crate::spec::NamespaceName;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

/// Where `ip netns` keeps named namespaces.
const DIRECTORY: &str = "/run/netns";
/// The calling thread's namespace; /proc/self would be the main thread's.
pub(super) const OWN: &str = "/proc/thread-self/ns/net";

/// Why a namespace could not be made, found, entered or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetnsError {
    /// Not usable as a file name.
    #[error("`{name}` cannot name a namespace; use letters, digits, `-`, `_` and `.`")]
    Name {
        /// The refused name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no network namespace `{name}`; make it with `ip netns add {name}`")]
    Missing {
        /// The name.
        name: String,
    },
    /// There is one of that name already.
    #[error("the network namespace `{name}` is there already; remove it or choose another name")]
    Exists {
        /// The name.
        name: String,
    },
    /// The kernel refused.
    #[error("{doing}: {source}{}", hint(source))]
    Io {
        /// What was being done.
        doing: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// An open network namespace. It lives as long as this value, even without a name.
#[derive(Debug)]
pub struct Netns(File);

impl Netns {
    /// The calling thread's namespace.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn current() -> Result<Self, NetnsError> {
        Self::open(Path::new(OWN))
    }

    /// A namespace by path, such as `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, NetnsError> {
        let opened = File::open(path);
        opened.map(Self).map_err(io_error(|| format!("open {}", path.display())))
    }

    /// A namespace that `ip netns add` or [`create`](Self::create) made.
    ///
    /// # Errors
    /// When there is none of that name, or it may not be opened.
    pub fn named(name: &str) -> Result<Self, NetnsError> {
        let path = path_of(name)?;
        // A file without the mount on it is what a crash between the two steps leaves.
        match File::open(&path) {
            Ok(file) if is_namespace(&file) => Ok(Self(file)),
            Ok(_) => Err(NetnsError::Missing { name: name.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(NetnsError::Missing { name: name.to_owned() })
            }
            Err(error) => Err(io_error(|| format!("open {}", path.display()))(error)),
        }
    }

    /// Makes a namespace that outlives the process, under the name `ip netns` shows, with `lo` up.
    ///
    /// # Errors
    /// When the name is taken, or the privileges (`CAP_SYS_ADMIN`) are missing.
    pub fn create(name: &str) -> Result<Self, NetnsError> {
        let path = path_of(name)?;
        let made = in_thread({
            let name = name.to_owned();
            move || {
                unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| {
                    io_error(|| format!("make the namespace {name}"))(errno.into())
                })?;
                Self::bring_up_loopback()?;
                pin(&name)
            }
        });
        made.map_err(io_error(|| format!("make {}", path.display())))??;
        Self::named(name)
    }

    /// Removes a named namespace, whoever made it, as `ip netns del` does. What is in it goes as soon as nobody uses it
    /// any more. Not there is success.
    ///
    /// # Errors
    /// When the privileges are missing.
    pub fn remove(name: &str) -> Result<(), NetnsError> {
        let path = path_of(name)?;
        match umount2(&path, MntFlags::MNT_DETACH) {
            // Not a mount point: the half-made one, or none.
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
            Err(errno) => {
                return Err(io_error(|| format!("unmount {}", path.display()))(errno.into()));
            }
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(|| format!("remove {}", path.display()))(error))
            }
            _ => Ok(()),
        }
    }

    /// Moves the calling thread, and the threads it starts from now on, into this namespace.
    ///
    /// Meant for the start of a program, before an async runtime: a namespace belongs to a thread, and tasks
    /// wander between threads. To work in another namespace from a running program use
    /// [`Host::open_in`](crate::Host::open_in), which moves nobody.
    ///
    /// # Errors
    /// When the privileges (`CAP_SYS_ADMIN` in both) are missing.
    pub fn enter(&self) -> Result<(), NetnsError> {
        setns(&self.0, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| io_error(|| "enter the network namespace".to_owned())(errno.into()))
    }

    /// Brings `lo` up in the calling thread's namespace, which is born with it down. Up already is success.
    ///
    /// Without it nothing in there reaches 127.0.0.1 or any of the namespace's own addresses.
    ///
    /// # Errors
    /// When the privileges (`CAP_NET_ADMIN`) are missing.
    pub fn bring_up_loopback() -> Result<(), NetnsError> {
        let brought = Netlink::open(NETLINK_ROUTE).and_then(|mut netlink| {
            link::set_state(&mut netlink, At::Name("lo"), State::Up).map_err(|refusal| {
                io::Error::from_raw_os_error(refusal.errno().unwrap_or(Errno::EIO).number())
            })
        });
        brought.map_err(io_error(|| "bring lo up".to_owned()))
    }

    /// Whether both are the same namespace.
    ///
    /// # Errors
    /// When one of them cannot be asked.
    pub fn is_same(&self, other: &Self) -> Result<bool, NetnsError> {
        let id = |netns: &Self| netns.0.metadata().map(|m| (m.dev(), m.ino()));
        let both = id(self).and_then(|a| Ok((a, id(other)?)));
        let (a, b) = both.map_err(io_error(|| "look at the network namespace".to_owned()))?;
        Ok(a == b)
    }

    /// Moves the calling thread into a new namespace of its own, in which nothing but `lo` is up.
    pub(super) fn unshare_thread() -> Result<(), NetnsError> {
        let made = unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        made.map_err(io_error(|| "make a network namespace".to_owned()))?;
        Self::bring_up_loopback()
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Netns {
    /// Takes an open file of /proc/PID/ns/net or /run/netns for the namespace it is.
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

/// Gives the calling thread's namespace a name, by which it outlives the process.
pub(super) fn pin(name: &str) -> Result<(), NetnsError> {
    let path = path_of(name)?;
    fs::create_dir_all(DIRECTORY).map_err(io_error(|| format!("make {DIRECTORY}")))?;
    // A file without a namespace on it is what a crash between the two steps left.
    if let Err(NetnsError::Missing { .. }) = Netns::named(name) {
        let _ = fs::remove_file(&path);
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path);
    file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => NetnsError::Exists { name: name.to_owned() },
        _ => io_error(|| format!("make {}", path.display()))(error),
    })?;
    let mounted = mount(Some(OWN), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>);
    mounted.map_err(|errno| {
        // Nothing is mounted on it; left behind it would look like a namespace.
        let _ = fs::remove_file(&path);
        io_error(|| format!("mount on {}", path.display()))(errno.into())
    })
}

/// The named namespaces whose names could be ours.
pub(super) fn names() -> Result<BTreeSet<NamespaceName>, Refusal> {
    let entries = match fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error.into()),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_str().and_then(|name| NamespaceName::new(name).ok()));
    }
    Ok(names)
}

/// Runs something that changes its thread's namespace on a thread that ends with it.
fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let thread = thread::Builder::new().name("hostnet-netns".to_owned()).spawn(work)?;
    thread.join().map_err(|_panicked| io::Error::other("the thread panicked"))
}

fn path_of(name: &str) -> Result<PathBuf, NetnsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=255).contains(&name.len()) && name.chars().all(allowed);
    if !fits || matches!(name, "." | "..") {
        return Err(NetnsError::Name { name: name.to_owned() });
    }
    Ok(Path::new(DIRECTORY).join(name))
}

/// Whether this is a namespace and not a plain file: namespaces are on a file system of their own (nsfs).
fn is_namespace(file: &File) -> bool {
    let on = |file: &File| file.metadata().map(|m| m.dev()).ok();
    let own = File::open(OWN).ok();
    own.as_ref().and_then(on).is_some_and(|nsfs| on(file) == Some(nsfs))
}

fn io_error(doing: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> NetnsError {
    move |source| NetnsError::Io { doing: doing(), source }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; CAP_SYS_ADMIN is missing: run as root or inside `hostnet::Sandbox`"
        }
        _ => "",
    }
}
