//! The bytes of the file: one table, whose keys say by their first byte what stands there.
//!
//! | Key | Value |
//! |---|---|
//! | `k`, the text of a key | who holds it, or until when it rests |
//! | `o`, the length of a uid, the uid, the text of a key | nothing: the owner holds the key |
//! | `d`, a deadline (12 bytes), the text of a key | nothing: the key rests until then |
//! | `g` | a generation that no batch is above (8 bytes) |
//!
//! And the values at keys, where a time is seconds (8 bytes) and nanoseconds (4 bytes):
//!
//! | First byte | Behind it |
//! |---|---|
//! | 0 pending, 1 bound | the generation (8 bytes), since when, kind and name with their lengths before them, the uid |
//! | 2 cooling | until when, the uid of the last owner |
//!
//! Numbers are big-endian, so that they sort. There is one table, and the values are short, because what a commit takes
//! is the pages that it writes. That redb's pages are whole is checked by redb.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::error::RedbError;
use crate::claim::{Claim, ClaimKey, ClaimState, Generation, Owner};

/// Where the generation stands that no batch is above.
pub(super) const CEILING: &[u8] = b"g";
/// What the keys of all deadlines start with.
pub(super) const DEADLINES: &[u8] = b"d";

/// What stands at a key.
#[derive(Debug)]
pub(super) enum Slot {
    Held(Claim),
    Cooling { until: Duration, uid: Box<str> },
}

impl Slot {
    const PENDING: u8 = 0;
    const BOUND: u8 = 1;
    const COOLING: u8 = 2;

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Held(Claim { owner, generation, state, since, .. }) => {
                let tag = match state {
                    ClaimState::Pending => Self::PENDING,
                    ClaimState::Bound => Self::BOUND,
                };
                let generation = generation.number().to_be_bytes();
                let mut bytes = [&[tag][..], &generation, &time_bytes(*since)].concat();
                for text in [owner.kind(), owner.name()] {
                    bytes.push(length(text));
                    bytes.extend(text.as_bytes());
                }
                bytes.extend(owner.uid().as_bytes());
                bytes
            }
            Self::Cooling { until, uid } => {
                [&[Self::COOLING][..], &time_bytes(*until), uid.as_bytes()].concat()
            }
        }
    }

    pub(super) fn decode(key: &ClaimKey, bytes: &[u8]) -> Result<Self, RedbError> {
        let slot = |bytes: &mut Bytes<'_>| {
            let state = match bytes.number()? {
                Self::PENDING => ClaimState::Pending,
                Self::BOUND => ClaimState::Bound,
                Self::COOLING => {
                    let (until, uid) = (bytes.time()?, bytes.rest()?);
                    return Some(Self::Cooling { until, uid: uid.into() });
                }
                _ => return None,
            };
            let (generation, since) = (Generation::new(bytes.long()?), bytes.time()?);
            let (kind, name, uid) = (bytes.text()?, bytes.text()?, bytes.rest()?);
            let owner = Owner::new(kind, name, uid).ok()?;
            Some(Self::Held(Claim { key: key.clone(), owner, generation, state, since }))
        };
        slot(&mut Bytes(bytes))
            .ok_or_else(|| RedbError::damaged(format_args!("the record of {key} cannot be read")))
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
    [b"o", &[length(uid)][..], uid.as_bytes()].concat()
}

pub(super) fn owner_key(uid: &str, key: &ClaimKey) -> Vec<u8> {
    [&*owner_prefix(uid), key.as_str().as_bytes()].concat()
}

pub(super) fn deadline_key(until: Duration, key: &ClaimKey) -> Vec<u8> {
    [DEADLINES, &time_bytes(until), key.as_str().as_bytes()].concat()
}

/// The deadline and the key that [`deadline_key`] wrote.
pub(super) fn deadline(bytes: &[u8]) -> Result<(Duration, ClaimKey), RedbError> {
    let mut bytes = Bytes(bytes.strip_prefix(DEADLINES).unwrap_or_default());
    let until = bytes.time().ok_or_else(|| RedbError::damaged("a deadline cannot be read"))?;
    Ok((until, ClaimKey::try_from(bytes.0).map_err(RedbError::damaged)?))
}

const fn time_bytes(time: Duration) -> [u8; 12] {
    let mut bytes = [0; 12];
    let (seconds, nanoseconds) = bytes.split_at_mut(8);
    seconds.copy_from_slice(&time.as_secs().to_be_bytes());
    nanoseconds.copy_from_slice(&time.subsec_nanos().to_be_bytes());
    bytes
}

/// The length of a part of an owner, which is at most 255.
fn length(text: &str) -> u8 {
    u8::try_from(text.len()).unwrap_or(u8::MAX)
}

/// Bytes that are read from their start.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn number(&mut self) -> Option<u8> {
        self.chunk().map(u8::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_be_bytes)
    }

    fn time(&mut self) -> Option<Duration> {
        let (seconds, nanoseconds) = (self.long()?, self.chunk().map(u32::from_be_bytes)?);
        // A second of them or more would carry over, and not be what was written.
        (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
    }

    /// A text with its length before it.
    fn text(&mut self) -> Option<&'b str> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }

    fn rest(&self) -> Option<&'b str> {
        str::from_utf8(self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    fn key() -> ClaimKey {
        ClaimKey::name("a").unwrap()
    }

    fn slots() -> Vec<Slot> {
        let mut slots = Vec::new();
        for (kind, name, uid) in [("vm", "web", "u1"), ("\0", "", "\u{fc}"), ("v", "n", "\n/k")] {
            let long = kind.repeat(Owner::MAX_LEN.div_euclid(kind.len()));
            for owner in [Owner::new(kind, name, uid), Owner::new(&long, &long, &long)] {
                for time in [Duration::ZERO, Duration::new(1, 999_999_999), Duration::MAX] {
                    let owner = owner.clone().unwrap();
                    let uid = owner.uid().into();
                    let claim = Claim::new(key(), owner, Generation::new(u64::MAX - 1), time);
                    slots.push(Slot::Held(claim.clone().with_state(ClaimState::Bound)));
                    slots.push(Slot::Held(claim));
                    slots.push(Slot::Cooling { until: time, uid });
                }
            }
        }
        slots
    }

    #[test]
    fn what_is_written_is_read() {
        for slot in slots() {
            let read = Slot::decode(&key(), &slot.encode()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{slot:?}"));
            if let (Slot::Held(read), Slot::Held(written)) = (read, slot) {
                assert_eq!(read, written);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let owner = Owner::new("vm", "web", "u1").unwrap();
        let claim = Claim::new(key(), owner, Generation::new(5), Duration::new(7, 9));
        let times = b"\0\0\0\0\0\0\0\x07\0\0\0\x09";
        let held = [b"\0\0\0\0\0\0\0\0\x05", &times[..], b"\x02vm\x03webu1"].concat();
        assert_eq!(Slot::Held(claim).encode(), held);
        let cooling = Slot::Cooling { until: Duration::new(7, 9), uid: "u1".into() };
        assert_eq!(cooling.encode(), [b"\x02", &times[..], b"u1"].concat());
        assert_eq!(
            deadline_key(Duration::new(7, 9), &key()),
            [b"d", &times[..], b"name/a"].concat()
        );
        assert_eq!(owner_key("u1", &key()), b"o\x02u1name/a");
    }

    /// No bytes are read as something that would be written otherwise, and none panic.
    #[test]
    fn other_bytes_are_refused() {
        for slot in slots() {
            let bytes = slot.encode();
            for end in 0..bytes.len() {
                if let Ok(read) = Slot::decode(&key(), &bytes[..end]) {
                    assert_eq!(read.encode(), bytes[..end]);
                }
            }
            for at in 0..bytes.len() {
                for byte in [0, 1, 2, 3, 0x7F, 0x80, 0xFF] {
                    let mut bytes = bytes.clone();
                    bytes[at] = byte;
                    if let Ok(read) = Slot::decode(&key(), &bytes) {
                        assert_eq!(read.encode(), bytes);
                    }
                }
            }
        }
        let time = [0_u8; 12];
        let too_long = [&[2][..], &[0; 8], &1_000_000_000_u32.to_be_bytes(), b"u"].concat();
        for bytes in [&b""[..], b"\x03", b"{\"held\":{}}", &[2], &time, &too_long] {
            assert!(Slot::decode(&key(), bytes).is_err(), "{bytes:?}");
        }
        for bytes in [&b"d"[..], b"d123456789012", b"d12345678\x3B\x9A\xCA\0name/a", b"k"] {
            assert!(deadline(bytes).is_err(), "{bytes:?}");
        }
        let uid = String::from_utf8_lossy(&[0xFF]).into_owned();
        let mut bytes = Slot::Cooling { until: Duration::ZERO, uid: uid.into() }.encode();
        bytes.push(0xFF);
        assert!(Slot::decode(&key(), &bytes).is_err(), "not UTF-8");
    }

    #[test]
    fn deadlines_sort_as_times_do() {
        let times = [0, 1, 255, 256, u64::MAX].map(Duration::from_secs);
        let later = times.map(|time| time.saturating_add(Duration::from_nanos(1)));
        let mut times = [times, later].concat();
        times.sort();
        let keys: Vec<_> = times.iter().map(|time| deadline_key(*time, &key())).collect();
        assert!(keys.is_sorted());
        for (time, bytes) in times.into_iter().zip(keys) {
            assert_eq!(deadline(&bytes).unwrap(), (time, key()));
        }
    }

    /// A uid that begins like another has keys of its own.
    #[test]
    fn uids_do_not_run_into_one_another() {
        for (a, b) in [("a", "ab"), ("a", "aname/"), ("u", "u\0")] {
            assert!(!owner_key(b, &key()).starts_with(&owner_prefix(a)), "{a:?} {b:?}");
        }
    }
}
