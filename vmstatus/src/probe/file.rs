//! Files that belong to others: anything may stand at their path.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file that changed this recently may change again without looking any different, for time
/// stamps are as coarse as the kernel's clock tick.
const SETTLES: Duration = Duration::from_secs(1);

/// What a file looks like from outside. While it stays the same, so does the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: Identity,
    length: u64,
    modified: Option<SystemTime>,
}

/// Device and inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// Whether the next change is sure to show. It is not for the files of `/proc`, which have no
    /// length.
    pub(super) fn is_telling(&self) -> bool {
        let age = self.modified.and_then(|at| SystemTime::now().duration_since(at).ok());
        self.length > 0 && age.is_some_and(|age| age > SETTLES)
    }
}

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;

        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Elsewhere a replaced file is known by its size and its bytes only.
    #[cfg(not(unix))]
    pub(super) fn of(_: &Metadata) -> Self {
        Self::default()
    }

    #[cfg(unix)]
    pub(super) const fn inode(self) -> u64 {
        self.inode
    }
}

/// Opens a regular file for reading. It waits for nobody: what is no regular file is refused, as a
/// FIFO would wait for a writer, and a device might do anything.
///
/// Callers have looked at the path before; the flag is for what changes in between.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
        options.custom_flags(flags.bits());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, metadata))
}

/// Reads a regular file of at most so many bytes.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    check_regular(&std::fs::metadata(path)?)?;
    let (file, metadata) = open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("more than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Fills the buffer from this place on; gives the bytes that there are.
pub(super) fn read_at(file: &File, buffer: &mut [u8], mut from: u64) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_some_at(file, rest, from) {
            Ok(0) => break,
            Ok(length) => {
                filled = filled.saturating_add(length);
                from = from.saturating_add(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(unix)]
fn read_some_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, from)
}

#[cfg(not(unix))]
fn read_some_at(mut file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    use std::io::Seek as _;

    file.seek(io::SeekFrom::Start(from))?;
    file.read(buffer)
}

pub(super) fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
