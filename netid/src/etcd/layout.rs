use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::EtcdError;
use super::proto::KeyValue;
use crate::claim::{Claim, ClaimKey, ClaimState, Generation, KeyState, Owner};

/// Where things are under the root.
///
/// | Key | Value |
/// |---|---|
/// | `<root>/format` | [`FORMAT`](Layout::FORMAT) |
/// | `<root>/claims/<claim key>` | who holds it, as JSON; the revision of its creation is the generation |
/// | `<root>/claims/<claim key> cooling` | until when it rests, and who had it |
/// | `<root>/owners/<uid>/<claim key>` | nothing: the claims of an owner |
/// | `<root>/attempts/<operation>/<number>` | nothing: attempts up to this one come too late |
/// | `<root>/present/<uid>` | an owner that is present, for as long as its lease lasts |
///
/// A claim key has no spaces, so nothing comes between the two keys of one, and one range covers both.
#[derive(Debug)]
pub(super) struct Layout {
    root: Box<str>,
}

/// What etcd says about one claim key.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) held: Option<Held>,
    pub(super) cooling: Option<Cooling>,
}

pub(super) struct Held {
    pub(super) claim: Claim,
    pub(super) revision: i64,
}

pub(super) struct Cooling {
    pub(super) until: Duration,
    pub(super) uid: Box<str>,
    pub(super) revision: i64,
}

/// The value of a claim.
#[derive(Serialize, Deserialize)]
struct ClaimRecord {
    owner: Owner,
    state: ClaimState,
    since: Duration,
}

/// The value of a key that rests.
#[derive(Serialize, Deserialize)]
struct CoolingRecord {
    until: Duration,
    uid: Box<str>,
}

/// One of the two keys of a claim key.
pub(super) enum Entry {
    Claim(ClaimKey),
    Cooling(ClaimKey),
}

impl Layout {
    /// The format of everything here.
    pub(super) const FORMAT: &str = "netid claims 1";
    const COOLING: &str = " cooling";

    pub(super) fn new(root: &str) -> Self {
        Self { root: root.into() }
    }

    pub(super) fn format(&self) -> Vec<u8> {
        format!("{}/format", self.root).into()
    }

    /// The key of a claim, or what the keys of claims start with.
    pub(super) fn claim(&self, key: &str) -> Vec<u8> {
        format!("{}/claims/{key}", self.root).into()
    }

    pub(super) fn cooling(&self, key: &ClaimKey) -> Vec<u8> {
        format!("{}/claims/{key}{}", self.root, Self::COOLING).into()
    }

    /// The end of the range that covers both keys of a claim key and nothing else.
    pub(super) fn slot_end(&self, key: &ClaimKey) -> Vec<u8> {
        let mut end = self.cooling(key);
        end.push(0);
        end
    }

    /// The key of an owner's claim, or what the keys of its claims start with.
    pub(super) fn owned(&self, owner: &Owner, key: &str) -> Vec<u8> {
        format!("{}/owners/{}/{key}", self.root, escape(owner.uid())).into()
    }

    /// What the keys of an operation that was repeated start with.
    pub(super) fn attempt(&self, operation: &str) -> Vec<u8> {
        format!("{}/attempts/{operation}", self.root).into()
    }

    pub(super) fn present(&self, owner: &Owner) -> Vec<u8> {
        format!("{}/present/{}", self.root, escape(owner.uid())).into()
    }

    /// What the keys of everybody present start with.
    pub(super) fn present_all(&self) -> Vec<u8> {
        format!("{}/present/", self.root).into()
    }

    /// What a key under `claims/` is about.
    pub(super) fn entry(&self, key: &[u8]) -> Result<Entry, EtcdError> {
        let start = self.claim("");
        let text = key.strip_prefix(&*start).unwrap_or_default();
        let (text, cooling) = match text.strip_suffix(Self::COOLING.as_bytes()) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let claim = ClaimKey::try_from(text).map_err(|error| corrupt(key, &error.to_string()))?;
        Ok(if cooling { Entry::Cooling(claim) } else { Entry::Claim(claim) })
    }

    /// The claim key at the end of an owner's key.
    pub(super) fn owned_key(&self, owner: &Owner, key: &[u8]) -> Result<ClaimKey, EtcdError> {
        let start = self.owned(owner, "");
        let text = key.strip_prefix(&*start).unwrap_or_default();
        ClaimKey::try_from(text).map_err(|error| corrupt(key, &error.to_string()))
    }

    /// What there is about one claim key.
    pub(super) fn slot(&self, kvs: &[KeyValue]) -> Result<Slot, EtcdError> {
        let mut slot = Slot::default();
        for kv in kvs {
            match self.entry(&kv.key)? {
                Entry::Claim(key) => {
                    let claim = read_claim(key, kv)?;
                    slot.held = Some(Held { claim, revision: kv.mod_revision });
                }
                Entry::Cooling(_) => slot.cooling = Some(read_cooling(kv)?),
            }
        }
        Ok(slot)
    }

    /// What there is about a key that one entry speaks of.
    pub(super) fn state(&self, kv: &KeyValue) -> Result<KeyState, EtcdError> {
        Ok(match self.entry(&kv.key)? {
            Entry::Claim(key) => KeyState::Held(read_claim(key, kv)?),
            Entry::Cooling(key) => KeyState::Cooling { key, until: read_cooling(kv)?.until },
        })
    }
}

/// The value that says who holds a key.
pub(super) fn write_claim(owner: &Owner, state: ClaimState, since: Duration) -> Vec<u8> {
    let record = ClaimRecord { owner: owner.clone(), state, since };
    serde_json::to_vec(&record).unwrap_or_default()
}

/// The value that says until when a key rests.
pub(super) fn write_cooling(until: Duration, owner: &Owner) -> Vec<u8> {
    let record = CoolingRecord { until, uid: owner.uid().into() };
    serde_json::to_vec(&record).unwrap_or_default()
}

fn read_claim(key: ClaimKey, kv: &KeyValue) -> Result<Claim, EtcdError> {
    let record: ClaimRecord =
        serde_json::from_slice(&kv.value).map_err(|error| corrupt(&kv.key, &error.to_string()))?;
    let generation = Generation::new(kv.create_revision.unsigned_abs());
    Ok(Claim::new(key, record.owner, generation, record.since).with_state(record.state))
}

fn read_cooling(kv: &KeyValue) -> Result<Cooling, EtcdError> {
    let record: CoolingRecord =
        serde_json::from_slice(&kv.value).map_err(|error| corrupt(&kv.key, &error.to_string()))?;
    Ok(Cooling { until: record.until, uid: record.uid, revision: kv.mod_revision })
}

pub(super) fn corrupt(key: &[u8], reason: &str) -> EtcdError {
    EtcdError::Corrupt { key: String::from_utf8_lossy(key).into(), reason: reason.into() }
}

/// The end of the range of all keys that start with a text.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // Everything from the start on, as etcd spells it.
    [0].into()
}

/// A uid as one segment of a key: what could end it, or not be read on a screen, becomes its bytes in hexadecimal.
fn escape(uid: &str) -> String {
    let mut text = String::with_capacity(uid.len());
    for byte in uid.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' => {
                text.push(char::from(byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02x}");
            }
        }
    }
    text
}
