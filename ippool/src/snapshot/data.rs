use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use thiserror::Error;

/// Everything that a pool has to remember across a restart; its configuration is not in it.
///
/// Made by [`Pool::snapshot`](crate::Pool::snapshot) and read by
/// [`Pool::restore`](crate::Pool::restore). Indexes number the items that can be handed out,
/// ascending from 0.
///
/// With serde, numbers of 2^53 and more are written as text in formats that are text themselves,
/// so that a snapshot can be embedded in any of them.
///
/// # Encoding of `held`
///
/// Words of 64 indexes, the lowest index in the lowest bit, as a sequence of records in standard
/// base64 with padding. A record starts with a number in LEB128, seven bits a byte, the lowest
/// first. Its two low bits are the kind and the rest is a count of words: kind 0, as many words
/// with nothing held; 1, as many words with everything held; 2, as many words follow, each of
/// 8 bytes in little-endian order. Words after the last record hold nothing. That is at most
/// 1.4 bits of text for each index: 11 KB for a /16 in any state, and a few bytes if its items are
/// held without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        deny_unknown_fields,
        bound(serialize = "O: serde::Serialize", deserialize = "O: serde::Deserialize<'de>")
    )
)]
pub struct Snapshot<O = ()> {
    /// [`Snapshot::VERSION`] when it was written.
    pub version: u32,
    /// The ordinals the indexes stand for, as inclusive ranges.
    #[cfg_attr(feature = "serde", serde(with = "super::number::ranges"))]
    pub usable: Vec<(u128, u128)>,
    /// Where a next-fit search goes on, an index.
    #[cfg_attr(feature = "serde", serde(with = "super::number"))]
    pub cursor: u128,
    /// Which indexes are held.
    pub held: String,
    /// Index and owner of everything held, ascending; of a pool without owners, at most one entry
    /// that stands for all.
    #[cfg_attr(feature = "serde", serde(with = "super::number::keyed"))]
    pub owners: Vec<(u128, O)>,
    /// What is cooling, with the time when it becomes free; that time never decreases.
    #[cfg_attr(feature = "serde", serde(with = "super::number::keyed"))]
    pub cooling: Vec<(u128, Duration)>,
    /// With [`Policy::LongestIdle`](crate::Policy::LongestIdle), the free indexes that were held
    /// before, with the time since when they are free; that time never decreases.
    #[cfg_attr(feature = "serde", serde(with = "super::number::keyed"))]
    pub idle: Vec<(u128, Duration)>,
    /// With sticky owners, the indexes that former owners would get back.
    #[cfg_attr(feature = "serde", serde(with = "super::number::keyed"))]
    pub former: Vec<(u128, O)>,
}

impl<O> Snapshot<O> {
    /// The version that this release writes, and the only one it reads.
    pub const VERSION: u32 = 1;
}

/// Why a snapshot was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The pool has been used already.
    #[error("the pool is in use: restore into a new one")]
    NotEmpty,
    /// The snapshot was written by another release.
    #[error("snapshot version {found} is not {}: read it with the release that wrote it", Snapshot::<()>::VERSION)]
    Version {
        /// The version of the snapshot.
        found: u32,
    },
    /// The range or the reservations of the space have changed.
    #[error(
        "the snapshot is of a space with another range or other reservations: \
         use that space, or `restore_moved`"
    )]
    OtherSpace,
    /// The encoded words are not valid.
    #[error("the held items are damaged at byte {at}: use an older snapshot or rebuild")]
    Damaged {
        /// How many bytes could be read, counted before base64.
        at: usize,
    },
    /// An index does not exist in the space.
    #[error("index {index} is beyond the space: use an older snapshot or rebuild")]
    IndexOutOfRange {
        /// The index.
        index: u128,
    },
    /// An index has two states, two owners, or no owner.
    #[error("index {index} is listed twice or without its owner: use an older snapshot or rebuild")]
    Inconsistent {
        /// The index.
        index: u128,
    },
    /// Times decrease.
    #[error("the time of index {index} is out of order: use an older snapshot or rebuild")]
    OutOfOrder {
        /// The index at which they do.
        index: u128,
    },
}
