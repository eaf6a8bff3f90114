use alloc::boxed::Box;

use thiserror::Error;

use crate::claim::{BindError, ClaimError};

/// What can go wrong with an [`EtcdStore`](crate::EtcdStore).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// No endpoint was given.
    #[error("no etcd endpoint was given; name at least one, such as http://127.0.0.1:2379")]
    NoEndpoint,
    /// A text that is no endpoint.
    #[error(
        "{endpoint:?} is not an etcd endpoint ({reason}); write http://HOST:PORT or https://HOST:PORT"
    )]
    Endpoint {
        /// The refused text.
        endpoint: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// An endpoint asks for TLS, and no TLS configuration was given, or the other way round.
    #[error(
        "{endpoint} and the TLS configuration do not fit: https needs `EtcdOptions::with_tls` (feature `etcd-tls`), http takes none"
    )]
    Tls {
        /// The endpoint.
        endpoint: Box<str>,
    },
    /// No endpoint gave an answer before the deadline.
    #[error(
        "etcd gave no answer in {attempts} attempts; check that a majority of it runs and can be reached ({last})"
    )]
    Unanswered {
        /// How often it was asked, at whichever endpoint.
        attempts: u32,
        /// Whether one of the attempts may have been carried out all the same.
        unclear: bool,
        /// How the last attempt ended, and at which endpoint.
        last: Box<str>,
    },
    /// etcd said no: a wrong password, a missing permission, no space left, a limit of the server.
    #[error(
        "etcd refused: {message} ({code}); check the user, its permission on the root, and what the server has room for"
    )]
    Refused {
        /// The status code of gRPC, in words.
        code: Box<str>,
        /// What etcd said.
        message: Box<str>,
        /// Whether an earlier attempt at the same, which got no answer, may have been carried out all the same.
        unclear: bool,
    },
    /// More keys than fit into one transaction, so that all or none could not be kept. Nothing was changed.
    #[error("a batch of {len} keys does not fit into one transaction of etcd; use at most {max}")]
    BatchTooLarge {
        /// How many different keys there were.
        len: usize,
        /// How many fit.
        max: usize,
    },
    /// Others changed the same keys each time they were about to be written. Nothing was changed.
    #[error(
        "the keys change faster than they can be claimed; try again, or look for what changes them"
    )]
    Contended,
    /// There are claims of another format under this root.
    #[error(
        "the claims under this root have format {found:?}, this version reads {expected:?}; use the version that wrote them, or another root"
    )]
    Format {
        /// The format found.
        found: Box<str>,
        /// The format that this version reads and writes.
        expected: &'static str,
    },
    /// Something under the root was not written by this store.
    #[error(
        "{key:?} does not hold a record of this store ({reason}); remove what else writes under this root"
    )]
    Corrupt {
        /// The key in etcd.
        key: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// The answer of the server does not fit what was asked.
    #[error(
        "the server's answer does not fit the request ({what}); check that it is etcd 3.4 or later"
    )]
    Protocol {
        /// What was missing.
        what: &'static str,
    },
}

impl EtcdError {
    /// The same error when it came before an operation was begun.
    pub(super) fn before_the_operation(self) -> Self {
        match self {
            Self::Unanswered { attempts, last, .. } => {
                Self::Unanswered { attempts, unclear: false, last }
            }
            other => other,
        }
    }

    /// Whether the request may have been carried out although it failed.
    pub(super) const fn is_unclear(&self) -> bool {
        matches!(
            self,
            Self::Unanswered { unclear: true, .. }
                | Self::Refused { unclear: true, .. }
                | Self::Protocol { .. }
        )
    }
}

impl From<EtcdError> for ClaimError<EtcdError> {
    fn from(error: EtcdError) -> Self {
        if error.is_unclear() { Self::Unknown(error) } else { Self::Store(error) }
    }
}

impl From<EtcdError> for BindError<EtcdError> {
    fn from(error: EtcdError) -> Self {
        Self::Store(error)
    }
}
