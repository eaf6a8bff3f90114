use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::task::yield_now;

use super::file::{self, Identity, Stamp};
use crate::console::Scanner;

/// Most bytes read in one poll, so that a huge log does not hold up its caller for long.
const STEP: u64 = 1024 * 1024;

/// Bytes before the offset that are read again, to notice that the log was written anew.
const OVERLAP: usize = 64;

/// Most bytes read of the end of a log that was moved aside.
const MOST_MOVED: u64 = 4 * STEP;

/// Most files looked at to find it.
const MOST_FILES: usize = 4096;

/// Follows a console log by offset, inode and size, and pushes what is new into a [`Scanner`].
///
/// Truncation, rotation and replacement are noticed: by a smaller size, by another inode, or by
/// other bytes just before the offset. A log that was renamed is read to its end before the new one
/// is begun. A poll without news is one `stat`; no file is kept open, so that many thousand logs
/// can be followed. A path that is no regular file is an error, never a wait.
///
/// ```no_run
/// use vmstatus::console::Scanner;
/// use vmstatus::probe::Tail;
///
/// let (mut tail, mut scanner) = (Tail::new("vms/fargo/console.log"), Scanner::new());
/// let progress = tail.poll(&mut scanner)?;
/// println!("{progress:?}: {} boots", scanner.boots());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    place: Option<Place>,
    behind: u64,
}

/// What a poll has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no log.
    Absent,
    /// Nothing new.
    Unchanged,
    /// This many bytes were appended.
    Grown(u64),
    /// The log was truncated, rotated or replaced, and this many bytes of the new one were read.
    Replaced(u64),
}

/// How far a log was read.
#[derive(Debug)]
struct Place {
    /// As of the last poll.
    stamp: Stamp,
    offset: u64,
    /// The last bytes before the offset.
    last: Vec<u8>,
}

impl Tail {
    /// Will follow the log at this path, which need not exist yet, from its start.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), place: None, behind: 0 }
    }

    /// The path of the log.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that the last poll has seen and not read: a poll reads 1 MiB at most.
    #[must_use]
    pub const fn behind(&self) -> u64 {
        self.behind
    }

    /// When the log was last written to, as of the last poll; `None` if there is none.
    #[must_use]
    pub fn modified(&self) -> Option<SystemTime> {
        self.place.as_ref()?.stamp.modified()
    }

    /// Pushes what is new into the scanner, which must be the same at every poll. It reads 1 MiB at
    /// most; whether there is more says [`behind`](Self::behind).
    ///
    /// # Errors
    ///
    /// What the system says when the log is there and cannot be read, or is no regular file. That
    /// it is not there is [`Progress::Absent`].
    pub fn poll(&mut self, scanner: &mut Scanner) -> io::Result<Progress> {
        self.behind = 0;
        let stamp = match std::fs::metadata(&self.path) {
            Ok(metadata) => {
                file::check_regular(&metadata)?;
                Stamp::of(&metadata)
            }
            Err(error) if file::is_absent(&error) => {
                self.place = None;
                return Ok(Progress::Absent);
            }
            Err(error) => return Err(error),
        };
        let Some(place) = &mut self.place else {
            return self.begin(stamp, scanner).map(Progress::Grown);
        };
        let same_file = place.stamp.identity() == stamp.identity();
        if same_file && place.stamp == stamp && place.offset == stamp.length() {
            return Ok(Progress::Unchanged);
        }
        if same_file && place.offset <= stamp.length() {
            match place.read(&self.path, stamp, scanner)? {
                Some(0) => return Ok(Progress::Unchanged),
                Some(news) => {
                    self.behind = place.behind();
                    return Ok(Progress::Grown(news));
                }
                None => {}
            }
        }
        if !same_file {
            place.read_moved(&self.path, scanner);
        }
        self.begin(stamp, scanner).map(Progress::Replaced)
    }

    /// Polls until everything is read that was there at the first poll, and lets other tasks run
    /// in between. A log that grows faster than it is read does not hold it forever.
    ///
    /// Cancel-safe: the next poll goes on where this one was dropped.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    pub async fn catch_up(&mut self, scanner: &mut Scanner) -> io::Result<Progress> {
        let mut progress = self.poll(scanner)?;
        let mut left = self.behind;
        while left > 0 {
            yield_now().await;
            match self.poll(scanner)? {
                Progress::Grown(news) => {
                    progress = progress.and(news);
                    left = left.saturating_sub(news).min(self.behind);
                }
                Progress::Unchanged => break,
                other => {
                    progress = other;
                    left = self.behind;
                }
            }
        }
        Ok(progress)
    }

    fn begin(&mut self, stamp: Stamp, scanner: &mut Scanner) -> io::Result<u64> {
        scanner.restart();
        self.place = None;
        let mut place = Place { stamp, offset: 0, last: Vec::new() };
        let length = place.read(&self.path, stamp, scanner)?.unwrap_or_default();
        self.behind = place.behind();
        self.place = Some(place);
        Ok(length)
    }
}

impl Progress {
    const fn and(self, news: u64) -> Self {
        match self {
            Self::Replaced(length) => Self::Replaced(length.saturating_add(news)),
            Self::Grown(length) => Self::Grown(length.saturating_add(news)),
            Self::Absent | Self::Unchanged => Self::Grown(news),
        }
    }
}

impl Place {
    const fn behind(&self) -> u64 {
        self.stamp.length().saturating_sub(self.offset)
    }

    /// Reads on in the file at this path; `None` if the bytes before the offset are not the ones
    /// that were read.
    fn read(&mut self, path: &Path, now: Stamp, scanner: &mut Scanner) -> io::Result<Option<u64>> {
        let (file, metadata) = file::open(path)?;
        if Identity::of(&metadata) != now.identity() {
            // Replaced since it was looked at: that is for the next poll to find out.
            return Ok(Some(0));
        }
        let room = now.length().saturating_sub(self.offset).min(STEP);
        let overlap = self.last.len();
        let mut bytes = vec![0; usize::try_from(room).unwrap_or(0).saturating_add(overlap)];
        let from = self.offset.saturating_sub(overlap as u64);
        let length = file::read_at(&file, &mut bytes, from)?;
        bytes.truncate(length);
        let Some(news) = bytes.strip_prefix(self.last.as_slice()) else { return Ok(None) };
        scanner.push(news);
        let length = news.len() as u64;
        self.offset = self.offset.saturating_add(length);
        self.stamp = now;
        self.last = bytes.get(bytes.len().saturating_sub(OVERLAP)..).unwrap_or_default().to_vec();
        Ok(Some(length))
    }

    /// Reads the end of a log that was renamed: it is known by its inode.
    #[cfg(unix)]
    fn read_moved(&mut self, path: &Path, scanner: &mut Scanner) {
        use std::os::unix::fs::DirEntryExt as _;

        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = std::fs::read_dir(folder.unwrap_or_else(|| Path::new("."))) else {
            return;
        };
        let inode = self.stamp.identity().inode();
        let mut entries = entries.take(MOST_FILES).flatten();
        let Some(moved) = entries.find(|entry| entry.ino() == inode) else { return };
        let end = self.offset.saturating_add(MOST_MOVED);
        while self.offset < end {
            let Ok(metadata) = moved.metadata() else { return };
            let stamp = Stamp::of(&metadata);
            let is_same = stamp.identity() == self.stamp.identity();
            if !is_same || file::check_regular(&metadata).is_err() {
                return;
            }
            // What cannot be read is lost, as with any log that was rotated away.
            if !matches!(self.read(&moved.path(), stamp, scanner), Ok(Some(1..))) {
                return;
            }
        }
    }

    #[cfg(not(unix))]
    fn read_moved(&mut self, _: &Path, _: &mut Scanner) {}
}
