use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;

use crate::Process;

/// Watches the process whose id stands in a PID file.
///
/// It reads `/proc/PID/stat`, so it works on Linux; elsewhere the process is
/// [`Process::Unknown`] once there is a PID file. A process that ends while it is watched is
/// noticed even if its id is given to another one, for the open file belongs to the process.
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
        let Ok(text) = fs::read_to_string(&self.pid_file) else {
            self.watched = None;
            return if self.pid_file.exists() { Process::Unknown } else { Process::Absent };
        };
        // A PID file that is being written is empty for a moment.
        let Ok(pid) = text.trim().parse() else { return Process::Unknown };
        if let Some(watched) = self.watched.as_mut().filter(|watched| watched.pid == pid)
            && let Some(state) = watched.state()
        {
            return state;
        }
        if !cfg!(target_os = "linux") {
            return Process::Unknown;
        }
        self.watched = None;
        let Ok(stat) = File::open(format!("/proc/{pid}/stat")) else { return Process::Absent };
        let mut watched = Watched { pid, stat };
        match watched.state() {
            Some(state @ (Process::Alive | Process::Paused)) => {
                self.watched = Some(watched);
                self.starts = self.starts.saturating_add(1);
                state
            }
            _ => Process::Absent,
        }
    }
}

impl Watched {
    /// The state; `None` once the process is gone.
    fn state(&mut self) -> Option<Process> {
        let mut stat = [0; 512];
        self.stat.rewind().ok()?;
        let length = self.stat.read(&mut stat).ok()?;
        // The name stands in brackets and may itself hold brackets and spaces.
        let text = stat.get(..length)?;
        let end = text.iter().rposition(|byte| *byte == b')')?;
        match text.get(end.saturating_add(2))? {
            b'Z' | b'X' | b'x' => Some(Process::Absent),
            b'T' | b't' => Some(Process::Paused),
            _ => Some(Process::Alive),
        }
    }
}
