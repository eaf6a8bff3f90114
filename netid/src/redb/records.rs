//! The bytes of the file: one table, whose keys say by their first byte what stands there.
//!
//! | Key | Value |
//! |---|---|
//! | `k`, the text of a key | who holds it, or until when it rests, as JSON |
//! | `o`, the length of a uid, the uid, the text of a key | nothing: the owner holds the key |
//! | `d`, a deadline (12 bytes), the text of a key | nothing: the key rests until then |
//! | `g` | the generation of the last batch (8 bytes) |
//!
//! Numbers are big-endian, so that they sort. One table, since every table that a commit touches is a page more to write.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::RedbError;
use crate::claim::{Claim, ClaimKey, ClaimState, Generation, Owner};

/// Where the generation of the last batch stands.
pub(super) const GENERATION: &[u8] = b"g";
/// What the keys of all deadlines start with.
pub(super) const DEADLINES: &[u8] = b"d";

/// What stands at a key.
#[derive(Debug)]
pub(super) enum Slot {
    Held(Claim),
    Cooling { until: Duration, uid: Box<str> },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Record {
    Held { owner: Owner, generation: Generation, state: ClaimState, since: Duration },
    Cooling { until: Duration, uid: Box<str> },
}

impl Slot {
    pub(super) fn encode(self) -> Result<Vec<u8>, RedbError> {
        let record = match self {
            Self::Held(Claim { owner, generation, state, since, .. }) => {
                Record::Held { owner, generation, state, since }
            }
            Self::Cooling { until, uid } => Record::Cooling { until, uid },
        };
        serde_json::to_vec(&record).map_err(RedbError::damaged)
    }

    pub(super) fn decode(key: ClaimKey, bytes: &[u8]) -> Result<Self, RedbError> {
        match serde_json::from_slice(bytes) {
            Ok(Record::Held { owner, generation, state, since }) => {
                Ok(Self::Held(Claim { key, owner, generation, state, since }))
            }
            Ok(Record::Cooling { until, uid }) => Ok(Self::Cooling { until, uid }),
            Err(error) => Err(RedbError::damaged(format_args!("the record of {key}: {error}"))),
        }
    }
}

/// Where what starts with a text stands.
pub(super) fn slot_key(text: &str) -> Vec<u8> {
    [b"k", text.as_bytes()].concat()
}

/// The key that stands behind a prefix.
pub(super) fn key_behind(prefix: &[u8], bytes: &[u8]) -> Result<ClaimKey, RedbError> {
    let text = bytes.strip_prefix(prefix).unwrap_or_default();
    ClaimKey::try_from(text).map_err(RedbError::damaged)
}

/// Where the keys of an owner stand. The length before the uid keeps one uid from being the start of another.
pub(super) fn owner_prefix(uid: &str) -> Vec<u8> {
    // An owner's uid has at most 255 bytes, and a longer one would only be found among others.
    let len = u8::try_from(uid.len()).unwrap_or(u8::MAX);
    [b"o", &[len][..], uid.as_bytes()].concat()
}

pub(super) fn owner_key(uid: &str, key: &ClaimKey) -> Vec<u8> {
    let mut bytes = owner_prefix(uid);
    bytes.extend(key.as_str().as_bytes());
    bytes
}

pub(super) fn deadline_key(until: Duration, key: &ClaimKey) -> Vec<u8> {
    let (seconds, nanoseconds) =
        (until.as_secs().to_be_bytes(), until.subsec_nanos().to_be_bytes());
    [DEADLINES, &seconds, &nanoseconds, key.as_str().as_bytes()].concat()
}

/// The deadline and the key that [`deadline_key`] wrote.
pub(super) fn deadline(bytes: &[u8]) -> Result<(Duration, ClaimKey), RedbError> {
    let parts = || {
        let (seconds, rest) = bytes.strip_prefix(DEADLINES)?.split_first_chunk()?;
        let (nanoseconds, key) = rest.split_first_chunk()?;
        let nanoseconds = u32::from_be_bytes(*nanoseconds);
        // More than a second of them would carry over, and not be what was written.
        (nanoseconds < 1_000_000_000)
            .then(|| (Duration::new(u64::from_be_bytes(*seconds), nanoseconds), key))
    };
    let (until, key) = parts().ok_or_else(|| RedbError::damaged("a deadline"))?;
    Ok((until, ClaimKey::try_from(key).map_err(RedbError::damaged)?))
}
