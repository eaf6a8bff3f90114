use thiserror::Error;

/// Why a look told nothing. Everything is as it was before.
///
/// `E` is the error of the store, `L` of what lists the owners. This is an error itself if both are: a
/// `Box<dyn Error>` is none, so let the list fail with a type of its own or an `io::Error`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LookError<E, L> {
    /// The claims could not be read.
    #[error("the claims cannot be read; look again later")]
    Store(#[source] E),
    /// The owners could not be listed.
    #[error(
        "the owners cannot be listed, so no claim is known to be without one; look again later"
    )]
    Owners(#[source] L),
    /// The list of owners is empty, and nobody said that this is so.
    #[error(
        "{claims} claims are held and the list of owners is empty; if there is none, give `LiveOwners::none()`"
    )]
    NoOwners {
        /// How many claims would be without an owner.
        claims: usize,
    },
}
