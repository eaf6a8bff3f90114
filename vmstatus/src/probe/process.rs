use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::Process;

/// Watches the process whose id stands in a PID file.
///
/// It reads `/proc/PID/stat`, so it works on Linux; elsewhere the process is
/// [`Process::Unknown`] once there is a PID file. A process that ends while it is watched is
/// noticed even if its id is given to another one, for the open file belongs to the process. A
/// poll without news is two system calls.
#[derive(Debug)]
pub struct ProcessWatch {
    pid_file: PathBuf,
    watched: Option<Watched>,
    starts: u32,
}

#[derive(Debug)]
struct Watched {
    pid: u32,
    stat: File,
    /// Time and length of the PID file that named it.
    stamp: (Option<SystemTime>, u64),
}

impl ProcessWatch {
    /// Will watch the process of this PID file, which need not exist yet.
    #[must_use]
    pub fn new(pid_file: impl Into<PathBuf>) -> Self {
        Self { pid_file: pid_file.into(), watched: None, starts: 0 }
    }

    /// How many processes were seen, one after the other: the number of the current start.
    #[must_use]
    pub const fn starts(&self) -> u32 {
        self.starts
    }

    /// What the process is doing.
    pub fn poll(&mut self) -> Process {
        let stamp = match fs::metadata(&self.pid_file) {
            Ok(metadata) => (metadata.modified().ok(), metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.watched = None;
                return Process::Absent;
            }
            Err(_) => return Process::Unknown,
        };
        let watched = self.watched.take();
        let state = watched.as_ref().and_then(Watched::state);
        if let (Some(watched), Some(state)) = (watched, state) {
            // A PID file that is being written is empty for a moment.
            if watched.stamp == stamp || self.read_pid().is_none_or(|pid| pid == watched.pid) {
                self.watched = Some(Watched { stamp, ..watched });
                return state;
            }
        }
        let Some(pid) = self.read_pid() else { return Process::Unknown };
        if !cfg!(target_os = "linux") {
            return Process::Unknown;
        }
        let Ok(stat) = File::open(format!("/proc/{pid}/stat")) else { return Process::Absent };
        let watched = Watched { pid, stat, stamp };
        match watched.state() {
            Some(state @ (Process::Alive | Process::Paused)) => {
                self.watched = Some(watched);
                self.starts = self.starts.saturating_add(1);
                state
            }
            _ => Process::Absent,
        }
    }

    fn read_pid(&self) -> Option<u32> {
        fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()
    }
}

impl Watched {
    /// The state; `None` once the process is gone.
    fn state(&self) -> Option<Process> {
        let mut stat = [0; 512];
        let length = read_start(&self.stat, &mut stat).ok()?;
        // The name stands in brackets and may itself hold brackets and spaces.
        let text = stat.get(..length)?;
        let end = text.iter().rposition(|byte| *byte == b')')?;
        match text.get(end.saturating_add(2))? {
            b'Z' | b'X' | b'x' => None,
            b'T' | b't' => Some(Process::Paused),
            _ => Some(Process::Alive),
        }
    }
}

#[cfg(unix)]
fn read_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt as _;

    file.read_at(buffer, 0)
}

/// There is no `/proc` to read from elsewhere.
#[cfg(not(unix))]
fn read_start(_: &File, _: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
