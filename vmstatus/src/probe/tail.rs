use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::console::Scanner;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// Most bytes read in one poll, so that a huge log does not hold up its caller for long; the next
/// poll goes on.
const MOST: u64 = 64 * 1024 * 1024;

/// Bytes before the offset that are read again, to notice that the log was written anew.
const OVERLAP: usize = 64;

/// Follows a console log by offset, inode and size, and pushes what is new into a [`Scanner`].
///
/// Truncation, rotation and replacement are noticed: by a smaller size, by another inode, or by
/// other bytes just before the offset. A poll without news is one `stat`.
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
    open: Option<Open>,
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
    /// The log was truncated, rotated or replaced, and has this many bytes.
    Replaced(u64),
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: u64,
    offset: u64,
    /// The last bytes before the offset.
    last: Vec<u8>,
}

impl Tail {
    /// Will follow the log at this path, which need not exist yet, from its start.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), open: None }
    }

    /// The path of the log.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Pushes what is new into the scanner, which must be the same at every poll.
    ///
    /// # Errors
    ///
    /// What the system says when the log is there and cannot be read. That it is not there is
    /// [`Progress::Absent`].
    pub fn poll(&mut self, scanner: &mut Scanner) -> io::Result<Progress> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => {
                self.open = None;
                return Ok(Progress::Absent);
            }
            Err(error) => return Err(error),
        };
        let Some(open) = &mut self.open else {
            let (open, grown) = Open::begin(&self.path, scanner)?;
            self.open = Some(open);
            return Ok(Progress::Grown(grown));
        };
        let same_file = open.identity == identity(&metadata);
        if same_file && metadata.len() == open.offset {
            return Ok(Progress::Unchanged);
        }
        if same_file && metadata.len() > open.offset && open.overlaps()? {
            return open.read(scanner).map(Progress::Grown);
        }
        if !same_file && open.overlaps()? {
            // Rotated: the old file may have got a last few lines.
            open.read(scanner)?;
        }
        let (open, length) = Open::begin(&self.path, scanner)?;
        self.open = Some(open);
        Ok(Progress::Replaced(length))
    }
}

impl Open {
    fn begin(path: &Path, scanner: &mut Scanner) -> io::Result<(Self, u64)> {
        scanner.restart();
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        let mut open = Self { file, identity, offset: 0, last: Vec::new() };
        let length = open.read(scanner)?;
        Ok((open, length))
    }

    /// Whether the bytes just before the offset are still the ones that were read.
    fn overlaps(&mut self) -> io::Result<bool> {
        let length = self.last.len() as u64;
        self.file.seek(SeekFrom::Start(self.offset.saturating_sub(length)))?;
        let mut again = Vec::with_capacity(OVERLAP);
        (&mut self.file).take(length).read_to_end(&mut again)?;
        Ok(again == self.last)
    }

    fn read(&mut self, scanner: &mut Scanner) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut news = (&mut self.file).take(MOST);
        let mut chunk = Vec::with_capacity(CHUNK.min(8192));
        let mut total = 0u64;
        loop {
            chunk.clear();
            let length = (&mut news).take(CHUNK as u64).read_to_end(&mut chunk)? as u64;
            if length == 0 {
                return Ok(total);
            }
            scanner.push(&chunk);
            total = total.saturating_add(length);
            self.offset = self.offset.saturating_add(length);
            self.last.extend_from_slice(
                chunk.get(chunk.len().saturating_sub(OVERLAP)..).unwrap_or_default(),
            );
            self.last.drain(..self.last.len().saturating_sub(OVERLAP));
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;

    metadata.ino()
}

/// Elsewhere a replaced log is known by its size and its bytes only.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> u64 {
    0
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
