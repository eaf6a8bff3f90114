use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::thread;

/// The calling thread's network namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace that is held open, and perhaps pinned under a name.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    pinned: Option<PathBuf>,
}

impl Namespace {
    /// The calling thread's.
    ///
    /// # Panics
    /// When /proc is not mounted.
    #[must_use]
    pub fn current() -> Self {
        Self { file: File::open(OWN).expect("/proc"), pinned: None }
    }

    /// A new one without a name.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn fresh() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
            Self::current()
        });
        made.join().expect("a namespace")
    }

    /// A new one with a name that `ip netns` shows: unshared, furnished by `inside`, and pinned by a bind mount at last,
    /// so that a crash before leaves nothing.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn pinned(name: &str, inside: impl FnOnce()) -> Self {
        let path = Path::new("/run/netns").join(name);
        let home = Self::current();
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
        inside();
        File::create_new(&path).expect("a file to mount on");
        mount(Some(OWN), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("a mount");
        let file = File::open(OWN).expect("/proc");
        home.enter();
        Self { file, pinned: Some(path) }
    }

    /// Moves the calling thread into it.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn enter(&self) {
        setns(&self.file, CloneFlags::CLONE_NEWNET).expect("to enter the namespace");
    }

    /// Does something inside, on a thread that ends with it.
    ///
    /// # Panics
    /// When the work does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join().expect("work in the namespace")
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(path) = &self.pinned {
            let _ = umount2(path, MntFlags::MNT_DETACH);
            let _ = fs::remove_file(path);
        }
    }
}
