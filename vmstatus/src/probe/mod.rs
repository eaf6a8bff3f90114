//! The parts that look: files, processes, ports and names (feature `probe`, on tokio).
//!
//! Everything that may hang has a deadline. [`Tail`] and [`ProcessWatch`] read local files in
//! place and cost a system call or two when there is no news; whatever stands at a path, a FIFO for
//! instance, they do not wait for it. A [`HostFile`] is read once for all machines. [`VmProbe`]
//! makes one piece of [`Evidence`](crate::Evidence) of a machine's folder and its port, and
//! [`Supervisor`] looks at many machines at once, none of which can delay another.
//!
//! Memory is bounded, however much a log grows and however long its lines are: a step of 1 MiB, and
//! one line of 4 KiB for each machine. Every future may be dropped at any time.
//!
//! A folder on a file system that may itself hang (NFS, FUSE) blocks the thread that looks; give
//! such machines a runtime of their own.

mod banner;
mod clock;
mod evidence;
mod file;
mod history;
mod names;
mod process;
mod supervisor;
mod tables;
mod tail;
mod vm;
mod watch;

pub use banner::{ProbeError, read_banner};
pub use names::resolve_name;
pub use process::ProcessWatch;
pub use supervisor::{Look, Supervisor};
pub use tables::{
    Content, HostFile, LeaseFile, Leases, NeighbourFile, Neighbours, RegistryFile, read_neighbours,
};
pub use tail::{Progress, Tail};
pub use vm::{SshPort, VmProbe};
pub use watch::{Event, Watch};
