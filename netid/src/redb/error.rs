use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use std::io;
use std::path::Path;

use thiserror::Error;

/// What can go wrong in a [`RedbStore`](super::RedbStore).
///
/// A file that cannot be opened is left as it is.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RedbError {
    /// The file is open already, in another process or in this one.
    #[error("{} is open in another place; share that store, or end it first", .path.display())]
    AlreadyOpen {
        /// The file.
        path: Box<Path>,
    },
    /// The file is no redb database, or is damaged so that it does not look like one.
    #[error("{} is not a redb database ({reason}); give another path", .path.display())]
    NotADatabase {
        /// The file.
        path: Box<Path>,
        /// How it is seen.
        reason: Box<str>,
    },
    /// The file is a redb database of something else.
    #[error("{} is a redb database without claims; give another path", .path.display())]
    NotClaims {
        /// The file.
        path: Box<Path>,
    },
    /// The claims are in a format that this version of the crate does not know.
    #[error("{} has claims in format {found}, and this program knows format {known}; use a version that knows it", .path.display())]
    Format {
        /// The file.
        path: Box<Path>,
        /// The format of the file.
        found: u64,
        /// The one format that is known.
        known: u64,
    },
    /// The folder of the file does not exist, or is no folder.
    #[error("{} is in no folder that exists; create it first", .path.display())]
    NoFolder {
        /// The file.
        path: Box<Path>,
    },
    /// The file or its folder must not be read or written.
    #[error("no permission to read and write {}; let this user do both, or run as another", .path.display())]
    Denied {
        /// The file.
        path: Box<Path>,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The file could not be opened or created for another reason.
    #[error("{} cannot be opened; see the cause", .path.display())]
    Open {
        /// The file.
        path: Box<Path>,
        /// Why not.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The file holds something that no store wrote. Nothing was changed.
    #[error("the file of claims is damaged: {what}; put back a copy of it")]
    Damaged {
        /// Where, and what is wrong with it.
        what: Box<str>,
    },
    /// The database failed: most often because the disk is full or broken.
    #[error("the file of claims failed; try again when its disk works")]
    Database(#[source] Arc<dyn Error + Send + Sync>),
    /// The thread that makes the changes has ended by a panic.
    #[error("the store of claims has stopped after a panic; open it again")]
    Stopped,
}

impl RedbError {
    pub(super) fn damaged(what: impl fmt::Display) -> Self {
        Self::Damaged { what: what.to_string().into() }
    }
}

/// The errors of redb's steps, which are all the same to us.
macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for RedbError {
            fn from(error: redb::$error) -> Self {
                Self::Database(Arc::new(error))
            }
        }
    )*};
}

from_redb!(CommitError, SetDurabilityError, StorageError, TableError, TransactionError);

/// How much of a change was done before it failed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Nothing.
    NotDone(RedbError),
    /// Nothing, or all of it.
    Unknown(RedbError),
}

impl Failure {
    pub(super) fn into_error(self) -> RedbError {
        match self {
            Self::NotDone(error) | Self::Unknown(error) => error,
        }
    }
}
