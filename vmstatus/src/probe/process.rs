use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::file::{self, Stamp};
use crate::Process;

/// How much later than its PID file a process may seem to have begun: clocks are set now and then.
const LENIENCE: Duration = Duration::from_secs(60);

/// Ticks per second of the times in `/proc` (`USER_HZ`), the same on every system of today.
const TICKS: u64 = 100;

/// A PID file holds a number.
const MAX_PID_FILE: u64 = 64;

/// Longest command line that is read.
const MAX_COMMAND: u64 = 1024 * 1024;

/// Watches the process whose id stands in a PID file.
///
/// It reads `/proc/PID/stat`, so it works on Linux; elsewhere the process is
/// [`Process::Unknown`] once there is a PID file.
///
/// An id that was given to another process is told from the one that was meant. While a process is
/// watched its `stat` stays open, and an open file belongs to the process, not to the number: one
/// descriptor for each watch. A process that is first seen must not have begun after the PID file
/// was written (a minute of lenience), which finds what a crash or a restart of the host left
/// behind; or, with [`with_command`](Self::with_command), its command line decides.
///
/// A poll without news is two system calls, one if there is no process.
#[derive(Debug)]
pub struct ProcessWatch {
    pid_file: PathBuf,
    command: Option<String>,
    watched: Option<Watched>,
    /// The PID file that names no process of ours any more; until it is written anew it never will.
    gone: Option<Stamp>,
    starts: u32,
    has_pid_file: bool,
}

#[derive(Debug)]
struct Watched {
    pid: u32,
    stat: File,
    started: Option<SystemTime>,
    /// The PID file that named it.
    stamp: Stamp,
}

/// What stands behind the id in a PID file.
enum Found {
    Ours(Watched, Process),
    Nobody,
    Unknown,
}

impl ProcessWatch {
    /// Will watch the process of this PID file, which need not exist yet.
    #[must_use]
    pub fn new(pid_file: impl Into<PathBuf>) -> Self {
        Self {
            pid_file: pid_file.into(),
            command: None,
            watched: None,
            gone: None,
            starts: 0,
            has_pid_file: false,
        }
    }

    /// Takes a process for the one that is meant only if its command line contains this text, such
    /// as `guest=fargo`, and whenever it began.
    ///
    /// Give it where the clock may be set far ahead after machines were started, as on a host
    /// without a clock of its own.
    #[must_use]
    pub fn with_command(mut self, text: impl Into<String>) -> Self {
        self.command = Some(text.into());
        self
    }

    /// How many processes were seen, one after the other: the number of the current start.
    #[must_use]
    pub const fn starts(&self) -> u32 {
        self.starts
    }

    /// When the process that is watched began.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        self.watched.as_ref()?.started
    }

    /// Whether the last poll found a PID file, which then shows that its folder is there too.
    pub(super) const fn has_pid_file(&self) -> bool {
        self.has_pid_file
    }

    /// What the process is doing.
    pub fn poll(&mut self) -> Process {
        self.has_pid_file = false;
        let stamp = match fs::metadata(&self.pid_file) {
            Ok(metadata) if metadata.is_file() => Stamp::of(&metadata),
            Err(error) if file::is_absent(&error) => {
                self.watched = None;
                return Process::Absent;
            }
            Ok(_) | Err(_) => return Process::Unknown,
        };
        self.has_pid_file = true;
        if self.gone == Some(stamp) {
            return Process::Absent;
        }
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
        match Watched::find(pid, stamp, self.command.as_deref()) {
            Found::Ours(watched, state) => {
                self.watched = Some(watched);
                self.starts = self.starts.saturating_add(1);
                state
            }
            Found::Nobody => {
                self.gone = stamp.is_telling().then_some(stamp);
                Process::Absent
            }
            Found::Unknown => Process::Unknown,
        }
    }

    fn read_pid(&self) -> Option<u32> {
        let text = file::read(&self.pid_file, MAX_PID_FILE).ok()?;
        core::str::from_utf8(&text).ok()?.trim().parse().ok()
    }
}

impl Watched {
    fn find(pid: u32, stamp: Stamp, command: Option<&str>) -> Found {
        if !cfg!(target_os = "linux") {
            return Found::Unknown;
        }
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let stat = match File::open(proc.join("stat")) {
            Ok(stat) => stat,
            Err(error) if file::is_absent(&error) => return Found::Nobody,
            Err(_) => return Found::Unknown,
        };
        let mut watched = Self { pid, stat, started: None, stamp };
        let Some((state, ticks)) = watched.look() else { return Found::Nobody };
        watched.started = wall_clock(ticks);
        let is_ours = match command {
            Some(text) => has_in_command(&proc, text),
            None => !began_after(watched.started, stamp.modified()),
        };
        if is_ours { Found::Ours(watched, state) } else { Found::Nobody }
    }

    /// The state; `None` once the process is gone.
    fn state(&self) -> Option<Process> {
        self.look().map(|(state, _)| state)
    }

    /// The state, and when it began, in ticks since the host was started.
    fn look(&self) -> Option<(Process, u64)> {
        let mut stat = [0; 1024];
        let length = read_start(&self.stat, &mut stat).ok()?;
        // The name stands in brackets and may itself hold brackets and spaces.
        let text = stat.get(..length)?;
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let mut fields =
            core::str::from_utf8(text.get(end.saturating_add(1)..)?).ok()?.split_ascii_whitespace();
        let state = match fields.next()? {
            "Z" | "X" | "x" => return None,
            "T" | "t" => Process::Paused,
            _ => Process::Alive,
        };
        // The state is the third field of the line, the time of the start the twenty-second.
        Some((state, fields.nth(18)?.parse().ok()?))
    }
}

fn began_after(started: Option<SystemTime>, named: Option<SystemTime>) -> bool {
    let (Some(started), Some(named)) = (started, named) else { return false };
    started.duration_since(named).is_ok_and(|late| late > LENIENCE)
}

fn has_in_command(proc: &Path, text: &str) -> bool {
    let command = file::read(&proc.join("cmdline"), MAX_COMMAND).unwrap_or_default();
    memchr::memmem::find(&command, text.as_bytes()).is_some()
}

/// The time of so many ticks after the host was started, sleep included.
#[cfg(target_os = "linux")]
fn wall_clock(ticks: u64) -> Option<SystemTime> {
    // Unlike `/proc/uptime`, which some containers make up, this is the clock that the kernel
    // stamps processes with.
    let up = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?;
    let began = Duration::from_millis(ticks.saturating_mul(1000 / TICKS));
    SystemTime::now().checked_sub(Duration::from(up).checked_sub(began)?)
}

#[cfg(not(target_os = "linux"))]
const fn wall_clock(_: u64) -> Option<SystemTime> {
    None
}

/// One read: the kernel writes the line as a whole.
#[cfg(unix)]
fn read_start(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, 0)
}

/// There is no `/proc` to read from elsewhere.
#[cfg(not(unix))]
fn read_start(_: &File, _: &mut [u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
