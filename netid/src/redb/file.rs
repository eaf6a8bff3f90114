use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::error::Error;
use core::sync::atomic::{AtomicU64, Ordering};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{self, Path, PathBuf};
use std::process;
use std::sync::{PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError,
    WriteTransaction,
};

use super::error::{Failure, RedbError};
use super::table::CLAIMS;

/// The format of the claims, under [`FORMAT`].
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("netid");
const FORMAT: &str = "format";
const KNOWN_FORMAT: u64 = 1;

/// How much of the file redb keeps in memory, in bytes. What it has no room for is in the system's cache.
const CACHE: usize = 64 << 20;

/// The open file. It is opened again after it failed, since only then is it known what became of the last commit.
pub(super) struct File {
    open: Box<dyn Fn() -> Result<Database, RedbError> + Send + Sync>,
    database: RwLock<Result<Database, RedbError>>,
}

impl File {
    /// Opens a file of claims, or makes an empty one.
    pub(super) fn open(path: &Path) -> Result<Self, RedbError> {
        let first = open_or_create(path)?;
        // The same file wherever the program is when it is opened again.
        let path = path::absolute(path).map_err(|error| from_io(path, error))?;
        Ok(Self::new(first, move || open_existing(&path)))
    }

    /// An open database, and how it is opened again.
    pub(super) fn new(
        database: Database,
        open: impl Fn() -> Result<Database, RedbError> + Send + Sync + 'static,
    ) -> Self {
        Self { open: Box::new(open), database: RwLock::new(Ok(database)) }
    }

    /// Reads from what was committed last.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadOnlyTable<&'static [u8], &'static [u8]>) -> Result<T, RedbError>,
    ) -> Result<T, RedbError> {
        // Held to the end, so that the file is not closed meanwhile.
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().map_err(RedbError::clone)?;
        read(&database.begin_read()?.open_table(CLAIMS)?)
    }

    /// Changes the file durably, unless there is nothing to commit: then the answer is none.
    ///
    /// Only one thread may do so.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<Option<T>, RedbError>,
    ) -> Result<Option<T>, Failure> {
        self.reopen(Result::is_err);
        let result = self.transact(change);
        if result.is_err() {
            self.reopen(|_| true);
        }
        result
    }

    fn transact<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<Option<T>, RedbError>,
    ) -> Result<Option<T>, Failure> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let changed = || {
            let transaction = database.as_ref().map_err(RedbError::clone)?.begin_write()?;
            let result = change(&transaction)?;
            Ok((transaction, result))
        };
        let (transaction, result) = changed().map_err(Failure::NotDone)?;
        if result.is_some() {
            // Whether the last page arrived before the error is not known.
            transaction.commit().map_err(|error| Failure::Unknown(error.into()))?;
        } else {
            transaction.abort().map_err(|error| Failure::NotDone(error.into()))?;
        }
        Ok(result)
    }

    /// Closes and opens the file if it is in such a state.
    fn reopen(&self, when: impl FnOnce(&Result<Database, RedbError>) -> bool) {
        if !when(&self.database.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: a file is open once.
        *database = Err(RedbError::Stopped);
        *database = (self.open)();
    }
}

fn open_or_create(path: &Path) -> Result<Database, RedbError> {
    // Somebody else may create the file, or take it away, between two looks.
    for _ in 0..4 {
        match open_existing(path) {
            Err(RedbError::Open { source, .. }) if is_kind(&*source, ErrorKind::NotFound) => {}
            opened => return opened,
        }
        match create(path) {
            Err(RedbError::Open { source, .. }) if is_kind(&*source, ErrorKind::AlreadyExists) => {}
            created => return created,
        }
    }
    let error = io::Error::new(ErrorKind::NotFound, "it comes and goes, or is a link to nowhere");
    Err(RedbError::Open { path: path.into(), source: Arc::new(error) })
}

/// Opens a file of claims that exists.
fn open_existing(path: &Path) -> Result<Database, RedbError> {
    // Opening for writing leaves traces, so it is looked first whether the file is ours. One that was not closed
    // cannot be read before it is repaired, which needs writing; it is as good as before then, whosever it is.
    match builder().open_read_only(path) {
        Ok(database) => check(path, &database)?,
        Err(DatabaseError::RepairAborted) => {}
        Err(error) => return Err(not_opened(path, error)),
    }
    let database = builder().open(path).map_err(|error| not_opened(path, error))?;
    check(path, &database)?;
    Ok(database)
}

/// Makes a file without claims.
///
/// It is made under another name and then linked to its own, so that whoever is killed in between leaves no half of
/// it there, and a file that appears meanwhile is not replaced.
fn create(path: &Path) -> Result<Database, RedbError> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => RedbError::NoFolder { path: path.into() },
        _ => from_io(path, error),
    };
    let draft = Draft::new(path).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&draft.0).map_err(failed)?;
    let database = FileBackend::new(file)
        .and_then(|backend| builder().create_with_backend(backend))
        .map_err(|error| not_opened(path, error))?;
    format_database(&database)?;
    fs::hard_link(&draft.0, path).map_err(failed)?;
    drop(draft);
    // The name is to be as durable as what is behind it.
    #[cfg(unix)]
    fs::File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(database)
}

/// Makes the tables of a database without any.
pub(super) fn format_database(database: &Database) -> Result<(), RedbError> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT, KNOWN_FORMAT)?;
    transaction.open_table(CLAIMS)?;
    Ok(transaction.commit()?)
}

/// Whether a database is one of ours.
fn check(path: &Path, database: &impl ReadableDatabase) -> Result<(), RedbError> {
    let meta = match database.begin_read()?.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        // It is not there, or somebody else's of the same name.
        Err(_) => return Err(RedbError::NotClaims { path: path.into() }),
    };
    match meta.get(FORMAT)?.map(|format| format.value()) {
        Some(KNOWN_FORMAT) => Ok(()),
        Some(found) => Err(RedbError::Format { path: path.into(), found, known: KNOWN_FORMAT }),
        None => Err(RedbError::NotClaims { path: path.into() }),
    }
}

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn not_opened(path: &Path, error: DatabaseError) -> RedbError {
    let not_a_database =
        |reason: &str| RedbError::NotADatabase { path: path.into(), reason: reason.into() };
    match error {
        DatabaseError::DatabaseAlreadyOpen => RedbError::AlreadyOpen { path: path.into() },
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                not_a_database(&format!("{error}"))
            }
            _ => from_io(path, error),
        },
        DatabaseError::Storage(StorageError::Corrupted(reason)) => not_a_database(&reason),
        error => RedbError::Open { path: path.into(), source: Arc::new(error) },
    }
}

fn from_io(path: &Path, error: io::Error) -> RedbError {
    let path = path.into();
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            RedbError::Denied { path, source: Arc::new(error) }
        }
        ErrorKind::NotADirectory => RedbError::NoFolder { path },
        _ => RedbError::Open { path, source: Arc::new(error) },
    }
}

fn is_kind(error: &(dyn Error + Send + Sync + 'static), kind: ErrorKind) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == kind)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The name beside a file under which it is made. It is removed when the file has its own, or cannot have it.
struct Draft(PathBuf);

impl Draft {
    fn new(path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the path does not name a file"));
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut draft = OsString::from(name);
        draft.push(format!(".{}-{count}.new", process::id()));
        Ok(Self(path.with_file_name(draft)))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What cannot be removed is a file that nobody reads.
        let _left = fs::remove_file(&self.0);
    }
}
