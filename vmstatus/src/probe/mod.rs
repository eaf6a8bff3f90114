//! The parts that look: files, processes, ports and names (feature `probe`, on tokio).
//!
//! Everything that may hang has a deadline. [`Tail`] and [`ProcessWatch`] read local files in
//! place and cost a system call each when there is no news. [`VmProbe`] makes one piece of
//! [`Evidence`](crate::Evidence) of a machine's folder and its port, and [`Supervisor`] looks at
//! many machines at once, none of which can delay another.

mod banner;
mod names;
mod process;
mod supervisor;
mod tail;
mod vm;

pub use banner::{ProbeError, read_banner};
pub use names::resolve_name;
pub use process::ProcessWatch;
pub use supervisor::{Event, Look, Supervisor, Watch};
pub use tail::{Progress, Tail};
pub use vm::{SshPort, VmProbe};

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::neighbour::{self, Neighbour};

/// The host's neighbour table from `/proc/net/arp`.
///
/// # Errors
///
/// If the file cannot be read: it exists on Linux only.
pub fn read_neighbours() -> std::io::Result<Vec<Neighbour>> {
    std::fs::read("/proc/net/arp").map(|bytes| neighbour::parse(&bytes))
}

/// The time now, since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
