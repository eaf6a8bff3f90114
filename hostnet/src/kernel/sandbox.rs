//! A world of one's own, without privileges: for examples, tests and users' own tests.

use super::netns::{Netns, NetnsError};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::io;
use std::path::Path;

/// Why no sandbox could be entered. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// Threads are running already.
    #[error(
        "{threads} threads are running, but a user namespace can only be entered by a process of one; \
         call `Sandbox::enter` first thing in `main`, before any runtime starts"
    )]
    Threads {
        /// How many.
        threads: usize,
    },
    /// The system does not let this user make user namespaces.
    #[error("this system forbids user namespaces ({reason}); {way_out}")]
    Forbidden {
        /// What was found.
        reason: String,
        /// What to do about it.
        way_out: &'static str,
    },
    /// Something else went wrong.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The new network namespace could not be set up.
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

/// A proof that the process has left the machine's network: it is in user, network and mount namespaces of its own.
///
/// In there the process has all capabilities over its own network and none over anything else. It cannot be
/// left, and ends with the process.
///
/// ```no_run
/// use hostnet::Sandbox;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let sandbox = Sandbox::enter()?;
///     // Only now start threads and runtimes; all of them are in the sandbox.
///     assert!(!sandbox.netns()?.is_same(sandbox.outside())?);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Sandbox {
    outside: Netns,
}

impl Sandbox {
    /// Moves the process into namespaces of its own, with `lo` up and an empty /run/netns.
    ///
    /// Root is taken there too, so that what runs in it behaves the same for everybody; only where user
    /// namespaces are forbidden does root get by without one.
    ///
    /// # Errors
    /// When other threads are running already, or the system forbids user namespaces; the message has the way out.
    pub fn enter() -> Result<Self, SandboxError> {
        let threads = threads()?;
        if threads != 1 {
            return Err(SandboxError::Threads { threads });
        }
        let outside = Netns::current()?;
        let (uid, gid) = (geteuid(), getegid());
        let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
        match unshare(own | CloneFlags::CLONE_NEWUSER) {
            Ok(()) => {
                // The kernel wants this before a group map, or groups could be dropped to gain access.
                write("/proc/self/setgroups", "deny")?;
                write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
                write("/proc/self/gid_map", &format!("0 {gid} 1"))?;
            }
            Err(errno) if !uid.is_root() || unshare(own).is_err() => return Err(refusal(errno)),
            Err(_) => {}
        }
        hide_named_namespaces()?;
        Netns::bring_up_loopback()?;
        let sandbox = Self { outside };
        if sandbox.netns()?.is_same(&sandbox.outside)? {
            return Err(SandboxError::Io {
                doing: "leave the machine's network",
                source: io::Error::other("still there"),
            });
        }
        Ok(sandbox)
    }

    /// Moves the calling thread, and the threads it starts from now on, into a fresh network namespace, with an empty
    /// /run/netns of its own.
    ///
    /// # Errors
    /// When the kernel's limit on namespaces is reached.
    pub fn fresh_netns(&self) -> Result<(), SandboxError> {
        unshare(CloneFlags::CLONE_NEWNS).map_err(refusal)?;
        hide_named_namespaces()?;
        Ok(Netns::unshare_thread()?)
    }

    /// The network namespace the calling thread is in.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn netns(&self) -> Result<Netns, NetnsError> {
        Netns::current()
    }

    /// The network namespace the process came from, to compare with.
    #[must_use]
    pub const fn outside(&self) -> &Netns {
        &self.outside
    }
}

fn threads() -> Result<usize, SandboxError> {
    let doing = "count the threads in /proc/self/task";
    let tasks = fs::read_dir("/proc/self/task");
    Ok(tasks.map_err(|source| SandboxError::Io { doing, source })?.count())
}

/// Makes /run/netns our own and empty, so that named namespaces can be made without privileges.
fn hide_named_namespaces() -> Result<(), SandboxError> {
    let failed = |doing| move |errno: Errno| SandboxError::Io { doing, source: errno.into() };
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(failed("make the mounts private"))?;
    let target = if Path::new("/run/netns").is_dir() { "/run/netns" } else { "/run" };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some("mode=0755,size=1m"))
        .map_err(failed("mount a tmpfs for /run/netns"))?;
    fs::create_dir_all("/run/netns")
        .map_err(|source| SandboxError::Io { doing: "make /run/netns", source })
}

fn write(path: &'static str, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(|source| match source.raw_os_error() {
        // AppArmor lets the namespace be made and then takes every capability in it.
        Some(1 | 13) => refusal(Errno::EPERM),
        _ => SandboxError::Io { doing: path, source },
    })
}

/// Finds out why user namespaces are not to be had here.
fn refusal(errno: Errno) -> SandboxError {
    let setting = |path: &str| fs::read_to_string(path).map(|s| s.trim().to_owned()).ok();
    let is = |path: &str, value: &str| setting(path).is_some_and(|s| s == value);
    let forbidden =
        |reason: &str, way_out| SandboxError::Forbidden { reason: reason.to_owned(), way_out };
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return forbidden(
            "kernel.apparmor_restrict_unprivileged_userns=1",
            "run it as root, or allow them: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return forbidden(
            "kernel.unprivileged_userns_clone=0",
            "run it as root, or allow them: sudo sysctl kernel.unprivileged_userns_clone=1",
        );
    }
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return forbidden(
            "user.max_user_namespaces=0",
            "run it as root, or allow them: sudo sysctl user.max_user_namespaces=10000",
        );
    }
    if errno == Errno::ENOSPC {
        return forbidden(
            "the limit user.max_user_namespaces is reached",
            "run it as root, or raise the limit: sudo sysctl user.max_user_namespaces=10000",
        );
    }
    SandboxError::Forbidden {
        reason: io::Error::from(errno).to_string(),
        way_out: "run it as root; in a container, allow `unshare` (Docker: --security-opt seccomp=unconfined)",
    }
}
